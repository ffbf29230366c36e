//! The handle that the gateway holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::codec;
use crate::lock::DirLock;
use crate::recover::{self, Recovery, Replayed};
use crate::spool::{Disk, RealDisk, Spool, lock};
use crate::store::{self, Store};
use crate::writer::{Duty, Progress, Writer};
use crate::{AttemptClose, AttemptId, Intent, OpenError, RequestClose, RequestId, Unwritable, Verdict};

/// Folder of the spool in the data directory.
pub(crate) const SPOOL_DIR: &str = "spool";

/// Bounds of a [`Ledger`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Records that may wait in memory while the spool cannot be written; a request makes three. A third of the
    /// room is for intents, so that calls which have begun can be closed. Records above it are lost and counted.
    pub max_queue: usize,
    /// Size at which a spool segment ends, in bytes.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_queue: 150_000, segment_bytes: 4 << 20 }
    }
}

/// How the ledger is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Records accepted that the writer has not dealt with.
    pub queued: u64,
    /// Age of the oldest of them, in milliseconds.
    pub lag_ms: u64,
    /// Records that could not be kept since the start. Each is a hole in the ledger.
    pub lost: u64,
    /// Size of the spool, in bytes.
    pub spool_bytes: u64,
    /// The last write to the spool worked: what is handed in now survives a crash.
    pub writable: bool,
    /// The last write to the store worked. While it does not, rows gather in the spool.
    pub store_ok: bool,
    /// What is wrong, if anything is.
    pub last_error: Option<String>,
}

