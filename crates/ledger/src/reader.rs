//! Reading, with or without a running server: the store read-only, plus what is still in the spool.
//!
//! The spool is read first and the store's snapshot is taken after it. A record leaves the spool only once its rows are
//! in the store, so nothing falls between the two; what is in both is dropped here. The spool's rows go into tables of
//! the same shape in memory, by the same inserts, so one set of queries serves both.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use crate::assemble::{Assembler, Ready};
use crate::export::{self, ExportError, FocusQuery, FocusSummary};
use crate::insert::{Inserts, Unclosed};
use crate::ledger::SPOOL_DIR;
use crate::query::Period;
use crate::query::quality::{self, RouteQuality};
use crate::query::requests::{self, Page, RequestQuery};
use crate::query::rows::RequestDetail;
use crate::query::spend::{self, Spend, SpendQuery};
use crate::query::tokenizers::{self, SamePrompts};
use crate::query::traffic::{self, Past, TrafficQuery};
use crate::{AttemptId, OpenError, RequestId, frame, recover, spool, store};

/// The schemas that every query looks into: the file, and the tables in memory.
pub(crate) const SCHEMAS: [&str; 2] = ["store", "main"];

/// The SQL condition that keeps out request rows which are in memory only to carry a late attempt: the store has
/// the real ones.
pub(crate) const fn not_echo(schema: &str) -> &'static str {
    if schema.len() == "main".len() { "r.no NOT IN (SELECT request_no FROM main.echo)" } else { "1" }
}

/// The SQL of requests `r`, each with its attempts `a`. In this order, because it is the numbers of requests that lead
/// to those of attempts.
pub(crate) fn with_attempts(schema: &str) -> String {
    format!("{schema}.request r CROSS JOIN {schema}.attempt a ON {}", attempts_of_r("a"))
}

/// The SQL condition that the attempt `table` belongs to the request `r`.
pub(crate) fn attempts_of_r(table: &str) -> String {
    format!("{table}.no BETWEEN r.no * 256 AND r.no * 256 + 255")
}

/// A view of the ledger at one moment. Open a new one to see what came since.
pub struct Reader {
    conn: Connection,
    file: PathBuf,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A query that failed: the file is locked, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", file.display())]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub source: rusqlite::Error,
}

impl Reader {
    /// Opens the ledger in `dir` for reading. Takes no lock and changes nothing. Errors when there is none, or it is from
    /// a newer version, damaged or locked.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let file = dir.join(store::FILE);
        let sql = |e| OpenError::from_sql(&file, e);
        if !file.exists() {
            return Err(OpenError::Missing { dir: dir.to_owned() });
        }
        let ready = read_spool(&dir.join(SPOOL_DIR))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(":memory:", flags).map_err(sql)?;
        conn.busy_timeout(Duration::from_secs(2)).map_err(sql)?;
        store::create_tables(&conn).map_err(sql)?;
        conn.execute_batch("CREATE TABLE echo (request_no INTEGER PRIMARY KEY) STRICT").map_err(sql)?;
        attach(&conn, &file).map_err(sql)?;
        if store::check_version(&conn, "store", &file)? == 0 {
            return Err(OpenError::Missing { dir: dir.to_owned() });
        }
        // One transaction to the end: all queries of this reader see the same moment.
        conn.execute_batch("BEGIN").map_err(sql)?;
        for one in ready {
            add(&conn, one).map_err(sql)?;
        }
        Ok(Self { conn, file })
    }

    /// What it cost. Errors when the file cannot be read.
    pub fn spend(&self, query: &SpendQuery) -> Result<Spend, ReadError> {
        spend::run(&self.conn, query).map_err(|e| self.error(e))
    }

    /// How good the answers of each route were, as far as somebody said; `with_checks`: and the routes' own checks. Errors
    /// when the file cannot be read.
    pub fn quality(&self, period: Period, with_checks: bool) -> Result<Vec<RouteQuality>, ReadError> {
        quality::run(&self.conn, period, with_checks).map_err(|e| self.error(e))
    }

    /// Pairs of models that read the same prompts, with what each counted; a pair may come twice, once from each. Errors
    /// when the file cannot be read.
    pub fn same_prompts(&self, period: Period) -> Result<Vec<SamePrompts>, ReadError> {
        tokenizers::run(&self.conn, period).map_err(|e| self.error(e))
    }

    /// Requests, newest first. Errors when the file cannot be read.
    pub fn requests(&self, query: &RequestQuery) -> Result<Page, ReadError> {
        requests::list(&self.conn, query).map_err(|e| self.error(e))
    }

    /// One request with everything that is known of it. Errors when the file cannot be read.
    pub fn request(&self, id: RequestId) -> Result<Option<RequestDetail>, ReadError> {
        requests::detail(&self.conn, id).map_err(|e| self.error(e))
    }

    /// The newest requests (at most 20) that a client gave this id. Errors when the file cannot be read.
    pub fn by_client_id(&self, client_request_id: &str) -> Result<Vec<RequestId>, ReadError> {
        requests::by_client_id(&self.conn, client_request_id).map_err(|e| self.error(e))
    }

    /// What judges said of single answers: the request, and whether its answer was at least as good as the shadow's.
    /// Errors when the file cannot be read.
    pub fn judged(&self, period: Period) -> Result<BTreeMap<RequestId, bool>, ReadError> {
        quality::judged(&self.conn, period).map_err(|e| self.error(e))
    }

    /// Hands every request that has ended to `each`, with all its attempts, in the order in which they reached the store.
    /// Memory does not grow with their number. Errors when the file cannot be read.
    pub fn traffic(&self, query: &TrafficQuery, mut each: impl FnMut(&Past)) -> Result<(), ReadError> {
        traffic::walk(&self.conn, query, &mut each).map_err(|e| self.error(e))
    }

    /// Writes the attempts as a FOCUS file. Errors when the ledger cannot be read or the file not written.
    pub fn focus(&self, query: &FocusQuery, out: impl Write) -> Result<FocusSummary, ExportError> {
        export::write_focus(&self.conn, query, out, |e| self.error(e))
    }

    fn error(&self, source: rusqlite::Error) -> ReadError {
        ReadError { file: self.file.clone(), source }
    }
}

