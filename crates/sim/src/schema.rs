//! The smallest JSON that fits a schema: what a vendor's structured output gives when nobody wrote an answer down.

use serde_json::{Map, Value, json};

/// Deepest nesting that is filled in; below it, `null`.
const DEPTH: usize = 6;

/// A value of `schema`. Knows `type`, `enum`, `const`, `properties`, `items`, `anyOf`, `oneOf`, `allOf`, `$ref` into
/// `$defs` or `definitions`, `minItems`, `minimum`, `minLength`.
pub(crate) fn sample(schema: &Value) -> Value {
    fill(schema, schema, 0)
}

fn fill(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|at| resolve(at, root)) {
        return fill(target, root, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
        return first.clone();
    }
    for any in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(any).and_then(Value::as_array).and_then(|all| all.first()) {
            return fill(first, root, depth + 1);
        }
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 64);
            let item = schema.get("items").map_or(Value::Null, |items| fill(items, root, depth + 1));
            Value::Array((0..least).map(|_| item.clone()).collect())
        }
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => {
            let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(256);
            let mut text = String::from("text");
            while (text.len() as u64) < least {
                text.push('x');
            }
            json!(text)
        }
    }
}

/// The first type named; Gemini spells them in capitals.
fn kind(schema: &Value) -> &'static str {
    let named = match schema.get("type") {
        Some(Value::String(name)) => name.to_ascii_lowercase(),
        Some(Value::Array(names)) => {
            names.first().and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
        }
        _ if schema.get("properties").is_some() => return "object",
        _ => String::new(),
    };
    ["object", "array", "integer", "number", "boolean", "null"]
        .into_iter()
        .find(|known| *known == named)
        .unwrap_or("string")
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut filled = Map::new();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            filled.insert(name.clone(), fill(property, root, depth + 1));
        }
    }
    Value::Object(filled)
}

fn resolve<'s>(at: &str, root: &'s Value) -> Option<&'s Value> {
    root.pointer(at.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recursive_schema_ends() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string", "minLength": 6},
            "mood": {"enum": ["calm", "wild"]},
            "child": {"$ref": "#"}
        }});
        let value = sample(&schema);
        assert_eq!(value["name"], "textxx");
        assert_eq!(value["child"]["mood"], "calm");
    }

    #[test]
    fn gemini_capitals_are_types() {
        assert_eq!(
            sample(&json!({"type": "ARRAY", "minItems": 2, "items": {"type": "INTEGER"}})),
            json!([1, 1])
        );
    }
}
