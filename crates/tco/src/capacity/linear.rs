//! Just enough linear algebra: the Cholesky factor of a symmetric positive matrix.
//!
//! A few hundred rows do not justify a library; the loops run over contiguous rows, which the compiler vectorises.

/// The lower factor L of a matrix A = L·Lᵀ, row by row.
#[derive(Clone, Debug)]
pub(super) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, because one chain of additions cannot be vectorised without changing its order.
    let mut sums = [0.0_f64; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + rest
}

impl Cholesky {
    /// Factors the matrix whose lower triangle `rows` holds (row i has i + 1 values). None if it is not positive.
    pub(super) fn of(mut rows: Vec<Vec<f64>>) -> Option<Self> {
        for i in 0..rows.len() {
            let (done, rest) = rows.split_at_mut(i);
            let row = rest.first_mut()?;
            for (j, above) in done.iter().enumerate() {
                let sum = dot(row.get(..j)?, above.get(..j)?);
                let pivot = *above.get(j)?;
                let cell = row.get_mut(j)?;
                *cell = (*cell - sum) / pivot;
            }
            let own = dot(row.get(..i)?, row.get(..i)?);
            let cell = row.get_mut(i)?;
            let square = *cell - own;
            if square.is_nan() || square <= 0.0 {
                return None;
            }
            *cell = square.sqrt();
        }
        Some(Self { rows })
    }

    /// L⁻¹·b.
    pub(super) fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(b.len());
        for (row, b) in self.rows.iter().zip(b) {
            let pivot = row.last().copied().unwrap_or(1.0);
            let sum = dot(row.get(..x.len()).unwrap_or(&[]), &x);
            x.push((b - sum) / pivot);
        }
        x
    }

    /// A⁻¹·b.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.forward(b);
        for i in (0..x.len()).rev() {
            let Some(row) = self.rows.get(i) else { continue };
            let Some((head, tail)) = x.split_at_mut_checked(i) else { continue };
            let Some(value) = tail.first_mut() else { continue };
            *value /= row.last().copied().unwrap_or(1.0);
            let known = *value;
            for (x, l) in head.iter_mut().zip(row) {
                *x -= l * known;
            }
        }
        x
    }

    /// The diagonal of A⁻¹.
    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.rows.len();
        // A⁻¹ = L⁻ᵀ·L⁻¹, so its diagonal is the sum of squares down each column of L⁻¹.
        let mut diagonal = vec![0.0; n];
        let mut inverse: Vec<Vec<f64>> = Vec::with_capacity(n);
        for (i, row) in self.rows.iter().enumerate() {
            let pivot = row.last().copied().unwrap_or(1.0);
            let mut mine = vec![0.0; i + 1];
            for (above, l) in inverse.iter().zip(row) {
                for (m, a) in mine.iter_mut().zip(above) {
                    *m -= l * a;
                }
            }
            if let Some(last) = mine.last_mut() {
                *last = 1.0;
            }
            for m in &mut mine {
                *m /= pivot;
            }
            for (sum, m) in diagonal.iter_mut().zip(&mine) {
                *sum += m * m;
            }
            inverse.push(mine);
        }
        diagonal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A = M·Mᵀ + I is positive whatever M is.
    fn positive(m: &[f64], n: usize) -> Vec<Vec<f64>> {
        let at = |i: usize, j: usize| m[i * n + j];
        let cell = |i: usize, j: usize| {
            (0..n).map(|k| at(i, k) * at(j, k)).sum::<f64>() + f64::from(u8::from(i == j))
        };
        (0..n).map(|i| (0..=i).map(|j| cell(i, j)).collect()).collect()
    }

    proptest! {
        #[test]
        fn the_solution_solves(m in proptest::collection::vec(-2.0..2.0_f64, 49), b in proptest::collection::vec(-5.0..5.0_f64, 7)) {
            let a = positive(&m, 7);
            let x = Cholesky::of(a.clone()).unwrap().solve(&b);
            for i in 0..7 {
                let row: f64 = (0..7).map(|j| if j <= i { a[i][j] } else { a[j][i] } * x[j]).sum();
                prop_assert!((row - b[i]).abs() < 1e-8);
            }
        }

        #[test]
        fn the_inverse_diagonal_is_what_unit_vectors_give(m in proptest::collection::vec(-2.0..2.0_f64, 25)) {
            let factor = Cholesky::of(positive(&m, 5)).unwrap();
            for (i, value) in factor.inverse_diagonal().into_iter().enumerate() {
                let mut unit = vec![0.0; 5];
                unit[i] = 1.0;
                prop_assert!((factor.solve(&unit)[i] - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_not_positive_has_no_factor() {
        assert!(Cholesky::of(vec![vec![1.0], vec![2.0, 1.0]]).is_none());
    }
}
