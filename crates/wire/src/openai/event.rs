//! Reads one streamed chunk, or one whole answer, in one pass.
//!
//! A search for `"usage"` and `"finish_reason"` in the raw bytes would skip most of the work, but both words stand in
//! every chunk of a stream that was asked for usage (as `null`), and it would pass garbage on. One pass over two
//! hundred bytes without an allocation costs a fraction of a microsecond and decides everything: garbage, errors,
//! content, endings, usage.

use std::borrow::Cow;
use std::ops::Range;

use catalog::Quirks;

use super::usage::{self, Report};
use crate::json::{Cursor, Kind, Malformed, Text};
use crate::{Finish, Part, Piece, ToolFragment};

/// The index of a tool call whose vendor left it out.
pub(super) const NO_INDEX: u32 = u32::MAX;

/// Choices are told apart up to this index, far above any `n`.
const MAX_CHOICES: u32 = 128;

/// What a chunk or an answer said.
#[derive(Default)]
pub(super) struct Event<'a> {
    pub id: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    pub tier: Option<Text<'a>>,
    /// The JSON text of an error in place of an answer, or beside it.
    pub error: Option<&'a str>,
    pub report: Option<Report>,
    /// Number of choices.
    pub choices: u32,
    /// Choices that are under way, a bit each.
    pub started: u128,
    /// Choices that ended, a bit each.
    pub finished: u128,
    /// Why choice 0 ended.
    pub finish: Option<Finish>,
    /// How many texts, reasonings, refusals, tool calls, audios and lists of images came.
    pub contents: u32,
    /// The last `content` string of a delta that is not empty, and its choice.
    text: Option<(Range<usize>, u32)>,
    /// OpenAI's `obfuscation`.
    pub padding: Option<Range<usize>>,
    /// Bytes of text, refusals and tool arguments.
    pub output_bytes: u64,
    /// Bytes of reasoning.
    pub reasoning_bytes: u64,
    /// There was a `data` array (embeddings).
    pub data: bool,
    /// The embeddings' values, as they are spelled: arrays or base64 strings.
    pub vectors: Vec<Range<usize>>,
}

impl Event<'_> {
    /// Where the text lies, and its choice, when the event holds nothing but a text.
    pub fn only_text(&self) -> Option<&(Range<usize>, u32)> {
        let plain = self.contents == 1 && self.choices == 1 && self.finished == 0;
        let silent = self.report.is_none() && self.error.is_none() && self.reasoning_bytes == 0;
        self.text.as_ref().filter(|_| plain && silent && self.output_bytes > 0)
    }
}

/// What to take from an event besides the facts.
pub(super) struct Reader<'q> {
    pub quirks: &'q Quirks,
    /// Decoded content goes here; `None` leaves it undecoded.
    pub pieces: Option<Vec<Piece>>,
    /// A whole answer: a tool call without an index counts by its place.
    pub whole: bool,
}

