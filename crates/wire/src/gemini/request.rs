//! An OpenAI chat body as a `generateContent` body.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::contents::contents;
use super::model::Traits;
use super::schema;
use crate::chat::{Chat, Effort, Format, Tool, ToolChoice, refuse};
use crate::{Endpoint, Request, Unsupported};

/// The body, and the harmless fields that it does not carry.
pub(super) fn encode(request: &Request, to: &Endpoint<'_>) -> Result<(Bytes, Vec<String>), Unsupported> {
    let mut chat = Chat::read(&request.raw)?;
    let traits = Traits::of(to.model);
    let mut body = Map::new();
    let mut cached = chat.cache_control.is_some();
    let system: Vec<Value> = chat
        .system
        .drain(..)
        .map(|text| {
            cached |= text.cache.is_some();
            json!({"text": text.text})
        })
        .collect();
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": system}));
    }
    body.insert("contents".to_owned(), json!(contents(&mut chat, traits, to.moved)?));
    put_tools(&mut chat, traits, &mut body)?;
    let config = generation_config(&mut chat, traits)?;
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
    for (field, set) in [("cache_control", cached), ("user", chat.user.is_some())] {
        if set {
            chat.dropped.note(field);
        }
    }
    let bytes = serde_json::to_vec(&body).map_err(|e| refuse("body", e.to_string()))?;
    Ok((bytes.into(), chat.dropped.into_vec()))
}

fn generation_config(chat: &mut Chat, traits: Traits) -> Result<Map<String, Value>, Unsupported> {
    let mut config = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(field.to_owned(), value);
        }
    };
    put("maxOutputTokens", chat.max_output.map(Value::from));
    put("temperature", chat.temperature.map(Value::from));
    put("topP", chat.top_p.map(Value::from));
    put("topK", chat.top_k.map(Value::from));
    put("seed", chat.seed.map(Value::from));
    put("candidateCount", chat.n.filter(|n| *n > 1).map(Value::from));
    put("stopSequences", (!chat.stop.is_empty()).then(|| json!(chat.stop)));
    let penalties = [
        ("frequency_penalty", "frequencyPenalty", chat.frequency_penalty),
        ("presence_penalty", "presencePenalty", chat.presence_penalty),
    ];
    for (field, name, value) in penalties {
        if traits.takes_penalties() {
            put(name, value.map(Value::from));
        } else if value.is_some() {
            chat.dropped.note(field);
        }
    }
    let thinking = chat.effort.and_then(|effort: Effort| traits.thinking(effort, &mut chat.dropped));
    put("thinkingConfig", thinking);
    match std::mem::take(&mut chat.format) {
        Format::Text => {}
        Format::JsonObject => put("responseMimeType", Some(json!("application/json"))),
        Format::JsonSchema(given) => {
            let at = "response_format.json_schema.schema";
            put("responseMimeType", Some(json!("application/json")));
            put("responseSchema", Some(schema::convert(&given, at, &mut chat.dropped)?));
        }
    }
    Ok(config)
}

fn put_tools(chat: &mut Chat, traits: Traits, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if chat.tools.is_empty() {
        return Ok(());
    }
    if chat.parallel_tools == Some(false) {
        return Err(refuse("parallel_tool_calls", "the vendor cannot be held to one call at a time"));
    }
    if !matches!(chat.format, Format::Text) && !traits.takes_tools_with_schema() {
        return Err(refuse("response_format", "this model takes tools or a JSON answer, not both"));
    }
    let tools = std::mem::take(&mut chat.tools);
    let mut functions = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        functions.push(declaration(chat, index, tool)?);
    }
    body.insert("tools".to_owned(), json!([{"functionDeclarations": functions}]));
    let (mode, names) = match &chat.tool_choice {
        ToolChoice::Unset => return Ok(()),
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Function(name) => ("ANY", Some(vec![name.clone()])),
        ToolChoice::Allowed { required: true, names } => ("ANY", Some(names.clone())),
        ToolChoice::Allowed { required: false, .. } => {
            let why = "the vendor can limit the choice only when a call is required; send only those tools";
            return Err(refuse("tool_choice.allowed_tools", why));
        }
    };
    let mut choice = json!({"mode": mode});
    if let (Some(names), Some(fields)) = (names, choice.as_object_mut()) {
        fields.insert("allowedFunctionNames".to_owned(), json!(names));
    }
    body.insert("toolConfig".to_owned(), json!({"functionCallingConfig": choice}));
    Ok(())
}

fn declaration(chat: &mut Chat, index: usize, tool: Tool) -> Result<Value, Unsupported> {
    if tool.strict {
        chat.dropped.note("tools[].function.strict");
    }
    if tool.cache.is_some() {
        chat.dropped.note("cache_control");
    }
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(tool.name));
    if let Some(description) = tool.description {
        out.insert("description".to_owned(), json!(description));
    }
    // A function without parameters has no schema: the vendor refuses an object without properties.
    let has_any = |schema: &Value| {
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.map_or(schema.get("type") != Some(&json!("object")), |known| !known.is_empty())
    };
    if let Some(parameters) = tool.parameters.filter(|schema| has_any(schema)) {
        let at = format!("tools[{index}].function.parameters");
        let schema = schema::convert(&parameters, &at, &mut chat.dropped)?;
        out.insert("parameters".to_owned(), schema);
    }
    Ok(Value::Object(out))
}
