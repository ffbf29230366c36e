//! The labelled prompts that thresholds are found on: scores, and what a weak and a strong model made of them, added up in
//! cells. The obvious alternative, a row a prompt, is twenty times as large and tells a reader of the file no more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::Scores;
use crate::Extent;

/// Buckets that groups are put into.
const BUCKETS: u64 = 24;
/// Cells of the difficulty, alone and beside a doubt, and of the doubt.
const CELLS: u16 = 50;
const PATHS_CELLS: u16 = 10;
const DOUBT_CELLS: u16 = 20;

/// Prompts of one bucket with the same scores: what either model made of them. Rows of one group (a conversation, a
/// template, a document) must be in one bucket, or the bound is too narrow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Groups are put into buckets by a hash; the bound comes from leaving one out at a time.
    pub bucket: u16,
    /// The difficulty score of the prompts, 0 to 1.
    pub difficulty: f64,
    /// The doubt score of the weak answers, 0 to 1; `None` where there is none.
    pub doubt: Option<f64>,
    /// How many prompts.
    pub n: f64,
    /// Sum of the weak model's quality over them, each 0 to 1.
    pub weak: f64,
    /// Sum of the strong model's.
    pub strong: f64,
}

/// One labelled prompt.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'g> {
    /// What it must share a bucket with.
    pub group: &'g str,
    /// See [`Row`].
    pub difficulty: f64,
    /// See [`Row`].
    pub doubt: Option<f64>,
    /// What the weak model scored, 0 to 1.
    pub weak: f64,
    /// What the strong one scored.
    pub strong: f64,
    /// How much it counts.
    pub weight: f64,
}

/// Puts prompts into buckets and cells.
pub fn gather<'g>(seen: impl Iterator<Item = Seen<'g>>) -> Vec<Row> {
    let mut cells: BTreeMap<(u16, u16, Option<u16>), Row> = BTreeMap::new();
    for one in seen {
        let bucket = u16::try_from(crate::text::hash_of(one.group) % BUCKETS).unwrap_or_default();
        // Prompts with a doubt are fewer, and have two scores: wider cells.
        let (difficulty, doubt) = match one.doubt {
            None => (cell(one.difficulty, CELLS), None),
            Some(doubt) => (cell(one.difficulty, PATHS_CELLS), Some(cell(doubt, DOUBT_CELLS))),
        };
        let of = if one.doubt.is_some() { PATHS_CELLS } else { CELLS };
        let row = cells.entry((bucket, difficulty, doubt)).or_insert(Row {
            bucket,
            difficulty: edge(difficulty, of),
            doubt: doubt.map(|doubt| edge(doubt, DOUBT_CELLS)),
            n: 0.0,
            weak: 0.0,
            strong: 0.0,
        });
        row.n += one.weight;
        row.weak += one.weight * one.weak;
        row.strong += one.weight * one.strong;
    }
    cells.into_values().collect()
}

/// The cell of a score of 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score of 0 to 1")]
fn cell(score: f64, cells: u16) -> u16 {
    ((score * f64::from(cells)) as u16).min(cells - 1)
}

/// The upper edge of a cell: as a threshold it parts exactly what lies in the cells.
fn edge(cell: u16, cells: u16) -> f64 {
    f64::from(cell + 1) / f64::from(cells)
}

/// Benchmark data for thresholds: scores of the built-in weights on prompts that they had not seen, with what a weak and a
/// strong model made of them. No text is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Prompts.
    pub prompts: Vec<Row>,
    /// Weak answers, seen to 64 tokens, to 256, and whole.
    pub answers: [Vec<Row>; 3],
}

/// Made by `tollgate route train --calibration`.
static BUILTIN: &str = include_str!("../../data/calibration.csv");

/// The names of the tables in the file.
const TABLES: [&str; 4] = ["prompt", "64", "256", "whole"];

impl Calibration {
    /// The data in this build, read once.
    pub fn builtin() -> &'static Self {
        static READ: LazyLock<Calibration> = LazyLock::new(|| Calibration::read(BUILTIN).unwrap_or_default());
        &READ
    }

    /// Its file: comma-separated values; the same data give the same bytes.
    pub fn write(&self) -> String {
        let mut out = String::from("table,bucket,difficulty,doubt,n,weak,strong\n");
        let tables = [&self.prompts].into_iter().chain(&self.answers);
        for (name, rows) in TABLES.into_iter().zip(tables) {
            for row in rows {
                let doubt = row.doubt.map(|doubt| format!("{doubt:.3}")).unwrap_or_default();
                // Writing to a String cannot fail.
                let _ = writeln!(
                    out,
                    "{name},{},{:.3},{doubt},{:.7},{:.7},{:.7}",
                    row.bucket, row.difficulty, row.n, row.weak, row.strong
                );
            }
        }
        out
    }

    /// Reads its file; `None` when it is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut read = Self::default();
        for line in text.lines().skip(1) {
            let mut fields = line.split(',');
            let mut next = || fields.next();
            let table = next()?;
            let number = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
            let bucket = next()?.parse().ok()?;
            let difficulty = number(next()?)?;
            let doubt = Some(next()?).filter(|text| !text.is_empty());
            let doubt = doubt.map(|text| number(text).ok_or(())).transpose().ok()?;
            let row = Row {
                bucket,
                difficulty,
                doubt,
                n: number(next()?)?,
                weak: number(next()?)?,
                strong: number(next()?)?,
            };
            let at = TABLES.iter().position(|name| *name == table)?;
            match at.checked_sub(1) {
                None => read.prompts.push(row),
                Some(answer) => read.answers.get_mut(answer)?.push(row),
            }
        }
        Some(read)
    }

    /// What a route's thresholds are found on: which answers its doubt check sees, or prompts alone.
    pub fn rows(&self, scores: Scores, seen: Extent) -> &[Row] {
        let [start, quarter, whole] = &self.answers;
        match (scores, seen) {
            (Scores::Difficulty, _) => &self.prompts,
            (_, Extent::Start) => start,
            (_, Extent::Quarter) => quarter,
            (_, Extent::Whole) => whole,
        }
    }
}
