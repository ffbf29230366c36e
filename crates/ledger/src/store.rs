//! The SQLite file: opening, migrating, and the inserts. One connection writes; readers have their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::OpenError;
use crate::assemble::Ready;
use crate::insert::{Added, Inserts, Unclosed};

/// Name of the database in the data directory.
pub(crate) const FILE: &str = "ledger.db";
/// "Toll", so that `file(1)` and we can tell a ledger from any other SQLite file.
const APPLICATION_ID: i64 = 0x546f_6c6c;
/// Steps from one version to the next; never edited once released.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("quality.sql")];
/// The version of a ledger after all [`MIGRATIONS`].
pub(crate) const VERSION: i64 = 2;
const _: () = assert!(matches!((MIGRATIONS.len(), VERSION), (2, 2)));
/// Largest file that is checked whole before the first request; checking reads all of it.
const CHECKED_AT_OPEN: u64 = 16 << 20;

/// The connection that writes.
pub(crate) struct Store {
    conn: Connection,
    file: PathBuf,
}

#[cfg(test)]
impl Store {
    /// A store that is gone with the test.
    pub fn in_memory() -> Self {
        let conn = Connection::open_in_memory().unwrap();
        create_tables(&conn).unwrap();
        Self { conn, file: PathBuf::from(":memory:") }
    }

    /// Rows of a table.
    pub fn count(&self, table: &str) -> i64 {
        self.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap()
    }
}

/// How a store was found.
#[derive(Debug)]
pub(crate) struct Opened {
    pub store: Store,
    /// Version before the migrations; 0 for a new file.
    pub from: i64,
    /// Too large to have been checked yet.
    pub unchecked: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Creates all tables in an empty database.
pub(crate) fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    MIGRATIONS.iter().try_for_each(|step| conn.execute_batch(step))
}

/// Refuses what is no ledger, a damaged one, or one from a newer version. Changes nothing. Returns its version.
pub(crate) fn check_version(conn: &Connection, schema: &str, file: &Path) -> Result<i64, OpenError> {
    let sql = |e| OpenError::from_sql(file, e);
    let number =
        |pragma: &str| conn.query_row(&format!("PRAGMA {schema}.{pragma}"), [], |r| r.get::<_, i64>(0));
    let version = number("user_version").map_err(sql)?;
    let application = number("application_id").map_err(sql)?;
    let tables = format!("SELECT count(*) FROM {schema}.sqlite_schema");
    let tables: i64 = conn.query_row(&tables, [], |r| r.get(0)).map_err(sql)?;
    if application != APPLICATION_ID && (tables, version, application) != (0, 0, 0) {
        return Err(OpenError::Corrupt {
            file: file.to_owned(),
            detail: "another program's database".to_owned(),
        });
    }
    if version > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found: version, known: VERSION });
    }
    Ok(version)
}

/// SQLite's own check of every page and index entry. Errors with the first fault.
pub(crate) fn quick_check(conn: &Connection, file: &Path) -> Result<(), OpenError> {
    let found: Result<String, _> = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0));
    match found {
        Ok(word) if word == "ok" => Ok(()),
        Ok(detail) => Err(OpenError::Corrupt { file: file.to_owned(), detail }),
        Err(error) => Err(OpenError::from_sql(file, error)),
    }
}

impl Store {
    /// Opens or creates the ledger in `dir`, checks it and brings it to [`VERSION`].
    pub fn open(dir: &Path) -> Result<Opened, OpenError> {
        let file = dir.join(FILE);
        let sql = |e| OpenError::from_sql(&file, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut conn =
            Connection::open_with_flags(&file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(sql)?;
        conn.busy_timeout(Duration::from_secs(2)).map_err(sql)?;
        let from = check_version(&conn, "main", &file)?;
        let size = std::fs::metadata(&file).map_or(0, |m| m.len());
        let unchecked = size > CHECKED_AT_OPEN;
        if from > 0 && !unchecked {
            quick_check(&conn, &file)?;
        }
        // NORMAL: a power cut may take the newest commits; the spool still has them (see `Store::checkpoint`).
        // A page that many commits changed goes into the database file once in 16 MB of log, not four times.
        let set_up =
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;
             PRAGMA wal_autocheckpoint = 4000;";
        conn.execute_batch(set_up).map_err(sql)?;
        migrate(&mut conn, from).map_err(sql)?;
        // From here on a locked database is retried by the writer, which has other work meanwhile.
        conn.busy_timeout(Duration::from_millis(20)).map_err(sql)?;
        conn.set_prepared_statement_cache_capacity(32);
        Ok(Opened { store: Self { conn, file }, from, unchecked })
    }

    /// The database file.
    pub fn path(&self) -> PathBuf {
        self.file.clone()
    }

    /// Inserts whole requests in one transaction; what is there already stays as it is. Returns what was new, and
    /// how many requests no retry can save. Errors when nothing was written: try again later.
    pub fn commit(&mut self, ready: &[Ready], unclosed: Unclosed) -> rusqlite::Result<(Added, u64)> {
        match self.commit_all(ready, unclosed) {
            Err(error) if is_about_the_row(&error) => self.commit_each(ready, unclosed),
            other => other.map(|added| (added, 0)),
        }
    }

    fn commit_all(&mut self, ready: &[Ready], unclosed: Unclosed) -> rusqlite::Result<Added> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut added = Added::default();
        let mut inserts = Inserts::prepare(&transaction)?;
        for one in ready {
            added += inserts.ready(one, unclosed)?;
        }
        drop(inserts);
        transaction.commit()?;
        Ok(added)
    }

    /// The same with a savepoint for each request, so that one which SQLite refuses does not hold up the rest.
    fn commit_each(&mut self, ready: &[Ready], unclosed: Unclosed) -> rusqlite::Result<(Added, u64)> {
        let mut transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut added = Added::default();
        let mut refused = 0_u64;
        for one in ready {
            let savepoint = transaction.savepoint()?;
            let result = Inserts::prepare(&savepoint)?.ready(one, unclosed);
            match result {
                Ok(more) => {
                    savepoint.commit()?;
                    added += more;
                }
                Err(error) if is_about_the_row(&error) => {
                    tracing::error!(%error, request = %one.request, "the ledger refused a row");
                    refused = refused.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
        transaction.commit()?;
        Ok((added, refused))
    }

    /// Moves the write-ahead log into the database file and syncs both. Returns whether all of it was moved: only
    /// then may the spool that it came from be deleted. Errors as SQLite does.
    pub fn checkpoint(&self, truncate: bool) -> rusqlite::Result<bool> {
        let pragma =
            if truncate { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        self.conn.query_row(pragma, [], |row| {
            let (busy, log, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(busy == 0 && log == moved)
        })
    }
}

fn migrate(conn: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or(0);
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// SQLite will refuse the row however often it is tried.
fn is_about_the_row(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        None => true,
    }
}
