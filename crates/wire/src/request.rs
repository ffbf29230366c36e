//! A request as the gateway sees it: raw bytes, plus the few facts that routing needs.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use catalog::{Facts, Needs, Quirks};
use http::HeaderMap;

use crate::Reply;
use crate::json::{Cursor, Kind, Malformed};

/// A way of speaking, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions, completions, embeddings.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// Google Gemini `generateContent`.
    Gemini,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A conversation turn.
    Chat,
    /// Legacy text completion.
    Completion,
    /// Vectors for texts.
    Embedding,
}

impl Op {
    /// The word in the ledger, metrics and config: `chat`, `completion`, `embedding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
        }
    }
}

/// An inbound request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// What is asked for.
    pub op: Op,
    /// The body as it came.
    pub raw: Bytes,
    /// What routing needs to know of it.
    pub view: View,
    /// When it came, in seconds since 1970: `created` in answers that have none of their own. Set by the gateway
    /// (this crate has no clock).
    pub received_at_unix: u64,
    /// The gateway's request id: names answers that have no id of their own. Set by the gateway.
    pub id: String,
}

impl Request {
    /// The text of the last user message (or of the prompt or input): a string, or the text parts of an array joined
    /// by line ends. Empty when there is none.
    pub fn last_user_text(&self) -> Cow<'_, str> {
        self.text_at(self.view.spans.last_user.as_ref())
    }

    /// The text of the first user message.
    pub fn first_user_text(&self) -> Cow<'_, str> {
        self.text_at(self.view.spans.first_user.as_ref())
    }

    /// The text of the first system or developer message.
    pub fn system_text(&self) -> Cow<'_, str> {
        self.text_at(self.view.spans.system.as_ref())
    }

    /// `response_format` as it is spelled in the body: JSON text.
    pub fn response_format(&self) -> Option<&str> {
        self.json_at(self.view.spans.response_format.as_ref())
    }

    fn json_at(&self, span: Option<&Range<usize>>) -> Option<&str> {
        std::str::from_utf8(self.raw.get(span?.clone())?).ok()
    }

    fn text_at(&self, span: Option<&Range<usize>>) -> Cow<'_, str> {
        self.json_at(span).map_or(Cow::Borrowed(""), text_of)
    }
}

/// The text in a JSON string or an array of strings and text parts; other values have none.
fn text_of(json: &str) -> Cow<'_, str> {
    let mut cursor = Cursor::new(json);
    if cursor.kind() == Ok(Kind::String) {
        return cursor.string().map_or(Cow::Borrowed(""), |text| text.decode());
    }
    let mut joined = String::new();
    let mut add = |text: &str| {
        if !joined.is_empty() {
            joined.push('\n');
        }
        joined.push_str(text);
    };
    // The document was read before, so nothing in it is malformed.
    let _ = cursor.array(|part, _| -> Result<(), Malformed> {
        match part.kind()? {
            Kind::String => add(&part.string()?.decode()),
            Kind::Object => part
                .object(|value, key| match (&*key.decode(), value.kind()?) {
                    ("text", Kind::String) => value.string().map(|text| add(&text.decode())),
                    _ => value.skip(),
                })
                .map(drop)?,
            _ => part.skip()?,
        }
        Ok(())
    });
    Cow::Owned(joined)
}

/// A rough count of the tokens in so many bytes of text: four bytes a token, rounded up. That is the usual ratio for
/// English with today's vocabularies; code and other scripts run from two to five. Only for estimates, which are
/// marked as such; learned ratios per model come from reported usage.
pub const fn estimate_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// Byte ranges of values in [`Request::raw`], quotes included.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// The value of `model`.
    pub model: Range<usize>,
    /// The value of `stream_options`, if present.
    pub stream_options: Option<Range<usize>>,
    /// The value of `content` of the last user message (a JSON string or an array of parts), or of `prompt` / `input`.
    pub last_user: Option<Range<usize>>,
    /// The same of the first user message.
    pub first_user: Option<Range<usize>>,
    /// The `content` of the first system or developer message.
    pub system: Option<Range<usize>>,
    /// The value of `response_format`, if present.
    pub response_format: Option<Range<usize>>,
    /// The value of `stream_options.include_usage`, if present.
    pub include_usage: Option<Range<usize>>,
    /// The key `max_tokens` (not its value), if present and `max_completion_tokens` is not.
    pub max_tokens_key: Option<Range<usize>>,
    /// The values of `role` that are `developer`.
    pub developer_roles: Vec<Range<usize>>,
}

/// What routing needs to know, read in one pass without building a tree.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts read off the body, each on its own")]
pub struct View {
    /// The model that the caller named.
    pub model: String,
    /// SSE asked for.
    pub stream: bool,
    /// The caller set `stream_options.include_usage`.
    pub include_usage: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_output_tokens: Option<u64>,
    /// Choices asked for, at least 1.
    pub n: u32,
    /// Number of messages.
    pub messages: u32,
    /// The last message is a tool result: a step in an agent's loop, not a new question.
    pub tool_turn: bool,
    /// Some message holds tool calls, tool results or reasoning signatures: the conversation is bound to its target.
    pub bound: bool,
    /// What the request needs.
    pub needs: Needs,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// `service_tier`.
    pub service_tier: Option<String>,
    /// OpenAI's `metadata`: tags.
    pub metadata: Vec<(String, String)>,
    /// Bytes of text in the input, images and other base64 payloads left out: the base of a token estimate.
    pub text_bytes: u64,
    /// Where things lie in the body.
    pub spans: Spans,
}

/// The upstream model that a request is encoded for.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// The id that the host wants to hear.
    pub model: &'a str,
    /// Departures from the dialect.
    pub quirks: &'a Quirks,
    /// What is known of the model.
    pub facts: &'a Facts,
    /// The gateway wants the text of the answer (a route with checks), not only usage and endings. Off, a
    /// pass-through wire need not decode content.
    pub read_text: bool,
    /// The conversation moves here from a target of another dialect or vendor: reasoning signatures are stripped
    /// and listed as dropped.
    pub moved: bool,
}

/// What goes to the upstream.
#[derive(Debug)]
pub struct Outbound {
    /// Relative to the base URL, with query: `/chat/completions`.
    pub path: String,
    /// Dialect headers only (`anthropic-version`); auth and transport are the gateway's.
    pub headers: HeaderMap,
    /// The body in pieces, so that a spliced body is not copied.
    pub body: Vec<Bytes>,
}

/// An encoded request and what reads its answer.
pub struct Sent {
    /// What to send.
    pub outbound: Outbound,
    /// Harmless fields that this upstream cannot take: listed in `x-tollgate-dropped`.
    pub dropped: Vec<String>,
    /// Reads the answer.
    pub reply: Box<dyn Reply>,
}
