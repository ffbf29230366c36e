//! The answer after the commit point: a body that reads the upstream, rewrites frames and writes them on, in the
//! client's own task. The obvious alternative, a task and a channel between the two sides, costs a wake-up a chunk and
//! needs somebody to notice that the client has gone; here the client's hang-up drops this value, and with it the
//! upstream connection and the meters.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use ledger::Outcome;
use tokio::time::{Instant, Sleep};
use wire::{Chunk, Ending, ErrorKind, UpstreamError, Writer, sse};

use crate::meter::{AttemptMeter, RequestMeter};
use crate::shadow::Sampled;
use crate::upstream;

/// An upstream answer as SSE events, read up to where somebody decided.
pub struct Events {
    body: upstream::Body,
    splitter: sse::Splitter,
    closed: bool,
}

impl Events {
    /// Reads `body` as SSE; events above `max_event_bytes` are an error.
    pub fn new(body: upstream::Body, max_event_bytes: usize) -> Self {
        Self { body, splitter: sse::Splitter::new(max_event_bytes), closed: false }
    }

    /// The deadline between reads.
    pub fn set_idle(&mut self, idle: std::time::Duration) {
        self.body.set_idle(idle);
    }

    /// The next event that is already here, without reading.
    fn buffered(&mut self) -> Option<Result<sse::Frame, UpstreamError>> {
        let frame = self.splitter.next()?;
        Some(frame.map_err(|too_long| UpstreamError::new(ErrorKind::Garbled, None, too_long.to_string())))
    }

    /// The next event; `None` at the end of the body.
    pub async fn next(&mut self) -> Option<Result<sse::Frame, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<sse::Frame, UpstreamError>>> {
        loop {
            if let Some(frame) = self.buffered() {
                return Poll::Ready(Some(frame));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            match self.body.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => self.splitter.push(bytes),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    self.closed = true;
                    return Poll::Ready(self.splitter.finish().map(Ok));
                }
            }
        }
    }
}

/// What a stream is made from at its commit point.
pub struct Committed {
    /// Chunks that were held back, in order.
    pub held: Vec<Chunk>,
    /// The rest of the upstream's events; `None` when it ended while held.
    pub events: Option<Events>,
    /// The attempt that answers.
    pub attempt: Box<AttemptMeter>,
    /// The end of the request's total deadline.
    pub deadline: Instant,
}

/// The response body of a streamed answer.
pub struct AnswerStream {
    // Declared before `request`: attempts close before their request does.
    attempt: Option<Box<AttemptMeter>>,
    events: Option<Events>,
    request: RequestMeter,
    writer: Box<dyn Writer>,
    held: VecDeque<Chunk>,
    scratch: Vec<Chunk>,
    out: BytesMut,
    deadline: Instant,
    /// Fires every [`QUIET`] and at the deadline: one timer for both, never moved by a chunk.
    tick: Pin<Box<Sleep>>,
    /// Something went out since the last tick.
    wrote: bool,
    done: bool,
    on_end: Option<OnEnd>,
    /// Reads along, if this request was drawn.
    shadow: Option<Box<Sampled>>,
}

/// How often a silent stream is looked at. A whole period without output sends a comment, so it comes after one to two
/// periods (10 to 20 s) of silence: proxies and SDKs between here and the client do not take long thinking for a dead
/// connection (field notes §2.29).
const QUIET: std::time::Duration = std::time::Duration::from_secs(10);
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Called once with the ending of a complete stream (affinity).
pub type OnEnd = Box<dyn FnOnce(&Ending) + Send>;

/// Bytes that are gathered from ready upstream events before they are handed to the client: bounds what a slow reader
/// makes us hold.
const GATHER: usize = 64 * 1024;

