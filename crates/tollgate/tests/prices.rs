//! `tollgate models` and `tollgate prices` from the outside.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the binary in a directory of its own, without the caller's configuration.
fn tollgate(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .output()
        .expect("the binary runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on stdout")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A snapshot of one model.
fn snapshot(source: &str, date: &str, input: &str) -> String {
    format!(
        r#"{{"source":"{source}","version":"9","url":"https://example.com","licence":"MIT","date":"{date}","providers":{{
"openai":[
{{"id":"gpt-5.4-mini","prices":[{{"usd":{{"input":"{input}","output":"4.5"}}}}]}}]}}}}
"#
    )
}

#[test]
fn a_models_price_is_exact_text_with_source_and_day() {
    let home = home();
    let output = tollgate(home.path(), &["prices", "openai/gpt-5.4", "--json"]);
    assert!(output.status.success());
    let sheets = json(&output);
    assert_eq!(sheets[0]["source"], "genai-prices");
    assert!(sheets[0]["as_of"].as_str().is_some_and(|day| day.starts_with("2026-")));
    let prices = sheets[0]["prices"].as_array().expect("prices");
    let find = |tier: &str, bucket: &str| {
        let found = prices.iter().find(|line| line["tier"] == tier && line["bucket"] == bucket);
        found.expect("listed").clone()
    };
    let input = find("standard", "input");
    assert_eq!((&input["usd"], &input["unit"]), (&Value::from("2.50"), &Value::from("million_tokens")));
    assert_eq!(input["above"][0]["input_tokens"], 272_000);
    assert_eq!(input["above"][0]["usd"], "5.00");
    assert_eq!(find("batch", "output")["usd"], "7.50");
    let reasoning = find("standard", "reasoning");
    assert_eq!((&reasoning["usd"], &reasoning["billed_as"]), (&Value::from("15.00"), &Value::from("output")));
}

