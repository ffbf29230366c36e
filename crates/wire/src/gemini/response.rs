//! Answers: a whole one is read as a stream of one event.

use bytes::Bytes;
use catalog::Basis;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::{self, Fault};
use super::usage::UsageMetadata;
use crate::chat::{GEMINI_FORMAT, thought_id};
use crate::{
    Answer, Choice, Chunk, Content, Ending, ErrorKind, Finish, Part, Piece, Reply, ToolFragment,
    UpstreamError, estimate_tokens, sse,
};

/// Candidates in one answer; the vendor gives at most eight.
const CANDIDATES: usize = 128;

/// Reads the answer to one request.
pub(super) struct GenerateReply {
    /// Makes ids of tool calls unique within the conversation when the answer has no id of its own.
    turn: u32,
    candidates: Vec<State>,
    usage: Option<UsageMetadata>,
    ending: Ending,
    /// The answer came whole, so its counts are those that are billed.
    counts_are_final: bool,
}

/// What has been seen of a candidate.
#[derive(Default)]
struct State {
    index: u32,
    calls: u32,
    details: u32,
    finished: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    response_id: Option<String>,
    error: Option<Fault>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate {
    index: u32,
    content: Option<Parts>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parts {
    parts: Vec<Given>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Given {
    text: Option<String>,
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionCall {
    name: String,
    args: Option<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

impl GenerateReply {
    /// A reply in a conversation of so many messages.
    pub fn new(turn: u32) -> Self {
        Self { turn, candidates: Vec::new(), usage: None, ending: Ending::default(), counts_are_final: false }
    }

    fn event(&mut self, event: Event, pieces: &mut Vec<Piece>) -> Result<(), UpstreamError> {
        if let Some(error) = event.error {
            return Err(error.inside_200());
        }
        if event.usage_metadata.is_some() {
            self.usage = event.usage_metadata;
        }
        self.ending.served_model = event.model_version.or(self.ending.served_model.take());
        self.ending.id = event.response_id.or(self.ending.id.take());
        for candidate in event.candidates {
            self.candidate(candidate, pieces)?;
        }
        // The prompt was refused: there is no candidate.
        if event.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some())
            && self.candidates.is_empty()
        {
            let state = self.state(0)?;
            state.finished = true;
            self.ending.finish = Some(Finish::ContentFilter);
            pieces.push(Piece { choice: 0, part: Part::Finish(Finish::ContentFilter) });
        }
        self.ending.complete =
            self.ending.finish.is_some() && self.candidates.iter().all(|state| state.finished);
        Ok(())
    }

    fn state(&mut self, index: u32) -> Result<&mut State, UpstreamError> {
        let position = match self.candidates.iter().position(|state| state.index == index) {
            Some(position) => position,
            None if self.candidates.len() >= CANDIDATES => return Err(garbled("too many candidates")),
            None => {
                self.candidates.push(State { index, ..State::default() });
                self.candidates.len() - 1
            }
        };
        self.candidates.get_mut(position).ok_or_else(|| garbled("a candidate was lost"))
    }

    fn candidate(&mut self, candidate: Candidate, pieces: &mut Vec<Piece>) -> Result<(), UpstreamError> {
        let choice = candidate.index;
        self.state(choice)?;
        for given in candidate.content.unwrap_or_default().parts {
            self.part(choice, given, pieces)?;
        }
        let Some(reason) = candidate.finish_reason else { return Ok(()) };
        let state = self.state(choice)?;
        let finish = finish(&reason, state.calls > 0)?;
        if !state.finished {
            state.finished = true;
            pieces.push(Piece { choice, part: Part::Finish(finish) });
            if choice == 0 {
                self.ending.finish = Some(finish);
            }
        }
        Ok(())
    }

    fn part(&mut self, choice: u32, given: Given, pieces: &mut Vec<Piece>) -> Result<(), UpstreamError> {
        if let Some(call) = given.function_call {
            let part = self.call(choice, call, given.thought_signature)?;
            pieces.push(Piece { choice, part });
            return Ok(());
        }
        if given.text.is_none()
            && given.thought_signature.is_none()
            && let Some(kind) = given.other.keys().next()
        {
            // Leaving out an image or the vendor's own code run would look like a complete answer.
            return Err(garbled(&format!("a part of unknown kind `{kind}`")));
        }
        if let Some(text) = given.text.filter(|text| !text.is_empty()) {
            let length = text.len() as u64;
            let part = if given.thought {
                self.ending.reasoning_bytes += length;
                Part::Reasoning(text)
            } else {
                self.ending.output_bytes += length;
                Part::Text(text)
            };
            pieces.push(Piece { choice, part });
        }
        if let Some(signature) = given.thought_signature {
            let state = self.state(choice)?;
            let detail = json!({
                "type": "reasoning.encrypted", "data": signature, "format": GEMINI_FORMAT, "index": state.details,
            });
            state.details += 1;
            pieces.push(Piece { choice, part: Part::ReasoningDetail(detail.to_string()) });
        }
        Ok(())
    }

    /// A call comes whole. Its id is ours: the vendor matches by position, clients by id.
    fn call(
        &mut self,
        choice: u32,
        call: FunctionCall,
        signature: Option<String>,
    ) -> Result<Part, UpstreamError> {
        if call.name.is_empty() {
            return Err(garbled("a function call without a name"));
        }
        let answer = self.ending.id.as_deref().map(short).filter(|id| !id.is_empty());
        let answer = answer.unwrap_or_else(|| self.turn.to_string());
        let state = self.state(choice)?;
        let index = state.calls;
        state.calls += 1;
        let id = if choice == 0 {
            format!("call_{answer}_{index}")
        } else {
            format!("call_{answer}_{choice}_{index}")
        };
        let id = signature.map_or(id.clone(), |signature| thought_id::join(&id, &signature));
        let arguments = Value::Object(call.args.unwrap_or_default()).to_string();
        self.ending.output_bytes += arguments.len() as u64;
        Ok(Part::ToolCall(ToolFragment { index, id: Some(id), name: Some(call.name), arguments }))
    }
}

/// The part of an answer's id that goes into the ids of its calls.
fn short(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).take(24).collect()
}

impl Reply for GenerateReply {
    fn whole(&mut self, _headers: &HeaderMap, body: Bytes) -> Result<Answer, UpstreamError> {
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(error::read(&body).map_or_else(|| garbled("the answer is a list"), Fault::inside_200));
        }
        let event = serde_json::from_slice(&body).map_err(|e| garbled(&e.to_string()))?;
        self.counts_are_final = true;
        let mut pieces = Vec::new();
        self.event(event, &mut pieces)?;
        if self.candidates.is_empty() {
            return Err(garbled("the answer has no candidate"));
        }
        let ending = self.end();
        Ok(Answer { raw: None, content: Content::Choices(Choice::collect(pieces)), ending })
    }

    fn frame(&mut self, frame: sse::Frame, out: &mut Vec<Chunk>) -> Result<(), UpstreamError> {
        if frame.data.is_empty() || frame.data == b"[DONE]".as_slice() {
            return Ok(());
        }
        if let Some(error) = frame.data.starts_with(b"[").then(|| error::read(&frame.data)).flatten() {
            return Err(error.inside_200());
        }
        let Ok(event) = serde_json::from_slice(&frame.data) else {
            // One bad event does not end the stream (§2.28).
            self.ending.skipped_events += 1;
            return Ok(());
        };
        let mut pieces = Vec::new();
        let result = self.event(event, &mut pieces);
        let content = pieces.iter().any(|piece| !matches!(piece.part, Part::Finish(_)));
        // Pieces that came before the error in one event stand, like those of earlier events.
        if !pieces.is_empty() || result.is_ok() {
            out.push(Chunk { raw: None, content, usage_only: false, pieces });
        }
        result
    }

    /// Of a stream that broke off, the last counts may lie behind what came. Those of a whole answer are the bill,
    /// also when the answer is refused here.
    fn end(&mut self) -> Ending {
        let mut ending = std::mem::take(&mut self.ending);
        ending.usage = self.usage.as_ref().map(UsageMetadata::usage);
        if let Some(usage) = ending.usage.as_mut().filter(|_| !ending.complete && !self.counts_are_final) {
            usage.output = usage.output.max(estimate_tokens(ending.output_bytes));
            usage.reasoning = usage.reasoning.max(estimate_tokens(ending.reasoning_bytes));
            usage.basis = Basis::Estimated;
        }
        ending
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::refusal(status, headers, body)
    }
}

/// The vendor says STOP also when it calls tools (§2.10). A call that it could not write, and reasons that are not
/// known, are errors: they are no clean end (§2.9).
fn finish(reason: &str, called: bool) -> Result<Finish, UpstreamError> {
    match reason {
        "STOP" if called => Ok(Finish::ToolCalls),
        "STOP" => Ok(Finish::Stop),
        "MAX_TOKENS" => Ok(Finish::Length),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ok(Finish::ContentFilter),
        _ => {
            // The vendor's message may quote the answer, which belongs in no log.
            let kind = if reason == "OTHER" { ErrorKind::Server } else { ErrorKind::Garbled };
            let mut error = UpstreamError::new(kind, Some(200), format!("the model ended with {reason}"));
            error.code = Some(reason.chars().take(64).collect());
            Err(error)
        }
    }
}

fn garbled(why: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::Garbled, Some(200), why)
}
