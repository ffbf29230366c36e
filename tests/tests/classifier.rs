//! The learned scores in the gate: `difficulty_over` before the call, `doubt_over` after the cheap answer.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::{Stack, server};

fn vendors() -> [VendorSpec; 2] {
    ["cheap", "flagship"].map(|name| VendorSpec::openai(name).models([ModelSpec::new("m-8b")]))
}

fn config(rules: &str) -> String {
    format!("[routes.auto]\ndefault = \"cheap/m-8b\"\nescalate = \"flagship/m-8b\"\n{rules}\n")
}

const PROMPT: &str =
    "A farmer has 17 sheep and buys 5 more each month. How many sheep does he have after 8 months?";

fn ask(model: &str, stream: bool, content: &str) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": content}]})
}

/// The decision as `tollgate requests ID` shows it.
async fn decision(stack: &Stack, row: &Value) -> Value {
    let id = row["id"].as_str().expect("an id");
    let told = stack.command_json(&["requests", id, "--json"]).await;
    match &told["decision"] {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        decision => decision.clone(),
    }
}

#[tokio::test]
async fn a_hard_prompt_escalates_before_the_call_and_the_ledger_says_why() {
    let stack = Stack::start(vendors(), &config("escalate_before = [{ difficulty_over = 0.02 }]")).await;
    let reply = stack.client.post("/v1/chat/completions", &ask("auto", false, PROMPT)).await;
    let reason = reply.header("x-tollgate-reason").to_owned();
    assert!(reason.starts_with("difficulty:0."), "{reason}");
    assert_eq!(reply.header("x-tollgate-model"), "flagship/m-8b");
    let unknown = stack.client.post("/v1/chat/completions", &ask("auto", false, "สวัสดีครับ")).await;
    assert_eq!(unknown.header("x-tollgate-reason"), "default");
    let pinned = stack.client.post("/v1/chat/completions", &ask("cheap/m-8b", false, PROMPT)).await;
    assert_eq!(pinned.header("x-tollgate-reason"), "pinned");

    let rows = stack.closed(3).await;
    let told = decision(&stack, &rows[0]).await;
    let difficulty = &told["difficulty"];
    assert_eq!(difficulty["over"], 0.02, "{told:#}");
    assert_eq!(difficulty["escalate"], true);
    assert_eq!(difficulty["domain"], "known");
    assert_eq!(difficulty["weights"], "Llama-tollgate-route-v1");
    assert_eq!(difficulty["features"].as_array().map(Vec::len), Some(5), "{told:#}");
    let score = difficulty["score"].as_f64().expect("a score");
    assert_eq!(reason, format!("difficulty:{score:.2}"));
    let told = decision(&stack, &rows[1]).await;
    assert_eq!(told["difficulty"]["domain"], "unknown domain", "{told:#}");
    assert_eq!(told["rules"][0], "difficulty_over 0.02: no, 0.50, unknown domain");
    let told = decision(&stack, &rows[2]).await;
    assert!(told.get("difficulty").is_none(), "a request that names a model is not scored: {told:#}");
}

#[tokio::test]
async fn a_doubtful_answer_escalates_and_the_ledger_says_at_which_point() {
    let prefix =
        "escalate_after = [{ doubt_over = 0.001 }]\nhold_back = { until = \"prefix\", tokens = 256 }";
    let stack = Stack::start(vendors(), &config(prefix)).await;
    let long = format!("{PROMPT} [[len:600]]");
    let reply = stack.client.post("/v1/chat/completions", &ask("auto", false, &long)).await;
    assert_eq!(reply.header("x-tollgate-reason"), "check:doubt");
    assert_eq!(reply.header("x-tollgate-model"), "flagship/m-8b");
    assert_eq!(reply.header("x-tollgate-attempts"), "2");
    let mut stream = stack.client.stream("/v1/chat/completions", &ask("auto", true, &long)).await;
    assert_eq!(stream.data().await.last().map(String::as_str), Some("[DONE]"));
    let short = format!("{PROMPT} [[len:5]]");
    stack.client.post("/v1/chat/completions", &ask("auto", false, &short)).await;

    let rows = stack.closed(3).await;
    let mut points = Vec::new();
    for row in &rows {
        let told = decision(&stack, row).await;
        assert_eq!(row["reason"], "check:doubt", "{row:#}");
        assert_eq!(told["doubt"]["over"], 0.001, "{told:#}");
        points.push(told["doubt"]["at"].as_str().unwrap_or_default().to_owned());
    }
    // A buffered answer is here as a whole; a stream is judged at the bound; a short answer is whole before it.
    points.sort_unstable();
    assert_eq!(points, ["256 tokens", "the whole answer", "the whole answer"]);
}

