//! Percentiles and their likes.

use serde::Serialize;

/// A count as a real number. Exact below 2⁵³, which no count of a bench comes near.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^53")]
pub const fn real(count: u64) -> f64 {
    count as f64
}

/// A length as a real number.
pub const fn len(count: usize) -> f64 {
    real(count as u64)
}

/// A share; 0 of nothing is nothing.
pub fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Rounded for JSON, so that a report does not pretend to femtoseconds.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// The spread of a sample, in the sample's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Number of values.
    pub n: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample as a population.
    pub std: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; `None` of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let n = len(values.len());
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let at = |share| percentile(&values, share).map(|value| rounded(value, 3));
        Some(Self {
            n: values.len() as u64,
            mean: rounded(mean, 3),
            std: rounded(variance.sqrt(), 3),
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            max: at(1.0)?,
        })
    }
}

/// The value below which `share` of the sorted values lie, interpolated linearly between neighbours, as `NumPy` and
/// with it vLLM's and guidellm's reports do. `None` of no values.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * len(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the last index"
    )]
    let low = place.floor() as usize;
    let (below, above) = (sorted.get(low)?, sorted.get((low + 1).min(last))?);
    Some(below + (above - below) * (place - place.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_as_numpy_does() {
        // numpy.percentile([1, 2, 3, 4], [0, 25, 50, 90, 99, 100])
        let values = [1.0, 2.0, 3.0, 4.0];
        let said = [0.0, 0.25, 0.5, 0.9, 0.99, 1.0].map(|p| rounded(percentile(&values, p).unwrap(), 6));
        assert_eq!(said.map(|value| value.to_string()), ["1", "1.75", "2.5", "3.7", "3.97", "4"]);
        assert_eq!((percentile(&[7.0], 0.99), percentile(&[], 0.5)), (Some(7.0), None));
    }

    #[test]
    fn a_spread_does_not_depend_on_the_order() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.n, spread.mean, spread.p50, spread.max, spread.std), (3, 2.0, 2.0, 3.0, 0.816));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
