//! Closing a connection whose client is still sending.
//!
//! A server that answers before it has read everything (413, 401, 431) and then closes lets its kernel reset the
//! connection, and the client finds an error instead of the answer. So the sending side is closed first, and what still
//! comes is read and thrown away, as RFC 9112 §9.6 asks; bounded, because a client may never stop.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::gauge::Gauge;

/// Bytes that are thrown away, at most: twice the usual bound of a body, so that the usual excess ends by itself.
const BYTES: usize = 64 << 20;
/// How long nothing may come.
const QUIET: Duration = Duration::from_secs(2);
/// How long it may take in all, at whatever pace.
const WHOLE: Duration = Duration::from_secs(10);
/// Thrown away at a time.
const PIECE: usize = 16 * 1024;

/// The throwing away.
pub(super) struct Linger {
    left: usize,
    end: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Linger {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { left: BYTES, end: now + WHOLE, timer: Box::pin(tokio::time::sleep_until(now + QUIET)) }
    }

    /// Ready when the client has closed its side, has failed, or has used up a bound.
    pub(super) fn poll(&mut self, io: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut progress = false;
        loop {
            let mut piece = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if (1..=self.left).contains(&piece.filled().len()) => {
                    self.left -= piece.filled().len();
                    progress = true;
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if progress {
            self.timer.as_mut().reset(self.end.min(Instant::now() + QUIET));
        }
        self.timer.as_mut().poll(cx)
    }
}

/// A request's body as it comes. It tells its connection when it is dropped before its end.
pub struct RequestBody {
    body: Incoming,
    ended: bool,
    gauge: Arc<Gauge>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, gauge: Arc<Gauge>) -> Self {
        Self { body, ended: false, gauge }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.gauge.body_left();
        }
    }
}

/// Closes `io`: its sending side at once, the rest when the client has sent what it `owes`.
pub(super) fn poll_close(
    io: &mut TcpStream,
    linger: &mut Option<Linger>,
    owes: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if linger.is_none() {
        ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
        if !owes {
            return Poll::Ready(Ok(()));
        }
    }
    linger.get_or_insert_with(Linger::new).poll(io, cx).map(Ok)
}
