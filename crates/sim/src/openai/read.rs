//! Reads and checks requests as OpenAI does, with its words. Unknown fields are fine: many hosts of this dialect
//! take them.

use serde_json::Value;

use crate::ModelSpec;
use crate::ask::{Ask, Choice, Format, IMAGE_TOKENS, Op, Tool, tokens};
use crate::problem::{Kind, Problem};

/// `POST /chat/completions`.
pub(super) fn chat(body: &Value) -> Result<Ask, Problem> {
    let mut ask = Ask::new(Op::Chat, model(body)?);
    let messages = match body.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(Problem::bad("messages", "Invalid 'messages': empty array.")),
        Some(_) => return Err(Problem::bad("messages", "Invalid type for 'messages': expected an array.")),
        None => return Err(Problem::missing("messages")),
    };
    for (i, message) in messages.iter().enumerate() {
        read_message(message, i, &mut ask)?;
    }
    follow_up(messages)?;
    options(body, &mut ask)?;
    tools(body, &mut ask)?;
    ask.format = format(body)?;
    ask.input_tokens += IMAGE_TOKENS * ask.images;
    Ok(ask)
}

/// `POST /completions`.
pub(super) fn completion(body: &Value) -> Result<Ask, Problem> {
    let mut ask = Ask::new(Op::Completion, model(body)?);
    ask.asked = texts(body, "prompt")?;
    ask.input_tokens = ask.asked.iter().map(|text| tokens(text)).sum();
    options(body, &mut ask)?;
    // OpenAI's own default for this old endpoint
    ask.max_output = ask.max_output.or(Some(16));
    Ok(ask)
}

/// `POST /embeddings`.
pub(super) fn embedding(body: &Value) -> Result<Ask, Problem> {
    let mut ask = Ask::new(Op::Embedding, model(body)?);
    ask.asked = texts(body, "input")?;
    ask.input_tokens = ask.asked.iter().map(|text| tokens(text)).sum();
    ask.base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Problem::bad("encoding_format", "Expected 'float' or 'base64'.")),
    };
    ask.dimensions = match whole(body, "dimensions")? {
        Some(0) => return Err(Problem::bad("dimensions", "Expected a value of at least 1.")),
        Some(n) => usize::try_from(n).ok(),
        None => None,
    };
    Ok(ask)
}

/// What depends on the model: field notes §2.17, output bound, vector length.
pub(super) fn check(ask: &Ask, model: &ModelSpec, body: &Value) -> Result<(), Problem> {
    let unsupported = |field: &str, hint: &str| {
        let said = format!("Unsupported parameter: '{field}' is not supported with this model. {hint}");
        Err(Problem::new(Kind::UnsupportedField, said).at(field))
    };
    if model.reasoning && ask.op == Op::Chat {
        if present(body, "max_tokens") {
            return unsupported("max_tokens", "Use 'max_completion_tokens' instead.");
        }
        if body.get("temperature").and_then(Value::as_f64).is_some_and(|t| (t - 1.0).abs() > 1e-9) {
            return unsupported("temperature", "Only the default (1) is supported.");
        }
    }
    if ask.op == Op::Embedding && ask.dimensions.is_some_and(|n| n > model.dimensions) {
        return Err(Problem::bad(
            "dimensions",
            format!("This model has at most {} dimensions.", model.dimensions),
        ));
    }
    if ask.max_output.is_some_and(|most| most > model.max_output) {
        let said = format!("max_tokens is too large: this model supports at most {}.", model.max_output);
        return Err(Problem::bad("max_tokens", said));
    }
    Ok(())
}

fn present(body: &Value, name: &str) -> bool {
    body.get(name).is_some_and(|value| !value.is_null())
}

fn model(body: &Value) -> Result<&str, Problem> {
    match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Ok(model),
        Some(Value::Null) | None => Err(Problem::missing("model")),
        Some(_) => Err(Problem::bad("model", "Invalid type for 'model': expected a string.")),
    }
}

/// A string or an array of strings.
fn texts(body: &Value, name: &str) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::bad(name, format!("Invalid '{name}': expected a string or an array of strings."));
    match body.get(name) {
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(all)) if !all.is_empty() => {
            all.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        None => Err(Problem::missing(name)),
        Some(_) => Err(wrong()),
    }
}

/// A whole number that is not negative.
fn whole(body: &Value, name: &str) -> Result<Option<u64>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let wrong = || {
                Problem::bad(name, format!("Invalid type for '{name}': expected an integer of at least 0."))
            };
            value.as_u64().map(Some).ok_or_else(wrong)
        }
    }
}

fn flag(body: &Value, name: &str) -> Result<Option<bool>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(set)) => Ok(Some(*set)),
        Some(_) => Err(Problem::bad(name, format!("Invalid type for '{name}': expected a boolean."))),
    }
}

fn read_message(message: &Value, i: usize, ask: &mut Ask) -> Result<(), Problem> {
    let at = |field: &str| format!("messages[{i}].{field}");
    let role = message.get("role").and_then(Value::as_str).ok_or_else(|| Problem::missing(&at("role")))?;
    let content = message.get("content").unwrap_or(&Value::Null);
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let text = content_text(content, &at("content"), ask)?;
    ask.input_tokens += tokens(&text);
    let before = ask.tool_result.take();
    match role {
        "user" if content.is_null() => Err(Problem::missing(&at("content"))),
        "user" => {
            ask.asked.push(text);
            Ok(())
        }
        "system" | "developer" => Ok(()),
        "assistant" if content.is_null() && calls.is_none() && !present(message, "refusal") => {
            Err(Problem::missing(&at("content")))
        }
        "assistant" => {
            for call in calls.into_iter().flatten() {
                let function = call.get("function").unwrap_or(&Value::Null);
                let part = |name| function.get(name).and_then(Value::as_str);
                let (Some(name), Some(arguments)) = (part("name"), part("arguments")) else {
                    return Err(Problem::missing(&at("tool_calls[0].function")));
                };
                ask.input_tokens += tokens(name) + tokens(arguments);
            }
            Ok(())
        }
        "tool" if !present(message, "tool_call_id") => Err(Problem::missing(&at("tool_call_id"))),
        "tool" | "function" => {
            ask.tool_result = Some(before.map_or(text.clone(), |before| format!("{before}, {text}")));
            Ok(())
        }
        _ => Err(Problem::bad(&at("role"), format!("Invalid value: '{role}'."))),
    }
}

