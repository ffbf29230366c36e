//! The doubt score: from a cheap answer and its prompt, whether the strong model would have done better.
//!
//! What was learned about answers overfits to the formats of the four datasets that have answers: on a format that
//! training lacks it is worse than none. So it speaks only as far as answer and prompt are made of known phrases; the
//! rest is the prompt's difficulty and a sum of eight figures with signs set by hand.

use crate::answer::{self, Asked, Extent, Measured, at};
use crate::curve::Curve;
use crate::difficulty::{Difficulty, Score};
use crate::domain::{Domain, Fade};
use crate::features::{self, DENSE, Features};
use crate::linear::{Hashed, Scale};
use crate::topics::{TOPICS, Topics};
use crate::trees::Forest;
use crate::weights::{BadWeights, Reader, Writer};

/// Figures of the linear part: the answer's, then the prompt's raw difficulty.
pub(crate) const LINEAR: usize = answer::FIGURES + 1;
/// Figures that the trees see: those, the prompt's plain figures, and the topics of prompt and answer.
pub(crate) const FIGURES: usize = LINEAR + DENSE + 2 * TOPICS;

/// The share of known triples of words at which the learned part counts half, and how steeply it fades.
const HALF: f64 = 0.32;
const FADE: f64 = 0.04;

/// Lower than for prompts: the hand-made sum needs no known words, only some.
const TRUST: Fade = (0.0, 0.02);

/// Figures that rise with doubt in every kind of answer seen, and the one that falls (its sign is in [`outside`]).
const RISING: [usize; 7] = [
    at::TRIPLES,
    at::BACKSLASHES,
    at::NUMBERS,
    at::LN_CHARS,
    at::PROMPT_NUMBERS,
    at::BY_PROMPT,
    at::PROMPT_WORDS,
];
/// How far one figure may pull, in deviations: between unlike kinds of answer, length alone would decide.
const PULL: f64 = 2.0;
/// The sum's share next to the prompt's difficulty.
const HAND: f64 = 0.7;
/// What a factor e of the model's size takes off.
const SIZE: f64 = 0.31;

/// A prompt, measured once for all the points at which its answer is judged.
#[derive(Clone, Debug)]
pub struct Question {
    pub(crate) asked: Asked,
    pub(crate) features: Features,
    /// Raw difficulty.
    pub(crate) difficulty: f64,
    pub(crate) topics: [f32; TOPICS],
}

impl Question {
    /// Measures.
    pub fn new(difficulty: &Difficulty, prompt: &str) -> Self {
        let features = features::measure(prompt);
        let topics = difficulty.parts.topics.of(features.grams.iter());
        Self { asked: Asked::new(prompt), difficulty: difficulty.parts.raw(&features), topics, features }
    }
}

/// The trained score at one point of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) scale: Scale,
    pub(crate) answer: Hashed,
    pub(crate) prompt: Hashed,
    pub(crate) dense: Vec<f32>,
    /// On the gain.
    pub(crate) whole: Forest,
    /// On the gain without its dataset's mean.
    pub(crate) within: Forest,
    /// Linear, whole, within.
    pub(crate) mix: [f32; 3],
    /// Their mean, so that a known kind of answer is not doubted more than an unknown one for being known.
    pub(crate) middle: f32,
    /// Mean and deviation of the hand-made sum.
    pub(crate) hand: [f32; 2],
    pub(crate) answers: Domain,
    pub(crate) curve: Curve,
}

impl Point {
    pub(crate) fn linear_figures(question: &Question, measured: &Measured) -> [f64; LINEAR] {
        let mut all = [0.0; LINEAR];
        let values = measured.figures.iter().copied().chain([question.difficulty]);
        all.iter_mut().zip(values).for_each(|(slot, x)| *slot = x);
        all
    }

    pub(crate) fn figures(
        question: &Question,
        measured: &Measured,
        topics: &[f32; TOPICS],
    ) -> [f32; FIGURES] {
        let mut all = [0.0; FIGURES];
        let values = Self::linear_figures(question, measured).into_iter().chain(question.features.dense);
        #[expect(clippy::cast_possible_truncation, reason = "trees compare in single precision")]
        let plain = values.map(|x| x as f32);
        let values = plain.chain(question.topics).chain(*topics);
        all.iter_mut().zip(values).for_each(|(slot, x)| *slot = x);
        all
    }

    pub(crate) fn linear(&self, question: &Question, measured: &Measured) -> f64 {
        let figures = Self::linear_figures(question, measured);
        let scaled = self.scale.apply(&figures).zip(&self.dense);
        self.answer.score(measured.grams.iter())
            + self.prompt.score(question.features.grams.iter())
            + scaled.map(|(x, w)| x * f64::from(*w)).sum::<f64>()
    }

