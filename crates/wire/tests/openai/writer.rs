//! What callers who speak OpenAI get: the vendor's own bytes, or what we write for another dialect's answer.

use bytes::{Bytes, BytesMut};
use catalog::{Basis, Usage};
use http::StatusCode;
use serde_json::{Value, json};

use crate::spec::check;
use crate::wire::{
    Answer, Choice, Chunk, Content, Dialect, Ending, ErrorKind, Finish, Op, Part, Piece, ToolCall,
    ToolFragment, UpstreamError, Writer, door,
};

fn writer_for(op: Op, body: &str) -> Box<dyn Writer> {
    let door = door(Dialect::OpenAi).unwrap();
    let mut request = door.read(op, Bytes::copy_from_slice(body.as_bytes())).unwrap();
    request.received_at_unix = 1_764_000_000;
    "01J".clone_into(&mut request.id);
    door.writer(&request)
}

fn chat_writer(usage: bool) -> Box<dyn Writer> {
    let body = format!(
        r#"{{"model":"auto","stream":true,"stream_options":{{"include_usage":{usage}}},"messages":[{{"role":"user","content":"a"}}]}}"#
    );
    writer_for(Op::Chat, &body)
}

fn usage() -> Usage {
    Usage {
        input: 10,
        cache_read: 30,
        cache_write_1h: 2,
        output: 7,
        reasoning: 3,
        basis: Basis::Reported,
        ..Usage::default()
    }
}

fn ending() -> Ending {
    Ending {
        complete: true,
        finish: Some(Finish::Stop),
        usage: Some(usage()),
        served_model: Some("claude-x".to_owned()),
        id: Some("msg_1".to_owned()),
        ..Ending::default()
    }
}

fn piece(choice: u32, part: Part) -> Piece {
    Piece { choice, part }
}

/// The `data:` payloads of a stream.
fn payloads(out: &BytesMut) -> Vec<String> {
    let text = std::str::from_utf8(out).unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    text.trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
}

fn translated(writer: &mut dyn Writer, pieces: Vec<Piece>) -> Vec<Value> {
    let mut out = BytesMut::new();
    for piece in pieces {
        writer.chunk(Chunk { pieces: vec![piece], ..Chunk::default() }, &mut out);
    }
    writer.end(&ending(), &mut out);
    let mut payloads = payloads(&out);
    assert_eq!(payloads.pop().unwrap(), "[DONE]");
    payloads.iter().map(|payload| serde_json::from_str(payload).unwrap()).collect()
}

fn call(index: u32, id: Option<&str>, arguments: &str) -> Part {
    let named = id.map(|_| "tide".to_owned());
    Part::ToolCall(ToolFragment {
        index,
        id: id.map(str::to_owned),
        name: named,
        arguments: arguments.to_owned(),
    })
}

