//! A linear score over hashed grams and plain figures.

use crate::weights::{BadWeights, Reader, Writer};

/// Buckets of hashed grams, as a power of two.
pub(crate) const BITS: u32 = 17;

/// The bucket of a gram, and its sign: collisions then cancel on average instead of adding up.
#[expect(clippy::cast_possible_truncation, reason = "masked to the table's size")]
pub(crate) const fn bucket(gram: u64, bits: u32) -> (usize, bool) {
    (gram as usize & ((1 << bits) - 1), gram >> 63 == 1)
}

/// Plain figures, put on one scale: mean 0, deviation 1, clipped so that no single figure runs away with a score.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) mean: Vec<f32>,
    pub(crate) deviation: Vec<f32>,
}

impl Scale {
    pub(crate) fn apply<'a>(&'a self, figures: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let scales = self.mean.iter().zip(&self.deviation);
        figures
            .iter()
            .zip(scales)
            .map(|(x, (mean, deviation))| ((x - f64::from(*mean)) / f64::from(*deviation)).clamp(-4.0, 4.0))
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32s(&self.mean);
        out.f32s(&self.deviation);
    }

    pub(crate) fn read(from: &mut Reader<'_>, figures: usize) -> Result<Self, BadWeights> {
        let scale = Self { mean: from.f32s()?, deviation: from.f32s()? };
        let fits = scale.mean.len() == figures
            && scale.deviation.len() == figures
            && scale.deviation.iter().all(|d| *d > 0.0);
        if fits { Ok(scale) } else { Err(BadWeights::Damaged("a scale")) }
    }
}

/// Weights of one set of hashed grams, a byte each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hashed {
    weights: Vec<i8>,
    step: f32,
}

impl Hashed {
    /// Rounds trained weights (`1 << BITS` of them) to 255 steps.
    pub(crate) fn quantised(weights: &[f64]) -> Self {
        let (weights, step) = quantise(weights);
        Self { weights, step }
    }

    /// The sum of the grams' weights over the root of their number, so that length alone adds nothing.
    pub(crate) fn score(&self, grams: impl Iterator<Item = u64>) -> f64 {
        let (mut sum, mut n) = (0_i64, 0_u32);
        for gram in grams {
            let (at, minus) = bucket(gram, BITS);
            let weight = i64::from(self.weights.get(at).copied().unwrap_or(0));
            sum += if minus { -weight } else { weight };
            n += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a sum of bytes")]
        let sum = sum as f64;
        sum * f64::from(self.step) / f64::from(n.max(1)).sqrt()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32(self.step);
        out.i8s(&self.weights);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let hashed = Self { step: from.f32()?, weights: from.i8s()? };
        if hashed.weights.len() == 1 << BITS { Ok(hashed) } else { Err(BadWeights::Damaged("a table")) }
    }
}

/// Bytes and the size of one step.
pub(crate) fn quantise(weights: &[f64]) -> (Vec<i8>, f32) {
    let largest = weights.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
    #[expect(clippy::cast_possible_truncation, reason = "bounded by 127")]
    let (step, bytes) = {
        let step = (largest / 127.0).max(f64::from(f32::MIN_POSITIVE)) as f32;
        let byte = |w: &f64| (w / f64::from(step)).round().clamp(-127.0, 127.0) as i8;
        (step, weights.iter().map(byte).collect())
    };
    (bytes, step)
}