/// Attaches the ledger as schema `store`. In a directory that we may not write to, SQLite cannot make the shared memory
/// that a write-ahead log needs; without such a log the file can be read as it is.
fn attach(conn: &Connection, file: &Path) -> rusqlite::Result<()> {
    let attach = |mode: &str| -> rusqlite::Result<()> {
        let uri = format!("file:{}?{mode}", percent_encoded(file));
        conn.execute("ATTACH DATABASE ?1 AS store", [uri])?;
        conn.query_row("SELECT count(*) FROM store.sqlite_schema", [], |_| Ok(()))
    };
    let result = attach("mode=ro");
    let Err(error) = &result else { return Ok(()) };
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) && !Path::new(&log).exists() {
        // Fails where nothing was attached, which is as good.
        let _ = conn.execute("DETACH DATABASE store", []);
        return attach("immutable=1");
    }
    result
}

/// A path inside an SQLite URI.
fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Whole and unfinished requests of the spool. A segment that disappears meanwhile is in the store.
fn read_spool(dir: &Path) -> Result<Vec<Ready>, OpenError> {
    let segments = match spool::list(dir) {
        Ok(segments) => segments,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(OpenError::Io { path: dir.to_owned(), source }),
    };
    let mut assembler = Assembler::default();
    let mut ready = Vec::new();
    for (number, path) in segments {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        if let Some(body) = recover::body(&path, &bytes)? {
            frame::scan(body, |payload| {
                assembler.apply(payload, number, false, &mut ready);
            });
        }
    }
    ready.append(&mut assembler.left_open());
    Ok(ready)
}

/// Adds what the store lacks of a request to the tables in memory.
fn add(conn: &Connection, mut ready: Ready) -> rusqlite::Result<()> {
    if ready.verdict.is_some() {
        // What the store has too is told apart by its id when it is read.
        return Inserts::prepare(conn)?.ready(&ready, Unclosed::Running).map(|_| ());
    }
    let mut statement = conn.prepare_cached("SELECT no FROM store.request WHERE id = ?1")?;
    let stored: Option<i64> = statement.query_row([ready.request.to_bytes()], |row| row.get(0)).optional()?;
    if let Some(no) = stored {
        let sql = "SELECT id FROM store.attempt WHERE no BETWEEN ?1 * 256 AND ?1 * 256 + 255";
        let mut statement = conn.prepare_cached(sql)?;
        let ids = statement.query_map([no], |row| row.get(0).map(AttemptId::from_bytes))?;
        let ids = ids.collect::<rusqlite::Result<Vec<_>>>()?;
        ready.attempts.retain(|attempt| !ids.contains(&attempt.id));
        if ready.attempts.is_empty() {
            return Ok(());
        }
        ready.close = None;
    }
    let mut inserts = Inserts::prepare(conn)?;
    inserts.ready(&ready, Unclosed::Running)?;
    if stored.is_some()
        && let Some(no) = inserts.request_no(ready.request)?
    {
        conn.execute("INSERT OR IGNORE INTO echo (request_no) VALUES (?1)", params![no])?;
    }
    Ok(())
}
