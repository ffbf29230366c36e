//! Turns a vendor's error into an [`UpstreamError`]: from a status and body, or from an error inside HTTP 200.
//!
//! The vendor's words come before its status: quota and rate limits share 429, and hosts send a retired model, a full
//! context or a filtered prompt under any 4xx.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};

use crate::json::{Cursor, Kind, Malformed};
use crate::{ErrorKind, Retry, UpstreamError, retry_after};

/// What an error body said.
#[derive(Default)]
struct Said<'a> {
    message: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
}

/// A non-2xx answer.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let text = String::from_utf8_lossy(body);
    let said = read(&text);
    let mut error = classified(&said, Some(status.as_u16()));
    if said.message.is_none() {
        error = UpstreamError::new(error.kind, error.status, plain_excerpt(&text));
    }
    error.retry_after = retry_after::from_headers(headers).max(retry_after::from_body(body));
    error
}

/// An error inside HTTP 200: the JSON text of its `error` value.
pub(super) fn in_band(error: &str) -> UpstreamError {
    let said = read(error);
    let mut known = classified(&said, None);
    known.status = Some(200);
    known.retry_after = retry_after::from_body(error.as_bytes());
    known
}

fn classified(said: &Said<'_>, status: Option<u16>) -> UpstreamError {
    // OpenRouter and Google put the status into the body, also inside HTTP 200.
    let number = said.code.as_deref().and_then(|code| code.parse().ok());
    let kind = by_words(said).unwrap_or_else(|| by_status(status.or(number)));
    let mut error = UpstreamError::new(kind, status, said.message.as_deref().unwrap_or("no message"));
    error.code = said.code.as_deref().or(said.kind.as_deref()).map(|code| code.chars().take(64).collect());
    if kind == ErrorKind::BadRequest && mentions(said, &["unsupported", "not support"]) {
        // This vendor cannot; another may.
        error.retry = Retry::OtherVendor;
    }
    error
}

/// Code or type is one of the words, whatever its case.
fn is(said: &Said<'_>, words: &[&str]) -> bool {
    let names = [said.code.as_deref(), said.kind.as_deref()];
    names.into_iter().flatten().any(|name| words.iter().any(|word| name.eq_ignore_ascii_case(word)))
}

/// Code, type or message contains one of the phrases, which are in lower case.
fn mentions(said: &Said<'_>, phrases: &[&str]) -> bool {
    let texts = [said.code.as_deref(), said.kind.as_deref(), said.message.as_deref()];
    let texts = texts.into_iter().flatten().map(str::to_ascii_lowercase);
    texts.into_iter().any(|text| phrases.iter().any(|phrase| text.contains(phrase)))
}

fn by_words(said: &Said<'_>) -> Option<ErrorKind> {
    const QUOTA: [&str; 6] = [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_credits",
        "exceeded_current_quota_error",
    ];
    const CONTEXT: [&str; 8] = [
        "context_length_exceeded",
        "maximum context length",
        "context window",
        "exceeds the context",
        "exceed context size",
        "prompt is too long",
        "input is too long",
        "input length and",
    ];
    const POLICY: [&str; 6] = [
        "content_filter",
        "content_policy",
        "responsibleaipolicyviolation",
        "content management policy",
        "data_inspection_failed",
        "flagged by moderation",
    ];
    const MODEL: [&str; 6] = [
        "model_not_found",
        "model_not_available",
        "model_decommissioned",
        "deploymentnotfound",
        "invalid_model",
        "has been deprecated",
    ];
    if is(said, &QUOTA) || mentions(said, &["insufficient balance", "credit balance is too low"]) {
        Some(ErrorKind::QuotaExhausted)
    } else if mentions(said, &CONTEXT) {
        Some(ErrorKind::ContextLength)
    } else if mentions(said, &POLICY) {
        Some(ErrorKind::ContentPolicy)
    } else if mentions(said, &MODEL) {
        Some(ErrorKind::ModelNotFound)
    } else if is(said, &["invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"]) {
        Some(ErrorKind::Credentials)
    } else if mentions(said, &["overloaded", "insufficient_system_resource", "no healthy upstream"])
        || is(said, &["unavailable", "capacity_exceeded", "server_busy"])
    {
        Some(ErrorKind::Overloaded)
    } else if is(
        said,
        &["rate_limit_exceeded", "rate_limit_error", "too_many_requests", "resource_exhausted"],
    ) {
        Some(ErrorKind::RateLimited)
    } else if is(said, &["deadline_exceeded", "timeout", "request_timeout"]) {
        Some(ErrorKind::Timeout)
    } else {
        None
    }
}

fn by_status(status: Option<u16>) -> ErrorKind {
    match status {
        Some(401 | 403) => ErrorKind::Credentials,
        Some(402) => ErrorKind::QuotaExhausted,
        Some(404 | 410) => ErrorKind::ModelNotFound,
        Some(408 | 504 | 524) => ErrorKind::Timeout,
        Some(413) => ErrorKind::ContextLength,
        Some(429) => ErrorKind::RateLimited,
        // 498 is Groq's "flex tier at capacity", 529 Anthropic's "overloaded".
        Some(498 | 503 | 529) => ErrorKind::Overloaded,
        Some(400..=499) => ErrorKind::BadRequest,
        _ => ErrorKind::Server,
    }
}

/// Reads whatever of an error body can be read; a cut body gives what came before the cut.
fn read(json: &str) -> Said<'_> {
    let mut said = Said::default();
    let _ = read_value(&mut Cursor::new(json), &mut said);
    said
}

fn read_value<'a>(value: &mut Cursor<'a>, said: &mut Said<'a>) -> Result<(), Malformed> {
    match value.kind()? {
        Kind::String => {
            let text = value.string()?.decode();
            said.message.get_or_insert(text);
        }
        // Google sends an array of errors on streams (field notes §2.6), FastAPI an array of details.
        Kind::Array => {
            value.array(|item, _| read_value(item, said))?;
        }
        Kind::Object => {
            value.object(|value, key| read_field(value, &key.decode(), said))?;
        }
        _ => value.skip()?,
    }
    Ok(())
}

fn read_field<'a>(value: &mut Cursor<'a>, key: &str, said: &mut Said<'a>) -> Result<(), Malformed> {
    let kind = value.kind()?;
    match (key, kind) {
        ("error" | "errors" | "detail", Kind::String | Kind::Array | Kind::Object) => {
            read_value(value, said)?;
        }
        ("message" | "msg", Kind::String) => {
            let text = value.string()?.decode();
            said.message.get_or_insert(text);
        }
        ("code", Kind::String) => said.code = Some(value.string()?.decode()),
        ("code", Kind::Number) => {
            let number = value.number()?;
            said.code.get_or_insert(Cow::Borrowed(number));
        }
        // `type` is OpenAI's word, `status` Google's.
        ("type" | "status", Kind::String) => said.kind = Some(value.string()?.decode()),
        _ => value.skip()?,
    }
    Ok(())
}

/// For a body that is not an error object: a proxy's page or a plain line.
fn plain_excerpt(text: &str) -> &str {
    let text = text.trim();
    if text.is_empty() {
        "an empty answer"
    } else if text.starts_with('<') {
        "a web page instead of an answer"
    } else {
        text
    }
}
