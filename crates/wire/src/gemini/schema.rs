//! JSON schemas in the subset that Gemini knows (field notes §2.19).
//!
//! The obvious alternative, deleting what the vendor does not know, changes what the caller asked for. Three fates
//! instead: what has an exact counterpart is rewritten (`$ref` inlined, `const` and integer `enum`, `null` as
//! `nullable`, `oneOf` as `anyOf`); a constraint on a value that the vendor does not check is left out and noted,
//! since the shape stays; what shapes the value and has no counterpart is refused, with its path.

use serde_json::{Map, Value, json};

use crate::Unsupported;
use crate::chat::{Dropped, refuse};

/// Nodes in a converted schema. References can multiply a small schema beyond any use.
const NODES: usize = 5_000;
/// Levels in a converted schema.
const DEPTH: usize = 64;

/// A schema as Gemini's `Schema`. `at` is the field that it stands in.
pub(super) fn convert(schema: &Value, at: &str, dropped: &mut Dropped) -> Result<Value, Unsupported> {
    let mut converter = Converter { root: schema, field: at, nodes: 0, trail: Vec::new(), dropped };
    converter.node(schema, at, 0).map(Value::Object)
}

struct Converter<'a> {
    root: &'a Value,
    field: &'a str,
    nodes: usize,
    /// References that are being inlined.
    trail: Vec<&'a str>,
    dropped: &'a mut Dropped,
}

type Node = Map<String, Value>;

impl<'a> Converter<'a> {
    fn node(&mut self, schema: &'a Value, at: &str, depth: usize) -> Result<Node, Unsupported> {
        self.nodes += 1;
        if self.nodes > NODES || depth > DEPTH {
            return Err(refuse(at, "the schema is too large once its references are inlined"));
        }
        let Value::Object(given) = schema else {
            return Err(refuse(at, "a schema here must be an object with a type"));
        };
        if let Some(reference) = given.get("$ref") {
            return self.reference(given, reference, at, depth);
        }
        if let Some(all) = given.get("allOf") {
            return self.all_of(given, all, at, depth);
        }
        let mut out = Node::new();
        if let Some((word, variants)) =
            ["anyOf", "oneOf"].iter().find_map(|word| Some((word, given.get(*word)?)))
        {
            self.any_of(given, variants, &format!("{at}.{word}"), depth, &mut out)?;
            return Ok(out);
        }
        types(given, at, &mut out)?;
        for (key, value) in given {
            self.keyword(key, value, at, depth, &mut out)?;
        }
        finish(out, at)
    }

    fn reference(
        &mut self,
        given: &'a Node,
        name: &'a Value,
        at: &str,
        depth: usize,
    ) -> Result<Node, Unsupported> {
        let target = name.as_str().and_then(|name| Some((name, self.root.pointer(name.strip_prefix('#')?)?)));
        let Some((name, target)) = target else {
            return Err(refuse(format!("{at}.$ref"), "it points at nothing in this schema"));
        };
        if let Some(key) = given.keys().find(|key| *key != "$ref" && !is_annotation(key)) {
            return Err(refuse(
                format!("{at}.$ref"),
                format!("it cannot be combined with `{key}` for this vendor"),
            ));
        }
        if self.trail.contains(&name) {
            return Err(refuse(at, "a schema that contains itself cannot be expressed for this vendor"));
        }
        self.trail.push(name);
        let mut out = self.node(target, at, depth + 1)?;
        self.trail.pop();
        annotate(given, &mut out);
        Ok(out)
    }

    fn all_of(
        &mut self,
        given: &'a Node,
        all: &'a Value,
        at: &str,
        depth: usize,
    ) -> Result<Node, Unsupported> {
        let shapes = given.keys().any(|key| key != "allOf" && !is_annotation(key));
        match all.as_array().map(Vec::as_slice) {
            Some([only]) if !shapes => {
                let mut out = self.node(only, at, depth + 1)?;
                annotate(given, &mut out);
                Ok(out)
            }
            _ => Err(refuse(format!("{at}.allOf"), "schemas cannot be combined for this vendor")),
        }
    }

