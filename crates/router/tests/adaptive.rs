//! Adaptive choice: the laws of its shares, and of the simulated world in `examples/adaptive` at a smaller size. No wall
//! clock: simulated time only.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../examples/adaptive/world.rs"]
mod world;

use std::time::Duration;

use catalog::{Facts, Money};
use proptest::prelude::*;
use tollgate_router::{
    Candidate, Explanation, Group, Measured, Measures, Pick, Plan, Prompt, Sample, Up, decide,
};
use world::{Policy, Scenario, Served, Trouble, means, run, settles, share, swing, vendors};

const NORTH: usize = 0;

fn scenario(rate: f64, troubles: Vec<Trouble>, seed: u64) -> Scenario {
    Scenario { gateways: 4, rate, length: 1_200.0, vendors: vendors(), troubles, seed }
}

fn slow_down() -> Trouble {
    Trouble { vendor: NORTH, from: 400.0, to: 800.0, slower: 8.0, failing: 0.0 }
}

#[test]
fn it_leaves_a_vendor_that_slows_down_within_two_minutes_and_comes_back_within_five() {
    for (rate, seed) in [(20.0, 1), (20.0, 2), (5.0, 3)] {
        let served = run(&scenario(rate, vec![slow_down()], seed), Policy::Adaptive);
        let usual = share(&served, NORTH, 200.0, 400.0);
        assert!(usual > 0.5, "the best vendor has the most: {usual}");
        let left = settles(&served, NORTH, 400.0, 800.0, |share| share < 0.15);
        assert!(left.is_some_and(|s| s <= 120.0), "rate {rate}, seed {seed}: left after {left:?}");
        let back = settles(&served, NORTH, 800.0, 1_200.0, |share| share > 0.8 * usual);
        assert!(back.is_some_and(|s| s <= 300.0), "rate {rate}, seed {seed}: back after {back:?}");
    }
}

#[test]
fn during_the_trouble_it_is_faster_than_order_random_and_cheapest_and_cheaper_than_random() {
    let world = scenario(20.0, vec![slow_down()], 1);
    let mean = |policy, from, to| means(&run(&world, policy), from, to);
    let adaptive = mean(Policy::Adaptive, 400.0, 800.0);
    for other in Policy::ALL.into_iter().filter(|p| *p != Policy::Adaptive && *p != Policy::AlwaysBest) {
        let theirs = mean(other, 400.0, 800.0);
        assert!(adaptive.seconds < 0.6 * theirs.seconds, "{}: {theirs:?} {adaptive:?}", other.name());
        assert!(
            adaptive.p95 < theirs.p95 && adaptive.unanswered <= theirs.unanswered,
            "{theirs:?} {adaptive:?}"
        );
    }
    let calm = (mean(Policy::Adaptive, 100.0, 400.0), mean(Policy::Random, 100.0, 400.0));
    assert!(calm.0.usd_per_thousand < calm.1.usd_per_thousand && calm.0.seconds < calm.1.seconds, "{calm:?}");
}

#[test]
fn it_does_not_herd_where_always_the_best_does() {
    let crowded = Scenario { gateways: 8, ..scenario(40.0, Vec::new(), 1) };
    let (spread, herd) = (run(&crowded, Policy::Adaptive), run(&crowded, Policy::AlwaysBest));
    let of = |served: &[Served]| swing(served, NORTH, 300.0, 1_200.0);
    // Ten seconds hold some 400 requests: chance alone makes a swing of 0.025.
    assert!(of(&spread) < 0.06, "swing {}", of(&spread));
    assert!(of(&herd) > 2.0 * of(&spread), "{} against {}", of(&herd), of(&spread));
    let seconds = |served: &[Served]| means(served, 300.0, 1_200.0).seconds;
    assert!(seconds(&spread) < 0.7 * seconds(&herd), "{} against {}", seconds(&spread), seconds(&herd));
}

