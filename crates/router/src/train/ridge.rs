//! Ridge regression on sparse rows, by conjugate gradients on the least-squares problem (CGLS).
//!
//! A factorisation would be exact, but the matrix has 131,072 columns; a fixed number of steps is also what keeps the
//! many rare grams from being fitted to the last one.

use crate::linear::{BITS, Scale, bucket};

const STEPS: usize = 25;
const COLUMNS: usize = 1 << BITS;

/// Rows of hashed texts (one, or an answer and its prompt) and scaled plain figures.
pub(super) struct Rows {
    all: Vec<Row>,
    texts: usize,
    figures: usize,
}

struct Row {
    texts: Vec<Text>,
    /// Scaled and divided by the root of their number, so that they weigh as much as one text.
    dense: Vec<f64>,
}

struct Text {
    /// Bucket and sign of each gram.
    grams: Vec<(u32, bool)>,
    /// 1 / √ number of grams.
    unit: f64,
}

impl Text {
    fn new(grams: &mut dyn Iterator<Item = u64>) -> Self {
        let grams: Vec<(u32, bool)> = grams
            .map(|gram| {
                let (at, minus) = bucket(gram, BITS);
                (u32::try_from(at).unwrap_or(0), minus)
            })
            .collect();
        Self { unit: 1.0 / crate::features::float(grams.len().max(1)).sqrt(), grams }
    }
}

/// What was fitted. The bias is left out: only differences between scores count.
pub(super) struct Fitted {
    /// A table for each text of a row.
    pub(super) hashed: Vec<Vec<f64>>,
    /// For scaled figures as [`Scale::apply`] gives them.
    pub(super) dense: Vec<f64>,
}

impl Rows {
    /// Rows of `texts` texts and `figures` figures.
    pub(super) const fn new(texts: usize, figures: usize) -> Self {
        Self { all: Vec::new(), texts, figures }
    }

    pub(super) fn push(
        &mut self,
        texts: &mut [&mut dyn Iterator<Item = u64>],
        scale: &Scale,
        figures: &[f64],
    ) {
        let root = crate::features::float(self.figures.max(1)).sqrt();
        self.all.push(Row {
            texts: texts.iter_mut().map(|grams| Text::new(*grams)).collect(),
            dense: scale.apply(figures).map(|x| x / root).collect(),
        });
    }

    /// Minimises Σ weight · (target − bias − row · x)² + alpha · |x|². Weights have mean 1.
    pub(super) fn fit(&self, targets: &[f64], weights: &[f64], alpha: f64) -> Fitted {
        let total: f64 = weights.iter().sum();
        let bias =
            targets.iter().zip(weights).map(|(y, w)| y * w).sum::<f64>() / total.max(f64::MIN_POSITIVE);
        let roots: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
        let mut x = self.zero();
        let mut residual: Vec<f64> = targets.iter().zip(&roots).map(|(y, s)| (y - bias) * s).collect();
        let mut gradient = self.back(&residual, &roots);
        let mut direction = gradient.clone();
        let mut norm = gradient.dot(&gradient);
        for _ in 0..STEPS {
            let along: Vec<f64> =
                self.all.iter().zip(&roots).map(|(row, s)| s * row.dot(&direction)).collect();
            let curve = along.iter().map(|q| q * q).sum::<f64>() + alpha * direction.dot(&direction);
            if norm <= 0.0 || curve <= 0.0 {
                break;
            }
            let step = norm / curve;
            x.add(&direction, step);
            residual.iter_mut().zip(&along).for_each(|(r, q)| *r -= step * q);
            gradient = self.back(&residual, &roots);
            gradient.add(&x, -alpha);
            let next = gradient.dot(&gradient);
            direction.scale(next / norm);
            direction.add(&gradient, 1.0);
            norm = next;
        }
        let root = crate::features::float(self.figures.max(1)).sqrt();
        Fitted { hashed: x.hashed, dense: x.dense.iter().map(|w| w / root).collect() }
    }

    fn back(&self, residual: &[f64], roots: &[f64]) -> Columns {
        let mut out = self.zero();
        for (row, (r, s)) in self.all.iter().zip(residual.iter().zip(roots)) {
            row.add_to(&mut out, r * s);
        }
        out
    }

    fn zero(&self) -> Columns {
        Columns { hashed: vec![vec![0.0; COLUMNS]; self.texts], dense: vec![0.0; self.figures] }
    }
}

impl Row {
    /// Σ of the row's columns times `x`.
    fn dot(&self, x: &Columns) -> f64 {
        let mut all = 0.0;
        for (text, table) in self.texts.iter().zip(&x.hashed) {
            let mut sum = 0.0;
            for (at, minus) in &text.grams {
                let weight = table.get(*at as usize).copied().unwrap_or(0.0);
                sum += if *minus { -weight } else { weight };
            }
            all += sum * text.unit;
        }
        all + self.dense.iter().zip(&x.dense).map(|(a, b)| a * b).sum::<f64>()
    }

    /// Adds `by` times the row to `x`.
    fn add_to(&self, x: &mut Columns, by: f64) {
        for (text, table) in self.texts.iter().zip(&mut x.hashed) {
            let step = by * text.unit;
            for (at, minus) in &text.grams {
                if let Some(weight) = table.get_mut(*at as usize) {
                    *weight += if *minus { -step } else { step };
                }
            }
        }
        for (weight, value) in x.dense.iter_mut().zip(&self.dense) {
            *weight += by * value;
        }
    }
}

#[derive(Clone)]
struct Columns {
    hashed: Vec<Vec<f64>>,
    dense: Vec<f64>,
}

impl Columns {
    fn dot(&self, other: &Self) -> f64 {
        self.parts().zip(other.parts()).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()).sum()
    }

    fn add(&mut self, other: &Self, by: f64) {
        for (mine, theirs) in self.parts_mut().zip(other.parts()) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += by * b);
        }
    }

    fn scale(&mut self, by: f64) {
        self.parts_mut().flatten().for_each(|a| *a *= by);
    }

    fn parts(&self) -> impl Iterator<Item = &Vec<f64>> {
        self.hashed.iter().chain([&self.dense])
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        self.hashed.iter_mut().chain([&mut self.dense])
    }
}