#[tokio::test]
async fn a_trusted_answer_is_released() {
    let rules = "escalate_after = [{ doubt_over = 0.999 }]\nhold_back = { until = \"end\" }";
    let stack = Stack::start(vendors(), &config(rules)).await;
    let body = ask("auto", true, &format!("{PROMPT} [[len:90]]"));
    let mut stream = stack.client.stream("/v1/chat/completions", &body).await;
    assert_eq!(stream.data().await.last().map(String::as_str), Some("[DONE]"));
    let rows = stack.closed(1).await;
    assert_eq!(rows[0]["reason"], "default", "{:#}", rows[0]);
    let told = decision(&stack, &rows[0]).await;
    assert_eq!(
        (&told["doubt"]["escalate"], &told["doubt"]["at"]),
        (&json!(false), &json!("the whole answer"))
    );
}

/// A damaged weights file takes its own rules out of play and no others.
#[tokio::test]
async fn refused_weights_leave_the_other_rules_working() {
    let rules = "escalate_before = [{ difficulty_over = 0.02 }, { matches = \"(?i)prove\" }]\n\
                 [classifier]\nweights = \"broken.weights\"";
    let stack = Stack::start_with(vendors(), &config(rules), &[("broken.weights", "TOLLGATE????")]).await;
    let easy = stack.client.post("/v1/chat/completions", &ask("auto", false, PROMPT)).await;
    assert_eq!(easy.header("x-tollgate-reason"), "default");
    let matched = stack.client.post("/v1/chat/completions", &ask("auto", false, "Prove it.")).await;
    assert_eq!(matched.header("x-tollgate-reason"), "matched:prove");
    let rows = stack.closed(2).await;
    let told = decision(&stack, &rows[0]).await;
    assert_eq!(told["rules"][0], "difficulty_over 0.02: no, there are no weights", "{told:#}");
}

#[test]
fn explain_shows_score_threshold_features_and_check_warns_of_refused_weights() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("t.toml");
    let write = |more: &str| {
        let text = format!(
            "[providers.together]\napi_key = \"env:TOGETHER_API_KEY\"\n[routes.auto]\ndefault = \"together/a\"\n\
             escalate = \"together/b\"\nescalate_before = [{{ difficulty_over = 0.02 }}]\n{more}"
        );
        std::fs::File::create(&file).and_then(|mut f| f.write_all(text.as_bytes())).expect("writable");
    };
    let run = |args: &[&str]| {
        let mut command = server::command(args);
        command
            .arg("--config")
            .arg(&file)
            .arg("--data-dir")
            .arg(dir.path())
            .env("TOGETHER_API_KEY", "sk-x-000000");
        let output = command.stderr(Stdio::piped()).output().expect("it starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    write("");
    let told = run(&["explain", PROMPT]);
    for part in
        ["reason      difficulty:0.", "difficulty_over 0.02: yes, 0.", "difficulty  0.", "features    "]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    write("[classifier]\nweights = \"none.weights\"\n");
    let told = run(&["check"]);
    assert!(told.contains("cannot be read") && told.contains("other rules go on"), "{told}");
}
