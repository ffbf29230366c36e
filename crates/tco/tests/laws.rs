//! What holds for every scenario.

#![expect(clippy::expect_used, clippy::float_cmp, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_tco::capacity::Points;
use tollgate_tco::{Market, Options, Report, Scenario, decide};

static CATALOGUE: LazyLock<catalog::Catalogue> = LazyLock::new(catalog::Catalogue::builtin);
static POINTS: LazyLock<Points> = LazyLock::new(Points::default);

fn market() -> Market<'static> {
    Market { catalogue: &CATALOGUE, at: "2026-11-24T12:00:00Z".parse().expect("a time"), points: &POINTS }
}

fn base() -> Value {
    json!({
        "workload": {
            "requests_per_day": 100_000, "input_tokens": 1_200, "output_tokens": 800, "peak_to_mean": 3.0,
        },
        "slo": {"ttft_ms": 1_000, "tpot_ms": 50},
        "stacks": {
            "cheap": {"model": "deepinfra/meta-llama/Llama-3.3-70B-Instruct"},
            "strong": {"model": "anthropic/claude-opus-4-7"},
            "own": {"preset": "2xH100-FP8", "model": "llama-3.3-70b", "rent": "reserved-3y"},
        },
        "overhead": "article",
    })
}

fn report(scenario: &Value) -> Report {
    let scenario = Scenario::from_json(scenario).unwrap_or_else(|problems| panic!("{problems:#?}"));
    decide(&scenario, &market(), &Options { seed: Some(3), draws: Some(400) })
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn point(report: &Report, name: &str) -> f64 {
    let stack = report.stacks.iter().find(|stack| stack.name == name).expect("the stack");
    stack.monthly_usd.unwrap_or_else(|| panic!("{}", stack.why)).point.0
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn with_hybrid(mechanism: &str, share: f64, how: &str) -> Value {
    let mut scenario = base();
    scenario["stacks"]["hybrid"] = json!({
        "default": "cheap", "escalate": "strong", "mechanism": mechanism, "share_of_requests": share, "how": how,
    });
    if mechanism == "both" {
        scenario["stacks"]["hybrid"]["second_pass_share"] = json!(0.15);
    }
    scenario
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_cost_falls_when_the_volume_grows(volume in 10.0f64..1e7, more in 1.0f64..20.0) {
        let at = |volume: f64| {
            let mut scenario = with_hybrid("route", 0.2, "fresh");
            scenario["workload"]["requests_per_day"] = json!(volume);
            scenario["stacks"]["mix"] = json!({"preset": "2xH100-FP8", "model": "llama-3.3-70b", "rent": "mix"});
            report(&scenario)
        };
        let (small, large) = (at(volume), at(volume * more));
        for stack in &small.stacks {
            let (a, b) = (point(&small, &stack.name), point(&large, &stack.name));
            prop_assert!(b >= a - 1e-6, "{}: {a} at {volume}, {b} at {}", stack.name, volume * more);
        }
    }

    #[test]
    fn a_second_pass_never_costs_less_than_a_route(share in 0.0f64..1.0) {
        let cost = |mechanism: &str, how: &str| point(&report(&with_hybrid(mechanism, share, how)), "hybrid");
        let (route, fresh, reconsider) = (cost("route", "fresh"), cost("second-pass", "fresh"), cost("second-pass", "reconsider"));
        prop_assert!(route <= fresh + 1e-9 && fresh <= reconsider + 1e-9, "{route} {fresh} {reconsider}");
    }

    #[test]
    fn bills_are_sums_of_their_lines_and_shares(share in 0.0f64..1.0, cached in 0.0f64..1.0, batch in 0.0f64..1.0) {
        let mut scenario = with_hybrid("both", share, "reconsider");
        scenario["workload"]["cached_share"] = json!(cached);
        scenario["workload"]["batchable_share"] = json!(batch);
        for stack in report(&scenario).stacks {
            let point = stack.monthly_usd.unwrap().point.0;
            prop_assert!(close(stack.lines.iter().map(|line| line.usd.0).sum(), point));
            prop_assert!(close(stack.money.iter().map(|part| part.usd.0).sum(), point));
        }
    }

    #[test]
    fn the_units_of_a_volume_agree(requests in 100.0f64..1e6, input in 1.0f64..5_000.0, output in 1.0f64..5_000.0) {
        let cost = |key: &str, value: f64| {
            let mut scenario = base();
            let workload = scenario["workload"].as_object_mut().unwrap();
            workload.shift_remove("requests_per_day");
            workload.insert("input_tokens".into(), json!(input));
            workload.insert("output_tokens".into(), json!(output));
            workload.insert(key.into(), json!(value));
            scenario["slo"] = json!({});
            point(&report(&scenario), "strong")
        };
        let direct = cost("requests_per_day", requests);
        let month = 365.0 / 12.0;
        for (key, value) in [
            ("requests_per_month", requests * month),
            ("output_tokens_per_day", requests * output),
            ("output_tokens_per_month", requests * output * month),
            ("total_tokens_per_day", requests * (input + output)),
            ("total_tokens_per_month", requests * (input + output) * month),
        ] {
            let other = cost(key, value);
            prop_assert!(close(direct, other), "{key}: {direct} {other}");
        }
    }

    #[test]
    fn break_evens_are_where_the_order_turns(overhead in 10_000.0f64..600_000.0, rent in 0.5f64..2.0) {
        let mut scenario = base();
        scenario["overhead"] = json!({"people": overhead});
        scenario["stacks"]["own"]["usd_per_gpu_hour"] = json!(rent);
        // A stated share of the capacity: the same at every volume, so the edges are exact.
        scenario["stacks"]["own"]["max_utilisation"] = json!(0.9);
        let first = report(&scenario);
        let edge = first.break_even.iter().find(|edge| edge.against == "strong").unwrap();
        let (win, loss) = (edge.first_win.unwrap().value(), edge.last_loss.unwrap().value());
        prop_assert!(edge.v_min.unwrap().0 <= win);
        let gain = |volume: f64| {
            let mut scenario = scenario.clone();
            let workload = scenario["workload"].as_object_mut().unwrap();
            workload.shift_remove("requests_per_day");
            workload.insert("output_tokens_per_day".into(), json!(volume));
            let report = report(&scenario);
            point(&report, "strong") - point(&report, "own")
        };
        prop_assert!(gain(win * 1.000_001) > 0.0, "{} at the first win {win}", gain(win * 1.000_001));
        prop_assert!(gain(win * 0.999_999) <= 0.0, "{} just below it", gain(win * 0.999_999));
        prop_assert!(gain(loss * 0.999_999) <= 1e-3 * win, "{} at the last loss {loss}", gain(loss));
        for above in [1.000_01, 1.1, 2.0, 7.0] {
            prop_assert!(gain(loss * above) > 0.0, "{above} times the last loss");
        }
    }
}

#[test]
fn shares_of_nothing_and_everything_are_the_pure_stacks() {
    for mechanism in ["route", "second-pass"] {
        let none = report(&with_hybrid(mechanism, 0.0, "fresh"));
        assert!(close(point(&none, "hybrid"), point(&none, "cheap")), "{mechanism}");
        let all = report(&with_hybrid(mechanism, 1.0, "fresh"));
        let expected = point(&all, "strong") + if mechanism == "route" { 0.0 } else { point(&all, "cheap") };
        assert!(close(point(&all, "hybrid"), expected), "{mechanism}");
    }
}

#[test]
fn a_hybrid_may_lose_money_and_says_so() {
    let mut scenario = with_hybrid("second-pass", 0.95, "reconsider");
    scenario["stacks"]["hybrid"]["default"] = json!("openai/gpt-5.4");
    let report = report(&scenario);
    let hybrid = report.stacks.iter().find_map(|stack| stack.hybrid.as_ref()).unwrap();
    assert!(hybrid.saving_usd.0 < 0.0, "{hybrid:?}");
    assert!(hybrid.share_of_tokens.0 < hybrid.share_of_requests.0, "the first answers are billed too");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let scenario = Scenario::from_json(&base()).unwrap().with_default_risk();
    let bytes = |seed: u64| {
        let report = decide(&scenario, &market(), &Options { seed: Some(seed), draws: Some(500) }).unwrap();
        serde_json::to_string(&report).unwrap()
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn chances_add_up_and_a_wider_band_spreads_the_cost() {
    let scenario = Scenario::from_json(&base()).unwrap().with_default_risk();
    let report = decide(&scenario, &market(), &Options::default()).unwrap();
    let sum: f64 = report.stacks.iter().filter_map(|stack| stack.probability_cheapest).map(|p| p.0).sum();
    assert!(close(sum, 1.0), "{sum}");
    assert!(report.winner.probability.is_some());
    for stack in &report.stacks {
        let cost = stack.monthly_usd.unwrap();
        assert!(cost.p10.0 <= cost.p50.0 && cost.p50.0 <= cost.p90.0, "{}", stack.name);
        assert!(stack.regret_usd.unwrap().p10.0 >= 0.0);
    }
    // Nothing uncertain: no chance is made up.
    let certain = self::report(&base());
    assert_eq!(certain.winner.probability.map(|p| p.0), None);
    assert!(certain.risk.is_none());
}

#[test]
fn what_does_not_fit_is_refused_by_how_much_and_never_priced() {
    let mut scenario = base();
    scenario["stacks"]["own"] =
        json!({"preset": "8xH100-FP8", "model": "deepseek-v4-pro", "rent": "on-demand"});
    let report = report(&scenario);
    let own = report.stacks.iter().find(|stack| stack.name == "own").unwrap();
    assert!(!own.feasible && own.monthly_usd.is_none() && own.why.contains("short"), "{own:?}");
    let edge = &report.break_even[0];
    assert!(edge.none_because.as_ref().unwrap().contains("does not fit"), "{edge:?}");
    assert_eq!(report.winner.name.as_deref(), Some("cheap"));
}

#[test]
fn a_promise_that_cannot_be_kept_is_said() {
    let mut scenario = base();
    scenario["slo"]["tpot_ms"] = json!(1.0);
    let report = report(&scenario);
    let own = report.stacks.iter().find(|stack| stack.name == "own").unwrap();
    assert!(!own.feasible && own.why.contains("SLO unreachable"), "{}", own.why);
    assert!(report.break_even.iter().all(|edge| edge.none_because.is_some()));
}

#[test]
fn people_who_mend_can_turn_the_order_over() {
    let mut scenario = base();
    scenario["stacks"]["cheap"]["accept"] = json!(0.678);
    scenario["stacks"]["strong"]["accept"] = json!(0.745);
    scenario["stacks"].as_object_mut().unwrap().shift_remove("own");
    assert_eq!(report(&scenario).winner.name.as_deref(), Some("cheap"));
    // Audit G2: 0.067 of outcomes more need a person; the dearer tokens pay above a cost of their difference / 0.067.
    let plain = report(&scenario);
    let requests = 100_000.0 * 365.0 / 12.0;
    let turn = (point(&plain, "strong") - point(&plain, "cheap")) / (requests * 0.067);
    for (factor, winner) in [(0.99, "cheap"), (1.01, "strong")] {
        scenario["quality"] = json!({"human_usd_per_failure": turn * factor});
        assert_eq!(report(&scenario).winner.name.as_deref(), Some(winner), "{factor}");
    }
    scenario["quality"] = json!({"floor": 0.7});
    let floored = report(&scenario);
    let row =
        |condition: &str| floored.matrix.rows.iter().find(|row| row.condition.contains(condition)).unwrap();
    assert!(row("any stack").cells.iter().all(|cell| cell.stack.as_deref() == Some("cheap")));
    assert!(row("at least 70%").cells.iter().all(|cell| cell.stack.as_deref() == Some("strong")));
    assert!(row("own hands").cells.iter().all(|cell| cell.stack.is_none()));
    assert_eq!(floored.winner.name.as_deref(), Some("strong"));
    assert!(floored.stacks[0].why.contains("floor"), "{}", floored.stacks[0].why);
}

#[test]
fn hours_decide_the_mix_and_zeroes_cost_nothing_to_zero() {
    let mut scenario = base();
    // A working day: nothing at night.
    scenario["workload"].as_object_mut().unwrap().shift_remove("peak_to_mean");
    let day: Vec<f64> = (0..24).map(|hour| if (8..18).contains(&hour) { 1.0 } else { 0.0 }).collect();
    scenario["workload"]["profile"] = json!(day);
    scenario["workload"]["requests_per_day"] = json!(2_000_000);
    let own = |rent: Value, scaling: &str| {
        let mut scenario = scenario.clone();
        scenario["stacks"]["own"] =
            json!({"preset": "2xH100-FP8", "model": "llama-3.3-70b", "rent": rent, "scaling": scaling});
        report(&scenario)
    };
    let always = point(&own(json!("on-demand"), "always-on"), "own");
    let scaled = point(&own(json!("on-demand"), "autoscale"), "own");
    let to_zero = point(&own(json!("on-demand"), "to-zero"), "own");
    assert!(to_zero < scaled && scaled < always, "{to_zero} {scaled} {always}");
    let mixed = own(json!("mix"), "always-on");
    let mix = point(&mixed, "own");
    assert!(mix <= scaled + 1e-6, "the best mix is no worse than renting all by the hour: {mix} {scaled}");
    let fleet = mixed.stacks.iter().find_map(|stack| stack.fleet.as_ref()).unwrap();
    assert!(fleet.utilisation.0 <= 1.0);
    assert!(mixed.stacks.iter().any(|stack| stack.lines.iter().any(|line| line.label == "Cold starts")));
}

#[test]
fn the_token_ratio_stands_on_the_bill() {
    let mut scenario = base();
    scenario["token_ratio"] = json!({"anthropic/*": 1.2});
    let plain = point(&report(&base()), "strong");
    let scaled = report(&scenario);
    assert!(close(point(&scaled, "strong"), plain * 1.2));
    let strong = scaled.stacks.iter().find(|stack| stack.name == "strong").unwrap();
    let line = strong.lines.iter().find(|line| line.label.starts_with("Token ratio")).unwrap();
    assert!(close(line.usd.0, plain * 0.2));
    assert!(point(&scaled, "cheap") == point(&report(&base()), "cheap"));
}

#[test]
fn discounts_combine_as_the_scenario_says() {
    let cost = |stacking: &str| {
        let mut scenario = base();
        scenario["stacks"]["strong"]["discount"] = json!("0.30");
        scenario["stacks"]["strong"]["volume_discounts"] =
            json!([{"above_usd_per_month": 1000, "discount": 0.20}]);
        scenario["stacks"]["strong"]["stacking"] = json!(stacking);
        point(&report(&scenario), "strong")
    };
    let list = point(&report(&base()), "strong");
    // Audit E6: 30 % and 20 % are 44 % together if they multiply.
    assert!(close(cost("multiply"), list * 0.56));
    assert!(close(cost("add"), list * 0.5));
    assert!(close(cost("best"), list * 0.7));
    let mut scenario = base();
    scenario["stacks"]["strong"]["committed"] = json!({"usd_per_month": list * 2.0, "discount": 0.5});
    assert!(close(point(&report(&scenario), "strong"), list * 2.0), "what is committed is paid");
}

#[test]
fn every_mistake_is_said_at_once_with_a_hint() {
    let scenario = json!({
        "prices": "guess",
        "workload": {
            "tokens_per_day": 5, "input_tokens": -1, "output_tokens": 0, "cached_share": 1.3, "peak_to_mean": 0.5,
            "colour": "blue",
        },
        "slo": {"ttft_ms": 0},
        "stacks": {
            "own": {"gpu": "H100-SXM-80GB", "model": "x", "max_utilisation": 1.5, "rent": "borrowed"},
            "hybrid": {"default": "own", "escalate": "openai/gpt-5.4", "share_of_requests": 2},
        },
        "overhead": "everything",
    });
    let problems = Scenario::from_json(&scenario).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    for path in [
        "prices",
        "workload.tokens_per_day",
        "workload.input_tokens",
        "workload.output_tokens",
        "workload.cached_share",
        "workload.peak_to_mean",
        "workload.colour",
        "slo.ttft_ms",
        "stacks.own.max_utilisation",
        "stacks.own.rent",
        "stacks.hybrid.share_of_requests",
        "stacks.hybrid.mechanism",
        "overhead",
    ] {
        assert!(paths.contains(&path), "{path} is missing in {paths:?}");
    }
    assert!(
        problems.iter().all(|problem| !problem.hint.is_empty() || problem.message.contains("twice")),
        "{problems:#?}"
    );
}

#[test]
fn unknown_names_hear_the_nearest_all_at_once() {
    let mut scenario = base();
    scenario["stacks"]["own"]["gpu"] = json!("H1000");
    scenario["stacks"]["own"]["model"] = json!("llama-3.3-7ob");
    scenario["stacks"]["cheap"]["model"] = json!("deepinfra/meta-llama/Llama-3.3-70B-Instruckt");
    let scenario = Scenario::from_json(&scenario).unwrap();
    let problems = decide(&scenario, &market(), &Options::default()).unwrap_err();
    let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for name in ["H100", "llama-3.3-70b", "deepinfra/meta-llama/Llama-3.3-70B-Instruct"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert_eq!(problems.len(), 3, "{said}");
}

#[test]
fn every_configuration_of_the_article_is_priced_or_refused_with_a_reason() {
    let models = ["llama-3.3-70b", "Llama 3.3 405B", "Qwen/Qwen3-235B-A22B", "deepseek-v4-pro"];
    let presets = ["2xH100-FP8", "8xH100-FP8", "1xH100-INT4", "2xA100", "8xL40S"];
    let (mut fits, mut refused) = (0, 0);
    for model in models {
        for preset in presets {
            let mut scenario = base();
            scenario["stacks"]["own"] =
                json!({"preset": preset, "model": model, "rent": "on-demand", "usd_per_gpu_hour": 3.0});
            let report = report(&scenario);
            let own = report.stacks.iter().find(|stack| stack.name == "own").unwrap();
            if own.feasible {
                fits += 1;
                assert!(own.monthly_usd.is_some());
            } else {
                refused += 1;
                assert!(
                    own.why.contains("GB short") || own.why.contains("SLO unreachable"),
                    "{preset} {model}: {}",
                    own.why
                );
            }
            let invented = report.warnings.iter().any(|warning| warning.contains("405B"));
            assert_eq!(invented, model.contains("405B"), "{:?}", report.warnings);
        }
    }
    assert!(fits >= 4 && refused >= 4, "{fits} fit, {refused} do not");
}
