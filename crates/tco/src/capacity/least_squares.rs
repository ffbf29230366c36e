//! Fits a few positive constants to measurements, robustly.
//!
//! Gauss–Newton with Levenberg's damping on the logarithms of the constants. Two things differ from the textbook: a
//! residual beyond about three of its scale counts less and less (pseudo-Huber), because one mislabelled run must not
//! bend the fit; and each constant is held to a starting value with a stated spread, because where the measurements
//! say nothing of a constant it must stay plausible.

use super::linear::Cholesky;

/// Minimises Σ 2(√(1+rᵢ²)−1) + Σ ((θⱼ−startⱼ)/spreadⱼ)² over θ, with r = `residuals(θ)` scaled to unit spread.
/// Constants go in and come out as values; the search is over their logarithms.
pub(super) fn fit<const P: usize>(
    start: &[f64; P],
    spread: &[f64; P],
    residuals: impl Fn(&[f64; P]) -> Vec<f64>,
) -> [f64; P] {
    const STEP: f64 = 1e-5;
    let begin = start.map(f64::ln);
    let at = |theta: &[f64; P]| residuals(&theta.map(f64::exp));
    let cost = |theta: &[f64; P], r: &[f64]| {
        let data: f64 = r.iter().map(|r| 2.0 * ((1.0 + r * r).sqrt() - 1.0)).sum();
        let prior: f64 = theta.iter().zip(&begin).zip(spread).map(|((t, b), s)| ((t - b) / s).powi(2)).sum();
        data + prior
    };
    let mut theta = begin;
    let mut r = at(&theta);
    let mut best = cost(&theta, &r);
    let mut damping = 1e-3;
    for _ in 0..200 {
        let columns: Vec<Vec<f64>> = (0..P)
            .map(|j| {
                let mut moved = theta;
                if let Some(t) = moved.get_mut(j) {
                    *t += STEP;
                }
                at(&moved).iter().zip(&r).map(|(a, b)| (a - b) / STEP).collect()
            })
            .collect();
        let weights: Vec<f64> = r.iter().map(|r| 1.0 / (1.0 + r * r).sqrt()).collect();
        let inner = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(&weights).map(|((a, b), w)| a * b * w).sum()
        };
        let gradient: Vec<f64> = columns
            .iter()
            .zip(theta.iter().zip(&begin).zip(spread))
            .map(|(column, ((t, b), s))| inner(column, &r) + (t - b) / (s * s))
            .collect();
        let normal = |damping: f64| -> Vec<Vec<f64>> {
            let row = |i: usize, a: &Vec<f64>| -> Vec<f64> {
                let mut row: Vec<f64> = columns.iter().take(i + 1).map(|b| inner(a, b)).collect();
                if let Some((last, s)) = row.last_mut().zip(spread.get(i)) {
                    *last = (*last + 1.0 / (s * s)) * (1.0 + damping);
                }
                row
            };
            columns.iter().enumerate().map(|(i, a)| row(i, a)).collect()
        };
        let mut improved = false;
        while damping < 1e8 {
            let Some(factor) = Cholesky::of(normal(damping)) else {
                damping *= 10.0;
                continue;
            };
            let step = factor.solve(&gradient);
            let mut moved = theta;
            for (t, s) in moved.iter_mut().zip(&step) {
                *t -= s.clamp(-1.0, 1.0);
            }
            let there = at(&moved);
            let costs = cost(&moved, &there);
            if costs < best {
                improved = best - costs > 1e-9 * best;
                (theta, r, best) = (moved, there, costs);
                damping = (damping / 5.0).max(1e-9);
                break;
            }
            damping *= 5.0;
        }
        if !improved {
            break;
        }
    }
    theta.map(f64::exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_constants_that_made_the_data_in_spite_of_a_wild_one() {
        let xs: Vec<f64> = (1..40).map(f64::from).collect();
        let mut ys: Vec<f64> = xs.iter().map(|x| (3.0 + 0.5 * x).ln()).collect();
        ys[7] += 4.0;
        let found = fit(&[1.0, 1.0], &[3.0, 3.0], |theta| {
            xs.iter().zip(&ys).map(|(x, y)| ((theta[0] + theta[1] * x).ln() - y) / 0.01).collect()
        });
        assert!((found[0] - 3.0).abs() < 0.03, "{found:?}");
        assert!((found[1] - 0.5).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn a_constant_that_the_data_do_not_touch_stays() {
        let found = fit(&[2.0, 7.0], &[1.0, 1.0], |theta| vec![(theta[0] - 3.0) / 0.01]);
        assert!((found[0] - 3.0).abs() < 0.01 && (found[1] - 7.0).abs() < 1e-6, "{found:?}");
    }
}
