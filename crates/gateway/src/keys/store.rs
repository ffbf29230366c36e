//! `DATA_DIR/keys.toml`: the keys that `tollgate keys` made. Holds hashes, never secrets; replaced whole, so a running
//! server that watches it never sees half of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{KeyHash, KeyRing, hex, is_key_name, new_secret, unhex};
use crate::config::Secret;

const FILE: &str = "keys.toml";
const LOCK: &str = "keys.lock";
const HEADER: &str = "# Client keys of this Tollgate. Written by `tollgate keys`; holds no secrets.\n";

/// A key that `tollgate keys` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name in the ledger.
    pub name: String,
    /// The keyed hash of its secret.
    pub hash: KeyHash,
    /// The secret's last four characters, so that people can tell keys apart.
    pub last4: String,
    /// When it was made, or last rotated.
    pub created_at: Timestamp,
    /// When it was revoked. Revoked keys stay on file: a server whose last key is revoked must not become one that
    /// asks for none.
    pub revoked_at: Option<Timestamp>,
}

/// A key that was just made, with the secret that is shown once and kept nowhere.
#[derive(Debug)]
pub struct NewKey {
    /// The secret.
    pub secret: Secret,
    /// What is kept of it.
    pub key: StoredKey,
}

/// The key file of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// All keys by name, revoked ones too.
    pub keys: Vec<StoredKey>,
}

/// What can go wrong with the files of client keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what we wrote.
    #[error("{path} cannot be read: {why}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Not a name.
    #[error("`{0}` is no name for a key: at most 64 letters, digits, `.`, `_` or `-`, and no dot first")]
    Name(String),
    /// A key of this name is there and not revoked.
    #[error("a key called `{0}` exists; `tollgate keys rotate {0}` gives it a new secret")]
    Exists(String),
    /// No key of this name is there, or it is revoked.
    #[error("`tollgate keys` made no key called `{0}` that is in use; `tollgate keys list` shows all")]
    Missing(String),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    #[serde(default)]
    key: Vec<DiskKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DiskKey {
    name: String,
    hash: String,
    last4: String,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

impl KeyFile {
    /// Where the key file of a data directory lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// The keys of a data directory; none when it has no file. Errors when it cannot be read or is not ours.
    pub fn read(data_dir: &Path) -> Result<Self, KeyFileError> {
        let path = Self::path(data_dir);
        let Some(text) = read(&path)? else { return Ok(Self::default()) };
        let malformed = |why: String| KeyFileError::Malformed { path: path.clone(), why };
        // The message alone: a parser's excerpt could show a secret that someone pasted.
        let disk: Disk = toml::from_str(&text).map_err(|e| malformed(e.message().to_owned()))?;
        let keys = disk.key.into_iter().map(|key| {
            let hash = unhex(&key.hash)
                .ok_or_else(|| malformed(format!("the hash of `{}` is no hash", key.name)))?;
            let DiskKey { name, last4, created_at, revoked_at, .. } = key;
            Ok(StoredKey { name, hash, last4, created_at, revoked_at })
        });
        Ok(Self { keys: keys.collect::<Result<_, KeyFileError>>()? })
    }

    /// Makes a key. Errors when the name is none or taken, or the file cannot be written.
    pub fn create(data_dir: &Path, name: &str, now: Timestamp) -> Result<NewKey, KeyFileError> {
        if !is_key_name(name) {
            return Err(KeyFileError::Name(name.to_owned()));
        }
        change(data_dir, |ring, file| {
            if file.active(name).is_some() {
                return Err(KeyFileError::Exists(name.to_owned()));
            }
            file.keys.retain(|key| key.name != name);
            let new = fresh(ring, name, now)?;
            file.keys.push(new.key.clone());
            Ok(new)
        })
    }

    /// Gives a key a new secret; the old one ends at once. Errors when no key of that name is in use.
    pub fn rotate(data_dir: &Path, name: &str, now: Timestamp) -> Result<NewKey, KeyFileError> {
        change(data_dir, |ring, file| {
            let new = fresh(ring, name, now)?;
            *file.active(name).ok_or_else(|| KeyFileError::Missing(name.to_owned()))? = new.key.clone();
            Ok(new)
        })
    }

    /// Ends a key. Errors when no key of that name is in use.
    pub fn revoke(data_dir: &Path, name: &str, now: Timestamp) -> Result<(), KeyFileError> {
        change(data_dir, |_, file| {
            let key = file.active(name).ok_or_else(|| KeyFileError::Missing(name.to_owned()))?;
            key.revoked_at = Some(now);
            Ok(())
        })
    }

    fn active(&mut self, name: &str) -> Option<&mut StoredKey> {
        self.keys.iter_mut().find(|key| key.name == name && key.revoked_at.is_none())
    }

    fn write(&self, data_dir: &Path) -> Result<(), KeyFileError> {
        let path = Self::path(data_dir);
        let key = self.keys.iter().map(|key| DiskKey {
            name: key.name.clone(),
            hash: hex(&key.hash),
            last4: key.last4.clone(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        });
        let text = toml::to_string(&Disk { key: key.collect() });
        let text = text.map_err(|e| KeyFileError::Malformed { path: path.clone(), why: e.to_string() })?;
        replace(&path, format!("{HEADER}\n{text}").as_bytes())
    }
}

fn fresh(ring: &KeyRing, name: &str, now: Timestamp) -> Result<NewKey, KeyFileError> {
    let secret = new_secret().map_err(|_| KeyFileError::Random)?;
    let last4 = secret.get(secret.len().saturating_sub(4)..).unwrap_or_default().to_owned();
    let key = StoredKey {
        name: name.to_owned(),
        hash: ring.hash(&secret),
        last4,
        created_at: now,
        revoked_at: None,
    };
    Ok(NewKey { secret: Secret::new(secret), key })
}

/// Keeps other processes, and other threads, from changing the directory's files until it is dropped.
pub(super) fn lock(data_dir: &Path) -> Result<File, KeyFileError> {
    let path = data_dir.join(LOCK);
    let open = || {
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true)).open(&path)?;
        lock.lock()?;
        Ok(lock)
    };
    open().map_err(|source| KeyFileError::Io { path: path.clone(), source })
}

