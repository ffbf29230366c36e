//! Streamed answers: usage grows on every chunk, function calls come whole, and nothing says `[DONE]` (field notes
//! §2.5, §2.6).

use serde_json::{Value, json};

use super::whole::{blocked, candidate, function_call};
use super::{finish, response};
use crate::answer::{Answer, Answers, Finish, pieces};
use crate::ask::{Ask, tokens};
use crate::dialect::{Event, Meta};
use crate::{Tally, UsageStyle, VendorSpec};

/// Writes the chunks of one answer.
struct Chunks<'a> {
    meta: &'a Meta,
    said: Tally,
    events: Vec<Event>,
}

/// All events of a stream.
pub(super) fn events(ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
    if answers.choices.iter().any(|answer| answer.finish == Finish::Blocked) {
        return vec![Event::data(blocked(answers, meta).to_string())];
    }
    let said = Tally { output: 0, reasoning: 0, ..answers.tally };
    let mut chunks = Chunks { meta, said, events: Vec::new() };
    for (index, answer) in answers.choices.iter().enumerate() {
        chunks.answer(ask, answer, index, spec);
    }
    if meta.usage == UsageStyle::EmptyDelta {
        // usage without candidates, as it sometimes comes
        chunks.events.push(Event::data(response(None, &answers.tally, meta).to_string()));
    }
    chunks.events
}

impl Chunks<'_> {
    fn push(&mut self, parts: &[Value], finish: Option<&str>, index: usize, output: u64, reasoning: u64) {
        self.said.output += output;
        self.said.reasoning += reasoning;
        let body = response(Some(json!([candidate(parts, finish, index)])), &self.said, self.meta);
        let content = !parts.is_empty();
        self.events.push(Event { name: None, data: body.to_string(), output, reasoning, content });
    }

    fn answer(&mut self, ask: &Ask, answer: &Answer, index: usize, spec: &VendorSpec) {
        // hidden thoughts are billed by the time the first visible part comes
        let mut hidden = 0;
        if ask.think {
            for (text, n) in pieces(&answer.reasoning, spec.chunk_tokens) {
                self.push(&[json!({"text": text, "thought": true})], None, index, 0, n);
            }
        } else {
            hidden = tokens(&answer.reasoning);
        }
        for (text, n) in pieces(&answer.text, spec.chunk_tokens) {
            self.push(&[json!({"text": text})], None, index, n, std::mem::take(&mut hidden));
        }
        for (i, call) in answer.calls.iter().enumerate() {
            let n = tokens(&call.name) + tokens(&call.arguments);
            self.push(&[function_call(call, i)], None, index, n, std::mem::take(&mut hidden));
        }
        // a refusal is not shown, but it was written and is billed
        self.push(&[], Some(finish(answer)), index, tokens(&answer.refusal), hidden);
    }
}
