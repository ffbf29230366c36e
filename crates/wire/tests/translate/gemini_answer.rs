//! Gemini, rule by rule: answers, streams and errors.

use bytes::Bytes;
use catalog::Basis;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::support::{self, refusal, reply, stream, to, whole};
use crate::wire::{Content, Dialect, ErrorKind, Finish, Op, Part, Retry, UpstreamError, door};

const D: Dialect = Dialect::Gemini;
const M: &str = "gemini-2.5-flash";

fn event(parts: Value, reason: Option<&str>) -> Value {
    let candidate = json!({"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0});
    json!({
        "candidates": [candidate], "modelVersion": "gemini-served", "responseId": "r-1_X",
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9}})
}

fn ends(reason: &str) -> Result<Option<Finish>, UpstreamError> {
    whole(D, M, &event(json!([{"text": "x"}]), Some(reason))).map(|answer| answer.ending.finish)
}

#[test]
fn fn2_09_finish_reasons() {
    assert_eq!(ends("STOP").unwrap(), Some(Finish::Stop));
    assert_eq!(ends("MAX_TOKENS").unwrap(), Some(Finish::Length));
    for filter in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"] {
        assert_eq!(ends(filter).unwrap(), Some(Finish::ContentFilter), "{filter}");
    }
    for broken in
        ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "A_NEW_ONE", "FINISH_REASON_UNSPECIFIED"]
    {
        let error = ends(broken).unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_deref(), error.maybe_billed),
            (ErrorKind::Garbled, Some(broken), true)
        );
    }
    assert_eq!(ends("OTHER").unwrap_err().kind, ErrorKind::Server);
}

#[test]
fn fn1_20_a_broken_ending_keeps_its_usage() {
    let mut reply = reply(D, M);
    let body = event(json!([]), Some("MALFORMED_FUNCTION_CALL")).to_string();
    assert!(reply.whole(&HeaderMap::new(), body.into()).is_err());
    assert_eq!(reply.end().usage.unwrap().input, 7);
}

#[test]
fn fn2_10_stop_with_a_call_means_tool_calls() {
    let call = json!([{"functionCall": {"name": "weather", "args": {"city": "Oslo", "days": 2}}}]);
    let answer = whole(D, M, &event(call.clone(), Some("STOP"))).unwrap();
    assert_eq!(answer.ending.finish, Some(Finish::ToolCalls));
    let Content::Choices(choices) = answer.content else { panic!("choices") };
    assert_eq!(choices[0].tool_calls[0].arguments, r#"{"city":"Oslo","days":2}"#);
    assert_eq!(choices[0].tool_calls[0].id, "call_r1X_0");
    let later = stream(D, M, &[event(call, None), event(json!([]), Some("STOP"))]);
    assert_eq!(later.ending.finish, Some(Finish::ToolCalls), "the call came in an earlier event");
}

#[test]
fn fn2_13_signatures_travel_in_the_id_and_come_back() {
    let parts = json!([
        {"functionCall": {"name": "weather", "args": {}}, "thoughtSignature": "ab+/cd=="},
        {"functionCall": {"name": "now"}},
    ]);
    let streamed = stream(D, M, &[event(parts, Some("STOP"))]);
    let ids: Vec<_> = streamed
        .parts()
        .into_iter()
        .filter_map(|part| if let Part::ToolCall(call) = part { call.id } else { None })
        .collect();
    assert_eq!(ids[1], "call_r1X_1");
    let calls = json!([
        {"id": ids[0], "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        {"id": ids[1], "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]);
    let next = json!({"model": "m", "messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": ids[0], "content": "rain"},
        {"role": "tool", "tool_call_id": ids[1], "content": "nine"}]});
    let (body, _) = support::encode(D, &to("gemini-3-flash-preview"), &next).unwrap();
    assert_eq!(body["contents"][1]["parts"][0]["thoughtSignature"], "ab+/cd==");
}

#[test]
fn ids_without_an_answer_id_count_the_messages() {
    let mut bare = event(json!([{"functionCall": {"name": "now"}}]), Some("STOP"));
    bare.as_object_mut().unwrap().remove("responseId");
    let Content::Choices(choices) = whole(D, M, &bare).unwrap().content else { panic!("choices") };
    assert_eq!(choices[0].tool_calls[0].id, "call_1_0");
}

