//! What the formula leaves over, learned from measurements: kriging (Gaussian-process regression) on the logarithm of
//! measured over modelled.
//!
//! The leftovers of two measurements are alike to the degree that they share something: any load at all, the engine,
//! the model, the accelerator, all of these, the engine's very version, the layout, the curve. Each circle has an
//! amplitude, and within it likeness fades with the distance in batch, lengths and accelerators. A table of correction
//! factors would need a rule for every gap in it; here a question with nothing near falls back to the formula and its
//! band widens by itself. A neural net would do neither.

use catalog::Hardware;

use super::linear::Cholesky;
use super::load::{Circles, Load};
use super::physics::Terms;

/// Standard deviation of the noise between two runs of one configuration, in logarithms.
const NOISE: f64 = 0.025;
/// The same on one's own machine.
const OWN_NOISE: f64 = 0.01;
/// A leftover so many deviations from what the others say is an outlier and counts with the noise that explains it.
const OUTLIER: f64 = 3.0;

/// Typical size, in logarithms, of what each circle shares.
struct Amplitudes {
    any: f64,
    engine: f64,
    model: f64,
    gpu: f64,
    set: f64,
    version: f64,
    layout: f64,
    curve: f64,
    own: f64,
}

const AMPLITUDE: Amplitudes = Amplitudes {
    any: 0.08,
    engine: 0.08,
    model: 0.10,
    gpu: 0.06,
    set: 0.08,
    version: 0.06,
    layout: 0.05,
    curve: 0.06,
    own: 0.30,
};

/// Datasheets that differ by this much (in logarithms of bandwidth and arithmetic) are half strangers.
const DATASHEET: f64 = 0.4;

/// Where a load stands: coordinates and circles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Logarithms of batch, input, output and ring, and the share of waiting.
    at: [f64; 5],
    /// Logarithms of bandwidth and arithmetic, and the vendor.
    sheet: [f64; 3],
    circles: Circles,
    /// One's own bench of this replica is among the measurements, or this is one of its points.
    own: bool,
}

impl Place {
    pub(super) fn of(load: &Load<'_>, t: &Terms, own: bool) -> Self {
        let batch = if load.batch().is_finite() { load.batch() } else { t.batch };
        Self {
            at: [
                batch.max(1.0).ln(),
                (load.isl / 1_024.0).ln(),
                (load.osl / 1_024.0).ln(),
                load.group().ln(),
                t.waiting,
            ],
            sheet: sheet(load.gpu),
            circles: load.circles,
            own,
        }
    }
}

/// How alike two accelerators are by their datasheets, 0 to 1.
pub(super) fn likeness(a: &Hardware, b: &Hardware) -> f64 {
    fade(sheet(a), sheet(b), [DATASHEET; 3])
}

fn sheet(gpu: &Hardware) -> [f64; 3] {
    let vendor = if gpu.vendor == "nvidia" { 0.0 } else { 1.0 };
    [gpu.bandwidth_gb_s.ln(), gpu.tflops.bf16.ln(), vendor]
}

/// exp(−½ Σ ((aᵢ−bᵢ)/ℓᵢ)²).
fn fade<const N: usize>(a: [f64; N], b: [f64; N], scale: [f64; N]) -> f64 {
    let square: f64 = a.iter().zip(&b).zip(&scale).map(|((a, b), s)| ((a - b) / s).powi(2)).sum();
    (-0.5 * square).exp()
}

/// How alike the leftovers of two loads are.
fn covariance(one: &Place, other: &Place, scale: f64) -> f64 {
    let size = &AMPLITUDE;
    let (mine, theirs) = (&one.circles, &other.circles);
    let [batch, isl, osl, ring, _] = one.at;
    let [batch_q, isl_q, osl_q, ring_q, _] = other.at;
    let sheet = fade(one.sheet, other.sheet, [DATASHEET; 3]);
    let all = fade(one.at, other.at, [2.0, 2.0, 2.0, 1.5, 0.4]);
    let wide = fade([batch, ring], [batch_q, ring_q], [3.0, 2.0]);
    let mut sum = size.any.powi(2) * all * sheet;
    if mine.engine == theirs.engine {
        sum += size.engine.powi(2) * all * sheet;
    }
    if mine.model == theirs.model {
        sum += size.model.powi(2) * wide * sheet;
    }
    if mine.gpu == theirs.gpu {
        sum += size.gpu.powi(2) * wide;
    }
    if mine.set == theirs.set {
        let near = fade([batch, isl, osl, ring], [batch_q, isl_q, osl_q, ring_q], [2.0, 2.0, 2.0, 1.5]);
        let near = near * sheet;
        sum += size.set.powi(2) * near;
        if mine.version == theirs.version {
            sum += size.version.powi(2) * near;
        }
    }
    if mine.layout == theirs.layout {
        sum +=
            size.layout.powi(2) * sheet * fade([batch, isl, osl], [batch_q, isl_q, osl_q], [1.5, 1.2, 1.2]);
    }
    if mine.curve == theirs.curve {
        sum += size.curve.powi(2) * fade([batch], [batch_q], [1.5]);
    }
    sum *= scale;
    if one.own && other.own && mine.place == theirs.place {
        sum += size.own.powi(2) * fade([batch, isl, osl], [batch_q, isl_q, osl_q], [6.0, 4.0, 4.0]);
    }
    sum
}

