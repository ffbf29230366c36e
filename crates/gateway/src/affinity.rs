//! Which target a conversation is bound to: one that holds tool calls or reasoning signatures goes on where it began
//! (interface §3b). Bounded; the oldest sessions are forgotten first, and a forgotten one is simply routed anew.

use std::sync::Arc;

use aws_lc_rs::hmac;
use quick_cache::sync::Cache;

/// Sessions that are remembered.
const SESSIONS: usize = 100_000;
/// Bytes of a text that go into a session's hash.
const HASHED: usize = 1024;

/// The memory of sessions.
pub struct Affinity {
    bound: Cache<u64, Arc<str>>,
    key: hmac::Key,
}

impl Affinity {
    /// `secret` keys the session hash, so that a ledger reader cannot test guesses of a prompt against it.
    pub fn new(secret: &[u8]) -> Self {
        Self { bound: Cache::new(SESSIONS), key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// A session's keyed hash over its parts, each cut to 1 KiB.
    pub fn session(&self, parts: &[&[u8]]) -> u64 {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            let part = part.get(..HASHED).unwrap_or(part);
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The target that a session is bound to.
    pub fn target(&self, session: u64) -> Option<Arc<str>> {
        self.bound.get(&session)
    }

    /// Binds a session to a target.
    pub fn bind(&self, session: u64, target: &str) {
        self.bound.insert(session, Arc::from(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_differ_by_key_and_by_where_parts_end() {
        let a = Affinity::new(b"one");
        assert_eq!(a.session(&[b"ab", b"c"]), a.session(&[b"ab", b"c"]));
        assert_ne!(a.session(&[b"ab", b"c"]), a.session(&[b"a", b"bc"]));
        assert_ne!(a.session(&[b"ab", b"c"]), Affinity::new(b"two").session(&[b"ab", b"c"]));
    }
}
