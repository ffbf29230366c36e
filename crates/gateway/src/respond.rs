//! Turns any failure into status, body and headers: the only place that knows which status a timeout becomes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use wire::{BadRequest, Door, ErrorKind, Unsupported, UpstreamError};

use crate::config::UnknownModel;

/// Everything that ends a request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body is not the dialect.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// No such model.
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    /// No configured model can do what is asked.
    #[error(transparent)]
    NoCandidate(#[from] router::NoCandidate),
    /// A field that no candidate's dialect can carry.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Every attempt failed; the last failure and how long to wait.
    #[error("{error}")]
    Upstream {
        /// The failure that is told.
        error: UpstreamError,
        /// The longest wait that a vendor asked for.
        retry_after: Option<Duration>,
        /// Attempts made.
        attempts: u16,
    },
    /// Refused at the door; nothing was read or called.
    #[error("{message}")]
    Door {
        /// Status to answer.
        status: StatusCode,
        /// OpenAI's error type.
        kind: &'static str,
        /// Machine word.
        code: &'static str,
        /// For the caller.
        message: String,
    },
}

impl Refusal {
    /// A refusal at the door.
    pub fn door(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            s if s.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        Self::Door { status, kind, code, message: message.into() }
    }

    /// Status, OpenAI error type, code, the field to blame, and the message.
    fn parts(&self) -> (StatusCode, &'static str, Option<String>, Option<String>, String) {
        let invalid = "invalid_request_error";
        match self {
            Self::BadRequest(e) => {
                (StatusCode::BAD_REQUEST, invalid, None, e.param.clone(), e.message.clone())
            }
            Self::UnknownModel(e) => {
                let code = Some("model_not_found".to_owned());
                (StatusCode::NOT_FOUND, invalid, code, Some("model".to_owned()), e.to_string())
            }
            Self::NoCandidate(e) => {
                let code = Some("no_capable_model".to_owned());
                (StatusCode::BAD_REQUEST, invalid, code, Some("model".to_owned()), e.to_string())
            }
            Self::Unsupported(e) => {
                let code = Some("unsupported_parameter".to_owned());
                (StatusCode::BAD_REQUEST, invalid, code, Some(e.field.clone()), e.to_string())
            }
            Self::Door { status, kind, code, message } => {
                (*status, kind, Some((*code).to_owned()), None, message.clone())
            }
            Self::Upstream { error, attempts, .. } => upstream_parts(error, *attempts),
        }
    }

    /// The status to answer.
    pub fn status(&self) -> StatusCode {
        self.parts().0
    }

    /// The error body in the caller's dialect.
    pub fn body(&self, door: &dyn Door) -> Bytes {
        let (status, kind, code, param, message) = self.parts();
        door.error_body(status, kind, code.as_deref(), param.as_deref(), &message)
    }

    /// The whole response in the caller's dialect.
    pub fn respond(&self, door: &dyn Door, request_id: &str) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body(door)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        self.advice(headers);
        response
    }

    /// Headers that tell an SDK what to do next.
    fn advice(&self, headers: &mut HeaderMap) {
        match self {
            Self::Upstream { retry_after, attempts, .. } => {
                // Our own attempts are exhausted: an SDK that retries on top would multiply them (field notes §1.18).
                if *attempts > 0 {
                    headers.insert("x-should-retry", HeaderValue::from_static("false"));
                }
                headers.insert("x-tollgate-attempts", HeaderValue::from(*attempts));
                if let Some(wait) = retry_after {
                    let seconds = wait.as_millis().div_ceil(1000);
                    headers.insert(
                        header::RETRY_AFTER,
                        HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
                    );
                }
            }
            Self::Door { status, .. } if *status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
    }
}

fn upstream_parts(
    error: &UpstreamError,
    attempts: u16,
) -> (StatusCode, &'static str, Option<String>, Option<String>, String) {
    use ErrorKind as K;
    let (status, kind) = match error.kind {
        // A bad key of ours is no 401: the caller must not doubt their own (field notes §2.26).
        K::Connect | K::Server | K::Truncated | K::Garbled | K::Credentials | K::QuotaExhausted => {
            (StatusCode::BAD_GATEWAY, "server_error")
        }
        K::Timeout => (StatusCode::GATEWAY_TIMEOUT, "server_error"),
        K::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        K::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
        K::ModelNotFound => (StatusCode::NOT_FOUND, "invalid_request_error"),
        K::ContextLength | K::ContentPolicy | K::BadRequest => {
            (StatusCode::BAD_REQUEST, "invalid_request_error")
        }
    };
    let code = match error.kind {
        K::ContextLength => "context_length_exceeded".to_owned(),
        K::ContentPolicy => "content_policy_violation".to_owned(),
        K::Credentials | K::QuotaExhausted => "upstream_credentials".to_owned(),
        K::ModelNotFound => "model_not_found".to_owned(),
        K::BadRequest => error.code.clone().unwrap_or_else(|| "invalid_request".to_owned()),
        other => format!("upstream_{}", other.as_str()),
    };
    let message = match error.kind {
        K::ContextLength | K::ContentPolicy | K::BadRequest => error.excerpt.clone(),
        K::Credentials | K::QuotaExhausted => {
            "upstream credentials: the vendor refused the gateway's key or its credit is used up; \
             see `providers` in the gateway's API"
                .to_owned()
        }
        _ => {
            let tries = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
            format!("no vendor answered after {tries}; the last one failed with {error}")
        }
    };
    (status, kind, Some(code), None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(kind: ErrorKind, attempts: u16) -> Refusal {
        let error = UpstreamError::new(kind, None, "said the vendor");
        Refusal::Upstream { error, retry_after: Some(Duration::from_millis(1_500)), attempts }
    }

    #[test]
    fn fn2_26_a_bad_key_of_ours_is_a_502_that_says_so() {
        for kind in [ErrorKind::Credentials, ErrorKind::QuotaExhausted] {
            let (status, _, code, _, message) = upstream(kind, 1).parts();
            assert_eq!((status, code.as_deref()), (StatusCode::BAD_GATEWAY, Some("upstream_credentials")));
            assert!(message.contains("upstream credentials"), "{message}");
        }
    }

    #[test]
    fn each_kind_has_its_status() {
        use ErrorKind as K;
        let expected = [
            (K::Connect, 502),
            (K::Timeout, 504),
            (K::RateLimited, 429),
            (K::Overloaded, 503),
            (K::ModelNotFound, 404),
            (K::ContextLength, 400),
            (K::ContentPolicy, 400),
            (K::BadRequest, 400),
            (K::Server, 502),
            (K::Truncated, 502),
            (K::Garbled, 502),
        ];
        for (kind, status) in expected {
            assert_eq!(upstream(kind, 1).status().as_u16(), status, "{kind:?}");
        }
    }

    #[test]
    fn fn1_18_an_sdk_is_told_not_to_retry_what_was_retried_here() {
        let door = wire::door(wire::Dialect::OpenAi).unwrap();
        let response = upstream(ErrorKind::RateLimited, 3).respond(door, "id");
        assert_eq!(response.headers()["x-should-retry"], "false");
        assert_eq!(response.headers()["retry-after"], "2");
        // Nothing was tried: the SDK may come back by itself.
        let response = upstream(ErrorKind::RateLimited, 0).respond(door, "id");
        assert!(!response.headers().contains_key("x-should-retry"));
    }
}
