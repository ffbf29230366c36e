//! One HTTP client for all vendors: an own LIFO pool over hyper's `SendRequest`, because the obvious alternative,
//! hyper-util's legacy client, costs 2–3 µs more a request, and reqwest a copy. It differs from both in that no task is
//! spawned: the connection is polled by whoever reads the answer, and dropping the answer closes the socket.
//!
//! What may be called is decided by the configuration alone: the host of the [`Host`], at an address that passes
//! [`address::allowed`], without following redirects, with that host's key.

mod address;
mod body;
mod connect;
mod pool;
mod request;
#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use wire::{ErrorKind, Outbound, UpstreamError};

pub(crate) use address::allowed;
pub use body::Body;

use crate::config::{Host, Timeouts};
use body::Home;
use pool::{Channel, Pool, Scheme};
use request::Pieces;

/// Bytes of a response head, and of one piece of a body.
const READ_BUFFER: usize = 64 * 1024;
/// Headers in a response.
const HEADERS: usize = 128;

/// The client. One for the process; cheap to clone.
#[derive(Clone, Default)]
pub struct Upstream {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pool: Arc<Pool>,
    /// Made at the first call over TLS: parsing the roots would delay the start.
    tls: OnceLock<TlsConnector>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

/// The head of an upstream answer and its body. Dropping it before the end closes the connection, which cancels the
/// upstream's work.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body. Its idle deadline starts as `timeouts.first_byte`.
    pub body: Body,
}

impl Upstream {
    /// Sends a request to `host` with its key number `key` and waits for the answer's head, at most
    /// `timeouts.connect` for a connection and `timeouts.first_byte` for the head. `headers` are added to the
    /// dialect's own (`traceparent`, `x-request-id`); credentials and connection headers among them are left out.
    /// Redirects are not followed: a 3xx is returned as it is.
    ///
    /// Errors: `Connect` when there is no connection or it breaks before the head, `Timeout`, `Garbled` for a
    /// compressed answer. `maybe_billed` is set once any byte of the request may have left.
    pub async fn send(
        &self,
        host: &Host,
        key: usize,
        mut outbound: Outbound,
        headers: &HeaderMap,
        timeouts: &Timeouts,
    ) -> Result<Reply, UpstreamError> {
        let pieces: Arc<[Bytes]> = std::mem::take(&mut outbound.body).into();
        let request = || request::build(host, key, &outbound, headers, Pieces::new(Arc::clone(&pieces)));
        let scheme = Scheme { port: host.port, https: host.https, allow_private: host.allow_private };
        let origin = self.shared.pool.origin(&host.host, scheme);
        let home = || Home { pool: Arc::clone(&self.shared.pool), origin: Arc::clone(&origin) };

        if let Some(channel) = origin.take(std::time::Instant::now()) {
            match exchange(channel, home(), request()?, timeouts.first_byte).await {
                // The server closed the connection while it rested, and nothing of the request left: not a failure.
                Err((error, true)) if error.kind == ErrorKind::Connect => {}
                outcome => return outcome.map_err(|(error, _)| error),
            }
        }
        let request = request()?;
        let channel = self.open(host, timeouts.connect).await?;
        exchange(channel, home(), request, timeouts.first_byte).await.map_err(|(error, _)| error)
    }

    /// A new connection within `limit` for name, TCP and TLS together.
    async fn open(&self, host: &Host, limit: Duration) -> Result<Box<Channel>, UpstreamError> {
        let tls = self.tls()?;
        let dialled = connect::connect(tls, &host.host, host.port, host.https, host.allow_private);
        let (stream, wrote) = tokio::time::timeout(limit, dialled).await.map_err(|_| {
            let mut error = UpstreamError::new(ErrorKind::Timeout, None, "no connection in time");
            error.maybe_billed = false;
            error
        })??;
        let handshake = hyper::client::conn::http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) =
            handshake.map_err(|_| UpstreamError::new(ErrorKind::Connect, None, "no HTTP connection"))?;
        Ok(Box::new(Channel::new(sender, connection, wrote)))
    }

    fn tls(&self) -> Result<&TlsConnector, UpstreamError> {
        if let Some(tls) = self.shared.tls.get() {
            return Ok(tls);
        }
        let tls = connect::tls(connect::public_roots())
            .map_err(|e| UpstreamError::new(ErrorKind::Connect, None, format!("TLS: {e}")))?;
        Ok(self.shared.tls.get_or_init(|| tls))
    }
}

/// Sends one request on one connection. An error comes with whether the request is certain not to have left.
async fn exchange(
    mut channel: Box<Channel>,
    home: Home,
    request: http::Request<Pieces>,
    first_byte: Duration,
) -> Result<Reply, (UpstreamError, bool)> {
    channel.mark();
    let mut timer = Box::pin(tokio::time::sleep_until(Instant::now() + first_byte));
    let response = match response(&mut channel, &mut timer, request).await {
        Ok(response) => response,
        Err(kind) => {
            let unsent = channel.unwritten();
            let why = match kind {
                ErrorKind::Timeout => "no answer began in time",
                ErrorKind::Garbled => "the head of the answer is not HTTP or too large",
                _ => "the connection broke before an answer began",
            };
            let mut error = UpstreamError::new(kind, None, why);
            error.maybe_billed = !unsent;
            return Err((error, unsent));
        }
    };
    let (head, incoming) = response.into_parts();
    if let Some(coding) = head.headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let why = "the answer is compressed although `identity` was asked for";
        return Err((UpstreamError::new(ErrorKind::Garbled, Some(head.status.as_u16()), why), false));
    }
    if let Some(rest) = keep_alive(&head.headers) {
        channel.rest = rest;
    }
    let body = Body::new(incoming, channel, home, timer, first_byte, head.status.as_u16());
    Ok(Reply { status: head.status, headers: head.headers, body })
}

/// Drives the connection until the head of the answer is there.
async fn response(
    channel: &mut Channel,
    timer: &mut Pin<Box<Sleep>>,
    request: http::Request<Pieces>,
) -> Result<Response<Incoming>, ErrorKind> {
    let mut answer = pin!(channel.sender.send_request(request));
    let poll = |cx: &mut Context<'_>| -> Poll<Result<Response<Incoming>, ErrorKind>> {
        channel.drive(cx);
        // The answer comes from the connection that was just driven: it is here now, or the socket wakes us.
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Poll::Ready(answer.map_err(|e| {
                if e.is_parse() || e.is_parse_too_large() { ErrorKind::Garbled } else { ErrorKind::Connect }
            }));
        }
        if channel.finished() {
            return Poll::Ready(Err(ErrorKind::Connect));
        }
        timer.as_mut().poll(cx).map(|()| Err(ErrorKind::Timeout))
    };
    std::future::poll_fn(poll).await
}

/// `keep-alive: timeout=5`: the server closes after that long, so we stop a second earlier.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}
