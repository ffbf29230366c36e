//! `tollgate demo` from outside: what a newcomer sees first.

use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate_tests::pico;
use tollgate_tests::server::{Server, binary, command, run};

fn arg(path: &std::path::Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[test]
fn the_summary_comes_within_twenty_seconds_and_adds_up() {
    binary();
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let output = run(&["demo", "--json", "--data-dir", arg(dir.path())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(
        output.stderr.is_empty(),
        "no bar without a terminal: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["answered"], summary["prompts"], "{}", summary["errors"]);
    assert_eq!(summary["failovers"]["lost"], 0);
    assert!(summary["failovers"]["survived"].as_u64().unwrap() >= 5);
    // every attempt that reached a vendor is in the ledger
    assert_eq!(summary["books"]["vendor_calls"], summary["books"]["ledger_attempts"]);
    assert_eq!(summary["total"]["unknown_cost"], 0);
    // wrong answers that look right are never caught, everything else is: a fixed share of our own key
    let quality = &summary["quality"];
    assert_eq!(
        (quality["right"].as_u64(), quality["cheap_alone"].as_u64()),
        (Some(109), Some(85)),
        "{quality}"
    );
    let escalated = summary["escalations"].as_array().unwrap();
    let reasons: Vec<&str> = escalated.iter().map(|count| count["what"].as_str().unwrap()).collect();
    for reason in [
        "matched:prove",
        "long-input",
        "check:refusal",
        "check:empty",
        "check:repetition",
        "check:broken_json",
    ] {
        assert!(reasons.contains(&reason), "{reason} in {reasons:?}");
    }
    // the same traffic under three policies, side by side
    let policies = summary["policies"].as_array().unwrap();
    let names: Vec<&str> = policies.iter().map(|policy| policy["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rules", "difficulty", "difficulty-and-doubt"]);
    for policy in policies {
        assert_eq!(policy["requests"], policies[0]["requests"], "{policy}");
        assert!(pico(&policy["cost_usd"]) > 0 && policy["right"].as_u64() > Some(0), "{policy}");
        assert!(policy["escalated"].as_u64() < policy["requests"].as_u64(), "{policy}");
    }
    assert_ne!(policies[1]["escalated"], policies[2]["escalated"], "doubt has a say: {policies:#?}");
    let routes = summary["routes"].as_array().unwrap();
    let requests: u64 = routes.iter().map(|route| route["requests"].as_u64().unwrap()).sum();
    assert_eq!((requests, summary["total"]["requests"].as_u64()), (123, Some(123)));

    // `spend` reads what the demo wrote, and sees the same money
    let run_dir = summary["data_dir"].as_str().unwrap();
    let spend = run(&["spend", "--json", "--by", "route", "--data-dir", run_dir]);
    let spend: Value = serde_json::from_slice(&spend.stdout).unwrap();
    assert_eq!(spend["total"]["cost_usd"], summary["total"]["cost_usd"]);
}

#[test]
fn the_story_says_what_is_simulated_and_a_stay_serves_until_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = command(&["demo", "--stay", "--port", "0", "--data-dir", arg(dir.path())]);
    let demo = Server::spawn(&mut demo);
    let said = demo.said();
    for word in [
        "simulated",
        "real list prices",
        "our own answer key",
        "set by us",
        "under three policies",
        "difficulty-and-doubt",
        "an estimate",
        "sim-flagship",
    ] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let health = runtime.block_on(async { demo.client().get("/healthz").await });
    assert_eq!(health.status.as_u16(), 200);
    demo.signal("INT");
    assert!(demo.wait().success());
}
