//! From a raw score to one that means something: its rank on the benchmark mix, and the gain seen at that rank.

use crate::weights::{BadWeights, Reader, Writer};

/// Points of the curve: ranks 0.5 %, 1.5 %, … 99.5 %.
pub(crate) const POINTS: usize = 100;

/// Raw scores at fixed ranks, rising, and the expected gain there, not falling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    raw: Vec<f32>,
    gain: Vec<f32>,
}

impl Curve {
    /// From scores of texts that the model had not seen: (raw, gain, weight).
    pub(crate) fn fit(seen: &[(f64, f64, f64)]) -> Self {
        let mut sorted = seen.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = sorted.iter().map(|s| s.2).sum();
        let (mut raw, mut gain) = (Vec::with_capacity(POINTS), Vec::with_capacity(POINTS));
        let (mut passed, mut rest) = (0.0, sorted.as_slice());
        for point in 0..POINTS {
            let end = total * rank(point + 1, 0.0);
            let mut sums = (0.0, 0.0, 0.0);
            while let Some((first, tail)) = rest.split_first()
                && (passed < end || point + 1 == POINTS)
            {
                passed += first.2;
                sums = (sums.0 + first.0 * first.2, sums.1 + first.1 * first.2, sums.2 + first.2);
                rest = tail;
            }
            let least = raw.last().map_or(f32::MIN, |last: &f32| last.next_up());
            #[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
            let at = if sums.2 > 0.0 { (sums.0 / sums.2) as f32 } else { least };
            raw.push(if at > least { at } else { least });
            gain.push((sums.1, sums.2));
        }
        Self { raw, gain: rising(&gain) }
    }

    /// The rank, strictly between 0 and 1, strictly rising with the raw score.
    pub(crate) fn rank(&self, raw: f64) -> f64 {
        let at = self.raw.partition_point(|point| f64::from(*point) <= raw);
        let point = |at: usize| self.raw.get(at).copied().map(f64::from);
        let half = 0.5 / crate::features::float(POINTS);
        match (at.checked_sub(1).and_then(point), point(at)) {
            (Some(below), Some(above)) => rank(at - 1, (raw - below) / (above - below)) + half,
            // Beyond the ends it closes in on 0 and 1 and never reaches them.
            (None, Some(first)) => half / (1.0 + (first - raw)),
            (Some(last), None) => 1.0 - half / (1.0 + (raw - last)),
            (None, None) => 0.5,
        }
    }

    /// The gain (strong minus weak, of 1) that prompts of this rank had.
    pub(crate) fn gain(&self, rank: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank of 0 to 1")]
        let at = ((rank * crate::features::float(POINTS)) as usize).min(POINTS - 1);
        self.gain.get(at).copied().map_or(0.0, f64::from)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32s(&self.raw);
        out.f32s(&self.gain);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let curve = Self { raw: from.f32s()?, gain: from.f32s()? };
        let fits =
            curve.raw.len() == POINTS && curve.gain.len() == POINTS && curve.raw.is_sorted_by(|a, b| a < b);
        if fits { Ok(curve) } else { Err(BadWeights::Damaged("a curve")) }
    }
}

fn rank(point: usize, part: f64) -> f64 {
    (crate::features::float(point) + part) / crate::features::float(POINTS)
}

/// Pool adjacent violators: the closest curve that never falls.
fn rising(points: &[(f64, f64)]) -> Vec<f32> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (sum, weight) in points {
        blocks.push((*sum, *weight, 1));
        while let [.., before, last] = blocks.as_slice()
            && before.0 * last.1 >= last.0 * before.1
        {
            let joined = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
            blocks.truncate(blocks.len() - 2);
            blocks.push(joined);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
    let value = |b: &(f64, f64, usize)| (b.0 / b.1.max(1e-12)) as f32;
    blocks.iter().flat_map(|b| std::iter::repeat_n(value(b), b.2)).collect()
}
