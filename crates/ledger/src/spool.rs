//! The spool: an append-only log on disk that a record reaches before anything depends on it.
//!
//! The obvious alternatives are a write per record (2 µs each, `speed.md` of any storage engine says the same) and
//! a channel to a writer (lost by kill -9, and a wake-up per record). Here appenders share one buffer; whoever
//! needs it on disk first writes it for all, and everyone behind finds the work done. The writer thread reads the
//! records back from the file, so a database that is locked for an hour costs disk, not memory.
//!
//! Two locks, always taken in this order: `disk` (held during `write(2)`), then `queue` (held for a memory copy).
//! Appending takes only the second, so a slow disk never blocks a drop guard.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::frame;

/// The file system as the spool uses it: the seam where tests put a full disk.
pub(crate) trait Disk: Send + Sync {
    /// Creates a segment; fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
}

/// An open segment.
pub(crate) trait SegmentFile: Send + Sync {
    /// `write(2)` at the end: may write less than asked.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// `fdatasync(2)`.
    fn sync(&self) -> io::Result<()>;
}

/// The real one.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = File::options().append(true).create_new(true).open(path)?;
        if let Some(parent) = path.parent() {
            // The name itself must survive a power cut too.
            File::open(parent)?.sync_all()?;
        }
        Ok(Arc::new(file))
    }
}

impl SegmentFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A segment that is no longer written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub number: u64,
    /// Bytes of whole frames, magic included.
    pub length: u64,
}

/// What the writer thread may read: whole frames only.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub sealed: Vec<Sealed>,
    pub current: Sealed,
    /// Records in them since the start.
    pub records: u64,
}

/// Records that are in memory only.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    all: usize,
    /// Those of `all` that begin something.
    begins: usize,
}

impl Held {
    const fn plus(self, other: Self) -> Self {
        Self { all: self.all.saturating_add(other.all), begins: self.begins.saturating_add(other.begins) }
    }
}

struct Queue {
    buffer: Vec<u8>,
    /// In `buffer`.
    queued: Held,
    /// Taken from it and not in a file.
    pending: Held,
    /// Records accepted since the start.
    appended: u64,
    /// When the oldest record that the writer has not looked at came in.
    since: Option<Instant>,
    /// The writer was told, and has not started its turn.
    told: bool,
    hurry: bool,
    stop: bool,
}

struct DiskState {
    file: Arc<dyn SegmentFile>,
    number: u64,
    length: u64,
    sealed: VecDeque<Sealed>,
    /// Frames taken from the queue and not wholly in the file.
    pending: Vec<u8>,
    /// Bytes of `pending` that a short write put into the file.
    partly: usize,
    dirty: bool,
}

/// What woke the writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub stop: bool,
    pub hurry: bool,
}

pub(crate) struct Spool {
    dir: PathBuf,
    device: Box<dyn Disk>,
    queue: Mutex<Queue>,
    wake: Condvar,
    disk: Mutex<DiskState>,
    /// Records wholly in a file since the start.
    written: AtomicU64,
    max_in_memory: usize,
    broken: AtomicBool,
    lost: AtomicU64,
}

/// A poisoned lock is taken over: nothing in here panics while it holds one half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of a segment.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.spool"))
}