/// Takes records and brings them to disk. Cheap to clone; all clones are one ledger.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    spool: Arc<Spool>,
    progress: Arc<Progress>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dir: PathBuf,
    /// Held as long as the writer may write.
    _lock: DirLock,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens or creates the ledger in `dir`, and brings what a crash left in the spool into the store. Blocks for
    /// disk work: call it before serving. Errors when the directory is in use, the ledger is from a newer version or
    /// damaged, or the file system says no; nothing is deleted then.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(dir, options, Box::new(RealDisk))
    }

    pub(crate) fn open_on(
        dir: &Path,
        options: Options,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Recovery), OpenError> {
        let lock = DirLock::take(dir)?;
        let mut opened = Store::open(dir)?;
        let spool_dir = dir.join(SPOOL_DIR);
        recover::create_dir(&spool_dir).map_err(OpenError::io(&spool_dir))?;
        let replayed = recover::replay(&spool_dir, &mut opened.store, Timestamp::now())?;
        let Replayed { mut recovery, sealed, next } = replayed;
        recovery.created = opened.from == 0;
        let spool = Spool::create(&spool_dir, next, sealed, options.max_queue, disk);
        let spool = Arc::new(spool.map_err(OpenError::io(&spool_dir))?);
        let progress = Arc::new(Progress::default());
        let writer =
            Writer::new(Arc::clone(&spool), opened.store, Arc::clone(&progress), options.segment_bytes, next);
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(OpenError::io(dir))?;
        if opened.unchecked {
            check_in_background(dir, &progress);
        }
        spool.hurry();
        let writer = Mutex::new(Some(thread));
        let inner = Inner { spool, progress, writer, dir: dir.to_owned(), _lock: lock };
        Ok((Self { inner: Arc::new(inner) }, recovery))
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Announces an upstream call. When this returns `Ok`, the intent is in the spool by `write(2)` and survives the end
    /// of the process; one write serves all calls that wait at the same time.
    ///
    /// Errors when the spool cannot be written. The intent then waits in memory and is written later: a caller that
    /// goes on needs to do nothing; one that gives up must call [`Ledger::withdraw`].
    #[expect(clippy::needless_pass_by_value, reason = "an intent is handed over, once")]
    pub fn intent(&self, intent: Intent) -> impl Future<Output = Result<(), Unwritable>> + Send {
        // At once, so that the future does not carry the record about.
        let ticket = self.inner.spool.append(true, |out| codec::intent(out, &intent));
        self.written(ticket)
    }

    /// Waits until the record with this ticket is in the spool.
    async fn written(&self, ticket: Option<u64>) -> Result<(), Unwritable> {
        let spool = &self.inner.spool;
        let Some(ticket) = ticket else { return Err(Unwritable { lost: true }) };
        if spool.is_broken() {
            return Err(Unwritable { lost: false });
        }
        // Everyone who is ready to run appends first; then the first of us writes for all.
        tokio::task::yield_now().await;
        if spool.is_written(ticket) {
            return Ok(());
        }
        spool.commit().map_err(|_| Unwritable { lost: false })
    }

    /// Takes an intent back whose call was never made: it gets no row.
    pub fn withdraw(&self, request: RequestId, id: AttemptId) {
        self.inner.spool.append(false, |out| codec::withdraw(out, request, id));
    }

    /// Hands in the end of an attempt. Memory only, for use in a drop guard; in the spool within 50 ms. A second close
    /// of one attempt before its request ends replaces the first; after that it is ignored.
    #[expect(clippy::needless_pass_by_value, reason = "a close is handed over, once")]
    pub fn close_attempt(&self, close: AttemptClose) {
        self.inner.spool.append(false, |out| codec::attempt_close(out, &close));
    }

    /// Hands in the end of a request: its rows can enter the store now. Memory only, like [`Ledger::close_attempt`].
    #[expect(clippy::needless_pass_by_value, reason = "a close is handed over, once")]
    pub fn close_request(&self, close: RequestClose) {
        self.inner.spool.append(false, |out| codec::request_close(out, &close));
    }

    /// Hands in somebody's judgement of an answer. Memory only, like [`Ledger::close_attempt`]; given again under the same
    /// id, the newer one stands.
    pub fn verdict(&self, verdict: &Verdict) {
        self.inner.spool.append(false, |out| codec::verdict(out, verdict));
    }

    /// How it is doing.
    pub fn stats(&self) -> Stats {
        let spool = &self.inner.spool;
        let standing = self.inner.progress.now();
        let since = [standing.since, spool.since()].into_iter().flatten().min();
        let lag = since.map_or(Duration::ZERO, |s| s.elapsed());
        Stats {
            queued: spool.appended().saturating_sub(standing.ingested),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            lost: spool.lost(),
            spool_bytes: spool.bytes(),
            writable: !spool.is_broken() && !standing.gone,
            store_ok: standing.error(Duty::Ingest).is_none(),
            last_error: standing.fault.or(standing.errors.into_iter().flatten().next()),
        }
    }

    /// Blocks until everything handed in so far is in the store (an open request: in the spool); the writer syncs the
    /// spool to disk right after. Errors when the writer tried meanwhile and failed: it goes on trying.
    pub fn flush(&self) -> Result<(), Unwritable> {
        let Inner { spool, progress, .. } = &*self.inner;
        let ticket = spool.appended();
        let begun = progress.now().turns_begun;
        spool.hurry();
        let after = progress.wait_until(|s| s.ingested >= ticket || s.last_failed > begun);
        if after.ingested >= ticket { Ok(()) } else { Err(Unwritable { lost: false }) }
    }

    /// Brings everything to disk and ends the writer. Errors when something is left in memory or spool only; what is in
    /// the spool is found by the next [`Ledger::open`]. Records handed in afterwards are not written.
    pub fn close(self) -> Result<(), Unwritable> {
        let flushed = self.flush();
        self.inner.finish();
        flushed
    }
}

impl Inner {
    fn finish(&self) {
        self.spool.stop();
        let thread = lock(&self.writer).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the ledger's writer thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A large file is checked while requests are served already; what is found shows in [`Stats::last_error`].
fn check_in_background(dir: &Path, progress: &Arc<Progress>) {
    let file = dir.join(store::FILE);
    let progress = Arc::clone(progress);
    let check = move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&file, flags).map_err(|e| OpenError::from_sql(&file, e));
        match conn.and_then(|conn| store::quick_check(&conn, &file)) {
            Err(error @ OpenError::Corrupt { .. }) => progress.fault(error.to_string()),
            Err(error) => tracing::warn!(%error, "the ledger could not be checked"),
            Ok(()) => {}
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ledger-check".to_owned()).spawn(check) {
        tracing::warn!(%error, "the ledger could not be checked");
    }
}
