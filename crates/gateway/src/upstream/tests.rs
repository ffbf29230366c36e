//! The client against servers that speak raw bytes.

use std::time::Duration;

use bytes::Bytes;
use catalog::{Auth, Quirks};
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::{Blame, Dialect, ErrorKind, Outbound};

use super::Upstream;
use crate::config::{Host, Secret, Timeouts};

const SECOND: Duration = Duration::from_secs(1);
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    connect: SECOND,
    first_byte: Duration::from_secs(5),
    whole: Duration::from_secs(5),
    idle: Duration::from_secs(5),
    total: SECOND,
};
pub(super) const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn host(id: &str, port: u16, auth: Auth, keys: &[&str]) -> Host {
    Host {
        id: id.to_owned(),
        dialect: Dialect::OpenAi,
        https: false,
        host: "127.0.0.1".to_owned(),
        port,
        base_path: "/v1".to_owned(),
        auth,
        keys: keys.iter().map(|key| Secret::new((*key).to_owned())).collect(),
        quirks: Quirks::default(),
        endpoints: Vec::new(),
        allow_private: true,
    }
}

pub(super) fn plain(port: u16) -> Host {
    host("a", port, Auth::None, &[])
}

pub(super) fn outbound(pieces: &[&'static str]) -> Outbound {
    let body = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
    Outbound { path: "/chat/completions".to_owned(), headers: HeaderMap::new(), body }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Reads one request: its head in lower case, and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let length: usize = length.parse().unwrap();
            if bytes.len() >= at + 4 + length {
                return Some((head, String::from_utf8(bytes[at + 4..].to_vec()).unwrap()));
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Serves `answer` to every request of the next connection.
async fn answer_all(listener: &TcpListener, answer: &[u8]) {
    let (mut stream, _) = listener.accept().await.unwrap();
    while read(&mut stream).await.is_some() {
        stream.write_all(answer).await.unwrap();
    }
}

async fn send(upstream: &Upstream, host: &Host) -> Result<Bytes, wire::UpstreamError> {
    let mut reply = upstream.send(host, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await?;
    reply.body.collect(1 << 20).await
}

#[tokio::test]
async fn a_spliced_body_goes_out_whole_with_our_headers() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read(&mut stream).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        request
    });
    let host = host("a", port, Auth::Bearer, &["one", "two"]);
    let mut outbound = outbound(&["{\"model\":", "\"m\"", "}"]);
    outbound.headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
    let mut extra = HeaderMap::new();
    extra.insert("traceparent", "00-1".parse().unwrap());
    extra.insert("authorization", "Bearer client".parse().unwrap());
    extra.insert("x-api-key", "client".parse().unwrap());
    let mut reply = Upstream::default().send(&host, 1, outbound, &extra, &TIMEOUTS).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.collect(10).await.unwrap(), "hello");

    let (head, body) = server.await.unwrap();
    assert_eq!(body, r#"{"model":"m"}"#);
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    for line in [
        &format!("host: 127.0.0.1:{port}"),
        "authorization: bearer two",
        "content-type: application/json",
        "content-length: 13",
        "accept-encoding: identity",
        "anthropic-version: 2023-06-01",
        "traceparent: 00-1",
    ] {
        assert!(head.split("\r\n").any(|found| found == line), "{line} is missing in {head}");
    }
    assert!(!head.contains("client"), "the client's credentials went upstream: {head}");
}

/// Field notes §1.23: a key of one host leaked to the next in a failover.
#[tokio::test]
async fn fn1_23_provider_headers_never_reach_the_next_host() {
    let (first, port_a) = listen().await;
    let (second, port_b) = listen().await;
    tokio::spawn(async move {
        answer_all(
            &first,
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nset-cookie: a=1\r\n\r\n",
        )
        .await;
    });
    let server = tokio::spawn(async move {
        let (mut stream, _) = second.accept().await.unwrap();
        let request = read(&mut stream).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        request.0
    });
    let upstream = Upstream::default();
    let a = host("a", port_a, Auth::Header("x-api-key".to_owned()), &["key-of-a"]);
    let b = host("b", port_b, Auth::Bearer, &["key-of-b"]);
    let reply = upstream.send(&a, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap();
    assert_eq!(reply.status, 503);
    send(&upstream, &b).await.unwrap();
    let head = server.await.unwrap();
    assert!(head.contains("key-of-b"));
    for theirs in ["key-of-a", "x-api-key", "cookie"] {
        assert!(!head.contains(theirs), "{theirs} reached the other host: {head}");
    }
}

#[test]
fn keys_do_not_show_in_debug_prints() {
    let host = host("a", 1, Auth::Bearer, &["canary-secret"]);
    assert!(!format!("{host:?}").contains("canary"));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_a_connection_is_opened() {
    let upstream = Upstream::default();
    let bad_key = host("a", 1, Auth::Bearer, &["two\r\nlines"]);
    assert_eq!(send(&upstream, &bad_key).await.unwrap_err().kind, ErrorKind::Credentials);
    let no_key = host("a", 1, Auth::Bearer, &[]);
    assert_eq!(send(&upstream, &no_key).await.unwrap_err().kind, ErrorKind::Credentials);
    let mut bad_path = plain(1);
    bad_path.base_path = "/v1 HTTP/1.1\r\nx: y\r\n\r\n".to_owned();
    assert_eq!(send(&upstream, &bad_path).await.unwrap_err().kind, ErrorKind::BadRequest);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_whole_answer() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        answer_all(
            &listener,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )
        .await;
    });
    let upstream = Upstream::default();
    // The server accepts one connection only.
    for _ in 0..5 {
        assert_eq!(send(&upstream, &plain(port)).await.unwrap(), "hello");
    }
    drop(upstream);
    server.await.unwrap();
}

#[tokio::test]
async fn a_rested_connection_is_not_used() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        answer_all(&listener, b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=20\r\ncontent-length: 5\r\n\r\nhello")
            .await;
    });
    let upstream = Upstream::default();
    send(&upstream, &plain(port)).await.unwrap();
    let scheme = super::Scheme { port, https: false, allow_private: true };
    let origin = upstream.shared.pool.origin("127.0.0.1", scheme);
    let now = std::time::Instant::now();
    let channel = origin.take(now + Duration::from_secs(18)).expect("it may rest for 19 s");
    origin.put(channel, now);
    assert!(origin.take(now + Duration::from_secs(20)).is_none(), "the server closes after 20 s");
}

