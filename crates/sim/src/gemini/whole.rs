//! Buffered answers, and the parts that streamed ones share.

use serde_json::{Map, Value, json};

use super::{finish, response, seal};
use crate::answer::{Answer, Answers, Finish};
use crate::ask::Ask;
use crate::dialect::Meta;
use crate::directives::Call;
use crate::vector::vector;
use crate::{UsageStyle, VendorSpec};

/// A `GenerateContentResponse`.
pub(super) fn content(ask: &Ask, answers: &Answers, meta: &Meta) -> Value {
    if answers.choices.iter().any(|answer| answer.finish == Finish::Blocked) {
        return blocked(answers, meta);
    }
    let candidates: Vec<Value> = answers
        .choices
        .iter()
        .enumerate()
        .map(|(index, answer)| candidate(&parts(ask, answer), Some(finish(answer)), index))
        .collect();
    response(Some(json!(candidates)), &answers.tally, meta)
}

/// The prompt itself was refused: no candidates.
pub(super) fn blocked(answers: &Answers, meta: &Meta) -> Value {
    let mut body = response(None, &answers.tally, meta);
    if let Some(body) = body.as_object_mut() {
        body.insert("promptFeedback".to_owned(), json!({"blockReason": "PROHIBITED_CONTENT"}));
    }
    body
}

/// A candidate; without parts it has no content at all.
pub(super) fn candidate(parts: &[Value], finish: Option<&str>, index: usize) -> Value {
    let mut candidate = Map::new();
    if !parts.is_empty() {
        candidate.insert("content".to_owned(), json!({"parts": parts, "role": "model"}));
    }
    if let Some(finish) = finish {
        candidate.insert("finishReason".to_owned(), json!(finish));
    }
    candidate.insert("index".to_owned(), json!(index));
    Value::Object(candidate)
}

fn parts(ask: &Ask, answer: &Answer) -> Vec<Value> {
    let mut parts = Vec::new();
    if ask.think && !answer.reasoning.is_empty() {
        parts.push(json!({"text": answer.reasoning, "thought": true}));
    }
    if !answer.text.is_empty() {
        parts.push(json!({"text": answer.text}));
    }
    parts.extend(answer.calls.iter().enumerate().map(|(i, call)| function_call(call, i)));
    parts
}

/// Whole arguments; the first call of an answer carries the seal for all.
pub(super) fn function_call(call: &Call, i: usize) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
    let mut part = json!({"functionCall": {"name": call.name, "args": arguments}});
    if let (0, Some(part)) = (i, part.as_object_mut()) {
        part.insert("thoughtSignature".to_owned(), json!(seal(&call.name)));
    }
    part
}

/// `embedContent` for one text, `batchEmbedContents` for several.
pub(super) fn embeddings(ask: &Ask, meta: &Meta, spec: &VendorSpec) -> Value {
    let length = ask.dimensions.or(spec.model(&ask.model).map(|model| model.dimensions)).unwrap_or_default();
    let embed = |text: &String| json!({"values": vector(text, length)});
    let mut body = if ask.batch {
        json!({"embeddings": ask.asked.iter().map(embed).collect::<Vec<_>>()})
    } else {
        json!({"embedding": ask.asked.first().map(embed)})
    };
    if let (true, Some(body)) = (meta.usage != UsageStyle::Missing, body.as_object_mut()) {
        body.insert("usageMetadata".to_owned(), json!({"promptTokenCount": ask.input_tokens}));
    }
    body
}
