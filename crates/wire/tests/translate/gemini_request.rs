//! Gemini, rule by rule: requests. Whole conversations are in `golden.rs`.

use serde_json::{Value, json};

use crate::support::{self, To, encode, to};
use crate::wire::{Dialect, Op};

const D: Dialect = Dialect::Gemini;
const OLD: &str = "gemini-2.5-flash";
const NEW: &str = "gemini-3-flash-preview";

fn ask(extra: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn sent(model: &str, extra: Value) -> (Value, Vec<String>) {
    encode(D, &to(model), &ask(extra)).unwrap()
}

fn refused(model: &str, extra: Value) -> String {
    encode(D, &to(model), &ask(extra)).unwrap_err().field
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}])
}

fn tool_loop(first: &str, second: &str) -> Value {
    json!([
        {"role": "user", "content": "weather in Oslo and Rome?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": first, "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
            {"id": second, "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": second, "content": "{\"hour\": 9}"},
        {"role": "tool", "tool_call_id": first, "content": "rain"},
        {"role": "user", "content": "in Celsius"},
    ])
}

#[test]
fn path_names_the_model_and_the_method() {
    let path =
        |op, body: &Value| support::begin(D, op, &to("models/gemini-2.5-flash"), body).unwrap().outbound.path;
    assert_eq!(path(Op::Chat, &ask(json!({}))), "/models/gemini-2.5-flash:generateContent");
    assert_eq!(
        path(Op::Chat, &ask(json!({"stream": true}))),
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(
        path(Op::Embedding, &json!({"model": "m", "input": "x"})),
        "/models/gemini-2.5-flash:batchEmbedContents"
    );
    let error =
        support::begin(D, Op::Completion, &to(OLD), &json!({"model": "m", "prompt": "x"})).err().unwrap();
    assert_eq!(error.field, "/v1/completions");
}

#[test]
fn fn2_18_system_is_hoisted_and_roles_alternate() {
    let (body, _) = sent(
        OLD,
        json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": "three"},
            {"role": "developer", "content": "in French"},
            {"role": "user", "content": "four"},
        ]}),
    );
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "be brief"}, {"text": "in French"}]}));
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]},
            {"role": "model", "parts": [{"text": "three"}]},
            {"role": "user", "parts": [{"text": "four"}]},
        ])
    );
}

#[test]
fn fn2_13_results_are_positional_and_in_a_turn_of_their_own() {
    let (body, _) = sent(OLD, json!({"tools": weather(), "messages": tool_loop("a", "b")}));
    let contents = body["contents"].as_array().unwrap();
    assert_eq!(contents.len(), 4);
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"result": "rain"}}},
            {"functionResponse": {"name": "now", "response": {"hour": 9}}},
        ]})
    );
    assert_eq!(contents[3], json!({"role": "user", "parts": [{"text": "in Celsius"}]}));
    assert!(contents[1]["parts"][0]["functionCall"].get("id").is_none(), "Vertex refuses ids");
    let stray =
        json!([{"role": "user", "content": "q"}, {"role": "tool", "tool_call_id": "x", "content": "r"}]);
    assert_eq!(refused(OLD, json!({"messages": stray})), "messages[1].tool_call_id");
}

#[test]
fn fn2_13_a_signature_in_the_id_goes_back_to_its_call() {
    let signed = "call_9_0__thought__c2ln";
    let (body, dropped) = sent(NEW, json!({"tools": weather(), "messages": tool_loop(signed, "call_9_1")}));
    let parts = &body["contents"][1]["parts"];
    assert_eq!(parts[0]["thoughtSignature"], "c2ln");
    assert!(parts[1].get("thoughtSignature").is_none(), "only the first of parallel calls is signed");
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["name"], "weather");
    assert!(dropped.is_empty());
}

#[test]
fn fn2_13_calls_without_a_signature_are_marked_from_generation_3() {
    let first = |model| {
        sent(model, json!({"tools": weather(), "messages": tool_loop("a", "b")})).0["contents"][1]["parts"][0]
            .clone()
    };
    assert_eq!(first(NEW)["thoughtSignature"], "skip_thought_signature_validator");
    assert!(first(OLD).get("thoughtSignature").is_none());
}

#[test]
fn fn2_13_a_moved_conversation_loses_its_signatures_and_says_so() {
    let body = ask(json!({"tools": weather(), "messages": tool_loop("c__thought__c2ln", "d")}));
    let (out, dropped) = encode(D, &To { moved: true, ..to(NEW) }, &body).unwrap();
    assert_eq!(out["contents"][1]["parts"][0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(dropped, ["messages[].tool_calls[].id (signature)"]);
}

#[test]
fn fn2_13_googles_own_place_for_signatures_is_read() {
    let mut messages = tool_loop("a", "b");
    messages[1]["tool_calls"][0]["extra_content"] = json!({"google": {"thought_signature": "c2ln"}});
    let (body, _) = sent(NEW, json!({"tools": weather(), "messages": messages}));
    assert_eq!(body["contents"][1]["parts"][0]["thoughtSignature"], "c2ln");
}

#[test]
fn fn2_14_signed_text_is_replayed_and_other_vendors_reasoning_is_not() {
    let said = |details: Value| {
        json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_details": details},
            {"role": "user", "content": "q"}])
    };
    let own =
        json!([{"type": "reasoning.encrypted", "data": "c2ln", "format": "google-gemini-v1", "index": 0}]);
    let (body, dropped) = sent(NEW, json!({"messages": said(own)}));
    assert_eq!(body["contents"][1]["parts"][0], json!({"text": "a", "thoughtSignature": "c2ln"}));
    assert!(dropped.is_empty());
    let other =
        json!([{"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1"}]);
    let (body, dropped) = sent(NEW, json!({"messages": said(other)}));
    assert_eq!(body["contents"][1]["parts"][0], json!({"text": "a"}));
    assert_eq!(dropped, ["messages[].reasoning_details"]);
}

