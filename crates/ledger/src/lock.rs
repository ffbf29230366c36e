//! One process at a time changes a data directory.
//!
//! The lock is the kernel's (`flock`), so it goes with the process, however that ends; the text in the file only
//! says whose it is. A PID file alone would need a guess whether its process still lives.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::OpenError;
use crate::recover::create_dir;

/// The name of the lock file in the data directory.
const FILE: &str = "lock";

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Creates `dir` (mode 0700) if it is missing, and takes its lock. Errors when another process has it, naming that
    /// process.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        create_dir(dir).map_err(OpenError::io(dir))?;
        let path = dir.join(FILE);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        // Only for the message above: a full disk must not keep a server from starting.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(200).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    let plain = !line.is_empty() && line.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
    plain.then(|| line.to_owned())
}
