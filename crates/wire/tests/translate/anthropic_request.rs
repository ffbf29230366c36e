//! Anthropic Messages, rule by rule: requests. Whole conversations are in `golden.rs`.

use serde_json::{Value, json};

use crate::support::{self, To, encode, to};
use crate::wire::{Dialect, Op};

const D: Dialect = Dialect::Anthropic;
const OLD: &str = "claude-sonnet-4-5";
const NEW: &str = "claude-opus-4-7";

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

#[test]
fn fn2_17_max_tokens_is_always_sent() {
    assert_eq!(sent(OLD, json!({})).0["max_tokens"], 4096);
    assert_eq!(sent(OLD, json!({"max_tokens": 7})).0["max_tokens"], 7);
    assert_eq!(sent(OLD, json!({"max_tokens": 7, "max_completion_tokens": 9})).0["max_tokens"], 9);
    assert_eq!(sent(OLD, json!({"max_completion_tokens": 9, "max_tokens": 7})).0["max_tokens"], 9);
    let known = To { max_output: Some(64_000), ..to(OLD) };
    assert_eq!(encode(D, &known, &ask(json!({}))).unwrap().0["max_tokens"], 64_000);
}

#[test]
fn fn2_17_temperature_is_clamped_and_said() {
    let (body, dropped) = sent(OLD, json!({"temperature": 1.7}));
    assert_eq!(body["temperature"], 1.0);
    assert_eq!(dropped, ["temperature"]);
    let (body, dropped) = sent(OLD, json!({"temperature": 0.2}));
    assert_eq!(body["temperature"], 0.2);
    assert!(dropped.is_empty());
}

#[test]
fn fn2_14_sampling_is_left_out_where_the_model_refuses_it() {
    let (body, dropped) = sent(NEW, json!({"temperature": 0.2, "top_p": 0.9, "top_k": 5}));
    assert!(body.get("temperature").is_none() && body.get("top_p").is_none() && body.get("top_k").is_none());
    assert_eq!(dropped, ["temperature", "top_p", "top_k"]);
    let (_, dropped) = sent(NEW, json!({"temperature": 1, "top_p": 1}));
    assert!(dropped.is_empty(), "the default needs no word: {dropped:?}");
    let (body, dropped) = sent(OLD, json!({"temperature": 0.2, "top_p": 0.9}));
    assert_eq!(body["temperature"], 0.2);
    assert_eq!(dropped, ["top_p"], "this generation takes one of the two");
}

#[test]
fn fn2_14_reasoning_excludes_sampling_and_forced_tools() {
    let (body, dropped) = sent(OLD, json!({"reasoning_effort": "medium", "temperature": 0.3}));
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 8192}));
    assert!(body.get("temperature").is_none());
    assert_eq!(dropped, ["temperature"]);
    let forced = json!({"reasoning_effort": "high", "tools": weather(), "tool_choice": "required"});
    let (body, dropped) = sent(OLD, forced.clone());
    assert!(body.get("thinking").is_none());
    assert_eq!(body["tool_choice"]["type"], "any");
    assert_eq!(dropped, ["reasoning_effort"]);
    let (body, _) = sent("claude-opus-5", forced.clone());
    assert_eq!(body["thinking"]["type"], "disabled", "it would reason unasked");
    assert_eq!(refused("claude-opus-5-5", forced), "tool_choice");
}

#[test]
fn fn2_15_effort_becomes_a_budget_inside_max_tokens() {
    let (body, _) = sent(OLD, json!({"reasoning_effort": "high"}));
    assert_eq!(body["thinking"]["budget_tokens"], 24_576);
    assert_eq!(body["max_tokens"], 24_576 + 4_096);
    let (body, _) = sent(OLD, json!({"reasoning_effort": "high", "max_tokens": 5_000}));
    assert_eq!(body["thinking"]["budget_tokens"], 4_000);
    let (body, dropped) = sent(OLD, json!({"reasoning_effort": "high", "max_tokens": 900}));
    assert!(body.get("thinking").is_none());
    assert_eq!(dropped, ["reasoning_effort"]);
}

