//! The difficulty score: from a prompt, how much the strong model would gain over the weak one.
//!
//! The obvious alternative, "how hard is it", is wrong for money: a prompt that neither model can solve is hard, and a
//! strong call on it is wasted. So the gain is what was learned, in three parts: a linear score and small trees for
//! what differs within a kind of prompt, and trees for what differs between kinds.

use crate::curve::Curve;
use crate::domain::{self, Domain, Fade};
use crate::features::{self, DENSE, Features};
use crate::linear::{Hashed, Scale};
use crate::topics::{TOPICS, Topics};
use crate::trees::Forest;
use crate::weights::{BadWeights, Reader, Writer};

/// Figures that the trees see: the plain ones, then the topics.
pub(crate) const FIGURES: usize = DENSE + TOPICS;

/// Of every dataset that was held out whole, 99 of 100 prompts had more than an eighth of their pairs known; languages
/// that training lacks have nearly none.
const FADE: Fade = (0.05, 0.12);

/// A score, with what `explain` and the ledger show of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The share of the benchmark mix that scores lower, 0 to 1; 0.5 when nothing is known.
    pub value: f64,
    /// The gain (strong minus weak, of 1) that benchmark prompts of this score had.
    pub gain: f64,
    /// The share of its word pairs that the training data had, 0 to 1.
    pub coverage: f64,
    /// How much the score was trusted, 0 to 1: below 1 it was drawn towards 0.5.
    pub trust: f64,
}

impl Score {
    /// From a raw score.
    pub(crate) fn new(curve: &Curve, raw: f64, coverage: f64, fade: Fade) -> Self {
        let trust = domain::trust(fade, coverage);
        let value = 0.5 + trust * (curve.rank(raw) - 0.5);
        Self { value, gain: curve.gain(value), coverage, trust }
    }

    /// The text is so far from the training data that the score says nothing: no rule may act on it.
    pub fn is_unknown(&self) -> bool {
        self.trust <= 0.0
    }
}

/// The parts of a raw score and how they are added up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    pub(crate) scale: Scale,
    pub(crate) hashed: Hashed,
    /// For scaled plain figures.
    pub(crate) dense: Vec<f32>,
    pub(crate) topics: Topics,
    /// Within a kind of prompt, from all figures.
    pub(crate) within: Forest,
    /// Within a kind, from topics alone: transfers best to kinds that training lacks.
    pub(crate) topical: Forest,
    /// Between kinds.
    pub(crate) level: Forest,
    /// What each of the four is multiplied by: linear, within, topical, level.
    pub(crate) mix: [f32; 4],
}

impl Parts {
    pub(crate) fn linear(&self, prompt: &Features) -> f64 {
        let scaled = self.scale.apply(&prompt.dense).zip(&self.dense);
        self.hashed.score(prompt.grams.iter()) + scaled.map(|(x, w)| x * f64::from(*w)).sum::<f64>()
    }

    pub(crate) fn figures(&self, prompt: &Features) -> [f32; FIGURES] {
        let topics = self.topics.of(prompt.grams.iter());
        let mut all = [0.0; FIGURES];
        #[expect(clippy::cast_possible_truncation, reason = "trees compare in single precision")]
        let dense = prompt.dense.iter().map(|x| *x as f32);
        all.iter_mut().zip(dense.chain(topics)).for_each(|(slot, x)| *slot = x);
        all
    }

    pub(crate) fn raw(&self, prompt: &Features) -> f64 {
        let figures = self.figures(prompt);
        let topics = figures.get(DENSE..).unwrap_or_default();
        let parts = [
            self.linear(prompt),
            self.within.predict(&figures),
            self.topical.predict(topics),
            self.level.predict(&figures),
        ];
        parts.iter().zip(&self.mix).map(|(part, by)| part * f64::from(*by)).sum()
    }
}

/// The trained score.
#[derive(Clone, Debug, PartialEq)]
pub struct Difficulty {
    pub(crate) parts: Parts,
    pub(crate) domain: Domain,
    pub(crate) curve: Curve,
}

impl Difficulty {
    /// Scores a prompt, of which the first 6,000 characters are read.
    pub fn score(&self, prompt: &str) -> Score {
        self.score_measured(&features::measure(prompt))
    }

    /// Scores a prompt that was measured.
    pub fn score_measured(&self, prompt: &Features) -> Score {
        Score::new(&self.curve, self.parts.raw(prompt), self.domain.coverage(&prompt.grams.pairs), FADE)
    }

    /// What each plain figure adds to the linear part.
    pub(crate) fn pushes<'a>(&'a self, prompt: &'a Features) -> impl Iterator<Item = f64> + 'a {
        let scaled = self.parts.scale.apply(&prompt.dense);
        scaled.zip(&self.parts.dense).map(|(x, w)| x * f64::from(*w))
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let parts = &self.parts;
        parts.scale.write(out);
        parts.hashed.write(out);
        out.f32s(&parts.dense);
        parts.topics.write(out);
        parts.within.write(out);
        parts.topical.write(out);
        parts.level.write(out);
        out.f32s(&parts.mix);
        self.domain.write(out);
        self.curve.write(out);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let parts = Parts {
            scale: Scale::read(from, DENSE)?,
            hashed: Hashed::read(from)?,
            dense: from.f32s()?,
            topics: Topics::read(from)?,
            within: Forest::read(from, FIGURES)?,
            topical: Forest::read(from, TOPICS)?,
            level: Forest::read(from, FIGURES)?,
            mix: from.f32s()?.try_into().map_err(|_| BadWeights::Damaged("the mix"))?,
        };
        if parts.dense.len() != DENSE {
            return Err(BadWeights::Damaged("the plain weights"));
        }
        Ok(Self { parts, domain: Domain::read(from)?, curve: Curve::read(from)? })
    }
}
