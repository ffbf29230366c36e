//! Anthropic Messages.

use serde_json::{Value, json};
use tollgate_sim::{Fault, Keys, ModelSpec, Sim, UsageStyle, VendorSpec};

use crate::client::{get, post, request, send};

const AT: &str = "/messages";

async fn vendor() -> Sim {
    Sim::start(VendorSpec::anthropic("a")).await.unwrap()
}

fn ask(prompt: &str) -> Value {
    json!({"model": "c", "max_tokens": 4096, "messages": [{"role": "user", "content": prompt}]})
}

fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

/// Joins a field of all deltas.
fn deltas(events: &[Value], field: &str) -> String {
    events.iter().filter_map(|event| event["delta"][field].as_str()).collect()
}

#[tokio::test]
async fn fn2_02_streamed_and_buffered_twins_agree_and_the_last_usage_counts() {
    let sim = vendor().await;
    for prompt in ["hello", "[[think:9]][[cached:2]][[write:1]][[write1h:1]]ä€𝄞 wide", "[[len:77]]"] {
        let whole = post(&sim, AT, &ask(prompt)).await.json();
        let got = post(&sim, AT, &streamed(ask(prompt))).await;
        let events = got.events();
        let names: Vec<&str> = got.text().lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(names, types);
        assert!(types.contains(&"ping"));
        let text = whole["content"].as_array().unwrap().last().unwrap();
        assert_eq!(deltas(&events, "text"), text["text"]);
        let [.., last, stop] = events.as_slice() else { panic!("events") };
        assert_eq!((&last["usage"], &stop["type"]), (&whole["usage"], &json!("message_stop")));
        assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1);
        let bills = sim.bills();
        let [.., buffered, streaming] = bills.as_slice() else { panic!("two bills") };
        assert_eq!(buffered.tally, streaming.tally);
        let tally = buffered.tally;
        assert_eq!(whole["usage"]["input_tokens"], tally.fresh);
        assert_eq!(whole["usage"]["cache_creation_input_tokens"], tally.write_5m + tally.write_1h);
        assert_eq!(whole["usage"]["output_tokens"], tally.output + tally.reasoning);
    }
}

#[tokio::test]
async fn fn2_12_a_tool_without_input_streams_no_input() {
    let sim = vendor().await;
    let tool = |name| json!({"name": name, "input_schema": {"type": "object", "properties": {}}});
    let mut body = ask("[[tool:now]][[tool:add {\"a\": 1}]]");
    body["tools"] = json!([tool("add"), tool("now")]);
    let whole = post(&sim, AT, &body).await.json();
    assert_eq!((&whole["stop_reason"], &whole["content"][0]["input"]), (&json!("tool_use"), &json!({})));
    assert_eq!(whole["content"][1]["input"], json!({"a": 1}));
    let events = post(&sim, AT, &streamed(body.clone())).await.events();
    assert_eq!(deltas(&events, "partial_json"), "{\"a\": 1}");
    let bills = sim.bills();
    assert_eq!(bills[0].tally, bills[1].tally);
    body["tool_choice"] = json!({"type": "any", "disable_parallel_tool_use": true});
    assert_eq!(post(&sim, AT, &body).await.json()["content"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn fn2_14_thinking_comes_back_sealed_and_first() {
    let sim = vendor().await;
    let mut body = ask("[[tool:now]]");
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    body["tools"] = json!([{"name": "now", "input_schema": {"type": "object"}}]);
    let answer = post(&sim, AT, &body).await.json();
    let blocks = answer["content"].as_array().unwrap().clone();
    assert_eq!(blocks[0]["type"], "thinking");
    let follow_up = |blocks: &[Value]| {
        let id = &blocks.last().unwrap()["id"];
        let mut next = body.clone();
        let result = json!([{"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "noon"}]}]);
        let turns = next["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": blocks}));
        turns.push(json!({"role": "user", "content": result}));
        next
    };
    let good = post(&sim, AT, &follow_up(&blocks)).await.json();
    assert_eq!(good["content"][1]["text"], "The tool answered: noon");
    let missing = post(&sim, AT, &follow_up(&blocks[1..])).await;
    assert_eq!(missing.status, 400);
    let mut forged = blocks.clone();
    forged[0]["signature"] = json!("other");
    let refused = post(&sim, AT, &follow_up(&forged)).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("Invalid `signature`"));
    let events = post(&sim, AT, &streamed(body.clone())).await.events();
    assert_eq!(deltas(&events, "signature"), blocks[0]["signature"]);
    let mut redacted = ask("[[think:3]][[redacted]]x");
    redacted["stream"] = json!(true);
    let events = post(&sim, AT, &redacted).await.events();
    assert_eq!(events[1]["content_block"]["type"], "redacted_thinking");
}

#[tokio::test]
async fn endings() {
    let sim = vendor().await;
    let ending = async |body: Value| {
        let whole = post(&sim, AT, &body).await.json();
        let events = post(&sim, AT, &streamed(body)).await.events();
        let last = events.iter().find(|event| event["type"] == "message_delta").unwrap();
        assert_eq!(last["delta"]["stop_reason"], whole["stop_reason"]);
        (whole["stop_reason"].clone(), whole["stop_sequence"].clone())
    };
    assert_eq!(ending(ask("x")).await, (json!("end_turn"), Value::Null));
    assert_eq!(ending(ask("[[filter]]x")).await.0, "refusal");
    assert_eq!(ending(ask("[[refusal]]")).await.0, "refusal");
    let mut stop = ask("[[say:one two]]");
    stop["stop_sequences"] = json!([" two"]);
    assert_eq!(ending(stop).await, (json!("stop_sequence"), json!(" two")));
    let mut short = ask("[[len:9]]");
    short["max_tokens"] = json!(3);
    assert_eq!(ending(short).await.0, "max_tokens");
}

#[tokio::test]
async fn structured_output_and_images() {
    let sim = vendor().await;
    let mut body = ask("x");
    body["output_config"] =
        json!({"format": {"type": "json_schema", "schema": {"properties": {"n": {"type": "integer"}}}}});
    body["messages"][0]["content"] = json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}},
        {"type": "text", "text": "what?"}
    ]);
    let answer = post(&sim, AT, &body).await.json();
    assert_eq!(answer["content"][0]["text"], r#"{"n":1}"#);
    assert_eq!(answer["usage"]["input_tokens"], 258 + 2);
}