#[test]
fn fn2_05_the_last_usage_is_the_whole_truth() {
    let usage = |candidates: u64, thoughts: u64| {
        json!({"usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 60,
            "candidatesTokenCount": candidates, "thoughtsTokenCount": thoughts,
            "totalTokenCount": 100 + candidates + thoughts}})
    };
    let mut first = event(json!([{"text": "a"}]), None);
    first["usageMetadata"] = usage(3, 10)["usageMetadata"].clone();
    let streamed = stream(D, M, &[first, event(json!([{"text": "b"}]), Some("STOP")), usage(8, 40)]);
    let usage = streamed.ending.usage.unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (40, 60, 8, 40));
    assert_eq!(usage.basis, Basis::Reported);
    assert!(streamed.ending.complete);
}

#[test]
fn fn2_06_no_done_is_needed_and_a_cut_stream_is_not_complete() {
    let streamed = stream(D, M, &[event(json!([{"text": "x"}]), Some("STOP"))]);
    assert!(streamed.ending.complete);
    let cut = stream(D, M, &[event(json!([{"text": "a long half of an answer"}]), None)]);
    assert!(!cut.ending.complete);
    let usage = cut.ending.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.basis), (7, 6, Basis::Estimated));
}

#[test]
fn fn1_01_streamed_and_whole_twins_use_the_same() {
    let last = json!({"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 15});
    let mut buffered = event(json!([{"text": "hm", "thought": true}, {"text": "hello"}]), Some("STOP"));
    buffered["usageMetadata"] = last.clone();
    let mut end = event(json!([{"text": "lo"}]), Some("STOP"));
    end["usageMetadata"] = last;
    let streamed = stream(
        D,
        M,
        &[event(json!([{"text": "hm", "thought": true}]), None), event(json!([{"text": "hel"}]), None), end],
    );
    let buffered = whole(D, M, &buffered).unwrap().ending;
    assert_eq!(streamed.ending.usage, buffered.usage);
    assert_eq!(
        (streamed.ending.output_bytes, streamed.ending.reasoning_bytes),
        (buffered.output_bytes, buffered.reasoning_bytes)
    );
}

#[test]
fn fn2_30_several_candidates_keep_their_index() {
    let both = json!({"candidates": [
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [{"text": "b"}]}}]});
    let streamed = stream(D, M, &[both]);
    assert!(!streamed.ending.complete, "the second candidate goes on");
    let end = json!({"candidates": [{"index": 1, "content": {"parts": []}, "finishReason": "MAX_TOKENS"}]});
    let start = json!({"candidates": [
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [{"text": "b"}]}}]});
    let streamed = stream(D, M, &[start, end]);
    assert!(streamed.ending.complete);
    assert_eq!(streamed.ending.finish, Some(Finish::Stop), "that of choice 0");
    assert_eq!(streamed.chunks[1].pieces[0].choice, 1);
}

#[test]
fn a_refused_prompt_is_a_content_filter_ending() {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}});
    let answer = whole(D, M, &blocked).unwrap();
    assert_eq!(answer.ending.finish, Some(Finish::ContentFilter));
    assert_eq!(answer.ending.usage.unwrap().input, 7);
    let streamed = stream(D, M, &[blocked]);
    assert!(streamed.ending.complete);
    assert_eq!(streamed.parts(), [Part::Finish(Finish::ContentFilter)]);
}

