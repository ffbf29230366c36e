//! Anthropic Messages, rule by rule. Whole conversations are in `golden.rs`.

use crate::support::{self, To, encode, refusal, reply, stream, to, whole};
use crate::wire::{Blame, Content, Dialect, ErrorKind, Finish, Op, Part, Retry, ToolFragment};
use catalog::Tier;
use serde_json::{Value, json};

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

fn start(usage: Value) -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-served", "content": [],
        "stop_reason": null, "usage": usage}})
}

fn block(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn close(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn stop(reason: &str, usage: Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage})
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
        let error = support::begin(D, op, &to(OLD), &json!({"model": "m", "input": "x"})).err().unwrap();
        assert_eq!(error.field, path);
    }
}

#[test]
fn fn2_22_path_and_version_header() {
    let sent = support::begin(D, Op::Chat, &to(OLD), &ask(json!({}))).unwrap();
    assert_eq!(sent.outbound.path, "/messages");
    assert_eq!(sent.outbound.headers["anthropic-version"], "2023-06-01");
}

fn message(content: Value, reason: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-served", "content": content,
        "stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 4}})
}

fn finish_of(reason: &str) -> Option<Finish> {
    whole(D, OLD, &message(json!([{"type": "text", "text": "x"}]), reason)).unwrap().ending.finish
}

#[test]
fn fn2_09_stop_reasons() {
    assert_eq!(finish_of("end_turn"), Some(Finish::Stop));
    assert_eq!(finish_of("stop_sequence"), Some(Finish::Stop));
    assert_eq!(finish_of("max_tokens"), Some(Finish::Length));
    assert_eq!(finish_of("model_context_window_exceeded"), Some(Finish::Length));
    assert_eq!(finish_of("pause_turn"), Some(Finish::Length));
    assert_eq!(finish_of("tool_use"), Some(Finish::ToolCalls));
    assert_eq!(finish_of("refusal"), Some(Finish::ContentFilter));
    let error = whole(D, OLD, &message(json!([]), "brand_new")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Garbled);
}

#[test]
fn a_whole_answer_with_everything() {
    let answer = whole(
        D,
        OLD,
        &message(
            json!([
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Let me "}, {"type": "text", "text": "look."},
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "u", "name": "now"},
            ]),
            "tool_use",
        ),
    )
    .unwrap();
    let Content::Choices(choices) = answer.content else { panic!("choices") };
    assert_eq!(choices[0].text.as_deref(), Some("Let me look."));
    assert_eq!(choices[0].reasoning.as_deref(), Some("hm"));
    assert_eq!(choices[0].reasoning_details.len(), 2);
    assert_eq!(choices[0].tool_calls[0].arguments, r#"{"city":"Oslo"}"#);
    assert_eq!(choices[0].tool_calls[1].arguments, "{}");
    assert_eq!(answer.ending.served_model.as_deref(), Some("claude-x-served"));
    assert!(answer.ending.complete);
}

#[test]
fn fn2_14_what_the_client_gets_is_what_goes_back() {
    let answer = whole(
        D,
        OLD,
        &message(json!([{"type": "thinking", "thinking": "hm", "signature": "sig=="}]), "end_turn"),
    );
    let Content::Choices(choices) = answer.unwrap().content else { panic!("choices") };
    let detail: Value = serde_json::from_str(&choices[0].reasoning_details[0]).unwrap();
    assert_eq!(detail, thought());
}

#[test]
fn fn1_05_an_error_inside_http_200_is_an_error() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let seen = whole(D, OLD, &error).unwrap_err();
    assert_eq!((seen.kind, seen.status, seen.maybe_billed), (ErrorKind::Overloaded, Some(200), false));
    let streamed = stream(D, OLD, &[start(json!({"input_tokens": 1})), error]);
    let seen = streamed.error.unwrap();
    assert_eq!((seen.kind, seen.retry), (ErrorKind::Overloaded, Retry::Anywhere));
    assert!(!streamed.ending.complete);
}

