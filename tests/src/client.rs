//! A plain HTTP/1.1 client over hyper: a fresh connection for each request, no retries, no decoding, so that a test
//! sees what was sent. The obvious alternative, an SDK, hides retries and headers; those have their own tests.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bounded;

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    addr: SocketAddr,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        let value = serde_json::from_slice(&self.body);
        value.unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is ASCII"))
    }
}

impl Client {
    /// A client of the server at `addr`.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, headers: Vec::new() }
    }

    /// The same client, sending this header each time.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.whole(self.request(Method::GET, path, Bytes::new())).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_bytes(path, body.to_string()).await
    }

    /// `POST` of any bytes as JSON.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.whole(self.json_request(path, body.into())).await
    }

    /// `POST` of JSON, answered by a stream. Panics when the answer is none.
    pub async fn stream(&self, path: &str, body: &Value) -> SseReader {
        match self.try_stream(path, body).await {
            Ok(reader) => reader,
            Err(reply) => panic!("no stream, but {}: {}", reply.status, reply.text()),
        }
    }

    /// `POST` of JSON, answered by a stream or, when it is refused, by a whole answer.
    pub async fn try_stream(&self, path: &str, body: &Value) -> Result<SseReader, Reply> {
        let response =
            bounded("the head of a stream", self.send(self.json_request(path, body.to_string().into())))
                .await;
        let is_stream =
            response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        if is_stream { Ok(SseReader::new(response)) } else { Err(collect(response).await) }
    }

    /// Any request; the answer whole.
    pub async fn whole(&self, request: Request<Full<Bytes>>) -> Reply {
        bounded("an answer", async { collect(self.send(request).await).await }).await
    }

    /// A request of this client, to be changed by a test.
    pub fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header("host", self.addr.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).expect("a valid request")
    }

    /// A `POST` of this client with the content type of JSON.
    pub fn json_request(&self, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = self.request(Method::POST, path, body);
        request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        request
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.addr).await.expect("the server listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer")
    }

    /// Writes bytes to a fresh connection and reads until the server closes it or says nothing for the rest of the
    /// patience. For requests that no client library would send.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.addr).await.expect("the server listens");
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        bounded("the end of a raw answer", async {
            let mut buffer = vec![0_u8; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
        })
        .await;
        answer
    }
}

async fn collect(response: http::Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Reply { status: head.status, headers: head.headers, body }
}

/// One SSE event or comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SseEvent {
    /// `data:`, with its lines joined.
    Data(String),
    /// A comment's text.
    Comment(String),
}

/// Reads a stream event by event. Strict: it takes only what the gateway promises, `data: …` and `: …` lines, each
/// followed by a blank line.
#[derive(Debug)]
pub struct SseReader {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    pending: BytesMut,
    ready: VecDeque<SseEvent>,
    /// Why the body ended early, if it did.
    pub broken: Option<String>,
}

impl SseReader {
    fn new(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            pending: BytesMut::new(),
            ready: VecDeque::new(),
            broken: None,
        }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match bounded("an event", self.body.frame()).await? {
                Ok(frame) => self.take(&frame.into_data().unwrap_or_default()),
                Err(error) => {
                    self.broken = Some(error.to_string());
                    return None;
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
            let block = self.pending.split_to(end);
            self.pending.advance(2);
            let block = std::str::from_utf8(&block).expect("events are UTF-8");
            self.ready.push_back(read_block(block));
        }
    }

    /// All events that are left, in order.
    pub async fn rest(&mut self) -> Vec<SseEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        assert!(self.broken.is_some() || self.pending.is_empty(), "the stream ended inside an event");
        events
    }

    /// All data payloads that are left, without comments.
    pub async fn data(&mut self) -> Vec<String> {
        let events = self.rest().await;
        events
            .into_iter()
            .filter_map(|event| match event {
                SseEvent::Data(data) => Some(data),
                SseEvent::Comment(_) => None,
            })
            .collect()
    }
}

fn read_block(block: &str) -> SseEvent {
    if let Some(comment) = block.strip_prefix(':') {
        assert!(!comment.contains('\n'), "a comment stands alone: {block:?}");
        return SseEvent::Comment(comment.trim_start().to_owned());
    }
    let lines: Vec<&str> = block
        .split('\n')
        .map(|line| match line.strip_prefix("data: ") {
            Some(data) => data,
            None => panic!("an event of the gateway's holds only `data: ` lines, but: {block:?}"),
        })
        .collect();
    SseEvent::Data(lines.join("\n"))
}
