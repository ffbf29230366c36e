//! Which target a conversation is bound to: one that holds tool calls or reasoning signatures goes on where it began
//! (interface §3b). And where its prompt cache may be warm. Bounded; the oldest sessions are forgotten first, and a
//! forgotten one is simply routed anew.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use quick_cache::sync::Cache;

/// Sessions that are remembered.
const SESSIONS: usize = 100_000;
/// How long a prompt cache is taken to live after its last use: the shortest life that vendors document.
const WARM: Duration = Duration::from_mins(5);
/// Bytes of a text that go into a session's hash.
const HASHED: usize = 1024;

/// The memory of sessions.
pub struct Affinity {
    bound: Cache<u64, Arc<str>>,
    /// When a session was last answered by a target, by a hash of both.
    answered: Cache<u64, Instant>,
    hashing: RandomState,
    key: hmac::Key,
}

impl Affinity {
    /// `secret` keys the session hash, so that a ledger reader cannot test guesses of a prompt against it.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            bound: Cache::new(SESSIONS),
            answered: Cache::new(SESSIONS),
            hashing: RandomState::new(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
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

    /// A target has answered a session.
    pub fn answered(&self, session: u64, target: &str, now: Instant) {
        self.answered.insert(self.hashing.hash_one((session, target)), now);
    }

    /// A target answered this session so short a while ago that its prompt cache may still hold the conversation.
    pub fn is_warm(&self, session: u64, target: &str, now: Instant) -> bool {
        let last = self.answered.get(&self.hashing.hash_one((session, target)));
        last.is_some_and(|last| now.saturating_duration_since(last) < WARM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_warm_where_the_session_was_answered_and_for_five_minutes() {
        let (a, start) = (Affinity::new(b"one"), Instant::now());
        a.answered(7, "a/m", start);
        let later = start + Duration::from_secs(299);
        assert!(a.is_warm(7, "a/m", later) && !a.is_warm(7, "b/m", later) && !a.is_warm(8, "a/m", later));
        assert!(!a.is_warm(7, "a/m", start + Duration::from_mins(5)));
    }

    #[test]
    fn sessions_differ_by_key_and_by_where_parts_end() {
        let a = Affinity::new(b"one");
        assert_eq!(a.session(&[b"ab", b"c"]), a.session(&[b"ab", b"c"]));
        assert_ne!(a.session(&[b"ab", b"c"]), a.session(&[b"a", b"bc"]));
        assert_ne!(a.session(&[b"ab", b"c"]), Affinity::new(b"two").session(&[b"ab", b"c"]));
    }
}
