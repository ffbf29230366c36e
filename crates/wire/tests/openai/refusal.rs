//! Refusals: a vendor's error by its words and its status.

use catalog::Quirks;
use http::{HeaderMap, StatusCode};

use crate::support::reply_of;
use crate::wire::{Blame, ErrorKind, Op, Retry, UpstreamError};

fn refused(status: u16, body: &str) -> UpstreamError {
    let reply = reply_of(Op::Chat, &Quirks::default(), false);
    reply.refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
}

#[test]
fn fn2_24_fn2_26_refusals_get_their_kind_from_words_before_status() {
    use ErrorKind as K;
    let error = |code: &str, message: &str| {
        format!(r#"{{"error":{{"message":"{message}","type":"x","param":null,"code":"{code}"}}}}"#)
    };
    let cases = [
        (401, error("invalid_api_key", "bad"), K::Credentials),
        (403, error("", "forbidden"), K::Credentials),
        (400, r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#.to_owned(), K::BadRequest),
        (402, error("", "pay"), K::QuotaExhausted),
        (429, error("rate_limit_exceeded", "slow"), K::RateLimited),
        (429, error("insufficient_quota", "You exceeded your current quota"), K::QuotaExhausted),
        (429, error("", "no code"), K::RateLimited),
        (402, r#"{"error":{"message":"Insufficient Balance"}}"#.to_owned(), K::QuotaExhausted),
        (404, error("model_not_found", "The model `x` does not exist"), K::ModelNotFound),
        (404, "404 page not found".to_owned(), K::ModelNotFound),
        (400, error("model_decommissioned", "gone"), K::ModelNotFound),
        (410, error("", "gone"), K::ModelNotFound),
        (400, error("context_length_exceeded", "This model's maximum context length is 8192 tokens"), K::ContextLength),
        (400, error("", "Your prompt is too long"), K::ContextLength),
        (413, error("", "too big"), K::ContextLength),
        (400, error("content_filter", "The response was filtered"), K::ContentPolicy),
        (400, r#"{"error":{"code":"content_filter","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#.to_owned(), K::ContentPolicy),
        (408, String::new(), K::Timeout),
        (504, "<html>gateway</html>".to_owned(), K::Timeout),
        (500, error("", "boom"), K::Server),
        (502, String::new(), K::Server),
        (503, String::new(), K::Overloaded),
        (529, error("overloaded_error", "Overloaded"), K::Overloaded),
        (498, String::new(), K::Overloaded),
        (400, error("invalid_value", "bad"), K::BadRequest),
        (422, r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#.to_owned(), K::BadRequest),
        (418, "teapot".to_owned(), K::BadRequest),
    ];
    for (status, body, kind) in cases {
        let error = refused(status, &body);
        assert_eq!((error.kind, error.status), (kind, Some(status)), "{status} {body}");
        let billed = matches!(kind, K::Timeout | K::Server);
        assert_eq!(error.maybe_billed, billed, "{status} {body}");
    }
}

#[test]
fn fn2_08_a_filtered_prompt_blames_nobody_and_is_not_retried() {
    let error = refused(400, r#"{"error":{"code":"content_filter","message":"x"}}"#);
    assert_eq!((error.blame, error.retry), (Blame::Request, Retry::Never));
    let unsupported = refused(400, r#"{"error":{"code":"unsupported_value","message":"temperature"}}"#);
    assert_eq!((unsupported.kind, unsupported.retry), (ErrorKind::BadRequest, Retry::OtherVendor));
}

#[test]
fn a_refusal_keeps_the_vendors_words_but_no_key() {
    let error = refused(
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-abcdefgh12345678.","code":"invalid_api_key"}}"#,
    );
    assert_eq!(error.excerpt, "Incorrect API key provided: [redacted]");
    assert_eq!(error.code.as_deref(), Some("invalid_api_key"));
    for (body, excerpt) in [
        ("", "an empty answer"),
        ("<html><body>Bad Gateway</body></html>", "a web page instead of an answer"),
        ("upstream connect error", "upstream connect error"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (r#"{"detail":[{"msg":"field required"},{"msg":"b"}]}"#, "field required"),
        (r#"{"error":"plain"}"#, "plain"),
        (r#"{"message":"top"}"#, "top"),
        (r#"{"error":{"message":"cut he"#, r#"{"error":{"message":"cut he"#),
        (r#"{"error":{"message":"whole","param":"cut he"#, "whole"),
        ("\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(refused(502, body).excerpt, excerpt, "{body}");
    }
}

#[test]
fn fn1_13_a_refusal_keeps_the_longest_wait() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "2".parse().unwrap());
    headers.insert("x-ratelimit-reset-tokens", "6s".parse().unwrap());
    let body = br#"{"error":{"message":"x","details":[{"retryDelay":"9s"}]}}"#;
    let reply = reply_of(Op::Chat, &Quirks::default(), false);
    let wait = |body: &[u8]| {
        reply.refusal(StatusCode::TOO_MANY_REQUESTS, &headers, body).retry_after.unwrap().as_secs()
    };
    assert_eq!((wait(b"{}"), wait(body)), (6, 9));
}
