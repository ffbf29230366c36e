//! Counts over the last ten seconds, in one-second buckets.

use std::time::Instant;

const SECONDS: usize = 10;

/// Two counters over a sliding window. Cheaper and coarser than a list of events: a count is exact to a second.
#[derive(Debug)]
pub(super) struct Window {
    epoch: Instant,
    buckets: [Bucket; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    all: u32,
    marked: u32,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u32,
    pub(super) marked: u32,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { epoch: now, buckets: [Bucket::default(); SECONDS] }
    }

    /// Counts one event, marked or not.
    pub(super) fn add(&mut self, marked: bool, now: Instant) {
        self.bump(1, u32::from(marked), now);
    }

    /// Counts a mark without an event.
    pub(super) fn mark(&mut self, now: Instant) {
        self.bump(0, 1, now);
    }

    fn bump(&mut self, all: u32, marked: u32, now: Instant) {
        let second = self.second(now);
        let at = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        if let Some(bucket) = self.buckets.get_mut(at) {
            // A clock that ran back must not wipe a newer bucket.
            if bucket.second < second {
                *bucket = Bucket { second, ..Bucket::default() };
            }
            bucket.all = bucket.all.saturating_add(all);
            bucket.marked = bucket.marked.saturating_add(marked);
        }
    }

    pub(super) fn counts(&self, now: Instant) -> Counts {
        let oldest = self.second(now).saturating_sub(SECONDS as u64 - 1);
        self.buckets.iter().filter(|bucket| bucket.second >= oldest).fold(Counts::default(), |sum, bucket| {
            Counts {
                all: sum.all.saturating_add(bucket.all),
                marked: sum.marked.saturating_add(bucket.marked),
            }
        })
    }

    pub(super) fn clear(&mut self) {
        self.buckets = [Bucket::default(); SECONDS];
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_leave_after_ten_seconds() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut window = Window::new(start);
        window.add(true, at(0));
        window.add(false, at(3));
        assert_eq!(window.counts(at(9)), Counts { all: 2, marked: 1 });
        assert_eq!(window.counts(at(10)), Counts { all: 1, marked: 0 });
        window.add(true, at(10));
        assert_eq!(window.counts(at(12)), Counts { all: 2, marked: 1 });
        assert_eq!(window.counts(at(40)), Counts::default());
    }
}