#[tokio::test]
async fn the_sweep_drops_what_the_server_closed_and_bounds_what_rests() {
    let (listener, port) = listen().await;
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        is_closed.await.unwrap();
    });
    let upstream = Upstream::default();
    send(&upstream, &plain(port)).await.unwrap();
    let pool = &upstream.shared.pool;
    assert_eq!(pool.sweep(std::time::Instant::now()), 1);
    assert_eq!(pool.sweep(std::time::Instant::now() + Duration::from_secs(55)), 0);
    closed.send(()).unwrap();
}

#[tokio::test]
async fn a_connection_that_the_server_closed_at_rest_is_replaced_silently() {
    let (listener, port) = listen().await;
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        drop(stream);
        closed.send(()).unwrap();
        answer_all(&listener, HELLO).await;
    });
    let upstream = Upstream::default();
    assert_eq!(send(&upstream, &plain(port)).await.unwrap(), "hello");
    is_closed.await.unwrap();
    assert_eq!(send(&upstream, &plain(port)).await.unwrap(), "hello");
}

/// Field notes §1.18: what may have been billed is not sent twice below the engine.
#[tokio::test]
async fn fn1_18_a_request_that_left_is_not_sent_again() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        // The second request is read, then the connection closes.
        read(&mut stream).await.unwrap();
        drop(stream);
        listener
    });
    let upstream = Upstream::default();
    send(&upstream, &plain(port)).await.unwrap();
    let error = send(&upstream, &plain(port)).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_billed), (ErrorKind::Connect, true));
    let listener = server.await.unwrap();
    let again = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(again.is_err(), "the request was sent twice");
}

#[tokio::test]
async fn no_server_is_a_connect_error_that_cost_nothing() {
    let (listener, port) = listen().await;
    drop(listener);
    let error = send(&Upstream::default(), &plain(port)).await.unwrap_err();
    assert_eq!((error.kind, error.blame, error.maybe_billed), (ErrorKind::Connect, Blame::Vendor, false));
}

#[tokio::test]
async fn a_private_address_needs_the_hosts_permission() {
    let (listener, port) = listen().await;
    let mut host = plain(port);
    host.allow_private = false;
    let error = send(&Upstream::default(), &host).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect);
    let called = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(called.is_err(), "a private address was dialled");
}

#[tokio::test]
async fn a_pooled_private_connection_does_not_serve_a_host_that_may_not_have_it() {
    let (listener, port) = listen().await;
    tokio::spawn(async move { answer_all(&listener, HELLO).await });
    let upstream = Upstream::default();
    send(&upstream, &plain(port)).await.unwrap();
    let mut host = plain(port);
    host.allow_private = false;
    assert!(send(&upstream, &host).await.is_err());
}

