//! How good the scores are on prompts that the scoring model had not seen, per dataset and pooled.

use std::collections::BTreeMap;

use super::metrics::{Outcome, apgr, saving};
use super::{names, per_dataset};

/// The share of the strong model's quality that savings are quoted at.
const KEEP: f64 = 0.95;

/// One way of holding out, per dataset and over all.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// APGR by dataset; `None` where the strong model is not better.
    pub apgr: BTreeMap<String, Option<f64>>,
    /// Their mean.
    pub mean: f64,
    /// APGR of all datasets under one threshold, each with the same weight.
    pub pooled: f64,
    /// The share of calls that the weak model may answer at 95 % of the strong model's quality, pooled likewise.
    pub saving: f64,
}

/// A score's report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was scored: `difficulty`, `doubt at 64 tokens`, …
    pub score: String,
    /// Rows by dataset.
    pub rows: BTreeMap<String, usize>,
    /// 4-fold cross-validation by group.
    pub cross: Figures,
    /// Leave one dataset out.
    pub alien: Figures,
}

/// Rows to report on: dataset and outcome without a score.
pub(super) struct Labelled<'d> {
    pub(super) dataset: &'d str,
    pub(super) weak: f64,
    pub(super) strong: f64,
}

pub(super) fn report(score: &str, rows: &[Labelled<'_>], cross: &[f64], alien: &[f64]) -> Report {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.dataset.to_owned()).or_insert(0) += 1;
    }
    Report { score: score.to_owned(), rows: counts, cross: figures(rows, cross), alien: figures(rows, alien) }
}

fn figures(rows: &[Labelled<'_>], scores: &[f64]) -> Figures {
    let datasets: Vec<&str> = rows.iter().map(|r| r.dataset).collect();
    let counts = per_dataset(&datasets);
    let outcomes: Vec<Outcome> = rows
        .iter()
        .zip(scores)
        .zip(&counts)
        .map(|((row, score), n)| Outcome {
            score: *score,
            weak: row.weak,
            strong: row.strong,
            weight: 1.0 / n,
        })
        .collect();
    let one = |name: &str| {
        let of: Vec<Outcome> =
            outcomes.iter().zip(&datasets).filter(|(_, d)| **d == name).map(|(o, _)| *o).collect();
        apgr(&of)
    };
    let by: BTreeMap<String, Option<f64>> =
        names(datasets.iter().copied()).into_iter().map(|name| (name.to_owned(), one(name))).collect();
    let known: Vec<f64> = by.values().flatten().copied().collect();
    Figures {
        mean: known.iter().sum::<f64>() / crate::features::float(known.len().max(1)),
        apgr: by,
        pooled: apgr(&outcomes).unwrap_or(0.5),
        saving: saving(&outcomes, KEEP),
    }
}
