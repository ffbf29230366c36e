//! Which target a conversation is bound to: one that holds tool calls or reasoning signatures goes on where it began
//! (interface §3b). And where its prompt cache may be warm. Bounded; the oldest sessions are forgotten first, and a
//! forgotten one is simply routed anew.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Random and new with each process, so that nobody who reads the ledger can test guesses of a prompt against a session.
    /// `SipHash`, because a SHA-256 of each prompt costs a microsecond.
    key: RandomState,
}

impl Default for Affinity {
    /// An empty memory under a random key.
    fn default() -> Self {
        Self { bound: Cache::new(SESSIONS), answered: Cache::new(SESSIONS), key: RandomState::new() }
    }
}

impl Affinity {
    /// A session's keyed hash over its parts, each cut to 1 KiB.
    pub fn session(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.key.build_hasher();
        for part in parts {
            let part = part.get(..HASHED).unwrap_or(part);
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
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
        self.answered.insert(self.key.hash_one((session, target)), now);
    }

    /// A target answered this session so short a while ago that its prompt cache may still hold the conversation.
    pub fn is_warm(&self, session: u64, target: &str, now: Instant) -> bool {
        let last = self.answered.get(&self.key.hash_one((session, target)));
        last.is_some_and(|last| now.saturating_duration_since(last) < WARM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_warm_where_the_session_was_answered_and_for_five_minutes() {
        let (a, start) = (Affinity::default(), Instant::now());
        a.answered(7, "a/m", start);
        let later = start + Duration::from_secs(299);
        assert!(a.is_warm(7, "a/m", later) && !a.is_warm(7, "b/m", later) && !a.is_warm(8, "a/m", later));
        assert!(!a.is_warm(7, "a/m", start + Duration::from_mins(5)));
    }

    #[test]
    fn sessions_differ_by_key_and_by_where_parts_end() {
        let a = Affinity::default();
        assert_eq!(a.session(&[b"ab", b"c"]), a.session(&[b"ab", b"c"]));
        assert_ne!(a.session(&[b"ab", b"c"]), a.session(&[b"a", b"bc"]));
        assert_ne!(a.session(&[b"ab", b"c"]), Affinity::default().session(&[b"ab", b"c"]));
    }
}
