//! The committed prompts with our own answer key (`prompts.toml`): what to send, and what would be right.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::AnswerKey;

use super::client::Said;

/// What a prompt is about; decides its route and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Fact,
    Rewrite,
    Code,
    /// Says by its words that it is hard: a rule sees it.
    Maths,
    /// Does not say so: only the answer shows it.
    Hard,
    Json,
    Tool,
    Image,
    Long,
}

impl Kind {
    /// The model that the client names.
    pub const fn route(self) -> &'static str {
        match self {
            Self::Json => "extract",
            Self::Tool => "agent",
            _ => "auto",
        }
    }

    /// The tag `feature` of its requests.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Fact | Self::Hard | Self::Maths => "assistant",
            Self::Rewrite => "mail",
            Self::Code => "editor",
            Self::Json => "inbox",
            Self::Tool => "agent",
            Self::Image => "photos",
            Self::Long => "minutes",
        }
    }
}

/// The schema of a structured answer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schema {
    Contact,
    Invoice,
    Mood,
}

/// One prompt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    pub kind: Kind,
    pub ask: String,
    /// The right answer, which the flagship gives.
    pub answer: String,
    /// What the cheap model says; absent: the right answer.
    pub weak: Option<String>,
    /// For [`Kind::Json`].
    pub schema: Option<Schema>,
    /// What the tool says, for [`Kind::Tool`].
    pub result: Option<String>,
    /// How long the document is, for [`Kind::Long`].
    pub tokens: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prompt: Vec<Prompt>,
}

/// All prompts. Errors when the committed file is not sound, which a test excludes.
pub fn load() -> anyhow::Result<Vec<Prompt>> {
    let file: File = toml::from_str(include_str!("prompts.toml")).context("the demo's prompts")?;
    Ok(file.prompt)
}

/// What the simulated models know.
pub fn answer_key(prompts: &[Prompt]) -> AnswerKey {
    let mut key = AnswerKey::default();
    for prompt in prompts {
        key.insert(&prompt.text(), &prompt.answer, prompt.weak.as_deref());
    }
    key
}

/// What an application says before each prompt; it is most of the input, as in practice.
const INSTRUCTIONS: &str = "You are the assistant of a small mail-order company that sells garden tools, seeds and \
    books about both. You answer its customers, and you help its staff with texts, tables, code and small sums. Be brief: one \
    or two sentences unless more is asked for. Answer in the language of the question. Say numbers with their units. \
    Never make up an order, a price, a law or a source; if something is not in the question or in a tool's result, say so. \
    Orders have a number of up to five digits and pass through the states open, paid, shipped, delivered and returned. \
    Returns are free within thirty days and need no reason; seeds that were opened cannot be returned. Invoices are due \
    after fourteen days. The shop ships from one warehouse, on working days before three in the afternoon on the same day, \
    and within Europe only. When you write code, write it without comments and in the style of the question. When you \
    extract data, answer with JSON only, in exactly the asked form, with nothing before or after it. When you cannot help, \
    say who can: the office answers the telephone on working days from eight to four.";
/// A red pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sentence of a document that is all alike.
const MINUTES: &str = "The chair read the agenda; the meeting accepted it as it was read, and closed. ";

impl Prompt {
    /// The user's text, with the document where there is one.
    pub fn text(&self) -> String {
        match self.tokens {
            Some(tokens) => format!("{}\n\n{}", self.ask, MINUTES.repeat(tokens * 4 / MINUTES.len())),
            None => self.ask.clone(),
        }
    }

