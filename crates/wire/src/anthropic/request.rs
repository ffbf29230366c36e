//! An OpenAI chat body as an Anthropic Messages body.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::blocks;
use super::model::Traits;
use super::sampling::{plan, sampling};
use crate::chat::{Chat, Format, Tool, ToolChoice, refuse};
use crate::{Endpoint, Request, Unsupported};

/// Added to the system prompt for `json_object`: the vendor enforces schemas only.
const JSON_OBJECT: &str = "Answer with one JSON object and nothing else: no text around it, no code fence.";

/// The body, and the harmless fields that it does not carry.
pub(super) fn encode(request: &Request, to: &Endpoint<'_>) -> Result<(Bytes, Vec<String>), Unsupported> {
    let mut chat = Chat::read(&request.raw)?;
    if chat.n.is_some_and(|n| n > 1) {
        return Err(refuse("n", "the vendor gives one choice"));
    }
    let traits = Traits::of(to.model);
    blocks::strip_foreign(&mut chat, to.moved);
    let plan = plan(&mut chat, traits, to.facts)?;

    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", json!(to.model));
    put("max_tokens", json!(plan.max_tokens));
    if request.view.stream {
        put("stream", json!(true));
    }
    put_tools(&mut chat, traits, &mut body)?;
    let output = output_config(&mut chat, traits, plan.effort)?;
    let system: Vec<Value> = chat.system.drain(..).map(blocks::text).collect();
    if !system.is_empty() {
        body.insert("system".to_owned(), json!(system));
    }
    let messages = blocks::messages(&mut chat)?;
    body.insert("messages".to_owned(), json!(messages));
    sampling(&mut chat, traits, &plan, &mut body);
    if let Some(thinking) = plan.thinking {
        body.insert("thinking".to_owned(), thinking);
    }
    if !output.is_empty() {
        body.insert("output_config".to_owned(), Value::Object(output));
    }
    put_rest(&mut chat, &mut body)?;
    let bytes = serde_json::to_vec(&body).map_err(|e| refuse("body", e.to_string()))?;
    Ok((bytes.into(), chat.dropped.into_vec()))
}

fn put_rest(chat: &mut Chat, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if chat.stop.iter().any(|stop| stop.trim().is_empty()) {
        return Err(refuse("stop", "the vendor refuses stop sequences of white space only"));
    }
    if !chat.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), json!(chat.stop));
    }
    if let Some(user) = &chat.user {
        body.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    if let Some(mark) = chat.cache_control.take() {
        body.insert("cache_control".to_owned(), mark);
    }
    for (field, set) in [
        ("seed", chat.seed.is_some()),
        ("frequency_penalty", chat.frequency_penalty.is_some()),
        ("presence_penalty", chat.presence_penalty.is_some()),
    ] {
        if set {
            chat.dropped.note(field);
        }
    }
    Ok(())
}

fn put_tools(chat: &mut Chat, traits: Traits, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let offered = !chat.tools.is_empty();
    let mut tools = Vec::with_capacity(chat.tools.len());
    for tool in std::mem::take(&mut chat.tools) {
        if tool.strict && !traits.structured {
            chat.dropped.note("tools[].function.strict");
        }
        tools.push(declaration(tool, traits.structured));
    }
    if tools.is_empty() {
        tools = blocks::called_tools(chat);
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".to_owned(), json!(tools));
    let mut choice = match &chat.tool_choice {
        _ if !offered => json!({"type": "none"}),
        ToolChoice::Unset if chat.parallel_tools.is_none() => return Ok(()),
        ToolChoice::Unset | ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Function(name) => json!({"type": "tool", "name": name}),
        ToolChoice::Allowed { .. } => {
            let why = "the vendor cannot limit the choice to some of the tools; send only those";
            return Err(refuse("tool_choice.allowed_tools", why));
        }
    };
    if let (Some(parallel), Some(fields)) = (chat.parallel_tools, choice.as_object_mut())
        && fields.get("type").is_some_and(|kind| kind != "none")
    {
        fields.insert("disable_parallel_tool_use".to_owned(), json!(!parallel));
    }
    body.insert("tool_choice".to_owned(), choice);
    Ok(())
}

fn declaration(tool: Tool, structured: bool) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(tool.name));
    if let Some(description) = tool.description {
        out.insert("description".to_owned(), json!(description));
    }
    let mut schema = tool.parameters.unwrap_or_else(|| Value::Object(blocks::empty_schema()));
    if let Some(fields) = schema.as_object_mut() {
        // OpenAI takes a schema that leaves out what is plain.
        fields.entry("type").or_insert_with(|| json!("object"));
    }
    out.insert("input_schema".to_owned(), schema);
    if tool.strict && structured {
        out.insert("strict".to_owned(), json!(true));
    }
    blocks::marked(Value::Object(out), tool.cache)
}

fn output_config(
    chat: &mut Chat,
    traits: Traits,
    effort: Option<&str>,
) -> Result<Map<String, Value>, Unsupported> {
    let mut output = Map::new();
    if let Some(effort) = effort {
        output.insert("effort".to_owned(), json!(effort));
    }
    match std::mem::take(&mut chat.format) {
        Format::Text => {}
        Format::JsonSchema(schema) => {
            if !traits.structured {
                return Err(refuse("response_format", "this model cannot be held to a schema"));
            }
            output.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema}));
        }
        Format::JsonObject => {
            // Asked for in words and not enforced: the caller is told by the dropped list.
            chat.system.push(crate::chat::Text { text: JSON_OBJECT.to_owned(), cache: None });
            chat.dropped.note("response_format");
        }
    }
    Ok(output)
}