#[tokio::test]
async fn fn1_05_a_cut_stream_is_truncated_never_a_clean_end() {
    for cut in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
    ] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await.unwrap();
            stream.write_all(cut.as_bytes()).await.unwrap();
        });
        let upstream = Upstream::default();
        let host = plain(port);
        let mut reply =
            upstream.send(&host, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap();
        assert_eq!(reply.body.next().await.unwrap().unwrap(), "hello");
        let error = reply.body.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind, error.maybe_billed), (ErrorKind::Truncated, true));
        assert!(reply.body.next().await.is_none());
    }
}

/// Faults row 15: hang after headers, hang before them.
#[tokio::test]
async fn silence_is_a_timeout_before_and_after_the_head() {
    let short = Timeouts { first_byte: Duration::from_millis(30), ..TIMEOUTS };
    for (sent, head) in [("", false), ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true)] {
        let (listener, port) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            // The client gives up and closes.
            stream.read(&mut [0; 8]).await.unwrap_or(0)
        });
        let upstream = Upstream::default();
        let host = plain(port);
        let reply = upstream.send(&host, 0, outbound(&["{}"]), &HeaderMap::new(), &short).await;
        assert_eq!(reply.is_ok(), head);
        let error = match reply {
            Ok(mut reply) => reply.body.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((error.kind, error.maybe_billed), (ErrorKind::Timeout, true));
        assert_eq!(server.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_own_deadline_ends_a_body_that_keeps_trickling() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let upstream = Upstream::default();
    let host = plain(port);
    let mut reply = upstream.send(&host, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap();
    let begun = std::time::Instant::now();
    reply.body.set_deadline(Some(begun + Duration::from_millis(50)));
    let error = loop {
        if let Err(error) = reply.body.next().await.unwrap() {
            break error;
        }
    };
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(begun.elapsed() < SECOND);
}

/// Field notes §1.7: dropping the answer cancels the upstream's work.
#[tokio::test]
async fn fn1_07_dropping_a_reply_or_its_future_closes_the_connection() {
    let (listener, port) = listen().await;
    let (asked, is_asked) = tokio::sync::oneshot::channel();
    let upstream = Upstream::default();
    let host = plain(port);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        asked.send(()).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    });
    drop(upstream.send(&host, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap());
    let extra = HeaderMap::new();
    tokio::select! {
        _ = upstream.send(&host, 0, outbound(&["{}"]), &extra, &TIMEOUTS) => unreachable!("no answer was sent"),
        _ = is_asked => {}
    }
    tokio::time::timeout(SECOND, server).await.expect("the upstream was cancelled").unwrap();
}

#[tokio::test]
async fn redirects_are_returned_not_followed() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        answer_all(
            &listener,
            b"HTTP/1.1 307 x\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    });
    let upstream = Upstream::default();
    let reply =
        upstream.send(&plain(port), 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap();
    assert_eq!(reply.status, 307);
}

/// Faults row 3: a compressed answer is not unpacked.
#[tokio::test]
async fn a_compressed_answer_is_refused() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        answer_all(
            &listener,
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    });
    let error = send(&Upstream::default(), &plain(port)).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Garbled, Some(200)));
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused_announced_or_not() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
    ] {
        for (max, fits) in [(10, false), (11, true)] {
            let (listener, port) = listen().await;
            tokio::spawn(async move { answer_all(&listener, answer).await });
            let upstream = Upstream::default();
            let host = plain(port);
            let mut reply =
                upstream.send(&host, 0, outbound(&["{}"]), &HeaderMap::new(), &TIMEOUTS).await.unwrap();
            match reply.body.collect(max).await {
                Ok(body) => assert!(fits && body == "hello world"),
                Err(error) => assert!(!fits && error.kind == ErrorKind::Garbled),
            }
        }
    }
}

#[tokio::test]
async fn a_header_bomb_and_garbage_from_upstream_are_garbled() {
    let bomb = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    for answer in [bomb, many, "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await.unwrap();
            // The client may hang up in the middle of it.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.read(&mut [0; 8]).await;
        });
        let error = send(&Upstream::default(), &plain(port)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Garbled);
    }
}

#[test]
fn keep_alive_hints_shorten_the_rest() {
    let mut headers = HeaderMap::new();
    assert_eq!(super::keep_alive(&headers), None);
    headers.insert("keep-alive", "max=100, timeout=5".parse().unwrap());
    assert_eq!(super::keep_alive(&headers), Some(Duration::from_secs(4)));
    headers.insert("keep-alive", "timeout=-1".parse().unwrap());
    assert_eq!(super::keep_alive(&headers), None);
}