#[test]
fn it_avoids_a_vendor_that_fails_one_call_in_five() {
    let flaky = Trouble { slower: 1.0, failing: 0.2, ..slow_down() };
    let served = run(&scenario(10.0, vec![flaky], 1), Policy::Adaptive);
    let (usual, then) = (share(&served, NORTH, 200.0, 400.0), share(&served, NORTH, 500.0, 800.0));
    assert!(then < 0.5 * usual, "{usual} before, {then} while it fails");
    assert!(then > 0.0, "it is still explored");
}

fn facts() -> Facts {
    let can = catalog::Capabilities { chat: catalog::Ability::Yes, ..catalog::Capabilities::default() };
    Facts { context: None, max_output: None, can, reasoning: false }
}

fn candidate<'a>(target: &'a str, facts: &'a Facts) -> Candidate<'a> {
    Candidate {
        target,
        facts,
        endpoints: &[],
        up: Up::Closed,
        ttft_ms: None,
        price: Some(Money::parse_usd("0.001").unwrap()),
        cache: None,
        warm: false,
        measured: None,
        weight: 1,
        retired: false,
    }
}

fn measured(seconds: f64, answers: u32, failures: u32) -> Measured {
    let mut measures = Measures::default();
    let total = Duration::from_secs_f64(seconds);
    for _ in 0..answers {
        let sample = Sample { ttft: Some(total), total, ..Sample::default() };
        measures.answered(&sample, Duration::ZERO);
    }
    for _ in 0..failures {
        measures.failed(Duration::ZERO);
    }
    measures.at(Duration::ZERO)
}

fn prompt(draw: u64) -> Prompt<'static> {
    Prompt {
        op: "chat",
        last_user: "",
        input_tokens: 20,
        max_output_tokens: None,
        stream: true,
        needs: catalog::Needs::default(),
        tool_turn: false,
        session: 1,
        draw: Some(draw),
        bound_to: None,
    }
}

