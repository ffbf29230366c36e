//! A fresh data folder for each run, so that the demo never touches a user's ledger and its figures are of one run.
//!
//! The obvious alternative, one folder that is emptied first, would delete whatever a wrong flag points at. Here only
//! folders that carry our name are ever removed, a day after they were made and when no process holds them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ledger::DirLock;
use ulid::Ulid;

/// How long a run's folder is kept for `spend` and `requests`.
const KEPT: Duration = Duration::from_hours(24);
const PREFIX: &str = "run-";

/// Makes the folder of a run named `id` below `base`. Errors when the file system says no.
pub fn fresh(base: &Path, id: Ulid, now: SystemTime) -> io::Result<PathBuf> {
    // leftovers are no reason to fail
    let _ = prune(base, now);
    let dir = base.join(format!("{PREFIX}{id}"));
    std::fs::create_dir_all(&dir)?;
    dir.canonicalize()
}

fn prune(base: &Path, now: SystemTime) -> io::Result<()> {
    for entry in std::fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name();
        let made = name.to_str().and_then(|name| Ulid::from_string(name.strip_prefix(PREFIX)?).ok());
        let old = made.is_some_and(|id| now.duration_since(id.datetime()).is_ok_and(|age| age > KEPT));
        if old && entry.file_type()?.is_dir() && DirLock::take(&entry.path()).is_ok() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_old_unused_folders_go() {
        let base = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let id = |hours: u64, random| {
            let then = now.checked_sub(Duration::from_hours(hours)).unwrap();
            let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Ulid::from_parts(u64::try_from(since.as_millis()).unwrap(), random)
        };
        let old = fresh(base.path(), id(30, 1), now).unwrap();
        let used = fresh(base.path(), id(31, 2), SystemTime::UNIX_EPOCH).unwrap();
        let young = fresh(base.path(), id(2, 3), SystemTime::UNIX_EPOCH).unwrap();
        let foreign = base.path().join("ledger");
        std::fs::create_dir(&foreign).unwrap();
        let _held = DirLock::take(&used).unwrap();
        let new = fresh(base.path(), id(0, 4), now).unwrap();
        assert_eq!(
            [&old, &used, &young, &foreign, &new].map(|dir| dir.exists()),
            [false, true, true, true, true]
        );
    }
}
