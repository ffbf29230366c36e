//! OpenAI's published schemas (`tests/openai-spec`), as a check on everything that the gateway sends.
//!
//! The document is `OpenAPI` 3.1, so its schemas are JSON Schema 2020-12, with one leftover of 3.0: `nullable`, which a
//! validator of that draft ignores. It is rewritten to `anyOf: [schema, null]` before use. Nothing else is loosened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A whole chat answer.
pub const CHAT: &str = "CreateChatCompletionResponse";
/// A chunk of a streamed chat answer.
pub const CHUNK: &str = "CreateChatCompletionStreamResponse";
/// A legacy completion, whole or a chunk.
pub const COMPLETION: &str = "CreateCompletionResponse";
/// Embeddings.
pub const EMBEDDINGS: &str = "CreateEmbeddingResponse";
/// Any error.
pub const ERROR: &str = "ErrorResponse";
/// The list of models.
pub const MODELS: &str = "ListModelsResponse";
/// One model.
pub const MODEL: &str = "Model";

/// Panics with every violation when `value` is not a valid `schema`.
pub fn check(schema: &'static str, value: &Value) {
    let faults = violations(schema, value);
    assert!(faults.is_empty(), "not a valid {schema}:\n  {}\nin {value:#}", faults.join("\n  "));
}

/// What is wrong with `value` as a `schema`; empty when nothing is.
pub fn violations(schema: &'static str, value: &Value) -> Vec<String> {
    static VALIDATORS: Mutex<BTreeMap<&str, Validator>> = Mutex::new(BTreeMap::new());
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let validator = validators.entry(schema).or_insert_with(|| validator(schema));
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// Checks the `data` payloads of a chat stream: valid chunks with one id, then `[DONE]`. Returns the chunks.
pub fn check_chat_stream(data: &[String]) -> Vec<Value> {
    let (last, chunks) = data.split_last().expect("a stream holds something");
    assert_eq!(last, "[DONE]", "a good stream ends with [DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect();
    for chunk in &chunks {
        check(CHUNK, chunk);
    }
    let ids: std::collections::BTreeSet<&str> =
        chunks.iter().filter_map(|chunk| chunk["id"].as_str()).collect();
    assert!(ids.len() <= 1, "one answer, one id: {ids:?}");
    chunks
}

/// Checks the `data` payloads of a streamed legacy completion. The document has one schema for answers and chunks alike;
/// OpenAI sends null for the finish reason and the usage of a chunk that is not the last, which that schema forbids.
pub fn check_completion_stream(data: &[String]) {
    let (last, chunks) = data.split_last().expect("a stream holds something");
    assert_eq!(last, "[DONE]", "a good stream ends with [DONE]");
    for chunk in chunks {
        let mut chunk: Value = serde_json::from_str(chunk).expect("JSON");
        let fields = chunk.as_object_mut().expect("an object");
        if fields.get("usage") == Some(&Value::Null) {
            fields.remove("usage");
        }
        for choice in chunk["choices"].as_array_mut().expect("choices") {
            if choice["finish_reason"].is_null() {
                choice["finish_reason"] = json!("stop");
            }
        }
        check(COMPLETION, &chunk);
    }
}

fn validator(schema: &str) -> Validator {
    static DEFINITIONS: OnceLock<Value> = OnceLock::new();
    let definitions = DEFINITIONS.get_or_init(definitions);
    assert!(definitions.get(schema).is_some(), "the document has no {schema}");
    // The references are `#/components/schemas/…`: keep the shape of the document around the one that is asked for.
    let root =
        json!({"$ref": format!("#/components/schemas/{schema}"), "components": {"schemas": definitions}});
    jsonschema::validator_for(&root).expect("a valid schema")
}

fn definitions() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openai-spec/openai-subset.json");
    let text = std::fs::read_to_string(file).expect("the committed document");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    let mut schemas = document["components"]["schemas"].take();
    spell_out_nullable(&mut schemas);
    schemas
}

fn spell_out_nullable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(spell_out_nullable);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                let schema = std::mem::replace(fields, Map::new());
                fields.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(spell_out_nullable),
        _ => {}
    }
}
