//! Reads an inbound body in one pass: the facts that routing needs, and where they lie.
//!
//! Only fields that Tollgate acts on are checked; all others are the vendor's business and pass unread. A field that
//! Tollgate acts on must not come twice: vendors differ in which one they take, and a second `model` could ask for
//! another price than the one that was decided on.

use std::ops::Range;

use bytes::Bytes;
use catalog::Needs;

use crate::json::{Cursor, Kind, Malformed, Text};
use crate::{BadRequest, Dialect, Op, Request, View};

/// Most choices in one request: OpenAI's own bound.
const MAX_CHOICES: u64 = 128;
/// Longest name of a model, in bytes: it goes into the ledger and into errors.
const MAX_MODEL: usize = 256;
/// Most pairs in `metadata`: OpenAI's own bound.
const MAX_METADATA: usize = 16;

impl From<Malformed> for BadRequest {
    fn from(error: Malformed) -> Self {
        Self {
            param: None,
            message: format!("the body is not valid JSON: {} at byte {}", error.what, error.at),
        }
    }
}

/// Reads `body`. Errors name the field that is wrong.
pub(super) fn read(op: Op, body: Bytes) -> Result<Request, BadRequest> {
    let text = std::str::from_utf8(&body).map_err(|error| BadRequest {
        param: None,
        message: format!("the body is not valid UTF-8 at byte {}", error.valid_up_to()),
    })?;
    let mut cursor = Cursor::new(text);
    if cursor.kind()? != Kind::Object {
        return Err(BadRequest { param: None, message: "the body must be a JSON object".to_owned() });
    }
    let mut reader = Reader { op, view: View { n: 1, ..View::default() }, seen: Vec::with_capacity(16) };
    cursor.object(|value, key| reader.field(value, key))?;
    cursor.end()?;
    let view = reader.finish()?;
    Ok(Request { dialect: Dialect::OpenAi, op, raw: body, view, received_at_unix: 0, id: String::new() })
}

struct Reader {
    op: Op,
    view: View,
    /// Fields that Tollgate acts on and that have come.
    seen: Vec<&'static str>,
}

impl Reader {
    fn field(&mut self, value: &mut Cursor<'_>, key: Text<'_>) -> Result<(), BadRequest> {
        let key_span = key.span();
        match &*key.decode() {
            "model" => self.model(value),
            "messages" if self.op == Op::Chat => self.messages(value),
            "prompt" if self.op == Op::Completion => self.input(value, "prompt"),
            "input" if self.op == Op::Embedding => self.input(value, "input"),
            "stream" => {
                self.once("stream")?;
                self.view.stream = boolean(value, "stream")?.unwrap_or(false);
                Ok(())
            }
            "stream_options" => self.stream_options(value),
            "max_tokens" => {
                self.once("max_tokens")?;
                if !self.seen.contains(&"max_completion_tokens") {
                    self.view.spans.max_tokens_key = Some(key_span);
                }
                let limit = integer(value, "max_tokens")?;
                self.view.max_output_tokens = self.view.max_output_tokens.or(limit);
                Ok(())
            }
            "max_completion_tokens" => {
                self.once("max_completion_tokens")?;
                self.view.spans.max_tokens_key = None;
                let limit = integer(value, "max_completion_tokens")?;
                self.view.max_output_tokens = limit.or(self.view.max_output_tokens);
                Ok(())
            }
            "n" => self.choices(value),
            "prompt_cache_key" => {
                self.once("prompt_cache_key")?;
                self.view.prompt_cache_key = string_or_null(value, "prompt_cache_key")?;
                Ok(())
            }
            "service_tier" => {
                self.once("service_tier")?;
                self.view.service_tier = string_or_null(value, "service_tier")?;
                Ok(())
            }
            "metadata" => self.metadata(value),
            other if self.op == Op::Chat || self.op == Op::Completion => self.need(other, value),
            other if is_alias_of_model(other) => Err(alias_of_model(other)),
            _ => Ok(value.skip()?),
        }
    }

    /// Fields that say what the model must be able to do.
    fn need(&mut self, key: &str, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        match key {
            "tools" | "functions" => {
                let name = if key == "tools" { "tools" } else { "functions" };
                self.once(name)?;
                let (span, count) = array_or_null(value, name)?;
                self.view.needs.tools |= count > 0;
                self.view.text_bytes += span.len() as u64;
            }
            "parallel_tool_calls" => {
                self.once("parallel_tool_calls")?;
                self.view.needs.parallel_tools = boolean(value, "parallel_tool_calls")? == Some(true);
            }
            "response_format" => self.response_format(value)?,
            "logprobs" => {
                // A boolean in chat, a number in completions and at some vendors.
                self.once("logprobs")?;
                let kind = value.kind()?;
                let span = value.span()?;
                self.view.needs.logprobs = kind != Kind::Null && value.slice(span) != "false";
            }
            "modalities" => {
                self.once("modalities")?;
                let (span, _) = array_or_null(value, "modalities")?;
                self.view.needs.audio |= value.slice(span).contains("\"audio\"");
            }
            other if is_alias_of_model(other) => return Err(alias_of_model(other)),
            _ => value.skip()?,
        }
        Ok(())
    }