/// The segments in `dir`, oldest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        if let (Some("spool"), Some(number)) = (path.extension().and_then(|e| e.to_str()), number) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Spool {
    /// Starts segment `number` in `dir`, behind `sealed` ones. At most `max_in_memory` records wait for a disk that
    /// cannot be written. Errors when the segment cannot be created.
    pub fn create(
        dir: &Path,
        number: u64,
        sealed: Vec<Sealed>,
        max_in_memory: usize,
        device: Box<dyn Disk>,
    ) -> io::Result<Self> {
        let file = device.create(&segment_path(dir, number))?;
        let disk = DiskState {
            file,
            number,
            length: 0,
            sealed: sealed.into(),
            pending: frame::SEGMENT_MAGIC.to_vec(),
            partly: 0,
            dirty: false,
        };
        let queue = Queue {
            buffer: Vec::new(),
            queued: Held::default(),
            pending: Held::default(),
            appended: 0,
            since: None,
            told: false,
            hurry: false,
            stop: false,
        };
        Ok(Self {
            dir: dir.to_owned(),
            device,
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            disk: Mutex::new(disk),
            written: AtomicU64::new(0),
            max_in_memory,
            broken: AtomicBool::new(false),
            lost: AtomicU64::new(0),
        })
    }

    /// Where the segments are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a record to the buffer, and tells the writer if it does not know yet. Memory only. Returns the ticket
    /// that [`Spool::is_written`] takes; `None` when there is no room: then it is counted as lost.
    ///
    /// Only a third of the room is for records that begin something (`begins`), so that what has begun can also
    /// be closed.
    pub fn append(&self, begins: bool, write: impl FnOnce(&mut Vec<u8>)) -> Option<u64> {
        let mut queue = lock(&self.queue);
        let Some(ticket) = self.push(&mut queue, begins, write) else {
            drop(queue);
            self.count_lost(1);
            return None;
        };
        queue.since.get_or_insert_with(Instant::now);
        let tell = !std::mem::replace(&mut queue.told, true);
        drop(queue);
        if tell {
            self.wake.notify_one();
        }
        Some(ticket)
    }

    /// Appends a repetition of a record. `None` when there is no room: nothing is lost, try again later.
    pub fn repeat(&self, write: impl FnOnce(&mut Vec<u8>)) -> Option<u64> {
        self.push(&mut lock(&self.queue), false, write)
    }

    fn push(&self, queue: &mut Queue, begins: bool, write: impl FnOnce(&mut Vec<u8>)) -> Option<u64> {
        let held = queue.queued.plus(queue.pending);
        let room = held.all < self.max_in_memory && !(begins && held.begins >= self.max_in_memory / 3);
        if !room || !frame::append(&mut queue.buffer, write) {
            return None;
        }
        queue.queued = queue.queued.plus(Held { all: 1, begins: begins.into() });
        queue.appended = queue.appended.saturating_add(1);
        Some(queue.appended)
    }

    /// Something was written since the last [`Spool::sync`].
    pub fn is_dirty(&self) -> bool {
        lock(&self.disk).dirty
    }

    /// The record with this ticket is in the file.
    pub fn is_written(&self, ticket: u64) -> bool {
        self.written.load(Ordering::Acquire) >= ticket
    }

    /// The last write failed. The writer thread tries again; nobody else should.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Writes everything appended so far with one `write(2)`. On failure all of it stays in memory.
    pub fn commit(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let ticket = {
            let mut queue = lock(&self.queue);
            if disk.pending.is_empty() {
                std::mem::swap(&mut disk.pending, &mut queue.buffer);
            } else {
                disk.pending.extend_from_slice(&queue.buffer);
                queue.buffer.clear();
            }
            queue.pending = queue.pending.plus(std::mem::take(&mut queue.queued));
            queue.appended
        };
        let result = disk.write_pending();
        if result.is_ok() {
            lock(&self.queue).pending = Held::default();
            self.written.store(ticket, Ordering::Release);
        }
        self.broken.store(result.is_err(), Ordering::Release);
        result
    }

    /// Ends the current segment and starts the next one. With frames pending, they go whole into the new segment:
    /// what a short write left in the old one is skipped by every reader. Errors when it cannot be created.
    pub fn rotate(&self) -> io::Result<()> {
        let next = lock(&self.disk).number.saturating_add(1);
        let path = segment_path(&self.dir, next);
        let file = self.device.create(&path)?;
        let mut disk = lock(&self.disk);
        let sealed = Sealed { number: disk.number, length: disk.length };
        let old = std::mem::replace(&mut disk.file, file);
        disk.sealed.push_back(sealed);
        disk.number = next;
        disk.length = 0;
        disk.partly = 0;
        let magic_first = !disk.pending.starts_with(&frame::SEGMENT_MAGIC);
        if magic_first {
            disk.pending.splice(0..0, frame::SEGMENT_MAGIC);
        }
        drop(disk);
        old.sync()
    }

    /// What is in the files.
    pub fn written(&self) -> Written {
        let disk = lock(&self.disk);
        Written {
            sealed: disk.sealed.iter().copied().collect(),
            current: Sealed { number: disk.number, length: disk.length },
            // Changes only under the lock that is held here.
            records: self.written.load(Ordering::Acquire),
        }
    }

    /// Makes what was written survive a power cut. Errors as the disk says.
    pub fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if !std::mem::take(&mut disk.dirty) {
            return Ok(());
        }
        let file = Arc::clone(&disk.file);
        // Not under the lock: appenders go on writing while the disk catches up.
        drop(disk);
        let result = file.sync();
        if result.is_err() {
            lock(&self.disk).dirty = true;
        }
        result
    }

    /// Deletes a sealed segment. Errors as the file system says, except when it is gone already.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        match std::fs::remove_file(segment_path(&self.dir, number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        lock(&self.disk).sealed.retain(|s| s.number != number);
        Ok(())
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        let disk = lock(&self.disk);
        disk.sealed.iter().map(|s| s.length).fold(disk.length, u64::saturating_add)
    }

    /// Records accepted since the start.
    pub fn appended(&self) -> u64 {
        lock(&self.queue).appended
    }

    /// The records that came in since this was asked last: when the first one did, and the number of the last one.
    pub fn take_arrivals(&self) -> Option<(Instant, u64)> {
        let mut queue = lock(&self.queue);
        queue.since.take().map(|since| (since, queue.appended))
    }

    /// When the oldest record came in that the writer has not looked at.
    pub fn since(&self) -> Option<Instant> {
        lock(&self.queue).since
    }

    /// Records dropped since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts records that can never be written.
    pub fn count_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Ends the writer's sleep.
    pub fn hurry(&self) {
        let mut queue = lock(&self.queue);
        queue.told = true;
        queue.hurry = true;
        drop(queue);
        self.wake.notify_one();
    }

    /// Tells the writer to finish.
    pub fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.stop = true;
        drop(queue);
        self.wake.notify_one();
    }

    /// The writer's sleep: until the first record (or `again`, if it has unfinished work), then `nap` longer to let
    /// more of them gather.
    pub fn wait(&self, nap: Duration, again: Option<Duration>) -> Turn {
        let mut queue = lock(&self.queue);
        let idle = |q: &mut Queue| !q.told && !q.stop;
        queue = match again {
            None => self.wake.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.wake.wait_timeout_while(queue, limit, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if queue.told {
            let waited = self.wake.wait_timeout_while(queue, nap, |q| !q.hurry && !q.stop);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.told = false;
        Turn { stop: queue.stop, hurry: std::mem::take(&mut queue.hurry) }
    }
}

impl DiskState {
    fn write_pending(&mut self) -> io::Result<()> {
        while let Some(rest) = self.pending.get(self.partly..).filter(|r| !r.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.partly = self.partly.saturating_add(count);
                    self.dirty = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.length = self.length.saturating_add(self.partly as u64);
        self.partly = 0;
        // One burst must not hold its memory for ever.
        if self.pending.capacity() > 1 << 20 {
            self.pending = Vec::new();
        }
        self.pending.clear();
        Ok(())
    }
}