#[test]
fn fn2_15_effort_becomes_adaptive_by_generation() {
    let (body, _) = sent("claude-opus-4-6", json!({"reasoning_effort": "high"}));
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
    assert_eq!(body["output_config"]["effort"], "high");
    let (body, _) = sent(NEW, json!({"reasoning_effort": "xhigh"}));
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(body["output_config"]["effort"], "xhigh");
    let (body, dropped) = sent("claude-opus-4-6", json!({"reasoning_effort": "xhigh"}));
    assert_eq!(body["output_config"]["effort"], "high");
    assert_eq!(dropped, ["reasoning_effort"]);
}

#[test]
fn fn2_15_effort_none_by_generation() {
    let none = |model| sent(model, json!({"reasoning_effort": "none"}));
    assert!(none(OLD).0.get("thinking").is_none());
    assert_eq!(none("claude-sonnet-5").0["thinking"], json!({"type": "disabled"}));
    assert_eq!(none("claude-sonnet-5-5").0["thinking"], json!({"type": "between_tools"}));
    let (body, dropped) = none("claude-opus-5-5");
    assert!(body.get("thinking").is_none());
    assert_eq!(
        (body["output_config"]["effort"].clone(), dropped),
        (json!("low"), vec!["reasoning_effort".into()])
    );
}

#[test]
fn fn2_18_system_and_developer_are_hoisted() {
    let (body, _) = sent(
        OLD,
        json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": [{"type": "text", "text": "in French"}]},
        ]}),
    );
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "be brief"}, {"type": "text", "text": "in French"}])
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn fn2_18_instructions_alone_become_the_question() {
    let (body, _) = sent(OLD, json!({"messages": [{"role": "system", "content": "write a haiku"}]}));
    assert!(body.get("system").is_none());
    assert_eq!(body["messages"][0]["content"][0]["text"], "write a haiku");
}

#[test]
fn fn2_18_roles_alternate_and_blank_text_is_left_out() {
    let (body, _) = sent(
        OLD,
        json!({"messages": [
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": "three"},
            {"role": "user", "content": "four"},
        ]}),
    );
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(body["messages"][0]["content"].as_array().unwrap().len(), 2);
    assert_eq!(
        refused(OLD, json!({"messages": [{"role": "assistant", "content": "x"}]})),
        "messages[0].role"
    );
    assert_eq!(refused(OLD, json!({"messages": [{"role": "user", "content": ""}]})), "messages");
}

