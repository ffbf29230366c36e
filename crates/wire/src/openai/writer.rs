//! Writes answers to callers who speak OpenAI. Answers of the same dialect pass byte for byte; others are written out
//! in full from their decoded parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::usage;
use crate::json::{Cursor, Kind};
use crate::{
    Answer, Blame, Choice, Chunk, Content, Dialect, Ending, ErrorKind, Op, Part, Piece, Request, ToolCall,
    ToolFragment, UpstreamError, Writer, sse,
};

/// Writes one answer.
#[expect(clippy::struct_excessive_bools, reason = "what was asked for and what went out, each on its own")]
pub(super) struct OpenAiWriter {
    op: Op,
    include_usage: bool,
    /// The client wants embeddings in base64.
    base64: bool,
    id: String,
    created: u64,
    model: String,
    /// A usage object went out.
    usage_sent: bool,
    /// Choices whose first delta (with the role) went out, a bit each.
    begun: u128,
    /// An error went out: nothing may follow it.
    failed: bool,
}

impl OpenAiWriter {
    pub fn new(request: &Request) -> Self {
        let own = if request.id.is_empty() { "tollgate" } else { &request.id };
        Self {
            op: request.op,
            include_usage: request.view.include_usage,
            base64: request.op == Op::Embedding && wants_base64(&request.raw),
            id: own.to_owned(),
            created: request.received_at_unix,
            model: request.view.model.clone(),
            usage_sent: false,
            begun: 0,
            failed: false,
        }
    }

    /// The members that every answer of ours begins with, around `choices`.
    fn envelope(&self, object: &str, choices: Value) -> Map<String, Value> {
        let mut chunk = Map::new();
        let prefix = if self.op == Op::Completion { "cmpl" } else { "chatcmpl" };
        chunk.insert("id".to_owned(), format!("{prefix}-{}", self.id).into());
        chunk.insert("object".to_owned(), object.into());
        chunk.insert("created".to_owned(), self.created.into());
        chunk.insert("model".to_owned(), self.model.as_str().into());
        chunk.insert("choices".to_owned(), choices);
        chunk
    }

    fn chunk_object(&self) -> &'static str {
        if self.op == Op::Completion { "text_completion" } else { "chat.completion.chunk" }
    }

    fn piece(&mut self, piece: Piece, out: &mut BytesMut) {
        let finish = match &piece.part {
            Part::Finish(finish) => Value::from(finish.as_str()),
            _ => Value::Null,
        };
        let bit = 1_u128 << piece.choice.min(127);
        let first = self.begun & bit == 0;
        self.begun |= bit;
        let choice = if self.op == Op::Completion {
            let text = if let Part::Text(text) = piece.part { text } else { String::new() };
            json!({"text": text, "index": piece.choice, "logprobs": null, "finish_reason": finish})
        } else {
            let mut delta = Map::new();
            if first {
                delta.insert("role".to_owned(), "assistant".into());
            }
            if let Some((key, value)) = delta_member(piece.part) {
                delta.insert(key.to_owned(), value);
            }
            json!({"index": piece.choice, "delta": delta, "logprobs": null, "finish_reason": finish})
        };
        write(&Value::Object(self.envelope(self.chunk_object(), json!([choice]))), out);
    }

    fn chat(&self, choices: &[Choice], ending: &Ending) -> Value {
        let choices: Vec<Value> = choices.iter().map(whole_choice).collect();
        finish_whole(self.envelope("chat.completion", choices.into()), ending)
    }

    fn completion(&self, choices: &[Choice], ending: &Ending) -> Value {
        let choices: Vec<Value> = choices
            .iter()
            .map(|choice| {
                json!({
                    "text": choice.text.as_deref().unwrap_or_default(),
                    "index": choice.index,
                    "logprobs": null,
                    "finish_reason": choice.finish.unwrap_or(crate::Finish::Stop).as_str(),
                })
            })
            .collect();
        finish_whole(self.envelope("text_completion", choices.into()), ending)
    }

    fn embeddings(&self, vectors: &[String], ending: &Ending) -> Value {
        let data: Vec<Value> = vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| {
                json!({"object": "embedding", "index": index, "embedding": self.vector(vector)})
            })
            .collect();
        let tokens = ending.usage.as_ref().map_or(0, catalog::Usage::total_input);
        json!({
            "object": "list",
            "data": data,
            "model": ending.served_model.as_deref().unwrap_or(&self.model),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
    }

    fn vector(&self, json: &str) -> Value {
        if self.base64 {
            let numbers: Vec<f32> = serde_json::from_str(json).unwrap_or_default();
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            return STANDARD.encode(bytes).into();
        }
        serde_json::from_str(json).unwrap_or_default()
    }
}

impl Writer for OpenAiWriter {
    fn whole(&mut self, answer: &Answer) -> Bytes {
        if let Some((Dialect::OpenAi, raw)) = &answer.raw {
            return raw.clone();
        }
        let value = match &answer.content {
            Content::Choices(choices) if self.op == Op::Completion => {
                self.completion(choices, &answer.ending)
            }
            Content::Choices(choices) => self.chat(choices, &answer.ending),
            Content::Embeddings(vectors) => self.embeddings(vectors, &answer.ending),
            Content::Unread => self.chat(&[], &answer.ending),
        };
        value.to_string().into()
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        if chunk.usage_only && !self.include_usage {
            return;
        }
        if let Some((Dialect::OpenAi, raw)) = &chunk.raw {
            self.usage_sent |= self.include_usage && (chunk.usage_only || has_usage(raw));
            sse::write_data(raw, out);
            return;
        }
        for piece in chunk.pieces {
            self.piece(piece, out);
        }
    }

