//! The programs and the config in `examples/` do what they say, against simulated vendors.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sim::{ModelSpec, Sim, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Sdk, Server, Stack, bounded, poll, sdk::repository, setup};

const ROUTE: &str = r#"
[models.weak]
targets = ["north/m"]
[models.strong]
targets = ["south/m"]
[routes.auto]
default = "weak"
escalate = "strong"
escalate_before = [{ matches = "(?i)\\bprove\\b" }]
"#;

async fn stack() -> Stack {
    let north = VendorSpec::openai("north").models([ModelSpec::new("m")]);
    let south = VendorSpec::anthropic("south").models([ModelSpec::strong("m")]);
    Stack::start([north, south], ROUTE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_python() {
    let stack = stack().await;
    let script = repository().join("examples/openai-python/app.py");
    let said = Sdk::Python.run(&script, &stack.url(), &[]).await;
    assert!(said.contains("answered by north/m because default"), "{said}");
    assert!(said.contains("cost in USD: 0.0"), "{said}");
    assert_eq!(stack.sim("south").stats().calls, 1, "the proof went to the flagship: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_node() {
    let stack = stack().await;
    // Node finds packages from where a program lies: a copy, beside a link to the installed ones.
    let dir = TempDir::new().expect("a folder");
    let script = dir.path().join("app.mjs");
    std::fs::copy(repository().join("examples/openai-node/app.mjs"), &script).expect("it is there");
    let packages = repository().join("tests/clients/node/node_modules");
    std::os::unix::fs::symlink(packages, dir.path().join("node_modules")).expect("a link");
    let said = Sdk::Node.run(&script, &stack.url(), &[]).await;
    assert!(said.contains("answered by north/m because default"), "{said}");
    assert_eq!(stack.sim("south").stats().calls, 1, "the proof went to the flagship: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    let stack = stack().await;
    let mut script = Command::new(repository().join("examples/curl.sh"));
    script.env("TOLLGATE_URL", stack.url()).stdin(Stdio::null());
    let output = bounded("curl.sh", tokio::task::spawn_blocking(move || script.output())).await;
    let output = output.expect("no panic").expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["\"object\":\"list\"", "x-tollgate-reason: default", "x-tollgate-cost: 0.0", "data: [DONE]"]
    {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

/// The article's router with its three vendors simulated: the same file, only the addresses differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_articles_router() {
    let qwen = |host: VendorSpec, id| host.models([setup::large(id)]);
    let together = qwen(VendorSpec::openai("together"), "Qwen/Qwen3-235B-A22B-Instruct-2507");
    let deepinfra = qwen(VendorSpec::openai("deepinfra"), "Qwen/Qwen3-235B-A22B-Instruct-2507");
    let anthropic = VendorSpec::anthropic("anthropic").models([setup::large("claude-opus-4-7")]);
    let mut sims = Vec::new();
    for vendor in [together, deepinfra, anthropic] {
        sims.push(Sim::start(vendor).await.expect("a port"));
    }
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("tollgate.toml");
    std::fs::write(&file, article_router(&sims)).expect("writable");
    std::fs::write(dir.path().join("vendor-key"), setup::VENDOR_KEY).expect("writable");
    let server = Server::start(&file, &dir.path().join("data"));
    let client = server.client();

    let ask = async |prompt: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
        let reply = client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        (reply.header("x-tollgate-model").to_owned(), reply.header("x-tollgate-reason").to_owned())
    };
    let (model, reason) = ask("[[say:Use more verbs.]] How can I improve my essay?").await;
    assert!(model.contains("Qwen3-235B") && reason == "default", "{model} {reason}");
    let (model, reason) = ask("[[say:Suppose not.]] Prove it.").await;
    assert_eq!(
        (model.as_str(), reason.to_lowercase().as_str()),
        ("anthropic/claude-opus-4-7", "matched:prove")
    );
    let (model, reason) = ask("[[unsure]] Who said this?").await;
    assert_eq!(model, "anthropic/claude-opus-4-7", "{reason}");
    assert!(reason.starts_with("check:"), "{reason}");

    // H2 and H4 of the article's audit: the first answer is billed, and the ledger says so.
    let rows = poll("the escalated request's row", async || {
        let rows =
            client.get("/api/v1/requests").await.json()["requests"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["reason"] == reason.as_str() && row["status"] == 200)
    })
    .await;
    let attempts = rows["attempts"].as_array().expect("attempts");
    let outcomes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, [&json!("rejected"), &json!("ok")], "{rows:#}");
    assert!(attempts.iter().all(|attempt| attempt["cost_usd"].is_string()), "{rows:#}");
}

fn article_router(sims: &[Sim]) -> String {
    let file = repository().join("examples/article-router.toml");
    let mut text = std::fs::read_to_string(file).expect("the example");
    for sim in sims {
        let (name, key) = (sim.name(), format!("{}_API_KEY", sim.name().to_uppercase()));
        assert!(text.contains(&format!("env:{key}")), "the example names {key}");
        let head = format!("[providers.{name}]\n");
        let here = format!("{head}base_url = \"{}\"\nallow_private = true\n", sim.base_url());
        text = text.replace(&head, &here).replace(&format!("env:{key}"), "file:vendor-key");
    }
    format!("listen = \"127.0.0.1:0\"\n{text}")
}
