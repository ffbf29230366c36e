//! The law of §1.1: the same answer, buffered or streamed, is the same answer and uses the same.

use catalog::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{stream, whole};
use crate::wire::{Choice, Content, Dialect, Ending};

/// A block of an Anthropic answer, and where its text is cut in the stream.
#[derive(Clone, Debug)]
enum Block {
    Text(String, usize),
    Thinking(String, usize),
    Redacted(String),
    Tool(String, Option<u32>),
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        ("\\PC{0,12}", any::<usize>()).prop_map(|(text, cut)| Block::Text(text, cut)),
        ("\\PC{0,12}", any::<usize>()).prop_map(|(text, cut)| Block::Thinking(text, cut)),
        "[a-z]{1,6}".prop_map(Block::Redacted),
        ("[a-z]{1,6}", any::<Option<u32>>()).prop_map(|(name, argument)| Block::Tool(name, argument)),
    ]
}

fn cut(text: &str, at: usize) -> (&str, &str) {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
    text.split_at(places.get(at % places.len()).copied().unwrap_or(0))
}

impl Block {
    fn whole(&self, number: usize) -> Value {
        match self {
            Self::Text(text, _) => json!({"type": "text", "text": text}),
            Self::Thinking(text, _) => json!({"type": "thinking", "thinking": text, "signature": "c2ln"}),
            Self::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
            Self::Tool(name, argument) => {
                let input = argument.map_or(json!({}), |argument| json!({"x": argument}));
                json!({"type": "tool_use", "id": format!("t{number}"), "name": name, "input": input})
            }
        }
    }

    fn events(&self, index: usize) -> Vec<Value> {
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let (start, deltas) = match self {
            Self::Text(text, at) => {
                let (a, b) = cut(text, *at);
                let of = |text: &str| delta(json!({"type": "text_delta", "text": text}));
                (json!({"type": "text", "text": ""}), vec![of(a), of(b)])
            }
            Self::Thinking(text, at) => {
                let (a, b) = cut(text, *at);
                let of = |text: &str| delta(json!({"type": "thinking_delta", "thinking": text}));
                let signature = delta(json!({"type": "signature_delta", "signature": "c2ln"}));
                (json!({"type": "thinking", "thinking": "", "signature": ""}), vec![of(a), of(b), signature])
            }
            Self::Redacted(_) => (self.whole(index), vec![]),
            Self::Tool(name, argument) => {
                let start = json!({"type": "tool_use", "id": format!("t{index}"), "name": name, "input": {}});
                let text = argument.map(|argument| json!({"x": argument}).to_string()).unwrap_or_default();
                let (a, b) = cut(&text, 3);
                let of = |text: &str| delta(json!({"type": "input_json_delta", "partial_json": text}));
                (start, vec![of(a), of(b)])
            }
        };
        let mut events = vec![json!({"type": "content_block_start", "index": index, "content_block": start})];
        events.extend(deltas);
        events.push(json!({"type": "content_block_stop", "index": index}));
        events
    }
}

/// What two twins must share. Text that is empty and text that is absent are the same answer.
fn essence(mut choices: Vec<Choice>, ending: &Ending) -> (Vec<Choice>, Option<Usage>, u64, u64) {
    for choice in &mut choices {
        choice.text = choice.text.take().filter(|text| !text.is_empty());
    }
    (choices, ending.usage, ending.output_bytes, ending.reasoning_bytes)
}

proptest! {
    #[test]
    fn fn1_01_anthropic_twins(
        blocks in prop::collection::vec(block(), 0..6), input in 0u64..9_999, read in 0u64..9_999,
        short in 0u64..9_999, long in 0u64..9_999, output in 0u64..9_999, thought in 0u64..9_999
    ) {
        let usage = json!({
            "input_tokens": input, "cache_read_input_tokens": read, "cache_creation_input_tokens": short + long,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "output_tokens": output, "output_tokens_details": {"thinking_tokens": thought}});
        let content: Vec<Value> = blocks.iter().enumerate().map(|(number, block)| block.whole(number)).collect();
        let message = json!({"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": content,
            "stop_reason": "end_turn", "usage": usage});
        let buffered = whole(Dialect::Anthropic, "claude", &message).unwrap();
        let Content::Choices(choices) = buffered.content else { panic!("choices") };

        let mut start = message;
        start["content"] = json!([]);
        start["stop_reason"] = Value::Null;
        start["usage"]["output_tokens"] = json!(1);
        start["usage"]["output_tokens_details"] = Value::Null;
        let mut events = vec![json!({"type": "message_start", "message": start})];
        events.extend(blocks.iter().enumerate().flat_map(|(number, block)| block.events(number)));
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
            "output_tokens": output, "output_tokens_details": {"thinking_tokens": thought}}}));
        let streamed = stream(Dialect::Anthropic, "claude", &events);
        prop_assert!(streamed.error.is_none());
        let pieces = streamed.chunks.into_iter().flat_map(|chunk| chunk.pieces);
        prop_assert_eq!(
            essence(Choice::collect(pieces), &streamed.ending),
            essence(choices, &buffered.ending)
        );
    }
}
