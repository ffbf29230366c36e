//! Streamed answers: named events, content blocks one after the other, usage at the start and, cumulative, at the
//! end (field notes §2.2).

use serde_json::{Value, json};

use super::{REDACTED, call_id, named, signature, stop_reason, usage};
use crate::answer::{Answer, Answers, pieces};
use crate::ask::tokens;
use crate::dialect::{Event, Meta};
use crate::directives::Call;
use crate::{UsageStyle, VendorSpec};

/// Writes the blocks of one message.
struct Blocks {
    chunk_tokens: u64,
    index: usize,
    events: Vec<Event>,
}

/// All events of a stream.
pub(super) fn events(answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
    let default = Answer::default();
    let answer = answers.choices.first().unwrap_or(&default);
    let mut blocks = Blocks { chunk_tokens: spec.chunk_tokens, index: 0, events: vec![start(answers, meta)] };
    blocks.reasoning(answer);
    for text in [&answer.text, &answer.refusal] {
        blocks.text(text);
    }
    for (i, call) in answer.calls.iter().enumerate() {
        blocks.call(&call_id(meta, i), call);
    }
    // a keep-alive after the first block's start, as the real one sends
    blocks.events.insert(2.min(blocks.events.len()), named("ping", &json!({"type": "ping"})));
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": answer.stopped_by});
    let mut last = json!({"type": "message_delta", "delta": delta});
    if let (true, Some(last)) = (meta.usage != UsageStyle::Missing, last.as_object_mut()) {
        last.insert(
            "usage".to_owned(),
            usage(&answers.tally, answers.tally.output + answers.tally.reasoning),
        );
    }
    blocks.events.push(named("message_delta", &last));
    blocks.events.push(named("message_stop", &json!({"type": "message_stop"})));
    blocks.events
}

/// `message_start` already holds an output token: who adds both usages counts double.
fn start(answers: &Answers, meta: &Meta) -> Event {
    let mut message = json!({
        "id": meta.id, "type": "message", "role": "assistant", "model": meta.served, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(&answers.tally, 1)
    });
    if let (UsageStyle::Missing, Some(fields)) = (meta.usage, message.as_object_mut()) {
        fields.shift_remove("usage");
    }
    named("message_start", &json!({"type": "message_start", "message": message}))
}

impl Blocks {
    fn open(&mut self, block: &Value) {
        let event = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        self.events.push(named("content_block_start", &event));
    }

    fn delta(&mut self, delta: &Value, output: u64, reasoning: u64) {
        let event = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        self.events.push(Event { output, reasoning, content: true, ..named("content_block_delta", &event) });
    }

    fn close(&mut self) {
        let event = json!({"type": "content_block_stop", "index": self.index});
        self.events.push(named("content_block_stop", &event));
        self.index += 1;
    }

    fn reasoning(&mut self, answer: &Answer) {
        if answer.redacted {
            self.open(&json!({"type": "redacted_thinking", "data": REDACTED}));
            if let Some(open) = self.events.last_mut() {
                open.reasoning = tokens(&answer.reasoning);
            }
            self.close();
        } else if !answer.reasoning.is_empty() {
            self.open(&json!({"type": "thinking", "thinking": "", "signature": ""}));
            for (text, n) in pieces(&answer.reasoning, self.chunk_tokens) {
                self.delta(&json!({"type": "thinking_delta", "thinking": text}), 0, n);
            }
            self.delta(&json!({"type": "signature_delta", "signature": signature(&answer.reasoning)}), 0, 0);
            self.close();
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.open(&json!({"type": "text", "text": ""}));
        for (text, n) in pieces(text, self.chunk_tokens) {
            self.delta(&json!({"type": "text_delta", "text": text}), n, 0);
        }
        self.close();
    }

    /// A call without input streams no `input_json_delta` at all (field notes §2.12).
    fn call(&mut self, id: &str, call: &Call) {
        self.open(&json!({"type": "tool_use", "id": id, "name": call.name, "input": {}}));
        let empty = call.arguments == "{}";
        if let Some(open) = self.events.last_mut() {
            open.content = true;
            open.output = tokens(&call.name) + if empty { tokens(&call.arguments) } else { 0 };
        }
        if !empty {
            for (text, n) in pieces(&call.arguments, self.chunk_tokens) {
                self.delta(&json!({"type": "input_json_delta", "partial_json": text}), n, 0);
            }
        }
        self.close();
    }
}