    fn end(&mut self, ending: &Ending, out: &mut BytesMut) {
        if self.failed {
            return;
        }
        if let Some(usage) = &ending.usage
            && self.include_usage
            && !self.usage_sent
        {
            let mut chunk = self.envelope(self.chunk_object(), json!([]));
            if self.begun == 0 {
                // The chunks before were the vendor's own: go on with its names.
                for (key, name) in [("id", &ending.id), ("model", &ending.served_model)] {
                    if let Some(name) = name {
                        chunk.insert(key.to_owned(), name.as_str().into());
                    }
                }
            }
            chunk.insert("usage".to_owned(), usage::write(usage));
            write(&Value::Object(chunk), out);
        }
        sse::write_data(b"[DONE]", out);
    }

    fn error(&mut self, error: &UpstreamError, out: &mut BytesMut) {
        let kind = if error.blame == Blame::Request { "invalid_request_error" } else { "server_error" };
        let message = match error.kind {
            ErrorKind::Truncated => "the answer broke off before its end".to_owned(),
            _ => format!("the answer could not be finished: {}", error.excerpt),
        };
        let body = error_body(kind, Some(error.kind.as_str()), None, &message);
        sse::write_data(&body, out);
        self.failed = true;
    }
}

fn finish_whole(mut answer: Map<String, Value>, ending: &Ending) -> Value {
    if let Some(model) = &ending.served_model {
        answer.insert("model".to_owned(), model.as_str().into());
    }
    if let Some(usage) = &ending.usage {
        answer.insert("usage".to_owned(), usage::write(usage));
    }
    Value::Object(answer)
}

/// OpenAI's error object.
pub(super) fn error_body(kind: &str, code: Option<&str>, param: Option<&str>, message: &str) -> Bytes {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string().into()
}

fn write(value: &Value, out: &mut BytesMut) {
    sse::write_data(value.to_string().as_bytes(), out);
}

/// A `usage` object, not just `"usage":null` or one in a vendor's envelope, stands in this payload.
fn has_usage(raw: &[u8]) -> bool {
    let maybe = memchr::memmem::find_iter(raw, b"\"usage\"").any(|at| {
        let rest = raw.get(at + b"\"usage\"".len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"{"))
    });
    let mut found = false;
    if maybe && let Ok(text) = std::str::from_utf8(raw) {
        // The payload was read before, so nothing in it is malformed.
        let _ = Cursor::new(text).object(|value, key| {
            found |= key.decode() == "usage" && value.kind()? == Kind::Object;
            value.skip()
        });
    }
    found
}

/// The member of a delta that carries this part.
fn delta_member(part: Part) -> Option<(&'static str, Value)> {
    Some(match part {
        Part::Text(text) => ("content", text.into()),
        Part::Reasoning(text) => ("reasoning_content", text.into()),
        Part::ReasoningDetail(json) => ("reasoning_details", json!([opaque(&json)])),
        Part::Refusal(text) => ("refusal", text.into()),
        Part::ToolCall(fragment) => ("tool_calls", json!([tool_fragment(fragment)])),
        Part::Finish(_) => return None,
    })
}

fn tool_fragment(fragment: ToolFragment) -> Value {
    let mut call = Map::new();
    call.insert("index".to_owned(), fragment.index.into());
    if let Some(id) = fragment.id {
        call.insert("id".to_owned(), id.into());
        call.insert("type".to_owned(), "function".into());
    }
    let mut function = Map::new();
    if let Some(name) = fragment.name {
        function.insert("name".to_owned(), name.into());
    }
    function.insert("arguments".to_owned(), fragment.arguments.into());
    call.insert("function".to_owned(), function.into());
    call.into()
}

fn whole_choice(choice: &Choice) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let silent = !choice.tool_calls.is_empty() || choice.refusal.is_some();
    let content = choice.text.as_deref().or(if silent { None } else { Some("") });
    message.insert("content".to_owned(), content.into());
    message.insert("refusal".to_owned(), choice.refusal.as_deref().into());
    if let Some(reasoning) = &choice.reasoning {
        message.insert("reasoning_content".to_owned(), reasoning.as_str().into());
    }
    if !choice.reasoning_details.is_empty() {
        let details: Vec<Value> = choice.reasoning_details.iter().map(|json| opaque(json)).collect();
        message.insert("reasoning_details".to_owned(), details.into());
    }
    if !choice.tool_calls.is_empty() {
        let calls: Vec<Value> = choice.tool_calls.iter().map(whole_call).collect();
        message.insert("tool_calls".to_owned(), calls.into());
    }
    let finish = choice.finish.unwrap_or(crate::Finish::Stop).as_str();
    json!({"index": choice.index, "message": message, "logprobs": null, "finish_reason": finish})
}

fn whole_call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

/// A reasoning block: JSON that we hand through.
fn opaque(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json.into())
}

/// `encoding_format: "base64"`, which openai-node and openai-python ask for unless told otherwise (field notes §2.35).
fn wants_base64(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let mut base64 = false;
    // The body was read before, so nothing in it is malformed.
    let _ = Cursor::new(text).object(|value, key| {
        if key.decode() == "encoding_format" && value.kind()? == Kind::String {
            base64 = value.string()?.decode() == "base64";
            return Ok(());
        }
        value.skip()
    });
    base64
}
