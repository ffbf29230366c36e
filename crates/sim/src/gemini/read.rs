//! Reads and checks requests as Gemini does. Field names may be in camel or snake case; unknown ones are refused.

use serde_json::Value;

use super::{schema, seal};
use crate::ask::{Ask, Choice, Format, IMAGE_TOKENS, Tool, tokens};
use crate::problem::{Kind, Problem};

const FIELDS: [&str; 8] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "model",
];
const CONFIG: [&str; 19] = [
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "candidateCount",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "responseModalities",
    "mediaResolution",
    "speechConfig",
    "serviceTier",
];
/// Seals that Google documents for calls that it did not make itself.
const WAIVERS: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

fn bad(message: impl Into<String>) -> Problem {
    Problem::new(Kind::Bad, message)
}

/// `snake_case` as `camelCase`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        if c == '_' {
            up = true;
        } else if std::mem::take(&mut up) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// A field in either spelling.
fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_object()?.iter().find(|(key, _)| camel(key) == name).map(|(_, value)| value)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    field(value, name)?.as_str()
}

fn known(value: &Value, fields: &[&str], at: &str) -> Result<(), Problem> {
    let unknown =
        value.as_object().into_iter().flatten().find(|(key, _)| !fields.contains(&camel(key).as_str()));
    match unknown {
        Some((name, _)) => Err(bad(format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
        ))),
        None => Ok(()),
    }
}

/// `generateContent` and `streamGenerateContent`.
pub(super) fn contents(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    known(body, &FIELDS, "")?;
    let config = field(body, "generationConfig").unwrap_or(&Value::Null);
    known(config, &CONFIG, " at 'generation_config'")?;
    generation(config, ask)?;
    tools(body, ask)?;
    for part in field(body, "systemInstruction")
        .and_then(|s| field(s, "parts"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let said = text(part, "text").filter(|said| !said.is_empty());
        ask.input_tokens +=
            tokens(said.ok_or_else(|| bad("system_instruction.parts: text must not be empty"))?);
    }
    turns(body, ask)?;
    ask.input_tokens += IMAGE_TOKENS * ask.images;
    Ok(())
}

fn generation(config: &Value, ask: &mut Ask) -> Result<(), Problem> {
    ask.max_output = field(config, "maxOutputTokens").and_then(Value::as_u64);
    if ask.max_output == Some(0) {
        return Err(bad("max_output_tokens must be positive."));
    }
    ask.n = field(config, "candidateCount").and_then(Value::as_u64).unwrap_or(1);
    if !(1..=8).contains(&ask.n) {
        return Err(bad("candidateCount must be in range [1, 8]."));
    }
    let stop = field(config, "stopSequences").and_then(Value::as_array);
    ask.stop = stop.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if ask.stop.len() > 5 {
        return Err(bad("At most 5 stop sequences."));
    }
    let thinking = field(config, "thinkingConfig").unwrap_or(&Value::Null);
    known(thinking, &["includeThoughts", "thinkingBudget", "thinkingLevel"], " at 'thinking_config'")?;
    if field(thinking, "thinkingBudget").is_some() && field(thinking, "thinkingLevel").is_some() {
        return Err(bad("You can only set only one of thinking budget and thinking level."));
    }
    ask.think = field(thinking, "includeThoughts").and_then(Value::as_bool).unwrap_or(false);
    let json = text(config, "responseMimeType") == Some("application/json");
    let subset = field(config, "responseSchema");
    if let Some(subset) = subset {
        schema::check(subset, "generation_config.response_schema")?;
    }
    ask.format = match subset.or_else(|| field(config, "responseJsonSchema")) {
        Some(_) if !json => {
            return Err(bad("A response schema needs response_mime_type 'application/json'."));
        }
        Some(schema) => Format::Schema(schema.clone()),
        None if json => Format::Json,
        None => Format::Text,
    };
    Ok(())
}

fn tools(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    for tool in field(body, "tools").and_then(Value::as_array).into_iter().flatten() {
        for function in field(tool, "functionDeclarations").and_then(Value::as_array).into_iter().flatten() {
            let name = text(function, "name").ok_or_else(|| bad("function_declarations.name: missing."))?;
            let subset = field(function, "parameters");
            if let Some(subset) = subset {
                schema::check(subset, &format!("tools.function_declarations[{name}].parameters"))?;
            }
            let parameters = subset.or_else(|| field(function, "parametersJsonSchema")).cloned();
            ask.input_tokens += tokens(&function.to_string());
            ask.tools.push(Tool { name: name.to_owned(), parameters: parameters.unwrap_or_default() });
        }
    }
    let Some(calling) = field(body, "toolConfig").and_then(|c| field(c, "functionCallingConfig")) else {
        return Ok(());
    };
    let allowed = field(calling, "allowedFunctionNames").and_then(Value::as_array);
    let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(Value::as_str).collect();
    ask.choice = match (text(calling, "mode"), allowed.as_slice()) {
        (None | Some("AUTO"), []) => Choice::Auto,
        (Some("NONE"), []) => Choice::None,
        (Some("ANY"), []) => Choice::Required,
        (Some("ANY"), [name, ..]) => Choice::Named((*name).to_owned()),
        (_, [_, ..]) => return Err(bad("allowed_function_names needs the mode ANY.")),
        (Some(mode), _) => return Err(bad(format!("Invalid value at 'mode': \"{mode}\""))),
    };
    if let Some(name) = allowed.iter().find(|name| !ask.tools.iter().any(|tool| tool.name == **name)) {
        return Err(bad(format!("allowed_function_names: '{name}' is not declared.")));
    }
    Ok(())
}

/// What a turn holds.
#[derive(Default)]
struct Turn {
    text: String,
    /// Function calls, each with whether it is sealed.
    calls: Vec<bool>,
    results: Vec<String>,
}

fn turns(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    let contents = field(body, "contents").and_then(Value::as_array).filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| bad("contents is not specified"))?;
    let mut before = ("model", 0);
    let mut unsealed = false;
    for (i, content) in contents.iter().enumerate() {
        let role = text(content, "role").unwrap_or("user");
        if !matches!(role, "user" | "model") {
            return Err(bad("Please use a valid role: user, model."));
        }
        if role == before.0 {
            return Err(bad("Please ensure that multiturn requests alternate between user and model."));
        }
        let turn = parts(content, i, ask)?;
        if turn.results.len() != before.1 {
            return Err(bad(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            ));
        }
        if !turn.results.is_empty() && !turn.text.is_empty() {
            return Err(bad(format!("contents[{i}]: function responses must be in a turn of their own.")));
        }
        before = (role, turn.calls.len());
        if role == "user" && turn.results.is_empty() {
            // only the calls since the last question must be sealed
            unsealed = false;
            ask.asked.push(turn.text);
            ask.tool_result = None;
        } else if role == "user" {
            ask.tool_result = Some(turn.results.join(", "));
        } else {
            unsealed |= turn.calls.first().is_some_and(|sealed| !sealed);
        }
    }
    if before.1 > 0 {
        return Err(bad("Please ensure that function call turn is followed by a function response turn."));
    }
    ask.unsealed = unsealed;
    Ok(())
}

