//! What a vendor says: a function of the request, the answer key and the model.

use serde_json::json;

use crate::ask::{Ask, Choice, Format, Op, tokens};
use crate::directives::{Call, Directives, Text};
use crate::schema::sample;
use crate::{AnswerKey, ModelSpec, Tally};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    #[default]
    Stop,
    StopSequence,
    Length,
    Tools,
    Filter,
    /// The prompt was blocked: nothing is said.
    Blocked,
    /// A tool call could not be read.
    Malformed,
}

/// One choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub reasoning: String,
    /// The reasoning is not shown, only its sealed form.
    pub redacted: bool,
    pub text: String,
    /// The `refusal` field of structured outputs; dialects without one end with their refusal word.
    pub refusal: String,
    pub calls: Vec<Call>,
    pub finish: Finish,
    /// The stop sequence that was met.
    pub stopped_by: Option<String>,
}

/// All choices, with what they cost together.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub choices: Vec<Answer>,
    pub tally: Tally,
}

const REFUSAL: &str = "I'm sorry, but I can't help with that request.";
const UNSURE: &str = "I am not sure about this one; it may well be something else.";
const FILLER: &str = "The simulated model goes on with plain words that carry no meaning at all. ";
const REASONING_TOKENS: u64 = 16;

/// Answers a request.
pub(crate) fn compose(ask: &Ask, model: &ModelSpec, key: &AnswerKey) -> Answers {
    let mut tally = Tally::default();
    let mut choices = Vec::new();
    let prompts: Vec<&[String]> = match ask.op {
        Op::Completion => ask.asked.chunks(1).collect(),
        Op::Chat => vec![ask.asked.as_slice()],
        Op::Embedding => Vec::new(),
    };
    for asked in prompts {
        let spoken = Directives::read(asked.last().map_or("", String::as_str));
        for _ in 0..ask.n {
            let answer = one(ask, asked, &spoken, model, key);
            tally.reasoning += tokens(&answer.reasoning);
            tally.output += answer.output_tokens();
            choices.push(answer);
        }
        tally.cached += spoken.cached;
        tally.write_5m += spoken.write_5m;
        tally.write_1h += spoken.write_1h;
    }
    // disjoint buckets: what was cached or written is not fresh, and no bucket exceeds the input
    tally.cached = tally.cached.min(ask.input_tokens);
    tally.write_5m = tally.write_5m.min(ask.input_tokens - tally.cached);
    tally.write_1h = tally.write_1h.min(ask.input_tokens - tally.cached - tally.write_5m);
    tally.fresh = ask.input_tokens - tally.cached - tally.write_5m - tally.write_1h;
    Answers { choices, tally }
}

impl Answer {
    /// Visible output tokens: text, refusal, tool names and arguments.
    pub fn output_tokens(&self) -> u64 {
        let calls: u64 = self.calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments)).sum();
        tokens(&self.text) + tokens(&self.refusal) + calls
    }

    /// Applies stop sequences, then the output bound.
    fn bounded(mut self, stop: &[String], most: u64) -> Self {
        let met =
            stop.iter().filter(|s| !s.is_empty()).filter_map(|s| Some((self.text.find(s.as_str())?, s)));
        if let Some((at, sequence)) = met.min() {
            self.text.truncate(at);
            self.finish = Finish::StopSequence;
            self.stopped_by = Some(sequence.clone());
        }
        let mut left = most;
        let mut cut = clip(&mut self.reasoning, &mut left);
        cut |= clip(&mut self.text, &mut left);
        cut |= clip(&mut self.refusal, &mut left);
        for call in &mut self.calls {
            left = left.saturating_sub(tokens(&call.name));
            cut |= clip(&mut call.arguments, &mut left);
        }
        if cut {
            self.finish = Finish::Length;
            self.stopped_by = None;
        }
        self
    }
}

