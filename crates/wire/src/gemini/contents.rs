//! Turns as Gemini wants them: roles that alternate, results in the order of their calls and in a turn of their own,
//! signatures where they were.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::model::Traits;
use crate::Unsupported;
use crate::chat::{Assistant, Chat, Dropped, GEMINI_FORMAT, Part, Source, ToolResult, Turn, refuse};

/// What the vendor documents for calls that its model did not make.
const FOREIGN_SIGNATURE: &str = "skip_thought_signature_validator";

/// Turns as `contents`. `moved` strips signatures, which another vendor or model made.
pub(super) fn contents(chat: &mut Chat, traits: Traits, moved: bool) -> Result<Vec<Value>, Unsupported> {
    let mut out = Contents::default();
    let mut calls = Calls::default();
    for turn in std::mem::take(&mut chat.turns) {
        match turn {
            Turn::User { at, parts } => {
                let parts = parts.into_iter().enumerate();
                let parts = parts
                    .map(|(index, part)| {
                        user_part(part, &format!("messages[{at}].content[{index}]"), &mut chat.dropped)
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                out.push(Role::User, parts);
            }
            Turn::Assistant(said) => {
                if out.role != Role::Model {
                    calls.begin_turn();
                }
                calls.note(&said);
                let model = model_parts(said, traits, moved, out.has_calls(), &mut chat.dropped);
                out.push(Role::Model, model);
            }
            Turn::Tool(result) => {
                let (order, part) = calls.result(result, &mut chat.dropped)?;
                out.push_result(order, part);
            }
        }
    }
    Ok(out.close())
}

/// Results are a role of their own here: the vendor wants them apart from what the user says (field notes §2.13).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    #[default]
    None,
    User,
    Model,
    Results,
}

#[derive(Default)]
struct Contents {
    done: Vec<Value>,
    role: Role,
    parts: Vec<Value>,
    /// Results by the place of their call.
    results: Vec<(usize, Value)>,
}

impl Contents {
    fn push(&mut self, role: Role, parts: Vec<Value>) {
        if !parts.is_empty() {
            self.turn_to(role);
            self.parts.extend(parts);
        }
    }

    fn push_result(&mut self, order: usize, part: Value) {
        self.turn_to(Role::Results);
        self.results.push((order, part));
    }

    /// The open turn holds a function call.
    fn has_calls(&self) -> bool {
        self.role == Role::Model && self.parts.iter().any(|part| part.get("functionCall").is_some())
    }

    fn turn_to(&mut self, role: Role) {
        if self.role != role {
            self.flush();
            self.role = role;
        }
    }

    fn flush(&mut self) {
        // The vendor matches results to calls by position.
        self.results.sort_by_key(|(order, _)| *order);
        self.parts.extend(self.results.drain(..).map(|(_, part)| part));
        if !self.parts.is_empty() {
            let parts = std::mem::take(&mut self.parts);
            let role = if self.role == Role::Model { "model" } else { "user" };
            self.done.push(json!({"role": role, "parts": parts}));
        }
    }

    fn close(mut self) -> Vec<Value> {
        self.flush();
        self.done
    }
}

/// The calls made so far: a result names its call by id, Gemini by function and position.
#[derive(Default)]
struct Calls {
    by_id: HashMap<String, (usize, String)>,
    in_turn: usize,
}

impl Calls {
    fn begin_turn(&mut self) {
        self.in_turn = 0;
    }

    fn note(&mut self, said: &Assistant) {
        for call in &said.calls {
            self.by_id.insert(call.id.clone(), (self.in_turn, call.name.clone()));
            self.in_turn += 1;
        }
    }

    fn result(&self, result: ToolResult, dropped: &mut Dropped) -> Result<(usize, Value), Unsupported> {
        let at = format!("messages[{}]", result.at);
        let Some((order, name)) = self.by_id.get(&result.id) else {
            return Err(refuse(format!("{at}.tool_call_id"), "no earlier message holds a call with this id"));
        };
        if result.cache.is_some() {
            dropped.note("cache_control");
        }
        let mut text = String::new();
        for part in result.parts {
            match part {
                Part::Text(part) => text.push_str(&part.text),
                Part::Image { .. } | Part::Audio { .. } | Part::File { .. } => {
                    return Err(refuse(format!("{at}.content"), "a tool can answer with text only here"));
                }
            }
        }
        let response = match serde_json::from_str::<Map<String, Value>>(&text) {
            Ok(object) => Value::Object(object),
            // The vendor wants an object.
            Err(_) => json!({"result": text}),
        };
        Ok((*order, json!({"functionResponse": {"name": name, "response": response}})))
    }
}

fn user_part(mut part: Part, at: &str, dropped: &mut Dropped) -> Result<Value, Unsupported> {
    if part.cache_mut().is_some() {
        dropped.note("cache_control");
    }
    let (media_type, data) = match part {
        Part::Text(text) => return Ok(json!({"text": text.text})),
        Part::Image { source: Source::Url(_), .. } => {
            // Neither the vendor nor Tollgate fetches it (§2.20).
            let why = "addresses are never fetched; send the image as a data URL";
            return Err(refuse(format!("{at}.image_url.url"), why));
        }
        Part::Image { source: Source::Data { media_type, data }, .. }
        | Part::Audio { media_type, data, .. }
        | Part::File { media_type, data, .. } => (media_type, data),
    };
    Ok(json!({"inlineData": {"mimeType": media_type, "data": data}}))
}

/// What the model said. `in_calls`: the turn already holds a call, so the first one here needs no signature.
fn model_parts(
    said: Assistant,
    traits: Traits,
    moved: bool,
    in_calls: bool,
    dropped: &mut Dropped,
) -> Vec<Value> {
    let mut parts = Vec::new();
    for text in said.text {
        if text.cache.is_some() {
            dropped.note("cache_control");
        }
        parts.push(json!({"text": text.text}));
    }
    let own = |thought: &&crate::chat::Thought| !moved && thought.format.as_deref() == Some(GEMINI_FORMAT);
    let count = said.thoughts.len();
    let signature = said.thoughts.iter().find(own).and_then(|thought| thought.data.clone());
    match (signature, parts.last_mut().and_then(Value::as_object_mut)) {
        (Some(signature), Some(last)) if count == 1 => {
            last.insert("thoughtSignature".to_owned(), json!(signature));
        }
        _ if count > 0 => dropped.note("messages[].reasoning_details"),
        _ => {}
    }
    for (index, call) in said.calls.into_iter().enumerate() {
        if call.cache.is_some() {
            dropped.note("cache_control");
        }
        let mut part = Map::new();
        let function = json!({"name": call.name, "args": Value::Object(call.arguments)});
        part.insert("functionCall".to_owned(), function);
        if moved && call.signature.is_some() {
            dropped.note("messages[].tool_calls[].id (signature)");
        }
        let signature = call.signature.filter(|_| !moved);
        let needed = traits.checks_signatures() && index == 0 && !in_calls;
        if let Some(signature) = signature.or_else(|| needed.then(|| FOREIGN_SIGNATURE.to_owned())) {
            part.insert("thoughtSignature".to_owned(), json!(signature));
        }
        parts.push(Value::Object(part));
    }
    parts
}
