use std::sync::Arc;

use catalog::{Basis, Catalogue, Context, Money, Tier, Usage};
use jiff::Timestamp;
use ledger::{Past, PastAttempt};

use super::bill::Bill;
use super::learn::{LEAST, Learned};
use super::report::Builder;
use super::{Report, World};
use crate::config::Config;

const CHEAP: &str = "together/openai/gpt-oss-120b";
const BIG: &str = "anthropic/claude-opus-4-7";

/// The policy that the requests of these tests were made under.
const THEN: &str = r#"
[models.cheap]
targets = ["together/openai/gpt-oss-120b"]
[routes.auto]
default = "cheap"
escalate = "anthropic/claude-opus-4-7"
escalate_before = [{ matches = "(?i)\\bprove\\b" }, { input_tokens_over = 5_000 }]
escalate_after = ["empty", "refusal"]
"#;

fn config(rest: &str) -> Arc<Config> {
    let providers = ["together", "groq", "anthropic", "openai"]
        .map(|host| format!("[providers.{host}]\napi_key = \"env:KEY\"\n"));
    let text = providers.concat() + rest;
    let config = Config::from_toml_with(&text, &|_| Some("no-key".to_owned()));
    Arc::new(config.unwrap_or_else(|errors| panic!("{errors}")))
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn world(policy: Option<Arc<Config>>) -> World {
    let catalogue = Arc::new(Catalogue::builtin());
    World { paid_at: Arc::clone(&catalogue), catalogue, policy, at: now(), assumed_ratio: None }
}

fn call(target: &str, outcome: &str, input: u64, output: u64) -> PastAttempt {
    let (provider, model) = target.split_once('/').unwrap();
    let usage = Usage { input, output, basis: Basis::Reported, ..Usage::default() };
    let mut attempt = PastAttempt {
        provider: provider.to_owned(),
        model: model.to_owned(),
        outcome: outcome.to_owned(),
        started_at: now(),
        usage,
        cost: None,
        free: false,
    };
    attempt.cost = priced(&attempt, Tier::Standard);
    attempt
}

fn priced(attempt: &PastAttempt, tier: Tier) -> Option<Money> {
    let offer = Catalogue::builtin().offer(&attempt.provider, &attempt.model)?;
    offer.price(&attempt.usage, &Context { tier, region: None, at: attempt.started_at }).total()
}

fn past(reason: &str, input: u64, attempts: Vec<PastAttempt>) -> Past {
    let prove = if reason == "matched:prove" { "yes, `prove`" } else { "no" };
    let long = if reason == "long-input" { "yes" } else { "no" };
    let decision = serde_json::json!({
        "input_tokens": input,
        "needs": [],
        "rules": [format!("matches /(?i)\\bprove\\b/: {prove}"), format!("input_tokens_over 5000: {long}, about {input}")],
        "checks": ["empty", "refusal"],
    });
    Past {
        id: ledger::RequestId::nil(),
        started_at: now(),
        route: Some("auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat".to_owned(),
        status: 200,
        reason: reason.to_owned(),
        decision: Some(decision.to_string()),
        attempts,
    }
}

/// Of every kind some; the cheap model's answers are turned down one time in five.
fn traffic() -> Vec<Past> {
    let mut all = Vec::new();
    for n in 0..200_u64 {
        let input = 100 + n;
        all.push(match n % 10 {
            0 => past("matched:prove", input, vec![call(BIG, "ok", input * 6 / 5, 300 + n)]),
            1 | 2 => past(
                "check:refusal",
                input,
                vec![call(CHEAP, "rejected", input, 12), call(BIG, "ok", input * 6 / 5, 200 + n)],
            ),
            _ => past("default", input, vec![call(CHEAP, "ok", input, 150 + n)]),
        });
    }
    all
}

fn replay(world: &World, traffic: &[Past]) -> Report {
    let mut learned = Learned::default();
    for past in traffic {
        learned.take(past);
    }
    let judged = std::collections::BTreeMap::new();
    let (mut bill, mut report) = (Bill::new(world, &learned), Builder::new(world, &judged));
    for past in traffic {
        report.add(past, &bill.request(past));
    }
    report.finish(&learned)
}

#[test]
fn the_same_policy_at_the_same_prices_costs_what_it_cost() {
    for world in [world(None), world(Some(config(THEN)))] {
        let report = replay(&world, &traffic());
        let total = &report.total;
        assert_eq!((total.exact_requests, total.estimated_requests), (200, 0), "{total:#?}");
        assert_eq!(total.exact_usd, total.actual.cost_usd, "to the pico-dollar");
        assert!(total.difference_usd.mean.abs() < f64::EPSILON);
        assert_eq!((total.actual.escalated, total.tier_assumed), (60, 0));
        assert!((total.escalated.requests - 60.0).abs() < 1e-9);
    }
}

#[test]
fn other_prices_are_exact_and_unknown_ones_are_in_no_sum() {
    let overlay = "[[price]]\ntarget = \"together/openai/gpt-oss-120b\"\ninput = \"1\"\noutput = \"2\"\n";
    let dearer = Catalogue::builtin().with_overlay("o.toml", overlay).unwrap();
    let world = World { catalogue: Arc::new(dearer), ..world(None) };
    let mut one = past("default", 10, vec![call(CHEAP, "ok", 10, 20)]);
    let report = replay(&world, std::slice::from_ref(&one));
    assert_eq!(report.total.exact_usd, Money::parse_usd("0.00005").unwrap());
    one.attempts[0].model = "nobody-knows".to_owned();
    let report = replay(&world, &[one]);
    assert_eq!((report.total.exact_requests, report.total.exact_usd), (0, Money::ZERO));
    assert_eq!(report.total.unknown["no price is known for together/nobody-knows"], 1);
    assert_eq!(report.total.compared, 0);
}

#[test]
fn the_tier_is_told_by_what_was_paid() {
    let mut attempt = call("openai/gpt-5.4", "ok", 1_000, 500);
    let flex = priced(&attempt, Tier::Flex).unwrap();
    assert_ne!(Some(flex), attempt.cost, "the tiers differ");
    attempt.cost = Some(flex);
    let report = replay(&world(None), &[past("default", 1_000, vec![attempt.clone()])]);
    assert_eq!((report.total.exact_usd, report.total.tier_assumed), (flex, 0));
    attempt.cost = Some(Money::from_pico(1));
    let report = replay(&world(None), &[past("default", 1_000, vec![attempt])]);
    assert_eq!(report.total.tier_assumed, 1);
}

#[test]
fn another_vendor_of_the_same_model_has_the_same_counts() {
    let there = config(&THEN.replace("\"together/openai/gpt-oss-120b\"", "\"groq/openai/gpt-oss-120b\""));
    let one = past("default", 10, vec![call(CHEAP, "ok", 1_000, 500)]);
    // without checks: with them, whether they would turn it down elsewhere is a matter of chance
    let unchecked = config("[routes.auto]\ndefault = \"groq/openai/gpt-oss-120b\"\n");
    let report = replay(&world(Some(unchecked)), std::slice::from_ref(&one));
    let groq = call("groq/openai/gpt-oss-120b", "ok", 1_000, 500);
    assert_eq!((report.total.exact_usd, report.total.exact_requests), (groq.cost.unwrap(), 1));
    let report = replay(&world(Some(there)), &traffic());
    let total = report.total;
    assert!(total.estimated_requests > 0 && total.unknown.is_empty(), "{total:#?}");
    assert!((total.escalated.requests - (20.0 + 180.0 * 40.0 / 180.0)).abs() < 1e-9, "as often as then");
    let interval = total.replayed_usd;
    assert!(interval.low < interval.mean && interval.mean < interval.high);
}

#[test]
fn what_rules_on_text_would_have_found_is_known_only_where_they_were_looked_at() {
    let known = THEN.replace("5_000", "250");
    let report = replay(&world(Some(config(&known))), &traffic());
    assert!(report.total.unknown.is_empty(), "the length is in every decision: {:#?}", report.total.unknown);
    assert!(report.total.escalated.requests > 60.0);
    let other = THEN.replace("prove", "derive");
    let report = replay(&world(Some(config(&other))), &traffic());
    let unknown: u64 = report.total.unknown.values().sum();
    assert_eq!(unknown, 200, "another pattern was never held against these prompts");
    assert!(report.total.unknown.keys().all(|why| why.contains("not looked at")));
}

#[test]
fn a_model_that_was_never_asked_is_unknown_and_one_that_was_has_an_interval() {
    let new = THEN.replace("anthropic/claude-opus-4-7", "openai/gpt-5.4");
    let report = replay(&world(Some(config(&new))), &traffic());
    assert_eq!(report.total.exact_requests, 140, "what did not escalate is what it was");
    assert_eq!(report.total.unknown.values().sum::<u64>(), 60, "{:#?}", report.total.unknown);

    // everything to the flagship: its lengths and its tokenizer were seen on this route
    let all = config("[routes.auto]\ndefault = \"anthropic/claude-opus-4-7\"\n");
    let report = replay(&world(Some(all)), &traffic());
    let total = report.total;
    assert_eq!((total.exact_requests, total.estimated_requests), (60, 140), "{:#?}", total.unknown);
    let estimated = total.estimated_usd.unwrap();
    // by hand: input × 1.2 and the mean of the flagship's answers at its list price
    let seen: Vec<u64> = traffic()
        .iter()
        .flat_map(|p| p.attempts.clone())
        .filter(|a| a.provider == "anthropic")
        .map(|a| a.usage.output)
        .collect();
    let mean = seen.iter().sum::<u64>() / seen.len() as u64;
    let by_hand: f64 = traffic()
        .iter()
        .filter(|p| p.reason == "default")
        .map(|p| call(BIG, "ok", p.attempts[0].usage.input * 6 / 5, mean).cost.unwrap().to_f64_usd())
        .sum();
    assert!((estimated.mean / by_hand - 1.0).abs() < 0.01, "{estimated:?} {by_hand}");
    assert!(estimated.low < by_hand && by_hand < estimated.high);
}

#[test]
fn an_unmeasured_tokenizer_is_unknown_unless_assumed() {
    // the two models never read the same prompt
    let mut traffic: Vec<Past> =
        (0..LEAST + 5).map(|n| past("matched:prove", 100, vec![call(BIG, "ok", 120, 300 + n)])).collect();
    traffic.push(past("default", 100, vec![call(CHEAP, "ok", 100, 50)]));
    let all = config("[routes.auto]\ndefault = \"anthropic/claude-opus-4-7\"\n");
    let report = replay(&world(Some(Arc::clone(&all))), &traffic);
    assert!(report.total.unknown.keys().any(|why| why.contains("were read by both")), "{:#?}", report.total);
    let assumed = World { assumed_ratio: Some(1.0), ..world(Some(all)) };
    let report = replay(&assumed, &traffic);
    assert!(report.total.unknown.is_empty());
    assert!(report.notes.iter().any(|note| note.contains("is assumed")));
}
