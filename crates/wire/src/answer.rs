//! Answers in a neutral form: what checks, the meter and a translating writer read.

use std::collections::BTreeMap;

use bytes::Bytes;
use catalog::{Money, Tier, Usage};

use crate::Dialect;

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The model was done or met a stop sequence.
    Stop,
    /// It ran into the token limit.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// The vendor's filter, or the model, refused.
    ContentFilter,
}

impl Finish {
    /// OpenAI's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// A part of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The choice that it belongs to.
    pub choice: u32,
    /// What came.
    pub part: Part,
}

/// What a [`Piece`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Visible text.
    Text(String),
    /// Reasoning text.
    Reasoning(String),
    /// An opaque reasoning signature or redacted block, as JSON, that a later turn must replay.
    ReasoningDetail(String),
    /// Refusal text.
    Refusal(String),
    /// A fragment of a tool call.
    ToolCall(ToolFragment),
    /// The choice ended.
    Finish(Finish),
}

/// A fragment of a streamed tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolFragment {
    /// Counts tool calls only, from 0 (field notes §2.11).
    pub index: u32,
    /// With the first fragment only.
    pub id: Option<String>,
    /// With the first fragment only.
    pub name: Option<String>,
    /// JSON text to append.
    pub arguments: String,
}

/// What one upstream event means.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The `data:` payload as it came, with its dialect; a writer of that dialect sends it unchanged.
    pub raw: Option<(Dialect, Bytes)>,
    /// It carries content (text, tool call, reasoning, refusal): the commit point.
    pub content: bool,
    /// It carries usage and nothing else: left out when the client did not ask for usage.
    pub usage_only: bool,
    /// Decoded parts. A pass-through wire leaves this empty unless [`crate::Endpoint::read_text`] is set.
    pub pieces: Vec<Piece>,
}

/// A complete tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// One choice of a whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its index.
    pub index: u32,
    /// Visible text; `None` when there was none (tool calls only).
    pub text: Option<String>,
    /// Reasoning text.
    pub reasoning: Option<String>,
    /// Opaque reasoning blocks as JSON, to be replayed.
    pub reasoning_details: Vec<String>,
    /// Refusal text.
    pub refusal: Option<String>,
    /// Tool calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended; `None` when the vendor did not say.
    pub finish: Option<Finish>,
}

impl Choice {
    /// Puts streamed pieces, in the order in which they came, together to choices, in the order of their indices.
    pub fn collect(pieces: impl IntoIterator<Item = Piece>) -> Vec<Self> {
        let mut choices = BTreeMap::new();
        for piece in pieces {
            let choice = choices
                .entry(piece.choice)
                .or_insert_with(|| Self { index: piece.choice, ..Self::default() });
            choice.add(piece.part);
        }
        choices.into_values().collect()
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Text(text) => self.text.get_or_insert_default().push_str(&text),
            Part::Reasoning(text) => self.reasoning.get_or_insert_default().push_str(&text),
            Part::ReasoningDetail(json) => self.reasoning_details.push(json),
            Part::Refusal(text) => self.refusal.get_or_insert_default().push_str(&text),
            Part::ToolCall(fragment) => self.add_tool_call(fragment),
            Part::Finish(finish) => self.finish = Some(finish),
        }
    }

    /// Fragments of one call share an index; a new index is a new call.
    fn add_tool_call(&mut self, fragment: ToolFragment) {
        let index = usize::try_from(fragment.index).unwrap_or(usize::MAX).min(self.tool_calls.len());
        if index == self.tool_calls.len() {
            self.tool_calls.push(ToolCall::default());
        }
        let Some(call) = self.tool_calls.get_mut(index) else { return };
        if let Some(id) = fragment.id {
            call.id = id;
        }
        if let Some(name) = fragment.name {
            call.name = name;
        }
        call.arguments.push_str(&fragment.arguments);
    }
}

/// The content of a whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Choices of a chat or completion.
    Choices(Vec<Choice>),
    /// Embedding vectors in order, each the JSON text of an array of numbers.
    Embeddings(Vec<String>),
    /// Passed through and not decoded (see [`crate::Endpoint::read_text`]).
    Unread,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body as it came, with its dialect; a writer of that dialect sends it unchanged.
    pub raw: Option<(Dialect, Bytes)>,
    /// What was answered.
    pub content: Content,
    /// How it ended and what it used.
    pub ending: Ending,
}

/// How an answer ended, streamed or whole.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The upstream finished by its own rules (a finish reason, or `[DONE]`). False for a cut stream.
    pub complete: bool,
    /// Finish of choice 0.
    pub finish: Option<Finish>,
    /// Reported usage; `None` when the vendor sent none.
    pub usage: Option<Usage>,
    /// The model that the vendor says served the request.
    pub served_model: Option<String>,
    /// The id that the vendor gave the answer.
    pub id: Option<String>,
    /// The vendor's own charge, where it reports one above zero.
    pub vendor_cost: Option<Money>,
    /// The tier that was granted, where reported.
    pub tier: Option<Tier>,
    /// Bytes of visible text, tool arguments and refusals that came: the base of an estimate when usage is missing.
    pub output_bytes: u64,
    /// Bytes of reasoning text that came.
    pub reasoning_bytes: u64,
    /// Events that could not be read and were left out (field notes §2.28).
    pub skipped_events: u32,
}
