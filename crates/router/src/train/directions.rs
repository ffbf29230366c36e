//! The topic directions: the leading right singular vectors of the weighted gram matrix, by subspace iteration.

use crate::features::float;
use crate::text::Grams;
use crate::topics::{TOPICS, Topics, bucket};

use super::boost::Random;

const ROUNDS: usize = 4;
/// A gram in fewer texts says nothing of a topic.
const LEAST: u32 = 4;

struct Row {
    /// Bucket and value; the row has length √weight.
    cells: Vec<(u32, f32)>,
}

/// Finds the directions of `texts`, each with its weight, in a table of 2^`bits` buckets.
pub(super) fn learn(bits: u32, texts: &[&Grams], weights: &[f64], seed: u64) -> Topics {
    let rarity = rarity(bits, texts);
    let rows: Vec<Row> =
        texts.iter().zip(weights).map(|(text, weight)| row(bits, text, *weight, &rarity)).collect();
    let mut random = Random(seed);
    let mut basis: Vec<[f64; TOPICS]> =
        (0..1 << bits).map(|_| std::array::from_fn(|_| random.unit() - 0.5)).collect();
    orthonormal(&mut basis);
    for _ in 0..ROUNDS {
        basis = through(&rows, &basis);
        orthonormal(&mut basis);
    }
    // The rarity of a gram belongs to the text's side: folded in here, scoring needs one table.
    for (direction, rarity) in basis.iter_mut().zip(&rarity) {
        for x in direction.iter_mut() {
            *x *= f64::from(*rarity);
        }
    }
    Topics::quantised(basis.as_flattened())
}

/// ln((texts + 1) / (texts with the bucket + 1)); 0 for what is too rare.
fn rarity(bits: u32, texts: &[&Grams]) -> Vec<f32> {
    let mut with = vec![0_u32; 1 << bits];
    let mut last = vec![usize::MAX; 1 << bits];
    for (at, text) in texts.iter().enumerate() {
        for gram in text.iter() {
            let (bucket, _) = bucket(gram, bits);
            if let (Some(count), Some(seen)) = (with.get_mut(bucket), last.get_mut(bucket))
                && *seen != at
            {
                *seen = at;
                *count += 1;
            }
        }
    }
    let all = float(texts.len()) + 1.0;
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let rarity = |count: &u32| {
        if *count < LEAST { 0.0 } else { libm::log(all / (f64::from(*count) + 1.0)) as f32 }
    };
    with.iter().map(rarity).collect()
}

fn row(bits: u32, text: &Grams, weight: f64, rarity: &[f32]) -> Row {
    let mut cells: Vec<(u32, f32)> = text
        .iter()
        .filter_map(|gram| {
            let (at, minus) = bucket(gram, bits);
            let value = rarity.get(at).copied().filter(|v| *v > 0.0)?;
            Some((u32::try_from(at).ok()?, if minus { -value } else { value }))
        })
        .collect();
    let length = cells.iter().map(|(_, v)| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    let unit = weight.sqrt() / length.max(1e-9);
    for (_, value) in &mut cells {
        *value = super::single(f64::from(*value) * unit);
    }
    Row { cells }
}

/// Aᵀ A B.
fn through(rows: &[Row], basis: &[[f64; TOPICS]]) -> Vec<[f64; TOPICS]> {
    let mut out = vec![[0.0; TOPICS]; basis.len()];
    for row in rows {
        let mut along = [0.0; TOPICS];
        for (at, value) in &row.cells {
            let Some(direction) = basis.get(*at as usize) else { continue };
            along.iter_mut().zip(direction).for_each(|(a, d)| *a += f64::from(*value) * d);
        }
        for (at, value) in &row.cells {
            let Some(direction) = out.get_mut(*at as usize) else { continue };
            direction.iter_mut().zip(&along).for_each(|(d, a)| *d += f64::from(*value) * a);
        }
    }
    out
}

/// Makes the columns orthonormal: Cholesky of their Gram matrix, twice, because once loses digits when they are nearly
/// dependent.
fn orthonormal(basis: &mut [[f64; TOPICS]]) {
    for _ in 0..2 {
        let factor = cholesky(&gram(basis));
        for row in basis.iter_mut().filter(|row| row.iter().any(|x| *x != 0.0)) {
            solve(&factor, row);
        }
    }
}

type Square = [[f64; TOPICS]; TOPICS];

/// Inner products of the columns, lower half.
fn gram(basis: &[[f64; TOPICS]]) -> Square {
    let mut gram = [[0.0; TOPICS]; TOPICS];
    for row in basis.iter().filter(|row| row.iter().any(|x| *x != 0.0)) {
        for (at, (sums, a)) in gram.iter_mut().zip(row).enumerate() {
            sums.iter_mut().zip(row).take(at + 1).for_each(|(sum, b)| *sum += a * b);
        }
    }
    gram
}

/// The lower factor.
fn cholesky(gram: &Square) -> Square {
    let mut factor: Square = [[0.0; TOPICS]; TOPICS];
    for at in 0..TOPICS {
        let mut row = [0.0; TOPICS];
        for k in 0..=at {
            // A row's own part is not in the factor yet.
            let done = if k == at { row } else { factor.get(k).copied().unwrap_or_default() };
            let known: f64 = row.iter().zip(&done).take(k).map(|(a, b)| a * b).sum();
            let rest = part(gram, at, k) - known;
            let value = if k == at { rest.max(1e-18).sqrt() } else { rest / part(&factor, k, k) };
            if let Some(slot) = row.get_mut(k) {
                *slot = value;
            }
        }
        if let Some(slot) = factor.get_mut(at) {
            *slot = row;
        }
    }
    factor
}

/// Replaces a row of the basis by the solution of `factor` · x = row.
fn solve(factor: &Square, row: &mut [f64; TOPICS]) {
    let mut solved = [0.0; TOPICS];
    for (at, value) in row.iter().enumerate() {
        let known: f64 = factor.get(at).into_iter().flatten().zip(&solved).take(at).map(|(a, b)| a * b).sum();
        if let Some(slot) = solved.get_mut(at) {
            *slot = (value - known) / part(factor, at, at);
        }
    }
    *row = solved;
}

fn part(square: &Square, row: usize, column: usize) -> f64 {
    square.get(row).and_then(|r| r.get(column)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_orthonormal() {
        let mut random = Random(7);
        let mut basis: Vec<[f64; TOPICS]> =
            (0..500).map(|_| std::array::from_fn(|_| random.unit() + 3.0)).collect();
        orthonormal(&mut basis);
        for (a, row) in gram(&basis).iter().enumerate() {
            for (b, product) in row.iter().enumerate().take(a + 1) {
                let expected = if a == b { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-9, "{a} {b} {product}");
            }
        }
    }
}
