//! A streamed Messages answer: events in, pieces out.

use catalog::Basis;
use serde::Deserialize;

use super::error::Detail;
use super::response::{
    Block, Message, StopDetails, arguments, finish, garbled, sealed, signed, unknown_block,
};
use super::usage::Counts;
use crate::{Chunk, Ending, Finish, Part, Piece, ToolFragment, UpstreamError, estimate_tokens, sse};

/// Reasoning text that is kept for one block's detail. The longest answers are a tenth of this.
const REASONING_BYTES: usize = 8 << 20;
/// Blocks open at once; the vendor opens one at a time.
const OPEN_BLOCKS: usize = 64;

/// State of a stream.
#[derive(Default)]
pub(super) struct Stream {
    /// Open blocks with the vendor's index, which counts blocks of all kinds (field notes §2.11).
    open: Vec<(u64, Open)>,
    tools: u32,
    details: usize,
    counts: Counts,
    /// The final counts came. The output count at the start is a placeholder.
    counted: bool,
    ending: Ending,
}

enum Open {
    Text,
    Thinking { text: String, signature: String },
    Tool { index: u32, wrote: bool, placeholder: String },
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u64,
    message: Option<Message>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Counts>,
    error: Option<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    thinking: String,
    signature: String,
    partial_json: String,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
}

impl Stream {
    pub fn frame(&mut self, frame: &sse::Frame, out: &mut Vec<Chunk>) -> Result<(), UpstreamError> {
        if frame.data.is_empty() {
            return Ok(());
        }
        let Ok(event) = serde_json::from_slice::<Event>(&frame.data) else {
            // One bad event does not end the stream (§2.28); if it opened a block, the next delta does.
            self.ending.skipped_events += 1;
            return Ok(());
        };
        let mut parts = Vec::new();
        match event.kind.as_str() {
            "message_start" => self.start(event.message.unwrap_or_default()),
            "content_block_start" => {
                self.open_block(event.index, event.content_block.unwrap_or_default(), &mut parts)?;
            }
            "content_block_delta" => self.delta(event.index, event.delta.unwrap_or_default(), &mut parts)?,
            "content_block_stop" => self.close_block(event.index, &mut parts),
            "message_delta" => {
                self.counts.replace(event.usage.unwrap_or_default());
                self.counted = true;
                self.stop(event.delta.unwrap_or_default(), &mut parts)?;
            }
            "error" => return Err(event.error.unwrap_or_default().upstream(200)),
            "message_stop" => {}
            // `ping`, and kinds that the vendor reserves the right to add: nothing to read, and a sign of life to
            // pass on (§2.29).
            _ => out.push(Chunk::default()),
        }
        if !parts.is_empty() {
            let content = parts.iter().any(|part| !matches!(part, Part::Finish(_)));
            let pieces = parts.into_iter().map(|part| Piece { choice: 0, part }).collect();
            out.push(Chunk { raw: None, content, usage_only: false, pieces });
        }
        Ok(())
    }

    /// How it ended. Complete once the stop reason came; what follows it is empty. Of a stream that broke off the
    /// input is exact and the output estimated from the bytes that came.
    pub fn end(&mut self) -> Ending {
        let mut ending = std::mem::take(&mut self.ending);
        ending.usage = self.counts.usage();
        if let Some(usage) = ending.usage.as_mut().filter(|_| !self.counted) {
            usage.output = usage.output.max(estimate_tokens(ending.output_bytes));
            usage.reasoning = estimate_tokens(ending.reasoning_bytes);
            usage.basis = Basis::Estimated;
        }
        ending.tier = self.counts.tier();
        ending
    }

    /// Keeps the counts of a whole answer, so that `end` tells them when the rest of it cannot be read.
    pub fn counted(&mut self, message: &Message) {
        self.counts = message.usage.clone();
        self.counted = true;
        self.ending.id.clone_from(&message.id);
        self.ending.served_model.clone_from(&message.model);
    }

    fn start(&mut self, message: Message) {
        self.counts.replace(message.usage);
        self.ending.id = message.id;
        self.ending.served_model = message.model;
    }

