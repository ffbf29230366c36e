//! A whole Messages answer, and the entry to a streamed one.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{self, Detail};
use super::stream::Stream;
use super::usage::Counts;
use crate::chat::ANTHROPIC_FORMAT;
use crate::{Answer, Choice, Chunk, Content, Ending, ErrorKind, Finish, Reply, ToolCall, UpstreamError, sse};

/// Reads the answer to one request.
#[derive(Default)]
pub(super) struct MessagesReply {
    stream: Stream,
}

impl Reply for MessagesReply {
    fn whole(&mut self, _headers: &HeaderMap, body: Bytes) -> Result<Answer, UpstreamError> {
        let message: Message = serde_json::from_slice(&body).map_err(|e| garbled(&e.to_string()))?;
        if let Some(error) = message.error {
            return Err(error.upstream(200));
        }
        if message.kind != "message" {
            return Err(garbled("the answer is not a message"));
        }
        self.stream.counted(&message);
        let mut ending = message.ending()?;
        let choice = message.choice(&mut ending)?;
        Ok(Answer { raw: None, content: Content::Choices(vec![choice]), ending })
    }

    fn frame(&mut self, frame: sse::Frame, out: &mut Vec<Chunk>) -> Result<(), UpstreamError> {
        self.stream.frame(&frame, out)
    }

    fn end(&mut self) -> Ending {
        self.stream.end()
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::refusal(status, headers, body)
    }
}

/// The answer, or the start of a stream of it.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Message {
    #[serde(rename = "type")]
    kind: String,
    pub id: Option<String>,
    pub model: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
    pub usage: Counts,
    error: Option<Detail>,
}

/// A content block of any kind; each kind fills its own fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub kind: String,
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    pub data: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub input: Option<Box<RawValue>>,
}

/// Why the model refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StopDetails {
    pub explanation: Option<String>,
}

impl Message {
    fn ending(&self) -> Result<Ending, UpstreamError> {
        let finish = self.stop_reason.as_deref().map(finish).transpose()?;
        Ok(Ending {
            complete: finish.is_some(),
            finish,
            usage: self.usage.usage(),
            served_model: self.model.clone(),
            id: self.id.clone(),
            tier: self.usage.tier(),
            ..Ending::default()
        })
    }

    fn choice(self, ending: &mut Ending) -> Result<Choice, UpstreamError> {
        let mut choice = Choice { finish: ending.finish, ..Choice::default() };
        for block in self.content {
            match block.kind.as_str() {
                "text" => {
                    let text = block.text.unwrap_or_default();
                    ending.output_bytes += text.len() as u64;
                    choice.text.get_or_insert_default().push_str(&text);
                }
                "thinking" => {
                    let text = block.thinking.unwrap_or_default();
                    ending.reasoning_bytes += text.len() as u64;
                    choice.reasoning_details.extend(signed(
                        choice.reasoning_details.len(),
                        &text,
                        block.signature,
                    ));
                    if !text.is_empty() {
                        choice.reasoning.get_or_insert_default().push_str(&text);
                    }
                }
                "redacted_thinking" => {
                    choice.reasoning_details.extend(sealed(choice.reasoning_details.len(), block.data));
                }
                "tool_use" => {
                    let (id, name) = block.identity()?;
                    let arguments = arguments(block.input.as_deref()).unwrap_or("{}").to_owned();
                    ending.output_bytes += arguments.len() as u64;
                    choice.tool_calls.push(ToolCall { id, name, arguments });
                }
                other => return Err(unknown_block(other)),
            }
        }
        if ending.finish == Some(Finish::ContentFilter) {
            choice.refusal = self.stop_details.and_then(|details| details.explanation);
            ending.output_bytes += choice.refusal.as_ref().map_or(0, String::len) as u64;
        }
        Ok(choice)
    }
}

impl Block {
    /// Id and name of a tool call.
    pub fn identity(&self) -> Result<(String, String), UpstreamError> {
        match (&self.id, &self.name) {
            (Some(id), Some(name)) => Ok((id.clone(), name.clone())),
            _ => Err(garbled("a tool call without id or name")),
        }
    }
}

/// The input as JSON text; `None` when it is missing, `null` or empty, which streams use as a placeholder.
pub(super) fn arguments(input: Option<&RawValue>) -> Option<&str> {
    input.map(RawValue::get).filter(|text| *text != "null" && *text != "{}")
}

/// A reasoning block as one entry of `reasoning_details`, to be replayed (field notes §2.14); `None` without a
/// signature, because the vendor would refuse it.
pub(super) fn signed(index: usize, text: &str, signature: Option<String>) -> Option<String> {
    let signature = signature.filter(|signature| !signature.is_empty())?;
    let detail = serde_json::json!({
        "type": "reasoning.text", "text": text, "signature": signature,
        "format": ANTHROPIC_FORMAT, "index": index,
    });
    Some(detail.to_string())
}

/// A redacted block as one entry of `reasoning_details`.
pub(super) fn sealed(index: usize, data: Option<String>) -> Option<String> {
    let detail = serde_json::json!({
        "type": "reasoning.encrypted", "data": data?, "format": ANTHROPIC_FORMAT, "index": index,
    });
    Some(detail.to_string())
}

/// The vendor's stop reason. A paused turn is an unfinished one: the caller, who cannot resume it, sees `length`.
/// A reason that is not known is an error, because it may not be a clean end.
pub(super) fn finish(reason: &str) -> Result<Finish, UpstreamError> {
    match reason {
        "end_turn" | "stop_sequence" => Ok(Finish::Stop),
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Ok(Finish::Length),
        "tool_use" => Ok(Finish::ToolCalls),
        "refusal" => Ok(Finish::ContentFilter),
        other => Err(garbled(&format!("unknown stop reason `{other}`"))),
    }
}

/// Server tools and other blocks that no request of ours asks for: leaving one out would look like a complete
/// answer (§2.23).
pub(super) fn unknown_block(kind: &str) -> UpstreamError {
    garbled(&format!("a content block of unknown type `{kind}`"))
}

pub(super) fn garbled(why: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::Garbled, Some(200), why)
}
