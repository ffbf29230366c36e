//! A plain HTTP client that speaks the OpenAI dialect as an application would. It knows nothing of the gate but its
//! address and its `x-tollgate-…` headers.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Largest answer that is read.
const ANSWER_BYTES: usize = 4 << 20;

/// One connection, opened again when the gate closes it.
pub struct Client {
    addr: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// `x-tollgate-model`.
    pub model: Option<String>,
    pub said: Said,
    /// The message of an error, as a body or inside the stream.
    pub error: Option<String>,
}

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// The content of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    pub calls: Vec<Call>,
    /// The assistant's message, to be sent back in the next turn.
    pub message: Value,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, sender: None }
    }

    /// Sends a chat completion and reads its answer. Errors when the gate does not answer in HTTP.
    pub async fn chat(&mut self, body: &Value, tags: &str) -> anyhow::Result<Reply> {
        let request = Request::post("/v1/chat/completions")
            .header("host", self.addr.to_string())
            .header("content-type", "application/json")
            .header("x-tollgate-tags", tags)
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = self.connected().await?.send_request(request).await.context("the gate broke off")?;
        let (head, body) = response.into_parts();
        let bytes = Limited::new(body, ANSWER_BYTES).collect().await;
        let bytes = bytes.map_err(|e| anyhow::anyhow!("reading an answer: {e}"))?.to_bytes();
        let streamed = head
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let (said, error) = if streamed { read_stream(&bytes) } else { read_whole(&bytes) };
        let model = head.headers.get("x-tollgate-model").and_then(|model| model.to_str().ok());
        Ok(Reply { status: head.status, model: model.map(str::to_owned), said, error })
    }

    async fn connected(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = None;
        }
        match &mut self.sender {
            Some(sender) => Ok(sender),
            empty @ None => {
                let stream = TcpStream::connect(self.addr).await.context("connecting to the gate")?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(empty.insert(sender))
            }
        }
    }
}

fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn error_in(value: &Value) -> Option<String> {
    let error = value.get("error")?;
    Some(error.get("message").and_then(Value::as_str).unwrap_or("an error without a message").to_owned())
}

fn read_whole(bytes: &[u8]) -> (Said, Option<String>) {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
        return (Said::default(), Some("the answer is no JSON".to_owned()));
    };
    let message = body.pointer("/choices/0/message").cloned().unwrap_or_default();
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.map(|call| Call {
        id: text_at(call, "/id").to_owned(),
        name: text_at(call, "/function/name").to_owned(),
        arguments: text_at(call, "/function/arguments").to_owned(),
    });
    let said = Said { text: text_at(&message, "/content").to_owned(), calls: calls.collect(), message };
    (said, error_in(&body))
}

fn read_stream(bytes: &[u8]) -> (Said, Option<String>) {
    let mut said = Said::default();
    let mut done = false;
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { continue };
        if let Some(error) = error_in(&chunk) {
            return (said, Some(error));
        }
        said.text.push_str(text_at(&chunk, "/choices/0/delta/content"));
        let fragments = chunk.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array);
        for fragment in fragments.into_iter().flatten() {
            merge(&mut said.calls, fragment);
        }
    }
    let calls: Vec<Value> = said
        .calls
        .iter()
        .map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        })
        .collect();
    said.message = json!({"role": "assistant", "content": said.text});
    if let (false, Some(message)) = (calls.is_empty(), said.message.as_object_mut()) {
        message.insert("content".to_owned(), Value::Null);
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    (said, (!done).then(|| "the stream ended without its end".to_owned()))
}

/// Adds a fragment to the call of its index.
fn merge(calls: &mut Vec<Call>, fragment: &Value) {
    let index =
        fragment.get("index").and_then(Value::as_u64).and_then(|i| usize::try_from(i).ok()).unwrap_or(0);
    // a vendor that jumps ahead is not followed far
    while calls.len() <= index && calls.len() < 64 {
        calls.push(Call::default());
    }
    let Some(call) = calls.get_mut(index) else { return };
    call.id.push_str(text_at(fragment, "/id"));
    call.name.push_str(text_at(fragment, "/function/name"));
    call.arguments.push_str(text_at(fragment, "/function/arguments"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_become_calls() {
        let stream = concat!(
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}}]}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n",
            "data: [DONE]\n\n",
        );
        let (said, error) = read_stream(stream.as_bytes());
        assert_eq!(error, None);
        assert_eq!(said.calls, [Call { id: "a".into(), name: "f".into(), arguments: "{\"x\":1}".into() }]);
        assert_eq!(said.message["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    }

    #[test]
    fn an_error_in_the_stream_and_a_missing_end_are_seen() {
        let (said, error) = read_stream(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"gone\"}}\n\n");
        assert_eq!((said.text.as_str(), error.as_deref()), ("a", Some("gone")));
        assert!(read_stream(b"data: {}\n\n").1.is_some());
        assert!(read_whole(b"<html>").1.is_some());
    }
}
