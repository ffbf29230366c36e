//! Reads one message of a chat request.

use std::ops::Range;

use super::request::{array_or_null, missing, must_be, required_string, twice};
use crate::json::{Cursor, Kind};
use crate::{BadRequest, View};

/// Fields of a message that carry a vendor's reasoning signatures: a later turn must replay them to the same vendor
/// (field notes §2.13, §2.14).
pub(super) const SIGNATURES: [&str; 3] = ["reasoning_details", "thinking_blocks", "extra_content"];

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// `tool`, or the older `function`.
    Tool,
    /// A vendor's own role: passed on.
    Other,
}

/// What routing needs to know of a message.
pub(super) struct Message {
    pub role: Role,
    /// The value of `content`, unless it is null or missing.
    pub content: Option<Range<usize>>,
    /// The value of `role`, if it is `developer`.
    pub developer: Option<Range<usize>>,
    /// It holds tool calls, a tool result or a reasoning signature.
    pub bound: bool,
}

/// Reads message number `index`; adds its text and needs to `view`.
pub(super) fn read(value: &mut Cursor<'_>, index: usize, view: &mut View) -> Result<Message, BadRequest> {
    if value.kind()? != Kind::Object {
        return Err(must_be(format!("messages[{index}]"), "an object"));
    }
    let path = |field: &str| format!("messages[{index}].{field}");
    let mut role = None;
    let mut content = None;
    let mut bound = false;
    value.object(|value, key| {
        match &*key.decode() {
            "role" => {
                let text = required_string(value, || path("role"))?;
                if role.replace(text).is_some() {
                    return Err(twice(path("role")));
                }
            }
            "content" => {
                let kind = value.kind()?;
                if content.replace((kind, read_content(value, index, view)?)).is_some() {
                    return Err(twice(path("content")));
                }
            }
            "tool_calls" => {
                let (span, count) = array_or_null(value, || path("tool_calls"))?;
                bound |= count > 0;
                view.text_bytes += span.len() as u64;
            }
            field if field == "function_call" || SIGNATURES.contains(&field) => {
                bound |= value.kind()? != Kind::Null;
                value.skip()?;
            }
            "reasoning_content" | "reasoning" if value.kind()? == Kind::String => {
                view.text_bytes += value.string()?.decoded_len();
            }
            _ => value.skip()?,
        }
        Ok(())
    })?;
    let Some(name) = role else { return Err(missing(path("role"))) };
    let role = match &*name.decode() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => Role::Other,
    };
    let content = match content {
        Some((Kind::Null, _)) | None
            if role == Role::User || role == Role::System || role == Role::Developer =>
        {
            return Err(must_be(path("content"), "a string or an array"));
        }
        Some((Kind::Null, _)) | None => None,
        Some((_, span)) => Some(span),
    };
    let developer = (role == Role::Developer).then(|| name.span());
    Ok(Message { role, content, developer, bound: bound || role == Role::Tool })
}

/// Reads `content`: null, a string or an array of parts.
fn read_content(value: &mut Cursor<'_>, message: usize, view: &mut View) -> Result<Range<usize>, BadRequest> {
    match value.kind()? {
        Kind::Null => Ok(value.span()?),
        Kind::String => {
            let text = value.string()?;
            view.text_bytes += text.decoded_len();
            Ok(text.span())
        }
        Kind::Array => value.array(|part, index| {
            let path = |field: &str| format!("messages[{message}].content[{index}]{field}");
            read_part(part, view, path)
        }),
        _ => Err(must_be(format!("messages[{message}].content"), "a string or an array")),
    }
}

fn read_part(
    part: &mut Cursor<'_>,
    view: &mut View,
    path: impl Fn(&str) -> String,
) -> Result<(), BadRequest> {
    if part.kind()? != Kind::Object {
        return Err(must_be(path(""), "an object"));
    }
    let mut typed = false;
    let mut text = false;
    part.object(|value, key| {
        match &*key.decode() {
            "type" => {
                if std::mem::replace(&mut typed, true) {
                    return Err(twice(path(".type")));
                }
                match &*required_string(value, || path(".type"))?.decode() {
                    "image_url" | "image" | "input_image" => view.needs.images = true,
                    "input_audio" | "audio" => view.needs.audio = true,
                    "file" | "input_file" | "document" => view.needs.files = true,
                    _ => {}
                }
            }
            "text" => {
                if std::mem::replace(&mut text, true) {
                    return Err(twice(path(".text")));
                }
                view.text_bytes += required_string(value, || path(".text"))?.decoded_len();
            }
            "refusal" if value.kind()? == Kind::String => view.text_bytes += value.string()?.decoded_len(),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if typed { Ok(()) } else { Err(missing(path(".type"))) }
}
