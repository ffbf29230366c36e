//! From single records to whole requests.
//!
//! A request's rows enter the store together, when it has ended: readers never see an attempt without its request,
//! and an open one costs no SQL. Until then its records wait here as bytes, and in the spool on disk.

use std::collections::{HashMap, HashSet};

use crate::codec::{self, Kind};
use crate::{AttemptId, RequestId};

/// One attempt's records.
#[derive(Debug, Default)]
pub(crate) struct AttemptParts {
    pub id: AttemptId,
    pub intent: Option<Box<[u8]>>,
    pub close: Option<Box<[u8]>>,
}

/// What can be written to the store now.
#[derive(Debug)]
pub(crate) struct Ready {
    pub request: RequestId,
    /// The request's close. `None`: its row is in the store already (a late attempt), or a crash left it open.
    pub close: Option<Box<[u8]>>,
    /// Its attempts. One without a close is inserted as unknown.
    pub attempts: Vec<AttemptParts>,
    /// A verdict on its answer, which comes alone.
    pub verdict: Option<Box<[u8]>>,
}

#[derive(Debug, Default)]
struct Open {
    /// The request's close was handed on; attempts are still running.
    ended: bool,
    attempts: Vec<AttemptParts>,
    /// The oldest segment that holds a record of it.
    segment: u64,
}

/// Requests whose records are not complete.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    open: HashMap<RequestId, Open>,
    /// Intents taken back, while a whole spool is read: a repetition may follow the withdrawal.
    withdrawn: HashSet<AttemptId>,
}

impl Assembler {
    /// Takes a record from `segment`; appends to `ready` what it completes. Returns whether the record was readable.
    ///
    /// `live`: a repetition (carried into a newer segment) says nothing new to the one who carried it.
    pub fn apply(&mut self, payload: &[u8], segment: u64, live: bool, ready: &mut Vec<Ready>) -> bool {
        let Some((kind, request, carried)) = codec::peek(payload) else { return false };
        if live && carried {
            return true;
        }
        match kind {
            Kind::Intent(id) => {
                if carried && self.withdrawn.contains(&id) {
                    return true;
                }
                self.entry(request, segment).part(id).intent = Some(payload.into());
            }
            Kind::AttemptClose(id) => {
                let open = self.entry(request, segment);
                open.part(id).close = Some(payload.into());
                if open.ended {
                    self.hand_on(request, None, ready);
                }
            }
            Kind::Withdraw(id) => {
                if !live {
                    self.withdrawn.insert(id);
                }
                if let Some(open) = self.open.get_mut(&request) {
                    open.attempts.retain(|a| a.id != id);
                    if open.attempts.is_empty() {
                        self.open.remove(&request);
                    }
                }
            }
            Kind::Verdict => {
                let verdict = Some(payload.into());
                ready.push(Ready { request, close: None, attempts: Vec::new(), verdict });
            }
            Kind::RequestClose => self.hand_on(request, Some(payload.into()), ready),
        }
        true
    }

    fn entry(&mut self, request: RequestId, segment: u64) -> &mut Open {
        self.open.entry(request).or_insert_with(|| Open { segment, ..Open::default() })
    }

    /// Moves what is complete of a request to `ready`; attempts that still run stay.
    fn hand_on(&mut self, request: RequestId, close: Option<Box<[u8]>>, ready: &mut Vec<Ready>) {
        let mut open = self.open.remove(&request).unwrap_or_default();
        let (done, running) = open.attempts.into_iter().partition(|a| a.close.is_some());
        ready.push(Ready { request, close, attempts: done, verdict: None });
        open.attempts = running;
        if !open.attempts.is_empty() {
            open.ended = true;
            self.open.insert(request, open);
        }
    }

    /// Requests with a record in `segment` or an older one.
    pub fn pinned(&self, segment: u64) -> impl Iterator<Item = RequestId> {
        self.open.iter().filter(move |(_, o)| o.segment <= segment).map(|(id, _)| *id)
    }

    /// The records of an open request.
    pub fn records(&self, request: RequestId) -> impl Iterator<Item = &[u8]> {
        let attempts = self.open.get(&request).map_or(&[][..], |o| &o.attempts);
        attempts.iter().flat_map(|a| a.intent.iter().chain(&a.close)).map(AsRef::as_ref)
    }

    /// Notes that an open request's records were repeated in segment `to`.
    pub fn moved(&mut self, request: RequestId, to: u64) {
        if let Some(open) = self.open.get_mut(&request) {
            open.segment = to;
        }
    }

    /// No request is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Everything that is still open, for recovery: nobody is left to close it.
    pub fn left_open(&mut self) -> Vec<Ready> {
        let drained = self.open.drain();
        let whole =
            |(request, o): (_, Open)| Ready { request, close: None, attempts: o.attempts, verdict: None };
        drained.map(whole).collect()
    }
}

impl Open {
    fn part(&mut self, id: AttemptId) -> &mut AttemptParts {
        let at = self.attempts.iter().position(|a| a.id == id).unwrap_or_else(|| {
            self.attempts.push(AttemptParts { id, ..AttemptParts::default() });
            self.attempts.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.attempts[at]
    }
}