/// The text of a content; counts its images.
fn content_text(content: &Value, at: &str, ask: &mut Ask) -> Result<String, Problem> {
    let parts = match content {
        Value::Null => return Ok(String::new()),
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => {
            return Err(Problem::bad(at, format!("Invalid type for '{at}': expected a string or an array.")));
        }
    };
    let mut text = String::new();
    for part in parts {
        let field = |name: &str| part.get(name).and_then(Value::as_str);
        match field("type") {
            Some("text") => {
                text.push_str(field("text").ok_or_else(|| Problem::missing(&format!("{at}.text")))?);
            }
            Some("refusal") => text.push_str(field("refusal").unwrap_or_default()),
            Some("image_url") => match part.pointer("/image_url/url").and_then(Value::as_str) {
                Some(_) => ask.images += 1,
                None => return Err(Problem::missing(&format!("{at}.image_url.url"))),
            },
            Some("input_audio" | "file") => ask.images += 1,
            other => {
                let other = other.unwrap_or("");
                return Err(Problem::bad(at, format!("Invalid value: '{other}' is no content type.")));
            }
        }
    }
    Ok(text)
}

/// Every tool call must be answered at once.
fn follow_up(messages: &[Value]) -> Result<(), Problem> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        let role = message.get("role").and_then(Value::as_str);
        if let (Some("tool"), Some(id)) = (role, message.get("tool_call_id").and_then(Value::as_str)) {
            let before = open.len();
            open.retain(|open| *open != id);
            if open.len() == before {
                let said =
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                return Err(Problem::bad("messages", said));
            }
        } else if !open.is_empty() {
            break;
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        open.extend(calls.into_iter().flatten().filter_map(|call| call.get("id").and_then(Value::as_str)));
    }
    if open.is_empty() {
        return Ok(());
    }
    let said = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
    Err(Problem::bad("messages", said))
}

fn options(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    ask.stream = flag(body, "stream")?.unwrap_or(false);
    if present(body, "stream_options") {
        if !ask.stream {
            let said = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Problem::bad("stream_options", said));
        }
        let options = body.get("stream_options").unwrap_or(&Value::Null);
        ask.include_usage = flag(options, "include_usage")?.unwrap_or(false);
    }
    ask.max_output = whole(body, "max_completion_tokens")?.or(whole(body, "max_tokens")?);
    if ask.max_output == Some(0) {
        return Err(Problem::bad("max_tokens", "Invalid 'max_tokens': expected a value of at least 1."));
    }
    ask.n = whole(body, "n")?.unwrap_or(1);
    if !(1..=128).contains(&ask.n) {
        return Err(Problem::bad("n", "Invalid 'n': expected a value from 1 to 128."));
    }
    if body
        .get("temperature")
        .is_some_and(|t| !t.is_null() && !t.as_f64().is_some_and(|t| (0.0..=2.0).contains(&t)))
    {
        return Err(Problem::bad("temperature", "Invalid 'temperature': expected a value from 0 to 2."));
    }
    ask.stop = match body.get("stop") {
        None | Some(Value::Null) => Vec::new(),
        Some(_) => texts(body, "stop")?,
    };
    if ask.stop.len() > 4 {
        return Err(Problem::bad("stop", "Invalid 'stop': array too long, expected at most 4."));
    }
    Ok(())
}

fn tools(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    for (i, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools[{i}].function");
        let function = tool.get("function").ok_or_else(|| Problem::missing(&at))?;
        let name = function.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| Problem::missing(&format!("{at}.name")))?.to_owned();
        let parameters = function.get("parameters").cloned().unwrap_or(Value::Null);
        ask.input_tokens += tokens(&function.to_string());
        ask.tools.push(Tool { name, parameters });
    }
    ask.parallel = flag(body, "parallel_tool_calls")?.unwrap_or(true);
    ask.choice = match body.get("tool_choice") {
        None | Some(Value::Null) => return Ok(()),
        Some(_) if ask.tools.is_empty() => {
            let said = "'tool_choice' is only allowed when 'tools' are specified.";
            return Err(Problem::bad("tool_choice", said));
        }
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            _ => return Err(Problem::bad("tool_choice", format!("Invalid value: '{word}'."))),
        },
        Some(choice) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            let name = name.ok_or_else(|| Problem::missing("tool_choice.function.name"))?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Problem::bad(
                    "tool_choice",
                    format!("Tool choice '{name}' not found in 'tools'."),
                ));
            }
            Choice::Named(name.to_owned())
        }
    };
    Ok(())
}

fn format(body: &Value) -> Result<Format, Problem> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            if format.pointer("/json_schema/name").and_then(Value::as_str).is_none() {
                return Err(Problem::missing("response_format.json_schema.name"));
            }
            Ok(Format::Schema(format.pointer("/json_schema/schema").cloned().unwrap_or(Value::Null)))
        }
        _ => Err(Problem::bad("response_format.type", "Expected 'text', 'json_object' or 'json_schema'.")),
    }
}
