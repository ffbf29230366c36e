//! Buffered answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{CREATED, finish, usage};
use crate::answer::{Answer, Answers};
use crate::ask::Ask;
use crate::dialect::Meta;
use crate::vector::vector;
use crate::{UsageStyle, VendorSpec};

/// A chat completion.
pub(super) fn chat(answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value {
    let choices: Vec<Value> = answers
        .choices
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            json!({
                "index": index, "message": message(answer, meta, spec), "logprobs": null,
                "finish_reason": finish(answer.finish)
            })
        })
        .collect();
    envelope("chat.completion", &choices, answers, meta, spec)
}

/// A text completion.
pub(super) fn completion(answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value {
    let choices: Vec<Value> = answers
        .choices
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            json!({"text": answer.text, "index": index, "logprobs": null, "finish_reason": finish(answer.finish)})
        })
        .collect();
    envelope("text_completion", &choices, answers, meta, spec)
}

fn envelope(object: &str, choices: &[Value], answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value {
    let mut body = json!({
        "id": meta.id, "object": object, "created": CREATED, "model": meta.served, "choices": choices,
        "usage": usage(&answers.tally, spec), "system_fingerprint": "fp_sim"
    });
    if meta.usage == UsageStyle::Missing
        && let Some(body) = body.as_object_mut()
    {
        body.shift_remove("usage");
    }
    body
}

fn message(answer: &Answer, meta: &Meta, spec: &VendorSpec) -> Value {
    let silent = !answer.calls.is_empty() || !answer.refusal.is_empty();
    let content = if silent { Value::Null } else { json!(answer.text) };
    let refusal = if answer.refusal.is_empty() { Value::Null } else { json!(answer.refusal) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(fields) = message.as_object_mut() {
        if let (Some(field), false) = (&spec.reasoning_field, answer.reasoning.is_empty()) {
            fields.insert(field.clone(), json!(answer.reasoning));
        }
        if !answer.calls.is_empty() {
            fields.insert("tool_calls".to_owned(), calls(answer, meta));
        }
    }
    message
}

fn calls(answer: &Answer, meta: &Meta) -> Value {
    let call = |(i, call): (usize, &crate::directives::Call)| {
        let function = json!({"name": call.name, "arguments": call.arguments});
        json!({"id": call_id(meta, i), "type": "function", "function": function})
    };
    answer.calls.iter().enumerate().map(call).collect()
}

/// The id of the `i`-th tool call of an answer.
pub(super) fn call_id(meta: &Meta, i: usize) -> String {
    format!("call_{}_{i}", meta.number)
}

/// Embedding vectors: a function of each text.
pub(super) fn embeddings(ask: &Ask, meta: &Meta, spec: &VendorSpec) -> Value {
    let length = ask.dimensions.or(spec.model(&ask.model).map(|model| model.dimensions)).unwrap_or_default();
    let data: Vec<Value> = ask
        .asked
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, length);
            let embedding = if ask.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": ask.input_tokens, "total_tokens": ask.input_tokens});
    let mut body = json!({"object": "list", "data": data, "model": meta.served, "usage": usage});
    if meta.usage == UsageStyle::Missing
        && let Some(body) = body.as_object_mut()
    {
        body.shift_remove("usage");
    }
    body
}
