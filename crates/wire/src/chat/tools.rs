//! `tools`, `tool_choice` and `response_format`.

use serde_json::{Map, Value};

use super::read::{flag, text};
use super::{Chat, Format, Tool, ToolChoice, refuse};
use crate::Unsupported;

impl Chat {
    pub(super) fn read_tools(&mut self, value: Value) -> Result<(), Unsupported> {
        let Value::Array(tools) = value else {
            return Err(refuse("tools", "it must be a list"));
        };
        self.tools = Vec::with_capacity(tools.len());
        for (index, tool) in tools.into_iter().enumerate() {
            self.tools.push(read_tool(&format!("tools[{index}]"), tool)?);
        }
        Ok(())
    }

    pub(super) fn read_tool_choice(&mut self, value: Value) -> Result<(), Unsupported> {
        self.tool_choice = match value {
            Value::String(word) => match word.as_str() {
                "auto" => ToolChoice::Auto,
                "none" => ToolChoice::None,
                "required" => ToolChoice::Required,
                _ => return Err(refuse("tool_choice", "it must be auto, none, required or a tool")),
            },
            Value::Object(choice) => read_choice(choice)?,
            _ => return Err(refuse("tool_choice", "it must be auto, none, required or a tool")),
        };
        Ok(())
    }

    pub(super) fn read_format(&mut self, value: Value) -> Result<(), Unsupported> {
        let mut format = object("response_format", value)?;
        self.format = match format.get("type").and_then(Value::as_str) {
            Some("text") => Format::Text,
            Some("json_object") => Format::JsonObject,
            Some("json_schema") => {
                let at = "response_format.json_schema";
                let mut given = object(at, format.remove("json_schema").unwrap_or_default())?;
                let at = "response_format.json_schema.schema";
                let mut schema = object(at, given.remove("schema").unwrap_or_default())?;
                // Vendors have no place for the format's own description; the schema's serves the same end.
                if let Some(description) = given.remove("description").filter(Value::is_string)
                    && !schema.contains_key("description")
                {
                    schema.insert("description".to_owned(), description);
                }
                Format::JsonSchema(Value::Object(schema))
            }
            _ => return Err(refuse("response_format.type", "it must be text, json_object or json_schema")),
        };
        Ok(())
    }
}

fn read_tool(at: &str, value: Value) -> Result<Tool, Unsupported> {
    let mut tool = object(at, value)?;
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return Err(refuse(format!("{at}.type"), "only tools of type function are translated"));
    }
    let cache = tool.remove("cache_control").filter(|v| !v.is_null());
    let at = format!("{at}.function");
    let mut function = object(&at, tool.remove("function").unwrap_or_default())?;
    let name = text(&format!("{at}.name"), function.remove("name").unwrap_or_default())?;
    let description = match function.remove("description") {
        None | Some(Value::Null) => None,
        Some(value) => Some(text(&format!("{at}.description"), value)?),
    };
    let parameters = match function.remove("parameters") {
        None | Some(Value::Null) => None,
        Some(value) => Some(Value::Object(object(&format!("{at}.parameters"), value)?)),
    };
    let strict = match function.remove("strict") {
        None | Some(Value::Null) => false,
        Some(value) => flag(&format!("{at}.strict"), &value)?,
    };
    let cache = cache.or_else(|| function.remove("cache_control").filter(|v| !v.is_null()));
    match function.keys().next() {
        Some(unknown) => Err(refuse(format!("{at}.{unknown}"), "the field is not known")),
        None => Ok(Tool { name, description, parameters, strict, cache }),
    }
}

fn read_choice(mut choice: Map<String, Value>) -> Result<ToolChoice, Unsupported> {
    match choice.get("type").and_then(Value::as_str) {
        Some("function") => {
            let at = "tool_choice.function";
            let mut function = object(at, choice.remove("function").unwrap_or_default())?;
            let name = text("tool_choice.function.name", function.remove("name").unwrap_or_default())?;
            Ok(ToolChoice::Function(name))
        }
        Some("allowed_tools") => {
            let at = "tool_choice.allowed_tools";
            let allowed = object(at, choice.remove("allowed_tools").unwrap_or_default())?;
            let required = allowed.get("mode").and_then(Value::as_str) == Some("required");
            let tools = allowed.get("tools").and_then(Value::as_array);
            let names = tools.into_iter().flatten().map(|tool| {
                let name = tool.pointer("/function/name").and_then(Value::as_str);
                name.map(str::to_owned).ok_or_else(|| refuse(at, "only function tools are translated"))
            });
            Ok(ToolChoice::Allowed { required, names: names.collect::<Result<_, _>>()? })
        }
        _ => Err(refuse("tool_choice.type", "only function and allowed_tools are translated")),
    }
}

pub(super) fn object(field: &str, value: Value) -> Result<Map<String, Value>, Unsupported> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(refuse(field, "it must be an object")),
    }
}
