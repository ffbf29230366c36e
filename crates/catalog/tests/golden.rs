//! Prices of well-known models, worked out by hand from the vendors' pages, and what must never become zero.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use tollgate_catalog::{
    Ability, Bucket, Catalogue, Context, Cost, Offer, PriceLine, Tier, UnknownPrice, Usage,
};

const NOW: &str = "2026-11-24T12:00:00Z";
const MILLION: u64 = 1_000_000;

fn at(text: &str) -> Context {
    Context { tier: Tier::Standard, region: None, at: text.parse().expect("a time") }
}

fn tier(tier: Tier) -> Context {
    Context { tier, ..at(NOW) }
}

fn offer(target: &str) -> Offer {
    let (provider, model) = target.split_once('/').expect("provider/model");
    let offer = Catalogue::builtin().offer(provider, model);
    offer.unwrap_or_else(|| panic!("{target} is not listed")).as_ref().clone()
}

/// The total as decimal text, or why there is none.
fn cost(target: &str, usage: &Usage, context: &Context) -> String {
    match offer(target).price(usage, context) {
        Cost::Unknown(why) => format!("{why:?}"),
        known @ Cost::Known(_) => known.total().expect("known").to_string(),
    }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

#[test]
fn gpt_5_4_costs_2_50_in_and_15_out() {
    assert_eq!(cost("openai/gpt-5.4", &tokens(100_000, MILLION), &at(NOW)), "15.25");
    let cached = Usage { cache_read: 100_000, ..tokens(100_000, 0) };
    assert_eq!(cost("openai/gpt-5.4", &cached, &at(NOW)), "0.275");
    assert_eq!(cost("openai/gpt-5.4-2026-03-05", &tokens(100_000, MILLION), &at(NOW)), "15.25");
}

#[test]
fn opus_4_7_costs_5_in_25_out_and_its_cache_classes_differ() {
    let one = |bucket: fn(&mut Usage) -> &mut u64| {
        let mut usage = Usage::default();
        *bucket(&mut usage) = MILLION;
        cost("anthropic/claude-opus-4-7", &usage, &at(NOW))
    };
    assert_eq!(one(|u| &mut u.input), "5.00");
    assert_eq!(one(|u| &mut u.output), "25.00");
    assert_eq!(one(|u| &mut u.cache_read), "0.50");
    assert_eq!(one(|u| &mut u.cache_write_5m), "6.25");
    assert_eq!(one(|u| &mut u.cache_write_1h), "10.00");
    assert_eq!(one(|u| &mut u.reasoning), "25.00");
    assert_eq!(one(|u| &mut u.web_search), "10000.00");
}

#[test]
fn fn1_03_cached_tokens_are_neither_billed_twice_nor_unpriced() {
    // 10,000 input tokens of which 8,000 came from the cache: 2,000 × 5 + 8,000 × 0.5, per million.
    let usage = Usage { input: 2_000, cache_read: 8_000, ..Usage::default() };
    assert_eq!(cost("anthropic/claude-opus-4-7", &usage, &at(NOW)), "0.014");
    // 5-minute and 1-hour writes are two classes, each billed for its own tokens.
    let writes = Usage { cache_write_5m: 1_000, cache_write_1h: 1_000, ..Usage::default() };
    assert_eq!(cost("anthropic/claude-opus-4-7", &writes, &at(NOW)), "0.01625");
}

#[test]
fn fn1_03_an_absent_cache_price_is_the_input_price_not_zero() {
    let usage = Usage { cache_read: MILLION, ..Usage::default() };
    assert_eq!(cost("together/openai/gpt-oss-120b", &usage, &at(NOW)), "0.15");
    let listed = offer("together/openai/gpt-oss-120b").list_prices(Tier::Standard, at(NOW).at);
    let read = listed.iter().find(|price| price.bucket == Bucket::CacheRead).expect("shown");
    assert_eq!(read.priced_as, Some(Bucket::Input), "marked as such");
}

#[test]
fn fn1_04_unknown_is_unknown_never_zero() {
    let usage = tokens(1, 1);
    let unlisted = Offer::unlisted("openai", "gpt-99");
    assert_eq!(unlisted.price(&usage, &at(NOW)), Cost::Unknown(UnknownPrice::Model));
    assert_eq!(unlisted.price(&usage, &at(NOW)).total(), None);
    assert!(Catalogue::builtin().offer("openai", "gpt-99").is_none());
    assert!(Catalogue::builtin().offer("nowhere", "gpt-5.4").is_none());
    // Known model, unit without a price: a cache write costs more than input, nobody says how much more.
    let write = Usage { cache_write_5m: 1, ..usage };
    assert_eq!(cost("together/openai/gpt-oss-120b", &write, &at(NOW)), "Bucket(CacheWrite5m)");
    let audio = Usage { input_audio: 1, ..usage };
    assert_eq!(cost("openai/gpt-5.4", &audio, &at(NOW)), "Bucket(InputAudio)");
    // Every listed model: no price is zero unless the vendor gives it away.
    let catalogue = Catalogue::builtin();
    for provider in catalogue.providers() {
        for offer in catalogue.offers(&provider.id) {
            let total = offer.price(&tokens(1_000, 0), &at(NOW)).total();
            let zero = total.is_some_and(|total| total.pico() == 0);
            assert!(!zero || offer.model.ends_with(":free"), "{} costs nothing", offer.target());
        }
    }
}

#[test]
fn fn1_19_long_context_reprices_the_whole_request() {
    // Exactly 272,000 input tokens still cost the lower price, one more and all cost the higher one.
    assert_eq!(cost("openai/gpt-5.4", &tokens(272_000, 1_000), &at(NOW)), "0.695");
    assert_eq!(cost("openai/gpt-5.4", &tokens(272_001, 1_000), &at(NOW)), "1.382505");
    // What counts is all input, cached or not.
    let cached = Usage { cache_read: 272_000, ..tokens(1, 1_000) };
    assert_eq!(cost("openai/gpt-5.4", &cached, &at(NOW)), "0.158505");
    assert_eq!(cost("gemini/gemini-2.5-pro", &tokens(200_000, 1_000), &at(NOW)), "0.26");
    assert_eq!(cost("gemini/gemini-2.5-pro", &tokens(200_001, 1_000), &at(NOW)), "0.5150025");
}

#[test]
fn fn1_19_batch_has_its_own_prices_also_for_long_context_and_caches() {
    assert_eq!(cost("openai/gpt-5.4", &tokens(300_000, 1_000), &tier(Tier::Batch)), "0.76125");
    assert_eq!(cost("anthropic/claude-opus-4-7", &tokens(MILLION, MILLION), &tier(Tier::Batch)), "15.00");
    let write = Usage { cache_write_1h: MILLION, ..Usage::default() };
    assert_eq!(cost("anthropic/claude-opus-4-7", &write, &tier(Tier::Batch)), "5.00");
    // What a tier does not name costs what it costs in the standard tier.
    let read = Usage { cache_read: 100_000, ..Usage::default() };
    assert_eq!(cost("gemini/gemini-2.5-pro", &read, &tier(Tier::Batch)), "0.0125");
}

#[test]
fn fn2_33_the_granted_tier_decides_and_an_unlisted_one_is_unknown() {
    let usage = tokens(MILLION / 10, MILLION);
    assert_eq!(cost("openai/gpt-5.4", &usage, &tier(Tier::Flex)), "7.625");
    assert_eq!(cost("openai/gpt-5.4", &usage, &tier(Tier::Priority)), "30.50");
    assert_eq!(cost("anthropic/claude-opus-4-7", &usage, &tier(Tier::Flex)), "Tier");
    // The source knows tiers from 12 October 2026 on.
    let before = Context { tier: Tier::Flex, ..at("2026-10-01T00:00:00Z") };
    assert_eq!(cost("openai/gpt-5.4", &usage, &before), "Time");
}

#[test]
fn fn1_19_prices_have_effective_dates_and_history_stays() {
    let usage = tokens(MILLION, 0);
    assert_eq!(cost("gemini/gemini-4-argon", &usage, &at("2026-11-30T23:59:59Z")), "2.00");
    assert_eq!(cost("gemini/gemini-4-argon", &usage, &at("2026-12-01T00:00:00Z")), "4.00");
}

#[test]
fn fn1_19_deepseek_costs_more_at_peak_hours_of_working_days() {
    let price = |time| cost("deepseek/deepseek-v4-pro", &tokens(MILLION, 0), &at(time));
    assert_eq!(price("2026-11-24T02:00:00Z"), "1.32", "a Tuesday, peak");
    assert_eq!(price("2026-11-24T05:00:00Z"), "0.66", "off-peak");
    assert_eq!(price("2026-11-28T02:00:00Z"), "0.66", "a Saturday");
    assert_eq!(price("2026-08-01T02:00:00Z"), "0.435", "before there were peaks");
}

#[test]
fn fn1_19_a_region_changes_the_price_where_the_vendor_says_so() {
    let eu = |target| {
        let context = Context { region: Some("eu".into()), ..at(NOW) };
        cost(target, &tokens(100_000, 0), &context)
    };
    assert_eq!(eu("openai/gpt-5.4"), "0.275", "10 % more");
    assert_eq!(eu("anthropic/claude-opus-4-7"), "Tier", "it lists us only");
    assert_eq!(eu("together/openai/gpt-oss-120b"), "0.015", "no region changes its price");
}

#[test]
fn fn2_03_zero_units_make_no_line() {
    let usage = Usage { cache_write_1h: 5, ..Usage::default() };
    let Cost::Known(lines) = offer("anthropic/claude-opus-4-7").price(&usage, &at(NOW)) else { panic!() };
    let line = PriceLine { bucket: Bucket::CacheWrite1h, units: 5, pico_per_unit: 10_000_000 };
    assert_eq!(lines, [line]);
}

#[test]
fn fn2_31_a_dated_name_is_priced_and_stays_the_name_to_ask_for() {
    let dated = offer("anthropic/claude-opus-4-7-20260416");
    assert_eq!(dated.model, "claude-opus-4-7-20260416");
    assert_eq!(cost("openai/gpt-4o-2024-05-13", &tokens(MILLION, 0), &at(NOW)), "5.00");
    assert_eq!(cost("openai/gpt-4o-2024-08-06", &tokens(MILLION, 0), &at(NOW)), "2.50");
    // A sibling that nobody lists does not get an old one's price (field notes §1.22).
    assert!(Catalogue::builtin().offer("anthropic", "claude-opus-4-7-turbo").is_none());
}

#[test]
fn an_alias_is_replaced_by_the_id_that_the_host_wants_to_hear() {
    assert_eq!(offer("fireworks/glm-5p3").model, "accounts/fireworks/models/glm-5p3");
    assert_eq!(offer("groq/llama-3.3-70b").model, "llama-3.3-70b-versatile");
    assert_eq!(offer("together/gpt-oss-120b").model, "openai/gpt-oss-120b");
}

#[test]
fn fn1_22_retirement_has_its_last_day() {
    let retires = offer("openai/gpt-4o-2024-05-13").retires.expect("announced");
    assert_eq!(retires.last_day.to_string(), "2026-10-23");
    assert_eq!(
        offer("anyscale/google/gemma-7b-it").retires.expect("closed").last_day.to_string(),
        "2024-07-31"
    );
    assert_eq!(offer("openai/gpt-5.4").retires, None);
}

#[test]
fn what_models_can_do() {
    let can = |target| offer(target).facts.can;
    assert_eq!(can("openai/gpt-5.4").images, Ability::Yes);
    assert_eq!(can("deepinfra/Qwen/Qwen3-235B-A22B-Instruct-2507").images, Ability::No, "text only");
    assert_eq!(can("groq/llama-3.3-70b-versatile").images, Ability::No, "text only");
    assert_eq!(can("anthropic/claude-opus-4-7").logprobs, Ability::No);
    assert_eq!(can("openai/text-embedding-3-small").embeddings, Ability::Yes);
    assert_eq!(can("openai/text-embedding-3-small").chat, Ability::No);
    let facts = offer("openai/gpt-5.4").facts;
    assert_eq!((facts.context, facts.max_output, facts.reasoning), (Some(1_050_000), Some(128_000), true));
}

#[test]
fn finding_by_name_prefers_the_maker_then_the_cheapest() {
    let catalogue = Catalogue::builtin();
    let found = |name, providers: &[&str]| {
        let hits = catalogue.find(name, providers);
        hits.into_iter().map(|hit| hit.offer.target()).collect::<Vec<_>>()
    };
    let hits = found("claude-opus-4-7", &["deepinfra", "anthropic", "openai"]);
    assert_eq!(hits, ["anthropic/claude-opus-4-7", "deepinfra/anthropic/claude-opus-4-7"]);
    let hits = found("gpt-oss-120b", &["together", "deepinfra", "groq", "cerebras"]);
    assert_eq!(hits.first().map(String::as_str), Some("deepinfra/openai/gpt-oss-120b"));
    assert_eq!(hits.len(), 4);
    assert!(found("no-such-model", &["openai"]).is_empty());
}

#[test]
fn the_auto_list_is_in_the_data() {
    let catalogue = Catalogue::builtin();
    let auto = catalogue.auto();
    let day = auto.as_of.expect("dated");
    assert!(auto.cheap.len() >= 10 && auto.flagship.len() >= 8);
    for (target, cheap) in
        auto.cheap.iter().map(|t| (t, true)).chain(auto.flagship.iter().map(|t| (t, false)))
    {
        let offer = offer(target);
        assert_eq!(&offer.target(), target, "by its own id");
        assert!(offer.price(&tokens(1_000, 1_000), &at(NOW)).total().is_some(), "{target} has no price");
        assert!(offer.retires.as_ref().is_none_or(|r| r.last_day > day), "{target} is retired");
        assert_ne!(offer.facts.can.chat, Ability::No, "{target}");
        let output = offer.price(&tokens(0, MILLION), &at(NOW)).total().expect("known").to_f64_usd();
        assert!(!cheap || output <= 5.0, "{target} is not cheap: {output}");
        assert!(cheap || output >= 1.9, "{target} is no flagship: {output}");
    }
}

#[test]
fn a_snapshot_names_itself_in_the_version() {
    let version = Catalogue::builtin().version().to_owned();
    assert!(version.contains("genai-prices-2026-") && version.contains("litellm-2026-"), "{version}");
    assert!(version.contains("ours-"), "{version}");
}
