//! The writer thread: flushes the spool, reads it back, and puts whole requests into the store.
//!
//! It is woken once for many records (`wait` in `spool.rs`), works in turns of 50 ms, and never gives up: what
//! fails is tried again with a growing pause, at most a second long. A spool segment is deleted when every request
//! in it is in the store *and* the store is on disk; requests that are still open are repeated in a newer segment.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::assemble::{Assembler, Ready};
use crate::codec;
use crate::frame::{self, Found};
use crate::insert::Unclosed;
use crate::spool::{Sealed, Spool, Turn, lock, segment_path};
use crate::store::Store;

/// How long the first record of a turn waits for company.
const NAP: Duration = Duration::from_millis(50);
/// What a power cut can take: time between two `fdatasync`.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// First and longest pause after a failed write into the store.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Pause between two attempts to delete old segments.
const RETIRE_EVERY: Duration = Duration::from_secs(1);
/// Requests in one transaction.
const BATCH: usize = 2048;
/// Most groups of arrivals told apart.
const GROUPS: usize = 1024;
/// Bytes read from a segment at a time; holds at least one frame of any size.
const CHUNK: u64 = 2 << 20;
/// Failed turns in a row after which a new segment is tried in place of the one that cannot be written.
const NEW_SEGMENT_AFTER: u32 = 4;

/// Where the writer stands: shared with [`crate::Ledger`].
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<Standing>,
    moved: Condvar,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Records whose request is in the store, or that wait for the rest of their request.
    pub ingested: u64,
    /// When the oldest record came in that is not ingested.
    pub since: Option<Instant>,
    pub turns_begun: u64,
    /// The number of the last turn that could not write everything.
    pub last_failed: u64,
    /// Why each [`Duty`] failed when last tried.
    pub errors: [Option<String>; 4],
    /// Damage found since the start.
    pub fault: Option<String>,
    pub gone: bool,
}

/// What the writer does in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Duty {
    /// Buffer to file.
    Flush,
    /// File to store.
    Ingest,
    /// File to disk.
    Sync,
    /// Old segments away.
    Retire,
}

impl Standing {
    /// Why a duty failed when last tried.
    pub fn error(&self, duty: Duty) -> Option<&str> {
        self.errors.get(duty as usize).and_then(Option::as_deref)
    }
}

impl Progress {
    /// A copy of it.
    pub fn now(&self) -> Standing {
        lock(&self.state).clone()
    }

    /// Waits until `done` says so.
    pub fn wait_until(&self, done: impl Fn(&Standing) -> bool) -> Standing {
        let waited = self.moved.wait_while(lock(&self.state), |s| !done(s) && !s.gone);
        waited.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes damage, which no later success makes good.
    pub fn fault(&self, what: String) {
        tracing::error!(what, "the ledger's files are damaged");
        lock(&self.state).fault = Some(what);
    }

    fn note<T>(&self, duty: Duty, result: &Result<T, String>) {
        if let Some(slot) = lock(&self.state).errors.get_mut(duty as usize) {
            *slot = result.as_ref().err().cloned();
        }
    }

    fn update(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut lock(&self.state));
        self.moved.notify_all();
    }
}

pub(crate) struct Writer {
    pub spool: Arc<Spool>,
    pub store: Store,
    pub progress: Arc<Progress>,
    pub segment_bytes: u64,
    assembler: Assembler,
    ready: Vec<Ready>,
    /// Read up to here.
    at: Sealed,
    reading: Option<(u64, File)>,
    applied: u64,
    ingested: u64,
    /// Groups of records that are not all ingested: when the first of a group came in, and the number of its last.
    arrivals: VecDeque<(Instant, u64)>,
    synced: Instant,
    retired: Instant,
    /// Not before then.
    retry: Option<(Instant, Duration)>,
    failed_flushes: u32,
    /// Bytes that the last carrying took: a segment is never smaller than four times that.
    carried: u64,
}

impl Writer {
    pub fn new(
        spool: Arc<Spool>,
        store: Store,
        progress: Arc<Progress>,
        segment_bytes: u64,
        first: u64,
    ) -> Self {
        let now = Instant::now();
        Self {
            spool,
            store,
            progress,
            segment_bytes,
            assembler: Assembler::default(),
            ready: Vec::new(),
            at: Sealed { number: first, length: 0 },
            reading: None,
            applied: 0,
            ingested: 0,
            arrivals: VecDeque::new(),
            synced: now,
            retired: now,
            retry: None,
            failed_flushes: 0,
            carried: 0,
        }
    }

    /// Runs until the spool is stopped.
    pub fn run(mut self) {
        let mut again = None;
        loop {
            let turn = self.spool.wait(NAP, again);
            again = self.turn(turn);
            if turn.stop {
                break;
            }
        }
        self.finish();
        self.progress.update(|s| s.gone = true);
    }

