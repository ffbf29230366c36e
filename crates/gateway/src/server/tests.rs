//! The listener against raw sockets.

mod linger;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Full, combinators::BoxBody};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{BodyError, Drained, Handler, Peer, RequestBody, ServerOptions, bind, read_body, serve};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(60);

type Body = BoxBody<Bytes, Infallible>;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Drained>,
}

fn start(service: impl Handler, options: ServerOptions) -> Running {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(serve(listener, service, options, async {
        let _ = stopped.await;
    }));
    Running { address, stop, done }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text`, half a connection at a time stays open; returns all that comes until the server closes.
    async fn exchange(&self, text: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may hang up in the middle of a bomb.
        let _ = stream.write_all(text.as_ref()).await;
        read_to_close(&mut stream).await
    }
}

async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("the server closes") {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(end) {
        let read =
            tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer").unwrap();
        assert!(read > 0, "closed before {end:?}: {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    answer
}

fn full(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(BoxBody::new(Full::new(text.into())));
    *response.status_mut() = status;
    response
}

/// Answers the length of the body, as the gateway's routes do.
async fn measure(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    assert!(request.extensions().get::<Peer>().is_some_and(|peer| peer.0.ip().is_loopback()));
    let body = read_body(request.into_body(), 1_000, SHORT).await;
    Ok(match body {
        Ok(body) => full(StatusCode::OK, format!("got {}.", body.len())),
        Err(BodyError::TooLarge) => full(StatusCode::PAYLOAD_TOO_LARGE, "large."),
        Err(BodyError::Stalled) => full(StatusCode::REQUEST_TIMEOUT, "slow."),
        Err(BodyError::Broken) => full(StatusCode::BAD_REQUEST, "broken."),
    })
}

#[tokio::test]
async fn requests_are_answered_one_after_another_and_pipelined() {
    let server = start(service_fn(measure), ServerOptions::default());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        assert!(read_until(&mut stream, "got 2.").await.starts_with("HTTP/1.1 200"));
    }
    let one = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
    stream
        .write_all(format!("{one}{}", one.replace("2\r\n\r\n{}", "3\r\n\r\n{ }")).as_bytes())
        .await
        .unwrap();
    assert_eq!(read_until(&mut stream, "got 3.").await.matches("HTTP/1.1 200").count(), 2);
}

/// Faults row 1: the header timeout of hyper is silently off without a timer.
#[tokio::test]
async fn slow_heads_are_cut_whether_silent_trickling_or_on_a_used_connection() {
    let options = ServerOptions { header_timeout: SHORT, ..ServerOptions::default() };
    let server = start(service_fn(measure), options);

    assert_eq!(server.exchange("").await, "", "a silent client");
    assert_eq!(server.exchange("PRI * HTTP/2.0\r\n").await, "", "half an h2 preface");
    assert_eq!(server.exchange("GET / HTTP/1.1\r\nhost: a\r\nx").await, "", "half a head");

    let (mut read, mut write) = server.connect().await.into_split();
    let begun = std::time::Instant::now();
    let trickle = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        write.write_all(b"GET / HTTP/1.1\r\n").await?;
        while beat.tick().await.elapsed() < PATIENCE {
            write.write_all(b"x: y\r\n").await?;
        }
        Ok::<(), std::io::Error>(())
    });
    let _ = tokio::time::timeout(PATIENCE, read.read(&mut [0; 64])).await.expect("a trickling head is cut");
    assert!(begun.elapsed() < SECOND);
    assert!(trickle.await.unwrap().is_err());

    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "got 0.").await;
    let rested = tokio::time::timeout(SHORT * 3, stream.read(&mut [0; 64])).await;
    assert!(rested.is_err(), "a connection at rest is not cut by the header timeout");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_rests_only_so_long() {
    let options = ServerOptions { keep_alive: SHORT, ..ServerOptions::default() };
    let server = start(service_fn(measure), options);
    // The client keeps its side open.
    let answer = server.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("got 0."), "{answer}");
}

/// Faults row 1, second half, and row 2.
#[tokio::test]
async fn bodies_are_bounded_in_size_and_patience() {
    let server = start(service_fn(measure), ServerOptions::default());
    for (request, status) in [
        // Refused by its announcement: not a byte of it is sent.
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n".to_owned(), "413"),
        (
            format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n",
                "x".repeat(1001)
            ),
            "413",
        ),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx".to_owned(), "408"),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), "400"),
    ] {
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request} → {answer}");
    }
}

#[tokio::test]
async fn a_client_that_has_sent_everything_can_read_the_413() {
    let server = start(service_fn(measure), ServerOptions::default());
    let body = "x".repeat(300_000);
    let answer =
        server.exchange(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// Faults row 2: a header bomb.
#[tokio::test]
async fn too_many_or_too_long_headers_are_a_431() {
    let server = start(service_fn(measure), ServerOptions::default());
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    for bomb in [many, long] {
        let answer = server.exchange(bomb).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

/// Faults row 5: whatever can be read in two ways is refused, and nothing behind it is taken for a request.
#[tokio::test]
async fn smuggling_attempts_are_refused_and_the_connection_is_closed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |request: Request<RequestBody>| {
        counted.fetch_add(1, SeqCst);
        async move { measure(request).await }
    });
    let server = start(service, ServerOptions::default());
    let behind = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nTRANSFER-ENCODING: Chunked\r\nCONTENT-LENGTH: 0\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer_encoding\0: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/9.1\r\nhost: a\r\n\r\n",
        "POST /a b HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let answer = server.exchange(format!("{head}{behind}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?} → {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?} was followed by a second answer");
    }
    assert_eq!(calls.load(SeqCst), 0, "an ambiguous request reached the handler");
    // The plain twin is served, and what follows it too.
    let good = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert_eq!(server.exchange(format!("{good}{last}")).await.matches("HTTP/1.1 200").count(), 2);
    assert_eq!(calls.load(SeqCst), 2);
}

/// A chunked request whose head was not seen whole is answered, and ends the connection.
#[tokio::test]
async fn a_pipelined_chunked_request_ends_the_connection() {
    let server = start(service_fn(measure), ServerOptions::default());
    let chunked =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n";
    let answer = server.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\n\r\n{chunked}{chunked}")).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// Tells when it is dropped.
struct Witness(mpsc::UnboundedSender<()>);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A body that never ends.
struct Endless {
    begun: bool,
    _witness: Witness,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.begun, true) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"begun.")))))
    }
}

/// Hangs: before its head on `/wait`, in its body elsewhere.
fn hanging() -> (impl Handler, mpsc::UnboundedReceiver<()>, mpsc::UnboundedReceiver<()>) {
    let (called, calls) = mpsc::unbounded_channel();
    let (dropped, drops) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody>| {
        let witness = Witness(dropped.clone());
        called.send(()).unwrap();
        async move {
            if request.uri().path() == "/wait" {
                std::future::pending::<()>().await;
            }
            let body = Endless { begun: false, _witness: witness };
            Ok::<_, Infallible>(Response::new(BoxBody::new(body)))
        }
    });
    (service, calls, drops)
}

async fn soon<T>(future: impl Future<Output = Option<T>>) -> T {
    tokio::time::timeout(Duration::from_millis(100), future).await.expect("within 100 ms").unwrap()
}

/// Field notes §1.7, faults row 10: the handler ends with its client, before the head and in the body.
#[tokio::test]
async fn fn1_07_a_handler_is_dropped_when_its_client_goes() {
    let (service, mut calls, mut drops) = hanging();
    let server = start(service, ServerOptions::default());
    for path in ["/wait", "/stream"] {
        let mut stream = server.connect().await;
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        soon(calls.recv()).await;
        if path == "/stream" {
            read_until(&mut stream, "begun.").await;
        }
        drop(stream);
        soon(drops.recv()).await;
    }
}

async fn h2(server: &Running) -> (hyper::client::conn::http2::SendRequest<Full<Bytes>>, JoinHandle<()>) {
    let io = hyper_util::rt::TokioIo::new(server.connect().await);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, connection)
}

fn h2_request(path: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://a{path}")).body(Full::default()).unwrap()
}

#[tokio::test]
async fn fn1_07_an_h2_stream_that_is_reset_drops_its_handler() {
    let (service, mut calls, mut drops) = hanging();
    let server = start(service, ServerOptions::default());
    let (mut sender, _connection) = h2(&server).await;
    let waiting = tokio::spawn(sender.send_request(h2_request("/wait")));
    soon(calls.recv()).await;
    waiting.abort();
    soon(drops.recv()).await;
    let response = sender.send_request(h2_request("/stream")).await.unwrap();
    drop(response);
    soon(drops.recv()).await;
}

/// Faults row 6: rapid reset.
#[tokio::test]
async fn an_h2_client_that_only_cancels_is_cut_off() {
    let (service, mut calls, _drops) = hanging();
    let server = start(service, ServerOptions::default());
    let (mut sender, mut connection) = h2(&server).await;
    let mut cancelled = 0;
    let cut_off = async {
        loop {
            if sender.ready().await.is_err() {
                return;
            }
            let waiting = tokio::spawn(sender.send_request(h2_request("/wait")));
            tokio::select! {
                _ = calls.recv() => waiting.abort(),
                _ = &mut connection => return,
            }
            cancelled += 1;
        }
    };
    tokio::time::timeout(PATIENCE, cut_off).await.expect("the connection is closed");
    assert!((1_000..1_100).contains(&cancelled), "{cancelled}");
}

#[tokio::test]
async fn h2c_is_served_and_says_goodbye_at_rest() {
    let options = ServerOptions { keep_alive: SHORT, ..ServerOptions::default() };
    let server = start(service_fn(measure), options);
    let (mut sender, connection) = h2(&server).await;
    let response = sender.send_request(h2_request("/")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(read_body(response.into_body(), 100, SECOND).await.unwrap(), "got 0.");
    tokio::time::timeout(PATIENCE, connection).await.expect("closed at rest").unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let server = start(service_fn(measure), ServerOptions { connections: 1, ..ServerOptions::default() });
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut first, "got 0.").await;
    assert!(server.exchange("").await.starts_with("HTTP/1.1 503 "));
    first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    read_to_close(&mut first).await;
    // There is room again, as soon as the server has seen the close.
    while !server
        .exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .starts_with("HTTP/1.1 200")
    {}
}

/// Faults row 29: a panic costs one connection.
#[tokio::test]
async fn a_panic_in_a_handler_leaves_the_others_alone() {
    let service = service_fn(|request: Request<RequestBody>| async move {
        assert!(request.uri().path() != "/panic", "injected");
        Ok::<_, Infallible>(full(StatusCode::OK, "fine."))
    });
    let server = start(service, ServerOptions::default());
    let mut other = server.connect().await;
    other.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut other, "fine.").await;
    assert_eq!(server.exchange("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await, "");
    other.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut other, "fine.").await;
}

/// Faults row 30: what is under way is finished, who has connected is served, the listener closes.
#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let (release, released) = tokio::sync::watch::channel(false);
    let (called, mut calls) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody>| {
        let mut released = released.clone();
        called.send(()).unwrap();
        async move {
            if request.uri().path() == "/wait" {
                released.wait_for(|released| *released).await.unwrap();
            }
            Ok::<_, Infallible>(full(StatusCode::OK, "fine."))
        }
    });
    let server = start(service, ServerOptions::default());
    let (mut busy, mut resting) = (server.connect().await, server.connect().await);
    resting.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut resting, "fine.").await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    calls.recv().await.unwrap();
    calls.recv().await.unwrap();
    let mut latecomer = server.connect().await;
    server.stop.send(()).unwrap();

    assert_eq!(read_to_close(&mut resting).await, "", "a connection at rest is closed");
    latecomer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = read_to_close(&mut latecomer).await;
    assert!(answer.contains("connection: close") && answer.ends_with("fine."), "{answer}");
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
    release.send_replace(true);
    let answer = read_to_close(&mut busy).await;
    assert!(answer.contains("connection: close") && answer.ends_with("fine."), "{answer}");
    assert_eq!(server.done.await.unwrap().aborted, 0);
}

#[tokio::test]
async fn a_drain_cuts_what_outlives_the_grace() {
    let (service, mut calls, mut drops) = hanging();
    let server = start(service, ServerOptions { grace: SHORT, ..ServerOptions::default() });
    let mut stream = server.connect().await;
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    calls.recv().await.unwrap();
    server.stop.send(()).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(server.done.await.unwrap(), Drained { finished: 0, aborted: 1 });
    assert!(begun.elapsed() < SHORT + SECOND);
    drops.recv().await.unwrap();
    let answer = read_to_close(&mut stream).await;
    assert!(!answer.contains("\r\n0\r\n"), "a cut stream must not look complete: {answer}");
}

#[test]
fn the_file_limit_is_at_least_what_it_was() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert!(super::raise_file_limit() >= before.current || before.current.is_none());
    assert_eq!(super::raise_file_limit(), before.maximum);
}

/// A burst while the accept loop is busy: the kernel takes all of it at once.
#[tokio::test]
async fn a_burst_of_connections_waits_in_the_kernel() {
    let burst = 2_000;
    let least = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let room = least.map_or(burst, |text| text.trim().parse().unwrap());
    super::raise_file_limit();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for n in 0..burst.min(room) {
        let connected = tokio::time::timeout(SECOND, TcpStream::connect(address)).await;
        waiting.push(connected.unwrap_or_else(|_| panic!("connection {n} is left out")).unwrap());
    }
}
