//! Did the caller get the JSON that it asked for?

use jsonschema::PatternOptions;
use serde_json::Value;

/// Is the answer not what `format` (a `response_format` as JSON text) asks for, or some tool call's arguments no JSON
/// object? `refused`: a refusal stands in for the JSON, and is the refusal check's business.
pub(super) fn broken<'a>(
    format: Option<&str>,
    text: &str,
    mut calls: impl Iterator<Item = &'a str>,
    refused: bool,
) -> bool {
    let mut called = false;
    let bad_call = calls.any(|arguments| {
        called = true;
        !matches!(serde_json::from_str(arguments), Ok(Value::Object(_)))
    });
    if bad_call {
        return true;
    }
    // The turn is a tool call: the formatted answer comes in a later one.
    if refused || (called && text.trim().is_empty()) {
        return false;
    }
    format.is_some_and(|format| !obeys(format, text))
}

fn obeys(format: &str, text: &str) -> bool {
    let format: Value = serde_json::from_str(format).unwrap_or(Value::Null);
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => matches!(serde_json::from_str(text), Ok(Value::Object(_))),
        Some("json_schema") => {
            let Ok(answer) = serde_json::from_str::<Value>(text) else { return false };
            let schema = format.get("json_schema").and_then(|s| s.get("schema"));
            schema.is_none_or(|schema| conforms(schema, &answer))
        }
        _ => true,
    }
}

/// A schema that cannot be compiled judges nobody: the vendor accepted it, so it is not the answer's fault. Patterns
/// run on the linear engine, because the schema comes from the client and a backtracking one could be made to hang.
/// Nothing is fetched: remote references are not built in.
fn conforms(schema: &Value, answer: &Value) -> bool {
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_or(true, |validator| validator.is_valid(answer))
}
