//! Anthropic Messages, rule by rule: answers, streams and errors.

use catalog::{Basis, Tier};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::support::{refusal, reply, stream, whole};
use crate::wire::{Blame, Content, Dialect, ErrorKind, Finish, Part, Retry, ToolFragment};

const D: Dialect = Dialect::Anthropic;
const OLD: &str = "claude-sonnet-4-5";

fn thought() -> Value {
    json!({"type": "reasoning.text", "text": "hm", "signature": "sig==", "format": "anthropic-claude-v1", "index": 0})
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
    let mut reply = reply(D, OLD);
    let body = message(json!([search]), "end_turn").to_string();
    let error = reply.whole(&HeaderMap::new(), body.into()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Garbled);
    let usage = reply.end().usage.unwrap();
    assert_eq!((usage.input, usage.output), (3, 4), "what was billed is known all the same");
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
    let usage = streamed.ending.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.basis), (12, 1, Basis::Estimated));
    assert_eq!(streamed.ending.output_bytes, 4);
}

#[test]
fn fn2_28_one_bad_event_is_left_out_and_counted() {
    let bad =
        crate::wire::sse::Frame { data: bytes::Bytes::from_static(b"{\"type\":"), ..Default::default() };
    let mut reply = reply(D, OLD);
    reply.frame(bad, &mut Vec::new()).unwrap();
    let ending = reply.end();
    assert_eq!((ending.skipped_events, ending.complete), (1, false));
}

#[test]
fn fn2_11_a_delta_without_its_block_is_an_error() {
    let streamed = stream(D, OLD, &[start(json!({})), delta(0, json!({"type": "text_delta", "text": "x"}))]);
    let error = streamed.error.unwrap();
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
    let key = refusal(D, OLD, 401, &body("authentication_error", "bad key sk-ant-api03-verysecret"));
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
