//! Gemini `generateContent` as an upstream dialect, and its `batchEmbedContents`.
//!
//! A base URL ends in the API version (`/v1beta`); the model is part of the path. Streams come as plain SSE data
//! without a `[DONE]` (field notes §2.6).

mod contents;
mod embed;
mod error;
mod model;
mod request;
mod response;
mod schema;
mod usage;

use http::HeaderMap;

use crate::chat::refuse;
use crate::{Dialect, Endpoint, Op, Outbound, Request, Sent, Unsupported, Wire};

/// Speaks Gemini.
pub(crate) struct Gemini;

impl Wire for Gemini {
    fn begin(&self, request: &Request, to: &Endpoint<'_>) -> Result<Sent, Unsupported> {
        if request.dialect != Dialect::OpenAi {
            return Err(refuse("body", "only OpenAI bodies are translated to this vendor so far"));
        }
        let model = path_segment(to.model.strip_prefix("models/").unwrap_or(to.model));
        match request.op {
            Op::Completion => Err(refuse("/v1/completions", "the vendor has chat and embeddings only")),
            Op::Embedding => {
                let (body, dropped) = embed::encode(&request.raw, to.model)?;
                Ok(Sent {
                    outbound: outbound(format!("/models/{model}:batchEmbedContents"), body),
                    dropped,
                    reply: Box::new(embed::EmbedReply::default()),
                })
            }
            Op::Chat => {
                let (body, dropped) = request::encode(request, to)?;
                let method =
                    if request.view.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                Ok(Sent {
                    outbound: outbound(format!("/models/{model}:{method}"), body),
                    dropped,
                    reply: Box::new(response::GenerateReply::new(request.view.messages)),
                })
            }
        }
    }
}

fn outbound(path: String, body: bytes::Bytes) -> Outbound {
    Outbound { path, headers: HeaderMap::new(), body: vec![body] }
}

/// A model's name as one segment of a path. It may come from the caller, who must not reach another path with it.
fn path_segment(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_model_name_stays_one_segment() {
        assert_eq!(path_segment("gemini-2.5-flash"), "gemini-2.5-flash");
        assert_eq!(path_segment("../files?key=1#é"), "..%2Ffiles%3Fkey%3D1%23%C3%A9");
    }
}
