//! OpenAI's published schemas, as a check on everything that the writer makes.
//!
//! The document is `OpenAPI` 3.1 and so JSON Schema, but for `nullable`, a leftover of 3.0 that validators ignore: it
//! is spelled out before use.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Panics with what is wrong when `value` is not a valid `schema`.
pub fn check(schema: &str, value: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/openai-spec/openai-subset.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut schemas = document["components"]["schemas"].take();
    assert!(schemas.get(schema).is_some(), "the document has no {schema}");
    spell_out_nullable(&mut schemas);
    let root = json!({"$ref": format!("#/components/schemas/{schema}"), "components": {"schemas": schemas}});
    let validator = jsonschema::validator_for(&root).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "not a valid {schema}:\n  {}\nin {value:#}", faults.join("\n  "));
}

fn spell_out_nullable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(spell_out_nullable);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                let schema = std::mem::replace(fields, Map::new());
                fields.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(spell_out_nullable),
        _ => {}
    }
}