    /// Refuses a second copy of a field that decides something.
    fn once(&mut self, name: &'static str) -> Result<(), BadRequest> {
        if self.seen.contains(&name) {
            return Err(twice(name));
        }
        self.seen.push(name);
        Ok(())
    }

    fn model(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("model")?;
        if value.kind()? != Kind::String {
            return Err(must_be("model", "a string"));
        }
        let text = value.string()?;
        if text.is_empty() {
            return Err(bad("model", "`model` must not be empty"));
        }
        text.decode().as_ref().clone_into(&mut self.view.model);
        if self.view.model.len() > MAX_MODEL {
            return Err(bad("model", format!("`model` must have at most {MAX_MODEL} bytes")));
        }
        self.view.spans.model = text.span();
        Ok(())
    }

    fn stream_options(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("stream_options")?;
        self.view.spans.stream_options = Some(match value.kind()? {
            Kind::Null => value.span()?,
            Kind::Object => value.object(|value, key| {
                if key.decode() != "include_usage" {
                    return value.skip().map_err(BadRequest::from);
                }
                self.once("stream_options.include_usage")?;
                let start = value.position();
                let asked = boolean(value, "stream_options.include_usage")?;
                self.view.include_usage = asked == Some(true);
                let length = asked.map_or(4, |asked| if asked { 4 } else { 5 });
                self.view.spans.include_usage = Some(start..start + length);
                Ok(())
            })?,
            _ => return Err(must_be("stream_options", "an object")),
        });
        Ok(())
    }

    fn choices(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("n")?;
        let n = integer(value, "n")?.unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&n) {
            return Err(bad("n", format!("`n` must be between 1 and {MAX_CHOICES}")));
        }
        self.view.n = u32::try_from(n).unwrap_or(1);
        self.view.needs.many_choices = n > 1;
        Ok(())
    }

    fn metadata(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("metadata")?;
        match value.kind()? {
            Kind::Null => value.skip()?,
            Kind::Object => {
                value.object(|value, key| {
                    let key = key.decode();
                    if value.kind()? != Kind::String {
                        return Err(must_be(format!("metadata.{key}"), "a string"));
                    }
                    if self.view.metadata.len() == MAX_METADATA {
                        return Err(bad(
                            "metadata",
                            format!("`metadata` may have at most {MAX_METADATA} pairs"),
                        ));
                    }
                    self.view.metadata.push((key.into_owned(), value.string()?.decode().into_owned()));
                    Ok(())
                })?;
            }
            _ => return Err(must_be("metadata", "an object")),
        }
        Ok(())
    }

    fn response_format(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("response_format")?;
        let Needs { json_mode, json_schema, .. } = &mut self.view.needs;
        self.view.spans.response_format = match value.kind()? {
            Kind::Null => {
                value.skip()?;
                None
            }
            Kind::Object => {
                let mut kinds = 0;
                let span = value.object(|value, key| {
                    if key.decode() != "type" {
                        return value.skip().map_err(BadRequest::from);
                    }
                    kinds += 1;
                    let kind = required_string(value, "response_format.type")?.decode();
                    *json_mode = kind == "json_object";
                    *json_schema = kind == "json_schema";
                    Ok(())
                })?;
                match kinds {
                    0 => return Err(missing("response_format.type")),
                    1 => Some(span),
                    _ => return Err(twice("response_format.type")),
                }
            }
            _ => return Err(must_be("response_format", "an object")),
        };
        self.view.text_bytes +=
            self.view.spans.response_format.as_ref().map_or(0, ExactSizeIterator::len) as u64;
        Ok(())
    }

    /// `prompt` or `input`: a string, or an array of strings, of tokens, or of arrays of tokens.
    fn input(&mut self, value: &mut Cursor<'_>, name: &'static str) -> Result<(), BadRequest> {
        self.once(name)?;
        let span = match value.kind()? {
            Kind::String => {
                let text = value.string()?;
                self.view.text_bytes += text.decoded_len();
                text.span()
            }
            Kind::Array => {
                let mut count = 0_usize;
                let span = value.array(|item, index| {
                    count = index + 1;
                    match item.kind()? {
                        Kind::String => self.view.text_bytes += item.string()?.decoded_len(),
                        Kind::Number => self.token(item, || format!("{name}[{index}]"))?,
                        Kind::Array => {
                            item.array(|token, at| self.token(token, || format!("{name}[{index}][{at}]")))?;
                        }
                        _ => return Err(must_be(format!("{name}[{index}]"), "a string or tokens")),
                    }
                    Ok(())
                })?;
                if count == 0 {
                    return Err(bad(name, format!("`{name}` must not be empty")));
                }
                span
            }
            _ => return Err(must_be(name, "a string or an array")),
        };
        self.view.spans.first_user = Some(span.clone());
        self.view.spans.last_user = Some(span);
        Ok(())
    }

    /// A token id: counts as the bytes that one token stands for ([`crate::estimate_tokens`]).
    fn token(&mut self, value: &mut Cursor<'_>, path: impl Fn() -> String) -> Result<(), BadRequest> {
        if integer(value, path)?.is_some() {
            self.view.text_bytes += 4;
        }
        Ok(())
    }

    fn messages(&mut self, value: &mut Cursor<'_>) -> Result<(), BadRequest> {
        self.once("messages")?;
        if value.kind()? != Kind::Array {
            return Err(must_be("messages", "an array"));
        }
        value.array(|value, index| {
            let message = super::message::read(value, index, &mut self.view)?;
            self.add_message(message);
            Ok::<(), BadRequest>(())
        })?;
        if self.view.messages == 0 {
            return Err(bad("messages", "`messages` must not be empty"));
        }
        Ok(())
    }

    fn add_message(&mut self, message: super::message::Message) {
        use super::message::Role;
        let view = &mut self.view;
        view.messages = view.messages.saturating_add(1);
        view.bound |= message.bound;
        view.tool_turn = message.role == Role::Tool;
        match message.role {
            Role::User => {
                if view.spans.first_user.is_none() {
                    view.spans.first_user.clone_from(&message.content);
                }
                view.spans.last_user = message.content;
            }
            Role::System | Role::Developer if view.spans.system.is_none() => {
                view.spans.system = message.content;
            }
            _ => {}
        }
        if let Some(span) = message.developer {
            view.spans.developer_roles.push(span);
        }
    }

    fn finish(self) -> Result<View, BadRequest> {
        let input = match self.op {
            Op::Chat => "messages",
            Op::Completion => "prompt",
            Op::Embedding => "input",
        };
        for name in ["model", input] {
            if !self.seen.contains(&name) {
                return Err(missing(name));
            }
        }
        Ok(self.view)
    }
}

