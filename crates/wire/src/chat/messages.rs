//! `messages`: roles, parts, tool calls and results, reasoning that is replayed.

use serde_json::{Map, Value};

use super::read::text;
use super::tools::object;
use super::{
    Assistant, Call, Chat, Dropped, Part, Source, Text, Thought, ToolResult, Turn, refuse, thought_id,
};
use crate::Unsupported;

impl Chat {
    pub(super) fn read_messages(&mut self, value: Value) -> Result<(), Unsupported> {
        let Value::Array(messages) = value else {
            return Err(refuse("messages", "it must be a list"));
        };
        for (at, message) in messages.into_iter().enumerate() {
            let mut message = Message::open(at, message)?;
            match message.role.as_str() {
                "system" | "developer" => self.system.extend(message.texts(&mut self.dropped)?),
                "user" => {
                    let parts = message.parts(&mut self.dropped)?;
                    if !parts.is_empty() {
                        self.turns.push(Turn::User { at, parts });
                    }
                }
                "assistant" => {
                    let said = message.assistant(&mut self.dropped)?;
                    if !(said.text.is_empty() && said.calls.is_empty() && said.thoughts.is_empty()) {
                        self.turns.push(Turn::Assistant(said));
                    }
                }
                "tool" => self.turns.push(Turn::Tool(message.tool_result(&mut self.dropped)?)),
                _ => {
                    let why = "it must be system, developer, user, assistant or tool";
                    return Err(refuse(format!("messages[{at}].role"), why));
                }
            }
            message.close(&mut self.dropped)?;
        }
        Ok(())
    }
}

/// One message while its fields are taken out; what is left at the end has no translation.
struct Message {
    at: usize,
    role: String,
    fields: Map<String, Value>,
}

impl Message {
    fn open(at: usize, value: Value) -> Result<Self, Unsupported> {
        let mut fields = object(&format!("messages[{at}]"), value)?;
        fields.retain(|_, value| !value.is_null());
        let role = text(&format!("messages[{at}].role"), fields.shift_remove("role").unwrap_or_default())?;
        Ok(Self { at, role, fields })
    }

    fn path(&self, field: &str) -> String {
        format!("messages[{}].{field}", self.at)
    }

    /// Judges what is left. An assistant message is the echo of some vendor's answer, so fields in it that are not
    /// known are that vendor's decoration; anywhere else the caller means something by them.
    fn close(self, dropped: &mut Dropped) -> Result<(), Unsupported> {
        let Some(field) = self.fields.keys().find(|field| *field != "name" && self.role != "assistant")
        else {
            for (field, value) in &self.fields {
                if value.as_array().is_none_or(|list| !list.is_empty()) {
                    dropped.note(&format!("messages[].{field}"));
                }
            }
            return Ok(());
        };
        Err(refuse(self.path(field), "the field is not known, so it cannot be translated"))
    }

    fn cache(&mut self) -> Option<Value> {
        self.fields.shift_remove("cache_control")
    }

    fn texts(&mut self, dropped: &mut Dropped) -> Result<Vec<Text>, Unsupported> {
        let parts = self.parts(dropped)?;
        let path = self.path("content");
        let texts = parts.into_iter().map(|part| match part {
            Part::Text(text) => Ok(text),
            Part::Image { .. } | Part::Audio { .. } | Part::File { .. } => {
                Err(refuse(path.as_str(), "only text is possible in this role"))
            }
        });
        texts.collect()
    }

    /// The content as parts, blank text left out: vendors refuse it, and it says nothing.
    fn parts(&mut self, dropped: &mut Dropped) -> Result<Vec<Part>, Unsupported> {
        let path = self.path("content");
        let mut parts = match self.fields.shift_remove("content") {
            None => Vec::new(),
            Some(Value::String(text)) => vec![Part::Text(Text { text, cache: None })],
            Some(Value::Array(list)) => {
                let numbered = list.into_iter().enumerate();
                numbered
                    .map(|(index, part)| read_part(&format!("{path}[{index}]"), part, dropped))
                    .collect::<Result<_, _>>()?
            }
            Some(_) => return Err(refuse(path, "it must be a string or a list of parts")),
        };
        parts.retain(|part| !matches!(part, Part::Text(text) if text.text.trim().is_empty()));
        if let Some(mark) = self.cache() {
            match parts.last_mut() {
                Some(last) => last.cache_mut().get_or_insert(mark),
                None => return Ok(parts),
            };
        }
        Ok(parts)
    }

