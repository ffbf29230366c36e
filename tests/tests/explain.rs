//! "Done when" 6: `tollgate explain` says which model answers and why, for the article's router as it lies in
//! `examples/`, without a call and without a key that works.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tollgate_tests::{sdk::repository, server};

const CHEAP: [&str; 2] =
    ["together/Qwen/Qwen3-235B-A22B-Instruct-2507", "deepinfra/Qwen/Qwen3-235B-A22B-Instruct-2507"];
const FLAGSHIP: &str = "anthropic/claude-opus-4-7";

/// Runs `explain --json` with the article's router.
fn explain(args: &[&str]) -> Value {
    let data = TempDir::new().expect("a folder");
    let mut command = server::command(&["explain", "--json", "--config"]);
    command
        .arg(repository().join("examples/article-router.toml"))
        .arg("--data-dir")
        .arg(data.path())
        .args(args);
    for key in ["TOGETHER_API_KEY", "DEEPINFRA_API_KEY", "ANTHROPIC_API_KEY"] {
        command.env(key, "sk-never-used");
    }
    let output = command.stderr(Stdio::piped()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn explain_request(request: &Value) -> Value {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(request.to_string().as_bytes()).expect("writable");
    explain(&["-f", &file.path().display().to_string()])
}

#[track_caller]
fn first(told: &Value) -> Vec<&str> {
    told["first"].as_array().unwrap_or_else(|| panic!("{told:#}")).iter().filter_map(Value::as_str).collect()
}

#[test]
fn hard_words_escalate_before_the_call() {
    for (prompt, word) in [
        ("Prove that the square root of two is irrational.", "Prove"),
        ("Please derive the gradient of the softmax.", "derive"),
        ("Optimize this query for me.", "Optimize"),
        ("How would you optimise a bubble sort?", "optimise"),
        ("Lay out a multi-step plan for the move.", "multi-step"),
        ("Architect a payment system.", "Architect"),
    ] {
        let told = explain(&[prompt]);
        let reason = told["decision"]["reason"].as_str().expect("a reason");
        assert_eq!(reason.to_lowercase(), format!("matched:{}", word.to_lowercase()), "{told:#}");
        assert_eq!(first(&told)[0], FLAGSHIP, "{prompt}: {told:#}");
    }
}

#[test]
fn improve_no_longer_counts_as_prove() {
    for prompt in [
        "How can I improve my essay?",
        "Did the board approve the improvement?",
        "An approved derivative of the architecture is unproven.",
        "What is the capital of France?",
    ] {
        let told = explain(&[prompt]);
        assert_eq!(told["decision"]["reason"], "default", "{prompt}: {told:#}");
        let order = first(&told);
        assert!(order.len() == 2 && order.iter().all(|target| CHEAP.contains(target)), "{prompt}: {told:#}");
        assert_eq!(told["escalation"][0], FLAGSHIP, "{told:#}");
    }
}

#[test]
fn long_input_goes_to_the_flagship() {
    let long = "word ".repeat(40_000);
    let told = explain_request(&json!({"model": "auto", "messages": [{"role": "user", "content": long}]}));
    assert_eq!(told["decision"]["reason"], "long-input", "{:#}", told["decision"]["rules"]);
    assert_eq!(first(&told)[0], FLAGSHIP);
}

#[test]
fn an_image_never_goes_to_a_text_only_model() {
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let content = json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": pixel}}]);
    let told = explain_request(&json!({"model": "auto", "messages": [{"role": "user", "content": content}]}));
    let called: Vec<&str> = ["first", "escalation", "last_resort"]
        .iter()
        .flat_map(|step| told[step].as_array().into_iter().flatten().filter_map(Value::as_str))
        .collect();
    assert!(!called.is_empty() && called.iter().all(|target| *target == FLAGSHIP), "{told:#}");
    let excluded = told["decision"]["excluded"].as_array().expect("who was left out");
    for target in CHEAP {
        let line = excluded
            .iter()
            .find(|line| line["target"] == target)
            .unwrap_or_else(|| panic!("{target}: {told:#}"));
        assert!(line["why"].as_str().is_some_and(|why| why.contains("image")), "{line}");
    }
}

#[test]
fn the_explanation_names_prices_and_checks() {
    let told = explain(&["What is the capital of France?"]);
    let candidates = told["decision"]["candidates"].as_array().expect("candidates");
    assert!(candidates.len() >= 3, "{candidates:#?}");
    assert!(candidates.iter().all(|line| line["target"].is_string()), "{candidates:#?}");
    let checks = told["decision"]["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 4, "{checks:?}");
}