#[test]
fn fn2_20_images_by_value_only() {
    let parts = json!([
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]);
    let (body, _) = sent(OLD, json!({"messages": [{"role": "user", "content": parts}]}));
    let types: Vec<_> = body["contents"][0]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["inlineData"]["mimeType"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["image/png", "audio/wav", "application/pdf"]);
    let url = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
    let error =
        encode(D, &to(OLD), &ask(json!({"messages": [{"role": "user", "content": url}]}))).unwrap_err();
    assert_eq!(error.field, "messages[0].content[0].image_url.url");
    assert!(error.why.contains("never fetched"));
}

#[test]
fn fn2_19_schemas_are_converted_where_they_stand() {
    let schema = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"],
        "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
    let (body, _) = sent(OLD, json!({"response_format": format}));
    let config = &body["generationConfig"];
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseSchema"]["properties"]["a"], json!({"type": "STRING", "nullable": true}));
    let (body, _) = sent(OLD, json!({"response_format": {"type": "json_object"}}));
    assert_eq!(body["generationConfig"], json!({"responseMimeType": "application/json"}));
    let both = json!({"response_format": format, "tools": weather()});
    assert_eq!(refused(OLD, both.clone()), "response_format");
    assert!(sent(NEW, both).0["generationConfig"].get("responseSchema").is_some());
    let bad = json!([{"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"x": {"type": "array"}}}}}]);
    assert_eq!(refused(OLD, json!({"tools": bad})), "tools[0].function.parameters.properties.x.items");
}

#[test]
fn tool_choice_in_the_vendors_words() {
    let choice = |choice: Value| {
        sent(OLD, json!({"tools": weather(), "tool_choice": choice})).0["toolConfig"]["functionCallingConfig"]
            .clone()
    };
    assert_eq!(choice(json!("auto")), json!({"mode": "AUTO"}));
    assert_eq!(choice(json!("none")), json!({"mode": "NONE"}));
    assert_eq!(choice(json!("required")), json!({"mode": "ANY"}));
    let named = json!({"type": "function", "function": {"name": "weather"}});
    assert_eq!(choice(named), json!({"mode": "ANY", "allowedFunctionNames": ["weather"]}));
    assert_eq!(
        refused(OLD, json!({"tools": weather(), "parallel_tool_calls": false})),
        "parallel_tool_calls"
    );
}

#[test]
fn fn2_34_tool_order_is_kept_and_parameters_may_be_missing() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "description": "d"}});
    let mut empty = tool("m");
    empty["function"]["parameters"] =
        json!({"type": "object", "properties": {}, "additionalProperties": false});
    let (body, _) = sent(OLD, json!({"tools": [tool("z"), tool("a"), empty]}));
    assert_eq!(
        body["tools"],
        json!([{"functionDeclarations": [
            {"name": "z", "description": "d"}, {"name": "a", "description": "d"}, {"name": "m", "description": "d"}]}])
    );
}

#[test]
fn sampling_limits_and_what_is_dropped() {
    let (body, dropped) = sent(
        OLD,
        json!({
            "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 5, "n": 2, "stop": ["a", "b"], "max_tokens": 9,
            "frequency_penalty": 0.5, "user": "u", "cache_control": {"type": "ephemeral"}}),
    );
    assert_eq!(
        body["generationConfig"],
        json!({
            "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 3, "seed": 5, "candidateCount": 2,
            "stopSequences": ["a", "b"]})
    );
    assert_eq!(dropped, ["frequency_penalty", "cache_control", "user"]);
    let (body, dropped) =
        sent("gemini-2.0-flash", json!({"frequency_penalty": 0.5, "presence_penalty": 0.1}));
    assert_eq!(body["generationConfig"], json!({"frequencyPenalty": 0.5, "presencePenalty": 0.1}));
    assert!(dropped.is_empty());
}

#[test]
fn fn2_15_effort_by_generation() {
    let config = |model| {
        sent(model, json!({"reasoning_effort": "low"})).0["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(config(OLD), json!({"thinkingBudget": 1024, "includeThoughts": true}));
    assert_eq!(config(NEW), json!({"thinkingLevel": "low", "includeThoughts": true}));
}

fn embed(body: Value) -> Result<(Value, Vec<String>), String> {
    let sent = support::begin(D, Op::Embedding, &to("gemini-embedding-001"), &body).map_err(|e| e.field)?;
    Ok((serde_json::from_slice(&sent.outbound.body.concat()).unwrap(), sent.dropped))
}

#[test]
fn fn2_35_embeddings_and_their_dimensions() {
    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 256, "encoding_format": "base64", "user": "u"});
    let (out, dropped) = embed(body).unwrap();
    assert_eq!(
        out["requests"][1],
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 256})
    );
    assert_eq!(out["requests"].as_array().unwrap().len(), 2);
    assert_eq!(dropped, ["user"]);
    assert_eq!(embed(json!({"model": "m", "input": [[1, 2]]})).unwrap_err(), "input");
    assert_eq!(embed(json!({"model": "m", "input": "x", "truncate": true})).unwrap_err(), "truncate");
}
