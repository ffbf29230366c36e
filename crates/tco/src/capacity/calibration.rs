//! The committed result of a calibration: constants, widths of the bands, errors by group.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::physics::{Constants, FirstToken};

/// What `tollgate tco calibrate` writes and every answer is computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Raised when the formula changes.
    pub version: u32,
    /// The command that made this file.
    pub made_by: String,
    /// What it was fitted to.
    pub source: String,
    /// Constants for models whose every token uses every parameter.
    pub dense: Coefficients,
    /// Constants for mixtures of experts.
    pub moe: Coefficients,
    /// Half-widths of the 90 % bands.
    pub bands: Bands,
    /// Cross-validated errors.
    pub errors: Vec<GroupError>,
    /// Extra noise (variance of the logarithm) of measurements that the others contradict, by row id.
    pub outliers: BTreeMap<String, f64>,
}

/// Constants of one kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    /// Delivered over modelled throughput when everything is queued at once.
    pub offline: f64,
    /// Decoding and prefill.
    pub step: Constants,
    /// Time to the first token.
    pub first_token: FirstToken,
}

/// Half-widths by kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    /// Dense models.
    pub dense: Nearness,
    /// Mixtures.
    pub moe: Nearness,
}

/// Half-widths by what is known of the question.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nearness {
    /// Other points of the curve are known.
    pub known_curve: Widths,
    /// The accelerator is known, the curve is not.
    pub unseen_curve: Widths,
    /// The accelerator is known from its datasheet only, and no measured one is like it.
    pub unseen_gpu: Widths,
    /// Other points of the curve are known from one's own bench.
    pub own_bench: Widths,
}

/// Half-widths of the 90 % band, in standard deviations of the smoother: the 90 % quantile of the cross-validated
/// errors of that group, so the band holds nine of ten such rows by construction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widths {
    /// Of the time per output token.
    pub tpot: f64,
    /// Of the time to the first token.
    pub ttft: f64,
    /// Of the throughput with a fixed number of requests in flight.
    pub throughput: f64,
    /// Of the throughput with everything queued at once.
    pub offline: f64,
}

/// Error of one quantity in one group, by cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupError {
    /// `dense` or `moe`.
    pub models: String,
    /// What was left out: `points`, `curves`, `gpus`, or `bench` (all of a curve but three points of one's own).
    pub left_out: String,
    /// `tpot`, `ttft`, `throughput` or `offline throughput`.
    pub quantity: String,
    /// Rows predicted.
    pub rows: usize,
    /// Mean absolute relative error. Of throughput it is also that of dollars per token, up to the second order.
    pub mean: f64,
    /// Median of the same.
    pub median: f64,
    /// The 90 % quantile of the same.
    pub p90: f64,
    /// Mean of the plain roofline on the same rows.
    pub roofline_mean: f64,
    /// Share of rows inside the 90 % band.
    pub coverage: f64,
}

static SHIPPED: LazyLock<Option<Calibration>> =
    // A file that does not parse fails `the_committed_calibration_is_read`.
    LazyLock::new(|| toml::from_str(include_str!("../../data/calibration.toml")).ok());

impl Calibration {
    /// The committed calibration.
    pub fn shipped() -> Option<&'static Self> {
        SHIPPED.as_ref()
    }

    /// As a TOML file.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

impl Nearness {
    /// Wide bands, for where nothing was cross-validated.
    pub(super) const WIDE: Self = {
        let widths = Widths { tpot: 2.5, ttft: 6.0, throughput: 2.5, offline: 2.5 };
        Self { known_curve: widths, unseen_curve: widths, unseen_gpu: widths, own_bench: widths }
    };

    /// The widths for an accelerator that is so alike (0 to 1) to the nearest one with measurements; those of an unseen
    /// curve at 1, where it is that one.
    ///
    /// Between, the geometric mean by distance, √(1 − likeness). It is an assumption: the measurements hold no pair of
    /// accelerators that are only half alike.
    pub(super) fn stranger(&self, likeness: f64) -> Widths {
        let far = (1.0 - likeness).max(0.0).sqrt();
        let (near, strange) = (self.unseen_curve, self.unseen_gpu);
        let between = |a: f64, b: f64| a.powf(1.0 - far) * b.powf(far);
        Widths {
            tpot: between(near.tpot, strange.tpot),
            ttft: between(near.ttft, strange.ttft),
            throughput: between(near.throughput, strange.throughput),
            offline: between(near.offline, strange.offline),
        }
    }
}
