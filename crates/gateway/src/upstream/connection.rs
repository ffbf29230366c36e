//! One connection to a vendor: writes a request, reads its answer, holds no buffer while it waits.
//!
//! hyper's client was here before. It costs a channel, two wake-ups and 16 KiB of buffers a stream; for the one thing
//! that a gateway needs, an answer to a POST, this is less code than driving it.

use std::cell::RefCell;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Stream;
use super::framing::{Framing, Piece};
use super::request::Outgoing;
use super::response::{self, Head};

/// Most bytes of one read.
const READ: usize = 64 * 1024;
/// Slices of one write.
const SLICES: usize = 8;

thread_local! {
    /// Every read goes here first and is copied out at its true size: a stream that waits owns no buffer, and a small
    /// piece never keeps a large allocation alive.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// An open connection.
pub(super) struct Connection {
    stream: Stream,
    /// Something was written since the last [`Self::mark`].
    wrote: bool,
    /// How long the server lets it rest.
    pub(super) rest: Option<Duration>,
}

/// Why no answer came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Broken,
    Malformed,
}

/// A head and what came of the body in the same read.
pub(super) type Begun = (Head, Piece);

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, wrote: false, rest: None }
    }

    /// A new request begins.
    pub(super) fn mark(&mut self) {
        self.wrote = false;
    }

    /// Nothing has been written since [`Self::mark`].
    pub(super) fn unwritten(&self) -> bool {
        !self.wrote
    }

    /// Open, and silent as it should be between two requests. Also forgets the task that last used it.
    pub(super) fn at_rest(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer)
            .is_pending()
    }

    /// Writes what is left of `request`.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Outgoing,
    ) -> Poll<std::io::Result<()>> {
        while !request.done() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = request.slices(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.wrote = true;
            request.advance(written);
        }
        // TLS keeps records back until it is flushed.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads the head. `begun` holds what came of it so far.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut Vec<u8>,
    ) -> Poll<Result<Begun, Failure>> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                let new = buffer.filled();
                if read.is_err() || new.is_empty() {
                    return Poll::Ready(Err(Failure::Broken));
                }
                // The usual head comes in one read and is parsed where it lies.
                let whole = begun.is_empty();
                if !whole {
                    begun.extend_from_slice(new);
                }
                let all = if whole { new } else { begun.as_slice() };
                match response::parse(all) {
                    Err(response::Malformed) => return Poll::Ready(Err(Failure::Malformed)),
                    Ok(Some((mut head, length))) => {
                        let rest = all.get(length..).unwrap_or_default();
                        let piece = head.framing.take(rest).map_err(|_| Failure::Malformed)?;
                        return Poll::Ready(Ok((head, piece)));
                    }
                    Ok(None) if whole => begun.extend_from_slice(new),
                    Ok(None) => {}
                }
            }
        })
    }

    /// Reads more of a body; `None` at the end of the connection.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        framing: &mut Framing,
    ) -> Poll<Result<Option<Piece>, Failure>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            Poll::Ready(match (read, buffer.filled()) {
                (Err(_), _) => Err(Failure::Broken),
                (Ok(()), []) => Ok(None),
                (Ok(()), new) => framing.take(new).map(Some).map_err(|_| Failure::Malformed),
            })
        })
    }
}
