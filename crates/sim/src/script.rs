//! An answer's body as a list of steps: bytes, waits, and the ways in which it breaks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use crate::server::Shared;
use crate::stats::{Bill, BillEnd, Tally};

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes, with the tokens that they are billed for.
    Send { bytes: Bytes, output: u64, reasoning: u64 },
    /// Time passes.
    Wait(Duration),
    /// Nothing comes any more.
    Hang,
    /// The connection breaks.
    Break,
    /// The answer ends here although it is not whole.
    End,
    /// As [`Step::End`], but the vendor failed by its own words: nothing is charged unless output was sent.
    Fail,
}

/// A call being answered. Dropped before its end, it counts as cancelled: the caller hung up.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    bill: Option<usize>,
    open: bool,
    free: bool,
}

impl Ticket {
    /// A call that passed the vendor's checks; its number.
    pub fn open(shared: &Arc<Shared>) -> (Self, u64) {
        let number = shared.write(|book| {
            book.stats.calls += 1;
            book.stats.open += 1;
            book.stats.most_open = book.stats.most_open.max(book.stats.open);
            book.stats.calls - 1
        });
        (Self { shared: Arc::clone(shared), bill: None, open: true, free: false }, number)
    }

    /// Begins its bill.
    pub fn bill(&mut self, bill: Bill) {
        self.bill = self.shared.write(|book| book.bill(bill));
    }

    /// It was refused: no bill.
    pub fn refuse(mut self) {
        self.close(None);
    }

    /// It ended.
    pub fn close(&mut self, end: Option<BillEnd>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        self.shared.write(|book| {
            book.stats.open -= 1;
            match end {
                Some(BillEnd::Complete | BillEnd::Open) => book.stats.completed += 1,
                Some(BillEnd::Cancelled) => book.stats.cancelled += 1,
                Some(BillEnd::Broken) => book.stats.broken += 1,
                None => {}
            }
            if let (Some(bill), Some(end)) = (book.billed(self.bill), end) {
                bill.end = end;
                if self.free && bill.tally.output + bill.tally.reasoning == 0 {
                    bill.tally = Tally::default();
                }
            }
        });
    }

    fn sent(&self, bytes: usize, output: u64, reasoning: u64) {
        self.shared.write(|book| {
            book.stats.bytes_out += bytes as u64;
            if let Some(bill) = book.billed(self.bill) {
                bill.tally.output += output;
                bill.tally.reasoning += reasoning;
            }
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.close(Some(BillEnd::Cancelled));
    }
}

/// The body breaks here, on purpose.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a declared fault")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The body.
#[derive(Debug)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The break waits for one turn of the event loop, so that what came before it is on the wire.
    breaking: bool,
    ticket: Option<Ticket>,
}

impl Script {
    /// Plays `steps` for a call.
    pub fn play(steps: Vec<Step>, ticket: Ticket) -> Self {
        Self { steps: steps.into(), sleep: None, breaking: false, ticket: Some(ticket) }
    }

    /// A body that belongs to no call: an error or a list of models.
    pub fn plain(bytes: Bytes) -> Self {
        let steps = VecDeque::from([Step::Send { bytes, output: 0, reasoning: 0 }]);
        Self { steps, sleep: None, breaking: false, ticket: None }
    }

    fn close(&mut self, end: BillEnd) {
        if let Some(ticket) = &mut self.ticket {
            ticket.close(Some(end));
        }
    }

    /// The last bytes are out: the call is complete even if the caller closes before it polls for the end.
    fn ended(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.sleep = None;
            }
            match self.steps.pop_front() {
                None => {
                    self.close(BillEnd::Complete);
                    return Poll::Ready(None);
                }
                Some(Step::Send { bytes, output, reasoning }) => {
                    if let Some(ticket) = &self.ticket {
                        ticket.sent(bytes.len(), output, reasoning);
                    }
                    if self.ended() {
                        self.close(BillEnd::Complete);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Wait(time)) if time.is_zero() => {}
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Hang) => {
                    // stays here; the connection task drops the body when the caller closes
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Break) if self.breaking => {
                    self.close(BillEnd::Broken);
                    return Poll::Ready(Some(Err(Broken)));
                }
                Some(Step::Break) => {
                    self.breaking = true;
                    self.steps.push_front(Step::Break);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::End) => {
                    self.steps.clear();
                    self.close(BillEnd::Broken);
                    return Poll::Ready(None);
                }
                Some(Step::Fail) => {
                    if let Some(ticket) = &mut self.ticket {
                        ticket.free = true;
                    }
                    self.steps.push_front(Step::End);
                }
            }
        }
    }
}
