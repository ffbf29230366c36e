//! A user's overlay: contract prices, discounts, private models, and snapshots put on top.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use tollgate_catalog::{Ability, Catalogue, Context, Cost, LoadError, Tier, Usage};

const NOW: &str = "2026-11-24T12:00:00Z";

fn with(text: &str) -> Catalogue {
    Catalogue::builtin().with_overlay("prices.toml", text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn refused(text: &str) -> Vec<String> {
    let errors = Catalogue::builtin().with_overlay("prices.toml", text).expect_err("refused");
    errors.iter().map(LoadError::to_string).collect()
}

fn million(input: u64, output: u64) -> Usage {
    Usage { input: input * 1_000_000, output: output * 1_000_000, ..Usage::default() }
}

fn cost_at(catalogue: &Catalogue, target: &str, usage: &Usage, tier: Tier, at: &str) -> String {
    let (provider, model) = target.split_once('/').expect("provider/model");
    let offer = catalogue.offer(provider, model).unwrap_or_else(|| panic!("{target} is not listed"));
    match offer.price(usage, &Context { tier, region: None, at: at.parse().expect("a time") }) {
        Cost::Unknown(why) => format!("{why:?}"),
        known @ Cost::Known(_) => known.total().expect("known").to_string(),
    }
}

fn cost(catalogue: &Catalogue, target: &str, usage: &Usage) -> String {
    cost_at(catalogue, target, usage, Tier::Standard, NOW)
}

#[test]
fn fn1_03_a_contract_price_keeps_the_list_price_of_what_it_does_not_name() {
    let catalogue = with("[[price]]\ntarget = \"anthropic/claude-opus-4-7\"\ninput = \"4\"\noutput = 20\n");
    assert_eq!(cost(&catalogue, "anthropic/claude-opus-4-7", &million(1, 1)), "24.00");
    let read = Usage { cache_read: 1_000_000, ..Usage::default() };
    assert_eq!(cost(&catalogue, "anthropic/claude-opus-4-7", &read), "0.50");
    let tier = cost_at(&catalogue, "anthropic/claude-opus-4-7", &million(1, 0), Tier::Batch, NOW);
    assert_eq!(tier, "2.50", "batch is as listed");
}

#[test]
fn a_contract_has_a_term() {
    let text = "[[price]]\ntarget = \"openai/gpt-5.4-mini\"\ninput = \"0.50\"\nfrom = 2026-07-01\nuntil = \"2027-01-01\"\n";
    let catalogue = with(text);
    let price = |at| cost_at(&catalogue, "openai/gpt-5.4-mini", &million(1, 0), Tier::Standard, at);
    assert_eq!(
        [price("2026-06-30T23:59:59Z"), price("2026-07-01T00:00:00Z"), price("2027-01-01T00:00:00Z")],
        ["0.75", "0.50", "0.75"]
    );
}

#[test]
fn a_discount_is_on_list_prices_in_every_tier_and_not_on_contract_prices() {
    let text = "\
[[discount]]
target = \"anthropic/*\"
discount = \"0.15\"
[[discount]]
target = \"anthropic/claude-opus-4-7\"
discount = \"0.40\"
[[price]]
target = \"anthropic/claude-haiku-4-5\"
input = \"0.90\"
";
    let catalogue = with(text);
    assert_eq!(cost(&catalogue, "anthropic/claude-opus-4-6", &million(1, 1)), "25.50");
    assert_eq!(cost(&catalogue, "anthropic/claude-opus-4-7", &million(1, 1)), "18.00", "the nearer one");
    let batch = cost_at(&catalogue, "anthropic/claude-opus-4-7", &million(1, 1), Tier::Batch, NOW);
    assert_eq!(batch, "9.00");
    assert_eq!(cost(&catalogue, "anthropic/claude-haiku-4-5", &million(1, 1)), "5.15", "0.90 + 5 × 0.85");
}

#[test]
fn fn2_33_brackets_reprice_the_whole_request_or_the_excess() {
    let text = |excess| {
        format!(
            "[[price]]\ntarget = \"gpu/m\"\ninput = 1\noutput = 2\ncache_read = 1\nexcess = {excess}\nabove = [{{ tokens = 200_000, input = 2, cache_read = 2 }}]\n"
        )
    };
    let usage = Usage { cache_read: 150_000, input: 150_000, output: 1_000, ..Usage::default() };
    // All 300,000 at 2, or 200,000 at 1 and 100,000 at 2.
    assert_eq!(cost(&with(&text(false)), "gpu/m", &usage), "0.602");
    assert_eq!(cost(&with(&text(true)), "gpu/m", &usage), "0.402");
}

#[test]
fn a_private_model_is_priced_as_another_and_inherits_what_it_can_do() {
    let text = "\
[[model]]
target = \"sim-north/house-qwen\"
priced_as = \"deepinfra/Qwen/Qwen3-235B-A22B-Instruct-2507\"
aliases = [\"house\"]
max_output = 4096
can = { tools = \"no\" }
last_day = 2026-12-31
successor = \"house-qwen-2\"
";
    let catalogue = with(text);
    assert_eq!(cost(&catalogue, "sim-north/house-qwen", &million(1, 1)), "0.64");
    let offer = catalogue.offer("sim-north", "house").expect("by alias");
    assert_eq!(offer.model, "house-qwen");
    assert_eq!((offer.facts.context, offer.facts.max_output), (Some(262_144), Some(4096)));
    assert_eq!((offer.facts.can.images, offer.facts.can.tools), (Ability::No, Ability::No));
    assert_eq!(offer.retires.as_ref().expect("said").successor.as_deref(), Some("house-qwen-2"));
    let origin = offer.origin().expect("priced");
    assert_eq!(origin.priced_as.as_deref(), Some("deepinfra/Qwen/Qwen3-235B-A22B-Instruct-2507"));
}

#[test]
fn fn1_04_a_private_model_without_a_price_is_unknown() {
    let catalogue = with("[[model]]\ntarget = \"gpu/m\"\ncontext = 8192\n");
    assert_eq!(cost(&catalogue, "gpu/m", &million(1, 0)), "Model");
    let free = with("[[price]]\ntarget = \"gpu/m\"\ninput = 0\noutput = 0\nfree = true\n");
    assert_eq!(cost(&free, "gpu/m", &million(1, 1)), "0.00", "said to be free");
}

#[test]
fn priced_as_something_unpriced_is_refused_with_the_nearest_names() {
    let text = "\n[[model]]\ntarget = \"gpu/m\"\npriced_as = \"together/Qwen/Qwen3.8-Flesh\"\n";
    let errors = refused(text);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("prices.toml:2: ") && errors[0].contains("Qwen/Qwen3.8-Flash"),
        "{errors:?}"
    );
    assert!(refused(&text.replace("together", "nowhere"))[0].contains("no model of `nowhere`"));
}

#[test]
fn the_version_names_the_overlay_and_later_overlays_win() {
    let text = "[[price]]\ntarget = \"openai/gpt-5.4-mini\"\ninput = 3\n";
    let one = with(text);
    assert!(one.version().starts_with(Catalogue::builtin().version()));
    assert_ne!(one.version(), Catalogue::builtin().version());
    let two = one.with_overlay("b.toml", &text.replace('3', "2")).expect("valid");
    assert_eq!(cost(&two, "openai/gpt-5.4-mini", &million(1, 0)), "2.00");
    assert_eq!(two.version().matches("overlay-").count(), 2);
}

/// A snapshot with one `DeepInfra` model.
fn snapshot(source: &str, date: &str, rows: &str) -> String {
    format!(
        r#"{{"source":"{source}","version":"1","url":"https://example.com","licence":"MIT","date":"{date}","providers":{{
"deepinfra":[
{{"id":"acme/m","prices":{rows}}}]}}}}"#
    )
}

