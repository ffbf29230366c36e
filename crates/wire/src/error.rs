//! Errors as values: building one never logs; the edge logs once.

use std::time::Duration;

/// The caller's request is wrong. Becomes a 400 in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// The field, as a path such as `messages[2].content`, where one is to blame.
    pub param: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A field that this upstream cannot carry without changing the meaning. Becomes a 400 that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` cannot be sent to this model: {why}")]
pub struct Unsupported {
    /// The field, as a path.
    pub field: String,
    /// Why.
    pub why: String,
}

/// Bytes that are not the dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream sent something unreadable: {0}")]
pub struct Garbled(pub String);

/// What went wrong upstream. Low cardinality: the label in metrics and the word in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke before the answer began.
    Connect,
    /// A deadline passed (connect, first byte, idle or total).
    Timeout,
    /// 429 that waits help.
    RateLimited,
    /// 429 or 402 that waits do not help: out of credit.
    QuotaExhausted,
    /// 503, 529 or an overload inside HTTP 200.
    Overloaded,
    /// 401 or 403: our key is bad.
    Credentials,
    /// 404 or a retirement: the vendor does not serve this model.
    ModelNotFound,
    /// The input is longer than the model takes.
    ContextLength,
    /// The vendor's filter refused the input.
    ContentPolicy,
    /// Any other 4xx: the request is at fault.
    BadRequest,
    /// Any other 5xx.
    Server,
    /// The stream ended without its end.
    Truncated,
    /// The answer could not be read.
    Garbled,
}

impl ErrorKind {
    /// The word in the ledger and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::Credentials => "credentials",
            Self::ModelNotFound => "model_not_found",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::BadRequest => "bad_request",
            Self::Server => "server_error",
            Self::Truncated => "truncated",
            Self::Garbled => "garbled",
        }
    }
}

/// Whose fault it was: decides whether the breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The vendor: counts against its breaker.
    Vendor,
    /// Our key: counts against that key.
    Key,
    /// The gateway itself, out of sockets: counts against nobody.
    Gateway,
    /// The request: counts against nobody; another vendor would refuse it too, unless the kind says otherwise.
    Request,
}

/// Whether and how to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call may work elsewhere or soon.
    Anywhere,
    /// Not with this key; another key or vendor may work.
    OtherKey,
    /// Not at this vendor for this request; another vendor may work.
    OtherVendor,
    /// Nowhere: the request itself is refused.
    Never,
}

/// One upstream failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {excerpt}", kind.as_str())]
pub struct UpstreamError {
    /// What.
    pub kind: ErrorKind,
    /// Whose fault.
    pub blame: Blame,
    /// What may help.
    pub retry: Retry,
    /// The wait that the vendor asked for, in whatever spelling it used.
    pub retry_after: Option<Duration>,
    /// The HTTP status, where there was one (200 for an error inside a 200).
    pub status: Option<u16>,
    /// The vendor's own error code, where there was one.
    pub code: Option<String>,
    /// At most 300 characters of the vendor's message, for the caller and the ledger. Never a key or a prompt.
    pub excerpt: String,
    /// The vendor may have charged for this attempt (field notes §2.26).
    pub maybe_billed: bool,
}

impl UpstreamError {
    /// The usual blame, retry and billing for a kind; `status` as seen. What looks like a key is taken out of
    /// `excerpt`, and it is cut to one line of 300 characters.
    pub fn new(kind: ErrorKind, status: Option<u16>, excerpt: impl Into<String>) -> Self {
        use ErrorKind as K;
        let (blame, retry, maybe_billed) = match kind {
            K::Connect | K::Overloaded => (Blame::Vendor, Retry::Anywhere, false),
            K::RateLimited => (Blame::Key, Retry::Anywhere, false),
            K::Timeout | K::Server | K::Truncated | K::Garbled => (Blame::Vendor, Retry::Anywhere, true),
            K::QuotaExhausted | K::Credentials => (Blame::Key, Retry::OtherKey, false),
            K::ModelNotFound => (Blame::Vendor, Retry::OtherVendor, false),
            K::ContextLength => (Blame::Request, Retry::OtherVendor, false),
            K::ContentPolicy | K::BadRequest => (Blame::Request, Retry::Never, false),
        };
        let excerpt = redact(&excerpt.into());
        Self { kind, blame, retry, retry_after: None, status, code: None, excerpt, maybe_billed }
    }
}

/// How keys of the known vendors begin.
const KEY_PREFIXES: [&str; 18] = [
    "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "hf_", "r8_", "fw_", "csk-", "pplx-", "nvapi-",
    "tgp_", "ya29.", "AKIA", "eyJ", "tg-",
];

/// One line of at most 300 characters without anything that looks like a key. A vendor's message may echo the key
/// that it refuses. Long words of letters and digits count as keys; model names hold dashes or dots and do not.
fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(320));
    let mut after_bearer = false;
    let boundary = |c: char| c.is_whitespace() || c.is_control() || "\"'`,;:()[]{}<>=&?".contains(c);
    for piece in text.split_inclusive(boundary).take(300) {
        let word = piece.trim_end_matches(boundary);
        let prefixed = word.len() >= 8 && KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        if prefixed || is_opaque(word) || (after_bearer && !word.is_empty()) {
            out.push_str("[redacted]");
        } else {
            out.push_str(word);
        }
        after_bearer = word.eq_ignore_ascii_case("bearer") || (after_bearer && word.is_empty());
        let end = piece.get(word.len()..).unwrap_or_default();
        out.extend(end.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }));
    }
    if let Some((cut, _)) = out.char_indices().nth(300) {
        out.truncate(cut);
    }
    out
}

/// At least 24 letters and digits in one run, both kinds among them, or a key that its vendor masked with stars.
fn is_opaque(word: &str) -> bool {
    let long =
        word.len() >= 24 && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+'));
    let mixed = word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic());
    (long && mixed) || word.contains("***")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_holds_no_key() {
        let excerpt = |text: &str| UpstreamError::new(ErrorKind::Credentials, None, text).excerpt;
        assert_eq!(
            excerpt("Incorrect API key provided: sk-proj-abcd1234. You can find"),
            "Incorrect API key provided: [redacted] You can find"
        );
        assert_eq!(excerpt("key abcd****wxyz is bad"), "key [redacted] is bad");
        assert_eq!(excerpt("Authorization: Bearer  hunter2"), "Authorization: Bearer  [redacted]");
        assert_eq!(
            excerpt("{\"api-key\":\"0123456789abcdef0123456789abcdef\"}"),
            "{\"api-key\":\"[redacted]\"}"
        );
        assert_eq!(excerpt("AIzaSyD-x_y0123456789 and gsk_0123456789"), "[redacted] and [redacted]");
    }

    #[test]
    fn an_excerpt_keeps_model_names_and_is_one_short_line() {
        let excerpt = |text: &str| UpstreamError::new(ErrorKind::Server, None, text).excerpt;
        let model = "The model `Qwen/Qwen3-235B-A22B-Instruct-2507` does not exist";
        assert_eq!(excerpt(model), model);
        assert_eq!(excerpt("one\r\ntwo\0three"), "one  two three");
        assert_eq!(excerpt(&"é".repeat(1000)).chars().count(), 300);
    }
}