fn tool_loop(details: &Value) -> Value {
    json!([
        {"role": "user", "content": "weather in Oslo and Rome?"},
        {"role": "assistant", "content": null, "reasoning_details": details, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
            {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "tool", "tool_call_id": "t2", "content": "sun"},
        {"role": "user", "content": "in Celsius"},
    ])
}

#[test]
fn fn2_12_parallel_results_lie_in_one_user_turn() {
    let (body, _) = sent(OLD, json!({"tools": weather(), "messages": tool_loop(&json!([]))}));
    let turn = &body["messages"][2];
    assert_eq!(turn["role"], "user");
    let kinds: Vec<_> = turn["content"].as_array().unwrap().iter().map(|b| b["type"].clone()).collect();
    assert_eq!(kinds, ["tool_result", "tool_result", "text"]);
    assert_eq!(body["messages"][1]["content"][1]["input"], json!({}));
}

fn thought() -> Value {
    json!({"type": "reasoning.text", "text": "hm", "signature": "sig==", "format": "anthropic-claude-v1", "index": 0})
}

#[test]
fn fn2_14_reasoning_is_replayed_first_in_its_turn() {
    let sealed =
        json!({"type": "reasoning.encrypted", "data": "xyz", "format": "anthropic-claude-v1", "index": 1});
    let (body, dropped) =
        sent(OLD, json!({"tools": weather(), "messages": tool_loop(&json!([thought(), sealed]))}));
    let blocks = body["messages"][1]["content"].as_array().unwrap();
    assert_eq!(blocks[0], json!({"type": "thinking", "thinking": "hm", "signature": "sig=="}));
    assert_eq!(blocks[1], json!({"type": "redacted_thinking", "data": "xyz"}));
    assert_eq!(blocks[2]["type"], "tool_use");
    assert!(dropped.is_empty());
}

#[test]
fn fn2_14_a_moved_conversation_loses_its_signatures_and_says_so() {
    let body = ask(json!({"tools": weather(), "messages": tool_loop(&json!([thought()]))}));
    let (out, dropped) = encode(D, &To { moved: true, ..to(OLD) }, &body).unwrap();
    assert_eq!(out["messages"][1]["content"][0]["type"], "tool_use");
    assert_eq!(dropped, ["messages[].reasoning_details"]);
    let foreign =
        json!([{"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1", "index": 0}]);
    let (_, dropped) = sent(OLD, json!({"tools": weather(), "messages": tool_loop(&foreign)}));
    assert_eq!(dropped, ["messages[].reasoning_details"]);
}

#[test]
fn fn2_14_a_tool_loop_that_lost_its_reasoning_goes_on_without() {
    let mut messages = tool_loop(&json!([]));
    messages.as_array_mut().unwrap().pop();
    let extra = json!({"tools": weather(), "reasoning_effort": "low", "messages": messages});
    let (body, dropped) = sent(OLD, extra.clone());
    assert!(body.get("thinking").is_none());
    assert_eq!(dropped, ["reasoning_effort"]);
    assert_eq!(sent(NEW, extra).0["thinking"]["type"], "adaptive", "adaptive reasoning does not mind");
}

#[test]
fn fn2_34_cache_marks_and_tool_order_survive() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let mut last = tool("a");
    last["cache_control"] = mark.clone();
    let (body, _) = sent(
        OLD,
        json!({
            "tools": [tool("z"), last],
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": mark}]},
                {"role": "user", "content": "q"},
                {"role": "assistant", "tool_calls": [
                    {"id": "t", "function": {"name": "a", "arguments": "{}"}, "cache_control": mark}]},
                {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "r", "cache_control": mark}]},
                {"role": "user", "content": "more", "cache_control": mark},
            ],
        }),
    );
    assert_eq!(body["tools"][0]["name"], "z");
    assert_eq!(body["tools"][1]["cache_control"], mark);
    assert_eq!(body["system"][0]["cache_control"], mark);
    assert_eq!(body["messages"][1]["content"][0]["cache_control"], mark);
    assert_eq!(body["messages"][2]["content"][0]["cache_control"], mark, "on the result, not inside it");
    assert_eq!(body["messages"][2]["content"][1]["cache_control"], mark);
}

#[test]
fn fn1_17_the_same_request_gives_the_same_bytes() {
    let body = ask(json!({"tools": weather(), "temperature": 0.1, "stop": ["a"], "user": "u"}));
    let bytes =
        || -> Vec<u8> { support::begin(D, Op::Chat, &to(OLD), &body).unwrap().outbound.body.concat() };
    assert_eq!(bytes(), bytes());
}

#[test]
fn tool_choice_in_the_vendors_words() {
    let choice = |choice: Value| {
        sent(OLD, json!({"tools": weather(), "tool_choice": choice})).0["tool_choice"].clone()
    };
    assert_eq!(choice(json!("auto")), json!({"type": "auto"}));
    assert_eq!(choice(json!("none")), json!({"type": "none"}));
    assert_eq!(choice(json!("required")), json!({"type": "any"}));
    let named = json!({"type": "function", "function": {"name": "weather"}});
    assert_eq!(choice(named), json!({"type": "tool", "name": "weather"}));
    let (body, _) = sent(OLD, json!({"tools": weather(), "parallel_tool_calls": false}));
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(refused(OLD, json!({"tool_choice": "required"})), "tool_choice");
}

#[test]
fn a_schema_without_a_type_is_an_object() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    assert_eq!(sent(OLD, json!({"tools": tools})).0["tools"][0]["input_schema"], json!({"type": "object"}));
}

