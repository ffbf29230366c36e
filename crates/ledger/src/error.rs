//! Why a ledger cannot be opened or written. Values only: building one logs nothing.

use std::path::{Path, PathBuf};

/// Why a ledger cannot be opened. [`OpenError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the data directory.
    #[error("the data directory {} is already in use{}", dir.display(), holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// What the lock file says of its holder.
        holder: Option<String>,
    },
    /// Written by a newer Tollgate. Nothing was changed.
    #[error("{} was written by a newer Tollgate (ledger version {found}; this build knows {known})", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version of this build.
        known: i64,
    },
    /// Damaged, or no ledger at all. Nothing was changed.
    #[error("{} is damaged or no ledger: {detail}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// There is no ledger to read.
    #[error("there is no ledger in {}", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// Another program keeps the database locked.
    #[error("{} is locked by another program", file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("{}: {source}", file.display())]
    Sql {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// What the user can do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop the other process, or give this one its own --data-dir",
            Self::Newer { .. } => "use the newer Tollgate again, or give this one its own --data-dir",
            Self::Corrupt { .. } => {
                "move the file (with its -wal and -shm) aside to start a new ledger; `sqlite3 FILE .recover` may save its rows"
            }
            Self::Missing { .. } => {
                "run `tollgate serve` or `tollgate demo` first, or name the directory with --data-dir"
            }
            Self::Locked { .. } => "close the program that has the file open, e.g. a sqlite3 shell",
            Self::Io { .. } | Self::Sql { .. } => "check the directory's owner, permissions and free space",
        }
    }

    /// Sorts an SQLite error on `file` into the cases that users can act on.
    pub(crate) fn from_sql(file: &Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt { file, detail: source.to_string() }
            }
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::Locked { file }
            }
            _ => Self::Sql { file, source },
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A record could not be written to disk now. It is kept in memory and written when that works again, unless
/// `lost` says that there was no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written")]
pub struct Unwritable {
    /// The record was dropped, and counted.
    pub lost: bool,
}
