//! Client keys: how they are made, hashed and kept.
//!
//! A secret is 256 random bits, so a fast keyed hash is enough and a password hash would only cost each request
//! milliseconds. The hash is keyed with a random key of this data directory, so a stolen config or key file cannot be
//! tried against guesses elsewhere. A presented key is looked up by its hash, which its sender cannot choose, and then
//! compared in constant time.

mod store;

use std::fmt;
use std::path::Path;

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use store::{KeyFile, KeyFileError, NewKey, StoredKey};

/// What our secrets begin with, so that scanners and people recognise them.
const PREFIX: &str = "tg_";
/// The name of the hashing key's file in the data directory.
const HMAC_KEY: &str = "hmac.key";

/// A keyed hash of a secret.
pub type KeyHash = [u8; 32];

/// Hashes secrets under the gateway's own key.
#[derive(Clone)]
pub struct KeyRing(hmac::Key);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

impl KeyRing {
    /// A ring under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A ring for a process that keeps no keys: a check, a demo, a test.
    pub fn ephemeral() -> Result<Self, RandomError> {
        Ok(Self::new(&random()?))
    }

    /// The ring of a data directory. Makes the directory and the key (mode 0600) when they are missing. Errors when
    /// the file cannot be made or read, or is no key.
    pub fn open(data_dir: &Path) -> Result<Self, KeyFileError> {
        store::make_dir(data_dir)?;
        if let Some(ring) = Self::read(data_dir)? {
            return Ok(ring);
        }
        let _lock = store::lock(data_dir)?;
        // Another process may have been faster: its key stands.
        if let Some(ring) = Self::read(data_dir)? {
            return Ok(ring);
        }
        let key = random().map_err(|_| KeyFileError::Random)?;
        store::replace(&data_dir.join(HMAC_KEY), hex(&key).as_bytes())?;
        Ok(Self::new(&key))
    }

    /// The ring of a data directory, if it has one.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, KeyFileError> {
        let path = data_dir.join(HMAC_KEY);
        match store::read(&path)? {
            None => Ok(None),
            Some(text) => match unhex(text.trim()) {
                Some(key) => Ok(Some(Self::new(&key))),
                None => {
                    Err(KeyFileError::Malformed { path, why: "it is not 64 hexadecimal digits".to_owned() })
                }
            },
        }
    }

    /// The hash of a secret.
    pub fn hash(&self, secret: &str) -> KeyHash {
        let tag = hmac::sign(&self.0, secret.as_bytes());
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        hash
    }
}

/// The system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random numbers")]
pub struct RandomError;

fn random() -> Result<[u8; 32], RandomError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// A fresh secret: `tg_` and 256 random bits.
pub fn new_secret() -> Result<String, RandomError> {
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random()?)))
}

/// Are two hashes equal? Takes the same time whatever they are.
pub fn same(a: &KeyHash, b: &KeyHash) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A hash in hexadecimal, as config and key file hold it.
pub fn hex(hash: &KeyHash) -> String {
    use fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The inverse of [`hex`].
pub fn unhex(text: &str) -> Option<KeyHash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (to, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *to = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Is this a name for a key? Letters, digits, `.`, `_` and `-`, at most 64, not a dot first.
pub fn is_key_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_keyed_and_stable() {
        // RFC 4231 gives HMAC-SHA256 vectors for short keys only; this one was computed with Python's hmac module.
        let ring = KeyRing::new(&[7; 32]);
        let hash = ring.hash("tg_secret");
        assert_eq!(hex(&hash), "60dfcdac87da0dc2cc8eb7bcc5874e74bbee7e6f4da50b9080aca163edaaed5f");
        assert_ne!(hash, KeyRing::new(&[8; 32]).hash("tg_secret"));
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        assert!(same(&hash, &ring.hash("tg_secret")) && !same(&hash, &ring.hash("tg_secreu")));
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert!(a.starts_with("tg_") && a.len() == 46 && a != b);
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "12", &"g".repeat(64), &"é".repeat(32), &"0".repeat(66)] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn a_data_directory_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("state");
        assert!(KeyRing::read(&data).unwrap().is_none());
        let first = KeyRing::open(&data).unwrap().hash("x");
        assert_eq!(KeyRing::open(&data).unwrap().hash("x"), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&data.join(HMAC_KEY)), mode(&data)), (0o600, 0o700));
        }
        std::fs::write(data.join(HMAC_KEY), "nonsense").unwrap();
        assert!(KeyRing::open(&data).is_err());
    }
}
