//! Training of the learned scores, in pure Rust and to the bit: one thread, one order, `libm` for logarithms, no fused
//! multiply-add, a seeded source of chance. The same data and seed give the same file on every machine.

mod boost;
pub mod data;
mod difficulty;
mod directions;
mod doubt;
mod folds;
pub mod metrics;
mod report;
mod ridge;
mod targets;

use std::collections::BTreeMap;

pub use report::{Figures, Report};

use self::data::{BadData, Data};
use crate::features::float;
use crate::learned::Learned;
use crate::linear::Scale;
use crate::tune::Calibration;
use crate::weights::Card;

/// Trains on `data` and reports how well that does on rows held out. `inputs` are the names and SHA-256 of what `data`
/// was read from. Prints nothing: `progress` is told.
pub fn train(
    data: &Data,
    seed: u64,
    inputs: Vec<(String, String)>,
    progress: &mut Progress<'_>,
) -> Result<Trained, BadData> {
    data.check()?;
    progress("measuring prompts");
    let table = difficulty::Table::new(data);
    let held = difficulty::held_out(&table, seed, progress);
    progress("difficulty, all prompts");
    let difficulty = difficulty::train(&table, &held, seed);
    let mut reports = vec![difficulty::report(&table, &held)];
    let mut calibration = Calibration::default();
    calibration.prompts.extend(difficulty::calibration(&table, &held, &difficulty));
    let doubt = doubt::train(&table, &difficulty, &held, seed, progress).map(|(doubt, more, rows)| {
        reports.extend(more);
        calibration.answers = rows;
        doubt
    });
    Ok(Trained {
        learned: Learned { card: card(data, seed, inputs), difficulty, doubt },
        reports,
        calibration,
    })
}

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// The weights.
    pub learned: Learned,
    /// How good they are on rows held out.
    pub reports: Vec<Report>,
    /// What thresholds are found on: held-out scores with what either model made of them.
    pub calibration: Calibration,
}

/// Meta's Llama community licences ask for the name and the notice when a model was trained on outputs of theirs.
fn card(data: &Data, seed: u64, inputs: Vec<(String, String)>) -> Card {
    const NAME: &str = "tollgate-route-v1";
    let is_llama = |model: &str| model.to_ascii_lowercase().contains("llama");
    let mut models =
        data.answers.iter().map(|a| &a.weak_model).chain(data.prompts.iter().flat_map(|p| p.scores.keys()));
    if models.any(|model| is_llama(model)) {
        return Card {
            name: format!("Llama-{NAME}"),
            notices: vec!["Built with Llama".to_owned()],
            seed,
            inputs,
        };
    }
    Card { name: NAME.to_owned(), notices: Vec::new(), seed, inputs }
}

/// Is told what is being done, a short line each.
pub type Progress<'a> = dyn FnMut(&str) + 'a;

/// Distinct names, sorted.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let set: std::collections::BTreeSet<&str> = all.collect();
    set.into_iter().collect()
}

/// For each row, how many rows its dataset has.
fn per_dataset(datasets: &[&str]) -> Vec<f64> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for dataset in datasets {
        *counts.entry(dataset).or_default() += 1;
    }
    datasets.iter().map(|d| float(counts.get(d).copied().unwrap_or(1))).collect()
}

/// 1 / √ size of the row's dataset, with mean 1: large sets count more, but not by their size.
fn weights(datasets: &[&str]) -> Vec<f64> {
    let raw: Vec<f64> = per_dataset(datasets).iter().map(|n| 1.0 / n.sqrt()).collect();
    let mean = raw.iter().sum::<f64>() / float(raw.len().max(1));
    raw.iter().map(|w| w / mean).collect()
}

/// Each target without its dataset's mean, and that mean.
fn centred(targets: &[f64], datasets: &[&str]) -> (Vec<f64>, Vec<f64>) {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (target, dataset) in targets.iter().zip(datasets) {
        let sum = sums.entry(dataset).or_default();
        *sum = (sum.0 + target, sum.1 + 1);
    }
    let mean = |dataset: &&str| sums.get(*dataset).map_or(0.0, |(sum, n)| sum / float(*n));
    let means: Vec<f64> = datasets.iter().map(mean).collect();
    (targets.iter().zip(&means).map(|(t, m)| t - m).collect(), means)
}

/// As weights are stored.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
const fn single(x: f64) -> f32 {
    x as f32
}

/// Mean and deviation of each of `figures` columns.
fn scale<'r, I: Iterator<Item = &'r [f64]> + Clone>(figures: usize, rows: impl Fn() -> I) -> Scale {
    let column = |k: usize| rows().map(move |row| row.get(k).copied().unwrap_or(0.0));
    let n = float(rows().count().max(1));
    Scale {
        mean: (0..figures).map(|k| single(column(k).sum::<f64>() / n)).collect(),
        deviation: (0..figures).map(|k| single(deviation(column(k)).max(1e-6))).collect(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len().max(1))
}

/// Standard deviation.
fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = float(values.clone().count().max(1));
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt()
}