#[test]
fn fn2_30_a_translated_stream_is_well_formed() {
    let chunks = translated(
        &mut *chat_writer(true),
        vec![
            piece(0, Part::Reasoning("hm".into())),
            piece(0, Part::ReasoningDetail(r#"{"type":"thinking","signature":"s"}"#.into())),
            piece(0, Part::Text("två\n\"båtar\"".into())),
            piece(0, call(0, Some("a"), "")),
            piece(0, call(0, None, "{\"port\":1}")),
            piece(0, call(1, Some("b"), "{}")),
            piece(0, Part::Refusal("no".into())),
            piece(0, Part::Finish(Finish::ToolCalls)),
        ],
    );
    for chunk in &chunks {
        check("CreateChatCompletionStreamResponse", chunk);
        assert_eq!(
            (&chunk["id"], &chunk["created"], &chunk["model"]),
            (&json!("chatcmpl-01J"), &json!(1_764_000_000), &json!("auto"))
        );
    }
    let deltas: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).map(|choice| &choice["delta"]).collect();
    let function = |name: Option<&str>, arguments: &str| match name {
        Some(name) => json!({"name": name, "arguments": arguments}),
        None => json!({"arguments": arguments}),
    };
    assert_eq!(
        deltas,
        [
            &json!({"role": "assistant", "reasoning_content": "hm"}),
            &json!({"reasoning_details": [{"type": "thinking", "signature": "s"}]}),
            &json!({"content": "två\n\"båtar\""}),
            &json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": function(Some("tide"), "")}]}),
            &json!({"tool_calls": [{"index": 0, "function": function(None, "{\"port\":1}")}]}),
            &json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": function(Some("tide"), "{}")}]}),
            &json!({"refusal": "no"}),
            &json!({}),
        ]
    );
    assert_eq!(chunks[7]["choices"][0]["finish_reason"], "tool_calls");
    assert!(chunks[..7].iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
}

#[test]
fn fn2_04_the_usage_chunk_comes_last_and_only_when_asked_for() {
    let text = || vec![piece(0, Part::Text("a".into())), piece(0, Part::Finish(Finish::Stop))];
    let asked = translated(&mut *chat_writer(true), text());
    assert_eq!((asked.len(), &asked[2]["choices"]), (3, &json!([])));
    assert_eq!(
        asked[2]["usage"],
        json!({"prompt_tokens": 42, "completion_tokens": 10, "total_tokens": 52,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 0, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0}})
    );
    assert_eq!(translated(&mut *chat_writer(false), text()).len(), 2);
}

#[test]
fn each_choice_gets_its_role_once() {
    let pieces =
        [(0, "a"), (1, "b"), (0, "c"), (1, "d")].map(|(choice, text)| piece(choice, Part::Text(text.into())));
    let chunks = translated(&mut *chat_writer(false), pieces.to_vec());
    let roles: Vec<bool> =
        chunks.iter().map(|chunk| chunk["choices"][0]["delta"].get("role").is_some()).collect();
    assert_eq!(roles, [true, true, false, false]);
}

fn raw(payload: &'static str, usage_only: bool) -> Chunk {
    Chunk {
        raw: Some((Dialect::OpenAi, Bytes::from_static(payload.as_bytes()))),
        usage_only,
        ..Chunk::default()
    }
}

#[test]
fn fn2_04_a_vendors_usage_chunk_is_left_out_unless_asked_for_and_never_sent_twice() {
    let text = r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
    let run = |asked: bool, chunks: Vec<Chunk>| {
        let mut out = BytesMut::new();
        let mut writer = chat_writer(asked);
        for chunk in chunks {
            writer.chunk(chunk, &mut out);
        }
        writer.end(&ending(), &mut out);
        payloads(&out)
    };
    assert_eq!(run(false, vec![raw(text, false), raw(usage, true)]), [text, "[DONE]"]);
    assert_eq!(run(true, vec![raw(text, false), raw(usage, true)]), [text, usage, "[DONE]"]);
    let beside = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage" : {"prompt_tokens":1}}"#;
    assert_eq!(run(true, vec![raw(beside, false)]), [beside, "[DONE]"]);
    // The vendor sent none (or in an envelope of its own): ours goes out under the vendor's names.
    for silent in [text, r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1}}}"#] {
        let made = run(true, vec![raw(silent, false)]);
        let chunk: Value = serde_json::from_str(&made[1]).unwrap();
        check("CreateChatCompletionStreamResponse", &chunk);
        assert_eq!(
            (&chunk["id"], &chunk["model"], &chunk["usage"]["total_tokens"]),
            (&json!("msg_1"), &json!("claude-x"), &json!(52))
        );
    }
}

#[test]
fn fn1_05_an_error_after_the_first_byte_is_an_event_and_nothing_follows() {
    let mut out = BytesMut::new();
    let mut writer = chat_writer(true);
    writer.error(&UpstreamError::new(ErrorKind::Overloaded, Some(200), "Overloaded"), &mut out);
    writer.end(&ending(), &mut out);
    let payloads = payloads(&out);
    assert_eq!(payloads.len(), 1);
    let error: Value = serde_json::from_str(&payloads[0]).unwrap();
    check("ErrorResponse", &error);
    assert_eq!(
        (&error["error"]["code"], &error["error"]["type"]),
        (&json!("overloaded"), &json!("server_error"))
    );
    assert!(error["error"]["message"].as_str().unwrap().contains("Overloaded"));
}

#[test]
fn fn2_27_errors_have_openais_shape() {
    let door = door(Dialect::OpenAi).unwrap();
    let body = door.error_body(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        Some("model_not_found"),
        Some("model"),
        "no \"x\"",
    );
    let error: Value = serde_json::from_slice(&body).unwrap();
    check("ErrorResponse", &error);
    assert_eq!(
        error,
        json!({"error": {"message": "no \"x\"", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}})
    );
    let bare: Value =
        serde_json::from_slice(&door.error_body(StatusCode::BAD_GATEWAY, "server_error", None, None, "m"))
            .unwrap();
    check("ErrorResponse", &bare);
}