impl AnswerStream {
    /// Takes over at the commit point.
    pub fn new(
        committed: Committed,
        request: RequestMeter,
        writer: Box<dyn Writer>,
        on_end: Option<OnEnd>,
        shadow: Option<Box<Sampled>>,
    ) -> Self {
        Self {
            attempt: Some(committed.attempt),
            events: committed.events,
            request,
            writer,
            held: committed.held.into(),
            scratch: Vec::new(),
            out: BytesMut::new(),
            deadline: committed.deadline,
            tick: Box::pin(tokio::time::sleep_until(committed.deadline.min(Instant::now() + QUIET))),
            wrote: false,
            done: false,
            on_end,
            shadow,
        }
    }

    /// Writes what is held, then what the upstream has ready. Returns true when `out` should go to the client.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(chunk) = self.held.pop_front() {
            if let Some(shadow) = &mut self.shadow {
                shadow.chunk(&chunk);
            }
            self.writer.chunk(chunk, &mut self.out);
        }
        while self.out.len() < GATHER {
            let Some(events) = self.events.as_mut() else {
                self.upstream_ended();
                return true;
            };
            match events.poll_next(cx) {
                Poll::Pending => return !self.out.is_empty(),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Err(error) = self.event(frame) {
                        self.broke(&error);
                        return true;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.broke(&error);
                    return true;
                }
                Poll::Ready(None) => self.events = None,
            }
        }
        true
    }

    /// Ready when time has made something to say: the total deadline, or a sign of life after a silence.
    fn tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.tick.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.deadline {
                let text = "the request's total deadline passed";
                self.broke(&UpstreamError::new(ErrorKind::Timeout, Some(200), text));
                return Poll::Ready(());
            }
            self.tick.as_mut().reset(self.deadline.min(now + QUIET));
            if !std::mem::replace(&mut self.wrote, false) {
                self.out.extend_from_slice(KEEP_ALIVE);
                return Poll::Ready(());
            }
        }
    }

    fn event(&mut self, frame: sse::Frame) -> Result<(), UpstreamError> {
        let Some(attempt) = self.attempt.as_mut() else { return Ok(()) };
        let result = attempt.reply.frame(frame, &mut self.scratch);
        for chunk in self.scratch.drain(..) {
            if let Some(shadow) = &mut self.shadow {
                shadow.chunk(&chunk);
            }
            self.writer.chunk(chunk, &mut self.out);
        }
        result
    }

    /// The upstream closed its side: a good end, or a cut stream.
    fn upstream_ended(&mut self) {
        let Some(mut attempt) = self.attempt.take() else { return };
        let ending = attempt.ending();
        if !ending.complete {
            self.attempt = Some(attempt);
            let error = UpstreamError::new(
                ErrorKind::Truncated,
                Some(200),
                "the upstream's stream ended before its end",
            );
            self.broke(&error);
            return;
        }
        attempt.succeed(Outcome::Ok, &ending);
        self.writer.end(&ending, &mut self.out);
        if let Some(on_end) = self.on_end.take() {
            on_end(&ending);
        }
        self.cost_comment();
        self.request.finish(200);
        if let (Some(shadow), Some(target)) = (self.shadow.take(), self.request.answered.clone()) {
            shadow.answered(target);
        }
        self.done = true;
    }

    /// Ends with an in-band error event, never with a clean end (LAW 4).
    fn broke(&mut self, error: &UpstreamError) {
        if let Some(mut attempt) = self.attempt.take() {
            attempt.fail(error, true);
        }
        self.events = None;
        self.writer.error(error, &mut self.out);
        self.request.finish(200);
        self.done = true;
    }

    /// What it cost, as a comment that clients ignore. It comes before the end of the body and after `[DONE]`.
    fn cost_comment(&mut self) {
        if let Some(cost) = self.request.tally.total() {
            let line = format!(": tollgate cost={cost} attempts={}\n\n", self.request.attempts);
            self.out.extend_from_slice(line.as_bytes());
        }
    }
}

impl http_body::Body for AnswerStream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        if this.tick(cx).is_pending() && !this.advance(cx) {
            return Poll::Pending;
        }
        this.wrote = true;
        Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))))
    }
}
