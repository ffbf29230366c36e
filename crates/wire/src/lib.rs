//! Dialects: how clients and vendors speak. Pure: no I/O, no clock.
//!
//! Two axes. A [`Door`] reads one inbound dialect and writes answers back in it; a [`Wire`] speaks one upstream
//! dialect. The obvious alternative, one translator per pair, grows with the product of the two. When both sides
//! speak the same dialect the body is never rebuilt: `raw` bytes are spliced (`model`, and `stream_options` when
//! usage must be asked for) and everything else passes as it came. When they differ, the wire translates.
//!
//! Encoding a request returns the only value able to read its answer ([`Reply`]), so the state of a stream has a home.

mod answer;
mod anthropic;
mod chat;
mod error;
mod gemini;
mod json;
mod openai;
mod request;
pub mod retry_after;
pub mod sse;

pub use answer::{Answer, Choice, Chunk, Content, Ending, Finish, Part, Piece, ToolCall, ToolFragment};
pub use error::{BadRequest, Blame, ErrorKind, Garbled, Retry, Unsupported, UpstreamError};
pub use request::{Dialect, Endpoint, Op, Outbound, Request, Sent, Spans, View, estimate_tokens};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// Client side: one inbound dialect.
pub trait Door: Send + Sync {
    /// Reads a body once. Errors name the field that is wrong; nothing is dropped.
    fn read(&self, op: Op, body: Bytes) -> Result<Request, BadRequest>;
    /// What writes the answer to `request` in this dialect.
    fn writer(&self, request: &Request) -> Box<dyn Writer>;
    /// An error body in this dialect (not SSE-framed). `code` is a short machine word such as `model_not_found`.
    fn error_body(
        &self,
        status: StatusCode,
        kind: &str,
        code: Option<&str>,
        param: Option<&str>,
        message: &str,
    ) -> Bytes;
}

/// Writes one answer in the caller's dialect. For streams, the output is complete SSE frames.
pub trait Writer: Send {
    /// A whole (buffered) answer. Passes `answer.raw` through when the dialects match.
    fn whole(&mut self, answer: &Answer) -> Bytes;
    /// Appends the frames for one chunk. A matching `raw` payload is forwarded byte for byte in our own frame; a
    /// usage-only chunk is left out when the client did not ask for it.
    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut);
    /// Appends what ends a good stream in this dialect (OpenAI: usage chunk if asked for and not yet sent, `data: [DONE]`).
    fn end(&mut self, ending: &Ending, out: &mut BytesMut);
    /// Appends an in-band error event: the answer had begun and could not be finished. No clean end follows.
    fn error(&mut self, error: &UpstreamError, out: &mut BytesMut);
}

/// Upstream side: speaks one dialect.
pub trait Wire: Send + Sync {
    /// Encodes `request` for `to`. Errors when a field that changes the meaning cannot be carried.
    fn begin(&self, request: &Request, to: &Endpoint<'_>) -> Result<Sent, Unsupported>;
}

/// Reads the answer to one request. The gateway calls `whole` or, for streams, `frame` for each SSE event and then `end`.
pub trait Reply: Send {
    /// A whole 2xx answer. `Err` also carries an error that the vendor sent inside HTTP 200.
    fn whole(&mut self, headers: &HeaderMap, body: Bytes) -> Result<Answer, UpstreamError>;
    /// One SSE event. `Err` carries garbage or an error inside the stream; chunks pushed before it stand.
    fn frame(&mut self, frame: sse::Frame, out: &mut Vec<Chunk>) -> Result<(), UpstreamError>;
    /// The upstream closed the stream: was it complete, and what did it use?
    fn end(&mut self) -> Ending;
    /// A non-2xx answer. `body` may be cut at the gateway's bound.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError;
}

/// The door for a client dialect.
pub fn door(dialect: Dialect) -> Option<&'static dyn Door> {
    match dialect {
        Dialect::OpenAi => Some(&openai::OpenAi),
        Dialect::Anthropic | Dialect::Gemini => None,
    }
}

/// The wire for an upstream dialect.
pub fn wire(dialect: Dialect) -> Option<&'static dyn Wire> {
    match dialect {
        Dialect::OpenAi => Some(&openai::OpenAi),
        Dialect::Anthropic => Some(&anthropic::Anthropic),
        Dialect::Gemini => Some(&gemini::Gemini),
    }
}
