//! Replies to feed, shared by the tests of answers.

use bytes::Bytes;
use catalog::{Facts, Quirks};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::wire::{
    Answer, Chunk, Dialect, Ending, Endpoint, Op, Reply, UpstreamError, door, sse::Frame, wire,
};

pub fn reply_of(op: Op, quirks: &Quirks, read_text: bool) -> Box<dyn Reply> {
    let body = match op {
        Op::Chat => r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#,
        Op::Completion => r#"{"model":"m","prompt":"a"}"#,
        Op::Embedding => r#"{"model":"m","input":"a"}"#,
    };
    let request = door(Dialect::OpenAi).unwrap().read(op, body.into()).unwrap();
    let facts = Facts::default();
    let to = Endpoint { model: "m", quirks, facts: &facts, read_text, moved: false };
    wire(Dialect::OpenAi).unwrap().begin(&request, &to).unwrap().reply
}

pub fn whole(body: &Value, quirks: &Quirks) -> Result<Answer, UpstreamError> {
    reply_of(Op::Chat, quirks, true).whole(&HeaderMap::new(), body.to_string().into())
}

/// Feeds payloads as events. Returns the chunks, how it ended, and the error if one came.
pub fn stream(payloads: &[Value], quirks: &Quirks) -> (Vec<Chunk>, Ending, Option<UpstreamError>) {
    let mut reply = reply_of(Op::Chat, quirks, false);
    let mut chunks = Vec::new();
    let mut error = None;
    for payload in payloads {
        let data = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
        error = reply.frame(Frame { event: Bytes::new(), data: data.into() }, &mut chunks).err();
        if error.is_some() {
            break;
        }
    }
    (chunks, reply.end(), error)
}

pub fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "c", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}
