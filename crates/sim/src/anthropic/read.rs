//! Reads and checks requests as Anthropic does: unknown fields are refused.

use serde_json::Value;

use super::{REDACTED, signature};
use crate::ask::{Ask, Choice, Format, IMAGE_TOKENS, Op, Tool, tokens};
use crate::problem::{Kind, Problem};

const FIELDS: [&str; 18] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "output_config",
    "container",
    "context_management",
    "cache_control",
];

fn bad(message: impl Into<String>) -> Problem {
    Problem::new(Kind::Bad, message)
}

/// `POST /v1/messages`.
pub(super) fn messages(body: &Value) -> Result<Ask, Problem> {
    let unknown = body.as_object().into_iter().flatten().find(|(name, _)| !FIELDS.contains(&name.as_str()));
    if let Some((name, _)) = unknown {
        return Err(bad(format!("{name}: Extra inputs are not permitted")));
    }
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| Problem::missing("model"))?;
    let mut ask = Ask::new(Op::Chat, model);
    ask.max_output = match body.get("max_tokens") {
        None => return Err(Problem::missing("max_tokens")),
        Some(most) => match most.as_u64() {
            Some(most) if most > 0 => Some(most),
            _ => return Err(bad("max_tokens: Input should be greater than or equal to 1")),
        },
    };
    options(body, &mut ask)?;
    tools(body, &mut ask)?;
    thinking(body, &mut ask)?;
    ask.input_tokens += system(body)?;
    turns(body, &mut ask)?;
    if cache_marks(body) > 4 {
        return Err(bad("A maximum of 4 blocks with cache_control may be provided."));
    }
    ask.input_tokens += IMAGE_TOKENS * ask.images;
    Ok(ask)
}

fn options(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    ask.stream = match body.get("stream") {
        None => false,
        Some(stream) => stream.as_bool().ok_or_else(|| bad("stream: Input should be a valid boolean"))?,
    };
    for name in ["temperature", "top_p"] {
        let value = body.get(name);
        if value.is_some_and(|v| !v.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v))) {
            return Err(bad(format!("{name}: range: 0..1")));
        }
    }
    if let Some(metadata) = body.get("metadata").and_then(Value::as_object)
        && let Some(name) = metadata.keys().find(|name| *name != "user_id")
    {
        return Err(bad(format!("metadata.{name}: Extra inputs are not permitted")));
    }
    if let Some(stop) = body.get("stop_sequences") {
        let stop = stop.as_array().ok_or_else(|| bad("stop_sequences: Input should be a valid list"))?;
        ask.stop = stop.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if ask.stop.len() != stop.len() || ask.stop.iter().any(|s| s.trim().is_empty()) {
            return Err(bad("stop_sequences: each stop sequence must contain non-whitespace"));
        }
    }
    if let Some(format) = body.pointer("/output_config/format") {
        if format.get("type").and_then(Value::as_str) != Some("json_schema") {
            return Err(bad("output_config.format.type: Input should be 'json_schema'"));
        }
        ask.format = Format::Schema(format.get("schema").cloned().unwrap_or_default());
    }
    Ok(())
}

fn tools(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    for (i, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = tool.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| Problem::missing(&format!("tools.{i}.custom.name")))?.to_owned();
        let schema = tool.get("input_schema");
        let schema = schema.ok_or_else(|| Problem::missing(&format!("tools.{i}.custom.input_schema")))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(bad(format!("tools.{i}.custom.input_schema.type: Input should be 'object'")));
        }
        ask.input_tokens += tokens(&tool.to_string());
        ask.tools.push(Tool { name, parameters: schema.clone() });
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    if ask.tools.is_empty() {
        return Err(bad("tool_choice may only be specified while providing tools."));
    }
    ask.choice = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("any") => Choice::Required,
        Some("none") => Choice::None,
        Some("tool") => {
            let name = choice.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| Problem::missing("tool_choice.tool.name"))?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(bad(format!("Tool '{name}' not found in provided tools")));
            }
            Choice::Named(name.to_owned())
        }
        _ => return Err(bad("tool_choice: Input tag does not match any of the expected tags")),
    };
    ask.parallel = !choice.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    Ok(())
}