fn whole(writer: &mut dyn Writer, content: Content) -> Value {
    serde_json::from_slice(&writer.whole(&Answer { raw: None, content, ending: ending() })).unwrap()
}

#[test]
fn a_translated_answer_is_a_chat_completion() {
    let choice = Choice {
        reasoning: Some("hm".to_owned()),
        reasoning_details: vec![r#"{"type":"thinking"}"#.to_owned()],
        tool_calls: vec![ToolCall {
            id: "a".to_owned(),
            name: "tide".to_owned(),
            arguments: "{}".to_owned(),
        }],
        finish: Some(Finish::ToolCalls),
        ..Choice::default()
    };
    let answer = whole(&mut *chat_writer(false), Content::Choices(vec![choice]));
    check("CreateChatCompletionResponse", &answer);
    assert_eq!(
        answer["choices"],
        json!([{"index": 0, "message": {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
            "reasoning_details": [{"type": "thinking"}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "tide", "arguments": "{}"}}]},
            "logprobs": null, "finish_reason": "tool_calls"}])
    );
    assert_eq!((&answer["usage"]["total_tokens"], &answer["model"]), (&json!(52), &json!("claude-x")));
    for (choice, content) in [
        (
            Choice { text: Some("a".to_owned()), finish: Some(Finish::Length), ..Choice::default() },
            json!("a"),
        ),
        (
            Choice {
                refusal: Some("no".to_owned()),
                finish: Some(Finish::ContentFilter),
                ..Choice::default()
            },
            Value::Null,
        ),
        (Choice::default(), json!("")),
    ] {
        let answer = whole(&mut *chat_writer(false), Content::Choices(vec![choice]));
        check("CreateChatCompletionResponse", &answer);
        assert_eq!(answer["choices"][0]["message"]["content"], content);
    }
}

#[test]
fn a_translated_completion_is_a_text_completion() {
    let choice = Choice { text: Some("a".to_owned()), finish: Some(Finish::Stop), ..Choice::default() };
    let mut writer = writer_for(Op::Completion, r#"{"model":"m","prompt":"a"}"#);
    check("CreateCompletionResponse", &whole(&mut *writer, Content::Choices(vec![choice])));
    let chunks = translated(
        &mut *writer,
        vec![piece(0, Part::Text("a".into())), piece(0, Part::Finish(Finish::Stop))],
    );
    assert_eq!(
        (&chunks[0]["object"], &chunks[0]["choices"][0]["text"]),
        (&json!("text_completion"), &json!("a"))
    );
    check("CreateCompletionResponse", &chunks[1]);
}

#[test]
fn fn2_35_embeddings_come_as_floats_or_base64_as_asked() {
    let vectors = || Content::Embeddings(vec!["[0.25,-1.5]".to_owned(), "[1,2]".to_owned()]);
    let floats = whole(&mut *writer_for(Op::Embedding, r#"{"model":"m","input":["a","b"]}"#), vectors());
    check("CreateEmbeddingResponse", &floats);
    assert_eq!(
        (&floats["data"][0]["embedding"], &floats["data"][1]["index"]),
        (&json!([0.25, -1.5]), &json!(1))
    );
    assert_eq!(floats["usage"], json!({"prompt_tokens": 42, "total_tokens": 42}));
    let base64 = r#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#;
    let encoded = whole(&mut *writer_for(Op::Embedding, base64), vectors());
    // 0.25 is 0x3e800000 and -1.5 is 0xbfc00000, each little-endian.
    assert_eq!(encoded["data"][0]["embedding"], "AACAPgAAwL8=");
}

#[test]
fn an_answer_of_the_same_dialect_passes_byte_for_byte() {
    let body = Bytes::from_static(b" {\"choices\" : [], \"x\": 1.0}\n");
    let answer =
        Answer { raw: Some((Dialect::OpenAi, body.clone())), content: Content::Unread, ending: ending() };
    assert_eq!(chat_writer(false).whole(&answer).as_ptr(), body.as_ptr());
}
