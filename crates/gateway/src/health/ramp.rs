//! The way back of a target whose breaker has closed. While it was out, its callers went elsewhere; if all of them came
//! back at its first success, a vendor that has just got up would fall again. So its calls grow over ten seconds to
//! one and a half times what they were before; who finds no room goes on to the next vendor.
//!
//! The obvious alternative, more probes before the breaker closes, delays the return of a vendor with few calls and
//! does nothing for one with many.

use std::time::{Duration, Instant};

/// How long calls are counted.
const LENGTH: Duration = Duration::from_secs(10);
/// Calls at once.
const FIRST: f64 = 5.0;
/// Calls a second at the end, as a multiple of those before the fault.
const HEADROOM: f64 = 1.5;
/// Calls a second before the fault that are assumed at least.
const LEAST: f64 = 10.0;

/// One return.
#[derive(Debug)]
pub(super) struct Ramp {
    since: Instant,
    rate: f64,
    taken: u32,
}

impl Ramp {
    /// From `now`, for a target that had `rate` calls a second.
    pub(super) fn new(rate: f64, now: Instant) -> Self {
        Self { since: now, rate: rate.max(LEAST), taken: 0 }
    }

    /// It has done its work.
    pub(super) fn over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LENGTH
    }

    /// One more call may go.
    pub(super) fn room(&self, now: Instant) -> bool {
        // The rate grows evenly from nothing to its end, so its sum grows with the square of time.
        let time = now.saturating_duration_since(self.since).as_secs_f64();
        let grown = HEADROOM * self.rate * time * time / (2.0 * LENGTH.as_secs_f64());
        self.over(now) || f64::from(self.taken) < FIRST + grown
    }

    /// Takes the room of one call, if there is any.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let room = self.room(now);
        self.taken = self.taken.saturating_add(u32::from(room));
        room
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Faults row 16: at most 1.5 times the steady rate, whoever waits.
        #[test]
        fn no_second_of_a_return_has_more_than_half_as_many_calls_again(rate in 10_u32..1_000, waiting in 1_u32..50) {
            let start = Instant::now();
            let mut ramp = Ramp::new(rate.into(), start);
            for second in 0..10 {
                let calls: u32 = (0..100)
                    .map(|step| start + Duration::from_millis(second * 1_000 + step * 10))
                    .map(|now| (0..waiting * rate / 10).map(|_| u32::from(ramp.take(now))).sum::<u32>())
                    .sum();
                prop_assert!(f64::from(calls) <= 1.5 * f64::from(rate) + FIRST + 1.0, "{calls} in second {second}");
            }
            let end = start + LENGTH;
            prop_assert!(ramp.over(end) && (0..10 * rate).all(|_| ramp.take(end)));
        }
    }

    #[test]
    fn a_target_with_few_calls_is_back_at_once() {
        let start = Instant::now();
        let mut ramp = Ramp::new(0.1, start);
        assert!((0..5).all(|_| ramp.take(start)));
        assert!(!ramp.take(start));
        // Two calls a second find room all the way.
        assert!((1..20).all(|n| ramp.take(start + Duration::from_millis(1_000 + n * 500))));
    }
}
