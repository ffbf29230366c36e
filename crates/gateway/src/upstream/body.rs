//! The body of an upstream answer, read in the task of whoever wants it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep};
use wire::{ErrorKind, UpstreamError};

use super::connection::{Begun, Connection, Failure};
use super::framing::Framing;
use super::pool::{Origin, Pool};

/// A body that is read piece by piece. Dropping it before its end closes the connection.
pub struct Body {
    /// What came with the head.
    first: Bytes,
    /// `None` once the body has ended, cleanly or not.
    live: Option<Live>,
    /// One timer for the whole answer. It is moved when it fires too early, not at every piece.
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    last_read: Instant,
    deadline: Option<Instant>,
    status: u16,
}

struct Live {
    connection: Box<Connection>,
    framing: Framing,
    keep: bool,
    home: Home,
}

/// Where a connection goes when its answer has been read.
pub(super) struct Home {
    pub(super) pool: Arc<Pool>,
    pub(super) origin: Arc<Origin>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("open", &self.live.is_some()).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(
        (head, piece): Begun,
        connection: Box<Connection>,
        home: Home,
        timer: Pin<Box<Sleep>>,
        idle: Duration,
    ) -> (http::StatusCode, http::HeaderMap, Self) {
        let live = Live { connection, framing: head.framing, keep: head.keep && !piece.surplus, home };
        let mut body = Self {
            first: piece.data,
            live: Some(live),
            timer,
            idle,
            last_read: Instant::now(),
            deadline: None,
            status: head.status.as_u16(),
        };
        body.finish_if_done();
        (head.status, head.headers, body)
    }

    /// The next piece, at most 64 KiB; `None` at a clean end (the connection then goes back to the pool). Errors:
    /// `Timeout` when nothing comes within the idle deadline, `Truncated` when the connection breaks, `Garbled` when
    /// it is not HTTP any more. After an error: `None`.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] for code that polls, such as the body of an answer.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        loop {
            let Some(live) = &mut self.live else { return Poll::Ready(None) };
            match live.connection.poll_body(cx, &mut live.framing) {
                Poll::Ready(Ok(Some(piece))) => {
                    live.keep &= !piece.surplus;
                    self.finish_if_done();
                    // Only framing, half a size line: not yet a piece.
                    if piece.data.is_empty() {
                        continue;
                    }
                    self.last_read = Instant::now();
                    // A flood never goes quiet, so the timer alone would not end it.
                    if self.deadline.is_some_and(|deadline| deadline <= self.last_read) {
                        return Poll::Ready(Some(Err(self.late())));
                    }
                    return Poll::Ready(Some(Ok(piece.data)));
                }
                Poll::Ready(Ok(None)) if live.framing == Framing::UntilClose => {
                    self.live = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(None) | Err(Failure::Broken)) => {
                    return Poll::Ready(Some(Err(self.fail(ErrorKind::Truncated, "the connection broke"))));
                }
                Poll::Ready(Err(Failure::Malformed)) => {
                    return Poll::Ready(Some(Err(self.fail(ErrorKind::Garbled, "the chunks are malformed"))));
                }
                Poll::Pending => {
                    ready!(self.poll_expired(cx));
                    return Poll::Ready(Some(Err(self.late())));
                }
            }
        }
    }

    /// Reads to the end. Errors as [`Self::next`]; `Garbled` when there are more than `max` bytes.
    pub async fn collect(&mut self, max: usize) -> Result<Bytes, UpstreamError> {
        if self.announced().is_some_and(|length| length > max as u64) {
            return Err(self.oversize(max));
        }
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        // The usual answer is one piece: no copy.
        let Some(second) = self.next().await.transpose()? else {
            return if first.len() > max { Err(self.oversize(max)) } else { Ok(first) };
        };
        let mut all = BytesMut::with_capacity((first.len() + second.len()).saturating_mul(2).min(max));
        let mut piece = Some(second);
        all.extend_from_slice(&first);
        while let Some(data) = piece {
            if all.len() + data.len() > max {
                return Err(self.oversize(max));
            }
            all.extend_from_slice(&data);
            piece = self.next().await.transpose()?;
        }
        Ok(all.freeze())
    }

    /// Changes the idle deadline (first-byte before the commit point, idle after it). It runs from the last piece, or
    /// from the head when there was none yet.
    pub fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Sets an end that no piece postpones, beside the idle deadline: for the time that a request may take in all.
    pub fn set_deadline(&mut self, at: Option<std::time::Instant>) {
        self.deadline = at.map(Instant::from_std);
    }

    /// Bytes in all, where the head announced them.
    fn announced(&self) -> Option<u64> {
        let left = self.live.as_ref().map_or(Some(0), |live| live.framing.left())?;
        Some(left.saturating_add(self.first.len() as u64))
    }

    fn late(&mut self) -> UpstreamError {
        self.fail(ErrorKind::Timeout, "the rest of the answer did not come in time")
    }

    fn oversize(&mut self, max: usize) -> UpstreamError {
        self.fail(ErrorKind::Garbled, &format!("the answer is longer than {max} bytes"))
    }

    fn fail(&mut self, kind: ErrorKind, why: &str) -> UpstreamError {
        self.first = Bytes::new();
        self.live = None;
        UpstreamError::new(kind, Some(self.status), why)
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = self.last_read + self.idle;
        let due = self.deadline.map_or(idle, |deadline| deadline.min(idle));
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }

    fn finish_if_done(&mut self) {
        if self.live.as_ref().is_some_and(|live| live.framing.done())
            && let Some(Live { connection, keep, home, .. }) = self.live.take()
            && keep
        {
            home.origin.put(connection, std::time::Instant::now());
            home.pool.keep_swept();
        }
    }
}