#[test]
fn fn2_11_blocks_are_renumbered_to_tool_calls() {
    let streamed = stream(
        D,
        OLD,
        &[
            start(json!({"input_tokens": 1})),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": "Looking"})),
            close(0),
            block(1, json!({"type": "tool_use", "id": "a", "name": "one", "input": {}})),
            delta(1, json!({"type": "input_json_delta", "partial_json": ""})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "{\"x\":"})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "1}"})),
            close(1),
            block(2, json!({"type": "tool_use", "id": "b", "name": "two", "input": {}})),
            close(2),
            stop("tool_use", json!({"output_tokens": 9})),
        ],
    );
    let fragment = |index, id: Option<&str>, name: Option<&str>, arguments: &str| {
        Part::ToolCall(ToolFragment {
            index,
            id: id.map(Into::into),
            name: name.map(Into::into),
            arguments: arguments.into(),
        })
    };
    assert_eq!(
        streamed.parts(),
        [
            Part::Text("Looking".into()),
            fragment(0, Some("a"), Some("one"), ""),
            fragment(0, None, None, "{\"x\":"),
            fragment(0, None, None, "1}"),
            fragment(1, Some("b"), Some("two"), ""),
            fragment(1, None, None, "{}"),
            Part::Finish(Finish::ToolCalls),
        ]
    );
    assert!(streamed.ending.complete);
}

#[test]
fn fn2_02_anthropic_stream_usage_replaces_never_adds() {
    let streamed = stream(
        D,
        OLD,
        &[
            start(json!({
                "input_tokens": 20, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 40,
                "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 2, "service_tier": "priority"})),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": "hi"})),
            close(0),
            stop(
                "end_turn",
                json!({
                "input_tokens": 20, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 40,
                "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 10}}),
            ),
            json!({"type": "message_stop"}),
        ],
    );
    let usage = streamed.ending.usage.unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h), (20, 500, 40, 0));
    assert_eq!((usage.output, usage.reasoning), (20, 10));
    assert_eq!(streamed.ending.tier, Some(Tier::Priority));
}

#[test]
fn fn1_01_streamed_and_whole_twins_use_the_same() {
    let usage = json!({
        "input_tokens": 11, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 9,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}, "output_tokens": 7});
    let mut buffered = message(json!([{"type": "text", "text": "hello"}]), "end_turn");
    buffered["usage"] = usage.clone();
    let buffered = whole(D, OLD, &buffered).unwrap().ending;
    let mut first = usage.clone();
    first["output_tokens"] = json!(1);
    let streamed = stream(
        D,
        OLD,
        &[
            start(first),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": "hello"})),
            close(0),
            stop("end_turn", json!({"output_tokens": 7})),
        ],
    );
    assert_eq!(streamed.ending.usage, buffered.usage);
    assert_eq!(streamed.ending.output_bytes, buffered.output_bytes);
    assert_eq!(streamed.ending.finish, buffered.finish);
}

#[test]
fn fn2_14_signatures_of_a_stream_come_as_one_detail() {
    let streamed = stream(
        D,
        OLD,
        &[
            start(json!({"input_tokens": 1})),
            block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "h"})),
            delta(0, json!({"type": "thinking_delta", "thinking": "m"})),
            delta(0, json!({"type": "signature_delta", "signature": "sig=="})),
            close(0),
            block(1, json!({"type": "redacted_thinking", "data": "xyz"})),
            close(1),
            stop("end_turn", json!({"output_tokens": 3})),
        ],
    );
    let parts = streamed.parts();
    assert_eq!(parts[..2], [Part::Reasoning("h".into()), Part::Reasoning("m".into())]);
    let Part::ReasoningDetail(detail) = &parts[2] else { panic!("{parts:?}") };
    assert_eq!(serde_json::from_str::<Value>(detail).unwrap(), thought());
    let Part::ReasoningDetail(sealed) = &parts[3] else { panic!("{parts:?}") };
    assert_eq!(serde_json::from_str::<Value>(sealed).unwrap()["index"], 1, "clients merge by index");
    assert_eq!((streamed.ending.reasoning_bytes, streamed.ending.output_bytes), (2, 0));
}

