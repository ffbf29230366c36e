//! LAW 8 and faults row 8: keys and prompts appear in no log, metric, page, API answer or file, whatever goes wrong.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sim::{Fault, ModelSpec, RetryAfter, Sim, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Client, Server, all_requests, bounded, poll, server, setup};

const CLIENT_KEY: &str = "tg_93b1f7d25e0c44a8aa1713cd";
const WRONG_KEY: &str = "tg_0be6d1547f2a93c88e41d07b";
const PROMPT: &str = "canary-prompt-a61d";
const ANSWER: &str = "canary-answer-0f37";
const CONFIG: &str = r#"
[keys.app]
secret = "file:app-key"
[models.m]
targets = ["vendor/m"]
"#;

/// What must be found nowhere: each secret, six characters from its middle, and its base64.
fn needles() -> Vec<String> {
    let mut needles = vec![PROMPT.to_owned(), ANSWER.to_owned()];
    for key in [setup::VENDOR_KEY, CLIENT_KEY, WRONG_KEY] {
        let middle = key.len() / 2;
        needles.push(key[middle..middle + 6].to_owned());
        needles.push(base64(key));
    }
    needles
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Whole groups only: the padded end differs with what follows.
    let groups =
        text.as_bytes().chunks_exact(3).map(|group| u32::from_be_bytes([0, group[0], group[1], group[2]]));
    groups
        .flat_map(|bits| [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize])))
        .collect()
}

fn chat(stream: bool) -> Value {
    let content = format!("[[say:{ANSWER}]] {PROMPT}");
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": content}]})
}

const FAULTS: [Option<Fault>; 10] = [
    None,
    Some(Fault::WrongKey),
    Some(Fault::RateLimited(RetryAfter::Silent)),
    Some(Fault::Status(500)),
    Some(Fault::Html(502)),
    Some(Fault::ErrorInOk { after: 1 }),
    Some(Fault::Cut { after: 2, clean: false }),
    Some(Fault::Garbage { after: 1 }),
    Some(Fault::ContentFilter),
    Some(Fault::Reset),
];

/// Good and bad calls, by good and bad clients.
async fn all_kinds_of_calls(client: &Client) {
    let app = client.clone().bearer(CLIENT_KEY);
    for stream in [false, true] {
        app.post("/v1/chat/completions", &chat(stream)).await;
    }
    client.clone().bearer(WRONG_KEY).post("/v1/chat/completions", &chat(false)).await;
    client.clone().with("x-api-key", WRONG_KEY).get("/v1/models").await;
    let cut = chat(false).to_string();
    app.post_bytes("/v1/chat/completions", cut[..cut.len() - 2].to_owned()).await;
    app.post("/v1/chat/completions", &json!({"model": "m", "messages": PROMPT})).await;
}

/// Everything that the API and the pages tell.
async fn read_api(server: &Server, data: &Path, outputs: &mut Vec<(String, String)>) {
    let token = std::fs::read_to_string(data.join("admin.token")).expect("the admin token's file");
    let admin = server.client().bearer(token.trim());
    let rows = poll("closed rows", async || {
        let rows = all_requests(&admin).await;
        (!rows.is_empty() && rows.iter().all(|row| row["reason"] != "running")).then_some(rows)
    })
    .await;
    let mut paths = vec!["/".to_owned(), "/metrics".to_owned()];
    for api in ["spend?by=key,model", "requests", "providers", "keys", "routes", "models", "config/version"] {
        paths.push(format!("/api/v1/{api}"));
    }
    for row in &rows {
        let id = row["id"].as_str().expect("an id");
        paths.push(format!("/api/v1/requests/{id}"));
        paths.push(format!("/requests/{id}"));
    }
    for path in paths {
        let reply = admin.get(&path).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.status);
        outputs.push((path, reply.text()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_prompts_appear_nowhere() {
    let sim = Sim::start(VendorSpec::openai("vendor").models([ModelSpec::new("m")])).await.expect("a port");
    let dir = TempDir::new().expect("a folder");
    let data = dir.path().join("data");
    let config = setup::write(dir.path(), &[&sim], CONFIG, &[("app-key", CLIENT_KEY)]);
    let mut outputs = Vec::new();
    // A fresh process for each fault, so that no breaker of the last one keeps the calls away.
    for fault in FAULTS {
        let calls = sim.stats().calls;
        sim.set_fault(fault.clone());
        let mut command = server::command(&["serve", "--log", "json", "--config"]);
        command.arg(&config).arg("--data-dir").arg(&data).env("RUST_LOG", "trace");
        let server = Server::spawn(&mut command);
        all_kinds_of_calls(&server.client()).await;
        assert!(sim.stats().calls > calls, "{fault:?} was met");
        read_api(&server, &data, &mut outputs).await;
        outputs.push(("the command line".to_owned(), command_line(server.pid())));
        server.signal("TERM");
        let said = bounded("its end", tokio::task::spawn_blocking(move || server.finish())).await;
        let said = said.expect("no panic");
        assert!(said.contains('{'), "it logs: {said}");
        outputs.push((format!("the output with {fault:?}"), said));
    }
    read_all(&data, &mut outputs);
    for needle in needles() {
        for (place, text) in &outputs {
            assert!(!text.contains(&needle), "{place} holds {needle}");
        }
    }
}

fn command_line(pid: u32) -> String {
    let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
    String::from_utf8_lossy(&output.expect("ps runs").stdout).into_owned()
}

fn read_all(dir: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            into.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
