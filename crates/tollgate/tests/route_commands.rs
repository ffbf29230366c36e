//! `route score` and `route train` as a user meets them.
//!
//! `just retrain DIR` retrains on the full data and compares the result with the built-in weights.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn tollgate(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.current_dir(dir).args(args).env_clear().env("TOLLGATE_DATA_DIR", dir.join("data"));
    command.output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn score(dir: &Path, lines: &str, more: &[&str]) -> Output {
    std::fs::write(dir.join("in.jsonl"), lines).expect("written");
    let args = ["route", "score", "--prompts", "in.jsonl", "--out", "out.jsonl"];
    tollgate(dir, &[&args, more].concat())
}

fn scores(dir: &Path) -> Vec<(Value, f64)> {
    let text = std::fs::read_to_string(dir.join("out.jsonl")).expect("the file");
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(2), "{value}");
        (value["id"].clone(), value["score"].as_f64().expect("a number"))
    };
    text.lines().map(line).collect()
}

#[test]
fn prompts_are_scored_in_order_and_hard_ones_higher() {
    let dir = tempfile::tempdir().expect("a directory");
    let hard =
        "Write a Python function that returns the longest palindromic substring of a string in O(n) time.";
    let lines = format!(
        "{}\n\n{}\n{}\n",
        json!({"id": "easy", "prompt": "What is the capital of France?"}),
        json!({"id": 7, "prompt": hard, "else": true}),
        json!({"id": "empty", "prompt": ""}),
    );
    let output = score(dir.path(), &lines, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found = scores(dir.path());
    let ids: Vec<&Value> = found.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [&json!("easy"), &json!(7), &json!("empty")]);
    assert!(found[0].1 < 0.3 && found[1].1 > 0.7, "{found:?}");
    assert!((found[2].1 - 0.5).abs() < f64::EPSILON, "{found:?}");
}

#[test]
fn answers_are_scored_at_three_points() {
    let dir = tempfile::tempdir().expect("a directory");
    let prompt = "A shop sells pens at 3 dollars each. How much do 14 pens cost?";
    let rambling =
        "Let me think. Perhaps 40, or maybe 41. Wait, that is a mistake. 3 * 14 = 3 * 14 = 3 * 14 = 3 * 14. ";
    let line = |id: &str, response: &str| json!({"id": id, "prompt": prompt, "weak_model": "small-8b", "response": response});
    let lines =
        format!("{}\n{}\n", line("clear", "The answer is 42 dollars."), line("lost", &rambling.repeat(9)));
    let mut seen = Vec::new();
    for part in ["64", "256", "whole"] {
        let output = score(dir.path(), &lines, &["--cascade", "--seen", part]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let found = scores(dir.path());
        assert!(found[0].1 < found[1].1, "{part}: {found:?}");
        seen.push(found[1].1.to_bits());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each point has its own score");
}

#[test]
fn bad_lines_are_named_together_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = score(dir.path(), "{\"id\": 1, \"prompt\": \"x\"}\nnot json\n{\"id\": 2}\n", &[]);
    assert_eq!(output.status.code(), Some(3));
    let told = stderr(&output);
    assert!(told.contains("in.jsonl has 2 bad lines; nothing was written"), "{told}");
    assert!(told.contains("line 2: ") && told.contains("line 3: ") && told.contains("`prompt`"), "{told}");
    assert!(!dir.path().join("out.jsonl").exists());

    let output = score(dir.path(), "{\"id\": 1, \"prompt\": \"x\", \"weak_model\": \"m\"}\n", &["--cascade"]);
    assert!(stderr(&output).contains("line 1: `response` is missing (--cascade)"), "{}", stderr(&output));
    std::fs::write(dir.path().join("bad.weights"), b"TOLLGATE\x09\0\0\0").expect("written");
    let output = score(dir.path(), "", &["--weights", "bad.weights"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("bad.weights: the weights file has format 9"), "{}", stderr(&output));
    let output = score(dir.path(), "", &["--seen", "64"]);
    assert_eq!(output.status.code(), Some(2), "without --cascade there is no answer to read");
}

/// Prompts of ours: long sums are what the weak model fails at.
fn data(dir: &Path) {
    std::fs::create_dir_all(dir.join("train")).expect("a directory");
    let mut lines = String::new();
    for n in 0..60 {
        let terms: Vec<String> = (0..2 + n % 8).map(|k| (n * 7 + k).to_string()).collect();
        let line = json!({
            "id": format!("sums/{n}"), "dataset": "sums", "group": format!("g{n}"),
            "prompt": format!("Add the numbers {} for case {n}.", terms.join(" + ")),
            "scores": {"small": f64::from(u8::from(n % 8 < 4)), "large": 1.0},
        });
        writeln!(lines, "{line}").expect("memory");
    }
    let file = std::fs::File::create(dir.join("train/sums.jsonl.gz")).expect("created");
    let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    gz.write_all(lines.as_bytes()).expect("written");
    gz.finish().expect("finished");
    let pairs = json!([{"dataset": "sums", "weak": "small", "strong": "large", "default": true}]);
    std::fs::write(dir.join("pairs.json"), pairs.to_string()).expect("written");
}

#[test]
fn weights_of_ones_own_are_trained_reported_and_used() {
    let dir = tempfile::tempdir().expect("a directory");
    data(&dir.path().join("d"));
    let output = tollgate(dir.path(), &["route", "train", "--data", "d", "--out", "own.weights", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&told["weights"]["name"], &told["weights"]["same_as_builtin"]),
        (&json!("tollgate-route-v1"), &json!(false))
    );
    assert_eq!(told["weights"]["inputs"].as_array().map(Vec::len), Some(2));
    assert!(
        told["reports"][0]["cross_validation"]["apgr"]["sums"].as_f64() > Some(0.5),
        "no better than chance: {told:#}"
    );
    let lines = format!("{}\n", json!({"id": 1, "prompt": "Add the numbers 3 + 4 for case 99."}));
    let output = score(dir.path(), &lines, &["--weights", "own.weights"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = score(dir.path(), "", &["--weights", "own.weights", "--cascade"]);
    assert!(stderr(&output).contains("trained without answers"), "{}", stderr(&output));

    std::fs::remove_file(dir.path().join("d/pairs.json")).expect("removed");
    let output = tollgate(dir.path(), &["route", "train", "--data", "d"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("pairs.json cannot be read"), "{}", stderr(&output));
}

#[test]
#[ignore = "takes minutes and the full data: `just retrain DIR`"]
fn the_built_in_weights_are_rebuilt_to_the_bit() {
    let data =
        std::env::var("TOLLGATE_ROUTING_DATA").expect("TOLLGATE_ROUTING_DATA names the folder of the data");
    let dir = tempfile::tempdir().expect("a directory");
    let output = tollgate(dir.path(), &["route", "train", "--data", &data, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["weights"]["same_as_builtin"], true, "{:#}", told["weights"]);
}