#[test]
fn a_turn_that_loses_all_its_blocks_leaves_no_gap() {
    let messages = json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "reasoning_details": [thought()]}, {"role": "user", "content": "b"}]);
    let body = ask(json!({"messages": messages}));
    let (out, _) = encode(D, &To { moved: true, ..to(OLD) }, &body).unwrap();
    assert_eq!(out["messages"].as_array().unwrap().len(), 1, "the two user messages meet");
    let (out, _) = encode(Dialect::Gemini, &To { moved: true, ..to("gemini-2.5-flash") }, &body).unwrap();
    assert_eq!(out["contents"].as_array().unwrap().len(), 1);
}

#[test]
fn earlier_calls_without_tools_are_declared_and_forbidden() {
    let (body, _) = sent(OLD, json!({"messages": tool_loop(&json!([]))}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[test]
fn fn2_19_a_schema_goes_to_output_config_or_is_refused() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "description": "an a", "schema": schema}});
    let (body, _) = sent(OLD, json!({"response_format": format}));
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    assert_eq!(body["output_config"]["format"]["schema"]["description"], "an a");
    assert_eq!(refused("claude-sonnet-4-20250514", json!({"response_format": format})), "response_format");
    let (body, dropped) = sent(OLD, json!({"response_format": {"type": "json_object"}}));
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON object"));
    assert_eq!(dropped, ["response_format"], "asked for in words is not enforced");
}

#[test]
fn fn2_20_images_and_files() {
    let parts = json!([
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]);
    let (body, dropped) = sent(OLD, json!({"messages": [{"role": "user", "content": parts}]}));
    let content = &body["messages"][0]["content"];
    assert_eq!(content[0]["source"], json!({"type": "base64", "media_type": "image/png", "data": "aGk="}));
    assert_eq!(content[1]["source"], json!({"type": "url", "url": "https://example.com/a.png"}));
    assert_eq!(
        (content[2]["type"].clone(), content[2]["title"].clone()),
        (json!("document"), json!("a.pdf"))
    );
    assert_eq!(dropped, ["messages[].content[].image_url.detail"]);
    let at = |part: Value| refused(OLD, json!({"messages": [{"role": "user", "content": [part]}]}));
    let audio = json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}});
    assert_eq!(at(audio), "messages[0].content[0].input_audio");
    let stored = json!({"type": "file", "file": {"file_id": "file-1"}});
    assert_eq!(at(stored), "messages[0].content[0].file.file_id");
    let local = json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}});
    assert_eq!(at(local), "messages[0].content[0].image_url.url");
}

#[test]
fn fields_that_cannot_be_carried_are_named() {
    assert_eq!(refused(OLD, json!({"n": 2})), "n");
    assert_eq!(refused(OLD, json!({"logprobs": true})), "logprobs");
    assert_eq!(refused(OLD, json!({"stop": "\n"})), "stop");
    let (body, dropped) = sent(
        OLD,
        json!({"seed": 1, "frequency_penalty": 0.5, "presence_penalty": 0, "n": 1, "user": "u-1", "stop": "END"}),
    );
    assert_eq!(dropped, ["seed", "frequency_penalty"]);
    assert_eq!(body["metadata"], json!({"user_id": "u-1"}));
    assert_eq!(body["stop_sequences"], json!(["END"]));
}

#[test]
fn fn2_35_no_embeddings_and_no_completions_said_in_words() {
    for (op, path) in [(Op::Embedding, "/v1/embeddings"), (Op::Completion, "/v1/completions")] {
        let error = support::begin(D, op, &to(OLD), &json!({"model": "m", "input": "x", "prompt": "x"}))
            .err()
            .unwrap();
        assert_eq!(error.field, path);
    }
}

#[test]
fn fn2_22_path_and_version_header() {
    let sent = support::begin(D, Op::Chat, &to(OLD), &ask(json!({}))).unwrap();
    assert_eq!(sent.outbound.path, "/messages");
    assert_eq!(sent.outbound.headers["anthropic-version"], "2023-06-01");
}
