//! The OpenAI dialect.

use serde_json::{Value, json};
use tollgate_sim::{AnswerKey, BillEnd, Framing, Keys, ModelSpec, Sim, Tally, VendorSpec};

use crate::client::{get, post, request, send};

const CHAT: &str = "/chat/completions";

fn chat(prompt: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": prompt}]})
}

fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}

fn spoken(events: &[Value]) -> String {
    events.iter().filter_map(|e| e.pointer("/choices/0/delta/content")?.as_str()).collect()
}

#[tokio::test]
async fn streamed_and_buffered_twins_say_and_cost_the_same() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    for prompt in ["hello", "[[think:9]][[cached:1]]ä€𝄞 wide", "[[len:77]]", "[[empty]]", "[[repeat]]"]
    {
        let whole = post(&sim, CHAT, &chat(prompt)).await.json();
        let asked = with(chat(prompt), json!({"stream": true, "stream_options": {"include_usage": true}}));
        let streamed = post(&sim, CHAT, &asked).await;
        let events = streamed.events();
        assert_eq!(streamed.data().last(), Some(&"[DONE]"));
        assert_eq!(spoken(&events), whole["choices"][0]["message"]["content"], "{prompt}");
        let usage = events.last().unwrap();
        assert_eq!((&usage["choices"], &usage["usage"]), (&json!([]), &whole["usage"]));
        assert!(events[0]["usage"].is_null() && events[0].get("usage").is_some(), "null before the last");
        let bills = sim.bills();
        let [.., buffered, streaming] = bills.as_slice() else { panic!("two bills") };
        assert_eq!(buffered.tally, streaming.tally);
        let output = buffered.tally.output + buffered.tally.reasoning;
        assert_eq!(whole["usage"]["prompt_tokens"], buffered.tally.input());
        assert_eq!(whole["usage"]["completion_tokens"], output);
    }
}

#[tokio::test]
async fn fn2_04_a_stream_has_no_usage_unless_asked() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let events = post(&sim, CHAT, &with(chat("x"), json!({"stream": true}))).await.events();
    assert!(events.len() > 3 && events.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn tool_calls_come_whole_and_in_fragments() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let tool =
        |name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!({"tools": [tool("add"), tool("now")]});
    let prompt = chat("[[tool:add {\"a\": 1, \"b\": [2, 3]}]][[tool:now]]");
    let whole = post(&sim, CHAT, &with(prompt.clone(), tools.clone())).await.json();
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"], json!({"name": "add", "arguments": "{\"a\": 1, \"b\": [2, 3]}"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let asked = with(with(prompt.clone(), tools.clone()), json!({"stream": true}));
    let events = post(&sim, CHAT, &asked).await.events();
    let mut arguments = [String::new(), String::new()];
    for delta in events.iter().filter_map(|e| e.pointer("/choices/0/delta/tool_calls/0")) {
        let i = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
        arguments[i] += delta["function"]["arguments"].as_str().unwrap();
    }
    assert_eq!(arguments[0], calls[0]["function"]["arguments"]);
    assert_eq!(arguments[1], "{}");
    let one = with(with(prompt, tools), json!({"parallel_tool_calls": false}));
    let one = post(&sim, CHAT, &one).await.json();
    assert_eq!(one["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tool_result_is_answered() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let call = json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}});
    let mut messages = vec![
        json!({"role": "user", "content": "[[tool:add]]"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
    ];
    let asked = json!({"model": "m", "messages": messages});
    let unanswered = post(&sim, CHAT, &asked).await;
    assert_eq!(unanswered.status, 400);
    messages.push(json!({"role": "tool", "tool_call_id": "c1", "content": "41"}));
    let answer = post(&sim, CHAT, &json!({"model": "m", "messages": messages})).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "The tool answered: 41");
}

#[tokio::test]
async fn structured_output_fits_its_schema() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a"]}}}});
    let format =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}});
    let answer = post(&sim, CHAT, &with(chat("x"), format)).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"n":1,"tags":["a"]}"#);
    let format = json!({"response_format": {"type": "json_object"}});
    let answer = post(&sim, CHAT, &with(chat("y"), format)).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"answer":"y"}"#);
}

