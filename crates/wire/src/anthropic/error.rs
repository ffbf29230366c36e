//! Anthropic's errors, as an HTTP status or as an event inside HTTP 200.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{ErrorKind, UpstreamError, retry_after};

/// `{"type": "error", "error": {"type", "message"}}`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    pub error: Detail,
}

/// The inner object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

/// A non-2xx answer.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let detail = serde_json::from_slice::<Envelope>(body).unwrap_or_default().error;
    let mut error = detail.upstream(status.as_u16());
    error.retry_after = retry_after::from_headers(headers);
    error
}

impl Detail {
    /// As our error. Inside HTTP 200 the vendor's word for the error decides, since the status says nothing: an
    /// overload there means what 529 means (field notes §2.24).
    pub fn upstream(self, status: u16) -> UpstreamError {
        let kind = kind(status, &self.kind, &self.message);
        let message =
            if self.message.is_empty() { format!("HTTP {status} without a message") } else { self.message };
        let mut error = UpstreamError::new(kind, Some(status), message);
        error.code = (!self.kind.is_empty()).then_some(self.kind);
        error
    }
}

fn kind(status: u16, word: &str, message: &str) -> ErrorKind {
    let message = message.to_ascii_lowercase();
    let says = |part: &str| message.contains(part);
    // Money first: the vendor sends it as 400 too.
    if word == "billing_error"
        || status == 402
        || says("credit balance")
        || says("specified api usage limits")
    {
        return ErrorKind::QuotaExhausted;
    }
    match (word, status) {
        ("overloaded_error", _) | (_, 529 | 503) => ErrorKind::Overloaded,
        ("rate_limit_error", _) | (_, 429) => ErrorKind::RateLimited,
        ("authentication_error" | "permission_error", _) | (_, 401 | 403) => ErrorKind::Credentials,
        ("not_found_error", _) | (_, 404) => ErrorKind::ModelNotFound,
        ("request_too_large", _) | (_, 413) => ErrorKind::ContextLength,
        ("timeout_error", _) | (_, 408 | 504) => ErrorKind::Timeout,
        ("invalid_request_error", _) | (_, 400..=499) => {
            if says("prompt is too long") || says("exceed context limit") || says("context window") {
                ErrorKind::ContextLength
            } else if says("content filtering") || says("usage policy") {
                ErrorKind::ContentPolicy
            } else {
                ErrorKind::BadRequest
            }
        }
        _ => ErrorKind::Server,
    }
}
