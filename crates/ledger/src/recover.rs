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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::samples;
    use crate::spool::segment_path;

    /// Two whole requests and one that a crash left open, as frames. With the records of each frame boundary.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = frame::SEGMENT_MAGIC.to_vec();
        let mut ends = vec![bytes.len()];
        for n in 0..3 {
            let open = samples::open(n);
            let intent = samples::intent(&open);
            let mut push = |write: &dyn Fn(&mut Vec<u8>)| {
                assert!(frame::append(&mut bytes, write));
                ends.push(bytes.len());
            };
            push(&|b| codec::intent(b, &intent));
            if n < 2 {
                push(&|b| codec::attempt_close(b, &samples::close(&intent)));
                push(&|b| codec::request_close(b, &samples::request_close(&open)));
            }
        }
        (bytes, ends)
    }

    fn replayed(bytes: &[u8], times: usize) -> (Vec<Recovery>, Store) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(segment_path(dir.path(), 4), bytes).unwrap();
        let mut store = Store::in_memory();
        let found = (0..times).map(|_| {
            let replayed = replay(dir.path(), &mut store, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(replayed.next, 5);
            replayed.recovery
        });
        (found.collect(), store)
    }

    #[test]
    fn a_segment_cut_at_any_byte_gives_every_whole_record() {
        let (bytes, ends) = segment();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|e| **e <= cut).count().saturating_sub(1);
            let (found, _) = replayed(&bytes[..cut], 1);
            let intents = [0, 1, 1, 1, 2, 2, 2, 3][whole];
            let closed = [0, 0, 1, 1, 1, 2, 2, 2][whole];
            let ended = [0, 0, 0, 1, 1, 1, 2, 2][whole];
            let expected = Recovery {
                records: whole as u64,
                requests: ended,
                unknown_requests: intents - ended,
                attempts: intents,
                unknown_attempts: intents - closed,
                torn_bytes: (cut - if cut < 8 { 0 } else { ends[whole] }) as u64,
                ..Recovery::default()
            };
            assert_eq!(found, [expected], "cut at {cut}");
        }
    }

    #[test]
    fn replaying_twice_changes_nothing() {
        let (bytes, _) = segment();
        let (found, store) = replayed(&bytes, 2);
        assert_eq!((found[1].requests, found[1].attempts, found[1].unknown_attempts), (0, 0, 0));
        assert_eq!([3, 3, 1, 1], ["request", "attempt", "adjustment", "decision"].map(|t| store.count(t)));
    }

    #[test]
    fn damage_in_the_middle_costs_one_record_and_keeps_the_file() {
        let (mut bytes, ends) = segment();
        bytes[ends[1] + 20] ^= 0xff;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(segment_path(dir.path(), 1), &bytes).unwrap();
        let replayed = replay(dir.path(), &mut Store::in_memory(), Timestamp::UNIX_EPOCH).unwrap();
        // The damaged close leaves its attempt open, beside the one that the crash left.
        assert_eq!((replayed.recovery.records, replayed.recovery.unknown_attempts), (6, 2));
        let [kept] = &replayed.recovery.damaged[..] else { panic!("{:?}", replayed.recovery) };
        assert_eq!(std::fs::read(kept).unwrap(), bytes);
    }

    #[test]
    fn a_repetition_after_its_withdrawal_does_not_bring_it_back() {
        let intent = samples::intent(&samples::open(1));
        let mut payload = Vec::new();
        codec::intent(&mut payload, &intent);
        let mut bytes = frame::SEGMENT_MAGIC.to_vec();
        frame::append(&mut bytes, |b| b.extend_from_slice(&payload));
        frame::append(&mut bytes, |b| codec::withdraw(b, intent.request.id, intent.id));
        frame::append(&mut bytes, |b| codec::carried(b, &payload));
        let (found, store) = replayed(&bytes, 1);
        assert_eq!((found[0].unknown_attempts, store.count("attempt")), (0, 0));
    }
}
