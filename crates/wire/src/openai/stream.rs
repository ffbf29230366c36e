//! Reads the answers of an OpenAI-shaped upstream. Payloads are forwarded byte for byte and only observed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog::Quirks;
use http::{HeaderMap, StatusCode};

use super::event::{self, Event, NO_INDEX, Reader};
use super::refusal;
use super::template::Template;
use crate::json::Malformed;
use crate::{
    Answer, Choice, Chunk, Content, Dialect, Ending, Endpoint, ErrorKind, Op, Part, Piece, Reply,
    ToolFragment, UpstreamError, sse,
};

/// So many unreadable events in a row, with nothing readable before, are not this dialect.
const MAX_GARBAGE: u32 = 16;

/// Tool calls in one answer that are told apart; an answer with more is not sane.
const MAX_TOOLS: usize = 512;

/// The state of one answer.
pub(super) struct OpenAiReply {
    op: Op,
    quirks: Quirks,
    read_text: bool,
    /// `[DONE]` came.
    done: bool,
    /// Choices that began and choices that ended, a bit each.
    started: u128,
    finished: u128,
    /// Events that could be read.
    readable: u32,
    template: Template,
    tools: Vec<ToolSlot>,
    ending: Ending,
}

/// A tool call that is under way: for vendors that leave indices or ids out (field notes §2.11).
struct ToolSlot {
    choice: u32,
    /// The index that the vendor gave.
    given: u32,
    id: Option<String>,
}

impl OpenAiReply {
    pub fn new(op: Op, to: &Endpoint<'_>) -> Self {
        Self {
            op,
            quirks: to.quirks.clone(),
            read_text: to.read_text,
            done: false,
            started: 0,
            finished: 0,
            readable: 0,
            template: Template::default(),
            tools: Vec::new(),
            ending: Ending::default(),
        }
    }

    fn reader(&self, whole: bool) -> Reader<'_> {
        Reader { quirks: &self.quirks, pieces: self.read_text.then(Vec::new), whole }
    }

    /// One payload. `Ok(false)` when it cannot be read.
    fn payload(&mut self, data: &Bytes, out: &mut Vec<Chunk>) -> Result<bool, UpstreamError> {
        if let Some(text) = self.template.read(data) {
            let pieces = self.read_text && !text.is_empty();
            let part = pieces.then(|| Part::Text(text.decode().into_owned()));
            let choice = self.template.choice;
            out.push(Chunk {
                raw: Some((Dialect::OpenAi, data.clone())),
                content: !text.is_empty(),
                usage_only: false,
                pieces: part.map(|part| Piece { choice, part }).into_iter().collect(),
            });
            self.readable = self.readable.saturating_add(1);
            self.ending.output_bytes = self.ending.output_bytes.saturating_add(text.decoded_len());
            return Ok(true);
        }
        let Ok(text) = std::str::from_utf8(data) else { return Ok(false) };
        let mut reader = self.reader(false);
        let Ok(event) = reader.read(text) else { return Ok(false) };
        let mut pieces = reader.pieces.unwrap_or_default();
        // The first chunk of a choice carries its role, the last why it ended: neither may be left out.
        let frames = event.started & !self.started != 0 || event.finished != 0;
        self.observe(&event);
        if let Some(error) = event.error {
            return Err(self.in_band(error));
        }
        if let Some((text, choice)) = event.only_text() {
            self.template.learn(data, text, event.padding.as_ref(), *choice);
        }
        self.number_tools(&mut pieces);
        let has_usage = event.report.is_some_and(|report| report.usage.is_some());
        out.push(Chunk {
            raw: Some((Dialect::OpenAi, data.clone())),
            content: event.contents > 0,
            usage_only: has_usage && event.contents == 0 && !frames,
            pieces,
        });
        Ok(true)
    }

    /// Takes over what an event says about the answer. Later reports replace earlier ones and are never added.
    fn observe(&mut self, event: &Event<'_>) {
        self.readable = self.readable.saturating_add(1);
        let ending = &mut self.ending;
        if let Some(report) = event.report {
            ending.usage = report.usage.or(ending.usage);
            ending.vendor_cost = report.cost.or(ending.vendor_cost);
        }
        if ending.id.is_none() {
            ending.id = event::said(event.id.as_ref()).map(Into::into);
        }
        if let Some(model) = event::said(event.model.as_ref())
            && ending.served_model.as_deref() != Some(&*model)
        {
            ending.served_model = Some(model.into_owned());
        }
        if let Some(tier) = event::said(event.tier.as_ref()) {
            ending.tier = event::tier_of(&tier).or(ending.tier);
        }
        ending.finish = event.finish.or(ending.finish);
        ending.output_bytes = ending.output_bytes.saturating_add(event.output_bytes);
        ending.reasoning_bytes = ending.reasoning_bytes.saturating_add(event.reasoning_bytes);
        self.started |= event.started;
        self.finished |= event.finished;
    }

    /// An error inside HTTP 200. What had been generated before it may have been billed.
    fn in_band(&self, error: &str) -> UpstreamError {
        let mut error = refusal::in_band(error);
        error.maybe_billed |= self.ending.output_bytes > 0 || self.ending.reasoning_bytes > 0;
        error.maybe_billed |= self.ending.usage.is_some();
        error
    }

    /// Gives tool calls indices from 0 without gaps. An id that is new is a new call, whatever index it was given.
    fn number_tools(&mut self, pieces: &mut [Piece]) {
        for piece in pieces {
            let Part::ToolCall(fragment) = &mut piece.part else { continue };
            fragment.index = self.tool_index(piece.choice, fragment);
        }
    }

    fn tool_index(&mut self, choice: u32, fragment: &mut ToolFragment) -> u32 {
        let full = self.tools.len() >= MAX_TOOLS;
        let matching = self.matching_tool(choice, fragment).or(full.then_some(MAX_TOOLS - 1));
        let at = matching.unwrap_or(self.tools.len());
        let before = self.tools.iter().take(at).filter(|slot| slot.choice == choice).count();
        if matching.is_none() {
            self.tools.push(ToolSlot { choice, given: fragment.index, id: fragment.id.clone() });
        } else {
            // Vendors that repeat id and name in each fragment: they belong to the first only.
            fragment.id = None;
            fragment.name = None;
        }
        u32::try_from(before).unwrap_or(NO_INDEX)
    }

    /// The call that a fragment goes on with; `None` when it begins one.
    fn matching_tool(&self, choice: u32, fragment: &ToolFragment) -> Option<usize> {
        let mut ours = self.tools.iter().enumerate().filter(|(_, slot)| slot.choice == choice);
        let begins = fragment.name.is_some();
        let found = match &fragment.id {
            Some(id) if ours.clone().any(|(_, slot)| slot.id.as_ref() == Some(id)) => {
                ours.find(|(_, slot)| slot.id.as_ref() == Some(id))
            }
            // Some servers make up a new id for each fragment: only one with a name begins a call.
            Some(_) if begins => None,
            _ if fragment.index != NO_INDEX => ours.rfind(|(_, slot)| slot.given == fragment.index),
            _ if begins => None,
            _ => ours.next_back(),
        };
        found.map(|(at, _)| at)
    }

    fn content(
        &self,
        event: &Event<'_>,
        text: &str,
        pieces: Option<Vec<Piece>>,
    ) -> Result<Content, Malformed> {
        let Some(pieces) = pieces else { return Ok(Content::Unread) };
        if self.op != Op::Embedding {
            return Ok(Content::Choices(Choice::collect(pieces)));
        }
        let vectors = event.vectors.iter().map(|span| vector(text.get(span.clone()).unwrap_or_default()));
        vectors
            .collect::<Option<_>>()
            .map(Content::Embeddings)
            .ok_or(Malformed { at: 0, what: "a vector is unreadable" })
    }
}

