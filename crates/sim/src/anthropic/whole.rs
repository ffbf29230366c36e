//! Buffered answers.

use serde_json::{Map, Value, json};

use super::{REDACTED, call_id, signature, stop_reason, usage};
use crate::UsageStyle;
use crate::answer::{Answer, Answers};
use crate::dialect::Meta;

/// A message.
pub(super) fn message(answers: &Answers, meta: &Meta) -> Value {
    let default = Answer::default();
    let answer = answers.choices.first().unwrap_or(&default);
    let mut message = json!({
        "id": meta.id, "type": "message", "role": "assistant", "model": meta.served,
        "content": content(answer, meta), "stop_reason": stop_reason(answer), "stop_sequence": answer.stopped_by,
        "usage": usage(&answers.tally, answers.tally.output + answers.tally.reasoning)
    });
    if let (UsageStyle::Missing, Some(fields)) = (meta.usage, message.as_object_mut()) {
        fields.shift_remove("usage");
    }
    message
}

fn content(answer: &Answer, meta: &Meta) -> Vec<Value> {
    let mut blocks = Vec::new();
    if answer.redacted {
        blocks.push(json!({"type": "redacted_thinking", "data": REDACTED}));
    } else if !answer.reasoning.is_empty() {
        let seal = signature(&answer.reasoning);
        blocks.push(json!({"type": "thinking", "thinking": answer.reasoning, "signature": seal}));
    }
    for text in [&answer.text, &answer.refusal] {
        if !text.is_empty() {
            blocks.push(json!({"type": "text", "text": text}));
        }
    }
    for (i, call) in answer.calls.iter().enumerate() {
        blocks.push(json!({
            "type": "tool_use", "id": call_id(meta, i), "name": call.name, "input": input(&call.arguments)
        }));
    }
    blocks
}

/// Arguments as an object; cut ones as an empty object.
fn input(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::Object(Map::new()))
}
