//! The upstream: as fast as a vendor can be, so that what is measured is the proxy. It reads bytes and writes bytes
//! that were made before; which behaviour is wanted stands in the `model` of the request.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The key that only the gateway sends.
pub const UPSTREAM_KEY: &str = "sk-mock-0000000000000000";
/// Chunks of a burst.
pub const BURST: usize = 400;
/// Chunks of a timed stream, and their distance.
pub const TIMED: usize = 100;
pub const BEAT: Duration = Duration::from_millis(20);

/// What the mock has seen.
#[derive(Clone, Default)]
pub struct Seen {
    /// Requests that came from the gateway.
    pub requests: Rc<Cell<u64>>,
    /// Idle streams that are open now.
    pub idle: Rc<Cell<usize>>,
}

/// Serves until the program ends.
pub async fn serve(listener: TcpListener, clock: Instant, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        // A connection that breaks is the end of that connection.
        tokio::task::spawn_local(async move { drop(connection(stream, clock, seen).await) });
    }
}

async fn connection(mut stream: TcpStream, clock: Instant, seen: Seen) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    let whole = whole();
    loop {
        let Some(request) = read_request(&mut stream, &mut buffer).await? else { return Ok(()) };
        let has = |name: &str| memmem::find(&request, name.as_bytes()).is_some();
        if has(UPSTREAM_KEY) {
            seen.requests.set(seen.requests.get() + 1);
        }
        if has("bench-burst") {
            stream.write_all(HEAD).await?;
            for n in 0..BURST {
                stream.write_all(&event(n as u128)).await?;
                // The other streams have their turn: their chunks travel one by one.
                tokio::task::yield_now().await;
            }
            stream.write_all(end().as_bytes()).await?;
        } else if has("bench-timed") {
            timed(&mut stream, clock).await?;
        } else if has("bench-first") {
            stream.write_all(HEAD).await?;
            stream.write_all(&event(clock.elapsed().as_nanos())).await?;
            stream.write_all(end().as_bytes()).await?;
        } else if has("bench-idle") {
            seen.idle.set(seen.idle.get() + 1);
            let closed = idle(&mut stream).await;
            seen.idle.set(seen.idle.get() - 1);
            return closed;
        } else {
            stream.write_all(whole.as_bytes()).await?;
        }
    }
}

/// Chunks at a steady beat, each with the time at which it was sent.
async fn timed(stream: &mut TcpStream, clock: Instant) -> Result<()> {
    stream.write_all(HEAD).await?;
    let mut beat = tokio::time::interval(BEAT);
    for _ in 0..TIMED {
        beat.tick().await;
        stream.write_all(&event(clock.elapsed().as_nanos())).await?;
    }
    stream.write_all(end().as_bytes()).await?;
    Ok(())
}

/// One chunk, then silence until the proxy hangs up.
async fn idle(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(HEAD).await?;
    stream.write_all(&event(0)).await?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Reads one request; `None` when the client has closed between two.
async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<BytesMut>> {
    loop {
        if let Some(at) = memmem::find(buffer, b"\r\n\r\n") {
            let head = buffer.get(..at).unwrap_or_default();
            let all = at + 4 + content_length(head).unwrap_or(0);
            if buffer.len() >= all {
                return Ok(Some(buffer.split_to(all)));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The announced length of a message whose head is `head`.
pub fn content_length(head: &[u8]) -> Option<usize> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at(line.iter().position(|&byte| byte == b':')?);
        let value = std::str::from_utf8(value.get(1..)?).ok()?;
        name.eq_ignore_ascii_case(b"content-length").then(|| value.trim().parse().ok())?
    })
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// One SSE event in one HTTP chunk. Its content is the time stamp, padded to the length of a few tokens.
fn event(stamp: u128) -> Vec<u8> {
    let data = format!(
        r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764000000,"model":"bench","choices":[{{"index":0,"delta":{{"content":"at={stamp:020} "}},"finish_reason":null}}]}}"#
    );
    format!("{:x}\r\n{data}\n\n\r\n", data.len() + 2).into_bytes()
}

fn end() -> String {
    let finish = r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764000000,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764000000,"model":"bench","choices":[],"usage":{"prompt_tokens":250,"completion_tokens":200,"total_tokens":450}}"#;
    let data = format!("{finish}\n\n{usage}\n\ndata: [DONE]\n\n");
    format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len())
}

/// A whole answer of about 1 KB.
fn whole() -> String {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(16);
    let body = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1764000000,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":250,"completion_tokens":180,"total_tokens":430,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
