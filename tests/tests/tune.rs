//! `tollgate route tune` from outside: it changes the config, the running gateway takes it up, and `explain` shows it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::{Stack, poll, server};

const ROUTE: &str = r#"
# what we send where
[routes.auto]
default = "cheap/m-8b"          # good enough for most
escalate = "flagship/m-70b"
escalate_before = [
  { difficulty_over = 0.99 },   # to be tuned
]
"#;

async fn stack() -> Stack {
    let cheap = VendorSpec::openai("cheap").models([ModelSpec::new("m-8b")]);
    let flagship = VendorSpec::openai("flagship").models([ModelSpec::strong("m-70b")]);
    let stack = Stack::start([cheap, flagship], ROUTE).await;
    make_dearer(&stack);
    stack
}

/// All simulated models have one price: the flagship gets ten times that.
fn make_dearer(stack: &Stack) {
    let overlay = stack.data_dir().with_file_name("overlay.toml");
    let text = std::fs::read_to_string(&overlay).expect("the overlay");
    let (cheap, flagship) = text.split_once("[[price]]\ntarget = \"flagship/").expect("its prices");
    let dearer = flagship.replace("\"0.37\"", "\"3.7\"").replace("\"1.93\"", "\"19.3\"");
    assert_ne!(dearer, flagship);
    std::fs::write(&overlay, format!("{cheap}[[price]]\ntarget = \"flagship/{dearer}")).expect("written");
}

async fn tune(stack: &Stack, args: &[&str]) -> std::process::Output {
    route("tune", stack, args).await
}

/// Runs `tollgate route TASK …` with the stack's config and ledger.
async fn route(task: &str, stack: &Stack, args: &[&str]) -> std::process::Output {
    let mut command = server::command(&["route", task]);
    command.args(args).arg("--config").arg(stack.data_dir().with_file_name("tollgate.toml"));
    command.arg("--data-dir").arg(stack.data_dir());
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts")
}

async fn rule(stack: &Stack) -> String {
    let body =
        json!({"model": "auto", "messages": [{"role": "user", "content": "How many sheep are nine sheep?"}]});
    let explained = stack.admin.post("/api/v1/explain", &body).await.json();
    explained["decision"]["rules"][0].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thresholds_are_written_and_taken_up() {
    let stack = stack().await;
    let file = stack.data_dir().with_file_name("tollgate.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(rule(&stack).await.starts_with("difficulty_over 0.99"));

    // without --write it only says so
    let said = tune(&stack, &["--quality", "0.9"]).await;
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for part in
        ["[routes.auto]", "difficulty_over = 0.", "on benchmark data", "with 95 % confidence", "saves"]
    {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    // a file that may not be written: a patch, and exit 3
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    let refused = tune(&stack, &["--quality", "0.9", "--write"]).await;
    let patch = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{patch}");
    assert!(patch.contains("-  { difficulty_over = 0.99 },   # to be tuned"), "{patch}");
    assert!(patch.contains("+  { difficulty_over = 0."), "{patch}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();

    let written = tune(&stack, &["--quality", "0.9", "--write", "--json"]).await;
    assert_eq!(written.status.code(), Some(0), "{}", String::from_utf8_lossy(&written.stderr));
    let written: Value = serde_json::from_slice(&written.stdout).unwrap();
    let route = &written["routes"][0];
    let over = route["difficulty_over"].as_f64().expect("a threshold");
    assert!(over < 0.99 && route["kept_at_least"].as_f64() >= Some(0.9), "{route:#}");
    let after = std::fs::read_to_string(&file).unwrap();
    assert_eq!(after, before.replace("0.99", &over.to_string()), "only the number changed");
    poll("the new threshold in `explain`", async || {
        rule(&stack).await.starts_with(&format!("difficulty_over {over}")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_curve_goes_from_everything_to_nothing() {
    let stack = stack().await;
    let output = route("report", &stack, &["--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let curve = &report["curves"][0];
    assert_eq!((&curve["route"], &curve["data"]), (&json!("auto"), &json!("benchmark data")));
    let points = curve["points"].as_array().unwrap();
    let at = |point: &Value, key: &str| point[key].as_f64().unwrap();
    let (all, none) = (points.first().unwrap(), points.last().unwrap());
    assert!(at(all, "strong_share") > 0.999_999 && at(all, "kept") > 0.999_999, "{all}");
    assert!(at(none, "strong_share") < 1e-9 && at(none, "kept") < 0.9 && at(none, "saving") > 0.8, "{none}");
    let beats_chance = points.iter().filter(|p| at(p, "kept") >= at(p, "at_random")).count();
    assert!(beats_chance * 10 >= points.len() * 9, "{beats_chance} of {}", points.len());

    let csv = route("report", &stack, &["--csv"]).await;
    assert_eq!(String::from_utf8_lossy(&csv.stdout).lines().count(), points.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quality_stands_for_thresholds() {
    let stack = stack().await;
    let quality = ROUTE.replace(
        "escalate_before = [\n  { difficulty_over = 0.99 },   # to be tuned\n]",
        "quality = 0.9 # kept",
    );
    assert_ne!(quality, ROUTE);
    stack.write_config(&quality);
    make_dearer(&stack);
    poll("a threshold from the quality", async || {
        let rule = rule(&stack).await;
        (rule.starts_with("difficulty_over 0.") && !rule.contains("0.99")).then_some(())
    })
    .await;
    let loose = rule(&stack).await;
    // `tune` changes that key and adds no threshold
    let written = tune(&stack, &["--quality", "0.95", "--write"]).await;
    assert_eq!(written.status.code(), Some(0), "{}", String::from_utf8_lossy(&written.stderr));
    let after = std::fs::read_to_string(stack.data_dir().with_file_name("tollgate.toml")).unwrap();
    assert!(after.contains("quality = 0.95 # kept") && !after.contains("difficulty_over"), "{after}");
    poll("a lower threshold", async || (rule(&stack).await != loose).then_some(())).await;
}
