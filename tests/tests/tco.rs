//! `tollgate tco --from-ledger` on a ledger that a gateway wrote.

use serde_json::Value;
use tollgate_tests::server::{binary, run};

fn arg(path: &std::path::Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[test]
fn the_demos_ledger_decides_without_a_number_typed() {
    binary();
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["demo", "--json", "--data-dir", arg(dir.path())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run_dir = summary["data_dir"].as_str().unwrap();
    let spend = run(&["spend", "--json", "--by", "route", "--data-dir", run_dir]);
    let spend: Value = serde_json::from_slice(&spend.stdout).unwrap();

    let output = run(&["tco", "--from-ledger", "7d", "--json", "--data-dir", run_dir]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    // Classes are the routes, with the lengths and hit rates of the ledger.
    let measured = |name: &str| {
        let inputs = report["inputs"].as_array().unwrap();
        inputs.iter().filter(|input| input["name"].as_str().unwrap().ends_with(name)).collect::<Vec<_>>()
    };
    let routes = spend["rows"].as_array().unwrap();
    let speaking = routes.iter().filter(|row| row["output_tokens"].as_u64() > Some(0)).count();
    assert_eq!(report["workload"]["classes"].as_array().unwrap().len(), speaking);
    for input in measured(".output_tokens").into_iter().chain(measured(".cached_share")) {
        assert_eq!(input["basis"], "measured", "{input}");
    }
    assert!(report["workload"]["source"].as_str().unwrap().starts_with("ledger, since"));

    // The models that were used, the escalation that was measured, and machines, each with a price.
    let stacks = report["stacks"].as_array().unwrap();
    let stack =
        |name: &str| stacks.iter().find(|stack| stack["name"] == name).unwrap_or_else(|| panic!("{name}"));
    let hybrid = &stack("as-routed")["hybrid"];
    let share = hybrid["share_of_requests"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0, "{hybrid}");
    let prices = &stack("own")["fleet"]["usd_per_million_output"];
    for price in ["as_used", "at_full_use", "marginal"] {
        assert!(prices[price].as_f64().unwrap() > 0.0, "{price}: self-hosted is never free");
    }
    let edges = report["break_even"].as_array().unwrap();
    assert!(edges.iter().any(|edge| edge["stack"] == "own" && edge["v_min"].is_number()), "{edges:?}");
    let notes = report["warnings"].to_string();
    assert!(notes.contains("the ledger was billed $") && notes.contains("hour"), "{notes}");

    // A file's stacks with the ledger's traffic.
    let file = dir.path().join("mine.toml");
    std::fs::write(&file, "[stacks.only]\nmodel = \"openai/gpt-5.4\"\n").unwrap();
    let output = run(&["tco", arg(&file), "--from-ledger", "7d", "--json", "--data-dir", run_dir]);
    let mine: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(mine["winner"]["name"], "only");
    assert_eq!(mine["workload"]["classes"], report["workload"]["classes"]);

    let empty = tempfile::tempdir().unwrap();
    let none = run(&["tco", "--from-ledger", "7d", "--data-dir", arg(empty.path())]);
    assert_eq!(none.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no ledger"));
}
