//! "Done when" 2: every answer, chunk and error that the gate sends is valid by OpenAI's published schemas, whatever the
//! vendor's dialect and whatever goes wrong at it.

use serde_json::{Value, json};
use sim::{Dialect, Fault, Framing, ModelSpec, RetryAfter, VendorSpec};
use tollgate_tests::{SseEvent, Stack, setup, spec};

const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];

const MODELS: &str = r#"
[timeouts]
connect = 1
first_byte = 1
whole = 1
idle = 1
total = 5
[models.chat]
targets = ["vendor/chat"]
[models.thinker]
targets = ["vendor/thinker"]
[models.embedder]
targets = ["vendor/embed"]
"#;

async fn stack(dialect: Dialect, framing: Framing) -> Stack {
    let (chat, thinker) = setup::models(dialect);
    let config = MODELS.replace("vendor/chat", &format!("vendor/{}", chat.id));
    let config = config.replace("vendor/thinker", &format!("vendor/{}", thinker.id));
    let models = [chat, thinker, ModelSpec::embedding("embed", 8)];
    let spec = VendorSpec { framing, ..VendorSpec::new("vendor", dialect).models(models) };
    Stack::start([spec], &config).await
}

fn tool(name: &str) -> Value {
    let parameters = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

/// Requests that between them use every feature of a chat.
fn chats() -> Vec<Value> {
    let user = |text: &str| json!([{"role": "user", "content": text}]);
    let two_calls = "[[tool:one {\"a\": \"1\"}]] [[tool:two {\"a\": \"2\"}]] Call both.";
    let schema = json!({
        "type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"], "additionalProperties": false,
    });
    vec![
        json!({"model": "chat", "messages": user("Hello")}),
        json!({"model": "chat", "messages": user("[[empty]]")}),
        json!({"model": "chat", "messages": user("[[say:äöü 𝄞 \\\" \\n]]")}),
        json!({"model": "chat", "messages": user("[[len:100]]"), "max_completion_tokens": 5}),
        json!({"model": "chat", "messages": user("[[filter]]")}),
        json!({"model": "chat", "messages": user("[[refusal]]")}),
        json!({"model": "chat", "messages": user("[[cached:3]] a cached prompt")}),
        json!({"model": "thinker", "messages": user("[[think:30]] Think.")}),
        json!({"model": "thinker", "messages": user("Think."), "reasoning_effort": "low"}),
        json!({"model": "chat", "messages": user(two_calls), "tools": [tool("one"), tool("two")]}),
        json!({"model": "chat", "messages": user("Call one."), "tools": [tool("one")], "tool_choice": "required"}),
        json!({
            "model": "chat", "messages": user("A person."),
            "response_format": {"type": "json_schema", "json_schema": {"name": "p", "strict": true, "schema": schema}},
        }),
        json!({"model": "chat", "tools": [tool("one")], "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Call one."},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "one", "arguments": "{\"a\": \"1\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a result"},
        ]}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_and_chunk_is_valid() {
    for dialect in DIALECTS {
        let stack = stack(dialect, Framing::Plain).await;
        for mut body in chats() {
            let reply = stack.client.post("/v1/chat/completions", &body).await;
            assert_eq!(reply.status, 200, "{dialect:?} {body}: {}", reply.text());
            spec::check(spec::CHAT, &reply.json());
            for name in [
                "x-request-id",
                "x-tollgate-model",
                "x-tollgate-reason",
                "x-tollgate-attempts",
                "x-tollgate-cost",
            ] {
                assert_ne!(reply.header(name), "", "{name} is told");
            }
            body["stream"] = json!(true);
            for with_usage in [false, true] {
                body["stream_options"] = json!({"include_usage": with_usage});
                let mut reader = stack.client.stream("/v1/chat/completions", &body).await;
                let chunks = spec::check_chat_stream(&reader.data().await);
                twins(&reply.json(), &chunks, with_usage);
            }
        }
    }
}

/// The chunks of a stream say what the whole answer said.
fn twins(whole: &Value, chunks: &[Value], with_usage: bool) {
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, whole["choices"][0]["message"]["content"].as_str().unwrap_or_default(), "{chunks:#?}");
    let finish: Vec<&Value> =
        chunks.iter().map(|c| &c["choices"][0]["finish_reason"]).filter(|f| f.is_string()).collect();
    assert_eq!(finish, [&whole["choices"][0]["finish_reason"]], "one finish reason");
    let roles = chunks.iter().filter(|c| c["choices"][0]["delta"]["role"].is_string()).count();
    assert_eq!(roles, 1, "the role comes once: {chunks:#?}");
    let usages: Vec<&Value> = chunks.iter().map(|c| &c["usage"]).filter(|u| u.is_object()).collect();
    if with_usage {
        assert_eq!(usages, [&whole["usage"]], "usage comes once, and is the twin's");
    } else {
        assert!(
            usages.is_empty() && chunks.iter().all(|c| c["choices"] != json!([])),
            "nobody asked for usage"
        );
    }
}

/// The vendor's framing does not reach the client, and a comment ends each stream with its cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn2_28_every_framing_becomes_our_own() {
    for dialect in DIALECTS {
        for framing in [Framing::Crlf, Framing::Tight, Framing::Commented] {
            let stack = stack(dialect, framing).await;
            let body =
                json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
            let mut reader = stack.client.stream("/v1/chat/completions", &body).await;
            assert_eq!(reader.headers["x-accel-buffering"], "no");
            let events = reader.rest().await;
            let comments: Vec<&String> = events
                .iter()
                .filter_map(|event| match event {
                    SseEvent::Comment(text) => Some(text),
                    SseEvent::Data(_) => None,
                })
                .collect();
            assert_eq!(comments.len(), 1, "{comments:?}");
            assert!(comments[0].starts_with("tollgate cost=0.0"), "{comments:?}");
            let data = events.iter().filter_map(|event| match event {
                SseEvent::Data(data) => Some(data.clone()),
                SseEvent::Comment(_) => None,
            });
            spec::check_chat_stream(&data.collect::<Vec<_>>());
        }
    }
}

