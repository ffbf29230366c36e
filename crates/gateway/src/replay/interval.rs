//! Means with their uncertainty. Modelled money is `f64` and never enters a ledger (LAW 2).

use serde::Serialize;

/// The normal deviate that leaves 2.5 % on either side.
const Z: f64 = 1.959_963_984_540_054;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// A normal interval about `mean`.
    pub fn about(mean: f64, variance: f64) -> Self {
        let half = Z * variance.max(0.0).sqrt();
        Self { mean, low: mean - half, high: mean + half }
    }

    /// The same for what cannot be negative.
    pub fn around(mean: f64, variance: f64) -> Self {
        let about = Self::about(mean, variance);
        Self { low: about.low.max(0.0), ..about }
    }
}

/// Count, mean and variance of a stream of numbers (Welford 1962): one pass, no cancellation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    /// How many.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes one in.
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        let away = value - self.mean;
        self.mean += away / count(self.n);
        self.squares += away * (value - self.mean);
    }

    /// Unbiased variance of one value; 0 for fewer than two.
    pub fn variance(&self) -> f64 {
        if self.n < 2 { 0.0 } else { self.squares / count(self.n - 1) }
    }

    /// Variance of the mean; 0 when there is none.
    pub fn variance_of_mean(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.variance() / count(self.n) }
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of requests and tokens are far below 2^52")]
pub(super) fn count(n: u64) -> f64 {
    n as f64
}

/// What a sum over requests owes to one uncertain mean that they share: `Σ wᵢ·Xᵢ` with weights `w` known and the `X`
/// drawn alike. Its variance is `s²·Σw²` for the draws and `(Σw)²·var(mean)` for the mean's own error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weighted {
    sum: f64,
    squares: f64,
}

impl Weighted {
    /// One more request with this weight.
    pub fn push(&mut self, weight: f64) {
        self.sum += weight;
        self.squares += weight * weight;
    }

    /// The variance that it adds to the sum.
    pub fn variance(&self, of_one: f64, of_mean: f64) -> f64 {
        self.squares * of_one + self.sum * self.sum * of_mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_textbook_ones() {
        let mut moments = Moments::default();
        for x in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.push(x);
        }
        assert!((moments.mean - 5.0).abs() < 1e-12 && (moments.variance() - 32.0 / 7.0).abs() < 1e-12);
        assert!(Moments::default().variance_of_mean().abs() < 1e-12);
    }

    #[test]
    fn a_sum_of_draws_covers_the_truth_as_often_as_it_says() {
        // learn a mean from 100 draws, then predict the weighted sum of 200 others: 95 % of the intervals must cover
        let mut random = fastrand::Rng::with_seed(7);
        let mut draw = || -(1.0 - random.f64()).ln() * 400.0;
        let mut covered = 0;
        for _ in 0..2_000 {
            let mut learned = Moments::default();
            (0..100).for_each(|_| learned.push(draw()));
            let (mut truth, mut weights, mut mean) = (0.0, Weighted::default(), 0.0);
            for i in 0..200 {
                let weight = f64::from(1 + i % 5);
                weights.push(weight);
                mean += weight * learned.mean;
                truth += weight * draw();
            }
            let variance = weights.variance(learned.variance(), learned.variance_of_mean());
            let interval = Interval::around(mean, variance);
            covered += i32::from(interval.low <= truth && truth <= interval.high);
        }
        assert!((1_840..=1_960).contains(&covered), "{covered} of 2000");
    }
}
