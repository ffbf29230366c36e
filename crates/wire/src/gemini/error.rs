//! Google's errors: an object, or an array of one on streams (field notes §2.6).

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::{ErrorKind, UpstreamError, retry_after};

/// The inner object of `{"error": {…}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    code: u16,
    message: String,
    /// Such as `RESOURCE_EXHAUSTED`.
    status: String,
    details: Vec<Value>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Fault,
}

/// The error in a body, if it is one.
pub(super) fn read(body: &[u8]) -> Option<Fault> {
    if let Ok(list) = serde_json::from_slice::<Vec<Envelope>>(body) {
        return list.into_iter().next().map(|envelope| envelope.error);
    }
    serde_json::from_slice::<Envelope>(body).ok().map(|envelope| envelope.error)
}

/// A non-2xx answer.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let said = read(body).unwrap_or_default();
    let mut error = said.upstream(status.as_u16(), status.as_u16());
    // The body may be cut at the gateway's bound; the wait is found all the same.
    error.retry_after = retry_after::from_headers(headers).max(retry_after::from_body(body));
    error
}

impl Fault {
    /// An error inside HTTP 200: its own code says what the status would have been.
    pub fn inside_200(self) -> UpstreamError {
        let wait = retry_after::from_body(Value::from(self.details.clone()).to_string().as_bytes());
        let code = self.code;
        let mut error = self.upstream(200, code);
        error.retry_after = wait;
        error
    }

    fn upstream(self, seen: u16, code: u16) -> UpstreamError {
        let kind = self.kind(code);
        let message = if self.message.is_empty() {
            format!("HTTP {seen} without a message")
        } else {
            self.message.clone()
        };
        let mut error = UpstreamError::new(kind, Some(seen), message);
        error.code = (!self.status.is_empty()).then_some(self.status);
        error
    }

    fn kind(&self, code: u16) -> ErrorKind {
        let message = self.message.to_ascii_lowercase();
        let says = |part: &str| message.contains(part);
        let reason = |word: &str| self.details.iter().any(|detail| detail["reason"] == word);
        if reason("API_KEY_INVALID") || says("api key not valid") || says("api key expired") {
            // The vendor sends it as 400.
            return ErrorKind::Credentials;
        }
        match (self.status.as_str(), code) {
            ("RESOURCE_EXHAUSTED", _) | (_, 429) => {
                if self.spent_for_today() {
                    ErrorKind::QuotaExhausted
                } else {
                    ErrorKind::RateLimited
                }
            }
            ("UNAUTHENTICATED" | "PERMISSION_DENIED", _) | (_, 401 | 403) => ErrorKind::Credentials,
            ("NOT_FOUND", _) | (_, 404) => ErrorKind::ModelNotFound,
            ("UNAVAILABLE", _) | (_, 503) => ErrorKind::Overloaded,
            ("DEADLINE_EXCEEDED", _) | (_, 408 | 504) => ErrorKind::Timeout,
            // No billing account, or a country that is not served: the key's owner must act.
            ("FAILED_PRECONDITION", _) => ErrorKind::Credentials,
            ("INVALID_ARGUMENT" | "OUT_OF_RANGE", _) | (_, 400..=499) => {
                if says("input token count") || says("maximum number of tokens") || code == 413 {
                    ErrorKind::ContextLength
                } else {
                    ErrorKind::BadRequest
                }
            }
            _ => ErrorKind::Server,
        }
    }

    /// A daily quota: the short wait that the vendor still suggests does not help.
    fn spent_for_today(&self) -> bool {
        let violations = self.details.iter().filter_map(|detail| detail["violations"].as_array()).flatten();
        violations.filter_map(|violation| violation["quotaId"].as_str()).any(|quota| quota.contains("PerDay"))
    }
}
