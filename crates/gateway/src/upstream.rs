//! One HTTP client for all vendors: an own LIFO pool of own HTTP/1.1 connections. The obvious alternatives cost more:
//! hyper-util's legacy client 2–3 µs a request, reqwest a copy besides, and hyper's connection 16 KiB a stream. No task
//! is spawned: the connection is polled by whoever reads the answer, and dropping the answer closes the socket.
//!
//! What may be called is decided by the configuration alone: the host of the [`Host`], at an address that passes
//! `address::allowed`, without following redirects, with that host's key.

mod address;
mod body;
mod connect;
mod connection;
mod framing;
mod pool;
mod request;
mod response;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use wire::{ErrorKind, Outbound, UpstreamError};

pub(crate) use address::allowed;
pub use body::Body;

use crate::config::{Host, Timeouts};
use body::Home;
use connection::{Begun, Connection, Failure};
use pool::{Pool, Scheme};
use request::Outgoing;

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
    /// Errors: `Connect` when there is no connection or it breaks before the head, `Timeout`, `Garbled` for what is not
    /// HTTP and for a compressed answer. `maybe_billed` is set once any byte of the request may have left.
    pub async fn send(
        &self,
        host: &Host,
        key: usize,
        outbound: Outbound,
        headers: &HeaderMap,
        timeouts: &Timeouts,
    ) -> Result<Reply, UpstreamError> {
        let request = Outgoing::new("POST", host, key, outbound, headers)?;
        self.call(host, request, timeouts).await
    }

    /// Reads `path`, relative to the host's base URL, with its key number `key`: for what is not inference, such as
    /// an engine's metrics. Time limits and errors as [`Self::send`].
    pub async fn get(
        &self,
        host: &Host,
        key: usize,
        path: &str,
        timeouts: &Timeouts,
    ) -> Result<Reply, UpstreamError> {
        let outbound = Outbound { path: path.to_owned(), headers: HeaderMap::new(), body: Vec::new() };
        let request = Outgoing::new("GET", host, key, outbound, &HeaderMap::new())?;
        self.call(host, request, timeouts).await
    }

    async fn call(
        &self,
        host: &Host,
        mut request: Outgoing,
        timeouts: &Timeouts,
    ) -> Result<Reply, UpstreamError> {
        let scheme = Scheme { port: host.port, https: host.https, allow_private: host.allow_private };
        let origin = self.shared.pool.origin(&host.host, scheme);
        let home = || Home { pool: Arc::clone(&self.shared.pool), origin: Arc::clone(&origin) };

        if let Some(connection) = origin.take(std::time::Instant::now()) {
            match exchange(connection, home(), &mut request, timeouts.first_byte).await {
                // The server closed the connection while it rested, and nothing of the request left: not a failure.
                Err((error, true)) if error.kind == ErrorKind::Connect => request.rewind(),
                outcome => return outcome.map_err(|(error, _)| error),
            }
        }
        // Boxed: rare, and large beside an exchange.
        let connection = Box::pin(self.open(host, timeouts.connect)).await?;
        exchange(connection, home(), &mut request, timeouts.first_byte).await.map_err(|(error, _)| error)
    }

    /// A new connection within `limit` for name, TCP and TLS together.
    async fn open(&self, host: &Host, limit: Duration) -> Result<Box<Connection>, UpstreamError> {
        let tls = if host.https { Some(self.tls()?) } else { None };
        let dialled = connect::connect(tls, &host.host, host.port, host.allow_private);
        let stream = tokio::time::timeout(limit, dialled).await.map_err(|_| {
            let mut error = UpstreamError::new(ErrorKind::Timeout, None, "no connection in time");
            error.maybe_billed = false;
            error
        })??;
        Ok(Box::new(Connection::new(stream)))
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
    mut connection: Box<Connection>,
    home: Home,
    request: &mut Outgoing,
    first_byte: Duration,
) -> Result<Reply, (UpstreamError, bool)> {
    connection.mark();
    let mut timer = Box::pin(tokio::time::sleep_until(Instant::now() + first_byte));
    let mut begun = match head(&mut connection, &mut timer, request).await {
        Ok(begun) => begun,
        Err(kind) => {
            let unsent = connection.unwritten();
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
    // An answer to half a request: what is left of it must not be taken for the next.
    begun.0.keep &= request.done();
    let headers = &begun.0.headers;
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let why = "the answer is compressed although `identity` was asked for";
        return Err((UpstreamError::new(ErrorKind::Garbled, Some(begun.0.status.as_u16()), why), false));
    }
    if let Some(rest) = keep_alive(headers) {
        connection.rest = Some(rest);
    }
    let (status, headers, body) = Body::new(begun, connection, home, timer, first_byte);
    Ok(Reply { status, headers, body })
}

/// Writes the request and reads the head of the answer, which may come before the request has gone out whole.
async fn head(
    connection: &mut Connection,
    timer: &mut Pin<Box<Sleep>>,
    request: &mut Outgoing,
) -> Result<Begun, ErrorKind> {
    let mut sending = true;
    let mut partial = Vec::new();
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if sending {
            // A server that refuses early stops reading: its answer explains what the write error does not.
            sending = connection.poll_send(cx, request).is_pending();
        }
        match connection.poll_head(cx, &mut partial) {
            Poll::Ready(Ok(begun)) => Poll::Ready(Ok(begun)),
            Poll::Ready(Err(Failure::Malformed)) => Poll::Ready(Err(ErrorKind::Garbled)),
            Poll::Ready(Err(Failure::Broken)) => Poll::Ready(Err(ErrorKind::Connect)),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| Err(ErrorKind::Timeout)),
        }
    })
    .await
}

/// `keep-alive: timeout=5`: the server closes after that long, so we stop a second earlier.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}