#[tokio::test]
async fn wrong_requests_get_the_vendors_words() {
    let models = [ModelSpec { max_output: 5000, ..ModelSpec::new("c") }];
    let sim = Sim::start(VendorSpec::anthropic("a").models(models)).await.unwrap();
    let with = |more: Value| {
        let mut body = ask("x");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let turn = |role: &str, content: Value| json!({"role": role, "content": content});
    let call = json!([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]);
    let cases = [
        (json!({"model": "c", "messages": [turn("user", json!("x"))]}), "max_tokens: Field required"),
        (json!({"model": "c", "max_tokens": 5}), "messages: Field required"),
        (with(json!({"n": 2})), "n: Extra inputs are not permitted"),
        (with(json!({"metadata": {"team": "a"}})), "metadata.team: Extra inputs"),
        (with(json!({"messages": [turn("system", json!("x"))]})), "Unexpected role"),
        (with(json!({"messages": [turn("user", json!(""))]})), "must be non-empty"),
        (with(json!({"temperature": 1.5})), "temperature"),
        (with(json!({"max_tokens": 9999})), "maximum allowed number of output tokens"),
        (with(json!({"tool_choice": {"type": "auto"}})), "tool_choice"),
        (with(json!({"thinking": {"type": "enabled", "budget_tokens": 10}})), "budget_tokens"),
        (
            with(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "temperature": 0.5})),
            "temperature",
        ),
        (
            with(
                json!({"messages": [turn("user", json!("x")), turn("assistant", call.clone()), turn("user", json!("y"))]}),
            ),
            "tool_use",
        ),
        (with(json!({"messages": [turn("user", json!("x")), turn("assistant", call)]})), "tool_use"),
        (
            with(json!({"messages": [turn("user", json!([{"type": "tool_result", "tool_use_id": "z"}]))]})),
            "tool_use_id",
        ),
    ];
    for (body, words) in cases {
        let got = post(&sim, AT, &body).await;
        let error = got.json();
        assert_eq!(
            (got.status.as_u16(), &error["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{body}"
        );
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{error}");
    }
    let mut bare = request(&sim, AT, &ask("x"));
    bare.headers_mut().remove("anthropic-version");
    assert!(send(&sim, bare).await.text().contains("anthropic-version"));
    let gone = post(&sim, AT, &with(json!({"model": "gone"}))).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(get(&sim, "/models").await.json()["data"][0]["id"], "c");
    assert!(sim.bills().is_empty());
}

#[tokio::test]
async fn refusals_in_the_dialect() {
    let cases = [
        (Fault::Overloaded, 529, "overloaded_error"),
        (Fault::RateLimited(tollgate_sim::RetryAfter::Seconds(1)), 429, "rate_limit_error"),
        (Fault::Status(500), 500, "api_error"),
        (Fault::QuotaExhausted, 400, "invalid_request_error"),
        (Fault::WrongKey, 401, "authentication_error"),
        (Fault::Retired, 404, "not_found_error"),
    ];
    for (fault, status, kind) in cases {
        let sim = Sim::start(VendorSpec::anthropic("a").faults([fault.always()])).await.unwrap();
        let got = post(&sim, AT, &ask("x")).await;
        assert_eq!((got.status.as_u16(), &got.json()["error"]["type"]), (status, &json!(kind)));
    }
    let keys = Keys::Only(vec!["other".into()]);
    let sim = Sim::start(VendorSpec { keys, ..VendorSpec::anthropic("a") }).await.unwrap();
    assert_eq!(post(&sim, AT, &ask("x")).await.status, 401);
}

#[tokio::test]
async fn fn2_24_overload_inside_a_200_is_a_named_event() {
    let fault = Fault::ErrorInOk { after: 1 }.always();
    let sim = Sim::start(VendorSpec::anthropic("a").faults([fault])).await.unwrap();
    let got = post(&sim, AT, &streamed(ask("x"))).await;
    assert!(got.text().contains("event: error\n"));
    assert_eq!(got.events()[1]["error"]["type"], "overloaded_error");
    assert!(!got.text().contains("message_stop"));
}

#[tokio::test]
async fn usage_may_be_missing() {
    let fault = Fault::Usage(UsageStyle::Missing).always();
    let sim = Sim::start(VendorSpec::anthropic("a").faults([fault])).await.unwrap();
    let events = post(&sim, AT, &streamed(ask("x"))).await;
    assert!(!events.text().contains("usage"));
    assert!(!post(&sim, AT, &ask("x")).await.text().contains("usage"));
}