    fn any_of(
        &mut self,
        given: &'a Node,
        variants: &'a Value,
        at: &str,
        depth: usize,
        out: &mut Node,
    ) -> Result<(), Unsupported> {
        let shapes = |key: &String| {
            !matches!(key.as_str(), "anyOf" | "oneOf" | "discriminator") && !is_annotation(key)
        };
        if let Some(key) = given.keys().find(|key| shapes(key)) {
            return Err(refuse(at, format!("it cannot be combined with `{key}` for this vendor")));
        }
        let Some(variants) = variants.as_array() else { return Err(refuse(at, "it must be a list")) };
        let is_null = |schema: &Value| schema.get("type") == Some(&json!("null"));
        let nullable = variants.iter().any(is_null);
        let mut converted = Vec::new();
        for (index, variant) in variants.iter().enumerate().filter(|(_, variant)| !is_null(variant)) {
            converted.push(self.node(variant, &format!("{at}[{index}]"), depth + 1)?);
        }
        match converted.len() {
            0 => return Err(refuse(at, "it allows nothing but null")),
            1 => out.extend(converted.into_iter().flatten()),
            _ => {
                let variants = converted.into_iter().map(Value::Object).collect();
                out.insert("anyOf".to_owned(), Value::Array(variants));
            }
        }
        if nullable {
            out.insert("nullable".to_owned(), json!(true));
        }
        annotate(given, out);
        Ok(())
    }

    fn keyword(
        &mut self,
        key: &'a str,
        value: &'a Value,
        at: &str,
        depth: usize,
        out: &mut Node,
    ) -> Result<(), Unsupported> {
        match key {
            "type" | "enum" | "const" | "$defs" | "definitions" | "$schema" | "$id" | "$anchor"
            | "$comment" | "examples" | "deprecated" | "readOnly" | "writeOnly" | "discriminator" => {}
            "title" | "description" | "default" | "required" | "pattern" | "minimum" | "maximum"
            | "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties"
            | "nullable" => {
                out.insert(key.to_owned(), value.clone());
            }
            "properties" => self.properties(value, &format!("{at}.properties"), depth, out)?,
            "items" => {
                let items = self.node(value, &format!("{at}.items"), depth + 1)?;
                out.insert(key.to_owned(), Value::Object(items));
            }
            "format" => self.format(value, out),
            "exclusiveMinimum" => self.exclusive("minimum", value, 1, out),
            "exclusiveMaximum" => self.exclusive("maximum", value, -1, out),
            // The vendor never adds members, so that forbidding and allowing them come to the same.
            "additionalProperties" | "unevaluatedProperties"
                if value.is_boolean() || value.as_object().is_some_and(Map::is_empty) => {}
            "uniqueItems" | "multipleOf" | "contentEncoding" | "contentMediaType" => self.note(key),
            "additionalProperties"
            | "unevaluatedProperties"
            | "patternProperties"
            | "propertyNames"
            | "prefixItems"
            | "contains"
            | "minContains"
            | "maxContains"
            | "unevaluatedItems"
            | "not"
            | "if"
            | "then"
            | "else"
            | "dependentRequired"
            | "dependentSchemas"
            | "dependencies"
            | "$dynamicRef" => {
                return Err(refuse(format!("{at}.{key}"), "it cannot be expressed for this vendor"));
            }
            // By the standard, keywords that nobody knows are annotations.
            _ => self.note("unknown keywords"),
        }
        Ok(())
    }

    fn properties(
        &mut self,
        value: &'a Value,
        at: &str,
        depth: usize,
        out: &mut Node,
    ) -> Result<(), Unsupported> {
        let Some(given) = value.as_object() else { return Err(refuse(at, "it must be an object")) };
        let mut properties = Node::new();
        for (name, schema) in given {
            let schema = self.node(schema, &format!("{at}.{name}"), depth + 1)?;
            properties.insert(name.clone(), Value::Object(schema));
        }
        let order: Vec<&String> = given.keys().collect();
        // Without it the vendor writes members in the order of the alphabet.
        out.insert("propertyOrdering".to_owned(), json!(order));
        out.insert("properties".to_owned(), Value::Object(properties));
        Ok(())
    }

    fn format(&mut self, value: &Value, out: &mut Node) {
        let known =
            matches!(value.as_str(), Some("date-time" | "enum" | "int32" | "int64" | "float" | "double"));
        if known {
            out.insert("format".to_owned(), value.clone());
        } else {
            self.note("format");
        }
    }

    /// An open bound on integers is the closed one next to it; on other numbers there is none.
    fn exclusive(&mut self, bound: &str, value: &Value, step: i64, out: &mut Node) {
        let closed = value.as_i64().and_then(|value| value.checked_add(step));
        match closed.filter(|_| out.get("type") == Some(&json!("INTEGER"))) {
            Some(closed) => {
                out.insert(bound.to_owned(), json!(closed));
            }
            None => self.note(if step > 0 { "exclusiveMinimum" } else { "exclusiveMaximum" }),
        }
    }

    fn note(&mut self, keyword: &str) {
        // The index of a tool is of no use in a header.
        let field = if self.field.starts_with("tools") { "tools[].function.parameters" } else { self.field };
        self.dropped.note(&format!("{field} ({keyword})"));
    }
}