/// Decoders that ignore case (Go's) would take `Model` for `model` and, if it comes later, prefer it.
fn is_alias_of_model(key: &str) -> bool {
    key.eq_ignore_ascii_case("model")
}

fn alias_of_model(key: &str) -> BadRequest {
    bad(key, format!("`{key}` is not a field; it is spelled `model`"))
}

pub(super) fn bad(param: impl Into<String>, message: impl Into<String>) -> BadRequest {
    BadRequest { param: Some(param.into()), message: message.into() }
}

pub(super) fn must_be(param: impl Into<String>, what: &str) -> BadRequest {
    let param = param.into();
    let message = format!("`{param}` must be {what}");
    bad(param, message)
}

pub(super) fn missing(param: impl Into<String>) -> BadRequest {
    let param = param.into();
    let message = format!("`{param}` is missing");
    bad(param, message)
}

pub(super) fn twice(param: impl Into<String>) -> BadRequest {
    let param = param.into();
    let message = format!("`{param}` comes twice");
    bad(param, message)
}

/// A field's path: spelled out, or made when an error needs it.
pub(super) trait Path {
    fn path(self) -> String;
}

impl Path for &'static str {
    fn path(self) -> String {
        self.to_owned()
    }
}

impl<F: FnOnce() -> String> Path for F {
    fn path(self) -> String {
        self()
    }
}

fn boolean(value: &mut Cursor<'_>, path: impl Path) -> Result<Option<bool>, BadRequest> {
    match value.kind()? {
        Kind::Null => Ok(value.skip().map(|()| None)?),
        Kind::Bool => Ok(value.boolean().map(Some)?),
        _ => Err(must_be(path.path(), "true or false")),
    }
}

fn integer(value: &mut Cursor<'_>, path: impl Path) -> Result<Option<u64>, BadRequest> {
    match value.kind()? {
        Kind::Null => Ok(value.skip().map(|()| None)?),
        Kind::Number => match value.number()?.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(must_be(path.path(), "a whole number of at least 0")),
        },
        _ => Err(must_be(path.path(), "a whole number of at least 0")),
    }
}

fn string_or_null(value: &mut Cursor<'_>, path: impl Path) -> Result<Option<String>, BadRequest> {
    match value.kind()? {
        Kind::Null => Ok(value.skip().map(|()| None)?),
        Kind::String => Ok(Some(value.string()?.decode().into_owned())),
        _ => Err(must_be(path.path(), "a string")),
    }
}

pub(super) fn required_string<'a>(value: &mut Cursor<'a>, path: impl Path) -> Result<Text<'a>, BadRequest> {
    if value.kind()? == Kind::String { Ok(value.string()?) } else { Err(must_be(path.path(), "a string")) }
}

/// An array's span and length; an empty span for null.
pub(super) fn array_or_null(
    value: &mut Cursor<'_>,
    path: impl Path,
) -> Result<(Range<usize>, usize), BadRequest> {
    match value.kind()? {
        Kind::Null => Ok(value.span().map(|span| (span.end..span.end, 0))?),
        Kind::Array => {
            let mut count = 0;
            let span = value.array(|item, index| {
                count = index + 1;
                item.skip()
            })?;
            Ok((span, count))
        }
        _ => Err(must_be(path.path(), "an array")),
    }
}
