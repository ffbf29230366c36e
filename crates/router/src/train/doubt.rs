//! Trains the doubt score at its three points.

use std::collections::BTreeMap;

use super::boost::{Binned, Grow};
use super::data::AnswerRow;
use super::difficulty::{Held, Table};
use super::report::{Labelled, Report, report};
use super::ridge::{Fitted, Rows};
use super::{Progress, centred, deviation, directions, folds, mean, per_dataset, scale, single, weights};
use crate::answer::{self, Asked, Extent, Measured};
use crate::curve::Curve;
use crate::difficulty::Difficulty;
use crate::domain::Domain;
use crate::doubt::{Doubt, LINEAR, Point, Question, Shared};
use crate::linear::Hashed;
use crate::text::Grams;
use crate::tune;

const ALPHA: f64 = 8.0;
/// How the parts are added, each first put on the same scale.
const LINEAR_SHARE: f64 = 1.0;
const WHOLE: f64 = 1.5;
const WITHIN: f64 = 0.5;
/// The learned part next to the other: about the same deviation.
const LEARNED: f64 = 0.5;
const TREES: Grow =
    Grow { trees: 400, leaves: 15, deepest: 6, rate: 0.03, least: 60, ridge: 20.0, figures: 0.3, rows: 0.8 };
/// Rows that must have a phrase for it to be known.
const KNOWN: usize = 3;
/// Buckets of the topics, as a power of two.
const TOPIC_BITS: u32 = 15;

struct Answers<'d> {
    rows: Vec<&'d AnswerRow>,
    datasets: Vec<&'d str>,
    groups: Vec<&'d str>,
    /// Dataset and weak model.
    cells: Vec<String>,
    gains: Vec<f64>,
    /// With the raw difficulty by cross-validation, and with that of the dataset held out.
    cross: Vec<Question>,
    alien: Vec<f64>,
}

