//! Latency and throughput of a replica at a given load.

use std::sync::{Arc, LazyLock};

use super::calibration::Calibration;
use super::load::Load;
use super::model::{Model, Sample};
use super::points::{Point, Row, read_points};
use super::{Lengths, Setup};

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The user's own bench, at or between its points.
    OwnBench,
    /// A published measurement of this very load.
    Measured,
    /// Between published measurements of the same curve.
    Interpolated,
    /// The formula, corrected by what measurements of similar loads left over.
    Modelled,
}

impl Basis {
    /// The name in files: `own-bench`, `measured`, `interpolated` or `modelled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OwnBench => "own-bench",
            Self::Measured => "measured",
            Self::Interpolated => "interpolated",
            Self::Modelled => "modelled",
        }
    }
}

/// A value that holds in nine of ten cases between `low` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The likeliest value.
    pub value: f64,
    /// The lower end of the band.
    pub low: f64,
    /// The upper end of the band.
    pub high: f64,
}

/// How fast a replica is with so many requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Speed {
    /// Milliseconds to the first token, waiting for a place in the batch included.
    pub ttft_ms: Estimate,
    /// Milliseconds per output token after the first.
    pub tpot_ms: Estimate,
    /// Output tokens per second of the replica.
    pub output_tok_s: Estimate,
    /// Who spoke.
    pub basis: Basis,
}

static SHIPPED: LazyLock<Option<Arc<Model>>> = LazyLock::new(|| {
    let calibration = Calibration::shipped()?;
    // A file that does not parse fails `every_shipped_measurement_is_used`.
    let points = read_points(SHIPPED_POINTS).ok()?;
    let samples = points.iter().filter_map(|point| Sample::of(point, false).ok()).collect();
    Some(Arc::new(Model::learn(calibration, samples)))
});

/// The shipped measurements as CSV.
pub const SHIPPED_POINTS: &str = include_str!("../../data/measured.csv");

/// Measurements that outrank the formula: the shipped ones, and the user's own bench, which outranks those.
///
/// Cheap to clone. The first use in a process solves two systems of some hundred unknowns (about half a second).
#[derive(Clone, Debug)]
pub struct Points(Option<Arc<Model>>);

impl Default for Points {
    fn default() -> Self {
        Self::shipped()
    }
}

impl Points {
    /// The shipped measurements.
    pub fn shipped() -> Self {
        Self(SHIPPED.clone())
    }

    /// The shipped measurements and the user's own. Says what is wrong with each of the user's rows.
    pub fn with_bench(bench: &[Point]) -> Result<Self, Vec<String>> {
        let Some(shipped) = SHIPPED.as_ref().zip(Calibration::shipped()) else { return Ok(Self(None)) };
        let (model, calibration) = shipped;
        let (mut own, mut wrong) = (Vec::new(), Vec::new());
        for (at, point) in bench.iter().enumerate() {
            match Sample::of(point, true) {
                Ok(sample) if sample.is_loaded() || sample.is_offline() => own.push(sample),
                Ok(_) => wrong.push(format!(
                    "bench row {}: needs tpot_ms, or output_tok_s without a concurrency",
                    at + 1
                )),
                Err(why) => wrong.extend(why.iter().map(|why| format!("bench row {}: {why}", at + 1))),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if own.is_empty() {
            return Ok(Self::shipped());
        }
        own.extend(model.samples().cloned());
        Ok(Self(Some(Arc::new(Model::learn(calibration, own)))))
    }

    fn speed(&self, load: &Load<'_>) -> Result<Speed, String> {
        let model = self.0.as_ref().ok_or("the shipped calibration cannot be read")?;
        Ok(model.speed(load))
    }
}

/// The speed with `concurrency` requests always in flight. None for lengths or a load that are not positive numbers.
pub fn speed(setup: &Setup<'_>, lengths: &Lengths, concurrency: f64, points: &Points) -> Option<Speed> {
    points.speed(&Load::asked(setup, lengths, Some(concurrency)).ok()?).ok()
}

/// The speed when everything is queued at once.
pub fn saturated(setup: &Setup<'_>, lengths: &Lengths, points: &Points) -> Option<Speed> {
    points.speed(&Load::asked(setup, lengths, None).ok()?).ok()
}

/// The speed of what a row describes, or why there is none.
pub fn predict(row: &Row, points: &Points) -> Result<Speed, String> {
    let load = row.load().map_err(|wrong| wrong.join("; "))?;
    points.speed(&load)
}

/// Output tokens per second when `concurrency` clients each send the next request as the last one ends.
pub(super) fn closed_loop(concurrency: f64, output: f64, ttft_ms: f64, tpot_ms: f64) -> f64 {
    concurrency * output / (ttft_ms + (output - 1.0).max(0.0) * tpot_ms) * 1e3
}
