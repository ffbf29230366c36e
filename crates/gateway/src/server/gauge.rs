//! What a connection is doing, seen from its socket and from its service.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::linger::{self, Linger};

/// Bytes of a head that are kept for [`super::framing`].
const KEPT: usize = 4 * 1024;
/// h2 requests that a client may cancel in [`CANCEL_WINDOW`] before its connection is closed.
const CANCELS: u32 = 1_000;
const CANCEL_WINDOW: Duration = Duration::from_secs(10);

/// The address of the client, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The state of one connection. Atomics because an h2 connection runs its requests in tasks of their own.
pub(super) struct Gauge {
    start: Instant,
    in_flight: AtomicU32,
    served: AtomicBool,
    http2: AtomicBool,
    /// When the first byte of the next head came, in milliseconds from `start` plus one; 0: not yet.
    head_since: AtomicU64,
    /// When the last request ended, in milliseconds from `start`.
    idle_since: AtomicU64,
    /// A request was answered before its body had been read.
    body_left: AtomicBool,
    /// The client has closed its side.
    client_closed: AtomicBool,
    cancels: Mutex<(u64, u32)>,
    flooded: AtomicBool,
    head: Mutex<Vec<u8>>,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            in_flight: AtomicU32::new(0),
            served: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
            client_closed: AtomicBool::new(false),
            cancels: Mutex::new((0, 0)),
            flooded: AtomicBool::new(false),
            head: Mutex::new(Vec::new()),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    pub(super) fn http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// No byte of any request has come yet.
    pub(super) fn fresh(&self) -> bool {
        !self.served.load(Relaxed) && self.head_since.load(Relaxed) == 0
    }

    /// The client cancels faster than a person could.
    pub(super) fn flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// When the connection is to be closed if nothing happens; `None` while a request is under way.
    pub(super) fn due(&self, header_timeout: Duration, keep_alive: Duration) -> Option<Instant> {
        if self.busy() {
            return None;
        }
        let at = |millis| self.start + Duration::from_millis(millis);
        if !self.served.load(Relaxed) {
            return Some(self.start + header_timeout);
        }
        match self.head_since.load(Relaxed) {
            // The bytes of an h2 connection at rest are pings as likely as heads.
            since if since > 0 && !self.http2() => Some(at(since - 1) + header_timeout),
            _ => Some(at(self.idle_since.load(Relaxed)) + keep_alive),
        }
    }

    /// The client may still be sending: the rest of a body that nobody read, or of a head that was refused.
    fn owes(&self) -> bool {
        let begun = self.head_since.load(Relaxed) > 0 || self.body_left.load(Relaxed);
        begun && !self.http2() && !self.client_closed.load(Relaxed)
    }

    /// A request's body was dropped before its end.
    pub(super) fn body_left(&self) {
        self.body_left.store(true, Relaxed);
    }

    /// Bytes came from the client.
    fn read(&self, bytes: &[u8]) {
        if self.busy() || self.http2() {
            return;
        }
        if self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.millis() + 1, Relaxed);
        }
        // The body that came along is of no interest, and a copy of it would be a large allocation.
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(head.len()).min(end);
        head.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// A request begins. Returns its guard and the bytes in which its head came, as far as they were kept.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> (InFlight, Vec<u8>) {
        self.in_flight.fetch_add(1, Relaxed);
        self.served.store(true, Relaxed);
        self.head_since.store(0, Relaxed);
        // That the next request has come shows that the body before it has been passed over.
        self.body_left.store(false, Relaxed);
        self.http2.store(http2, Relaxed);
        let head = std::mem::take(&mut *self.head.lock().unwrap_or_else(PoisonError::into_inner));
        (InFlight { gauge: Arc::clone(self), done: false }, head)
    }

    fn cancelled(&self) {
        let now = self.millis();
        let mut cancels = self.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        if u128::from(now.saturating_sub(cancels.0)) > CANCEL_WINDOW.as_millis() {
            *cancels = (now, 0);
        }
        cancels.1 += 1;
        if cancels.1 >= CANCELS {
            self.flooded.store(true, Relaxed);
        }
    }
}

/// A request under way, until its answer has been sent or given up.
pub(super) struct InFlight {
    gauge: Arc<Gauge>,
    done: bool,
}

impl InFlight {
    /// The answer was sent whole.
    pub(super) fn done(&mut self) {
        self.done = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.idle_since.store(self.gauge.millis(), Relaxed);
        self.gauge.in_flight.fetch_sub(1, Relaxed);
        if !self.done && self.gauge.http2() {
            self.gauge.cancelled();
        }
    }
}

/// A client's socket that reports what it reads.
pub(super) struct Watched {
    io: TcpStream,
    gauge: Arc<Gauge>,
    linger: Option<Linger>,
}

impl Watched {
    pub(super) fn new(io: TcpStream, gauge: Arc<Gauge>) -> Self {
        Self { io, gauge, linger: None }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.gauge.read(new);
        } else if result.is_ready() {
            self.gauge.client_closed.store(true, Relaxed);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        linger::poll_close(&mut this.io, &mut this.linger, this.gauge.owes(), cx)
    }
}