fn planned(candidates: &[Candidate<'_>], draw: u64) -> Plan {
    explored(Pick::ADAPTIVE, candidates, draw)
}

fn explored(pick: Pick, candidates: &[Candidate<'_>], draw: u64) -> Plan {
    let group = Group { name: "m", pick, candidates: candidates.to_vec() };
    decide(None, &prompt(draw), &group, None).unwrap()
}

fn share_of(explanation: &Explanation, target: &str) -> f64 {
    explanation.candidates.iter().find(|k| k.target == target).and_then(|k| k.adaptive).unwrap().share
}

#[test]
fn what_nobody_has_measured_is_tried_as_often_as_the_others() {
    let facts = facts();
    let known = Candidate { measured: Some(measured(1.0, 50, 0)), ..candidate("a/m", &facts) };
    let told = planned(&[known, candidate("b/new", &facts)], 1).explanation;
    assert!((share_of(&told, "b/new") - 0.5).abs() < 0.02, "{told:#?}");
}

#[test]
fn exploring_is_as_much_as_was_said_and_at_most_a_fifth_of_all() {
    let facts = facts();
    let best = Candidate { measured: Some(measured(1.0, 500, 0)), ..candidate("a/m", &facts) };
    let slow = Candidate { measured: Some(measured(50.0, 500, 0)), ..candidate("b/m", &facts) };
    let share = |pick: Pick, target: &str| {
        share_of(&explored(pick, &[best.clone(), slow.clone()], 1).explanation, target)
    };
    assert!(share(Pick::Adaptive { explored: 0 }, "b/m") < 1e-6);
    assert!((share(Pick::ADAPTIVE, "b/m") - 0.02).abs() < 1e-6);
    assert!((share(Pick::Adaptive { explored: 70 }, "b/m") - 0.07).abs() < 1e-6);
    assert!((share(Pick::Adaptive { explored: 900 }, "b/m") - Pick::MOST_EXPLORED / 2.0).abs() < 1e-6);
}

#[test]
fn one_slow_answer_condemns_nobody() {
    let facts = facts();
    let a = Candidate { measured: Some(measured(1.0, 50, 0)), ..candidate("a/m", &facts) };
    let once = Candidate { measured: Some(measured(1.3, 1, 0)), ..candidate("b/m", &facts) };
    let often = Candidate { measured: Some(measured(1.3, 50, 0)), ..candidate("b/m", &facts) };
    let once = share_of(&planned(&[a.clone(), once], 1).explanation, "b/m");
    let often = share_of(&planned(&[a, often], 1).explanation, "b/m");
    assert!(once > 1.8 * often && once > 0.2, "{once} after one, {often} after fifty");
}

#[test]
fn open_breakers_and_unknown_prices_come_last_and_are_not_explored() {
    let facts = facts();
    let down = Candidate { up: Up::Open, ..candidate("a/down", &facts) };
    let unpriced = Candidate { price: None, ..candidate("b/unpriced", &facts) };
    for draw in 0..200 {
        let order = planned(&[down.clone(), unpriced.clone(), candidate("c/m", &facts)], draw).first.targets;
        assert_eq!(order, ["c/m", "b/unpriced", "a/down"]);
    }
}

#[test]
fn a_warm_conversation_stays_until_the_gain_exceeds_the_lost_cache() {
    let facts = facts();
    let pace = Some(measured(1.0, 100, 0));
    let usd = |text| Some(Money::parse_usd(text).unwrap());
    // With its cache the dear vendor costs 0.004 for this turn, the other 0.005 without one.
    let warm = Candidate { price: usd("0.004"), warm: true, measured: pace, ..candidate("a/warm", &facts) };
    let cold = Candidate { price: usd("0.005"), measured: pace, ..candidate("b/cold", &facts) };
    for draw in 0..200 {
        let plan = planned(&[cold.clone(), warm.clone()], draw);
        assert_eq!(plan.first.targets, ["a/warm", "b/cold"]);
        assert!(plan.explanation.notes.iter().any(|n| n.starts_with("stays at `a/warm`")), "{plan:#?}");
    }
    let bargain = Candidate { price: usd("0.002"), ..cold };
    let plans: Vec<Plan> = (0..200).map(|draw| planned(&[bargain.clone(), warm.clone()], draw)).collect();
    let moved = plans.iter().filter(|plan| plan.first.targets[0] == "b/cold").count();
    assert!(moved > 180, "{moved} of 200");
    let notes = &plans[0].explanation.notes;
    assert!(
        notes.iter().any(|n| n.contains("`b/cold` scores 50 % better although that cache is lost")),
        "{notes:?}"
    );
}

proptest! {
    /// Whatever was measured: shares are shares, the draws follow them, and each is explored.
    #[test]
    fn shares_are_shares_and_draws_follow_them(
        vendors in prop::collection::vec((0.001_f64..1_000.0, 0_u32..40, 0_u32..40, 1_u32..1_000_000), 1..6),
        seed in any::<u64>(),
    ) {
        let facts = facts();
        let names: Vec<String> = (0..vendors.len()).map(|i| format!("v{i}/m")).collect();
        let candidates: Vec<Candidate<'_>> = vendors.iter().zip(&names).map(|((seconds, good, bad, micro), name)| {
            let price = Money::parse_usd(&format!("0.{micro:06}")).ok();
            Candidate { price, measured: Some(measured(*seconds, *good, *bad)), ..candidate(name, &facts) }
        }).collect();
        let told = planned(&candidates, seed).explanation;
        let placed: Vec<_> = told.candidates.iter().map(|k| k.adaptive.unwrap()).collect();
        let sum: f64 = placed.iter().map(|p| p.share).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9, "{placed:?}");
        prop_assert!(placed.iter().all(|p| p.share >= 0.0199 && p.score >= 1.0 && p.seconds.is_finite()), "{placed:?}");
        prop_assert_eq!(&told.candidates, &planned(&candidates, seed).explanation.candidates);
        let mut first = vec![0.0; names.len()];
        for draw in 0..400_u64 {
            let head = planned(&candidates, draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed).first.targets.swap_remove(0);
            first[names.iter().position(|n| *n == head).expect("one of them")] += 1.0 / 400.0;
        }
        for (name, got) in names.iter().zip(first) {
            let want = share_of(&told, name);
            // Five standard errors of 400 draws.
            prop_assert!((got - want).abs() < 5.0 * (want * (1.0 - want) / 400.0).sqrt() + 0.005, "{name}: {got}, {want}");
        }
    }
}
