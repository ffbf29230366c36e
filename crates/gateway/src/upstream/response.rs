//! The head of an answer: parsed by `httparse` (hyper's parser), judged here.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::framing::Framing;

/// Bytes of a head, with the interim heads before it.
pub(super) const LIMIT: usize = 64 * 1024;
/// Headers in a head.
const HEADERS: usize = 128;

/// The head of a final answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// The connection may serve another request once the body has been read.
    pub(super) keep: bool,
}

/// Not HTTP, or too large, or with a length that can be read in two ways.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the head at the start of `bytes`, passing over interim ones (1xx). `None`: not whole yet. With the head comes
/// its length.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..).unwrap_or_default();
        let mut storage = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut storage);
        let length = match response.parse(rest) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < LIMIT => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
        };
        start += length;
        if start > LIMIT {
            return Err(Malformed);
        }
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
        match status.as_u16() {
            // Nobody asked for another protocol.
            101 => return Err(Malformed),
            100..=199 => continue,
            _ => {}
        }
        let headers = headers(rest.get(..length).unwrap_or_default(), response.headers)?;
        let head = judge(status, response.version == Some(1), headers)?;
        return Ok(Some((head, start)));
    }
}

/// Copies the head once; the values are slices of the copy.
fn headers(head: &[u8], parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let copy = Bytes::copy_from_slice(head);
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for one in parsed {
        let name = HeaderName::from_bytes(one.name.as_bytes()).map_err(|_| Malformed)?;
        let at = (one.value.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        let value = if one.value.is_empty() { Bytes::new() } else { copy.slice(at..at + one.value.len()) };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Malformed)?);
    }
    Ok(headers)
}

/// RFC 9112 §6.3, without the guesses that it allows.
fn judge(status: StatusCode, http11: bool, headers: HeaderMap) -> Result<Head, Malformed> {
    let mut keep = if http11 { !says(&headers, "close") } else { says(&headers, "keep-alive") };
    let length = length(&headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let framing = match (codings.next(), codings.next()) {
        _ if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED => Framing::length(0),
        (Some(coding), None) if http11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            // A length beside it may be an attempt to split the answer: what follows is not trusted.
            keep &= length.is_none();
            Framing::chunked()
        }
        (Some(_), _) => return Err(Malformed),
        (None, _) => length.map_or(Framing::UntilClose, Framing::length),
    };
    keep &= framing != Framing::UntilClose;
    Ok(Head { status, headers, framing, keep })
}

fn says(headers: &HeaderMap, word: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let digits = value.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Malformed);
        }
        let length: u64 = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(Malformed)?;
        if found.is_some_and(|other| other != length) {
            return Err(Malformed);
        }
        found = Some(length);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, Malformed> {
        parse(text.replace('\n', "\r\n").as_bytes())
    }

    fn framing(text: &str) -> Option<(Framing, bool)> {
        let (head, _) = head(text).ok()??;
        Some((head.framing, head.keep))
    }

    #[test]
    fn lengths_are_read_in_one_way_or_not_at_all() {
        assert_eq!(framing("HTTP/1.1 200 OK\ncontent-length: 5\n\n"), Some((Framing::length(5), true)));
        assert_eq!(
            framing("HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 5\n\n"),
            Some((Framing::length(5), true))
        );
        assert_eq!(
            framing("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n"),
            Some((Framing::chunked(), true))
        );
        assert_eq!(
            framing("HTTP/1.1 200 OK\ntransfer-encoding: chunked\ncontent-length: 5\n\n"),
            Some((Framing::chunked(), false))
        );
        assert_eq!(framing("HTTP/1.1 200 OK\n\n"), Some((Framing::UntilClose, false)));
        assert_eq!(framing("HTTP/1.1 204 No\n\n"), Some((Framing::length(0), true)));
        assert_eq!(
            framing("HTTP/1.1 200 OK\nconnection: x, Close\ncontent-length: 0\n\n"),
            Some((Framing::length(0), false))
        );
        assert_eq!(framing("HTTP/1.0 200 OK\ncontent-length: 5\n\n"), Some((Framing::length(5), false)));
        assert_eq!(
            framing("HTTP/1.0 200 OK\nconnection: keep-alive\ncontent-length: 5\n\n"),
            Some((Framing::length(5), true))
        );
        for bad in [
            "HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 6\n\n",
            "HTTP/1.1 200 OK\ncontent-length: 5, 5\n\n",
            "HTTP/1.1 200 OK\ncontent-length: +5\n\n",
            "HTTP/1.1 200 OK\ncontent-length: 99999999999999999999\n\n",
            "HTTP/1.1 200 OK\ntransfer-encoding: gzip, chunked\n\n",
            "HTTP/1.1 200 OK\ntransfer-encoding: gzip\ntransfer-encoding: chunked\n\n",
            "HTTP/1.0 200 OK\ntransfer-encoding: chunked\n\n",
            "HTTP/1.1 101 Switching\nupgrade: x\n\n",
            "SSH-2.0-OpenSSH\n\n",
        ] {
            assert_eq!(head(bad).unwrap_err(), Malformed, "{bad}");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nlink: x\n\nHTTP/1.1 200 OK\nx: y\ncontent-length: 0\n\n";
        let (found, length) = head(text).unwrap().unwrap();
        assert_eq!(length, text.replace('\n', "\r\n").len());
        assert_eq!((found.status.as_u16(), found.headers.len()), (200, 2));
        assert_eq!(found.headers["x"], "y");
        assert!(head("HTTP/1.1 100 Continue\n\n").unwrap().is_none());
    }

    #[test]
    fn a_head_is_bounded_in_bytes_and_headers() {
        let long = format!("HTTP/1.1 200 OK\nx: {}", "y".repeat(LIMIT));
        assert_eq!(head(&long).unwrap_err(), Malformed);
        let many = format!("HTTP/1.1 200 OK\n{}\n", "x: y\n".repeat(HEADERS + 1));
        assert_eq!(head(&many).unwrap_err(), Malformed);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), well in any::<bool>()) {
            let mut all = if well { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
            all.extend(bytes);
            let _ = parse(&all);
        }

        #[test]
        fn a_head_in_parts_is_the_head_whole(cut in 0_usize..70) {
            let text = b"HTTP/1.1 200 OK\r\nx: \r\ny: z\r\ntransfer-encoding: chunked\r\n\r\n5\r\n";
            let part = &text[..cut.min(text.len())];
            let found = parse(part).unwrap();
            prop_assert_eq!(found.is_some(), part.len() >= text.len() - 3);
        }
    }
}
