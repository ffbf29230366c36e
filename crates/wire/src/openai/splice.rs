//! Encodes a request for an OpenAI-shaped upstream: the caller's own bytes with a few values replaced.
//!
//! `model` is always replaced, and usage is asked for on streams. A host's quirks may need a key or a role renamed.
//! Every other byte, unknown fields, key order and number spelling included, passes as it came.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::message::SIGNATURES;
use crate::chat::thought_id;
use crate::json::{Cursor, Kind, Malformed, Text, write_string};
use crate::{Endpoint, Op, Request};

/// Bodies below this are copied into one piece: one write is cheaper than three small ones.
const COPY_BELOW: usize = 16 * 1024;

/// Reasoning text of another vendor: not a signature, but fields that a strict vendor refuses.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// A replacement: bytes of the body and what stands there instead.
type Edit = (Range<usize>, Vec<u8>);

/// The path below the base URL.
pub(super) const fn path(op: Op) -> &'static str {
    match op {
        Op::Chat => "/chat/completions",
        Op::Completion => "/completions",
        Op::Embedding => "/embeddings",
    }
}

/// The body for `to`, and the fields that were left out.
pub(super) fn body(request: &Request, to: &Endpoint<'_>) -> (Vec<Bytes>, Vec<String>) {
    let spans = &request.view.spans;
    let mut edits: Vec<Edit> = Vec::with_capacity(4);
    let mut model = Vec::with_capacity(to.model.len() + 2);
    write_string(to.model, &mut model);
    if request.view.stream && !request.view.include_usage && !to.quirks.no_stream_options {
        ask_for_usage(request, &mut model, &mut edits);
    }
    edits.push((spans.model.clone(), model));
    // Reasoning models at OpenAI refuse `max_tokens` (field notes §2.17), and its other models take both; most other
    // hosts know only `max_tokens`.
    if to.quirks.max_completion_tokens && request.op == Op::Chat {
        edits.extend(spans.max_tokens_key.clone().map(|key| (key, b"\"max_completion_tokens\"".to_vec())));
    }
    if to.quirks.no_developer_role {
        edits.extend(spans.developer_roles.iter().map(|span| (span.clone(), b"\"system\"".to_vec())));
    }
    let mut dropped = Vec::new();
    if (request.view.bound || to.moved) && request.op == Op::Chat {
        strip_foreign(&request.raw, to.moved, &mut edits, &mut dropped);
    }
    edits.sort_by_key(|(span, _)| span.start);
    (splice(&request.raw, &edits), dropped)
}

