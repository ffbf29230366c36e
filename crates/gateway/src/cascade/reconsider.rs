//! `how = "reconsider"`: the flagship sees the request, the cheap answer, and an instruction to do better. Every other
//! field of the body keeps its bytes.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use wire::{BadRequest, Request};

const INSTRUCTION: &str = "The answer above may be wrong or incomplete. Check it against my request and reply with the \
                           best answer only, without mentioning this check.";

/// A JSON object in its own order, values as they were spelled.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

/// The request with the cheap answer and the instruction appended to its messages.
pub(super) fn with_answer(request: &Request, answer: &str) -> Result<Request, BadRequest> {
    let unreadable = |e: serde_json::Error| BadRequest { param: None, message: e.to_string() };
    let fields: Fields<'_> = serde_json::from_slice(&request.raw).map_err(unreadable)?;
    let mut body = Vec::with_capacity(request.raw.len() + answer.len() + 512);
    for (i, (name, value)) in fields.0.iter().enumerate() {
        body.extend_from_slice(if i == 0 { b"{" } else { b"," });
        body.extend_from_slice(serde_json::to_string(name).map_err(unreadable)?.as_bytes());
        body.push(b':');
        if name == "messages" {
            append(&mut body, value.get(), answer).map_err(unreadable)?;
        } else {
            body.extend_from_slice(value.get().as_bytes());
        }
    }
    body.push(b'}');
    let door = wire::door(request.dialect);
    let door =
        door.ok_or_else(|| BadRequest { param: None, message: "dialect not in this build".to_owned() })?;
    let mut again = door.read(request.op, Bytes::from(body))?;
    again.received_at_unix = request.received_at_unix;
    again.id.clone_from(&request.id);
    Ok(again)
}

/// `messages` is a JSON array with at least one element: the door has checked it.
fn append(body: &mut Vec<u8>, messages: &str, answer: &str) -> Result<(), serde_json::Error> {
    let open = messages.trim_end();
    let open = open.strip_suffix(']').unwrap_or(open);
    body.extend_from_slice(open.as_bytes());
    let turns = [("assistant", answer), ("user", INSTRUCTION)];
    for (role, content) in turns {
        body.push(b',');
        let turn = serde_json::json!({"role": role, "content": content});
        body.extend_from_slice(serde_json::to_string(&turn)?.as_bytes());
    }
    body.push(b']');
    Ok(())
}
