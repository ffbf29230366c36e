//! Messages as Anthropic wants them: roles that alternate, results first, reasoning first.

use serde_json::{Map, Value, json};

use crate::Unsupported;
use crate::chat::{
    ANTHROPIC_FORMAT, Assistant, Call, Chat, Part, Source, Text, Thought, ToolResult, Turn, refuse,
};

/// Leaves out reasoning that this vendor did not sign: all of it when the conversation moved here.
pub(super) fn strip_foreign(chat: &mut Chat, moved: bool) {
    let own = |thought: &Thought| thought.format.as_deref().is_none_or(|format| format == ANTHROPIC_FORMAT);
    for turn in &mut chat.turns {
        let Turn::Assistant(said) = turn else { continue };
        let before = said.thoughts.len();
        said.thoughts.retain(|thought| !moved && own(thought));
        if said.thoughts.len() < before {
            chat.dropped.note("messages[].reasoning_details");
        }
        if said.calls.iter().any(|call| call.signature.is_some()) {
            chat.dropped.note("messages[].tool_calls[].id (signature)");
        }
    }
}

/// Turns as `messages`. Neighbours of one role become one message: tool results of parallel calls must lie in one
/// user turn (field notes §2.12).
pub(super) fn messages(chat: &mut Chat) -> Result<Vec<Value>, Unsupported> {
    let mut out = Messages::default();
    for turn in std::mem::take(&mut chat.turns) {
        match turn {
            Turn::User { at, parts } => {
                let blocks = parts.into_iter().enumerate();
                let blocks = blocks
                    .map(|(index, part)| block(part, &format!("messages[{at}].content[{index}]")))
                    .collect::<Result<Vec<_>, _>>()?;
                out.push("user", blocks);
            }
            Turn::Tool(result) => {
                let block = tool_result(result)?;
                out.push("user", vec![block]);
            }
            Turn::Assistant(said) => out.push("assistant", assistant(said)),
        }
    }
    Ok(out.close())
}

#[derive(Default)]
struct Messages {
    done: Vec<Value>,
    role: &'static str,
    blocks: Vec<Value>,
}

impl Messages {
    fn push(&mut self, role: &'static str, blocks: Vec<Value>) {
        if blocks.is_empty() {
            return;
        }
        if self.role != role {
            self.flush();
            self.role = role;
        }
        self.blocks.extend(blocks);
    }

    fn flush(&mut self) {
        if !self.blocks.is_empty() {
            let content = std::mem::take(&mut self.blocks);
            self.done.push(json!({"role": self.role, "content": content}));
        }
    }

    fn close(mut self) -> Vec<Value> {
        self.flush();
        self.done
    }
}

/// A block of text.
pub(super) fn text(text: Text) -> Value {
    marked(json!({"type": "text", "text": text.text}), text.cache)
}

/// The block with the caller's cache mark (§2.34).
pub(super) fn marked(mut block: Value, cache: Option<Value>) -> Value {
    if let (Some(fields), Some(mark)) = (block.as_object_mut(), cache) {
        fields.insert("cache_control".to_owned(), mark);
    }
    block
}

fn block(part: Part, at: &str) -> Result<Value, Unsupported> {
    Ok(match part {
        Part::Text(part) => text(part),
        Part::Image { source, cache } => {
            let source = match source {
                Source::Data { media_type, data } => {
                    json!({"type": "base64", "media_type": media_type, "data": data})
                }
                Source::Url(url) if url.starts_with("https://") || url.starts_with("http://") => {
                    json!({"type": "url", "url": url})
                }
                Source::Url(_) => {
                    let why = "the vendor takes data URLs and http addresses only";
                    return Err(refuse(format!("{at}.image_url.url"), why));
                }
            };
            marked(json!({"type": "image", "source": source}), cache)
        }
        Part::Audio { .. } => return Err(refuse(format!("{at}.input_audio"), "the vendor takes no audio")),
        Part::File { media_type, data, name, cache } => {
            if media_type != "application/pdf" {
                return Err(refuse(format!("{at}.file.file_data"), "the vendor takes PDF files only"));
            }
            let source = json!({"type": "base64", "media_type": media_type, "data": data});
            let mut block = json!({"type": "document", "source": source});
            if let (Some(fields), Some(name)) = (block.as_object_mut(), name) {
                fields.insert("title".to_owned(), json!(name));
            }
            marked(block, cache)
        }
    })
}

fn tool_result(result: ToolResult) -> Result<Value, Unsupported> {
    let at = format!("messages[{}]", result.at);
    let parts = result.parts.into_iter().enumerate();
    let content = parts
        .map(|(index, part)| block(part, &format!("{at}.content[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    let id = clean_id(&result.id);
    Ok(marked(json!({"type": "tool_result", "tool_use_id": id, "content": content}), result.cache))
}

/// Reasoning, then text, then calls: the vendor's order, whatever order the fields came in (§2.14).
fn assistant(said: Assistant) -> Vec<Value> {
    let thoughts = said.thoughts.into_iter().filter_map(thinking);
    thoughts.chain(said.text.into_iter().map(text)).chain(said.calls.into_iter().map(tool_use)).collect()
}

fn tool_use(call: Call) -> Value {
    let block = json!({
        "type": "tool_use",
        "id": clean_id(&call.id),
        "name": call.name,
        "input": Value::Object(call.arguments),
    });
    marked(block, call.cache)
}

/// The block that the vendor sent.
fn thinking(thought: Thought) -> Option<Value> {
    match (thought.data, thought.signature) {
        (Some(data), _) => Some(json!({"type": "redacted_thinking", "data": data})),
        (None, Some(signature)) => {
            // The text is empty where the model hides it; the signature alone is what the vendor checks.
            let text = thought.text.unwrap_or_default();
            Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
        }
        (None, None) => None,
    }
}

/// Ids from other vendors may hold characters that this one refuses. The same id always maps to the same id, so
/// that calls and results still meet.
fn clean_id(id: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    id.chars().map(clean).collect()
}

/// Declarations for tools that were called earlier and are no longer offered: the vendor refuses a conversation with
/// calls and no `tools`.
pub(super) fn called_tools(chat: &Chat) -> Vec<Value> {
    let mut tools: Vec<Value> = Vec::new();
    for turn in &chat.turns {
        let Turn::Assistant(said) = turn else { continue };
        for call in &said.calls {
            if !tools.iter().any(|tool| tool["name"] == call.name.as_str()) {
                tools.push(json!({"name": call.name, "input_schema": Value::Object(empty_schema())}));
            }
        }
    }
    tools
}

/// The schema of a tool without parameters.
pub(super) fn empty_schema() -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), json!({}));
    schema
}
