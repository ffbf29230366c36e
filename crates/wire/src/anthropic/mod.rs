//! Anthropic Messages as an upstream dialect.
//!
//! Only chat exists here: the vendor has neither embeddings nor legacy completions. A base URL ends in `/v1`.

mod blocks;
mod error;
mod model;
mod request;
mod response;
mod sampling;
mod stream;
mod usage;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::chat::refuse;
use crate::{Dialect, Endpoint, Op, Outbound, Request, Sent, Unsupported, Wire};

/// Speaks Anthropic Messages.
pub(crate) struct Anthropic;

/// The version of the API that this code was written for.
const VERSION: &str = "2023-06-01";

impl Wire for Anthropic {
    fn begin(&self, request: &Request, to: &Endpoint<'_>) -> Result<Sent, Unsupported> {
        match request.op {
            Op::Chat => {}
            Op::Completion => return Err(refuse("/v1/completions", "the vendor has chat only")),
            Op::Embedding => return Err(refuse("/v1/embeddings", "the vendor has no embeddings")),
        }
        if request.dialect != Dialect::OpenAi {
            return Err(refuse("body", "only OpenAI chat bodies are translated to this vendor so far"));
        }
        let (body, dropped) = request::encode(request, to)?;
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION));
        Ok(Sent {
            outbound: Outbound { path: "/messages".to_owned(), headers, body: vec![body] },
            dropped,
            reply: Box::new(response::MessagesReply::default()),
        })
    }
}
