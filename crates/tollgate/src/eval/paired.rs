//! Do two runs of one suite differ by more than chance? The cases are the same, so the tests are paired: only cases on
//! which the runs disagree say anything. The obvious alternative, comparing two pass rates as if they came from different
//! prompts, throws that away and misses real regressions.

/// Draws of the bootstrap.
const DRAWS: usize = 10_000;
/// A fixed seed: the same two files give the same interval.
const SEED: u64 = 0x746f_6c6c_6761_7465;

/// What two runs have on the same cases.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Paired {
    /// Cases that both answered.
    pub cases: usize,
    /// Passed in A, not in B.
    pub regressed: usize,
    /// Passed in B, not in A.
    pub improved: usize,
    /// Share passed in B minus share passed in A.
    pub difference: f64,
    /// 95 % interval of the difference: percentile bootstrap over cases, 10,000 draws, fixed seed.
    pub interval: [f64; 2],
    /// Exact two-sided McNemar test: the chance of a split at least this uneven if both were equally good.
    pub p_value: f64,
}

/// Compares runs case by case: `(passed in A, passed in B)`.
pub fn compare(pairs: &[(bool, bool)]) -> Paired {
    let regressed = pairs.iter().filter(|(a, b)| *a && !*b).count();
    let improved = pairs.iter().filter(|(a, b)| !*a && *b).count();
    let difference = share(improved, pairs.len()) - share(regressed, pairs.len());
    Paired {
        cases: pairs.len(),
        regressed,
        improved,
        difference,
        interval: bootstrap(pairs),
        p_value: mcnemar(regressed, improved),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^52")]
fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// McNemar's exact test (1947): under no difference each disagreement falls to either side like a fair coin, so the
/// p-value is twice the smaller binomial tail, at most 1.
pub fn mcnemar(one_way: usize, other_way: usize) -> f64 {
    let (fewer, all) = (one_way.min(other_way), one_way + other_way);
    // Terms of Binomial(all, 1/2) by their logarithms: 2^-all alone would vanish beyond a thousand disagreements.
    let mut log_term = -share(all, 1) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += log_term.exp();
        log_term += (share(all - k, 1) / share(k + 1, 1)).ln();
    }
    (2.0 * tail).min(1.0)
}

fn bootstrap(pairs: &[(bool, bool)]) -> [f64; 2] {
    if pairs.is_empty() {
        return [0.0, 0.0];
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let signs: Vec<i32> = pairs.iter().map(|(a, b)| i32::from(*b) - i32::from(*a)).collect();
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let sum: i32 = (0..signs.len()).filter_map(|_| signs.get(random.usize(..signs.len()))).sum();
            f64::from(sum) / share(signs.len(), 1)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |place: usize| means.get(place).copied().unwrap_or_default();
    [at(DRAWS / 40), at(DRAWS - 1 - DRAWS / 40)]
}

/// The normal deviate that leaves 2.5 % on either side.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % score interval of a share: honest for few cases and at 0 and 1, where the usual one has no width.
pub fn wilson(passed: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    let (n, p) = (share(of, 1), share(passed, of));
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn mcnemar_is_the_binomial_tail() {
        assert!(near(mcnemar(0, 0), 1.0));
        assert!(near(mcnemar(0, 5), 2.0 / 32.0));
        assert!(near(mcnemar(1, 9), 2.0 * 11.0 / 1024.0));
        assert!(near(mcnemar(4, 4), 1.0));
        assert!(mcnemar(900, 1100) < 0.001 && mcnemar(900, 1100) > 0.0, "no underflow");
    }

    #[test]
    fn wilson_matches_its_published_example() {
        // 81 of 263: (0.255, 0.366), Newcombe 1998, table I
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 5e-4 && (high - 0.3662).abs() < 5e-4, "{low} {high}");
        assert!(near(wilson(0, 10)[0], 0.0) && wilson(0, 10)[1] > 0.2);
    }

    #[test]
    fn a_clear_loss_is_clear() {
        let pairs: Vec<_> = (0..100).map(|n| (true, n % 5 != 0)).collect();
        let paired = compare(&pairs);
        assert_eq!((paired.regressed, paired.improved), (20, 0));
        assert!(paired.p_value < 1e-5 && paired.interval[1] < 0.0, "{paired:?}");
    }

    proptest! {
        #[test]
        fn swapping_the_runs_mirrors_everything(pairs in prop::collection::vec(any::<(bool, bool)>(), 1..60)) {
            let there = compare(&pairs);
            let back = compare(&pairs.iter().map(|(a, b)| (*b, *a)).collect::<Vec<_>>());
            prop_assert!(near(there.p_value, back.p_value));
            prop_assert!(near(there.difference, -back.difference));
            prop_assert!(there.interval[0] <= there.difference + 1e-9 && there.difference <= there.interval[1] + 1e-9);
            prop_assert!((0.0..=1.0).contains(&there.p_value));
        }
    }
}
