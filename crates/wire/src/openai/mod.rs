//! OpenAI chat completions, completions and embeddings: as the callers' dialect ([`Door`]) and as the upstreams'
//! ([`Wire`]). Between the two the body is never rebuilt.

mod event;
mod message;
mod refusal;
mod request;
mod splice;
mod stream;
mod template;
mod usage;
mod writer;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{BadRequest, Dialect, Door, Endpoint, Op, Outbound, Request, Sent, Unsupported, Wire, Writer};

/// The OpenAI dialect, on either side.
pub(crate) struct OpenAi;

impl Door for OpenAi {
    fn read(&self, op: Op, body: Bytes) -> Result<Request, BadRequest> {
        request::read(op, body)
    }

    fn writer(&self, request: &Request) -> Box<dyn Writer> {
        Box::new(writer::OpenAiWriter::new(request))
    }

    fn error_body(
        &self,
        _status: StatusCode,
        kind: &str,
        code: Option<&str>,
        param: Option<&str>,
        message: &str,
    ) -> Bytes {
        writer::error_body(kind, code, param, message)
    }
}

impl Wire for OpenAi {
    fn begin(&self, request: &Request, to: &Endpoint<'_>) -> Result<Sent, Unsupported> {
        if request.dialect != Dialect::OpenAi {
            return Err(Unsupported {
                field: "model".to_owned(),
                why: "it is served in another dialect than the request's".to_owned(),
            });
        }
        let (body, dropped) = splice::body(request, to);
        let outbound =
            Outbound { path: splice::path(request.op).to_owned(), headers: HeaderMap::new(), body };
        Ok(Sent { outbound, dropped, reply: Box::new(stream::OpenAiReply::new(request.op, to)) })
    }
}
