//! Requests whose length can be read in two ways. hyper refuses most of them; it accepts `transfer-encoding` beside
//! `content-length` and drops the latter, as RFC 9112 §6.3 allows. A proxy in front of us may have believed the other
//! one, so we refuse.

use http::{HeaderMap, header};

/// What the head says about the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One length.
    Plain,
    /// Chunked, and the head was not seen whole: answer, then close, so that nothing behind it is taken for a request.
    Unseen,
    /// Two lengths.
    Ambiguous,
}

/// `raw` are the bytes in which the head came, possibly cut and with the beginning of the body.
pub(super) fn framing(headers: &HeaderMap, method: &str, raw: &[u8]) -> Framing {
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Framing::Plain;
    }
    let mut lines =
        raw.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).skip_while(|line| line.is_empty());
    let begins_well = lines.next().is_some_and(|line| line.starts_with(method.as_bytes()));
    let mut ended = false;
    for line in lines {
        if line.is_empty() {
            ended = true;
            break;
        }
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-length") {
            return Framing::Ambiguous;
        }
    }
    if begins_well && ended { Framing::Plain } else { Framing::Unseen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lengths_are_found_in_any_order_and_spelling() {
        let mut headers = HeaderMap::new();
        let head = |text: &str| text.replace('\n', "\r\n").into_bytes();
        let both = head("POST / HTTP/1.1\nhost: a\nContent-LENGTH: 5\ntransfer-encoding: chunked\n\n0\n\n");
        assert_eq!(framing(&headers, "POST", &both), Framing::Plain, "hyper saw no transfer-encoding");
        headers.insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
        assert_eq!(framing(&headers, "POST", &both), Framing::Ambiguous);
        let bare = b"POST / HTTP/1.1\ntransfer-encoding: chunked\ncontent-length: 5\n\n";
        assert_eq!(framing(&headers, "POST", bare), Framing::Ambiguous);
        let in_body = head("POST / HTTP/1.1\ntransfer-encoding: chunked\n\n10\ncontent-length: 5\n");
        assert_eq!(framing(&headers, "POST", &in_body), Framing::Plain);
    }

    #[test]
    fn a_head_that_was_not_seen_whole_is_not_trusted() {
        let mut headers = HeaderMap::new();
        headers.insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
        for raw in [&b""[..], b"POST / HTTP/1.1\r\ntransfer-enc", b"oding: chunked\r\n\r\n"] {
            assert_eq!(framing(&headers, "POST", raw), Framing::Unseen);
        }
    }
}