#[test]
fn the_table_names_source_day_and_age() {
    let home = home();
    let output = tollgate(home.path(), &["prices", "anthropic/claude-opus-4-7"]);
    let table = text(&output.stdout);
    assert!(table.contains("source: genai-prices, 2026-") && table.contains("days old"), "{table}");
    let line = |start: &str| {
        let found = table.lines().find(|line| line.trim_start().starts_with(start));
        found.expect("a line").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("input"), "input million 5.00 2.50");
    assert_eq!(line("cache write 1h"), "cache write 1h million 10.00 5.00");
    assert!(!table.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn a_wrong_name_gets_the_nearest_ones_and_exit_1() {
    let home = home();
    for args in [["prices", "openai/gpt5.4"], ["models", "gpt-5.4-minni"]] {
        let output = tollgate(home.path(), &args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains("openai/gpt-5.4"), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn models_are_searched_and_hosts_listed() {
    let home = home();
    let found = json(&tollgate(home.path(), &["models", "qwen3-235b", "--provider", "deepinfra", "--json"]));
    let row = found
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["model"] == "Qwen/Qwen3-235B-A22B-Instruct-2507");
    let row = row.expect("listed");
    assert_eq!((&row["can"]["images"], &row["can"]["tools"]), (&Value::from("no"), &Value::from("yes")));
    assert_eq!(row["context"], 262_144);
    let hosts = text(&tollgate(home.path(), &["models"]).stdout);
    assert!(hosts.contains("TOGETHER_API_KEY") && hosts.contains("railwail"), "{hosts}");
    let retired =
        |args: &[&str]| text(&tollgate(home.path(), args).stdout).contains("\n openai/gpt-4o-2024-05-13");
    assert!(!retired(&["models", "gpt-4o-2024-05-13"]), "retired models are left out");
    assert!(retired(&["models", "gpt-4o-2024-05-13", "--retired"]));
}

#[test]
fn an_update_lands_in_the_data_directory_only_and_leaves_the_past_alone() {
    let home = home();
    let data = home.path().join("data");
    let file = home.path().join("new.json");
    std::fs::write(&file, snapshot("genai-prices", "2026-11-20", "0.90")).expect("written");
    let run = |args: &[&str]| tollgate(home.path(), &[&["--data-dir", "data"], args].concat());

    let diff = json(&run(&["prices", "diff", "new.json", "--json"]));
    let row = diff
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["bucket"] == "input" && row["tier"] == "standard");
    let row = row.expect("the input price changes");
    assert_eq!((&row["before"]["usd"], &row["after"]["usd"]), (&Value::from("0.75"), &Value::from("0.90")));
    assert!(!data.exists(), "a diff writes nothing");

    let output = run(&["prices", "update", "new.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stored: Vec<_> = std::fs::read_dir(data.join("prices")).expect("there").flatten().collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].file_name(), "genai-prices-2026-11-20.json");

    let input = |args: &[&str]| json(&run(args))[0]["prices"][0]["usd"].clone();
    assert_eq!(input(&["prices", "openai/gpt-5.4-mini", "--json"]), "0.90");
    let before = ["prices", "openai/gpt-5.4-mini", "--json", "--at", "2026-11-19T00:00:00Z"];
    assert_eq!(input(&before), "0.75", "calls before that day keep their price");
    let sources = json(&run(&["prices", "--json"]));
    assert_eq!(sources["sources"].as_array().map(Vec::len), Some(3), "old lists stay");
}

#[test]
fn publishers_own_files_are_taken_too() {
    let home = home();
    let file = home.path().join("litellm.json");
    let list = r#"{"deepinfra/acme/m":{"litellm_provider":"deepinfra","mode":"chat","input_cost_per_token":1.1e-07,"output_cost_per_token":3e-07}}"#;
    std::fs::write(&file, list).expect("written");
    let run = |args: &[&str]| tollgate(home.path(), &[&["--data-dir", "data"], args].concat());
    let output = run(&["prices", "update", "litellm.json", "--date", "2026-11-21", "--json"]);
    assert_eq!(json(&output)["as_of"], "2026-11-21", "{}", text(&output.stderr));
    assert_eq!(json(&run(&["prices", "deepinfra/acme/m", "--json"]))[0]["prices"][0]["usd"], "0.11");
}

#[test]
fn a_bad_list_is_refused_and_nothing_is_written() {
    let home = home();
    let file = home.path().join("bad.json");
    for bad in [
        "{".to_owned(),
        snapshot("genai-prices", "2026-11-20", "2,50"),
        snapshot("../../evil", "2026-11-20", "1"),
        r#"[{"id":"openai","models":[{"id":"m","match":{"equals":"m"},"prices":{"input_mtok":-1}}]}]"#
            .to_owned(),
    ] {
        std::fs::write(&file, &bad).expect("written");
        let output = tollgate(home.path(), &["--data-dir", "data", "prices", "update", "bad.json"]);
        assert_eq!(output.status.code(), Some(3), "{bad}: {}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("error: "), "{}", text(&output.stderr));
        assert!(!home.path().join("data/prices").exists(), "{bad}");
    }
}

#[test]
fn the_users_overlay_wins_and_its_mistakes_are_told_with_their_lines() {
    let home = home();
    std::fs::write(home.path().join("tollgate.toml"), "[catalogue]\noverlay = \"own.toml\"\n")
        .expect("written");
    let overlay = home.path().join("own.toml");
    std::fs::write(&overlay, "[[price]]\ntarget = \"openai/gpt-5.4-mini\"\ninput = \"0.50\"\n")
        .expect("written");
    let run = || tollgate(home.path(), &["prices", "openai/gpt-5.4-mini", "--json"]);
    assert_eq!(json(&run())[0]["prices"][0]["usd"], "0.50");
    assert_eq!(json(&run())[0]["source"], "own.toml");
    std::fs::write(&overlay, "[[price]]\ntarget = \"openai\"\ninput = 0.5\n").expect("written");
    let told = text(&run().stderr);
    assert!(told.contains("own.toml:2: ") && told.contains("own.toml:3: "), "{told}");
}

#[test]
fn sources_that_differ_are_shown() {
    let home = home();
    let rows = json(&tollgate(home.path(), &["prices", "check", "--json"]));
    let rows = rows.as_array().expect("rows");
    assert!(rows.iter().all(|row| row["before"] != row["after"] && !row["before"].is_null()));
    assert!(
        rows.iter().any(|row| row["target"] == "anthropic/claude-sonnet-4-5"),
        "a bracket that one source lacks"
    );
}