/// What thinking excludes: field notes §2.14.
fn thinking(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    let Some(thinking) = body.get("thinking") else { return Ok(()) };
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok(()),
        Some("adaptive") => {}
        Some("enabled") => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
            let budget = budget.ok_or_else(|| Problem::missing("thinking.enabled.budget_tokens"))?;
            if budget < 1024 {
                return Err(bad(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if ask.max_output.is_some_and(|most| budget >= most) {
                return Err(bad("`max_tokens` must be greater than `thinking.budget_tokens`."));
            }
        }
        _ => return Err(bad("thinking: Input tag does not match any of the expected tags")),
    }
    ask.think = true;
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|t| (t - 1.0).abs() > 1e-9) {
        return Err(bad("`temperature` may only be set to 1 when thinking is enabled."));
    }
    if body.get("top_k").is_some() {
        return Err(bad("`top_k` must be unset when thinking is enabled."));
    }
    if matches!(ask.choice, Choice::Required | Choice::Named(_)) {
        return Err(bad("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

fn system(body: &Value) -> Result<u64, Problem> {
    match body.get("system") {
        None => Ok(0),
        Some(Value::String(text)) => Ok(tokens(text)),
        Some(Value::Array(blocks)) => {
            let mut sum = 0;
            for (i, block) in blocks.iter().enumerate() {
                match block.get("text").and_then(Value::as_str) {
                    Some(text) if !text.is_empty() => sum += tokens(text),
                    _ => return Err(bad(format!("system.{i}: text content blocks must be non-empty"))),
                }
            }
            Ok(sum)
        }
        Some(_) => Err(bad("system: Input should be a valid list")),
    }
}

/// The tool calls of the turn before, which this one must answer.
#[derive(Default)]
struct Pending<'b>(Vec<&'b str>);

fn turns(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    let turns = body.get("messages").and_then(Value::as_array).ok_or_else(|| Problem::missing("messages"))?;
    if turns.is_empty() {
        return Err(bad("messages: at least one message is required"));
    }
    let mut pending = Pending::default();
    for (i, turn) in turns.iter().enumerate() {
        let last = i + 1 == turns.len();
        match turn.get("role").and_then(Value::as_str) {
            Some("user") => user(turn, i, &mut pending, ask)?,
            Some("assistant") if i == 0 => {
                return Err(bad("messages: first message must use the \"user\" role"));
            }
            Some("assistant") => assistant(turn, i, last, &mut pending, ask)?,
            Some(role) => return Err(bad(format!("messages: Unexpected role \"{role}\"."))),
            None => return Err(Problem::missing(&format!("messages.{i}.role"))),
        }
    }
    if pending.0.is_empty() { Ok(()) } else { Err(unanswered(turns.len() - 1)) }
}

fn unanswered(i: usize) -> Problem {
    bad(format!("messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after."))
}

/// A turn's blocks; a string is one text block.
fn blocks(turn: &Value, i: usize) -> Result<Vec<(&str, &Value)>, Problem> {
    match turn.get("content") {
        Some(text @ Value::String(_)) => Ok(vec![("text", text)]),
        Some(Value::Array(blocks)) => blocks
            .iter()
            .map(|block| {
                let kind = block.get("type").and_then(Value::as_str);
                Ok((kind.ok_or_else(|| Problem::missing(&format!("messages.{i}.content.type")))?, block))
            })
            .collect(),
        _ => Err(Problem::missing(&format!("messages.{i}.content"))),
    }
}

/// The text of a text block.
fn text_of(block: &Value, i: usize) -> Result<&str, Problem> {
    let text = block.as_str().or_else(|| block.get("text").and_then(Value::as_str)).unwrap_or_default();
    if text.is_empty() {
        return Err(bad(format!("messages.{i}: text content blocks must be non-empty")));
    }
    Ok(text)
}

fn user<'b>(turn: &'b Value, i: usize, pending: &mut Pending<'b>, ask: &mut Ask) -> Result<(), Problem> {
    let (mut said, mut results) = (String::new(), Vec::new());
    let blocks = blocks(turn, i)?;
    if blocks.is_empty() {
        return Err(bad(format!("messages.{i}: user messages must have non-empty content")));
    }
    for (kind, block) in blocks {
        match kind {
            "text" => said.push_str(text_of(block, i)?),
            "image" | "document" => {
                source(block, i)?;
                ask.images += 1;
            }
            "tool_result" if !said.is_empty() => {
                return Err(bad(format!("messages.{i}: tool_result blocks must come first in a user turn.")));
            }
            "tool_result" => {
                let id = block.get("tool_use_id").and_then(Value::as_str).unwrap_or_default();
                let before = pending.0.len();
                pending.0.retain(|open| *open != id);
                if pending.0.len() == before {
                    return Err(bad(format!(
                        "messages.{i}: unexpected `tool_use_id` found in `tool_result` blocks."
                    )));
                }
                results.push(result(block));
            }
            other => {
                return Err(bad(format!("messages.{i}.content: Input tag '{other}' is unexpected here")));
            }
        }
    }
    if !pending.0.is_empty() {
        return Err(unanswered(i));
    }
    ask.input_tokens += tokens(&said) + results.iter().map(|text| tokens(text)).sum::<u64>();
    ask.tool_result = (!results.is_empty() && said.is_empty()).then(|| results.join(", "));
    if ask.tool_result.is_none() {
        ask.asked.push(said);
    }
    Ok(())
}

fn result(block: &Value) -> String {
    match block.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

fn source(block: &Value, i: usize) -> Result<(), Problem> {
    let source = block.get("source").unwrap_or(&Value::Null);
    let field = |name: &str| source.get(name).and_then(Value::as_str).is_some_and(|v| !v.is_empty());
    let good = match source.get("type").and_then(Value::as_str) {
        Some("base64") => field("media_type") && field("data"),
        Some("url") => field("url"),
        Some("text") => field("data"),
        _ => false,
    };
    if good { Ok(()) } else { Err(bad(format!("messages.{i}.content: the source is not valid"))) }
}

fn assistant<'b>(
    turn: &'b Value,
    i: usize,
    last: bool,
    pending: &mut Pending<'b>,
    ask: &mut Ask,
) -> Result<(), Problem> {
    if !pending.0.is_empty() {
        return Err(unanswered(i - 1));
    }
    let blocks = blocks(turn, i)?;
    if blocks.is_empty() && !last {
        return Err(bad(format!("messages.{i}: all messages must have non-empty content")));
    }
    let first = blocks.first().map(|(kind, _)| *kind);
    for (kind, block) in blocks {
        match kind {
            "text" => ask.input_tokens += tokens(text_of(block, i)?),
            "thinking" | "redacted_thinking" => sealed(block, i)?,
            "tool_use" => {
                let id = block.get("id").and_then(Value::as_str);
                pending
                    .0
                    .push(id.ok_or_else(|| Problem::missing(&format!("messages.{i}.content.tool_use.id")))?);
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err(bad(format!(
                        "messages.{i}.content.tool_use.input: Input should be a valid dictionary"
                    )));
                }
                ask.input_tokens += tokens(&block.to_string());
            }
            other => {
                return Err(bad(format!("messages.{i}.content: Input tag '{other}' is unexpected here")));
            }
        }
    }
    if ask.think && !pending.0.is_empty() && !matches!(first, Some("thinking" | "redacted_thinking")) {
        let said = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.";
        return Err(bad(format!("messages.{i}.content.0: {said}")));
    }
    Ok(())
}

/// Thinking comes back exactly as it was given.
fn sealed(block: &Value, i: usize) -> Result<(), Problem> {
    let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
    let good = match field("type") {
        "redacted_thinking" => field("data") == REDACTED,
        _ => field("signature") == signature(field("thinking")),
    };
    if good {
        Ok(())
    } else {
        Err(bad(format!("messages.{i}.content.0: Invalid `signature` in `thinking` block")))
    }
}

/// Blocks with `cache_control`, anywhere.
fn cache_marks(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(cache_marks).sum(),
        Value::Object(fields) => {
            usize::from(fields.contains_key("cache_control"))
                + fields.values().map(cache_marks).sum::<usize>()
        }
        _ => 0,
    }
}