    /// One round of work. Returns when to come back without being called.
    fn turn(&mut self, turn: Turn) -> Option<Duration> {
        let mut number = 0;
        self.progress.update(|s| {
            s.turns_begun = s.turns_begun.saturating_add(1);
            number = s.turns_begun;
        });
        if self.work(turn) {
            return self.unfinished_business();
        }
        self.progress.update(|s| s.last_failed = number);
        Some(BACKOFF.0)
    }

    /// Steps until nothing is left. However much there is to ingest, the disk is synced and old segments go in between.
    /// Returns whether everything is in the store.
    fn work(&mut self, turn: Turn) -> bool {
        loop {
            self.note_arrivals();
            let flushed = self.flush();
            self.progress.note(Duty::Flush, &flushed);
            let ingested = self.ingest_unless_pausing(turn);
            let synced = self.sync(turn);
            self.progress.note(Duty::Sync, &synced);
            let retired = self.retire(turn);
            self.progress.note(Duty::Retire, &retired);
            if ingested != Some(true) || flushed.is_err() {
                return flushed.is_ok() && ingested.is_some();
            }
        }
    }

    fn note_arrivals(&mut self) {
        if let Some(group) = self.spool.take_arrivals() {
            let full = self.arrivals.len() >= GROUPS;
            match self.arrivals.back_mut() {
                // A store that is locked for hours: the age of the oldest is still known.
                Some((_, last)) if full => *last = group.1,
                _ => self.arrivals.push_back(group),
            }
        }
        self.progress.update(|s| s.since = self.arrivals.front().map(|(since, _)| *since));
    }

    fn note_ingested(&mut self) {
        while self.arrivals.front().is_some_and(|(_, last)| *last <= self.ingested) {
            self.arrivals.pop_front();
        }
        self.progress.update(|s| {
            s.ingested = self.ingested;
            s.since = self.arrivals.front().map(|(since, _)| *since);
        });
    }

    fn unfinished_business(&self) -> Option<Duration> {
        let sealed = !self.spool.written().sealed.is_empty();
        let unsynced = self.spool.is_dirty().then(|| SYNC_EVERY.saturating_sub(self.synced.elapsed()));
        unsynced.or_else(|| sealed.then_some(RETIRE_EVERY))
    }

    /// Buffer to file. When a segment stays unwritable, tries a new one: its file may be what is broken.
    fn flush(&mut self) -> Result<(), String> {
        let Err(error) = self.spool.commit() else {
            self.failed_flushes = 0;
            return Ok(());
        };
        self.failed_flushes = self.failed_flushes.saturating_add(1);
        if self.failed_flushes.is_multiple_of(NEW_SEGMENT_AFTER) && self.spool.rotate().is_ok() {
            return self.spool.commit().map_err(|e| format!("spool: {e}"));
        }
        Err(format!("spool: {error}"))
    }

    /// Returns whether there may be more to ingest; `None` when that failed, just now or a moment ago.
    fn ingest_unless_pausing(&mut self, turn: Turn) -> Option<bool> {
        if let Some((until, _)) = self.retry
            && !turn.hurry
            && !turn.stop
            && Instant::now() < until
        {
            return None;
        }
        let result = self.ingest();
        self.retry = result.is_err().then(|| {
            let pause = self.retry.map_or(BACKOFF.0, |(_, p)| p.saturating_mul(2).min(BACKOFF.1));
            (Instant::now() + pause, pause)
        });
        self.progress.note(Duty::Ingest, &result);
        if result.is_ok() {
            self.note_ingested();
        }
        result.ok()
    }

    /// File to store, one transaction. Returns whether there may be more.
    fn ingest(&mut self) -> Result<bool, String> {
        let mut more = true;
        while self.ready.len() < BATCH && more {
            more = self.read_chunk().map_err(|e| format!("reading the spool: {e}"))?;
        }
        if !self.ready.is_empty() {
            // No attempt in `ready` lacks its close while the server runs; the time is never used.
            let unclosed = Unclosed::Crashed(Timestamp::UNIX_EPOCH);
            let (_, refused) = self.store.commit(&self.ready, unclosed).map_err(|e| format!("store: {e}"))?;
            self.spool.count_lost(refused);
            self.ready.clear();
        }
        self.ingested = self.applied;
        Ok(more)
    }