#[test]
fn fn2_29_ping_is_an_empty_chunk() {
    let streamed = stream(D, OLD, &[json!({"type": "ping"})]);
    assert_eq!(streamed.chunks.len(), 1);
    assert!(streamed.chunks[0].pieces.is_empty() && !streamed.chunks[0].content);
}

#[test]
fn fn2_23_server_tools_are_an_error_not_silence() {
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let streamed = stream(D, OLD, &[start(json!({})), block(0, search.clone())]);
    assert_eq!(streamed.error.unwrap().kind, ErrorKind::Garbled);
    assert_eq!(whole(D, OLD, &message(json!([search]), "end_turn")).unwrap_err().kind, ErrorKind::Garbled);
}

#[test]
fn fn1_05_a_cut_stream_is_not_complete_and_keeps_its_usage() {
    let streamed = stream(
        D,
        OLD,
        &[
            start(json!({"input_tokens": 12, "output_tokens": 1})),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": "half"})),
        ],
    );
    assert!(!streamed.ending.complete);
    assert_eq!(streamed.ending.finish, None);
    assert_eq!(streamed.ending.usage.unwrap().input, 12);
    assert_eq!(streamed.ending.output_bytes, 4);
}

#[test]
fn fn1_05_bad_json_in_a_stream_is_an_error() {
    let frame = crate::wire::sse::Frame {
        event: bytes::Bytes::new(),
        data: bytes::Bytes::from_static(b"{\"type\":"),
    };
    let error = reply(D, OLD).frame(frame, &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind, error.blame), (ErrorKind::Garbled, Blame::Vendor));
}

#[test]
fn fn2_24_26_refusals() {
    let body = |kind: &str, message: &str| {
        json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
    };
    let kind = |status, word: &str, message: &str| refusal(D, OLD, status, &body(word, message)).kind;
    assert_eq!(kind(529, "overloaded_error", "Overloaded"), ErrorKind::Overloaded);
    assert_eq!(kind(429, "rate_limit_error", "slow down"), ErrorKind::RateLimited);
    assert_eq!(
        kind(400, "invalid_request_error", "prompt is too long: 9 tokens > 8"),
        ErrorKind::ContextLength
    );
    assert_eq!(
        kind(400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
        ErrorKind::ContextLength
    );
    assert_eq!(
        kind(400, "invalid_request_error", "Your credit balance is too low to access the API."),
        ErrorKind::QuotaExhausted
    );
    assert_eq!(kind(402, "billing_error", "pay"), ErrorKind::QuotaExhausted);
    assert_eq!(kind(400, "invalid_request_error", "messages: bad"), ErrorKind::BadRequest);
    assert_eq!(
        kind(400, "invalid_request_error", "Output blocked by content filtering policy"),
        ErrorKind::ContentPolicy
    );
    assert_eq!(kind(401, "authentication_error", "invalid x-api-key"), ErrorKind::Credentials);
    assert_eq!(kind(403, "permission_error", "no"), ErrorKind::Credentials);
    assert_eq!(kind(404, "not_found_error", "model: claude-x"), ErrorKind::ModelNotFound);
    assert_eq!(kind(413, "request_too_large", "too large"), ErrorKind::ContextLength);
    assert_eq!(kind(500, "api_error", "oops"), ErrorKind::Server);
    assert_eq!(kind(504, "timeout_error", "late"), ErrorKind::Timeout);
    let html = refusal(D, OLD, 502, "<html>bad gateway</html>");
    assert_eq!((html.kind, html.status), (ErrorKind::Server, Some(502)));
    let key = refusal(D, OLD, 401, &body("authentication_error", "bad key sk-ant-secret"));
    assert!(!key.excerpt.contains("secret"));
    assert_eq!(key.code.as_deref(), Some("authentication_error"));
}

#[test]
fn fn2_09_a_refusal_says_why() {
    let mut refused = stop("refusal", json!({"output_tokens": 1}));
    refused["delta"]["stop_details"] =
        json!({"type": "refusal", "category": "cyber", "explanation": "not that"});
    let streamed = stream(D, OLD, &[start(json!({"input_tokens": 1})), refused]);
    assert_eq!(streamed.parts(), [Part::Refusal("not that".into()), Part::Finish(Finish::ContentFilter)]);
}
