//! What [`crate::Ledger::open`] finds in the spool of a server that stopped, cleanly or not.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::OpenError;
use crate::assemble::{Assembler, Ready};
use crate::frame;
use crate::insert::{Added, Unclosed};
use crate::spool::{self, Sealed};
use crate::store::Store;

/// Requests in one transaction.
const BATCH: usize = 2048;

/// What was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The ledger was created just now.
    pub created: bool,
    /// Records read from the spool.
    pub records: u64,
    /// Requests that were in the spool only.
    pub requests: u64,
    /// Attempts that were in the spool only.
    pub attempts: u64,
    /// Attempts that a crash left open: now [`crate::Outcome::Unknown`], with their cost estimated.
    pub unknown_attempts: u64,
    /// Requests that a crash left open.
    pub unknown_requests: u64,
    /// Bytes at the end of segments that a crash cut off. Nothing was promised about them.
    pub torn_bytes: u64,
    /// Segments with damage in their middle: kept beside the spool under these names.
    pub damaged: Vec<PathBuf>,
}

/// What is in the way of deleting the replayed segments.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub recovery: Recovery,
    /// Old segments whose rows are in the store, perhaps not yet on disk.
    pub sealed: Vec<Sealed>,
    /// The number of the next segment.
    pub next: u64,
}

/// Brings every record of the spool in `dir` into the store. Attempts left open are closed as unknown at `now`.
/// Errors when a segment cannot be read, is from a newer version, or the store cannot be written.
pub(crate) fn replay(dir: &Path, store: &mut Store, now: Timestamp) -> Result<Replayed, OpenError> {
    let segments = spool::list(dir).map_err(OpenError::io(dir))?;
    let mut replay = Replay {
        store,
        unclosed: Unclosed::Crashed(now),
        assembler: Assembler::default(),
        ready: Vec::new(),
        recovery: Recovery::default(),
    };
    let mut sealed = Vec::new();
    for (number, path) in &segments {
        let bytes = std::fs::read(path).map_err(OpenError::io(path))?;
        let damaged = replay.segment(*number, path, &bytes)?;
        if damaged {
            replay.recovery.damaged.push(path.with_extension("damaged"));
        }
        sealed.push(Sealed { number: *number, length: bytes.len() as u64 });
    }
    replay.ready = replay.assembler.left_open();
    replay.commit()?;
    let recovery = replay.recovery;
    for kept in &recovery.damaged {
        // A copy: the segment itself is deleted when the store is on disk.
        let from = kept.with_extension("spool");
        std::fs::copy(&from, kept).map_err(OpenError::io(kept))?;
    }
    let next = segments.last().map_or(1, |(n, _)| n.saturating_add(1));
    Ok(Replayed { recovery, sealed, next })
}

struct Replay<'a> {
    store: &'a mut Store,
    unclosed: Unclosed,
    assembler: Assembler,
    ready: Vec<Ready>,
    recovery: Recovery,
}

impl Replay<'_> {
    /// Applies a segment. Returns whether it is damaged in its middle.
    fn segment(&mut self, number: u64, path: &Path, bytes: &[u8]) -> Result<bool, OpenError> {
        let Some(body) = body(path, bytes)? else {
            self.recovery.torn_bytes = self.recovery.torn_bytes.saturating_add(bytes.len() as u64);
            return Ok(false);
        };
        let mut unreadable = false;
        let mut failed = Ok(());
        let damage = frame::scan(body, |payload| {
            self.recovery.records = self.recovery.records.saturating_add(1);
            unreadable |= !self.assembler.apply(payload, number, false, &mut self.ready);
            if self.ready.len() >= BATCH && failed.is_ok() {
                failed = self.commit();
            }
        });
        failed?;
        self.commit()?;
        self.recovery.torn_bytes = self.recovery.torn_bytes.saturating_add(damage.torn as u64);
        Ok(unreadable || damage.skipped > 0)
    }

    fn commit(&mut self) -> Result<(), OpenError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let file = self.store.path();
        let committed = self.store.commit(&self.ready, self.unclosed);
        let (added, _refused) = committed.map_err(|e| OpenError::from_sql(&file, e))?;
        self.ready.clear();
        let Added { requests, attempts, unknown_attempts, unknown_requests } = added;
        let recovery = &mut self.recovery;
        recovery.requests = recovery.requests.saturating_add(requests);
        recovery.attempts = recovery.attempts.saturating_add(attempts);
        recovery.unknown_attempts = recovery.unknown_attempts.saturating_add(unknown_attempts);
        recovery.unknown_requests = recovery.unknown_requests.saturating_add(unknown_requests);
        Ok(())
    }
}

/// The frames of a segment; `None` when a crash cut it off inside its magic. Errors when it is from a newer version
/// or no segment.
pub(crate) fn body<'a>(path: &Path, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, OpenError> {
    if let Some(body) = bytes.strip_prefix(&frame::SEGMENT_MAGIC) {
        return Ok(Some(body));
    }
    if frame::SEGMENT_MAGIC.starts_with(bytes) {
        return Ok(None);
    }
    match bytes.strip_prefix(frame::MAGIC_NAME).and_then(<[u8]>::first) {
        Some(version) if *version > frame::SEGMENT_VERSION => Err(OpenError::Newer {
            file: path.to_owned(),
            found: (*version).into(),
            known: frame::SEGMENT_VERSION.into(),
        }),
        _ => Err(OpenError::Corrupt {
            file: path.to_owned(),
            detail: "it does not begin as a spool segment".to_owned(),
        }),
    }
}

/// Creates the spool's folder. Errors as the file system does.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