#[tokio::test]
async fn choices_stop_and_bound() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let asked = with(chat("[[say:one two three]]"), json!({"n": 3, "stop": " three"}));
    let answer = post(&sim, CHAT, &asked).await.json();
    assert_eq!(answer["choices"][2]["message"]["content"], "one two");
    assert_eq!(answer["usage"]["completion_tokens"], 3 * 2);
    let asked = with(chat("[[len:50]]"), json!({"max_tokens": 5}));
    let answer = post(&sim, CHAT, &asked).await.json();
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
}

#[tokio::test]
async fn endings_other_than_stop() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let ending = async |prompt| post(&sim, CHAT, &chat(prompt)).await.json()["choices"][0].clone();
    assert_eq!(ending("[[filter]]").await["finish_reason"], "content_filter");
    let refused = ending("[[refusal]]").await;
    assert!(refused["message"]["content"].is_null() && refused["message"]["refusal"].is_string());
    assert!(ending("[[refuse]]").await["message"]["content"].as_str().unwrap().starts_with("I'm sorry"));
}

#[tokio::test]
async fn completions_and_embeddings() {
    let models = [ModelSpec::new("m"), ModelSpec::embedding("e", 4)];
    let sim = Sim::start(VendorSpec::openai("v").models(models)).await.unwrap();
    let asked = json!({"model": "m", "prompt": ["[[say:a b]]", "[[say:c]]"]});
    let whole = post(&sim, "/completions", &asked).await.json();
    assert_eq!((&whole["object"], &whole["choices"][1]["text"]), (&json!("text_completion"), &json!("c")));
    let events = post(&sim, "/completions", &with(asked, json!({"stream": true}))).await.events();
    assert_eq!(events[0]["choices"][0]["text"], "a b");
    let asked = json!({"model": "e", "input": ["one", "two"]});
    let floats = post(&sim, "/embeddings", &asked).await.json();
    assert_eq!(floats["data"][1]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    let base64 = post(&sim, "/embeddings", &with(asked, json!({"encoding_format": "base64"}))).await.json();
    assert_eq!(base64["data"][0]["embedding"].as_str().unwrap().len(), 24);
    assert_eq!(post(&sim, "/embeddings", &json!({"model": "m", "input": "x"})).await.status, 400);
}

#[tokio::test]
async fn models_are_listed() {
    let sim = Sim::start(VendorSpec::openai("v").models([ModelSpec::new("a/b")])).await.unwrap();
    assert_eq!(get(&sim, "/models").await.json()["data"][0]["id"], "a/b");
    assert_eq!(get(&sim, "/models/a/b").await.json()["object"], "model");
    assert_eq!(get(&sim, "/models/c").await.status, 404);
}

#[tokio::test]
async fn wrong_requests_get_the_vendors_words() {
    let reasoning = ModelSpec { reasoning: true, images: false, context: 50, ..ModelSpec::new("r") };
    let sim = Sim::start(VendorSpec::openai("v").models([ModelSpec::new("m"), reasoning])).await.unwrap();
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let image = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
    let cases = [
        (json!({"messages": user(json!("x"))}), 400, "missing_required_parameter"),
        (json!({"model": "m"}), 400, "missing_required_parameter"),
        (json!({"model": "m", "messages": []}), 400, "invalid_value"),
        (json!({"model": "m", "messages": [{"role": "king", "content": "x"}]}), 400, "invalid_value"),
        (json!({"model": "m", "messages": user(json!(5))}), 400, "invalid_value"),
        (json!({"model": "gone", "messages": user(json!("x"))}), 404, "model_not_found"),
        (with(chat("x"), json!({"stream_options": {"include_usage": true}})), 400, "invalid_value"),
        (with(chat("x"), json!({"tool_choice": "required"})), 400, "invalid_value"),
        (with(chat("x"), json!({"stream": "yes"})), 400, "invalid_value"),
        (with(chat("x"), json!({"model": "r", "max_tokens": 9})), 400, "unsupported_parameter"),
        (with(chat("x"), json!({"model": "r", "temperature": 0.2})), 400, "unsupported_parameter"),
        (json!({"model": "r", "messages": user(image)}), 400, "invalid_value"),
        (with(chat(&"x".repeat(300)), json!({"model": "r"})), 400, "context_length_exceeded"),
    ];
    for (body, status, code) in cases {
        let got = post(&sim, CHAT, &body).await;
        assert_eq!((got.status.as_u16(), &got.json()["error"]["code"]), (status, &json!(code)), "{body}");
    }
    assert!(sim.bills().is_empty());
    assert_eq!(sim.stats().calls, 0);
    assert_eq!(post(&sim, "/nowhere", &json!({})).await.status, 404);
    assert_eq!(get(&sim, CHAT).await.status, 405);
}

#[tokio::test]
async fn keys_are_checked_and_counted_but_never_kept() {
    let keys = Keys::Only(vec!["first-secret".into(), "second-secret".into()]);
    let sim = Sim::start(VendorSpec { keys, ..VendorSpec::openai("v") }).await.unwrap();
    let asked = |key: &str| {
        let mut asked = request(&sim, CHAT, &chat("x"));
        asked.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        asked
    };
    assert_eq!(send(&sim, asked("second-secret")).await.status, 200);
    let wrong = send(&sim, asked("third-secret")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    let stats = sim.stats();
    assert_eq!((stats.keys_seen, stats.wrong_keys, stats.refused), (2, 1, 1));
    let received = sim.received();
    assert_eq!((received[0].key, received[1].key), (Some(1), None));
    assert!(!format!("{received:?}").contains("secret"));
    assert_eq!(received[0].body, chat("x").to_string());
}

#[tokio::test]
async fn the_answer_key_tells_strong_from_weak() {
    let mut key = AnswerKey::default();
    key.insert("capital of Peru?", "Lima", Some("[[unsure]]"));
    let models = [ModelSpec::new("weak"), ModelSpec::strong("strong")];
    let spec = VendorSpec { answers: std::sync::Arc::new(key), ..VendorSpec::openai("v").models(models) };
    let sim = Sim::start(spec).await.unwrap();
    let said = async |model: &str| {
        let asked = with(chat("capital of Peru?"), json!({"model": model}));
        post(&sim, CHAT, &asked).await.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(said("strong").await, "Lima");
    assert!(said("weak").await.contains("not sure"));
}

#[tokio::test]
async fn fn2_28_frames_are_spelled_in_many_ways() {
    let plain = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let asked = with(chat("ä€𝄞"), json!({"stream": true}));
    let expected: Vec<String> =
        post(&plain, CHAT, &asked).await.data().iter().map(|s| (*s).to_owned()).collect();
    for framing in [Framing::Crlf, Framing::Tight, Framing::Commented] {
        let sim =
            Sim::start(VendorSpec { framing, write_bytes: 3, ..VendorSpec::openai("v") }).await.unwrap();
        let got = post(&sim, CHAT, &asked).await;
        let data = got.text().lines().filter_map(|line| line.strip_prefix("data:"));
        assert_eq!(
            data.map(|data| data.trim_start().to_owned()).collect::<Vec<_>>(),
            expected,
            "{framing:?}"
        );
    }
}

#[tokio::test]
async fn bills_carry_the_callers_id() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    let got = post(&sim, CHAT, &chat("[[say:four]]")).await;
    let bill = sim.bills().remove(0);
    assert_eq!(bill.id, got.json()["id"].as_str().unwrap());
    assert_eq!(bill.request_id.as_deref(), Some("from-the-test"));
    assert_eq!(
        (bill.end, bill.tally),
        (BillEnd::Complete, Tally { fresh: 3, output: 1, ..Tally::default() })
    );
}
