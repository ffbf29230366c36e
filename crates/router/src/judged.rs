//! A learned score held against a threshold, as the ledger keeps it and `explain` shows it (LAW 7).

use std::sync::Arc;

use serde::Serialize;

use crate::difficulty::Score;
use crate::features::{self, Features};
use crate::{Extent, Learned, Question};

/// Figures that are kept.
const FIGURES: usize = 5;

/// Escalate when a learned score is above this.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// From 0 to 1.
    pub over: f64,
    /// The weights that score; `None` when they were refused: then the rule never fires, and says so.
    pub learned: Option<Arc<Learned>>,
}

/// A score, its threshold, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The share of the benchmark mix that scores lower, 0 to 1.
    pub score: f64,
    /// The threshold.
    pub over: f64,
    /// Above the threshold, and not out of the domain.
    pub escalate: bool,
    /// The gain that benchmark prompts of this score had: strong minus weak, of 1. Measured on benchmarks, not here.
    pub benchmark_gain: f64,
    /// The share of its word pairs that the training data had.
    pub coverage: f64,
    /// `known`, `partly known` (drawn towards 0.5) or `unknown domain` (no say).
    pub domain: &'static str,
    /// What of the answer was read: `64 tokens`, `256 tokens`, `the whole answer`; none for a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<&'static str>,
    /// The plain figures that moved the linear part most: name and value. Words and topics count too and have no name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<(&'static str, f64)>,
    /// Which weights.
    pub weights: String,
}

impl Threshold {
    /// Judges a prompt; `None` without weights.
    pub fn difficulty(&self, prompt: &str) -> Option<Judged> {
        let learned = self.learned.as_ref()?;
        let features = features::measure(prompt);
        let score = learned.difficulty.score_measured(&features);
        Some(Judged { features: foremost(learned, &features), ..self.judged(learned, score, None) })
    }

    /// Judges an answer; `None` when the weights have no doubt score.
    pub fn doubt(&self, question: &Question, weak_model: &str, answer: &str, seen: Extent) -> Option<Judged> {
        let learned = self.learned.as_ref()?;
        let score = learned.doubt.as_ref()?.score(question, weak_model, answer, seen);
        Some(self.judged(learned, score, Some(seen)))
    }

    fn judged(&self, learned: &Learned, score: Score, seen: Option<Extent>) -> Judged {
        let unknown = score.is_unknown();
        Judged {
            score: rounded(score.value),
            over: self.over,
            escalate: !unknown && score.value > self.over,
            benchmark_gain: rounded(score.gain),
            coverage: rounded(score.coverage),
            domain: match score.trust {
                _ if unknown => "unknown domain",
                trust if trust < 1.0 => "partly known",
                _ => "known",
            },
            at: seen.map(Extent::as_str),
            features: Vec::new(),
            weights: learned.card.name.clone(),
        }
    }
}

fn foremost(learned: &Learned, features: &Features) -> Vec<(&'static str, f64)> {
    // The few largest, by insertion: a sort of all would cost more than half a score.
    let mut foremost = [(0.0_f64, 0_usize); FIGURES];
    for (push, at) in learned.difficulty.pushes(features).map(f64::abs).zip(0..) {
        let place = foremost.iter().position(|(other, _)| push > *other);
        if let Some(moved) = place.and_then(|place| foremost.get_mut(place..)) {
            moved.rotate_right(1);
            if let Some(slot) = moved.first_mut() {
                *slot = (push, at);
            }
        }
    }
    let value = |at: usize| features.dense.get(at).copied().unwrap_or(0.0);
    let moved = foremost.iter().filter(|(push, _)| *push > 0.0);
    moved.map(|(_, at)| (features::name(*at), rounded(value(*at)))).collect()
}

/// To four places: more is noise.
fn rounded(x: f64) -> f64 {
    (x * 10_000.0).round() / 10_000.0
}