impl Reader<'_> {
    /// Reads `text`. Errors when it is no JSON object (or array of errors).
    pub fn read<'a>(&mut self, text: &'a str) -> Result<Event<'a>, Malformed> {
        let mut cursor = Cursor::new(text);
        let mut event = Event::default();
        if cursor.kind()? == Kind::Array {
            // Google's errors come as an array on streams (field notes §2.6).
            cursor.array(|item, _| self.object(item, &mut event))?;
            if event.error.is_none() {
                return Err(Malformed { at: 0, what: "expected an object" });
            }
        } else {
            self.object(&mut cursor, &mut event)?;
        }
        cursor.end()?;
        Ok(event)
    }

    fn object<'a>(&mut self, cursor: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        let mut is_error = false;
        let span = cursor.object(|value, key| {
            let kind = value.kind()?;
            match (key.plain().unwrap_or_default(), kind) {
                ("id", Kind::String) => event.id = Some(value.string()?),
                ("model", Kind::String) => event.model = Some(value.string()?),
                ("service_tier", Kind::String) => event.tier = Some(value.string()?),
                ("obfuscation", Kind::String) => event.padding = Some(value.string()?.span()),
                ("object", Kind::String) => is_error = value.string()?.decode() == "error",
                ("usage", Kind::Object) => event.report = Some(usage::read(value, self.quirks)?),
                ("x_groq", Kind::Object) => self.groq(value, event)?,
                ("error", Kind::Object | Kind::String) => {
                    let error = value.span()?;
                    event.error = Some(value.slice(error)).filter(|error| *error != "\"\"");
                }
                ("choices", Kind::Array) => {
                    value.array(|choice, _| self.choice(choice, event))?;
                }
                ("data", Kind::Array) => {
                    event.data = true;
                    value.array(|item, _| self.vector(item, event))?;
                }
                _ => value.skip()?,
            }
            Ok::<(), Malformed>(())
        })?;
        if is_error && event.error.is_none() {
            event.error = Some(cursor.slice(span));
        }
        Ok(())
    }

    /// Groq's own envelope around the usage of a stream; the standard place wins.
    fn groq<'a>(&self, value: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        let mut report = None;
        value.object(|value, key| match (key.plain().unwrap_or_default(), value.kind()?) {
            ("usage", Kind::Object) => {
                report = Some(usage::read(value, self.quirks)?);
                Ok(())
            }
            ("error", Kind::Object | Kind::String) => {
                let error = value.span()?;
                event.error = Some(value.slice(error));
                Ok(())
            }
            _ => value.skip(),
        })?;
        event.report = event.report.or(report);
        Ok(())
    }

    fn vector<'a>(&self, item: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        if self.pieces.is_none() || item.kind()? != Kind::Object {
            return item.skip();
        }
        item.object(|value, key| {
            let span = value.span()?;
            if key.plain() == Some("embedding") {
                event.vectors.push(span);
            }
            Ok(())
        })
        .map(drop)
    }

    fn choice<'a>(&mut self, choice: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        if choice.kind()? != Kind::Object {
            return choice.skip();
        }
        let first_piece = self.pieces.as_ref().map_or(0, Vec::len);
        let mut index = 0_u32;
        let mut finish: Option<Text<'a>> = None;
        choice.object(|value, key| {
            let kind = value.kind()?;
            match (key.plain().unwrap_or_default(), kind) {
                ("index", Kind::Number) => index = value.number()?.parse().unwrap_or(0),
                ("delta" | "message", Kind::Object) => {
                    value.object(|value, key| self.message(value, &key, event))?;
                }
                ("text", Kind::String) => {
                    let text = value.string()?;
                    event.output_bytes += self.text(&text, event, Part::Text);
                }
                ("finish_reason", Kind::String) => finish = Some(value.string()?),
                ("error", Kind::Object) => {
                    let error = value.span()?;
                    event.error = Some(value.slice(error));
                }
                _ => value.skip()?,
            }
            Ok::<(), Malformed>(())
        })?;
        event.choices = event.choices.saturating_add(1);
        if let Some((_, choice)) = &mut event.text {
            *choice = index;
        }
        let bit = 1_u128 << index.min(MAX_CHOICES - 1);
        event.started |= bit;
        if let Some(word) = finish.filter(|word| !word.is_empty()) {
            match finish_of(&word.decode()) {
                Some(finish) => {
                    event.finished |= bit;
                    if index == 0 {
                        event.finish = Some(finish);
                    }
                    self.push(Part::Finish(finish));
                }
                None if event.error.is_none() => event.error = Some(choice.slice(word.span())),
                None => {}
            }
        }
        for piece in self.pieces.iter_mut().flatten().skip(first_piece) {
            piece.choice = index;
        }
        Ok(())
    }

    /// A member of a `delta` or `message`.
    fn message<'a>(
        &mut self,
        value: &mut Cursor<'a>,
        key: &Text<'a>,
        event: &mut Event<'a>,
    ) -> Result<(), Malformed> {
        let kind = value.kind()?;
        match (key.plain().unwrap_or_default(), kind) {
            ("content", Kind::String) => {
                let text = value.string()?;
                if !text.is_empty() {
                    event.text = Some((text.span(), 0));
                }
                event.output_bytes += self.text(&text, event, Part::Text);
            }
            ("content", Kind::Array) => {
                value.array(|part, _| self.part(part, event))?;
            }
            ("refusal", Kind::String) => {
                let text = value.string()?;
                event.output_bytes += self.text(&text, event, Part::Refusal);
            }
            ("reasoning_content" | "reasoning", Kind::String) => {
                let text = value.string()?;
                // Some vendors send the same text under both names.
                if event.reasoning_bytes == 0 {
                    event.reasoning_bytes += self.text(&text, event, Part::Reasoning);
                }
            }
            ("reasoning_details", Kind::Array) => {
                value.array(|detail, _| {
                    let detail = detail.span().map(|span| detail.slice(span))?;
                    event.contents += 1;
                    self.push_with(|| Part::ReasoningDetail(detail.to_owned()));
                    Ok::<(), Malformed>(())
                })?;
            }
            ("tool_calls", Kind::Array) => {
                value.array(|call, at| self.tool_call(call, at, event))?;
            }
            ("function_call", Kind::Object) => {
                let mut fragment = ToolFragment::default();
                value.object(|value, key| function_member(value, &key, &mut fragment))?;
                self.add_fragment(fragment, event);
            }
            ("audio", Kind::Object) => {
                value.skip()?;
                event.contents += 1;
            }
            ("images", Kind::Array) => {
                let span = value.span()?;
                event.contents += u32::from(value.slice(span) != "[]");
            }
            _ => value.skip()?,
        }
        Ok(())
    }

    /// A part of a content array: Mistral's reasoning models put text and thinking side by side.
    fn part<'a>(&mut self, part: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        if part.kind()? != Kind::Object {
            return part.skip();
        }
        part.object(|value, key| {
            let kind = value.kind()?;
            match (key.plain().unwrap_or_default(), kind) {
                ("text", Kind::String) => {
                    let text = value.string()?;
                    event.output_bytes += self.text(&text, event, Part::Text);
                }
                ("thinking", Kind::Array) => {
                    value.array(|thought, _| self.thought(thought, event))?;
                }
                _ => value.skip()?,
            }
            Ok(())
        })
        .map(drop)
    }

    fn thought<'a>(&mut self, thought: &mut Cursor<'a>, event: &mut Event<'a>) -> Result<(), Malformed> {
        if thought.kind()? != Kind::Object {
            return thought.skip();
        }
        thought
            .object(|value, key| match (key.plain().unwrap_or_default(), value.kind()?) {
                ("text", Kind::String) => {
                    let text = value.string()?;
                    event.reasoning_bytes += self.text(&text, event, Part::Reasoning);
                    Ok(())
                }
                _ => value.skip(),
            })
            .map(drop)
    }

    fn tool_call<'a>(
        &mut self,
        call: &mut Cursor<'a>,
        place: usize,
        event: &mut Event<'a>,
    ) -> Result<(), Malformed> {
        if call.kind()? != Kind::Object {
            return call.skip();
        }
        let place = if self.whole { u32::try_from(place).unwrap_or(NO_INDEX) } else { NO_INDEX };
        let mut fragment = ToolFragment { index: place, ..ToolFragment::default() };
        call.object(|value, key| {
            let kind = value.kind()?;
            match (key.plain().unwrap_or_default(), kind) {
                ("index", Kind::Number) if !self.whole => {
                    fragment.index = value.number()?.parse().unwrap_or(NO_INDEX);
                }
                ("id", Kind::String) => {
                    fragment.id = Some(value.string()?.decode().into_owned()).filter(|id| !id.is_empty());
                }
                ("function", Kind::Object) => {
                    value.object(|value, key| function_member(value, &key, &mut fragment))?;
                }
                _ => value.skip()?,
            }
            Ok::<(), Malformed>(())
        })?;
        self.add_fragment(fragment, event);
        Ok(())
    }

    fn add_fragment(&mut self, fragment: ToolFragment, event: &mut Event<'_>) {
        event.contents += 1;
        event.output_bytes += fragment.arguments.len() as u64;
        self.push(Part::ToolCall(fragment));
    }

    /// Notes a text and returns its length; an empty one is no content.
    fn text(&mut self, text: &Text<'_>, event: &mut Event<'_>, part: fn(String) -> Part) -> u64 {
        if text.is_empty() {
            return 0;
        }
        event.contents += 1;
        self.push_with(|| part(text.decode().into_owned()));
        text.decoded_len()
    }

    fn push(&mut self, part: Part) {
        self.push_with(|| part);
    }

    fn push_with(&mut self, part: impl FnOnce() -> Part) {
        if let Some(pieces) = &mut self.pieces {
            pieces.push(Piece { choice: 0, part: part() });
        }
    }
}

