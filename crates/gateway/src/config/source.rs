//! Where a configuration comes from besides its file: everything that the outside world adds is an argument.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use catalog::Catalogue;
use jiff::Timestamp;

use super::Secret;
use super::doc::Doc;
use crate::keys::{KeyRing, StoredKey};

/// Longest secret that is read; a header would not carry more.
const SECRET_BYTES: usize = 8_192;

/// The world as a configuration sees it.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// An environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The bytes of a file that is no text.
    pub bytes: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The catalogue without the user's overlay.
    pub catalogue: &'a dyn Fn() -> Catalogue,
    /// Hashes client keys.
    pub ring: &'a KeyRing,
    /// Client keys that `tollgate keys` made.
    pub stored_keys: &'a [StoredKey],
    /// Now: what has retired, which prices hold.
    pub now: Timestamp,
    /// [`super::Config::version`].
    pub version: u64,
}

impl<'a> Sources<'a> {
    /// No environment, no files, no stored keys; the built-in catalogue, at the epoch.
    pub fn bare(ring: &'a KeyRing) -> Self {
        Self {
            env: &|_| None,
            file: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
            bytes: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
            catalogue: &Catalogue::builtin,
            ring,
            stored_keys: &[],
            now: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }
}

/// Reads `env:NAME`, `file:PATH` and literal secrets, and remembers the files.
pub(super) struct Secrets<'a> {
    pub(super) sources: &'a Sources<'a>,
    /// Paths are relative to it.
    pub(super) base: &'a Path,
    pub(super) files: Vec<PathBuf>,
}

impl Secrets<'_> {
    /// The secret that `text` names. Reports what is wrong without showing any of it.
    pub(super) fn read(
        &mut self,
        doc: &Doc<'_>,
        key: &str,
        text: &str,
        span: Range<usize>,
    ) -> Option<Secret> {
        let (secret, from) = if let Some(name) = text.strip_prefix("env:") {
            let Some(secret) = (self.sources.env)(name) else {
                let hint = format!("export {name}=…, or take this section out");
                doc.error(span, format!("`{key}`: the environment variable {name} is not set"), Some(hint));
                return None;
            };
            (secret, format!("the environment variable {name}"))
        } else if let Some(path) = text.strip_prefix("file:") {
            let path = self.base.join(path);
            self.files.push(path.clone());
            match (self.sources.file)(&path) {
                Ok(secret) => (secret, format!("the file {}", path.display())),
                Err(e) => {
                    doc.error(span, format!("`{key}`: {} cannot be read: {e}", path.display()), None);
                    return None;
                }
            }
        } else {
            let hint = "write env:NAME or file:PATH, so that the file can be shown to others".to_owned();
            doc.warn(span.clone(), format!("`{key}` is a secret in plain text"), Some(hint));
            (text.to_owned(), "it".to_owned())
        };
        let secret = secret.trim();
        if let Err(why) = usable(secret) {
            doc.error(span, format!("`{key}`: {from} {why}"), None);
            return None;
        }
        Some(Secret::new(secret.to_owned()))
    }
}

/// Can a header carry it?
pub(super) fn usable(secret: &str) -> Result<(), &'static str> {
    if secret.is_empty() {
        Err("is empty")
    } else if secret.len() > SECRET_BYTES {
        Err("is longer than 8192 bytes")
    } else if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        Err("holds characters that no header can carry (spaces, line ends, or letters outside ASCII)")
    } else {
        Ok(())
    }
}
