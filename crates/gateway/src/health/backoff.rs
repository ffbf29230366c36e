//! How long to wait: exponential, jittered, and never less than the vendor asked for.

use std::time::Duration;

/// Longest wait that a vendor can ask for and get: a typo of a year must not bench a target for ever.
pub(super) const LONGEST: Duration = Duration::from_hours(1);

/// First pause between attempts of one request.
const FIRST: Duration = Duration::from_millis(100);
/// Longest pause of our own choosing.
const CAP: Duration = Duration::from_secs(5);

/// The pause before attempt number `attempt` (1 is the first retry). Half of it is jitter drawn from `seed`, so that
/// clients which failed together do not return together. A `retry_after` of the vendor is a lower bound (field notes
/// §1.13: the later, longer wish wins), with up to a tenth of it as jitter on top; it is cut at an hour.
pub fn backoff(attempt: u32, retry_after: Option<Duration>, seed: u64) -> Duration {
    let share = fastrand::Rng::with_seed(seed).f64();
    let full = doubled(FIRST, attempt.saturating_sub(1), CAP);
    let own = full / 2 + (full / 2).mul_f64(share);
    match retry_after {
        None => own,
        Some(asked) => {
            let asked = asked.min(LONGEST);
            own.max(asked + (asked / 10).mul_f64(share))
        }
    }
}

/// `first` × 2^`times`, at most `cap`.
pub(super) fn doubled(first: Duration, times: u32, cap: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.checked_mul(factor).unwrap_or(cap).min(cap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Field notes §1.13: slept 9 s of the 107 s that were asked for.
        #[test]
        fn fn1_13_a_wait_is_never_shorter_than_asked_nor_unbounded(
            attempt in 0_u32..200, asked in proptest::option::of(0_u64..200_000), seed: u64,
        ) {
            let asked = asked.map(Duration::from_secs);
            let wait = backoff(attempt, asked, seed);
            let bound = asked.unwrap_or_default().min(LONGEST);
            prop_assert!(wait >= bound);
            prop_assert!(wait <= (bound + bound / 10).max(CAP));
            prop_assert!(wait >= FIRST / 2);
        }

        #[test]
        fn two_seeds_give_two_waits_within_a_factor_of_two(attempt in 1_u32..20, a: u64, b: u64) {
            let (a, b) = (backoff(attempt, None, a), backoff(attempt, None, b));
            prop_assert!(a <= b * 2 && b <= a * 2);
        }
    }

    #[test]
    fn waits_double_to_the_cap() {
        let steps: Vec<u128> = (0..8).map(|times| doubled(FIRST, times, CAP).as_millis()).collect();
        assert_eq!(steps, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(doubled(FIRST, u32::MAX, CAP), CAP);
    }
}