/// `name` or `arguments` of a function call. Arguments are JSON text in a string; some vendors send the object itself.
fn function_member(
    value: &mut Cursor<'_>,
    key: &Text<'_>,
    fragment: &mut ToolFragment,
) -> Result<(), Malformed> {
    let kind = value.kind()?;
    match (key.plain().unwrap_or_default(), kind) {
        ("name", Kind::String) => {
            fragment.name = Some(value.string()?.decode().into_owned()).filter(|name| !name.is_empty());
        }
        ("arguments", Kind::String) => fragment.arguments = value.string()?.decode().into_owned(),
        ("arguments", Kind::Object) => {
            let span = value.span()?;
            value.slice(span).clone_into(&mut fragment.arguments);
        }
        _ => value.skip()?,
    }
    Ok(())
}

/// Why a choice ended; `None` when the word stands for a failure (OpenRouter, DeepSeek). Unknown words mean that the
/// vendor ended it by a rule of its own.
fn finish_of(word: &str) -> Option<Finish> {
    match word {
        "error" | "insufficient_system_resource" => None,
        "length" | "max_tokens" | "model_length" => Some(Finish::Length),
        "tool_calls" | "function_call" | "tool_use" => Some(Finish::ToolCalls),
        "content_filter" | "refusal" | "safety" => Some(Finish::ContentFilter),
        _ => Some(Finish::Stop),
    }
}

/// A vendor's name of a service tier; `None` when it says nothing about the price.
pub(super) fn tier_of(word: &str) -> Option<catalog::Tier> {
    match word {
        "default" | "standard" | "on_demand" => Some(catalog::Tier::Standard),
        "flex" => Some(catalog::Tier::Flex),
        "priority" => Some(catalog::Tier::Priority),
        "batch" => Some(catalog::Tier::Batch),
        _ => None,
    }
}

/// The text of a string if it says anything.
pub(super) fn said<'a>(text: Option<&Text<'a>>) -> Option<Cow<'a, str>> {
    text.filter(|text| !text.is_empty()).map(Text::decode)
}
