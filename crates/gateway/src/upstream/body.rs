//! The body of an upstream answer, read in the task of whoever wants it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::{Frame, Incoming};
use tokio::time::{Instant, Sleep};
use wire::{ErrorKind, UpstreamError};

use super::pool::{Channel, Origin, Pool};

/// A body that is read piece by piece. Dropping it before its end closes the connection.
pub struct Body {
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
    incoming: Incoming,
    channel: Box<Channel>,
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
        incoming: Incoming,
        channel: Box<Channel>,
        home: Home,
        timer: Pin<Box<Sleep>>,
        idle: Duration,
        status: u16,
    ) -> Self {
        let ended = incoming.is_end_stream();
        let live = Some(Live { incoming, channel, home });
        let mut body = Self { live, timer, idle, last_read: Instant::now(), deadline: None, status };
        if ended {
            body.finish();
        }
        body
    }

    /// The next piece, at most 64 KiB; `None` at a clean end (the connection then goes back to the pool). Errors:
    /// `Timeout` when nothing comes within the idle deadline, `Truncated` when the connection breaks. After an error:
    /// `None`.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] for code that polls, such as the body of an answer.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            let Some(live) = &mut self.live else { return Poll::Ready(None) };
            match live.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let last = live.incoming.is_end_stream();
                    // Trailers carry nothing that a dialect reads.
                    let Ok(data) = frame.into_data() else { continue };
                    if last {
                        self.finish();
                    }
                    if !data.is_empty() {
                        self.last_read = Instant::now();
                        // A flood never goes quiet, so the timer alone would not end it.
                        if self.deadline.is_some_and(|deadline| deadline <= self.last_read) {
                            return Poll::Ready(Some(Err(self.late())));
                        }
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.live = None;
                    return Poll::Ready(Some(Err(self.error(ErrorKind::Truncated, "the connection broke"))));
                }
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(self.poll_expired(cx));
                    self.live = None;
                    return Poll::Ready(Some(Err(
                        self.error(ErrorKind::Timeout, "nothing more came in time")
                    )));
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

    fn announced(&self) -> Option<u64> {
        self.live.as_ref().and_then(|live| live.incoming.size_hint().exact())
    }

    fn late(&mut self) -> UpstreamError {
        self.live = None;
        self.error(ErrorKind::Timeout, "the rest of the answer did not come in time")
    }

    fn oversize(&mut self, max: usize) -> UpstreamError {
        self.live = None;
        self.error(ErrorKind::Garbled, &format!("the answer is longer than {max} bytes"))
    }

    fn error(&self, kind: ErrorKind, why: &str) -> UpstreamError {
        UpstreamError::new(kind, Some(self.status), why)
    }

    fn due(&self) -> Instant {
        let idle = self.last_read + self.idle;
        self.deadline.map_or(idle, |deadline| deadline.min(idle))
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due();
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

    fn finish(&mut self) {
        if let Some(Live { channel, home, incoming }) = self.live.take() {
            drop(incoming);
            home.origin.put(channel, std::time::Instant::now());
            home.pool.keep_swept();
        }
    }
}

impl Live {
    /// hyper hands pieces over a channel whose other end is driven right here, so the channel needs no waker: a piece
    /// is there after driving, or it is not, and then the socket wakes us.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        let ready = Pin::new(&mut self.incoming).poll_frame(&mut quiet);
        if ready.is_ready() {
            return ready;
        }
        self.channel.drive(cx);
        Pin::new(&mut self.incoming).poll_frame(&mut quiet)
    }
}
