//! Field notes §2.19, keyword by keyword.
#![expect(clippy::needless_pass_by_value, reason = "JSON literals read better by value")]

use serde_json::{Value, json};

use super::convert;
use crate::chat::Dropped;

fn converted(schema: Value) -> (Value, Vec<String>) {
    let mut dropped = Dropped::default();
    let out = convert(&schema, "s", &mut dropped).unwrap();
    (out, dropped.into_vec())
}

fn field(schema: Value) -> (Value, Vec<String>) {
    let (out, dropped) = converted(json!({"type": "object", "properties": {"x": schema}}));
    (out["properties"]["x"].clone(), dropped)
}

fn refused(schema: Value) -> String {
    let schema = json!({"type": "object", "properties": {"x": schema}});
    convert(&schema, "s", &mut Dropped::default()).unwrap_err().field
}

#[test]
fn fn2_19_members_keep_their_order_and_closed_objects_lose_a_word() {
    let (out, dropped) = converted(json!({
        "$schema": "x", "type": "object", "additionalProperties": false, "required": ["b", "gone"],
        "properties": {"b": {"type": "string"}, "a": {"type": "integer", "minimum": 1}}}));
    assert_eq!(
        out,
        json!({
            "type": "OBJECT", "required": ["b"], "propertyOrdering": ["b", "a"],
            "properties": {"b": {"type": "STRING"}, "a": {"type": "INTEGER", "minimum": 1}}})
    );
    assert!(dropped.is_empty());
}

#[test]
fn fn2_19_references_are_inlined() {
    let (out, _) = converted(json!({
    "type": "object", "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}}},
    "properties": {
        "from": {"$ref": "#/$defs/Point", "description": "start"},
        "to": {"allOf": [{"$ref": "#/$defs/Point"}], "title": "end"},
    }}));
    let point = json!({"type": "OBJECT", "propertyOrdering": ["x"], "properties": {"x": {"type": "NUMBER"}}});
    let mut from = point.clone();
    from["description"] = json!("start");
    let mut to = point;
    to["title"] = json!("end");
    assert_eq!((&out["properties"]["from"], &out["properties"]["to"]), (&from, &to));
    assert!(out.get("$defs").is_none());
}

#[test]
fn fn2_19_recursion_is_refused_with_its_path() {
    let tree = json!({
        "type": "object", "$defs": {"Node": {
            "type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        "properties": {"head": {"$ref": "#/$defs/Node"}}});
    let error = convert(&tree, "tools[0].function.parameters", &mut Dropped::default()).unwrap_err();
    assert_eq!(error.field, "tools[0].function.parameters.properties.head.properties.next");
    let own = json!({"type": "object", "properties": {"child": {"$ref": "#"}}});
    assert!(convert(&own, "s", &mut Dropped::default()).is_err());
    assert_eq!(refused(json!({"$ref": "#/$defs/Nowhere"})), "s.properties.x.$ref");
}

#[test]
fn fn2_19_references_cannot_multiply_without_end() {
    let mut defs = json!({"d0": {"type": "string"}});
    for level in 1..20 {
        let below = format!("#/$defs/d{}", level - 1);
        let twice = json!({"type": "object", "properties": {"a": {"$ref": below}, "b": {"$ref": below}}});
        defs[format!("d{level}")] = twice;
    }
    let bomb = json!({"type": "object", "$defs": defs, "properties": {"x": {"$ref": "#/$defs/d19"}}});
    let error = convert(&bomb, "s", &mut Dropped::default()).unwrap_err();
    assert!(error.why.contains("too large"), "{error}");
}

#[test]
fn fn2_19_null_becomes_nullable() {
    assert_eq!(field(json!({"type": ["string", "null"]})).0, json!({"type": "STRING", "nullable": true}));
    let any = json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "d"});
    assert_eq!(field(any).0, json!({"type": "INTEGER", "nullable": true, "description": "d"}));
    let many = json!({"oneOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]});
    assert_eq!(field(many).0, json!({"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}], "nullable": true}));
    assert_eq!(
        field(json!({"type": ["string", "integer"]})).0,
        json!({"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]})
    );
}

#[test]
fn fn2_19_constants_become_enums() {
    assert_eq!(field(json!({"const": "a"})).0, json!({"type": "STRING", "format": "enum", "enum": ["a"]}));
    assert_eq!(
        field(json!({"type": ["string", "null"], "enum": ["a", "b", null]})).0,
        json!({"nullable": true, "type": "STRING", "format": "enum", "enum": ["a", "b"]})
    );
    assert_eq!(field(json!({"const": 7})).0, json!({"type": "INTEGER", "minimum": 7, "maximum": 7}));
    let (two, _) = field(json!({"type": "integer", "enum": [1, 2]}));
    assert_eq!(two["anyOf"][1], json!({"type": "INTEGER", "minimum": 2, "maximum": 2}));
    assert_eq!(refused(json!({"const": true})), "s.properties.x.enum");
    assert_eq!(refused(json!({"enum": [1.5]})), "s.properties.x.enum");
}

#[test]
fn fn2_19_what_cannot_be_expressed_is_refused_with_its_path() {
    assert_eq!(refused(json!({"type": "array"})), "s.properties.x.items");
    assert_eq!(refused(json!({"type": "object"})), "s.properties.x");
    assert_eq!(
        refused(json!({"type": "object", "additionalProperties": {"type": "string"},
        "properties": {"a": {"type": "string"}}})),
        "s.properties.x.additionalProperties"
    );
    assert_eq!(
        refused(json!({"type": "array", "prefixItems": [], "items": {"type": "string"}})),
        "s.properties.x.prefixItems"
    );
    assert_eq!(refused(json!({"allOf": [{"type": "string"}, {"type": "string"}]})), "s.properties.x.allOf");
    assert_eq!(refused(json!({"type": "string", "not": {"const": "a"}})), "s.properties.x.not");
    assert_eq!(refused(json!({"description": "anything"})), "s.properties.x");
    assert_eq!(refused(json!(true)), "s.properties.x");
    assert_eq!(refused(json!({"type": "object", "anyOf": [{"type": "string"}]})), "s.properties.x.anyOf");
}

#[test]
fn fn2_19_unchecked_constraints_are_noted() {
    assert_eq!(field(json!({"type": "string", "format": "email"})).1, ["s (format)"]);
    assert_eq!(field(json!({"type": "string", "format": "date-time"})).0["format"], "date-time");
    assert_eq!(field(json!({"type": "integer", "exclusiveMinimum": 0})).0["minimum"], 1);
    assert_eq!(field(json!({"type": "number", "exclusiveMaximum": 1})).1, ["s (exclusiveMaximum)"]);
    assert_eq!(field(json!({"type": "number", "multipleOf": 0.5})).1, ["s (multipleOf)"]);
    assert_eq!(field(json!({"type": "string", "x-hint": "y"})).1, ["s (unknown keywords)"]);
}