    /// The request as an OpenAI client would send it.
    pub fn body(&self, stream: bool) -> Value {
        let content = match self.kind {
            Kind::Image => json!([
                {"type": "text", "text": self.text()},
                {"type": "image_url", "image_url": {"url": PIXEL}}
            ]),
            _ => json!(self.text()),
        };
        let mut body = json!({
            "model": self.kind.route(),
            "messages": [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": content}],
            "max_tokens": 1024,
            "stream": stream
        });
        if let Some(fields) = body.as_object_mut() {
            if let Some(schema) = self.schema {
                fields.insert("response_format".to_owned(), schema.format());
            }
            if self.kind == Kind::Tool {
                fields.insert("tools".to_owned(), tools());
            }
        }
        body
    }

    /// The second turn of an agent's loop: the calls as they came, each with its result.
    pub fn follow_up(&self, mut body: Value, said: &Said) -> Option<Value> {
        let result = self.result.as_deref()?;
        let messages = body.get_mut("messages")?.as_array_mut()?;
        messages.push(said.message.clone());
        for call in &said.calls {
            messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": result}));
        }
        (!said.calls.is_empty()).then_some(body)
    }

    /// Whether an answer is the right one.
    pub fn right(&self, said: &Said) -> bool {
        match self.kind {
            Kind::Tool => {
                let called: Vec<_> =
                    said.calls.iter().map(|call| (call.name.clone(), parsed(&call.arguments))).collect();
                called == wanted_calls(&self.answer)
            }
            Kind::Json => parsed(&said.text).is_some_and(|value| Some(value) == parsed(&self.answer)),
            _ => said.text.trim() == self.answer.trim(),
        }
    }

    /// Whether the answer after the tool's result is the right one.
    pub fn concludes(&self, said: &Said) -> bool {
        self.result.as_deref().is_some_and(|result| said.text.contains(result))
    }
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The calls that the key writes as `[[tool:NAME {json}]]`.
fn wanted_calls(answer: &str) -> Vec<(String, Option<Value>)> {
    answer
        .split("[[tool:")
        .skip(1)
        .filter_map(|call| {
            let (name, arguments) = call.strip_suffix("]]").unwrap_or(call).split_once(' ')?;
            Some((name.to_owned(), parsed(arguments)))
        })
        .collect()
}

impl Schema {
    /// `response_format`.
    fn format(self) -> Value {
        let text = || json!({"type": "string"});
        let (name, properties) = match self {
            Self::Contact => ("contact", json!({"name": text(), "email": text(), "phone": text()})),
            Self::Invoice => ("invoice", json!({"number": text(), "total": text(), "currency": text()})),
            Self::Mood => {
                let mood = json!({"type": "string", "enum": ["positive", "neutral", "negative"]});
                ("mood", json!({"mood": mood, "urgent": {"type": "boolean"}}))
            }
        };
        let required: Vec<&String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        let schema = json!({
            "type": "object", "required": required, "additionalProperties": false, "properties": properties
        });
        json!({"type": "json_schema", "json_schema": {"name": name, "strict": true, "schema": schema}})
    }
}

fn tools() -> Value {
    let tool = |name: &str, what: &str, parameter: &str, kind: &str| {
        let properties = json!({parameter: {"type": kind}});
        let parameters = json!({"type": "object", "properties": properties, "required": [parameter]});
        json!({"type": "function", "function": {"name": name, "description": what, "parameters": parameters}})
    };
    json!([
        tool("weather", "The weather in a city now", "city", "string"),
        tool("order", "The state of an order", "number", "integer")
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::demo::client::Call;

    fn said(text: &str) -> Said {
        Said { text: text.to_owned(), ..Said::default() }
    }

    #[test]
    fn the_committed_prompts_are_sound() {
        let prompts = load().unwrap();
        let asked: HashSet<String> = prompts.iter().map(Prompt::text).collect();
        assert_eq!(asked.len(), prompts.len(), "each prompt is there once");
        assert_eq!(answer_key(&prompts).len(), prompts.len());
        for prompt in &prompts {
            let with = |kind, has: bool| assert_eq!(prompt.kind == kind, has, "{}", prompt.ask);
            with(Kind::Json, prompt.schema.is_some());
            with(Kind::Tool, prompt.result.is_some());
            with(Kind::Long, prompt.tokens.is_some());
            assert_ne!(prompt.weak.as_ref(), Some(&prompt.answer), "{}", prompt.ask);
            match prompt.kind {
                Kind::Tool => {
                    assert!(wanted_calls(&prompt.answer).iter().all(|(_, arguments)| arguments.is_some()));
                }
                _ => assert!(prompt.right(&said(&prompt.answer)), "{}", prompt.ask),
            }
            if let Some(weak) = &prompt.weak {
                assert!(!prompt.right(&said(weak)), "{}", prompt.ask);
            }
        }
    }

    #[test]
    fn maths_prompts_say_that_they_are_hard_and_others_do_not() {
        let rule = regex_of_the_article();
        for prompt in load().unwrap() {
            let marked = rule.iter().any(|word| {
                prompt
                    .ask
                    .to_lowercase()
                    .split(|c: char| !c.is_alphanumeric() && c != '-')
                    .any(|w| w == *word)
            });
            assert_eq!(marked, prompt.kind == Kind::Maths, "{}", prompt.ask);
        }
    }

    /// The words of the route's rule, see `vendors::config`.
    fn regex_of_the_article() -> [&'static str; 6] {
        ["multi-step", "prove", "derive", "optimize", "optimise", "architect"]
    }

    #[test]
    fn a_tool_call_is_right_when_names_and_arguments_are() {
        let prompts = load().unwrap();
        let prompt = prompts.iter().find(|prompt| prompt.kind == Kind::Tool).unwrap();
        let call =
            |arguments: &str| Call { id: "c".into(), name: "weather".into(), arguments: arguments.into() };
        let mut said = Said { calls: vec![call("{ \"city\": \"Oslo\" }")], ..Said::default() };
        assert!(prompt.right(&said));
        said.calls = vec![call("{\"city\": \"Rome\"}")];
        assert!(!prompt.right(&said));
        let next = prompt.follow_up(prompt.body(false), &said).unwrap();
        assert_eq!(next["messages"][3]["tool_call_id"], "c");
        assert_eq!(prompt.follow_up(prompt.body(false), &Said::default()), None);
    }
}