    /// The learned part.
    pub(crate) fn inside(&self, question: &Question, measured: &Measured, topics: &[f32; TOPICS]) -> f64 {
        let figures = Self::figures(question, measured, topics);
        let parts =
            [self.linear(question, measured), self.whole.predict(&figures), self.within.predict(&figures)];
        let sum: f64 = parts.iter().zip(&self.mix).map(|(part, by)| part * f64::from(*by)).sum();
        sum - f64::from(self.middle)
    }

    /// The sum of figures with signs set by hand.
    pub(crate) fn hand(&self, question: &Question, measured: &Measured) -> f64 {
        let figures = Self::linear_figures(question, measured);
        let scaled: Vec<f64> = self.scale.apply(&figures).map(|x| x.clamp(-PULL, PULL)).collect();
        let figure = |k: usize| scaled.get(k).copied().unwrap_or(0.0);
        RISING.iter().map(|k| figure(*k)).sum::<f64>() - figure(at::DISTINCT)
    }

    /// What is left for answers of an unknown kind.
    fn outside(&self, question: &Question, measured: &Measured) -> f64 {
        let [mean, deviation] = self.hand.map(f64::from);
        let difficulty = [question.difficulty];
        let scale = Scale {
            mean: self.scale.mean.last().copied().into_iter().collect(),
            deviation: self.scale.deviation.last().copied().into_iter().collect(),
        };
        let difficulty: f64 = scale.apply(&difficulty).sum();
        let size = measured.figures.get(at::MODEL).copied().unwrap_or(0.0);
        difficulty + HAND * (self.hand(question, measured) - mean) / deviation - SIZE * size
    }

    /// The raw score and the coverage it goes by.
    pub(crate) fn raw(&self, shared: &Shared, question: &Question, measured: &Measured) -> (f64, f64) {
        let coverage = f64::midpoint(
            self.answers.coverage(&measured.triples),
            shared.prompts.coverage(&question.asked.triples),
        );
        let known = 1.0 / (1.0 + libm::exp((HALF - coverage) / FADE));
        let topics = shared.topics.of(measured.grams.iter());
        let inside = self.inside(question, measured, &topics);
        (known * inside + (1.0 - known) * self.outside(question, measured), coverage)
    }

    fn write(&self, out: &mut Writer) {
        self.scale.write(out);
        self.answer.write(out);
        self.prompt.write(out);
        out.f32s(&self.dense);
        self.whole.write(out);
        self.within.write(out);
        out.f32s(&self.mix);
        out.f32(self.middle);
        out.f32s(&self.hand);
        self.answers.write(out);
        self.curve.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let damaged = |_| BadWeights::Damaged("the mix");
        let point = Self {
            scale: Scale::read(from, LINEAR)?,
            answer: Hashed::read(from)?,
            prompt: Hashed::read(from)?,
            dense: from.f32s()?,
            whole: Forest::read(from, FIGURES)?,
            within: Forest::read(from, FIGURES)?,
            mix: from.f32s()?.try_into().map_err(damaged)?,
            middle: from.f32()?,
            hand: from.f32s()?.try_into().map_err(damaged)?,
            answers: Domain::read(from)?,
            curve: Curve::read(from)?,
        };
        let fits = point.dense.len() == LINEAR && point.hand.last().is_some_and(|d| *d > 0.0);
        if fits { Ok(point) } else { Err(BadWeights::Damaged("the plain weights")) }
    }
}

/// What all points share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shared {
    /// Known phrases of prompts.
    pub(crate) prompts: Domain,
    /// Topics of answers.
    pub(crate) topics: Topics,
}

/// The trained score at its three points.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    pub(crate) shared: Shared,
    /// In the order of [`Extent::ALL`].
    pub(crate) points: [Point; 3],
}

impl Doubt {
    /// Scores an answer as far as it was `seen`.
    pub fn score(&self, question: &Question, weak_model: &str, answer: &str, seen: Extent) -> Score {
        let measured = answer::measure(&question.asked, weak_model, answer, seen);
        let [start, quarter, whole] = &self.points;
        let point = match seen {
            Extent::Start => start,
            Extent::Quarter => quarter,
            Extent::Whole => whole,
        };
        let (raw, coverage) = point.raw(&self.shared, question, &measured);
        Score::new(&point.curve, raw, coverage, TRUST)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.shared.prompts.write(out);
        self.shared.topics.write(out);
        self.points.iter().for_each(|point| point.write(out));
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, BadWeights> {
        let shared = Shared { prompts: Domain::read(from)?, topics: Topics::read(from)? };
        Ok(Self { shared, points: [Point::read(from)?, Point::read(from)?, Point::read(from)?] })
    }
}