/// `type`, `enum` and `const`: what kind of value it is.
fn types(given: &Node, at: &str, out: &mut Node) -> Result<(), Unsupported> {
    let mut kinds: Vec<&str> = match given.get("type") {
        None => Vec::new(),
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(refuse(format!("{at}.type"), "it must be a type or a list of types")),
    };
    if kinds.len() > 1 && kinds.contains(&"null") {
        kinds.retain(|kind| *kind != "null");
        out.insert("nullable".to_owned(), json!(true));
    }
    let constant = given.get("const").map(std::slice::from_ref);
    let values = constant.or_else(|| given.get("enum").and_then(Value::as_array).map(Vec::as_slice));
    if let Some(values) = values {
        return enumerate(values, at, out);
    }
    let implied = if given.contains_key("properties") {
        Some("object")
    } else {
        given.contains_key("items").then_some("array")
    };
    match (kinds.as_slice(), implied) {
        ([], Some(kind)) | (&[kind], _) => {
            out.insert("type".to_owned(), json!(kind.to_ascii_uppercase()));
            Ok(())
        }
        ([], None) => Err(refuse(at, "a schema here needs a type")),
        // Each type in turn; keywords that belong to one of them cannot be told apart here.
        (several, _) => {
            let shapes = |key: &String| key != "type" && !is_annotation(key);
            if given.keys().any(shapes) {
                return Err(refuse(
                    format!("{at}.type"),
                    "several types cannot be combined with other keywords",
                ));
            }
            let variants: Vec<Value> =
                several.iter().map(|kind| json!({"type": kind.to_ascii_uppercase()})).collect();
            if several.iter().any(|kind| matches!(*kind, "object" | "array")) {
                return Err(refuse(format!("{at}.type"), "an object or array needs its members described"));
            }
            out.insert("anyOf".to_owned(), Value::Array(variants));
            Ok(())
        }
    }
}

/// Values to choose from. Strings are the vendor's own kind of enum; an integer is a range of one.
fn enumerate(values: &[Value], at: &str, out: &mut Node) -> Result<(), Unsupported> {
    if values.iter().any(Value::is_null) {
        out.insert("nullable".to_owned(), json!(true));
    }
    let values: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
    if !values.is_empty() && values.iter().all(|value| value.is_string()) {
        out.insert("type".to_owned(), json!("STRING"));
        out.insert("format".to_owned(), json!("enum"));
        out.insert("enum".to_owned(), json!(values));
        return Ok(());
    }
    if values.iter().all(|value| value.is_boolean())
        && values.contains(&&json!(true))
        && values.contains(&&json!(false))
    {
        out.insert("type".to_owned(), json!("BOOLEAN"));
        return Ok(());
    }
    let mut ranges: Vec<Value> = Vec::new();
    for value in &values {
        let Some(number) = value.as_i64() else {
            return Err(refuse(
                format!("{at}.enum"),
                "only strings or integers can be listed for this vendor",
            ));
        };
        ranges.push(json!({"type": "INTEGER", "minimum": number, "maximum": number}));
    }
    match ranges.len() {
        0 => return Err(refuse(format!("{at}.enum"), "it allows nothing")),
        1 => out.extend(ranges.into_iter().filter_map(|range| range.as_object().cloned()).flatten()),
        _ => {
            out.insert("anyOf".to_owned(), Value::Array(ranges));
        }
    }
    Ok(())
}

/// What the vendor demands of each kind.
fn finish(mut out: Node, at: &str) -> Result<Node, Unsupported> {
    match out.get("type").and_then(Value::as_str) {
        Some("OBJECT") => {
            let properties = out.get("properties").and_then(Value::as_object);
            let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
                return Err(refuse(
                    at,
                    "an object without named properties cannot be expressed for this vendor",
                ));
            };
            let known: Vec<Value> = out
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter(|name| name.as_str().is_some_and(|name| properties.contains_key(name)))
                .cloned()
                .collect();
            if out.contains_key("required") {
                out.insert("required".to_owned(), Value::Array(known));
            }
            Ok(out)
        }
        Some("ARRAY") if !out.contains_key("items") => {
            Err(refuse(format!("{at}.items"), "an array needs its items described for this vendor"))
        }
        _ => Ok(out),
    }
}

/// Copies what only describes.
fn annotate(given: &Node, out: &mut Node) {
    for key in ["title", "description", "default"] {
        if let Some(value) = given.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
}

fn is_annotation(key: &str) -> bool {
    matches!(
        key,
        "title"
            | "description"
            | "default"
            | "examples"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
            | "$comment"
            | "$defs"
            | "definitions"
            | "$schema"
            | "$id"
            | "$anchor"
    )
}

#[cfg(test)]
mod tests;