/// A proxy before us is told not to collect a stream, and nothing is compressed, which would collect it too: a client has
/// each chunk while the vendor still writes the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn2_36_nothing_collects_a_stream() {
    let stack = stack(Dialect::OpenAi, Framing::Plain).await;
    stack.sim("vendor").set_faults(vec![Fault::Stall { after: 2 }.always()]);
    let body = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let client = stack.client.clone().with("accept-encoding", "gzip, br, zstd");
    let mut reader = client.stream("/v1/chat/completions", &body).await;
    assert_eq!(reader.headers["x-accel-buffering"], "no");
    assert!(!reader.headers.contains_key("content-encoding"), "{:?}", reader.headers);
    assert!(reader.headers["cache-control"].to_str().unwrap().contains("no-cache"), "{:?}", reader.headers);
    let first = reader.next().await;
    assert!(matches!(first, Some(SseEvent::Data(_))), "the vendor still hangs: {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_embeddings_and_models_are_valid() {
    let stack = stack(Dialect::OpenAi, Framing::Plain).await;
    let mut body = json!({"model": "chat", "prompt": "Once upon a time", "max_tokens": 20});
    let reply = stack.client.post("/v1/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    spec::check(spec::COMPLETION, &reply.json());
    body["stream"] = json!(true);
    let data = stack.client.stream("/v1/completions", &body).await.data().await;
    spec::check_completion_stream(&data);

    let models = stack.client.get("/v1/models").await.json();
    spec::check(spec::MODELS, &models);
    let names: Vec<&str> =
        models["data"].as_array().expect("data").iter().filter_map(|m| m["id"].as_str()).collect();
    for name in ["chat", "thinker", "embedder"] {
        assert!(names.contains(&name), "{names:?}");
        spec::check(spec::MODEL, &stack.client.get(&format!("/v1/models/{name}")).await.json());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn2_35_embeddings_are_valid_as_floats_and_as_base64() {
    for dialect in [Dialect::OpenAi, Dialect::Gemini] {
        let stack = stack(dialect, Framing::Plain).await;
        for extra in [json!({}), json!({"encoding_format": "float"}), json!({"dimensions": 4})] {
            let mut body = json!({"model": "embedder", "input": ["one", "two"]});
            body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
            let reply = stack.client.post("/v1/embeddings", &body).await;
            assert_eq!(reply.status, 200, "{dialect:?} {body}: {}", reply.text());
            spec::check(spec::EMBEDDINGS, &reply.json());
            let wanted = body["dimensions"].as_u64().unwrap_or(8);
            let got = reply.json()["data"][0]["embedding"].as_array().expect("floats").len();
            assert_eq!(got as u64, wanted);
        }
        // OpenAI's SDKs ask for base64, which the published schema does not describe.
        let body = json!({"model": "embedder", "input": "one", "encoding_format": "base64"});
        let reply = stack.client.post("/v1/embeddings", &body).await.json();
        assert!(reply["data"][0]["embedding"].is_string(), "{dialect:?}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropic_has_no_embeddings_and_the_error_says_so() {
    let stack = stack(Dialect::Anthropic, Framing::Plain).await;
    let reply = stack.client.post("/v1/embeddings", &json!({"model": "embedder", "input": "one"})).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    spec::check(spec::ERROR, &reply.json());
    assert_eq!(stack.sim("vendor").stats().calls, 0);
}

/// Whatever a vendor fails with, the client gets a valid error with a status that tells whose fault it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn2_27_every_error_is_valid() {
    let faults = [
        (Fault::Reset, 502),
        (Fault::HangBeforeHead, 504),
        (Fault::RateLimited(RetryAfter::Seconds(9)), 429),
        (Fault::QuotaExhausted, 502),
        (Fault::WrongKey, 502),
        (Fault::Status(500), 502),
        (Fault::Status(503), 503),
        (Fault::Overloaded, 503),
        (Fault::ErrorInOk { after: 0 }, 503),
        (Fault::Html(502), 502),
        (Fault::ErrorArray(503), 503),
        (Fault::Retired, 404),
        (Fault::ContentFilter, 400),
        (Fault::ContextLength, 400),
        (Fault::Cut { after: 0, clean: true }, 502),
    ];
    for dialect in DIALECTS {
        for (fault, status) in &faults {
            // A fresh gate for each, so that no breaker of the last one answers.
            let stack = stack(dialect, Framing::Plain).await;
            stack.sim("vendor").set_fault(Some(fault.clone()));
            let body =
                json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
            let Err(reply) = stack.client.try_stream("/v1/chat/completions", &body).await else {
                panic!("{dialect:?} {fault:?}: a stream")
            };
            spec::check(spec::ERROR, &reply.json());
            // Google has one word for a rate limit and for a quota that is used up.
            let one_word = (dialect, fault) == (Dialect::Gemini, &Fault::QuotaExhausted);
            let status = if one_word { 429 } else { *status };
            assert_eq!(reply.status, status, "{dialect:?} {fault:?}: {}", reply.text());
        }
    }
}
