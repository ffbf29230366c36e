//! The top level of the body: every field's fate, as the table in [`super`] says.

use serde_json::{Map, Value};

use super::{Chat, Effort, Turn, refuse};
use crate::Unsupported;

impl Chat {
    /// Reads an OpenAI chat body. Errors name the field that cannot be carried, or is not what it should be.
    pub fn read(raw: &[u8]) -> Result<Self, Unsupported> {
        let body: Value =
            serde_json::from_slice(raw).map_err(|e| refuse("body", format!("it is not JSON: {e}")))?;
        let Value::Object(body) = body else {
            return Err(refuse("body", "it is not a JSON object"));
        };
        let mut chat = Self::default();
        let mut identifier = None;
        for (field, value) in body {
            match (field.as_str(), value) {
                (_, Value::Null) => {}
                ("safety_identifier", value) => identifier = Some(text(&field, value)?),
                (_, value) => chat.field(&field, value)?,
            }
        }
        chat.user = chat.user.or(identifier);
        chat.settle()?;
        Ok(chat)
    }

    fn field(&mut self, field: &str, value: Value) -> Result<(), Unsupported> {
        match field {
            "messages" => self.read_messages(value)?,
            "tools" => self.read_tools(value)?,
            "tool_choice" => self.read_tool_choice(value)?,
            "parallel_tool_calls" => self.parallel_tools = Some(flag(field, &value)?),
            "response_format" => self.read_format(value)?,
            "stop" => self.stop = stops(value)?,
            "temperature" => self.temperature = Some(number(field, &value)?),
            "top_p" => self.top_p = Some(number(field, &value)?),
            "top_k" => self.top_k = Some(count(field, &value)?),
            "frequency_penalty" => self.frequency_penalty = nonzero(number(field, &value)?),
            "presence_penalty" => self.presence_penalty = nonzero(number(field, &value)?),
            "seed" => self.seed = Some(value.as_i64().ok_or_else(|| refuse(field, "it must be an integer"))?),
            "n" => self.n = Some(count(field, &value)?),
            "max_completion_tokens" => self.max_output = Some(count(field, &value)?),
            "max_tokens" => {
                let max = count(field, &value)?;
                self.max_output.get_or_insert(max);
            }
            "reasoning_effort" => self.effort = Some(effort(&value)?),
            "user" => self.user = Some(text(field, value)?),
            "cache_control" => self.cache_control = Some(value),
            "service_tier" => {
                if !matches!(value.as_str(), Some("auto" | "default")) {
                    self.dropped.note(field);
                }
            }
            "model" | "stream" | "stream_options" | "metadata" | "prompt_cache_key" => {}
            "store" if value == Value::Bool(false) => {}
            "store" | "prediction" | "verbosity" | "prompt_cache_retention" | "prompt_cache_options" => {
                self.dropped.note(field);
            }
            _ => harmless(field, &value)?,
        }
        Ok(())
    }

    /// What can only be judged when all is read.
    fn settle(&mut self) -> Result<(), Unsupported> {
        if self.tools.is_empty() && self.tool_choice.forced() {
            return Err(refuse("tool_choice", "it demands a tool and `tools` is empty"));
        }
        // A caller may send instructions only. They are the question then: vendors that hoist the system prompt
        // want at least one turn besides it.
        if self.turns.is_empty() {
            if self.system.is_empty() {
                return Err(refuse("messages", "there is no message with content"));
            }
            let parts = self.system.drain(..).map(super::Part::Text).collect();
            self.turns.push(Turn::User { at: 0, parts });
        }
        if let Some(Turn::Assistant(first)) = self.turns.first() {
            let field = format!("messages[{}].role", first.at);
            return Err(refuse(field, "the conversation must begin with a user message"));
        }
        Ok(())
    }
}

/// Fields that are refused unless their value means "off". Unknown ones always are.
fn harmless(field: &str, value: &Value) -> Result<(), Unsupported> {
    let (off, why) = match field {
        "logit_bias" => (value.as_object().is_some_and(Map::is_empty), "it has no token biases"),
        "logprobs" => (value == &Value::Bool(false), "it gives no log probabilities"),
        "top_logprobs" => (value.as_u64() == Some(0), "it gives no log probabilities"),
        "modalities" => (value == &serde_json::json!(["text"]), "it answers in text only"),
        "audio" => (false, "it answers in text only"),
        "web_search_options" => (false, "the vendor's own tools are not translated"),
        "moderation" => (false, "moderation on request is not translated"),
        "functions" | "function_call" => (false, "it is replaced by `tools`"),
        _ => (false, "the field is not known, so it cannot be translated"),
    };
    if off { Ok(()) } else { Err(refuse(field, why)) }
}

fn effort(value: &Value) -> Result<Effort, Unsupported> {
    Ok(match value.as_str() {
        Some("none") => Effort::None,
        Some("minimal") => Effort::Minimal,
        Some("low") => Effort::Low,
        Some("medium") => Effort::Medium,
        Some("high") => Effort::High,
        Some("xhigh") => Effort::Xhigh,
        Some("max") => Effort::Max,
        _ => {
            let why = "it must be none, minimal, low, medium, high, xhigh or max";
            return Err(refuse("reasoning_effort", why));
        }
    })
}

fn stops(value: Value) -> Result<Vec<String>, Unsupported> {
    let why = "it must be a string or a list of strings";
    match value {
        Value::String(stop) => Ok(vec![stop]),
        Value::Array(list) => {
            list.into_iter().map(|stop| text("stop", stop).map_err(|_| refuse("stop", why))).collect()
        }
        _ => Err(refuse("stop", why)),
    }
}

fn nonzero(number: f64) -> Option<f64> {
    (number != 0.0).then_some(number)
}

pub(super) fn text(field: &str, value: Value) -> Result<String, Unsupported> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(refuse(field, "it must be a string")),
    }
}

pub(super) fn flag(field: &str, value: &Value) -> Result<bool, Unsupported> {
    value.as_bool().ok_or_else(|| refuse(field, "it must be true or false"))
}

fn number(field: &str, value: &Value) -> Result<f64, Unsupported> {
    value.as_f64().ok_or_else(|| refuse(field, "it must be a number"))
}

fn count(field: &str, value: &Value) -> Result<u64, Unsupported> {
    value.as_u64().ok_or_else(|| refuse(field, "it must be a whole number, not negative"))
}
