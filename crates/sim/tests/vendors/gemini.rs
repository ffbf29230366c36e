//! Gemini.

use serde_json::{Value, json};
use tollgate_sim::{Fault, Keys, ModelSpec, RetryAfter, Sim, Tally, UsageStyle, VendorSpec};

use crate::client::{get, post};

const WHOLE: &str = "/models/g:generateContent";
const SEALED: &str = "/models/gemini-3-flash:generateContent";
const SEALED_STREAM: &str = "/models/gemini-3-flash:streamGenerateContent?alt=sse";
const STREAM: &str = "/models/g:streamGenerateContent?alt=sse";

async fn vendor() -> Sim {
    Sim::start(VendorSpec::gemini("g")).await.unwrap()
}

fn ask(prompt: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]})
}

fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}

fn parts(events: &[Value]) -> Vec<Value> {
    events.iter().filter_map(|e| e.pointer("/candidates/0/content/parts/0")).cloned().collect()
}

fn text(parts: &[Value]) -> String {
    parts.iter().filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test]
async fn fn2_06_streamed_and_buffered_twins_agree_without_done() {
    let sim = vendor().await;
    let thinking = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    for body in [
        ask("hello"),
        ask("[[think:9]][[cached:2]]ä€𝄞 wide"),
        with(ask("[[think:9]]shown"), thinking),
        ask("[[len:77]]"),
        ask("[[refusal]]"),
    ] {
        let whole = post(&sim, WHOLE, &body).await.json();
        let got = post(&sim, STREAM, &body).await;
        let events = got.events();
        assert!(got.text().contains("\r\n\r\n") && !got.text().contains("[DONE]"));
        let said = whole["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
        assert_eq!(text(&parts(&events)), text(&said));
        let last = events.last().unwrap();
        assert_eq!(last["usageMetadata"], whole["usageMetadata"]);
        assert_eq!(last["candidates"][0]["finishReason"], whole["candidates"][0]["finishReason"]);
        let sums: Vec<u64> =
            events.iter().map(|e| e["usageMetadata"]["totalTokenCount"].as_u64().unwrap()).collect();
        assert!(sums.is_sorted(), "cumulative: {sums:?}");
        let bills = sim.bills();
        let [.., buffered, streaming] = bills.as_slice() else { panic!("two bills") };
        assert_eq!(buffered.tally, streaming.tally);
        let Tally { output, reasoning, .. } = buffered.tally;
        let count = |name: &str| whole["usageMetadata"][name].as_u64().unwrap_or_default();
        assert_eq!((count("candidatesTokenCount"), count("thoughtsTokenCount")), (output, reasoning));
        assert_eq!(count("totalTokenCount"), buffered.tally.input() + output + reasoning);
    }
}

#[tokio::test]
async fn fn2_13_a_call_comes_back_sealed_or_is_refused() {
    let sim = vendor().await;
    let declarations = json!([{"name": "now"}, {"name": "add", "parameters": {"type": "object"}}]);
    let body = with(
        ask("[[tool:add {\"a\": 1}]][[tool:now]]"),
        json!({"tools": [{"functionDeclarations": declarations}]}),
    );
    let whole = post(&sim, SEALED, &body).await.json();
    let called = whole["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
    assert_eq!(called[0]["functionCall"], json!({"name": "add", "args": {"a": 1}}));
    assert!(called[0]["thoughtSignature"].is_string() && called[1].get("thoughtSignature").is_none());
    assert_eq!(whole["candidates"][0]["finishReason"], "STOP", "as §2.10 says");
    assert_eq!(parts(&post(&sim, SEALED_STREAM, &body).await.events()), called);
    let follow_up = |called: &[Value], results: &[&str]| {
        let mut next = body.clone();
        let results: Vec<Value> = results
            .iter()
            .map(|name| json!({"functionResponse": {"name": name, "response": {"result": "5"}}}))
            .collect();
        let turns = next["contents"].as_array_mut().unwrap();
        turns.push(json!({"role": "model", "parts": called}));
        turns.push(json!({"role": "user", "parts": results}));
        next
    };
    let good = post(&sim, SEALED, &follow_up(&called, &["add", "now"])).await.json();
    assert_eq!(good["candidates"][0]["content"]["parts"][0]["text"], "The tool answered: 5, 5");
    let mut bare = called.clone();
    bare[0].as_object_mut().unwrap().remove("thoughtSignature");
    let refused = post(&sim, SEALED, &follow_up(&bare, &["add", "now"])).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("missing a thought_signature"));
    bare[0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    assert_eq!(post(&sim, SEALED, &follow_up(&bare, &["add", "now"])).await.status, 200);
    assert_eq!(post(&sim, SEALED, &follow_up(&called, &["add"])).await.status, 400);
    bare[0].as_object_mut().unwrap().remove("thoughtSignature");
    let older = post(&sim, WHOLE, &follow_up(&bare, &["add", "now"])).await;
    assert_eq!(older.status, 200, "models before Gemini 3 do not ask for it");
}

#[tokio::test]
async fn forced_calls_and_structured_output() {
    let sim = vendor().await;
    let declarations =
        json!([{"name": "a"}, {"name": "b", "parametersJsonSchema": {"properties": {"x": {"const": 3}}}}]);
    let forced = json!({
        "tools": [{"functionDeclarations": declarations}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["b"]}}
    });
    let answer = post(&sim, WHOLE, &with(ask("x"), forced)).await.json();
    assert_eq!(
        answer["candidates"][0]["content"]["parts"][0]["functionCall"],
        json!({"name": "b", "args": {"x": 3}})
    );
    let config = json!({"generation_config": {"response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}});
    let answer = post(&sim, WHOLE, &with(ask("x"), config)).await.json();
    assert_eq!(answer["candidates"][0]["content"]["parts"][0]["text"], r#"{"n":1}"#);
}

#[tokio::test]
async fn fn2_09_endings() {
    let sim = vendor().await;
    let ending = async |prompt| post(&sim, WHOLE, &ask(prompt)).await.json();
    let reason = async |prompt| ending(prompt).await["candidates"][0]["finishReason"].clone();
    assert_eq!(reason("[[filter]]x").await, "SAFETY");
    assert_eq!(reason("[[malformed]]").await, "MALFORMED_FUNCTION_CALL");
    let blocked = ending("[[blocked]]x").await;
    assert_eq!(blocked["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert!(blocked.get("candidates").is_none());
    let events = post(&sim, STREAM, &ask("[[blocked]]x")).await.events();
    assert_eq!(events.len(), 1);
    let config = json!({"generationConfig": {"maxOutputTokens": 3}});
    let short = post(&sim, WHOLE, &with(ask("[[len:9]]"), config)).await.json();
    assert_eq!(short["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[tokio::test]
async fn embeddings_one_and_many() {
    let sim = Sim::start(VendorSpec::gemini("g").models([ModelSpec::embedding("e", 6)])).await.unwrap();
    let content = |text: &str| json!({"parts": [{"text": text}]});
    let one = json!({"content": content("one"), "outputDimensionality": 3});
    let one = post(&sim, "/models/e:embedContent", &one).await.json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 3);
    let many = json!({"requests": [{"model": "models/e", "content": content("one")}, {"model": "models/e", "content": content("two")}]});
    let many = post(&sim, "/models/e:batchEmbedContents", &many).await.json();
    assert_eq!(many["embeddings"][1]["values"].as_array().unwrap().len(), 6);
    assert_eq!(many["usageMetadata"], json!({"promptTokenCount": 2}));
    let bill = sim.bills().pop().unwrap();
    assert_eq!(bill.tally, Tally { fresh: 2, ..Tally::default() });
}

#[tokio::test]
async fn wrong_requests_get_the_vendors_words() {
    let sim = Sim::start(VendorSpec::gemini("g").models([ModelSpec::new("g")])).await.unwrap();
    let turn = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    let cases = [
        (json!({}), "contents is not specified"),
        (with(ask("x"), json!({"messages": []})), "Unknown name \"messages\""),
        (with(ask("x"), json!({"generationConfig": {"max_tokens": 5}})), "Unknown name \"max_tokens\""),
        (ask(""), "must not be empty"),
        (json!({"contents": [turn("user", "x"), turn("user", "y")]}), "alternate"),
        (json!({"contents": [turn("assistant", "x")]}), "valid role"),
        (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
        (json!({"contents": [{"role": "user", "parts": [{"inlineData": {"data": "aa"}}]}]}), "MIME"),
        (
            with(ask("x"), json!({"generationConfig": {"responseSchema": {"type": "object"}}})),
            "response_mime_type",
        ),
        (
            with(
                ask("x"),
                json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object", "additionalProperties": false}}]}]}),
            ),
            "additionalProperties",
        ),
    ];
    for (body, words) in cases {
        let got = post(&sim, WHOLE, &body).await;
        let error = got.json();
        assert_eq!(
            (got.status.as_u16(), &error["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}"
        );
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{error}");
    }
    let gone = post(&sim, "/models/old:generateContent", &ask("x")).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    assert_eq!(get(&sim, "/models").await.json()["models"][0]["name"], "models/g");
    assert_eq!(get(&sim, "/models/g").await.json()["name"], "models/g");
}

#[tokio::test]
async fn refusals_in_the_dialect() {
    let cases = [
        (Fault::Overloaded, 503, "UNAVAILABLE"),
        (Fault::QuotaExhausted, 429, "RESOURCE_EXHAUSTED"),
        (Fault::Status(500), 500, "INTERNAL"),
        (Fault::WrongKey, 400, "INVALID_ARGUMENT"),
        (Fault::Retired, 404, "NOT_FOUND"),
    ];
    for (fault, status, word) in cases {
        let sim = Sim::start(VendorSpec::gemini("g").faults([fault.always()])).await.unwrap();
        let got = post(&sim, STREAM, &ask("x")).await;
        assert_eq!((got.status.as_u16(), &got.json()["error"]["status"]), (status, &json!(word)));
    }
    let keys = Keys::Only(vec!["other".into()]);
    let sim = Sim::start(VendorSpec { keys, ..VendorSpec::gemini("g") }).await.unwrap();
    let got = post(&sim, WHOLE, &ask("x")).await;
    assert_eq!(got.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    let got = post(&sim, "/models/g:generateContent?key=other", &ask("x")).await;
    assert_eq!(got.status, 400, "the header goes first");
    assert!(sim.received().iter().all(|received| !received.path.contains("other")));
}

#[tokio::test]
async fn fn2_06_errors_come_as_arrays_and_delays_in_the_body() {
    let sim = Sim::start(VendorSpec::gemini("g").faults([Fault::ErrorArray(503).always()])).await.unwrap();
    assert_eq!(post(&sim, STREAM, &ask("x")).await.json()[0]["error"]["status"], "UNAVAILABLE");
    sim.set_fault(Some(Fault::RateLimited(RetryAfter::Body(12))));
    let got = post(&sim, STREAM, &ask("x")).await.json();
    assert_eq!(got["error"]["details"][0]["retryDelay"], "12s");
    sim.set_fault(Some(Fault::ErrorInOk { after: 2 }));
    let events = post(&sim, STREAM, &ask("[[len:40]]")).await.events();
    assert_eq!((events.len(), &events[2]["error"]["code"]), (3, &json!(503)));
    sim.set_fault(Some(Fault::Usage(UsageStyle::EmptyDelta)));
    let events = post(&sim, STREAM, &ask("x")).await.events();
    let last = events.last().unwrap();
    assert!(last.get("candidates").is_none() && last["usageMetadata"].is_object());
}
