//! When the requests of an open loop are meant to go out.

use std::time::Duration;

/// Poisson arrivals: gaps are exponential, so that bursts come as they do from many independent users. Equal seeds give
/// equal times. Never ends.
#[derive(Debug)]
pub struct Poisson {
    random: fastrand::Rng,
    /// Requests per second.
    rate: f64,
    at: f64,
}

impl Poisson {
    /// Arrivals at a mean of `rate` per second, which must be positive.
    pub fn new(rate: f64, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), rate, at: 0.0 }
    }
}

impl Iterator for Poisson {
    /// Since the start.
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // 1 − u is never zero
        self.at -= (1.0 - self.random.f64()).ln() / self.rate;
        Duration::try_from_secs_f64(self.at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(rate: f64, seed: u64, n: usize) -> Vec<f64> {
        let times: Vec<f64> = Poisson::new(rate, seed).take(n).map(|at| at.as_secs_f64()).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn gaps_have_the_mean_and_the_spread_of_a_poisson_process() {
        let gaps = gaps(20.0, 3, 20_001);
        let n = 20_000.0;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
        assert!((mean * 20.0 - 1.0).abs() < 0.03, "{mean}");
        // an exponential's standard deviation is its mean; a metronome's would be zero
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
        // memoryless: the share of gaps above the mean is 1/e
        let long = gaps.iter().filter(|gap| **gap > mean).count();
        assert!((7_100..7_620).contains(&long), "{long}");
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        assert_eq!(gaps(5.0, 7, 50), gaps(5.0, 7, 50));
        assert_ne!(gaps(5.0, 7, 50), gaps(5.0, 8, 50));
    }
}
