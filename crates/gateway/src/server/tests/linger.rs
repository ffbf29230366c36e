//! Clients that are refused while they send.

use super::*;

const LARGE: usize = 8 << 20;

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

/// As many clients do: sends all of it, and only then looks for an answer. `pieces` decides how it is cut.
async fn send_all_then_read(server: &Running, head: &str, piece: &[u8], pieces: usize) -> String {
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..pieces {
        stream.write_all(piece).await.expect("the server takes what it has refused");
        tokio::task::yield_now().await;
    }
    read_to_close(&mut stream).await
}

/// Faults row 2: a client that first sends everything finds the refusal, not a broken connection.
#[tokio::test]
async fn a_client_in_the_middle_of_its_body_can_read_the_refusal() {
    let server = start(service_fn(measure), ServerOptions::default());
    let piece = vec![b'x'; 64 << 10];
    let answer = send_all_then_read(&server, &head(LARGE), &piece, LARGE / piece.len()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("large."), "{answer}");

    let chunk = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = send_all_then_read(&server, chunked, &chunk, LARGE / piece.len()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("large."), "{answer}");

    let bomb = "GET / HTTP/1.1\r\nhost: a\r\n";
    let line = [b"x: ", piece.as_slice(), b"\r\n"].concat();
    let answer = send_all_then_read(&server, bomb, &line, LARGE / piece.len()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_stops_is_cut() {
    let server = start(service_fn(measure), ServerOptions::default());
    let mut stream = server.connect().await;
    stream.write_all(head(usize::MAX / 4).as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let endless = async {
        while stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
    };
    tokio::time::timeout(PATIENCE, endless).await.expect("the server cuts the connection");
    // What the buffers of the two sockets hold comes on top.
    assert!((64 << 20..96 << 20).contains(&sent), "{sent} bytes were taken");
}

/// It counts against the bound of connections, and not for ever.
#[tokio::test]
async fn a_client_that_falls_silent_gives_its_place_back() {
    let server = start(service_fn(measure), ServerOptions { connections: 1, ..ServerOptions::default() });
    let mut silent = server.connect().await;
    silent.write_all(head(LARGE).as_bytes()).await.unwrap();
    assert!(read_to_close(&mut silent).await.starts_with("HTTP/1.1 413 "));
    assert!(server.exchange("").await.starts_with("HTTP/1.1 503 "));
    let free = async {
        while !server
            .exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .contains(" 200 ")
        {}
    };
    tokio::time::timeout(PATIENCE, free).await.expect("there is room again");
}

/// Whoever has sent everything is not waited for, although it keeps its side open.
#[tokio::test]
async fn a_body_that_was_read_whole_ends_the_connection_at_once() {
    let server = start(service_fn(measure), ServerOptions::default());
    let (mut polite, mut refused) = (server.connect().await, server.connect().await);
    let close = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    polite.write_all(close.as_bytes()).await.unwrap();
    assert!(read_to_close(&mut polite).await.ends_with("got 2."));
    // The other one is refused and lingers; the drain finds only that one.
    refused.write_all(head(LARGE).as_bytes()).await.unwrap();
    assert!(read_to_close(&mut refused).await.ends_with("large."));
    server.stop.send(()).unwrap();
    assert_eq!(server.done.await.unwrap(), Drained { finished: 1, aborted: 0 });
}

#[tokio::test]
async fn a_drain_does_not_wait_longer_than_its_grace() {
    let server = start(service_fn(measure), ServerOptions { grace: SHORT, ..ServerOptions::default() });
    let mut refused = server.connect().await;
    refused.write_all(head(LARGE).as_bytes()).await.unwrap();
    assert!(read_to_close(&mut refused).await.starts_with("HTTP/1.1 413 "));
    server.stop.send(()).unwrap();
    let drained = tokio::time::timeout(SECOND, server.done).await.expect("in time").unwrap();
    assert_eq!(drained, Drained { finished: 0, aborted: 1 });
}
