//! Trains the difficulty score.

use super::boost::{Binned, Grow};
use super::data::Data;
use super::report::{Labelled, Report};
use super::ridge::{Fitted, Rows};
use super::{Progress, centred, deviation, directions, folds, per_dataset, scale, single, targets, weights};
use crate::curve::Curve;
use crate::difficulty::{Difficulty, Parts};
use crate::domain::Domain;
use crate::features::{self, DENSE, Features};
use crate::linear::Hashed;
use crate::tune;

/// Strength of the ridge.
const ALPHA: f64 = 5.0;
/// How the parts are added, each first put on the same scale.
const LINEAR: f64 = 0.8;
const WITHIN: f64 = 0.8;
const TOPICAL: f64 = 0.4;
const LEVEL: f64 = 1.2;
const TREES: Grow =
    Grow { trees: 200, leaves: 15, deepest: 6, rate: 0.05, least: 40, ridge: 10.0, figures: 0.3, rows: 0.8 };
const LEVEL_TREES: Grow = Grow { trees: 100, figures: 0.5, ..TREES };
/// Buckets of the topics, as a power of two.
const TOPIC_BITS: u32 = 16;
/// Training texts that must have a pair for it to be known.
const KNOWN: usize = 2;

/// Prompts as training sees them.
pub(super) struct Table<'d> {
    pub(super) data: &'d Data,
    pub(super) features: Vec<Features>,
    pub(super) gains: Vec<f64>,
    pub(super) datasets: Vec<&'d str>,
    pub(super) groups: Vec<&'d str>,
}

impl<'d> Table<'d> {
    pub(super) fn new(data: &'d Data) -> Self {
        Self {
            data,
            features: data.prompts.iter().map(|p| features::measure(&p.prompt)).collect(),
            gains: targets::gains(data),
            datasets: data.prompts.iter().map(|p| p.dataset.as_str()).collect(),
            groups: data.prompts.iter().map(|p| p.group.as_str()).collect(),
        }
    }
}

/// Raw scores of prompts that the scoring model had not seen.
pub(super) struct Held {
    /// By cross-validation.
    pub(super) cross: Vec<f64>,
    /// With the whole dataset held out.
    pub(super) alien: Vec<f64>,
}

/// Scores every prompt by models that were trained without it.
pub(super) fn held_out(table: &Table<'_>, seed: u64, progress: &mut Progress<'_>) -> Held {
    let mut run = |splits: Vec<folds::Split>, what: &str| {
        let mut raw = vec![0.0; table.features.len()];
        let count = splits.len();
        for (at, split) in splits.into_iter().enumerate() {
            progress(&format!("difficulty, {what} {} of {count}", at + 1));
            let parts = parts(table, &split.train, seed);
            for row in split.test {
                if let (Some(slot), Some(features)) = (raw.get_mut(row), table.features.get(row)) {
                    *slot = parts.raw(features);
                }
            }
        }
        raw
    };
    Held {
        cross: run(folds::cross(&table.groups), "fold"),
        alien: run(folds::leave_one_out(&table.datasets, &table.groups), "dataset held out"),
    }
}

/// Trains on everything; the curve comes from held-out scores.
pub(super) fn train(table: &Table<'_>, held: &Held, seed: u64) -> Difficulty {
    let all: Vec<usize> = (0..table.features.len()).collect();
    let pairs = table.features.iter().map(|f| f.grams.pairs.as_slice());
    Difficulty {
        parts: parts(table, &all, seed),
        domain: Domain::learn(pairs, KNOWN),
        curve: curve(table, &held.cross),
    }
}

/// Held-out scores with what the models of the pair made of the prompt; datasets count the same.
pub(super) fn calibration(table: &Table<'_>, held: &Held, difficulty: &Difficulty) -> Vec<tune::Row> {
    let counts = per_dataset(&table.datasets);
    let rows = held.cross.iter().zip(&table.data.prompts).zip(&counts);
    let seen = rows.filter_map(|((raw, prompt), count)| {
        let (weak, strong) = table.data.outcome(prompt)?;
        let difficulty = difficulty.curve.rank(*raw);
        Some(tune::Seen { group: &prompt.group, difficulty, doubt: None, weak, strong, weight: 1.0 / count })
    });
    tune::gather(seen)
}