/// Cuts `text` to the tokens that are left and takes them; true when it was too long.
fn clip(text: &mut String, left: &mut u64) -> bool {
    let needs = tokens(text);
    if needs <= *left {
        *left -= needs;
        return false;
    }
    let bytes = usize::try_from(left.saturating_mul(4)).unwrap_or(usize::MAX);
    text.truncate(text.floor_char_boundary(bytes));
    *left = 0;
    true
}

fn one(ask: &Ask, asked: &[String], spoken: &Directives, model: &ModelSpec, key: &AnswerKey) -> Answer {
    let written = key.get(asked, model.strong).map(Directives::read);
    let directed = written.as_ref().unwrap_or(spoken);
    let mut answer = Answer {
        reasoning: reasoning(ask, directed, model),
        redacted: directed.redacted,
        ..Answer::default()
    };
    if let Some(taste) = model.judges {
        answer.text = taste.verdict(asked.last().map_or("", String::as_str));
    } else if let Some(result) = &ask.tool_result {
        answer.text = format!("The tool answered: {result}");
    } else {
        answer.calls = calls(ask, directed);
        if !answer.calls.is_empty() {
            answer.finish = Finish::Tools;
        } else if let Some(Text::Refusal) = directed.text {
            REFUSAL.clone_into(&mut answer.refusal);
        } else {
            answer.text = text(ask, directed, written.is_some(), model);
        }
    }
    if directed.filter {
        answer.finish = Finish::Filter;
    } else if directed.blocked || directed.malformed {
        let finish = if directed.blocked { Finish::Blocked } else { Finish::Malformed };
        return Answer { finish, ..Answer::default() };
    }
    let most = ask.max_output.unwrap_or(model.max_output).min(model.max_output);
    answer.bounded(&ask.stop, most)
}

fn reasoning(ask: &Ask, directed: &Directives, model: &ModelSpec) -> String {
    let default = if model.reasoning || ask.think { REASONING_TOKENS } else { 0 };
    words("Let me think. ", directed.think.unwrap_or(default))
}

fn calls(ask: &Ask, directed: &Directives) -> Vec<Call> {
    let offered = |name: &str| ask.tools.iter().find(|tool| tool.name == name);
    let mut calls: Vec<Call> = match &ask.choice {
        Choice::None => Vec::new(),
        _ => directed.calls.iter().filter(|call| offered(&call.name).is_some()).cloned().collect(),
    };
    let forced = match &ask.choice {
        Choice::Required => ask.tools.first(),
        Choice::Named(name) => {
            calls.retain(|call| call.name == *name);
            offered(name)
        }
        Choice::Auto | Choice::None => None,
    };
    if let (true, Some(tool)) = (calls.is_empty(), forced) {
        let arguments = sample(&tool.parameters);
        let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
        calls.push(Call { name: tool.name.clone(), arguments });
    }
    if !ask.parallel {
        calls.truncate(1);
    }
    calls
}

fn text(ask: &Ask, directed: &Directives, known: bool, model: &ModelSpec) -> String {
    match &directed.text {
        Some(Text::Say(text)) => return text.clone(),
        Some(Text::Len(n)) => return words(FILLER, *n),
        Some(Text::Json) => return json!({"answer": directed.rest.trim(), "ok": true}).to_string(),
        Some(Text::BadJson) => return r#"{"answer": "cut off in the mid"#.to_owned(),
        Some(Text::Refuse) => return REFUSAL.to_owned(),
        Some(Text::Empty) => return String::new(),
        Some(Text::Repeat) => return "the same again and ".repeat(40),
        Some(Text::Unsure) => return UNSURE.to_owned(),
        Some(Text::Refusal) | None => {}
    }
    if known {
        return directed.rest.trim().to_owned();
    }
    match &ask.format {
        Format::Schema(schema) => sample(schema).to_string(),
        Format::Json => json!({"answer": directed.rest.trim()}).to_string(),
        Format::Text => {
            let asked: String = directed.rest.trim().chars().take(200).collect();
            let opening = format!("You asked: {asked} ");
            let left = model.words.saturating_sub(tokens(&opening));
            opening + &words(FILLER, left)
        }
    }
}

