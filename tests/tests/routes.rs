//! What a route promises besides its rules and checks: early headers, a sticky A/B, a sign of life.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sim::{Fault, ModelSpec, Timing, VendorSpec};
use tollgate_tests::{Server, SseEvent, Stack, poll, setup};

fn vendor(name: &str) -> VendorSpec {
    VendorSpec::openai(name).models([ModelSpec::new("m")])
}

fn asks(model: &str, content: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": content}]})
}

const EARLY: &str = "[models.m]\ntargets = [\"vendor/m\"]\n[routes.soon]\ndefault = \"m\"\nearly_headers = true\n\
                     [timeouts]\nfirst_byte = 1\n";

#[tokio::test]
async fn early_headers_come_before_the_vendor_has_answered_and_failures_in_band() {
    let stack = Stack::start([vendor("vendor")], EARLY).await;
    let mut reader = stack.client.stream("/v1/chat/completions", &asks("soon", "[[say:hello]]")).await;
    let data = reader.data().await;
    assert_eq!(data.last().map(String::as_str), Some("[DONE]"), "{data:?}");

    stack.sim("vendor").set_fault(Some(Fault::HangBeforeHead));
    // The head is here although the vendor will never answer.
    let mut reader = stack.client.stream("/v1/chat/completions", &asks("soon", "[[say:hello]]")).await;
    let data = reader.data().await;
    let error: Value = serde_json::from_str(data.last().expect("an event")).expect("JSON");
    assert_eq!(error["error"]["code"], "upstream_timeout", "{data:?}");
    let rows = stack.closed(2).await;
    assert_eq!(rows[1]["status"], 504, "the books tell what the status line could not: {:#}", rows[1]);
}

#[tokio::test]
async fn a_weighted_pick_is_an_ab_that_spend_by_target_reads_off() {
    const SESSIONS: usize = 60;
    let config = "[models.ab]\ntargets = [\"a/m\", \"b/m\"]\npick = \"weighted\"\nweights = { \"a/m\" = 3, \"b/m\" = 1 }\n";
    let stack = Stack::start([vendor("a"), vendor("b")], config).await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for session in 0..SESSIONS {
        let client = stack.client.clone().with("x-tollgate-session", &format!("session-{session}"));
        let body = json!({"model": "ab", "messages": [{"role": "user", "content": "Hello"}]});
        let mut twice = Vec::new();
        for _ in 0..2 {
            twice
                .push(client.post("/v1/chat/completions", &body).await.header("x-tollgate-model").to_owned());
        }
        assert_eq!(twice[0], twice[1], "a session stays where it began");
        *seen.entry(twice.swap_remove(0)).or_default() += 2;
    }
    assert!(seen["a/m"] > seen["b/m"] && seen["b/m"] > 0, "{seen:?}");
    stack.closed(2 * SESSIONS).await;
    let spend = stack.command_json(&["spend", "--by", "target", "--json"]).await;
    let read: BTreeMap<String, usize> = spend["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let count = row["requests"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a count");
            (row["target"].as_str().expect("a target").to_owned(), count)
        })
        .collect();
    assert_eq!(read, seen);
}

#[tokio::test]
async fn fn2_29_a_long_silence_is_broken_by_a_comment() {
    let timing = Timing { gap: Duration::from_secs(25), ..Timing::default() };
    let slow = VendorSpec { timing, ..vendor("vendor") };
    let stack = Stack::start([slow], "[models.m]\ntargets = [\"vendor/m\"]\n").await;
    let mut reader = stack.client.stream("/v1/chat/completions", &asks("m", "[[len:12]]")).await;
    let mut heard = Vec::new();
    while let Some(event) = reader.next().await {
        if let SseEvent::Comment(comment) = event {
            heard.push(comment);
            break;
        }
    }
    assert_eq!(heard, ["keep-alive"]);
}

#[tokio::test]
async fn sighup_reads_the_config_again() {
    let sim = sim::Sim::start(vendor("vendor")).await.expect("a port");
    let dir = tempfile::tempdir().expect("a folder");
    let config = setup::write(dir.path(), &[&sim], "[models.m]\ntargets = [\"vendor/m\"]\n", &[]);
    let server = Server::start(&config, &dir.path().join("data"));
    let client = server.client();
    let version = async || client.get("/api/v1/config/version").await.json()["version"].as_u64();
    assert_eq!(version().await, Some(1));
    // Nothing has changed in the file: only the signal asks for it.
    server.signal("HUP");
    poll("a second version", async || (version().await == Some(2)).then_some(())).await;
}