/// Measurements with the leftovers of several quantities.
#[derive(Clone, Debug)]
pub(super) struct Smoother {
    places: Vec<Place>,
    scale: f64,
    factor: Cholesky,
    weights: Vec<Vec<f64>>,
}

/// What the measurements say of a load's leftovers.
#[derive(Clone, Debug)]
pub(super) struct Leftover {
    /// Mean of each quantity.
    pub means: Vec<f64>,
    /// Standard deviation of the first, noise included.
    pub deviation: f64,
}

/// Extra noise (variance) that makes outliers harmless, by cross-validation: each point is compared with what all
/// others say of it.
pub(super) fn outliers(places: &[Place], leftovers: &[f64], scale: f64) -> Vec<f64> {
    let base = NOISE.powi(2);
    let mut extra = vec![0.0; places.len()];
    for _ in 0..4 {
        let Some(factor) = Cholesky::of(matrix(places, &extra, scale)) else { break };
        let weights = factor.solve(leftovers);
        let precision = factor.inverse_diagonal();
        let points = extra.iter_mut().zip(weights.iter().zip(&precision));
        let mut changed = false;
        for (extra, (weight, precision)) in points {
            // Leave-one-out: residual wᵢ/Pᵢᵢ with variance 1/Pᵢᵢ, of which the point's own noise is taken off again.
            let off = weight / precision;
            let variance = 1.0 / precision - *extra;
            let now = if off * off > OUTLIER.powi(2) * variance { off * off - base } else { 0.0 };
            changed |= (now - *extra).abs() > 1e-4;
            *extra = now.max(0.0);
        }
        if !changed {
            break;
        }
    }
    extra
}

fn matrix(places: &[Place], extra: &[f64], scale: f64) -> Vec<Vec<f64>> {
    let row = |(i, (p, extra)): (usize, (&Place, &f64))| -> Vec<f64> {
        let mut row: Vec<f64> = places.iter().take(i + 1).map(|q| covariance(p, q, scale)).collect();
        let noise = if p.own { OWN_NOISE } else { NOISE };
        if let Some(last) = row.last_mut() {
            *last += noise.powi(2) + extra;
        }
        row
    };
    places.iter().zip(extra).enumerate().map(row).collect()
}

impl Smoother {
    /// Learns from measurements: each has a place, extra noise and one leftover per quantity. `scale` multiplies the
    /// variances of all circles. None without a usable measurement.
    pub(super) fn learn(
        places: Vec<Place>,
        extra: &[f64],
        leftovers: &[Vec<f64>],
        scale: f64,
    ) -> Option<Self> {
        if places.is_empty() {
            return None;
        }
        let factor = Cholesky::of(matrix(&places, extra, scale))?;
        let weights = leftovers.iter().map(|leftover| factor.solve(leftover)).collect();
        Some(Self { places, scale, factor, weights })
    }

    /// What the measurements say of a place.
    pub(super) fn at(&self, place: &Place) -> Leftover {
        let k: Vec<f64> = self.places.iter().map(|q| covariance(place, q, self.scale)).collect();
        let mean = |weights: &Vec<f64>| weights.iter().zip(&k).map(|(w, k)| w * k).sum();
        let explained: f64 = self.factor.forward(&k).iter().map(|v| v * v).sum();
        let variance = (covariance(place, place, self.scale) - explained).max(0.0);
        Leftover {
            means: self.weights.iter().map(mean).collect(),
            deviation: (variance + NOISE.powi(2)).sqrt(),
        }
    }
}

/// The deviation where nothing is known.
pub(super) fn ignorance(place: &Place, scale: f64) -> f64 {
    (covariance(place, place, scale) + NOISE.powi(2)).sqrt()
}