/// Reads, changes and replaces the file under a lock, so that two commands at once do not undo each other.
fn change<T>(
    data_dir: &Path,
    edit: impl FnOnce(&KeyRing, &mut KeyFile) -> Result<T, KeyFileError>,
) -> Result<T, KeyFileError> {
    let ring = KeyRing::open(data_dir)?;
    let _lock = lock(data_dir)?;
    let mut file = KeyFile::read(data_dir)?;
    let result = edit(&ring, &mut file)?;
    file.write(data_dir)?;
    Ok(result)
}

/// The text of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, KeyFileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyFileError::Io { path: path.to_owned(), source }),
    }
}

/// Makes a directory that only its owner may enter; one that exists is left as it is.
pub(super) fn make_dir(path: &Path) -> Result<(), KeyFileError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Replaces a file by one that only its owner may read. It appears with all its bytes or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let temporary = path.with_added_extension("new");
    write_private(&temporary, bytes)?;
    std::fs::rename(&temporary, path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Writes and syncs a file that only its owner may read, in place of any that a crash left there.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let write = || {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn keys_live_rotate_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let now = at("2026-11-24T12:00:00Z");
        let first = KeyFile::create(data, "app", now).unwrap().secret.expose().to_owned();
        let ring = KeyRing::open(data).unwrap();
        let key = KeyFile::read(data).unwrap().keys.remove(0);
        assert_eq!((key.name.as_str(), key.hash, key.created_at), ("app", ring.hash(&first), now));
        assert!(first.ends_with(&key.last4));
        assert!(matches!(KeyFile::create(data, "app", now), Err(KeyFileError::Exists(_))));

        let second = KeyFile::rotate(data, "app", now).unwrap().secret.expose().to_owned();
        assert_ne!(first, second);
        assert_eq!(KeyFile::read(data).unwrap().keys[0].hash, ring.hash(&second));

        KeyFile::revoke(data, "app", now).unwrap();
        assert_eq!(KeyFile::read(data).unwrap().keys[0].revoked_at, Some(now), "it stays on file");
        assert!(matches!(KeyFile::revoke(data, "app", now), Err(KeyFileError::Missing(_))));
        assert!(matches!(KeyFile::rotate(data, "app", now), Err(KeyFileError::Missing(_))));
        KeyFile::create(data, "app", now).unwrap();
        assert_eq!(KeyFile::read(data).unwrap().keys.len(), 1);
    }

    #[test]
    fn no_secret_reaches_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let secret = KeyFile::create(dir.path(), "app", at("2026-11-24T12:00:00Z")).unwrap();
        let secret = secret.secret.expose();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&secret[3..20]), "{path:?}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{path:?}");
            }
        }
    }

    #[test]
    fn names_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let now = at("2026-11-24T12:00:00Z");
        for name in ["", "a b", ".a", "a/b", "ä", &"a".repeat(65)] {
            assert!(matches!(KeyFile::create(dir.path(), name, now), Err(KeyFileError::Name(_))), "{name}");
        }
        std::fs::write(KeyFile::path(dir.path()), "secret = \"tg_very_secret\"").unwrap();
        let error = KeyFile::create(dir.path(), "app", now).unwrap_err().to_string();
        assert!(error.contains("cannot be read") && !error.contains("very_secret"), "{error}");
    }

    #[test]
    fn commands_at_once_do_not_undo_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let now = at("2026-11-24T12:00:00Z");
        std::thread::scope(|scope| {
            for i in 0..8 {
                let data = dir.path();
                scope.spawn(move || KeyFile::create(data, &format!("key{i}"), now).unwrap());
            }
        });
        assert_eq!(KeyFile::read(dir.path()).unwrap().keys.len(), 8);
    }
}