    /// Applies the next records of the spool. Returns whether there were any.
    fn read_chunk(&mut self) -> std::io::Result<bool> {
        let written = self.spool.written();
        let sealed = written.sealed.iter().find(|s| s.number == self.at.number);
        let end = sealed.unwrap_or(&written.current).length;
        if self.at.length >= end {
            if sealed.is_none() {
                self.applied = written.records;
                return Ok(false);
            }
            let newer = written.sealed.iter().map(|s| s.number).find(|n| *n > self.at.number);
            self.at = Sealed { number: newer.unwrap_or(written.current.number), length: 0 };
            self.reading = None;
            return Ok(true);
        }
        if self.at.length == 0 {
            self.at.length = frame::SEGMENT_MAGIC.len() as u64;
            return Ok(true);
        }
        let length = end.saturating_sub(self.at.length).min(CHUNK);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(0)];
        let file = match &self.reading {
            Some((number, file)) if *number == self.at.number => file,
            _ => {
                let file = File::open(segment_path(self.spool.dir(), self.at.number))?;
                &self.reading.insert((self.at.number, file)).1
            }
        };
        file.read_exact_at(&mut chunk, self.at.length)?;
        let whole = self.at.length.saturating_add(length) == end;
        self.apply_chunk(&chunk, whole);
        Ok(true)
    }

    fn apply_chunk(&mut self, chunk: &[u8], whole: bool) {
        let mut done = 0_usize;
        while let Some(rest) = chunk.get(done..).filter(|r| !r.is_empty()) {
            match frame::first(rest) {
                Found::Frame(payload, length) => {
                    if !self.assembler.apply(payload, self.at.number, true, &mut self.ready) {
                        self.spool.count_lost(1);
                    }
                    self.applied = self.applied.saturating_add(1);
                    done = done.saturating_add(length);
                    if self.ready.len() >= BATCH {
                        break;
                    }
                }
                // The frame goes on in the next chunk.
                Found::Nothing if !whole && done > 0 => break,
                // The file was altered under us: on to the next whole frame.
                Found::Nothing => {
                    self.progress.fault(format!("spool segment {} is damaged", self.at.number));
                    self.spool.count_lost(1);
                    done = done.saturating_add(frame::skip(rest));
                }
            }
        }
        self.at.length = self.at.length.saturating_add(done as u64);
    }

    fn sync(&mut self, turn: Turn) -> Result<(), String> {
        if !turn.stop && !turn.hurry && self.synced.elapsed() < SYNC_EVERY {
            return Ok(());
        }
        self.synced = Instant::now();
        self.spool.sync().map_err(|e| format!("spool: {e}"))
    }

    /// Starts a new segment when the current one is full, and deletes those that are no longer needed.
    fn retire(&mut self, turn: Turn) -> Result<(), String> {
        let written = self.spool.written();
        let full = self.segment_bytes.max(self.carried.saturating_mul(4));
        if written.current.length >= full {
            self.spool.rotate().map_err(|e| format!("spool: {e}"))?;
        }
        let behind = written.sealed.iter().filter(|s| s.number < self.at.number).map(|s| s.number);
        let Some(last) = behind.max().filter(|_| self.ready.is_empty()) else { return Ok(()) };
        if !turn.hurry && !turn.stop && self.retired.elapsed() < RETIRE_EVERY {
            return Ok(());
        }
        self.retired = Instant::now();
        if !self.carry(last) {
            return Ok(());
        }
        self.spool.commit().and_then(|()| self.spool.sync()).map_err(|e| format!("spool: {e}"))?;
        if self.store.checkpoint(false).map_err(|e| format!("store: {e}"))? {
            for number in written.sealed.iter().map(|s| s.number).filter(|n| *n <= last) {
                self.spool.remove(number).map_err(|e| format!("spool: {e}"))?;
            }
        }
        Ok(())
    }

    /// Repeats the records of open requests that lie in segments up to `last`. Returns whether there was room.
    fn carry(&mut self, last: u64) -> bool {
        let pinned: Vec<_> = self.assembler.pinned(last).collect();
        let to = self.spool.written().current.number;
        let mut bytes = 0_u64;
        for request in pinned {
            let copies: Vec<&[u8]> = self.assembler.records(request).collect();
            for payload in copies {
                bytes = bytes.saturating_add(payload.len() as u64);
                if self.spool.repeat(|out| codec::carried(out, payload)).is_none() {
                    return false;
                }
            }
            self.assembler.moved(request, to);
        }
        self.carried = bytes;
        true
    }

    /// The last turn: with nothing open, the spool is not needed any more.
    fn finish(&mut self) {
        let written = self.spool.written();
        let all_in = self.ready.is_empty() && self.ingested == self.spool.appended();
        if all_in && self.assembler.is_empty() && matches!(self.store.checkpoint(true), Ok(true)) {
            let numbers = written.sealed.iter().map(|s| s.number).chain([written.current.number]);
            for number in numbers {
                if let Err(error) = self.spool.remove(number) {
                    tracing::warn!(%error, "an old spool segment stays behind");
                }
            }
        }
    }
}
