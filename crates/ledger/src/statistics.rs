//! Shares with their intervals, and the test that watches a share for drift. Pure arithmetic on counts.

use serde::Serialize;

/// Normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_964;
/// Verdicts that set the reference of a drift test.
pub const BASELINE: usize = 50;
/// The drift test looks for the odds of a bad verdict to grow by this factor.
const ODDS: f64 = 2.0;
/// Where the drift test stops: ln 1000, so that without drift an alarm comes once in a thousand verdicts or less often
/// (Lorden 1971: the mean time between false alarms is at least e^h).
const THRESHOLD: f64 = 6.907_755;

/// A share of good verdicts with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Good ones among all.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How the interval was made.
    pub interval: &'static str,
}

/// Wilson's score interval (Wilson 1927): unlike the textbook interval, it stays in 0 to 1 and is not empty when
/// all verdicts agree. `None` without verdicts. Counts may be fractions where votes are weighed.
pub fn wilson(good: f64, all: f64) -> Option<Share> {
    if all <= 0.0 {
        return None;
    }
    let (low, high) = score_interval(good / all, all, Z95);
    Some(Share { share: good / all, low, high, interval: "wilson 95 %" })
}

fn score_interval(share: f64, n: f64, z: f64) -> (f64, f64) {
    let centre = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// How a drift test stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// The share of bad verdicts has grown.
    pub alert: bool,
    /// The statistic, which alerts above `threshold`.
    pub statistic: f64,
    /// See `statistic`.
    pub threshold: f64,
    /// Share of bad verdicts that is taken as usual.
    pub usual_bad: f64,
    /// Verdicts tested, after the first [`BASELINE`].
    pub tested: u64,
}

/// Page's CUSUM test (Page 1954) on verdicts in order of time, `true` for bad: the sum of log likelihood ratios of "the odds
/// of a bad one have doubled" against "as usual", held at zero. The first [`BASELINE`] verdicts say what is usual, with
/// one standard error of caution. It alerts while the sum is above its threshold, and needs no fixed sample size,
/// as a comparison of two weeks would. `None` with too few verdicts to test.
pub fn drift(bad: &[bool]) -> Option<Drift> {
    let (baseline, tested) = bad.split_at_checked(BASELINE)?;
    if tested.is_empty() {
        return None;
    }
    let seen = count(baseline.iter().filter(|bad| **bad).count());
    let n = count(BASELINE);
    // One standard error above what was seen: a lucky start must not make every later verdict an alarm.
    let usual = score_interval(seen / n, n, 1.0).1.clamp(0.02, 0.9);
    let drifted = ODDS * usual / (1.0 + (ODDS - 1.0) * usual);
    let (when_bad, when_good) = ((drifted / usual).ln(), ((1.0 - drifted) / (1.0 - usual)).ln());
    let statistic = tested.iter().fold(0.0_f64, |sum, bad| {
        // Capped, so that an alarm ends some verdicts after the trouble does.
        (sum + if *bad { when_bad } else { when_good }).clamp(0.0, 1.5 * THRESHOLD)
    });
    Some(Drift {
        alert: statistic > THRESHOLD,
        statistic,
        threshold: THRESHOLD,
        usual_bad: usual,
        tested: tested.len() as u64,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of verdicts are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts with a share of bad ones, from a seeded generator (splitmix64).
    fn verdicts(seed: u64, n: usize, share: f64) -> Vec<bool> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / 4_294_967_296.0
        };
        (0..n).map(|_| next() < share).collect()
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (good, all, low, high) in [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ] {
            let share = wilson(good, all).unwrap();
            assert!(
                (share.low - low).abs() < 5e-5 && (share.high - high).abs() < 5e-5,
                "{good}/{all}: {share:?}"
            );
        }
        assert_eq!(wilson(0.0, 0.0), None, "no verdicts, no share");
    }

    #[test]
    fn without_drift_alarms_are_rare_and_doubled_odds_are_found() {
        let (mut false_alarms, mut found) = (0, 0);
        for seed in 0..200 {
            let mut steady = verdicts(seed, BASELINE + 400, 0.10);
            let alarmed = |verdicts: &[bool]| {
                (BASELINE + 1..=verdicts.len()).any(|n| drift(&verdicts[..n]).unwrap().alert)
            };
            false_alarms += u32::from(alarmed(&steady));
            steady.truncate(BASELINE + 50);
            steady.extend(verdicts(seed + 1_000, 300, 0.30));
            found += u32::from(drift(&steady).unwrap().alert);
        }
        assert!(false_alarms <= 20, "{false_alarms} of 200 runs of 400 verdicts");
        assert!(found >= 170, "{found} of 200");
    }

    #[test]
    fn an_alarm_ends_when_the_trouble_does() {
        let mut all = verdicts(1, BASELINE + 50, 0.1);
        all.extend([true; 40]);
        assert!(drift(&all).unwrap().alert);
        all.extend([false; 80]);
        assert!(!drift(&all).unwrap().alert);
        assert_eq!(drift(&all[..BASELINE]), None, "the baseline alone tests nothing");
    }
}
