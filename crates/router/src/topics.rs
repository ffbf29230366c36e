//! What a prompt is about: its grams projected onto a few directions (latent semantic analysis), the directions hashed.

use crate::linear::{self, quantise};
use crate::weights::{BadWeights, Reader, Writer};

/// Most buckets, as a power of two: fewer than the linear score's, because each holds [`TOPICS`] bytes.
const MOST: u32 = 16;
/// How many directions.
pub(crate) const TOPICS: usize = 32;

/// The directions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topics {
    step: f32,
    directions: Vec<[i8; TOPICS]>,
}

/// The bucket of a gram. Other bits of the hash than the linear score's, so that the two do not share collisions.
pub(crate) const fn bucket(gram: u64, bits: u32) -> (usize, bool) {
    linear::bucket(gram.rotate_right(29), bits)
}

impl Topics {
    /// Rounds trained directions, a row of [`TOPICS`] for each bucket.
    pub(crate) fn quantised(rows: &[f64]) -> Self {
        let (bytes, step) = quantise(rows);
        Self { step, directions: bytes.as_chunks::<TOPICS>().0.to_vec() }
    }

    /// How much of each direction is in the text.
    pub(crate) fn of(&self, grams: impl Iterator<Item = u64>) -> [f32; TOPICS] {
        let bits = self.directions.len().max(1).ilog2();
        let (mut sums, mut n) = ([0_i32; TOPICS], 0_u32);
        for gram in grams {
            let (at, minus) = bucket(gram, bits);
            n += 1;
            let Some(row) = self.directions.get(at) else { continue };
            let sign = if minus { -1 } else { 1 };
            for (sum, part) in sums.iter_mut().zip(row) {
                *sum += sign * i32::from(*part);
            }
        }
        let unit = f64::from(self.step) / f64::from(n.max(1)).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "trees compare in single precision")]
        sums.map(|sum| (f64::from(sum) * unit) as f32)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32(self.step);
        out.i8s(self.directions.as_flattened());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let step = from.f32()?;
        let directions = from.i8s()?.as_chunks::<TOPICS>().0.to_vec();
        if directions.len().is_power_of_two() && directions.len() <= 1 << MOST {
            Ok(Self { step, directions })
        } else {
            Err(BadWeights::Damaged("the topics"))
        }
    }
}
