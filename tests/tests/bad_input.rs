//! Bad input from either side: each gives a clear error in the caller's dialect with the right status, a row if anything
//! may have been billed, and no crash: afterwards the gate still answers.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sim::{Dialect, Fault, ModelSpec, VendorSpec};
use tollgate_tests::{Reply, Stack, bounded, spec};

const CONFIG: &str = r#"
[limits]
body_bytes = 1_048_576
[models.m]
targets = ["vendor/m"]
"#;

async fn stack() -> Stack {
    Stack::start([VendorSpec::openai("vendor").models([ModelSpec::new("m")])], CONFIG).await
}

fn chat(content: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": content}]})
}

/// The gate is well: it answers a good request.
async fn still_answers(stack: &Stack) {
    let reply = stack.client.post("/v1/chat/completions", &chat("Hello")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// A valid error of this status.
#[track_caller]
fn error(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    spec::check(spec::ERROR, &body);
    assert!(!body["error"]["message"].as_str().unwrap_or_default().is_empty(), "{body}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_request() {
    let stack = stack().await;
    let deep = "[".repeat(100_000);
    let bodies: [(&str, Vec<u8>); 13] = [
        ("empty", b"".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("cut JSON", br#"{"model": "m", "messages": [{"role": "us"#.to_vec()),
        ("an array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("no model", br#"{"messages": []}"#.to_vec()),
        ("a model that is no text", br#"{"model": 7, "messages": []}"#.to_vec()),
        ("messages that are no list", br#"{"model": "m", "messages": "hello"}"#.to_vec()),
        ("messages that are missing", br#"{"model": "m"}"#.to_vec()),
        ("a stream that is no boolean", br#"{"model": "m", "messages": [], "stream": "yes"}"#.to_vec()),
        (
            "bad UTF-8",
            b"{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"\xff\xfe\"}]}".to_vec(),
        ),
        ("two requests", br#"{"model": "m", "messages": []} {"model": "m"}"#.to_vec()),
        ("deep", format!(r#"{{"model": "m", "messages": {deep}"#).into_bytes()),
    ];
    for (what, body) in bodies {
        let reply = stack.client.post_bytes("/v1/chat/completions", body).await;
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
        error(&reply, 400);
    }
    assert_eq!(stack.sim("vendor").stats().requests, 0, "none of it reached a vendor");
    still_answers(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_model_names_its_neighbours() {
    let stack = stack().await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        let body = json!({"model": "mm", "prompt": "x", "input": "x", "messages": [{"role": "user", "content": "x"}]});
        let told = error(&stack.client.post(path, &body).await, 404);
        assert_eq!(told["error"]["code"], "model_not_found");
        assert!(
            told["error"]["message"].as_str().is_some_and(|text| text.contains("did you mean m")),
            "{told}"
        );
    }
    error(&stack.client.get("/v1/models/none").await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_body_is_refused_at_its_head() {
    let stack = stack().await;
    let large = chat(&"x".repeat(2 << 20)).to_string();
    error(&stack.client.post_bytes("/v1/chat/completions", large.clone()).await, 413);
    // Announced, but not sent: the answer must not wait for the body.
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\n\r\n",
        stack.client.addr()
    );
    let answer = stack.client.raw(head.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    // Not announced: found out while reading.
    let mut chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        stack.client.addr()
    )
    .into_bytes();
    for piece in large.as_bytes().chunks(64 << 10) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = stack.client.raw(&chunked).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(stack.sim("vendor").stats().requests, 0);
    still_answers(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_bomb_is_refused() {
    let stack = stack().await;
    let line = format!("GET /v1/models HTTP/1.1\r\nhost: {}\r\n", stack.client.addr());
    let mut many = line.clone();
    for i in 0..10_000 {
        let _ = write!(many, "x-filler-{i}: y\r\n");
    }
    let long = format!("{line}x-filler: {}\r\n\r\n", "y".repeat(1 << 20));
    for bomb in [many + "\r\n", long] {
        let answer = stack.client.raw(bomb.as_bytes()).await;
        let said = String::from_utf8_lossy(&answer);
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    }
    still_answers(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_wire_is_no_request() {
    let stack = stack().await;
    let host = stack.client.addr();
    let garbage = [
        "\0\0\0\0".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"
        ),
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: -1\r\n\r\n"),
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
        ),
    ];
    for bytes in garbage {
        let answer = stack.client.raw(bytes.as_bytes()).await;
        let said = String::from_utf8_lossy(&answer);
        assert!(said.starts_with("HTTP/1.1 4"), "{bytes:?}: {said}");
    }
    assert_eq!(stack.sim("vendor").stats().requests, 0);
    still_answers(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_and_methods() {
    let stack = stack().await;
    assert_eq!(stack.client.post("/v1/no/such/thing", &json!({})).await.status, 404);
    assert_eq!(stack.client.get("/v1/chat/completions").await.status, 405);
    still_answers(&stack).await;
}

/// An SSE line of 10 MB from a vendor: an error, not 10 MB of memory or a hang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_sse_line_from_upstream() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let spec = VendorSpec::new("vendor", dialect).models([ModelSpec::new("m")]);
        let bounded = CONFIG.replace("[limits]", "[limits]\nanswer_bytes = 1_048_576");
        let stack = Stack::start([spec], &bounded).await;
        stack.sim("vendor").set_fault(Some(Fault::HugeLine { after: 5, bytes: 10 << 20 }));
        let mut body = chat("[[len:400]] Go on.");
        body["stream"] = json!(true);
        let mut reader = stack.client.stream("/v1/chat/completions", &body).await;
        let data = reader.data().await;
        assert!(!data.iter().any(|line| line == "[DONE]"), "never a clean end");
        assert!(data.iter().all(|line| line.len() < 1 << 20), "it is not passed on");
        spec::check(spec::ERROR, &serde_json::from_str(data.last().expect("events")).expect("JSON"));
        let rows = stack.closed(1).await;
        assert_eq!(rows[0]["attempts"][0]["outcome"], "partial", "{:#}", rows[0]);
        stack.sim("vendor").set_fault(None);
        still_answers(&stack).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_from_upstream() {
    let stack = stack().await;
    let faults =
        [Fault::TruncatedBody { clean: true }, Fault::TruncatedBody { clean: false }, Fault::Html(200)];
    for (i, fault) in faults.into_iter().enumerate() {
        stack.sim("vendor").set_fault(Some(fault.clone()));
        let reply = stack.client.post("/v1/chat/completions", &chat("Hello")).await;
        assert_eq!(reply.status, 502, "{fault:?}: {}", reply.text());
        error(&reply, 502);
        let rows = stack.closed(i + 1).await;
        let newest = rows.last().expect("a row");
        assert_eq!(newest["status"], 502, "{fault:?}: {newest:#}");
        assert_eq!(newest["attempts"][0]["outcome"], "failed", "{fault:?}: {newest:#}");
    }
}

/// Faults row 3: nothing is ever decompressed, so a bomb stays as small as it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_requests_and_answers_are_refused() {
    let stack = stack().await;
    let body = chat("Hello").to_string();
    for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "gzip, gzip", "identity, gzip", "x-unknown"] {
        let client = stack.client.clone().with("content-encoding", coding);
        let told = error(&client.post_bytes("/v1/chat/completions", body.clone()).await, 415);
        assert_eq!(told["error"]["code"], "content_encoding", "{coding}");
    }
    let plain = stack.client.clone().with("content-encoding", "identity");
    assert_eq!(plain.post_bytes("/v1/chat/completions", body).await.status, 200);
    let told_once = stack.sim("vendor").stats().requests;
    assert_eq!(told_once, 1, "none of the others reached a vendor");

    stack.sim("vendor").set_fault(Some(Fault::Gzip));
    for stream in [false, true] {
        let mut body = chat("Hello");
        body["stream"] = json!(stream);
        let refused = stack.client.try_stream("/v1/chat/completions", &body).await.expect_err("no answer");
        error(&refused, 502);
    }
    let rows = stack.closed(3).await;
    let failed = rows.iter().filter(|row| row["attempts"][0]["outcome"] == "failed");
    assert_eq!(failed.count(), 2, "{rows:#?}");
    stack.sim("vendor").set_fault(None);
    still_answers(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let stack = stack().await;
    let elsewhere = sim::Sim::start(VendorSpec::openai("elsewhere")).await.expect("a port");
    stack
        .sim("vendor")
        .set_fault(Some(Fault::Redirect(format!("{}/chat/completions", elsewhere.base_url()))));
    error(&stack.client.post("/v1/chat/completions", &chat("Hello")).await, 502);
    assert_eq!(elsewhere.stats().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_revoked_keys() {
    let keyed =
        format!("{CONFIG}\n[keys.app]\nsecret = \"file:app-key\"\n[keys.old]\nsecret = \"file:old-key\"\n");
    let spec = VendorSpec::openai("vendor").models([ModelSpec::new("m")]);
    let files = [("app-key", "tg-app-0123456789abcdef"), ("old-key", "tg-old-0123456789abcdef")];
    let stack = Stack::start_with([spec], &keyed, &files).await;
    let (app, old) = (stack.client.clone().bearer(files[0].1), stack.client.clone().bearer(files[1].1));
    for (client, status) in [(&stack.client, 401), (&stack.client.clone().bearer("tg-wrong"), 401)] {
        error(&client.post("/v1/chat/completions", &chat("Hello")).await, status);
        error(&client.get("/v1/models").await, status);
    }
    for client in [&app, &old] {
        assert_eq!(client.post("/v1/chat/completions", &chat("Hello")).await.status, 200);
    }

    stack.write_config(&keyed.replace("[keys.old]\nsecret = \"file:old-key\"\n", ""));
    let refused = async {
        while old.post("/v1/chat/completions", &chat("Hello")).await.status != 401 {
            tokio::task::yield_now().await;
        }
    };
    // Faults row 17: refused at most a second after the change.
    let revoked = tokio::time::timeout(Duration::from_secs(1), refused).await;
    assert!(revoked.is_ok(), "the revoked key still works after a second");
    assert_eq!(app.post("/v1/chat/completions", &chat("Hello")).await.status, 200);
}

/// A slow-loris: headers that never end (faults row 1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_closed() {
    let stack = stack().await;
    let head = format!("GET /v1/models HTTP/1.1\r\nhost: {}\r\n", stack.client.addr());
    let started = std::time::Instant::now();
    bounded("the end of an unfinished head", stack.client.raw(head.as_bytes())).await;
    assert!(started.elapsed() < Duration::from_secs(11), "closed after {:?}", started.elapsed());
    still_answers(&stack).await;
}

/// One bad line does not kill a stream: what comes after it is good, and the client sees only that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn2_28_one_bad_line_does_not_kill_a_stream() {
    let stack = stack().await;
    for fault in [Fault::Garbage { after: 0 }, Fault::Garbage { after: 3 }] {
        stack.sim("vendor").set_fault(Some(fault));
        let mut body = chat("[[len:40]] Go on.");
        body["stream"] = json!(true);
        let data = stack.client.stream("/v1/chat/completions", &body).await.data().await;
        let chunks = spec::check_chat_stream(&data);
        let text: String =
            chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text.len(), 160);
    }
}
