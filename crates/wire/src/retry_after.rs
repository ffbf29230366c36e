//! How long a vendor asks to wait, in every spelling seen (field notes §2.25).
//!
//! There is no clock here: a point in time is read against the answer's own `date` header, which also cancels out a
//! skew between the two clocks.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::json::Cursor;

/// Longer waits are cut to this: a quota that resets next month is worth a try each day.
pub const LONGEST: Duration = Duration::from_hours(24);

/// The longest wait that the headers ask for: `retry-after` (seconds or a date), `retry-after-ms`,
/// `x-ms-retry-after-ms`, and any `…ratelimit…reset…` whose `remaining` twin is not above zero.
pub fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let now = headers.get(http::header::DATE).and_then(text).and_then(http_date);
    let mut longest = None;
    for (name, value) in headers {
        let Some(value) = text(value) else { continue };
        let wait = match name.as_str() {
            "retry-after" => seconds(value).or_else(|| until(http_date(value)?, now)),
            "retry-after-ms" | "x-ms-retry-after-ms" => seconds(value).map(|wait| wait / 1000),
            name if is_reset(name) && !has_remaining(headers, name) => reset(value, now),
            _ => None,
        };
        longest = longest.max(wait);
    }
    longest.map(|wait| wait.min(LONGEST))
}

/// The wait in a Google error body: `"retryDelay": "34.07s"`.
pub fn from_body(body: &[u8]) -> Option<Duration> {
    let at = memchr::memmem::find(body, b"\"retryDelay\"")?;
    let rest = std::str::from_utf8(body.get(at + b"\"retryDelay\"".len()..)?).ok()?;
    let value = rest.trim_start().strip_prefix(':')?;
    let delay = Cursor::new(value).string().ok()?.decode();
    span(&delay).map(|wait| wait.min(LONGEST))
}

/// A span such as `6m0s`, `1.5s`, `20ms` or `1h2m3s`. `None` for anything else.
pub fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let length = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at_checked(length)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()?;
        total = total.checked_add(part)?;
        rest = next;
    }
    Some(total)
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// A plain number of seconds, at least 0. `None` for anything else, also for what no [`Duration`] holds.
fn seconds(text: &str) -> Option<Duration> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

fn is_reset(name: &str) -> bool {
    name.contains("ratelimit") && name.contains("reset")
}

/// The limit of this reset is not the one that was hit.
fn has_remaining(headers: &HeaderMap, reset: &str) -> bool {
    let remaining = headers.get(reset.replace("reset", "remaining").as_str()).and_then(text);
    remaining.and_then(|left| left.parse::<f64>().ok()).is_some_and(|left| left > 0.0)
}

/// A reset: a span, seconds from now, or a point in time as a date or as seconds or milliseconds since 1970.
fn reset(value: &str, now: Option<Timestamp>) -> Option<Duration> {
    if let Some(wait) = seconds(value) {
        return match wait.as_secs() {
            0..1_000_000_000 => Some(wait),
            1_000_000_000..100_000_000_000 => until(point(wait)?, now),
            _ => until(point(wait / 1000)?, now),
        };
    }
    span(value).or_else(|| until(value.parse().ok().or_else(|| http_date(value))?, now))
}

fn point(since_1970: Duration) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(since_1970.as_secs()).ok()?).ok()
}

/// From `now` until `then`; nothing when it has passed, `None` when the answer had no `date`.
fn until(then: Timestamp, now: Option<Timestamp>) -> Option<Duration> {
    Some(Duration::try_from(then.duration_since(now?)).unwrap_or(Duration::ZERO))
}

/// A date in any of HTTP's three formats (RFC 9110 §5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    let formats = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = formats.iter().find_map(|format| DateTime::strptime(format, text).ok())?;
    TimeZone::UTC.to_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    const NOW: (&str, &str) = ("date", "Tue, 24 Nov 2026 10:00:00 GMT");

    #[test]
    fn fn2_25_retry_after_in_every_spelling() {
        let cases: [(&str, &str, u64); 15] = [
            ("retry-after", "7", 7_000),
            ("retry-after", "1.5", 1_500),
            ("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT", 30_000),
            ("retry-after", "Tuesday, 24-Nov-26 10:01:00 GMT", 60_000),
            ("retry-after", "Tue Nov 24 10:00:05 2026", 5_000),
            ("retry-after", "Tue, 24 Nov 2026 09:00:00 GMT", 0),
            ("retry-after-ms", "250", 250),
            ("x-ms-retry-after-ms", "1250", 1_250),
            ("x-ratelimit-reset-requests", "6m0s", 360_000),
            ("x-ratelimit-reset-tokens", "20ms", 20),
            ("x-ratelimit-reset", "1795514412", 12_000),
            ("x-ratelimit-reset", "1795514403000", 3_000),
            ("ratelimit-reset", "42", 42_000),
            ("anthropic-ratelimit-tokens-reset", "2026-11-24T10:00:09Z", 9_000),
            ("retry-after", "99999999999999999999999", u64::MAX),
        ];
        for (name, value, millis) in cases {
            let wanted = (millis != u64::MAX).then(|| Duration::from_millis(millis));
            assert_eq!(from_headers(&headers(&[NOW, (name, value)])), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn fn1_13_the_longest_wait_wins_and_is_bounded() {
        let both = headers(&[NOW, ("retry-after", "9"), ("x-ratelimit-reset-tokens", "1m47s")]);
        assert_eq!(from_headers(&both), Some(Duration::from_secs(107)));
        assert_eq!(from_headers(&headers(&[("retry-after", "31536000")])), Some(LONGEST));
        assert_eq!(
            from_headers(&headers(&[("retry-after", "604800"), ("retry-after-ms", "1")])),
            Some(LONGEST)
        );
    }

    #[test]
    fn a_limit_that_was_not_hit_asks_for_no_wait() {
        let pairs = [
            ("x-ratelimit-remaining-requests", "41"),
            ("x-ratelimit-reset-requests", "20h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "3s"),
        ];
        assert_eq!(from_headers(&headers(&pairs)), Some(Duration::from_secs(3)));
    }

    #[test]
    fn nonsense_and_a_date_without_a_clock_ask_for_nothing() {
        for value in
            ["", "soon", "-5", "NaN", "inf", "1e999", "0x10", "5 apples", "Tue, 24 Nov 2026 10:00:30 GMT"]
        {
            assert_eq!(from_headers(&headers(&[("retry-after", value)])), None, "{value}");
        }
        for value in ["", "s", "5", "5x", "m5", "1..2s", "5s 3"] {
            assert_eq!(span(value), None, "{value}");
        }
    }

    #[test]
    fn fn2_24_googles_retry_delay_is_read_from_the_body() {
        let body = br#"{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay" : "34.074824224s"}]}}"#;
        assert_eq!(from_body(body), Some(Duration::from_nanos(34_074_824_224)));
        assert_eq!(from_body(b"{\"retryDelay\": 5}"), None);
        assert_eq!(from_body(b"retryDelay"), None);
    }
}