    fn assistant(&mut self, dropped: &mut Dropped) -> Result<Assistant, Unsupported> {
        let mut text = self.texts(dropped)?;
        if let Some(refusal) = self.fields.shift_remove("refusal")
            && text.is_empty()
            && let Value::String(refusal) = refusal
            && !refusal.trim().is_empty()
        {
            text.push(Text { text: refusal, cache: None });
        }
        let thoughts = match self.fields.shift_remove("reasoning_details") {
            None => Vec::new(),
            Some(Value::Array(details)) => details.iter().filter_map(|d| read_thought(d, dropped)).collect(),
            Some(_) => return Err(refuse(self.path("reasoning_details"), "it must be a list")),
        };
        if !thoughts.is_empty() {
            // The same reasoning as plain text, which the details carry in full.
            self.fields.shift_remove("reasoning");
            self.fields.shift_remove("reasoning_content");
        }
        let calls = match self.fields.shift_remove("tool_calls") {
            None => Vec::new(),
            Some(Value::Array(calls)) => {
                let path = self.path("tool_calls");
                let numbered = calls.into_iter().enumerate();
                numbered
                    .map(|(index, call)| read_call(&format!("{path}[{index}]"), call))
                    .collect::<Result<_, _>>()?
            }
            Some(_) => return Err(refuse(self.path("tool_calls"), "it must be a list")),
        };
        Ok(Assistant { at: self.at, thoughts, text, calls })
    }

    fn tool_result(&mut self, dropped: &mut Dropped) -> Result<ToolResult, Unsupported> {
        let path = self.path("tool_call_id");
        let id = text(&path, self.fields.shift_remove("tool_call_id").unwrap_or_default())?;
        let (id, _) = thought_id::split(&id);
        let mut cache = self.cache();
        let mut parts = self.parts(dropped)?;
        // Vendors cache whole results, not parts of them.
        for part in &mut parts {
            cache = part.cache_mut().take().or(cache);
        }
        Ok(ToolResult { at: self.at, id: id.to_owned(), parts, cache })
    }
}

impl Part {
    /// The cache mark of the part.
    pub fn cache_mut(&mut self) -> &mut Option<Value> {
        match self {
            Self::Text(text) => &mut text.cache,
            Self::Image { cache, .. } | Self::Audio { cache, .. } | Self::File { cache, .. } => cache,
        }
    }
}

fn read_part(at: &str, value: Value, dropped: &mut Dropped) -> Result<Part, Unsupported> {
    let mut part = object(at, value)?;
    let kind = text(&format!("{at}.type"), part.remove("type").unwrap_or_default())?;
    let cache = part.remove("cache_control").filter(|mark| !mark.is_null());
    match kind.as_str() {
        "text" | "refusal" => {
            let text = text(&format!("{at}.{kind}"), part.remove(&kind).unwrap_or_default())?;
            Ok(Part::Text(Text { text, cache }))
        }
        "image_url" => {
            let at = format!("{at}.image_url");
            let mut image = object(&at, part.remove("image_url").unwrap_or_default())?;
            if image.get("detail").and_then(Value::as_str).is_some_and(|detail| detail != "auto") {
                dropped.note("messages[].content[].image_url.detail");
            }
            let at = format!("{at}.url");
            let url = text(&at, image.remove("url").unwrap_or_default())?;
            let source = if url.starts_with("data:") {
                let (media_type, data) = data_url(&at, &url)?;
                Source::Data { media_type, data }
            } else {
                Source::Url(url)
            };
            Ok(Part::Image { source, cache })
        }
        "input_audio" => {
            let at = format!("{at}.input_audio");
            let mut audio = object(&at, part.remove("input_audio").unwrap_or_default())?;
            let data = text(&format!("{at}.data"), audio.remove("data").unwrap_or_default())?;
            let format = text(&format!("{at}.format"), audio.remove("format").unwrap_or_default())?;
            Ok(Part::Audio { media_type: format!("audio/{format}"), data, cache })
        }
        "file" => read_file(&format!("{at}.file"), part.remove("file").unwrap_or_default(), cache),
        _ => Err(refuse(format!("{at}.type"), "this kind of part is not translated")),
    }
}

