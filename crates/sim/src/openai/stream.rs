//! Streamed answers. Usage comes only when it was asked for (field notes §2.4), unless a fault says otherwise.

use serde_json::{Value, json};

use super::whole::call_id;
use super::{CREATED, finish, usage};
use crate::answer::{Answer, Answers, pieces};
use crate::ask::{Ask, Op};
use crate::dialect::{Event, Meta};
use crate::{Tally, UsageStyle, VendorSpec};

/// Writes the chunks of one answer.
struct Chunks<'a> {
    ask: &'a Ask,
    answers: &'a Answers,
    meta: &'a Meta,
    spec: &'a VendorSpec,
    /// What has been said so far, for usage on every chunk.
    said: Tally,
    events: Vec<Event>,
}

/// All events of a stream, `[DONE]` included.
pub(super) fn events(ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
    let said = Tally { output: 0, reasoning: 0, ..answers.tally };
    let mut chunks = Chunks { ask, answers, meta, spec, said, events: Vec::new() };
    for (index, answer) in answers.choices.iter().enumerate() {
        if ask.op == Op::Completion {
            chunks.text(index, answer);
        } else {
            chunks.choice(index, answer);
        }
    }
    chunks.usage();
    chunks.events.push(Event::data("[DONE]".to_owned()));
    chunks.events
}

impl Chunks<'_> {
    /// A chunk with these choices, billed for these tokens.
    fn push(&mut self, choices: &Value, output: u64, reasoning: u64, content: bool) {
        self.said.output += output;
        self.said.reasoning += reasoning;
        let data = self.chunk(choices, self.running_usage());
        self.events.push(Event { name: None, data, output, reasoning, content });
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> String {
        let object = if self.ask.op == Op::Completion { "text_completion" } else { "chat.completion.chunk" };
        let mut chunk = json!({
            "id": self.meta.id, "object": object, "created": CREATED, "model": self.meta.served,
            "system_fingerprint": "fp_sim", "choices": choices
        });
        if let (Some(usage), Some(chunk)) = (usage, chunk.as_object_mut()) {
            chunk.insert("usage".to_owned(), usage);
        }
        chunk.to_string()
    }

    /// What chunks before the last say of usage: nothing, `null` when it was asked for, or a running sum.
    fn running_usage(&self) -> Option<Value> {
        match self.meta.usage {
            UsageStyle::EveryChunk => Some(usage(&self.said, self.spec)),
            UsageStyle::Usual if self.ask.include_usage => Some(Value::Null),
            _ => None,
        }
    }

    /// The usage chunk, where the style has one.
    fn usage(&mut self) {
        let choices = match self.meta.usage {
            UsageStyle::Usual | UsageStyle::EveryChunk => json!([]),
            UsageStyle::EmptyDelta => json!([{"index": 0, "delta": {}, "finish_reason": null}]),
            UsageStyle::Missing | UsageStyle::OnFinish => return,
        };
        if self.ask.include_usage {
            let data = self.chunk(&choices, Some(usage(&self.answers.tally, self.spec)));
            self.events.push(Event::data(data));
        }
    }

    fn finish(&mut self, choices: &Value) {
        if self.meta.usage == UsageStyle::OnFinish {
            let data = self.chunk(choices, Some(usage(&self.answers.tally, self.spec)));
            self.events.push(Event::data(data));
        } else {
            self.push(choices, 0, 0, false);
        }
    }

    fn delta(&mut self, index: usize, delta: &Value, output: u64, reasoning: u64, content: bool) {
        let choice = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]);
        self.push(&choice, output, reasoning, content);
    }

    fn choice(&mut self, index: usize, answer: &Answer) {
        self.delta(index, &json!({"role": "assistant", "content": "", "refusal": null}), 0, 0, false);
        self.reasoning(index, answer);
        for (text, n) in pieces(&answer.text, self.spec.chunk_tokens) {
            self.delta(index, &json!({"content": text}), n, 0, true);
        }
        for (text, n) in pieces(&answer.refusal, self.spec.chunk_tokens) {
            self.delta(index, &json!({"refusal": text}), n, 0, true);
        }
        self.calls(index, answer);
        let last =
            json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": finish(answer.finish)}]);
        self.finish(&last);
    }

    fn reasoning(&mut self, index: usize, answer: &Answer) {
        let thoughts = pieces(&answer.reasoning, self.spec.chunk_tokens);
        if let Some(field) = self.spec.reasoning_field.clone() {
            for (text, n) in thoughts {
                self.delta(index, &json!({field.as_str(): text}), 0, n, true);
            }
        } else if let Some(role) = self.events.last_mut() {
            // hidden reasoning is done, and billed, by the time the first chunk comes
            let n: u64 = thoughts.iter().map(|(_, n)| n).sum();
            role.reasoning += n;
            self.said.reasoning += n;
        }
    }

    fn calls(&mut self, index: usize, answer: &Answer) {
        for (i, call) in answer.calls.iter().enumerate() {
            let function = json!({"name": call.name, "arguments": ""});
            let first =
                json!({"index": i, "id": call_id(self.meta, i), "type": "function", "function": function});
            self.delta(index, &json!({"tool_calls": [first]}), crate::ask::tokens(&call.name), 0, true);
            for (text, n) in pieces(&call.arguments, self.spec.chunk_tokens) {
                let more = json!({"index": i, "function": {"arguments": text}});
                self.delta(index, &json!({"tool_calls": [more]}), n, 0, true);
            }
        }
    }

    fn text(&mut self, index: usize, answer: &Answer) {
        let choice = |text: &str, reason: Option<&str>| json!([{"text": text, "index": index, "logprobs": null, "finish_reason": reason}]);
        for (text, n) in pieces(&answer.text, self.spec.chunk_tokens) {
            self.push(&choice(&text, None), n, 0, true);
        }
        let last = choice("", Some(finish(answer.finish)));
        self.finish(&last);
    }
}
