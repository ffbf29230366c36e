//! The listener: HTTP/1.1 and h2c in, bounded in every direction, drained on shutdown.
//!
//! It differs from `axum::serve` in that timeouts really fire (hyper's own are silently off without a timer, and its
//! header timeout also cuts connections that merely rest), that connections are bounded, and that a client which hangs
//! up ends its handler at once, wherever that waits. A client that is refused while it sends can read the refusal. It costs no timer per request: one per connection, moved only when
//! it fires.

mod body;
mod connection;
mod framing;
mod gauge;
mod linger;
#[cfg(test)]
mod tests;
mod tracked;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

pub use body::{BodyError, read_body};
use connection::Drain;
pub use gauge::Peer;
pub use linger::RequestBody;

/// Written to a connection beyond the bound.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Rest of the accept loop when the process is out of file descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// Connections that the kernel completes while the accept loop is busy; it takes less where `somaxconn` is less.
const BACKLOG: u32 = 4_096;
/// Streams of one h2 connection at a time.
const STREAMS: u32 = 256;
/// hyper's least buffer.
const LEAST_BUFFER: usize = 8 * 1024;

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// For a whole request head, from its first byte (of a new connection: from its start).
    pub header_timeout: Duration,
    /// How long a connection may rest between two requests.
    pub keep_alive: Duration,
    /// Bytes of a request head; more is a 431.
    pub header_bytes: usize,
    /// Headers of a request; more is a 431.
    pub headers: usize,
    /// Open connections; more are answered 503 and closed.
    pub connections: usize,
    /// How long requests under way may take after the shutdown began.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            header_bytes: 64 * 1024,
            headers: 100,
            connections: 10_000,
            grace: Duration::from_secs(30),
        }
    }
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that ended within the grace.
    pub finished: usize,
    /// Connections that were cut.
    pub aborted: usize,
}

/// Listens on `address` with room for a burst of connections: with the usual 128, the rest of a burst waits a second
/// for its packets to be sent again. Errors when the address is taken or not ours.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does: a restart must not wait for the connections of the process before it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` is ready, then drains: accepts who has already connected, closes the listener, lets requests
/// under way finish (HTTP/1.1 answers carry `connection: close`) and cuts the rest after `options.grace`. Every request
/// carries a [`Peer`] in its extensions. A panic in a handler costs its own connection only.
pub async fn serve<S: Handler>(
    listener: TcpListener,
    service: S,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let builder = builder(&options);
    let mut open = Open { builder, service, options, tasks: JoinSet::new(), drain: Arc::default() };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.tasks.join_next(), if !open.tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => open.admit(stream, peer),
                Err(error) => rest(&error).await,
            },
        }
    }
    while let Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut Context::from_waker(Waker::noop()))
    {
        open.admit(stream, peer);
    }
    drop(listener);
    open.drain().await
}

/// What [`serve`] serves: any hyper service that never fails, such as `service_fn` around an async function.
pub trait Handler:
    Service<Request<RequestBody>, Response = Response<Self::Body>, Error = Infallible, Future = Self::Running>
    + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;
    /// Its future.
    type Running: Future<Output = Result<Response<Self::Body>, Infallible>> + Send + 'static;
}

impl<S, B> Handler for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    type Body = B;
    type Running = S::Future;
}

/// The connections of one listener.
struct Open<S> {
    builder: Builder<TokioExecutor>,
    service: S,
    options: ServerOptions,
    tasks: JoinSet<()>,
    drain: Arc<Drain>,
}

impl<S: Handler> Open<S> {
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.tasks.len() >= self.options.connections {
            // Best effort: a full send buffer is not worth a wait.
            let _ = stream.try_write(FULL);
            return;
        }
        // Both sides: 40 ms of delayed ACK otherwise sit before the first token. A socket without it still works.
        let _ = stream.set_nodelay(true);
        let (service, drain) = (self.service.clone(), Arc::clone(&self.drain));
        self.tasks.spawn(connection::drive(&self.builder, service, (stream, peer), self.options, drain));
    }

    async fn drain(mut self) -> Drained {
        self.drain.begin();
        let all = self.tasks.len();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.grace, ended).await.is_ok() {
            return Drained { finished: all, aborted: 0 };
        }
        let aborted = self.tasks.len();
        self.tasks.shutdown().await;
        Drained { finished: all - aborted, aborted }
    }
}

fn builder(options: &ServerOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours distinguishes a head that trickles in from a connection that rests.
        .header_read_timeout(None)
        .max_headers(options.headers)
        .max_buf_size(options.header_bytes.max(LEAST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(options.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// After a failed accept: at once when it concerns one connection, after a rest when it concerns the process.
async fn rest(error: &std::io::Error) {
    use std::io::ErrorKind as K;
    if !matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    ) {
        tracing::warn!(error = %error, "cannot accept connections for a moment");
        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
    }
}

/// Raises the soft limit of open files to the hard one: two sockets a stream are soon more than the usual 1,024.
/// Returns the limit that holds now; `None` when it is unlimited or unknown.
#[cfg(unix)]
pub fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Not allowed: the old limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}