    fn open_block(&mut self, index: u64, block: Block, parts: &mut Vec<Part>) -> Result<(), UpstreamError> {
        if self.open.len() >= OPEN_BLOCKS {
            return Err(garbled("too many open content blocks"));
        }
        let open = match block.kind.as_str() {
            "text" => {
                self.text(block.text.unwrap_or_default(), parts);
                Open::Text
            }
            "thinking" => {
                let text = block.thinking.unwrap_or_default();
                self.reasoning(&text, parts);
                Open::Thinking { text, signature: block.signature.unwrap_or_default() }
            }
            "redacted_thinking" => {
                self.detail(sealed(self.details, block.data), parts);
                return Ok(());
            }
            "tool_use" => {
                let (id, name) = block.identity()?;
                let index = self.tools;
                self.tools += 1;
                let first = ToolFragment { index, id: Some(id), name: Some(name), arguments: String::new() };
                parts.push(Part::ToolCall(first));
                let placeholder = arguments(block.input.as_deref()).unwrap_or("{}").to_owned();
                Open::Tool { index, wrote: false, placeholder }
            }
            other => return Err(unknown_block(other)),
        };
        self.open.push((index, open));
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Delta, parts: &mut Vec<Part>) -> Result<(), UpstreamError> {
        let open = self.open.iter_mut().find(|(at, _)| *at == index).map(|(_, open)| open);
        match (delta.kind.as_str(), open) {
            ("text_delta", Some(Open::Text)) => self.text(delta.text, parts),
            ("thinking_delta", Some(Open::Thinking { text, .. })) => {
                if text.len() + delta.thinking.len() > REASONING_BYTES {
                    return Err(garbled("a reasoning block without end"));
                }
                text.push_str(&delta.thinking);
                self.reasoning(&delta.thinking, parts);
            }
            ("signature_delta", Some(Open::Thinking { signature, .. })) => {
                if signature.len() + delta.signature.len() > REASONING_BYTES {
                    return Err(garbled("a reasoning signature without end"));
                }
                signature.push_str(&delta.signature);
            }
            ("input_json_delta", Some(Open::Tool { index, wrote, .. })) => {
                if !delta.partial_json.is_empty() {
                    *wrote = true;
                    let index = *index;
                    self.arguments(index, delta.partial_json, parts);
                }
            }
            // The text came in the block itself; OpenAI's shape has no place for where it was found.
            ("citations_delta", Some(_)) => {}
            (kind, _) => return Err(garbled(&format!("a delta `{kind}` that fits no open block"))),
        }
        Ok(())
    }

    fn close_block(&mut self, index: u64, parts: &mut Vec<Part>) {
        let Some(position) = self.open.iter().position(|(at, _)| *at == index) else { return };
        match self.open.swap_remove(position).1 {
            Open::Text | Open::Tool { wrote: true, .. } => {}
            Open::Thinking { text, signature } => {
                self.detail(signed(self.details, &text, Some(signature)), parts);
            }
            // A tool without input streams no JSON at all (§2.12).
            Open::Tool { index, placeholder, .. } => self.arguments(index, placeholder, parts),
        }
    }

    fn stop(&mut self, delta: Delta, parts: &mut Vec<Part>) -> Result<(), UpstreamError> {
        let Some(reason) = delta.stop_reason else { return Ok(()) };
        let finish = finish(&reason)?;
        if finish == Finish::ContentFilter
            && let Some(why) = delta.stop_details.and_then(|details| details.explanation)
        {
            self.ending.output_bytes += why.len() as u64;
            parts.push(Part::Refusal(why));
        }
        if !self.ending.complete {
            self.ending.complete = true;
            self.ending.finish = Some(finish);
            parts.push(Part::Finish(finish));
        }
        Ok(())
    }

    fn text(&mut self, text: String, parts: &mut Vec<Part>) {
        if !text.is_empty() {
            self.ending.output_bytes += text.len() as u64;
            parts.push(Part::Text(text));
        }
    }

    fn reasoning(&mut self, text: &str, parts: &mut Vec<Part>) {
        if !text.is_empty() {
            self.ending.reasoning_bytes += text.len() as u64;
            parts.push(Part::Reasoning(text.to_owned()));
        }
    }

    fn detail(&mut self, detail: Option<String>, parts: &mut Vec<Part>) {
        if let Some(detail) = detail {
            self.details += 1;
            parts.push(Part::ReasoningDetail(detail));
        }
    }

    fn arguments(&mut self, index: u32, arguments: String, parts: &mut Vec<Part>) {
        self.ending.output_bytes += arguments.len() as u64;
        parts.push(Part::ToolCall(ToolFragment { index, id: None, name: None, arguments }));
    }
}