fn parts(content: &Value, i: usize, ask: &mut Ask) -> Result<Turn, Problem> {
    let parts = field(content, "parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| bad(format!("contents[{i}].parts must not be empty.")))?;
    let mut turn = Turn::default();
    for part in parts {
        if let Some(said) = text(part, "text") {
            if said.is_empty() {
                return Err(bad(format!("contents[{i}].parts: text must not be empty.")));
            }
            ask.input_tokens += tokens(said);
            turn.text.push_str(said);
        } else if let Some(data) = field(part, "inlineData").or_else(|| field(part, "fileData")) {
            if text(data, "mimeType").is_none() {
                return Err(bad(format!("contents[{i}].parts: the MIME type is missing.")));
            }
            ask.images += 1;
        } else if let Some(call) = field(part, "functionCall") {
            let name = text(call, "name").ok_or_else(|| bad("function_call.name: Name cannot be empty."))?;
            if field(call, "args").is_some_and(|args| !args.is_object()) {
                return Err(bad("function_call.args: not an object."));
            }
            let sealed = text(part, "thoughtSignature");
            turn.calls.push(sealed.is_some_and(|s| s == seal(name) || WAIVERS.contains(&s)));
            ask.input_tokens += tokens(&call.to_string());
        } else if let Some(result) = field(part, "functionResponse") {
            if text(result, "name").is_none_or(str::is_empty) {
                return Err(bad("function_response.name: Name cannot be empty."));
            }
            let response = field(result, "response").filter(|response| response.is_object());
            let response = response.ok_or_else(|| bad("function_response.response: must be an object."))?;
            turn.results.push(spoken(response));
            ask.input_tokens += tokens(&response.to_string());
        } else {
            return Err(bad(format!(
                "contents[{i}].parts: required oneof field 'data' must have one initialized field"
            )));
        }
    }
    Ok(turn)
}

/// The text of a tool's answer: the only string in the object, else all of it.
fn spoken(response: &Value) -> String {
    let fields = response.as_object().filter(|fields| fields.len() == 1);
    match fields.and_then(|fields| fields.values().next()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => response.to_string(),
    }
}

/// `embedContent` (one `content`) and `batchEmbedContents` (`requests`).
pub(super) fn embeddings(body: &Value, ask: &mut Ask) -> Result<(), Problem> {
    let requests = match field(body, "requests").and_then(Value::as_array) {
        Some(requests) if (1..=100).contains(&requests.len()) => {
            ask.batch = true;
            requests.as_slice()
        }
        Some(_) => return Err(bad("At least one and at most 100 requests can be in one batch.")),
        None => std::slice::from_ref(body),
    };
    for request in requests {
        let named = text(request, "model").map(|name| name.trim_start_matches("models/"));
        if ask.batch && named != Some(ask.model.as_str()) {
            return Err(bad("requests.model: must be the model of the URL."));
        }
        let parts = field(request, "content").and_then(|c| field(c, "parts")).and_then(Value::as_array);
        let said: String = parts.into_iter().flatten().filter_map(|part| text(part, "text")).collect();
        if said.is_empty() {
            return Err(bad("content is empty."));
        }
        ask.input_tokens += tokens(&said);
        ask.asked.push(said);
        let dimensions = field(request, "outputDimensionality").and_then(Value::as_u64);
        ask.dimensions = dimensions.and_then(|n| usize::try_from(n).ok());
    }
    Ok(())
}
