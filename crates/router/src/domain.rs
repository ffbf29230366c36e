//! How much of a text the training data had seen: the honest "I do not know".
//!
//! Pairs or triples of words, not words: every language's marks and digits are known, and a foreign order of known
//! words is foreign.

use crate::weights::{BadWeights, Reader, Writer};

/// Bits of the set, as a power of two, and bits of a phrase in it: a Bloom filter that takes some hundred thousand
/// phrases and a few percent of strange ones by chance.
const BITS: u32 = 21;
const PROBES: u32 = 3;
/// Below the first share of known pairs a score says nothing, above the second it counts in full.
pub(crate) type Fade = (f64, f64);

/// The phrases that several training texts had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    bits: Vec<u64>,
}

impl Domain {
    /// From the phrases of each training text, each once; a phrase counts when `least` texts had it.
    pub(crate) fn learn<'a>(texts: impl Iterator<Item = &'a [u64]>, least: usize) -> Self {
        let mut all: Vec<u64> = texts.flatten().copied().collect();
        all.sort_unstable();
        let mut domain = Self { bits: vec![0; (1 << BITS) / 64] };
        for same in all.chunk_by(|a, b| a == b).filter(|same| same.len() >= least) {
            for at in same.first().into_iter().flat_map(|phrase| places(*phrase)) {
                if let Some(word) = domain.bits.get_mut(at / 64) {
                    *word |= 1 << (at % 64);
                }
            }
        }
        domain
    }

    /// The share of known phrases, 0 to 1; of a text without any 0.
    pub(crate) fn coverage(&self, phrases: &[u64]) -> f64 {
        let known = phrases.iter().filter(|phrase| self.has(**phrase)).count();
        crate::features::float(known) / crate::features::float(phrases.len().max(1))
    }

    fn has(&self, phrase: u64) -> bool {
        let set = |at: usize| self.bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        places(phrase).all(set)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64s(&self.bits);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let bits = from.u64s()?;
        if bits.len() == (1 << BITS) / 64 {
            Ok(Self { bits })
        } else {
            Err(BadWeights::Damaged("the domain"))
        }
    }
}

/// How much weight a score deserves at this coverage, 0 to 1.
pub(crate) fn trust((blind, sure): Fade, coverage: f64) -> f64 {
    ((coverage - blind) / (sure - blind)).clamp(0.0, 1.0)
}

/// The bits of a phrase.
#[expect(clippy::cast_possible_truncation, reason = "masked to the set's size")]
fn places(phrase: u64) -> impl Iterator<Item = usize> {
    (0..PROBES).map(move |probe| phrase.rotate_right(probe * BITS) as usize & ((1 << BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_phrases_are_found_and_strange_ones_hardly_ever() {
        let phrase = |n: u64| crate::text::pair(n, n + 1);
        let texts: Vec<Vec<u64>> =
            (0..400_u64).map(|t| (0..1_000).map(|n| phrase((t / 2) * 1_000 + n)).collect()).collect();
        let domain = Domain::learn(texts.iter().map(Vec::as_slice), 2);
        let rare = Domain::learn(texts.iter().map(Vec::as_slice), 3);
        let known: Vec<u64> = (0..100_000).map(phrase).collect();
        let strange: Vec<u64> = (1_000_000..1_100_000).map(phrase).collect();
        assert!(domain.coverage(&known) >= 1.0 && rare.coverage(&known) <= 0.0);
        assert!(domain.coverage(&strange) < 0.03, "{}", domain.coverage(&strange));
        assert!(domain.coverage(&[]) <= 0.0);
    }
}
