//! OpenAI embeddings as `batchEmbedContents`: one request a text, answers in the same order.

use bytes::Bytes;
use catalog::{Basis, Usage};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::error::{self, Fault};
use crate::chat::{Dropped, refuse};
use crate::{Answer, Chunk, Content, Ending, ErrorKind, Reply, Unsupported, UpstreamError, sse};

/// The body, and the harmless fields that it does not carry. `encoding_format` is the writer's matter: the vendor
/// always sends numbers (field notes §2.35).
pub(super) fn encode(raw: &[u8], model: &str) -> Result<(Bytes, Vec<String>), Unsupported> {
    let body: Map<String, Value> =
        serde_json::from_slice(raw).map_err(|e| refuse("body", format!("it is not a JSON object: {e}")))?;
    let mut dropped = Dropped::default();
    let mut texts = Vec::new();
    let mut dimensions = None;
    for (field, value) in body {
        match field.as_str() {
            _ if value.is_null() => {}
            "model" | "encoding_format" => {}
            "input" => texts = read_input(value)?,
            "dimensions" => dimensions = Some(value),
            "user" => dropped.note("user"),
            _ => return Err(refuse(field, "the field is not known, so it cannot be translated")),
        }
    }
    let model = format!("models/{}", model.strip_prefix("models/").unwrap_or(model));
    let requests: Vec<Value> = texts
        .into_iter()
        .map(|text| {
            let mut request = Map::new();
            request.insert("model".to_owned(), json!(model));
            request.insert("content".to_owned(), json!({"parts": [{"text": text}]}));
            if let Some(dimensions) = &dimensions {
                request.insert("outputDimensionality".to_owned(), dimensions.clone());
            }
            Value::Object(request)
        })
        .collect();
    Ok((json!({"requests": requests}).to_string().into(), dropped.into_vec()))
}

fn read_input(value: Value) -> Result<Vec<String>, Unsupported> {
    let text = |value| match value {
        Value::String(text) if text.is_empty() => Err(refuse("input", "the vendor refuses empty texts")),
        Value::String(text) => Ok(text),
        _ => Err(refuse("input", "the vendor takes texts, not tokens")),
    };
    match value {
        Value::Array(list) => list.into_iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// Reads the answer.
#[derive(Default)]
pub(super) struct EmbedReply {
    ending: Ending,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    embeddings: Vec<Embedding>,
    usage_metadata: Option<Counts>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
}

impl Reply for EmbedReply {
    fn whole(&mut self, _headers: &HeaderMap, body: Bytes) -> Result<Answer, UpstreamError> {
        let answer: Response = serde_json::from_slice(&body).map_err(|e| garbled(&e.to_string()))?;
        if let Some(error) = answer.error {
            return Err(error.inside_200());
        }
        if answer.embeddings.is_empty() {
            return Err(garbled("the answer has no embeddings"));
        }
        let input = answer.usage_metadata.and_then(|counts| counts.prompt_token_count);
        let usage = input.map(|input| Usage { input, basis: Basis::Reported, ..Usage::default() });
        let vectors = answer.embeddings.into_iter().map(|vector| vector.values.get().to_owned()).collect();
        let ending = Ending { complete: true, usage, ..Ending::default() };
        Ok(Answer { raw: None, content: Content::Embeddings(vectors), ending })
    }

    fn frame(&mut self, _frame: sse::Frame, _out: &mut Vec<Chunk>) -> Result<(), UpstreamError> {
        Err(garbled("embeddings are not streamed"))
    }

    fn end(&mut self) -> Ending {
        std::mem::take(&mut self.ending)
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::refusal(status, headers, body)
    }
}

fn garbled(why: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::Garbled, Some(200), why)
}
