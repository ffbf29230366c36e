//! Tests of what only a faulty disk shows: writes that fail or stop half way, at every byte.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::spool::{Disk, RealDisk, SegmentFile, lock};
use crate::{Ledger, Options, Unwritable, samples};

/// A disk with room for so many bytes; the write that hits the end is cut short, as the kernel does.
#[derive(Clone)]
struct SmallDisk {
    room: Arc<AtomicI64>,
    /// Segments from this number on work; earlier ones fail whatever the room.
    works_from: u64,
    created: Arc<AtomicU64>,
}

struct SmallFile {
    file: Arc<dyn SegmentFile>,
    disk: SmallDisk,
    number: u64,
}

impl SmallDisk {
    fn new(room: i64) -> Self {
        Self { room: Arc::new(AtomicI64::new(room)), works_from: 0, created: Arc::default() }
    }

    fn free(&self) {
        self.room.store(i64::MAX / 2, Ordering::SeqCst);
    }
}

impl Disk for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let number = self.created.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(SmallFile { file: RealDisk.create(path)?, disk: self.clone(), number }))
    }
}

impl SegmentFile for SmallFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.number < self.disk.works_from {
            return Err(io::Error::other("this segment's blocks are bad"));
        }
        let room = self.disk.room.load(Ordering::SeqCst);
        let fits = bytes.len().min(usize::try_from(room.max(0)).unwrap());
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write(&bytes[..fits])?;
        self.disk.room.fetch_sub(i64::try_from(written).unwrap(), Ordering::SeqCst);
        Ok(written)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Hands in a whole request the way the gateway does; returns what its intent gave.
fn request(ledger: &Ledger, n: u64) -> Result<(), Unwritable> {
    let open = samples::open(n);
    let intent = samples::intent(&open);
    let result = block_on(ledger.intent(intent.clone()));
    ledger.close_attempt(samples::close(&intent));
    ledger.close_request(samples::request_close(&open));
    result
}

fn count(dir: &Path, table: &str) -> u64 {
    let db = Connection::open(dir.join("ledger.db")).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(check, "ok");
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned()
}

#[test]
fn a_disk_that_fills_at_any_byte_loses_nothing_once_freed() {
    // Three requests are about 700 bytes; each run stops at another one.
    for room in (0..760).step_by(19) {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::new(room);
        let (ledger, _) = Ledger::open_on(dir.path(), Options::default(), Box::new(disk.clone())).unwrap();
        let refused = (0..3).filter(|n| request(&ledger, *n).is_err()).count();
        if ledger.flush().is_err() {
            assert!(!ledger.stats().writable);
            assert!(ledger.stats().last_error.unwrap().contains("spool"), "the cause is named");
        }
        disk.free();
        while ledger.flush().is_err() {}
        let stats = ledger.stats();
        assert!(stats.writable && stats.lost == 0 && stats.queued == 0, "{room} bytes: {stats:?}");
        assert_eq!((count(dir.path(), "request"), count(dir.path(), "attempt")), (3, 3), "{room}, {refused}");
    }
}

#[test]
fn a_crash_while_the_disk_is_full_leaves_a_ledger_that_opens() {
    for room in (8..400).step_by(23) {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::new(room);
        let (ledger, _) = Ledger::open_on(dir.path(), Options::default(), Box::new(disk)).unwrap();
        let acknowledged = (0..3).filter(|n| request(&ledger, *n).is_ok()).count() as u64;
        drop(ledger);
        let (_ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
        let rows = count(dir.path(), "attempt");
        assert!(rows >= acknowledged, "{room} bytes: {rows} rows, {acknowledged} acknowledged");
    }
}

#[test]
fn what_does_not_fit_into_memory_is_counted_and_never_silent() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(0);
    let options = Options { max_queue: 30, ..Options::default() };
    let (ledger, _) = Ledger::open_on(dir.path(), options, Box::new(disk.clone())).unwrap();
    let mut lost_intents = 0;
    for n in 0..40 {
        lost_intents += u64::from(request(&ledger, n) == Err(Unwritable { lost: true }));
    }
    let stats = ledger.stats();
    assert_eq!(stats.queued + stats.lost, 120, "{stats:?}");
    assert!(stats.queued <= 30 && lost_intents > 0);
    disk.free();
    while ledger.flush().is_err() {}
    // Whatever was kept is a row; new requests work as if nothing had been.
    request(&ledger, 100).unwrap();
    ledger.flush().unwrap();
    assert_eq!(ledger.stats().lost, stats.lost);
    let db = Connection::open(dir.path().join("ledger.db")).unwrap();
    let last: i64 = db
        .query_row("SELECT count(*) FROM attempt WHERE id = ?1", [samples::attempt_id(100).to_bytes()], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(last, 1);
    // The kept intents were closed: there was room for that.
    let named: i64 =
        db.query_row("SELECT count(*) FROM attempt WHERE provider = 'p'", [], |r| r.get(0)).unwrap();
    assert!(named >= 10, "{named}");
}

#[test]
fn a_segment_that_stays_broken_is_left_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk { works_from: 1, ..SmallDisk::new(i64::MAX / 2) };
    let (ledger, _) = Ledger::open_on(dir.path(), Options::default(), Box::new(disk)).unwrap();
    for n in 0..5 {
        let _ = request(&ledger, n);
    }
    while ledger.flush().is_err() {}
    assert_eq!((count(dir.path(), "attempt"), ledger.stats().lost), (5, 0));
    ledger.close().unwrap();
    let (_ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!((recovery.requests, recovery.attempts, recovery.unknown_attempts), (0, 0, 0));
}

#[test]
fn an_open_request_is_carried_along_and_old_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 2000, ..Options::default() };
    let (ledger, _) = Ledger::open(dir.path(), options).unwrap();
    block_on(ledger.intent(samples::intent(&samples::open(7_000)))).unwrap();
    for n in 0..300 {
        request(&ledger, n).unwrap();
        if n % 10 == 0 {
            ledger.flush().unwrap();
        }
    }
    for _ in 0..3 {
        ledger.flush().unwrap();
    }
    let segments = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
    assert!(segments <= 3, "{segments} segments for one open request");
    assert!(ledger.stats().spool_bytes < 10_000, "{:?}", ledger.stats());
    drop(ledger);
    let (_ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!((recovery.unknown_attempts, recovery.unknown_requests), (1, 1));
    assert_eq!((count(dir.path(), "attempt"), count(dir.path(), "request")), (301, 301));
}