fn read_file(at: &str, value: Value, cache: Option<Value>) -> Result<Part, Unsupported> {
    let mut file = object(at, value)?;
    let name = file.remove("filename").and_then(|name| text("filename", name).ok());
    let at_data = format!("{at}.file_data");
    match file.remove("file_data") {
        Some(Value::String(data)) if data.starts_with("data:") => {
            let (media_type, data) = data_url(&at_data, &data)?;
            Ok(Part::File { media_type, data, name, cache })
        }
        Some(Value::String(data)) => {
            Ok(Part::File { media_type: "application/pdf".to_owned(), data, name, cache })
        }
        Some(_) => Err(refuse(at_data, "it must be a string")),
        None => Err(refuse(format!("{at}.file_id"), "the file lies with another vendor; send `file_data`")),
    }
}

/// Splits `data:TYPE;base64,DATA`.
fn data_url(at: &str, url: &str) -> Result<(String, String), Unsupported> {
    let rest = url.strip_prefix("data:").unwrap_or(url);
    match rest.split_once(";base64,") {
        Some((media_type, data)) if !media_type.is_empty() && !data.is_empty() => {
            let media_type = media_type.split(';').next().unwrap_or(media_type).to_ascii_lowercase();
            Ok((media_type, data.to_owned()))
        }
        _ => Err(refuse(at, "a data URL must be `data:TYPE;base64,DATA`")),
    }
}

/// A block that can be replayed, or `None`: plain reasoning text without a signature is no use to any vendor.
fn read_thought(value: &Value, dropped: &mut Dropped) -> Option<Thought> {
    let take = |field: &str| match value.get(field) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let thought = Thought {
        format: take("format"),
        text: take("text"),
        signature: take("signature"),
        data: take("data"),
    };
    if thought.signature.is_none() && thought.data.is_none() {
        dropped.note("messages[].reasoning_details");
        return None;
    }
    Some(thought)
}

fn read_call(at: &str, value: Value) -> Result<Call, Unsupported> {
    let mut call = object(at, value)?;
    if call.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "function") {
        return Err(refuse(format!("{at}.type"), "only calls of type function are translated"));
    }
    let id = text(&format!("{at}.id"), call.remove("id").unwrap_or_default())?;
    let (id, signature) = thought_id::split(&id);
    let cache = call.remove("cache_control").filter(|mark| !mark.is_null());
    // Where Google's own OpenAI-shaped endpoint puts the signature.
    let extra = call.get("extra_content").and_then(|extra| extra.pointer("/google/thought_signature"));
    let signature = signature.or_else(|| extra.and_then(Value::as_str).map(str::to_owned));
    let id = id.to_owned();
    let at = format!("{at}.function");
    let mut function = object(&at, call.remove("function").unwrap_or_default())?;
    let name = text(&format!("{at}.name"), function.remove("name").unwrap_or_default())?;
    let at = format!("{at}.arguments");
    let arguments = text(&at, function.remove("arguments").unwrap_or_default())?;
    let arguments = if arguments.trim().is_empty() {
        Map::new()
    } else {
        serde_json::from_str(&arguments).map_err(|_| refuse(at, "it must be the text of a JSON object"))?
    };
    Ok(Call { id, name, arguments, signature, cache })
}