/// On the prompts that both models of their pair answered.
pub(super) fn report(table: &Table<'_>, held: &Held) -> Report {
    let (mut rows, mut cross, mut alien) = (Vec::new(), Vec::new(), Vec::new());
    for (prompt, (a, b)) in table.data.prompts.iter().zip(held.cross.iter().zip(&held.alien)) {
        if let Some((weak, strong)) = table.data.outcome(prompt) {
            rows.push(Labelled { dataset: &prompt.dataset, weak, strong });
            cross.push(*a);
            alien.push(*b);
        }
    }
    super::report::report("difficulty", &rows, &cross, &alien)
}

fn curve(table: &Table<'_>, raw: &[f64]) -> Curve {
    let counts = per_dataset(&table.datasets);
    let seen = raw.iter().zip(&table.data.prompts).zip(&counts).filter_map(|((raw, prompt), count)| {
        let (weak, strong) = table.data.outcome(prompt)?;
        Some((*raw, strong - weak, 1.0 / count))
    });
    Curve::fit(&seen.collect::<Vec<_>>())
}

fn parts(table: &Table<'_>, train: &[usize], seed: u64) -> Parts {
    let pick =
        |values: &[f64]| -> Vec<f64> { train.iter().filter_map(|at| values.get(*at).copied()).collect() };
    let texts: Vec<&Features> = train.iter().filter_map(|at| table.features.get(*at)).collect();
    let datasets: Vec<&str> = train.iter().filter_map(|at| table.datasets.get(*at).copied()).collect();
    let weights = weights(&datasets);
    let (inner, level) = centred(&pick(&table.gains), &datasets);

    let scale = scale(DENSE, || texts.iter().map(|t| t.dense.as_slice()));
    let mut rows = Rows::new(1, DENSE);
    for text in &texts {
        rows.push(&mut [&mut text.grams.iter()], &scale, &text.dense);
    }
    let Fitted { hashed, dense, .. } = rows.fit(&inner, &weights, ALPHA);
    let mut parts = Parts {
        scale,
        hashed: Hashed::quantised(hashed.first().map_or(&[], Vec::as_slice)),
        dense: dense.iter().map(|w| single(*w)).collect(),
        topics: directions::learn(
            TOPIC_BITS,
            &texts.iter().map(|t| &t.grams).collect::<Vec<_>>(),
            &weights,
            seed,
        ),
        within: crate::trees::Forest::default(),
        topical: crate::trees::Forest::default(),
        level: crate::trees::Forest::default(),
        mix: [0.0; 4],
    };
    let figures: Vec<Vec<f32>> = texts.iter().map(|text| parts.figures(text).to_vec()).collect();
    let topics: Vec<Vec<f32>> = figures.iter().map(|f| f.get(DENSE..).unwrap_or_default().to_vec()).collect();
    let (all, only) = (Binned::new(&figures), Binned::new(&topics));
    parts.within = all.boost(&inner, &weights, TREES, seed);
    parts.topical = only.boost(&inner, &weights, TREES, seed + 1);
    parts.level = all.boost(&level, &weights, LEVEL_TREES, seed + 2);

    let spread = [
        deviation(texts.iter().map(|t| parts.linear(t))),
        deviation(figures.iter().map(|f| parts.within.predict(f))),
        deviation(topics.iter().map(|f| parts.topical.predict(f))),
        deviation(figures.iter().map(|f| parts.level.predict(f))),
    ];
    let shares = [LINEAR, WITHIN, TOPICAL, LEVEL];
    parts.mix = std::array::from_fn(|k| {
        let (share, spread) = (shares.get(k).copied().unwrap_or(0.0), spread.get(k).copied().unwrap_or(1.0));
        single(share / spread.max(1e-9))
    });
    parts
}