#[test]
fn fn1_19_a_newer_snapshot_wins_and_does_not_reprice_the_past() {
    let old = snapshot("litellm", "2026-10-01", r#"[{"usd":{"input":"1"}}]"#);
    let new = snapshot("litellm", "2026-12-01", r#"[{"usd":{"input":"3"}}]"#);
    let on_top = |a: &str, b: &str| {
        Catalogue::builtin().with_snapshot("a", a).and_then(|c| c.with_snapshot("b", b)).expect("valid")
    };
    for catalogue in [on_top(&old, &new), on_top(&new, &old)] {
        let price = |at| cost_at(&catalogue, "deepinfra/acme/m", &million(1, 0), Tier::Standard, at);
        assert_eq!(price("2026-11-30T23:59:59Z"), "1.00");
        assert_eq!(price("2026-12-01T00:00:00Z"), "3.00");
        assert_eq!(price("2020-01-01T00:00:00Z"), "1.00", "the oldest word on it");
    }
    // Where the newer one says itself from when its price holds, that is believed.
    let dated = snapshot(
        "litellm",
        "2026-12-01",
        r#"[{"usd":{"input":"2"}},{"from":"2026-11-10","usd":{"input":"3"}}]"#,
    );
    let catalogue = on_top(&old, &dated);
    let price = |at| cost_at(&catalogue, "deepinfra/acme/m", &million(1, 0), Tier::Standard, at);
    assert_eq!([price("2026-11-09T00:00:00Z"), price("2026-11-10T00:00:00Z")], ["1.00", "3.00"]);
}

#[test]
fn the_preferred_source_wins_over_a_newer_one() {
    let preferred = snapshot("genai-prices", "2026-10-01", r#"[{"usd":{"input":"1"}}]"#);
    let other = snapshot("litellm", "2026-12-01", r#"[{"usd":{"input":"3"}}]"#);
    let catalogue =
        Catalogue::builtin().with_snapshot("a", &preferred).and_then(|c| c.with_snapshot("b", &other));
    assert_eq!(cost(&catalogue.expect("valid"), "deepinfra/acme/m", &million(1, 0)), "1.00");
}

#[test]
fn a_broken_snapshot_is_refused_whole_with_all_its_errors() {
    let broken = snapshot("x", "2026-12-01", r#"[{"usd":{"input":"1e-6"}}],"facts":{"can":{"fly":"yes"}}"#);
    let errors = Catalogue::builtin().with_snapshot("x.json", &broken).expect_err("refused");
    let told: Vec<String> = errors.iter().map(LoadError::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("x.json:3: deepinfra/acme/m: `1e-6` is not a decimal"), "{told:?}");
    assert!(Catalogue::builtin().with_snapshot("x.json", "{").is_err());
    let negative = snapshot("x", "2026-12-01", r#"[{"usd":{"input":"-1"}}]"#);
    assert!(Catalogue::builtin().with_snapshot("x.json", &negative).is_err());
}
