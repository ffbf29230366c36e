//! What the tests of the translating wires share: requests built by hand, streams cut at will.

use crate::wire::{
    Answer, Chunk, Dialect, Ending, Endpoint, Op, Part, Reply, Sent, Unsupported, UpstreamError,
};
use bytes::Bytes;
use catalog::{Facts, Quirks};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What a request is encoded for.
#[derive(Clone, Debug, Default)]
pub struct To {
    pub model: String,
    pub max_output: Option<u64>,
    pub moved: bool,
}

/// A target with nothing known of it.
pub fn to(model: &str) -> To {
    To { model: model.to_owned(), ..To::default() }
}

pub fn begin(dialect: Dialect, op: Op, to: &To, body: &Value) -> Result<Sent, Unsupported> {
    let door = crate::wire::door(Dialect::OpenAi).expect("the door is registered");
    let request = door.read(op, Bytes::from(body.to_string())).expect("a body that the door takes");
    let facts = Facts { max_output: to.max_output, ..Facts::default() };
    let endpoint = Endpoint {
        model: &to.model,
        quirks: &Quirks::default(),
        facts: &facts,
        read_text: true,
        moved: to.moved,
    };
    crate::wire::wire(dialect).expect("the wire is registered").begin(&request, &endpoint)
}

/// The vendor's body and the dropped fields.
pub fn encode(dialect: Dialect, to: &To, body: &Value) -> Result<(Value, Vec<String>), Unsupported> {
    let sent = begin(dialect, Op::Chat, to, body)?;
    let bytes: Vec<u8> = sent.outbound.body.concat();
    Ok((serde_json::from_slice(&bytes).expect("the body is JSON"), sent.dropped))
}

/// A reply to a plain question.
pub fn reply(dialect: Dialect, model: &str) -> Box<dyn Reply> {
    let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    begin(dialect, Op::Chat, &to(model), &body).expect("a plain question").reply
}

pub fn whole(dialect: Dialect, model: &str, body: &Value) -> Result<Answer, UpstreamError> {
    reply(dialect, model).whole(&HeaderMap::new(), Bytes::from(body.to_string()))
}

pub fn refusal(dialect: Dialect, model: &str, status: u16, body: &str) -> UpstreamError {
    let status = StatusCode::from_u16(status).expect("a status");
    reply(dialect, model).refusal(status, &HeaderMap::new(), body.as_bytes())
}

/// All that a stream gave.
pub struct Streamed {
    pub chunks: Vec<Chunk>,
    pub error: Option<UpstreamError>,
    pub ending: Ending,
}

impl Streamed {
    pub fn parts(&self) -> Vec<Part> {
        self.chunks.iter().flat_map(|chunk| chunk.pieces.iter().map(|piece| piece.part.clone())).collect()
    }
}

/// Events given as JSON values.
pub fn stream(dialect: Dialect, model: &str, events: &[Value]) -> Streamed {
    let mut reply = reply(dialect, model);
    let mut chunks = Vec::new();
    let mut error = None;
    for event in events {
        let frame = crate::wire::sse::Frame { event: Bytes::new(), data: Bytes::from(event.to_string()) };
        if let Err(e) = reply.frame(frame, &mut chunks) {
            error = Some(e);
            break;
        }
    }
    Streamed { chunks, error, ending: reply.end() }
}