/// A disk that remembers what a power cut would leave, and that can be made to wait before it syncs.
#[derive(Clone, Default)]
struct CutDisk {
    /// Synced bytes of each segment.
    synced: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
    gate: Arc<Mutex<()>>,
    waiting: Arc<AtomicBool>,
}

struct CutFile {
    file: Arc<dyn SegmentFile>,
    path: PathBuf,
    length: AtomicU64,
    disk: CutDisk,
}

impl Disk for CutDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let (file, path, disk) = (RealDisk.create(path)?, path.to_owned(), self.clone());
        lock(&self.synced).insert(path.clone(), 0);
        Ok(Arc::new(CutFile { file, path, length: AtomicU64::new(0), disk }))
    }
}

impl SegmentFile for CutFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length.fetch_add(written as u64, Ordering::SeqCst);
        Ok(written)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.waiting.store(true, Ordering::SeqCst);
        let gate = lock(&self.disk.gate);
        self.disk.waiting.store(false, Ordering::SeqCst);
        let length = self.length.load(Ordering::SeqCst);
        lock(&self.disk.synced).insert(self.path.clone(), length);
        drop(gate);
        Ok(())
    }
}

/// The worst that a power cut leaves: of the spool what was synced, of the database what was checkpointed.
fn after_power_cut(dir: &Path, disk: &CutDisk) -> tempfile::TempDir {
    let after = tempfile::tempdir().unwrap();
    std::fs::create_dir(after.path().join("spool")).unwrap();
    std::fs::copy(dir.join("ledger.db"), after.path().join("ledger.db")).unwrap();
    for (path, synced) in lock(&disk.synced).iter() {
        if let Ok(bytes) = std::fs::read(path) {
            let kept = &bytes[..usize::try_from(*synced).unwrap()];
            std::fs::write(after.path().join("spool").join(path.file_name().unwrap()), kept).unwrap();
        }
    }
    after
}

#[test]
fn a_power_cut_takes_only_what_was_not_synced_yet() {
    let dir = tempfile::tempdir().unwrap();
    let disk = CutDisk::default();
    let options = Options { segment_bytes: 3000, ..Options::default() };
    let (ledger, _) = Ledger::open_on(dir.path(), options, Box::new(disk.clone())).unwrap();
    for round in 0..12_u64 {
        for n in 0..20 {
            request(&ledger, round * 100 + n).unwrap();
        }
        ledger.flush().unwrap();
        // Hold the writer just before it syncs the next record: it cannot be in the middle of a checkpoint then.
        let gate = lock(&disk.gate);
        request(&ledger, round * 100 + 99).unwrap();
        while !disk.waiting.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let after = after_power_cut(dir.path(), &disk);
        drop(gate);
        let (reopened, _) = Ledger::open(after.path(), Options::default()).unwrap();
        reopened.close().unwrap();
        // Everything of the rounds before was synced; of this one, what the last sync caught.
        let rows = count(after.path(), "attempt");
        assert!(rows >= round * 21 && rows <= round * 21 + 21, "round {round}: {rows} rows");
        assert_eq!(count(after.path(), "request"), rows);
    }
    let left = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
    assert!(left < 12, "segments were deleted on the way, or the test shows nothing: {left}");
}