/// Usage comes with a stream only if it is asked for (field notes §2.4). The caller who did not ask is not sent it.
fn ask_for_usage(request: &Request, model: &mut Vec<u8>, edits: &mut Vec<Edit>) {
    let spans = &request.view.spans;
    match (&spans.include_usage, &spans.stream_options) {
        (Some(value), _) => edits.push((value.clone(), b"true".to_vec())),
        (None, Some(options)) => {
            let text = request.raw.get(options.clone()).unwrap_or_default();
            let inner = text.strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
            if text.starts_with(b"n") {
                edits.push((options.clone(), br#"{"include_usage":true}"#.to_vec()));
            } else {
                let comma = if inner.starts_with(b"}") { "" } else { "," };
                let member = format!("\"include_usage\":true{comma}");
                edits.push((options.start + 1..options.start + 1, member.into_bytes()));
            }
        }
        (None, None) => model.extend_from_slice(br#","stream_options":{"include_usage":true}"#),
    }
}

/// Takes another vendor's signatures out of the messages: this one would refuse or misread them. Those that Gemini left in
/// the ids of tool calls are of no use here wherever the conversation comes from, and make ids longer than OpenAI takes;
/// fields of signatures and reasoning go when the conversation has moved.
fn strip_foreign(body: &Bytes, moved: bool, edits: &mut Vec<Edit>, dropped: &mut Vec<String>) {
    let may_have = |field: &&str| memchr::memmem::find(body, field.as_bytes()).is_some();
    let sealed = may_have(&thought_id::MARK);
    let signed = moved && SIGNATURES.iter().chain(&REASONING).any(may_have);
    if !sealed && !signed {
        return;
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    // The body was read before, so nothing in it is malformed.
    let _ = Cursor::new(text).object(|value, key| {
        if key.decode() != "messages" {
            return value.skip();
        }
        let messages = value.array(|message, index| {
            let mut members = Members::default();
            message.object(|value, key| {
                let name = key.decode();
                let strip = moved && (SIGNATURES.contains(&&*name) || REASONING.contains(&&*name));
                if strip {
                    dropped.push(format!("messages[{index}].{name}"));
                }
                if name == "tool_calls" && value.kind()? == Kind::Array {
                    let end = strip_tool_calls(value, (index, moved), edits, dropped)?;
                    members.keep(key.span().start, end, edits);
                    return Ok(());
                }
                if name == "tool_call_id" && value.kind()? == Kind::String {
                    let (end, _) = bare_id(value, edits)?;
                    members.keep(key.span().start, end, edits);
                    return Ok(());
                }
                members.member(&key, value, strip, edits)
            })?;
            members.finish(edits);
            Ok::<(), Malformed>(())
        });
        messages.map(drop)
    });
}

/// Replaces an id that carries a signature by the bare one. Returns where it ends, and whether it carried one.
fn bare_id(value: &mut Cursor<'_>, edits: &mut Vec<Edit>) -> Result<(usize, bool), Malformed> {
    let text = value.string()?;
    let id = text.decode();
    let (bare, signature) = thought_id::split(&id);
    if signature.is_some() {
        let mut quoted = Vec::with_capacity(bare.len() + 2);
        write_string(bare, &mut quoted);
        edits.push((text.span(), quoted));
    }
    Ok((text.span().end, signature.is_some()))
}

/// Gemini's signature travels inside a tool call, in `extra_content` or in the id. Returns where the array ends.
fn strip_tool_calls(
    calls: &mut Cursor<'_>,
    (message, moved): (usize, bool),
    edits: &mut Vec<Edit>,
    dropped: &mut Vec<String>,
) -> Result<usize, Malformed> {
    let span = calls.array(|call, index| {
        if call.kind()? != Kind::Object {
            return call.skip();
        }
        let mut members = Members::default();
        call.object(|value, key| {
            let name = key.decode();
            if name == "id" && value.kind()? == Kind::String {
                let (end, signed) = bare_id(value, edits)?;
                if signed {
                    dropped.push(format!("messages[{message}].tool_calls[{index}].thought_signature"));
                }
                members.keep(key.span().start, end, edits);
                return Ok(());
            }
            let strip = moved && SIGNATURES.contains(&&*name);
            if strip {
                dropped.push(format!("messages[{message}].tool_calls[{index}].{}", key.decode()));
            }
            members.member(&key, value, strip, edits)
        })?;
        members.finish(edits);
        Ok(())
    })?;
    Ok(span.end)
}

/// Walks an object's members and cuts some out, each with the comma before it, or at the front behind it.
#[derive(Default)]
struct Members {
    /// The end of the member before.
    end: usize,
    any_kept: bool,
    /// Where a cut at the front begins; it ends where the first kept member starts.
    front: Option<usize>,
}

impl Members {
    /// Consumes a member's value and cuts the member out or keeps it.
    fn member(
        &mut self,
        key: &Text<'_>,
        value: &mut Cursor<'_>,
        cut: bool,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Malformed> {
        let start = key.span().start;
        let end = value.span()?.end;
        if !cut {
            self.keep(start, end, edits);
            return Ok(());
        }
        if self.any_kept {
            edits.push((self.end..end, Vec::new()));
        } else {
            self.front.get_or_insert(start);
        }
        self.end = end;
        Ok(())
    }

    fn keep(&mut self, start: usize, end: usize, edits: &mut Vec<Edit>) {
        self.any_kept = true;
        self.end = end;
        if let Some(front) = self.front.take() {
            edits.push((front..start, Vec::new()));
        }
    }

    /// The object is over.
    fn finish(self, edits: &mut Vec<Edit>) {
        if let Some(front) = self.front {
            edits.push((front..self.end, Vec::new()));
        }
    }
}

/// The body with its edits, which are sorted and do not overlap.
fn splice(body: &Bytes, edits: &[Edit]) -> Vec<Bytes> {
    if body.len() < COPY_BELOW {
        let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
        let mut whole = BytesMut::with_capacity(body.len() + added);
        let mut at = 0;
        for (span, text) in edits {
            whole.put_slice(body.get(at..span.start).unwrap_or_default());
            whole.put_slice(text);
            at = span.end;
        }
        whole.put_slice(body.get(at..).unwrap_or_default());
        return vec![whole.freeze()];
    }
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut at = 0;
    for (span, text) in edits {
        pieces.push(body.slice(at..span.start));
        pieces.push(Bytes::copy_from_slice(text));
        at = span.end;
    }
    pieces.push(body.slice(at..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
