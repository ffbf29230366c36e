//! The subset of JSON schema that Gemini takes in `parameters` and `responseSchema` (field notes §2.19). The fields
//! `parametersJsonSchema` and `responseJsonSchema` take more and are not checked.

use serde_json::Value;

use crate::problem::{Kind, Problem};

const KNOWN: [&str; 20] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
];

/// Refuses what the subset does not know, naming the path.
pub(super) fn check(schema: &Value, at: &str) -> Result<(), Problem> {
    let fields = schema.as_object().ok_or_else(|| bad(format!("Invalid value at '{at}': not an object.")))?;
    for name in fields.keys() {
        if !KNOWN.contains(&name.as_str()) && !matches!(name.as_str(), "minimum" | "maximum") {
            return Err(bad(format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
            )));
        }
    }
    match fields.get("type") {
        Some(Value::String(kind)) => {
            let array = kind.eq_ignore_ascii_case("array");
            if array && !fields.contains_key("items") {
                return Err(bad(format!("{at}.items: missing field.")));
            }
        }
        Some(_) => {
            return Err(bad(format!("Proto field is not repeating, cannot start list at '{at}.type'.")));
        }
        None if fields.contains_key("anyOf") => {}
        None => return Err(bad(format!("{at}.type: must be specified."))),
    }
    if fields.get("enum").and_then(Value::as_array).is_some_and(|all| all.iter().any(|v| !v.is_string())) {
        return Err(bad(format!("Invalid value at '{at}.enum' (TYPE_STRING).")));
    }
    for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        check(property, &format!("{at}.properties.{name}"))?;
    }
    if let Some(items) = fields.get("items") {
        check(items, &format!("{at}.items"))?;
    }
    for (i, option) in fields.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
        check(option, &format!("{at}.any_of[{i}]"))?;
    }
    Ok(())
}

fn bad(message: String) -> Problem {
    Problem::new(Kind::Bad, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fn2_19_only_a_subset_is_taken() {
        let good = json!({"type": "object", "properties": {"a": {"type": "ARRAY", "items": {"type": "string", "enum": ["x"]}},
            "b": {"anyOf": [{"type": "number", "minimum": 1}, {"type": "string"}], "nullable": true}}});
        assert_eq!(check(&good, "s"), Ok(()));
        for bad in [
            json!({"$ref": "#/x"}),
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": ["string", "null"]}),
            json!({"type": "array"}),
            json!({"type": "object", "properties": {"a": {"const": 1}}}),
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"properties": {}}),
        ] {
            assert!(check(&bad, "s").is_err(), "{bad}");
        }
    }
}