/// `None` when there are no answers to learn from.
pub(super) fn train(
    table: &Table<'_>,
    difficulty: &Difficulty,
    held: &Held,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Option<(Doubt, Vec<Report>, [Vec<tune::Row>; 3])> {
    let answers = Answers::new(table, difficulty, held);
    if answers.rows.is_empty() {
        return None;
    }
    let measured = Extent::ALL.map(|seen| answers.measure(seen));
    let cross = answers.held_out(&measured, folds::cross(&answers.groups), false, seed, progress);
    let splits = folds::leave_one_out(&answers.datasets, &answers.groups);
    let alien = answers.held_out(&measured, splits, true, seed, progress);
    let mut reports = Vec::new();
    for (seen, (cross, alien)) in Extent::ALL.into_iter().zip(cross.iter().zip(&alien)) {
        reports.extend(answers.reports(seen, cross, alien));
    }
    progress("doubt, all answers");
    let all: Vec<usize> = (0..answers.rows.len()).collect();
    let mut doubt = answers.train(&measured, &all, seed);
    for (point, cross) in doubt.points.iter_mut().zip(&cross) {
        point.curve = answers.curve(cross);
    }
    let rows = std::array::from_fn(|at| match (doubt.points.get(at), cross.get(at)) {
        (Some(point), Some(cross)) => answers.calibration(difficulty, &point.curve, cross),
        _ => Vec::new(),
    });
    Some((doubt, reports, rows))
}

impl<'d> Answers<'d> {
    fn new(table: &Table<'d>, difficulty: &Difficulty, held: &Held) -> Self {
        let prompts: BTreeMap<&str, usize> =
            table.data.prompts.iter().enumerate().map(|(at, p)| (p.id.as_str(), at)).collect();
        let mut answers = Self {
            rows: Vec::new(),
            datasets: Vec::new(),
            groups: Vec::new(),
            cells: Vec::new(),
            gains: Vec::new(),
            cross: Vec::new(),
            alien: Vec::new(),
        };
        for row in &table.data.answers {
            let Some(at) = prompts.get(row.id.as_str()) else { continue };
            let (Some(group), Some(features), Some(cross), Some(alien)) =
                (table.groups.get(*at), table.features.get(*at), held.cross.get(*at), held.alien.get(*at))
            else {
                continue;
            };
            answers.rows.push(row);
            answers.datasets.push(&row.dataset);
            answers.groups.push(group);
            answers.cells.push(format!("{} / {}", row.dataset, row.weak_model));
            answers.gains.push(row.strong_score - row.weak_score);
            answers.cross.push(Question {
                asked: Asked::new(&row.prompt),
                topics: difficulty.parts.topics.of(features.grams.iter()),
                features: features.clone(),
                difficulty: *cross,
            });
            answers.alien.push(*alien);
        }
        answers
    }

    fn measure(&self, seen: Extent) -> Vec<Measured> {
        let rows = self.rows.iter().zip(&self.cross);
        rows.map(|(row, question)| answer::measure(&question.asked, &row.weak_model, &row.response, seen))
            .collect()
    }

    /// Raw scores of every row at every point, by models that were trained without it.
    fn held_out(
        &self,
        measured: &[Vec<Measured>; 3],
        splits: Vec<folds::Split>,
        alien: bool,
        seed: u64,
        progress: &mut Progress<'_>,
    ) -> [Vec<f64>; 3] {
        let mut raw = Extent::ALL.map(|_| vec![0.0; self.rows.len()]);
        let (what, count) = (if alien { "dataset held out" } else { "fold" }, splits.len());
        for (k, split) in splits.into_iter().enumerate() {
            progress(&format!("doubt, {what} {} of {count}", k + 1));
            let doubt = self.train(measured, &split.train, seed);
            for at in split.test {
                let Some(mut question) = self.cross.get(at).cloned() else { continue };
                if alien {
                    question.difficulty = self.alien.get(at).copied().unwrap_or(0.0);
                }
                for ((raw, measured), point) in raw.iter_mut().zip(measured).zip(&doubt.points) {
                    if let (Some(slot), Some(measured)) = (raw.get_mut(at), measured.get(at)) {
                        *slot = point.raw(&doubt.shared, &question, measured).0;
                    }
                }
            }
        }
        raw
    }

    fn train(&self, measured: &[Vec<Measured>; 3], train: &[usize], seed: u64) -> Doubt {
        let [_, _, whole] = measured;
        let questions = train.iter().filter_map(|at| self.cross.get(*at));
        let texts: Vec<&Grams> = train.iter().filter_map(|at| whole.get(*at)).map(|m| &m.grams).collect();
        let cells: Vec<&str> =
            train.iter().filter_map(|at| self.cells.get(*at).map(String::as_str)).collect();
        let weights = weights(&cells);
        let shared = Shared {
            prompts: Domain::learn(questions.map(|q| q.asked.triples.as_slice()), KNOWN),
            topics: directions::learn(TOPIC_BITS, &texts, &weights, seed),
        };
        let points = measured.each_ref().map(|measured| self.point(&shared, measured, train, &weights, seed));
        Doubt { shared, points }
    }

    /// By dataset, and by dataset and weak model.
    fn reports(&self, seen: Extent, cross: &[f64], alien: &[f64]) -> [Report; 2] {
        let labelled = |names: &mut dyn Iterator<Item = &'d str>| -> Vec<Labelled<'d>> {
            let rows = names.zip(&self.rows);
            rows.map(|(dataset, row)| Labelled { dataset, weak: row.weak_score, strong: row.strong_score })
                .collect()
        };
        let cells: Vec<Labelled<'_>> = self
            .cells
            .iter()
            .zip(&self.rows)
            .map(|(cell, row)| Labelled { dataset: cell, weak: row.weak_score, strong: row.strong_score })
            .collect();
        let name = format!("doubt at {}", seen.as_str());
        [
            report(&name, &labelled(&mut self.datasets.iter().copied()), cross, alien),
            report(&format!("{name}, by weak model"), &cells, cross, alien),
        ]
    }

    fn curve(&self, raw: &[f64]) -> Curve {
        let counts = per_dataset(&self.datasets);
        let seen = raw.iter().zip(&self.gains).zip(&counts).map(|((raw, gain), n)| (*raw, *gain, 1.0 / n));
        Curve::fit(&seen.collect::<Vec<_>>())
    }

    /// Held-out scores with what either model made of the prompt; datasets count the same.
    fn calibration(&self, difficulty: &Difficulty, curve: &Curve, cross: &[f64]) -> Vec<tune::Row> {
        let counts = per_dataset(&self.datasets);
        let seen = (0..self.rows.len()).filter_map(|at| {
            let (row, count) = (self.rows.get(at)?, counts.get(at)?);
            Some(tune::Seen {
                group: self.groups.get(at)?,
                difficulty: difficulty.curve.rank(self.cross.get(at)?.difficulty),
                doubt: Some(curve.rank(*cross.get(at)?)),
                weak: row.weak_score,
                strong: row.strong_score,
                weight: 1.0 / count,
            })
        });
        tune::gather(seen)
    }

    fn point(
        &self,
        shared: &Shared,
        measured: &[Measured],
        train: &[usize],
        weights: &[f64],
        seed: u64,
    ) -> Point {
        let rows: Vec<(&Question, &Measured)> =
            train.iter().filter_map(|at| Some((self.cross.get(*at)?, measured.get(*at)?))).collect();
        let datasets: Vec<&str> = train.iter().filter_map(|at| self.datasets.get(*at).copied()).collect();
        let gains: Vec<f64> = train.iter().filter_map(|at| self.gains.get(*at).copied()).collect();
        let (inner, _) = centred(&gains, &datasets);

        let linear: Vec<[f64; LINEAR]> = rows.iter().map(|(q, m)| Point::linear_figures(q, m)).collect();
        let scale = scale(LINEAR, || linear.iter().map(<[f64; LINEAR]>::as_slice));
        let mut matrix = Rows::new(2, LINEAR);
        for ((question, measured), figures) in rows.iter().zip(&linear) {
            let texts: &mut [&mut dyn Iterator<Item = u64>] =
                &mut [&mut measured.grams.iter(), &mut question.features.grams.iter()];
            matrix.push(texts, &scale, figures);
        }
        let Fitted { hashed, dense } = matrix.fit(&gains, weights, ALPHA);
        let table = |k: usize| Hashed::quantised(hashed.get(k).map_or(&[], Vec::as_slice));
        let figures: Vec<Vec<f32>> = rows
            .iter()
            .map(|(q, m)| Point::figures(q, m, &shared.topics.of(m.grams.iter())).to_vec())
            .collect();
        let binned = Binned::new(&figures);
        let mut point = Point {
            scale,
            answer: table(0),
            prompt: table(1),
            dense: dense.iter().map(|w| single(*w)).collect(),
            whole: binned.boost(&gains, weights, TREES, seed),
            within: binned.boost(&inner, weights, TREES, seed + 1),
            mix: [0.0; 3],
            middle: 0.0,
            hand: [0.0, 1.0],
            answers: Domain::learn(rows.iter().map(|(_, m)| m.triples.as_slice()), KNOWN),
            curve: Curve::fit(&[]),
        };
        let spread = [
            deviation(rows.iter().map(|(q, m)| point.linear(q, m))),
            deviation(figures.iter().map(|f| point.whole.predict(f))),
            deviation(figures.iter().map(|f| point.within.predict(f))),
        ];
        let parts = [LINEAR_SHARE, WHOLE, WITHIN].map(|share| share * LEARNED);
        point.mix = std::array::from_fn(|k| {
            let share = parts.get(k).copied().unwrap_or(0.0);
            single(share / spread.get(k).copied().unwrap_or(1.0).max(1e-9))
        });
        let learned: Vec<f64> =
            rows.iter().map(|(q, m)| point.inside(q, m, &shared.topics.of(m.grams.iter()))).collect();
        point.middle = single(mean(&learned));
        let hand: Vec<f64> = rows.iter().map(|(q, m)| point.hand(q, m)).collect();
        point.hand = [single(mean(&hand)), single(deviation(hand.iter().copied()).max(1e-6))];
        point
    }
}
