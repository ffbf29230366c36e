//! `tollgate tco` from the outside, on the examples that ship.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/article")
}

fn tco(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .current_dir(examples())
        .arg("tco")
        .args(args)
        .env_clear()
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn json(args: &[&str]) -> Value {
    let output = tco(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_scale_at_both_prices_fits_a_hundred_columns() {
    for scale in ["scale-1.toml", "scale-2.toml", "scale-3.toml"] {
        for prices in ["article", "catalogue", "article,catalogue"] {
            for more in [&[][..], &["--risk", "default", "--draws", "500", "--explain"]] {
                let output = tco(&[&[scale, "--prices", prices], more].concat());
                assert!(output.status.success(), "{}", text(&output.stderr));
                let table = text(&output.stdout);
                for stack in ["gpt", "claude", "serverless", "hybrid", "second-pass", "own"] {
                    assert!(table.contains(stack), "{stack} in {table}");
                }
                assert!(table.contains("wins by $") && table.contains("Break-even"), "{table}");
                assert_eq!(table.contains("of draws"), !more.is_empty());
                for line in table.lines() {
                    assert!(line.chars().count() <= 100, "{scale} {prices}: {line}");
                }
            }
        }
    }
}

#[test]
fn the_bills_as_focus_sum_up_to_the_report() {
    let report = json(&["scale-1.toml", "--prices", "article", "--json"]);
    let output = tco(&["scale-1.toml", "--prices", "article", "--focus"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let columns = reader.headers().expect("a header").clone();
    let mandatory = ledger::focus_columns(ledger::FocusVersion::V1_2);
    for name in mandatory.iter().filter(|name| !name.starts_with("x_")) {
        assert!(columns.iter().any(|column| column == *name), "{name} is missing");
    }
    let at = |name: &str| columns.iter().position(|column| column == name).expect("a column");
    let mut bills = std::collections::BTreeMap::<String, f64>::new();
    for row in reader.records() {
        let row = row.expect("a row");
        assert_eq!((&row[at("x_Forecast")], &row[at("BillingCurrency")]), ("true", "USD"));
        assert!(row[at("BillingPeriodStart")].ends_with("-01T00:00:00Z"), "{row:?}");
        let usd: f64 = row[at("BilledCost")].parse().expect("dollars");
        *bills.entry(row[at("x_Stack")].to_owned()).or_default() += usd;
    }
    for stack in report["stacks"].as_array().expect("a list").iter().filter(|s| s["feasible"] == true) {
        let point = stack["monthly_usd"]["point"].as_f64().expect("a number");
        let name = stack["name"].as_str().expect("a name");
        assert!(
            (bills[name] - point).abs() < 0.1,
            "{name}: {} and {point}: only the lines are rounded",
            bills[name]
        );
    }
    let refused = tco(&["checklist", "scale-1.toml", "--focus"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--json"), "{}", text(&refused.stderr));
}

#[test]
fn the_same_answer_in_every_format() {
    let report = json(&["scale-1.toml", "--prices", "article", "--json"]);
    let cost = |name: &str| {
        let stacks = report["stacks"].as_array().expect("a list");
        stacks.iter().find(|stack| stack["name"] == name).expect("the stack")["monthly_usd"]["point"].clone()
    };
    assert_eq!([cost("gpt"), cost("serverless"), cost("hybrid")], [1760.0, 56.0, 704.8]);
    assert_eq!(report["winner"]["name"], "serverless");
    assert_eq!(report["winner"]["probability"], Value::Null, "nothing is uncertain");
    for (flags, part) in [
        (&["--csv"][..], "gpt,closed,true,openai/gpt-5.4 input,480.00,input,60M tokens × $8/M"),
        (&["--markdown"], "| gpt | closed | 1,760.00 |"),
        (&["--format", "md"], "**serverless** wins by $648.80 a month"),
    ] {
        let output = tco(&[&["scale-1.toml", "--prices", "article"], flags].concat());
        let printed = text(&output.stdout);
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn the_report_is_one_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("report.html");
    let output = tco(&["scale-1.toml", "--html", file.to_str().expect("text")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(&file).expect("written");
    assert!(
        page.contains("scale-1") && page.contains("serverless") && page.len() < 2_000_000,
        "{}",
        page.len()
    );
}

#[test]
fn both_prices_stand_side_by_side() {
    let report = json(&["scale-2.toml", "--json"]);
    assert_eq!(report["prices"]["kind"], "catalogue");
    assert_eq!(report["also"][0]["prices"]["kind"], "article");
    assert_eq!(report["also"][0]["winner"]["name"], "serverless");
    let swapped = json(&["scale-2.toml", "--prices", "article", "--json"]);
    assert_eq!(swapped["also"], serde_json::json!([]));
}

#[test]
fn a_seed_reproduces_every_byte() {
    let run = |seed: &str| {
        text(&tco(&["scale-3.toml", "--risk", "default", "--draws", "300", "--seed", seed, "--json"]).stdout)
    };
    assert_eq!(run("9"), run("9"));
    assert_ne!(run("9"), run("10"));
}

#[test]
fn flags_and_settings_change_the_scenario() {
    let cost = |args: &[&str]| {
        let report = json(&[&["scale-1.toml", "--prices", "article", "--json"], args].concat());
        report["stacks"][0]["monthly_usd"]["point"].as_f64().expect("a number")
    };
    let one = cost(&["--requests-per-day", "1000"]);
    assert!((cost(&["--requests-per-day", "2000"]) - 2.0 * one).abs() < 0.011);
    assert!(
        (cost(&["--requests-per-day", "1000", "--set", "stacks.gpt.discount=0.5"]) - one / 2.0).abs() < 0.011
    );
}

#[test]
fn all_mistakes_are_said_at_once_and_nothing_is_printed() {
    let output = tco(&[
        "scale-1.toml",
        "--peak-to-mean",
        "0.5",
        "--cached-share",
        "1.4",
        "--set",
        "stacks.own.colour=blue",
        "--set",
        "workload.tokens_per_day=5",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    for part in [
        "workload.peak_to_mean: is 0.5; hint: 1 or more",
        "workload.cached_share: is 1.4; hint: a share lies from 0 to 1",
        "stacks.own.colour: is not known",
        "workload.tokens_per_day: does not say which tokens",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let unknown = tco(&["scale-1.toml", "--set", "stacks.own.gpu=H1OO"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("the nearest are H100"), "{}", text(&unknown.stderr));
    assert_eq!(tco(&["nowhere.toml"]).status.code(), Some(3));
}

#[test]
fn parts_of_the_report_have_commands_of_their_own() {
    let output = tco(&["break-even", "scale-3.toml"]);
    assert!(text(&output.stdout).contains("first win"), "{}", text(&output.stdout));
    let output = tco(&["sensitivity", "scale-3.toml"]);
    assert!(text(&output.stdout).contains("own beats serverless below"), "{}", text(&output.stdout));
    let output = tco(&["simulate", "scale-3.toml", "--risk", "default", "--draws", "500"]);
    assert!(text(&output.stdout).contains("Regret"), "{}", text(&output.stdout));
    let grid = json(&[
        "sensitivity",
        "scale-3.toml",
        "--grid",
        "total_tokens_per_day=1e8..1e10",
        "peak_to_mean",
        "--steps",
        "5",
        "--json",
    ]);
    assert_eq!(grid["winner"].as_array().map(Vec::len), Some(5));
    let wrong = tco(&["sensitivity", "scale-3.toml", "--grid", "colour", "peak_to_mean"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn the_checklist_answers_with_figures_and_asks_the_rest() {
    let output = tco(&["checklist", "scale-1.toml"]);
    assert_eq!(output.status.code(), Some(1), "this traffic is too small for machines");
    let list = text(&output.stdout);
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    for part in ["1. no", "V_min", "7. ask", "8. ask", "checklist.data_must_stay"] {
        assert!(list.contains(part), "{part} in {list}");
    }
    let asked = tco(&["checklist", "scale-1.toml", "--json", "--set", "checklist.data_must_stay=true"]);
    let asked: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    assert_eq!(asked["checklist"].as_array().map(Vec::len), Some(8));
    assert_eq!(asked["checklist"][7]["answer"], "yes");
}

#[test]
fn a_trace_gives_the_traffic() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("azure.csv");
    let mut rows = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
    for n in 0..120_u32 {
        let _ = writeln!(rows, "2023-11-16 18:{:02}:{:02}.000,{},200", n / 60, n % 60, 1_000 + n);
    }
    std::fs::write(&file, rows).expect("writable");
    let path = file.to_str().expect("text");
    let report = json(&["scale-1.toml", "--trace", path, "--trace-format", "azure", "--json"]);
    assert_eq!(report["workload"]["source"], "trace azure.csv");
    assert_eq!(report["workload"]["classes"][0]["output_tokens"], 200.0);
    let wrong = tco(&["scale-1.toml", "--trace", path, "--trace-format", "burstgpt"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("has no column `Request tokens`"), "{}", text(&wrong.stderr));
}

#[test]
fn a_wrong_share_and_an_unknown_gpu_are_said_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("wrong.toml");
    let scenario = "[workload]\nrequests_per_day = -1\ninput_tokens = 100\noutput_tokens = 40\npeak_to_mean = 3\n\
                    cached_share = 1.4\n[stacks.api]\nmodel = \"openai/gpt-5.44\"\n\
                    [stacks.own]\ngpu = \"H10\"\nmodel = \"llama-3.3-70b\"\n";
    std::fs::write(&file, scenario).expect("writable");
    let output = tco(&[file.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for part in
        ["workload.cached_share", "workload.requests_per_day", "stacks.api.model", "stacks.own.gpu", "H100"]
    {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}