#[test]
fn fn2_23_parts_of_unknown_kind_are_an_error_not_silence() {
    let image = json!([{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]);
    let error = whole(D, M, &event(image, Some("STOP"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Garbled);
    assert!(error.excerpt.contains("inlineData"));
    let code = json!([{"executableCode": {"language": "PYTHON", "code": "1"}}]);
    assert!(stream(D, M, &[event(code, None)]).error.is_some());
    assert!(whole(D, M, &event(json!([{}]), Some("STOP"))).is_ok(), "an empty part says nothing");
    assert_eq!(whole(D, M, &json!({"candidates": []})).unwrap_err().kind, ErrorKind::Garbled);
}

#[test]
fn fn2_14_signed_text_comes_as_a_detail() {
    let parts = json!([{"text": "hi"}, {"text": "", "thoughtSignature": "c2ln"}]);
    let Content::Choices(choices) = whole(D, M, &event(parts, Some("STOP"))).unwrap().content else {
        panic!("choices")
    };
    let detail: Value = serde_json::from_str(&choices[0].reasoning_details[0]).unwrap();
    assert_eq!(
        detail,
        json!({"type": "reasoning.encrypted", "data": "c2ln", "format": "google-gemini-v1", "index": 0})
    );
}

fn error(code: u16, status: &str, message: &str, details: Value) -> Value {
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
}

#[test]
fn fn2_06_errors_come_as_an_object_or_an_array() {
    let one = error(503, "UNAVAILABLE", "The model is overloaded.", json!([]));
    let list = json!([one]);
    for body in [&one, &list] {
        let seen = refusal(D, M, 503, &body.to_string());
        assert_eq!((seen.kind, seen.code.as_deref()), (ErrorKind::Overloaded, Some("UNAVAILABLE")));
        let seen = whole(D, M, body).unwrap_err();
        assert_eq!((seen.kind, seen.status), (ErrorKind::Overloaded, Some(200)));
        let streamed = stream(D, M, &[event(json!([{"text": "a"}]), None), body.clone()]);
        assert_eq!(streamed.error.unwrap().kind, ErrorKind::Overloaded);
        assert!(!streamed.ending.complete);
    }
}

#[test]
fn fn2_24_resource_exhausted_with_its_wait() {
    let wait = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"});
    let minute = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]});
    let day = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]});
    let body = error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", json!([minute, wait]));
    let seen = refusal(D, M, 429, &body.to_string());
    assert_eq!(seen.kind, ErrorKind::RateLimited);
    assert_eq!(seen.retry_after.unwrap().as_millis(), 34_500);
    assert_eq!(whole(D, M, &body).unwrap_err().retry_after.unwrap().as_millis(), 34_500);
    let body = error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", json!([day, wait]));
    let seen = refusal(D, M, 429, &body.to_string());
    assert_eq!((seen.kind, seen.retry), (ErrorKind::QuotaExhausted, Retry::OtherKey));
}

#[test]
fn fn2_26_refusals() {
    let kind = |code: u16, status: &str, message: &str| {
        refusal(D, M, code, &error(code, status, message, json!([])).to_string()).kind
    };
    assert_eq!(kind(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), ErrorKind::BadRequest);
    assert_eq!(
        kind(
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8)."
        ),
        ErrorKind::ContextLength
    );
    assert_eq!(
        kind(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        ErrorKind::Credentials
    );
    assert_eq!(kind(400, "FAILED_PRECONDITION", "Enable billing"), ErrorKind::Credentials);
    assert_eq!(kind(403, "PERMISSION_DENIED", "no"), ErrorKind::Credentials);
    assert_eq!(kind(404, "NOT_FOUND", "models/x is not found"), ErrorKind::ModelNotFound);
    assert_eq!(kind(500, "INTERNAL", "oops"), ErrorKind::Server);
    assert_eq!(kind(504, "DEADLINE_EXCEEDED", "late"), ErrorKind::Timeout);
    assert_eq!(refusal(D, M, 502, "<html>").kind, ErrorKind::Server);
}

#[test]
fn fn2_28_one_bad_event_is_left_out_and_counted() {
    let mut reply = reply(D, M);
    let bad = crate::wire::sse::Frame { data: Bytes::from_static(b"{\"candidates\":"), ..Default::default() };
    reply.frame(bad, &mut Vec::new()).unwrap();
    assert_eq!(reply.end().skipped_events, 1);
}

#[test]
fn fn2_35_embeddings_in_both_encodings() {
    let vendor = json!({"embeddings": [{"values": [0.5, -1.0]}, {"values": [2, 0.25]}],
        "usageMetadata": {"promptTokenCount": 6}});
    for (format, expected) in [("float", json!([0.5, -1.0])), ("base64", json!("AAAAPwAAgL8="))] {
        let ask = json!({"model": "m", "input": ["a", "b"], "encoding_format": format});
        let door = door(Dialect::OpenAi).unwrap();
        let request = door.read(Op::Embedding, Bytes::from(ask.to_string())).unwrap();
        let mut reply = support::begin(D, Op::Embedding, &to("gemini-embedding-001"), &ask).unwrap().reply;
        let answer = reply.whole(&HeaderMap::new(), Bytes::from(vendor.to_string())).unwrap();
        assert_eq!(answer.ending.usage.unwrap().input, 6);
        let written: Value = serde_json::from_slice(&door.writer(&request).whole(&answer)).unwrap();
        assert_eq!(written["data"][0]["embedding"], expected);
        assert_eq!(written["usage"]["prompt_tokens"], 6);
    }
}