impl Reply for OpenAiReply {
    fn whole(&mut self, _headers: &HeaderMap, body: Bytes) -> Result<Answer, UpstreamError> {
        let unreadable = |error: Malformed| garbled(&format!("{} at byte {}", error.what, error.at));
        let text = std::str::from_utf8(&body).map_err(|_| garbled("the answer is not UTF-8"))?;
        let mut reader = self.reader(true);
        let event = reader.read(text).map_err(unreadable)?;
        let pieces = reader.pieces.take();
        if event.error.is_none() {
            if self.op == Op::Embedding && !event.data {
                return Err(garbled("the answer has no `data`"));
            }
            if self.op != Op::Embedding && event.choices == 0 {
                return Err(garbled("the answer has no `choices`"));
            }
        }
        let content = self.content(&event, text, pieces).map_err(unreadable)?;
        self.observe(&event);
        if let Some(error) = event.error {
            return Err(self.in_band(error));
        }
        self.done = true;
        Ok(Answer { content, ending: self.end(), raw: Some((Dialect::OpenAi, body)) })
    }

    fn frame(&mut self, frame: sse::Frame, out: &mut Vec<Chunk>) -> Result<(), UpstreamError> {
        let trimmed = frame.data.trim_ascii();
        if self.done || trimmed.is_empty() {
            return Ok(());
        }
        if trimmed == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if &*frame.event == b"error" {
            let text = String::from_utf8_lossy(trimmed);
            return Err(self.in_band(&text));
        }
        if self.payload(&frame.data, out)? {
            return Ok(());
        }
        // Several events whose blank lines are missing arrive as one: each line may be readable for itself.
        let mut read = false;
        if trimmed.contains(&b'\n') {
            for line in frame.data.split(|byte| *byte == b'\n') {
                let line = frame.data.slice_ref(line);
                read |= if line.trim_ascii() == b"[DONE]" {
                    self.done = true;
                    true
                } else {
                    self.payload(&line, out)?
                };
            }
        }
        if !read {
            self.ending.skipped_events = self.ending.skipped_events.saturating_add(1);
            if self.readable == 0 && self.ending.skipped_events >= MAX_GARBAGE {
                return Err(garbled("no event of the stream is readable"));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Ending {
        let all_finished = self.started != 0 && self.started & !self.finished == 0;
        let mut ending = std::mem::take(&mut self.ending);
        ending.complete = (self.done && self.readable > 0) || all_finished;
        ending
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        refusal::refusal(status, headers, body)
    }
}

fn garbled(what: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::Garbled, Some(200), what)
}

/// An embedding as the JSON text of an array: as it is spelled, or decoded from base64 (little-endian `f32`).
fn vector(spelled: &str) -> Option<String> {
    let Some(encoded) = spelled.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return spelled.starts_with('[').then(|| spelled.to_owned());
    };
    let bytes = STANDARD.decode(encoded.replace("\\/", "/")).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|four| f32::from_le_bytes(*four)).collect();
    if rest.is_empty() { serde_json::to_string(&numbers).ok() } else { None }
}