/// `seed` over and over, exactly `n` tokens long. `seed` is ASCII.
fn words(seed: &str, n: u64) -> String {
    let bytes = usize::try_from(n.saturating_mul(4)).unwrap_or(usize::MAX).min(64 << 20);
    seed.chars().cycle().take(bytes).collect()
}

/// Cuts a text into pieces of `chunk_tokens`, at character boundaries, each with the tokens that it adds: the
/// sum is [`tokens`] of the whole.
pub(crate) fn pieces(text: &str, chunk_tokens: u64) -> Vec<(String, u64)> {
    let step = usize::try_from(chunk_tokens.max(1).saturating_mul(4)).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    let (mut sent, mut left) = (0_usize, text);
    while !left.is_empty() {
        // at least one character, however wide
        let first = left.chars().next().map_or(1, char::len_utf8);
        let (piece, rest) = left.split_at(left.floor_char_boundary(step.min(left.len())).max(first));
        let before = (sent as u64).div_ceil(4);
        sent += piece.len();
        out.push((piece.to_owned(), (sent as u64).div_ceil(4) - before));
        left = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(prompt: &str) -> Ask {
        Ask { asked: vec![prompt.into()], input_tokens: 100, ..Ask::new(Op::Chat, "m") }
    }

    fn answer(ask: &Ask) -> Answer {
        compose(ask, &ModelSpec::new("m"), &AnswerKey::default()).choices.remove(0)
    }

    #[test]
    fn pieces_add_up_to_the_whole() {
        for text in ["", "a", "abcd", "abcdefgh-", "äöü€𝄞 mixed widths 𝄞𝄞𝄞"] {
            for chunk in [0, 1, 3, 1000] {
                let pieces = pieces(text, chunk);
                assert_eq!(pieces.iter().map(|(piece, _)| piece.as_str()).collect::<String>(), text);
                assert_eq!(pieces.iter().map(|(_, n)| n).sum::<u64>(), tokens(text));
            }
        }
    }

    #[test]
    fn weak_models_give_the_weak_answer() {
        let mut key = AnswerKey::default();
        key.insert("2+2?", "4", Some("[[refuse]]"));
        let said = |model| compose(&ask(" 2+2? "), &model, &key).choices.remove(0).text;
        assert_eq!(said(ModelSpec::strong("m")), "4");
        assert_eq!(said(ModelSpec::new("m")), REFUSAL);
    }

    #[test]
    fn a_stop_sequence_and_the_bound_cut() {
        let mut asked = ask("[[say:one two three]]");
        asked.stop = vec!["three".into(), " two".into()];
        let stopped = answer(&asked);
        assert_eq!((stopped.text.as_str(), stopped.finish), ("one", Finish::StopSequence));
        asked = ask("[[len:50]]");
        asked.max_output = Some(7);
        let cut = answer(&asked);
        assert_eq!((cut.output_tokens(), cut.finish), (7, Finish::Length));
    }

    #[test]
    fn input_buckets_are_disjoint_and_sum_to_the_input() {
        let tally = compose(
            &ask("[[cached:60]][[write:30]][[write1h:99]]x"),
            &ModelSpec::new("m"),
            &AnswerKey::default(),
        )
        .tally;
        assert_eq!((tally.fresh, tally.cached, tally.write_5m, tally.write_1h), (0, 60, 30, 10));
    }

    #[test]
    fn a_tool_is_called_only_when_it_is_offered() {
        let mut asked = ask("[[tool:add {\"a\":1}]]");
        assert!(answer(&asked).calls.is_empty());
        asked.tools.push(crate::ask::Tool { name: "add".into(), parameters: json!({}) });
        assert_eq!(answer(&asked).calls[0].arguments, "{\"a\":1}");
        asked.choice = Choice::None;
        assert!(answer(&asked).calls.is_empty());
    }
}
