//! Keys that rest: throttled, out of credit or refused.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use wire::{ErrorKind, UpstreamError};

use super::backoff::{LONGEST, doubled};
use crate::config::Host;

/// A key that the vendor refused or that has no credit comes back by an operator's hand, not by waiting.
const OUT: Duration = Duration::from_mins(15);
/// A throttled key whose vendor does not say how long.
const COOL: Duration = Duration::from_secs(1);
const COOL_CAP: Duration = Duration::from_mins(1);

/// The keys of a host, or of one target at it. Empty while nothing is wrong.
#[derive(Debug, Default)]
pub(super) struct Keys {
    resting: Vec<Resting>,
}

#[derive(Debug)]
struct Resting {
    key: usize,
    /// Tells a replaced key after a reload from the one that failed. Keyed at random: no trace of the secret.
    print: u64,
    until: Instant,
    strikes: u32,
    kind: ErrorKind,
}

/// Hashes secrets so that they can be compared and not recovered.
#[derive(Debug, Default)]
pub(super) struct Prints(RandomState);

impl Prints {
    pub(super) fn of(&self, host: &Host, key: usize) -> u64 {
        self.0.hash_one(host.keys.get(key).map(crate::config::Secret::expose))
    }
}

impl Keys {
    /// Until when key number `key` rests; `None`: it may be used.
    pub(super) fn rests(&self, host: &Host, key: usize, prints: &Prints, now: Instant) -> Option<Instant> {
        let resting = self.resting.iter().find(|resting| resting.key == key)?;
        (now < resting.until && resting.print == prints.of(host, key)).then_some(resting.until)
    }

    /// All that rest: key, until when, why.
    pub(super) fn resting(&self, now: Instant) -> impl Iterator<Item = (usize, Instant, ErrorKind)> {
        self.resting.iter().filter(move |one| now < one.until).map(|one| (one.key, one.until, one.kind))
    }

    /// Benches a key. The later, longer rest wins.
    pub(super) fn failed(
        &mut self,
        host: &Host,
        key: usize,
        prints: &Prints,
        error: &UpstreamError,
        now: Instant,
    ) {
        let print = prints.of(host, key);
        let old =
            self.resting.iter().position(|resting| resting.key == key).map(|at| self.resting.swap_remove(at));
        let old = old.filter(|old| old.print == print);
        // Failures of calls that were already under way are one strike together.
        let strikes =
            old.as_ref().map_or(0, |old| if now < old.until { old.strikes } else { old.strikes + 1 });
        let asked = error.retry_after.map(|asked| asked.min(LONGEST));
        let rest = match (error.kind, asked) {
            (ErrorKind::RateLimited, Some(asked)) => asked,
            (ErrorKind::RateLimited, None) => doubled(COOL, strikes, COOL_CAP),
            (_, asked) => doubled(OUT, strikes, LONGEST).max(asked.unwrap_or_default()),
        };
        let until = now.checked_add(rest).unwrap_or(now);
        let (until, kind) = match old {
            Some(old) if old.until > until => (old.until, old.kind),
            _ => (until, error.kind),
        };
        self.resting.push(Resting { key, print, until, strikes, kind });
    }

    pub(super) fn succeeded(&mut self, key: usize) {
        self.resting.retain(|resting| resting.key != key);
    }
}
