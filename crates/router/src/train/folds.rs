//! Who trains and who is held out.

use std::collections::BTreeSet;

/// Folds of the cross-validation.
pub(super) const FOLDS: u64 = 4;

/// One way to hold rows out.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
}

/// The fold of a group: near-duplicates are never on both sides.
pub(super) fn fold(group: &str) -> u64 {
    crate::text::hash_of(group) % FOLDS
}

/// A split for each fold.
pub(super) fn cross(groups: &[&str]) -> Vec<Split> {
    let folds: Vec<u64> = groups.iter().map(|g| fold(g)).collect();
    let side = |k: u64, test: bool| {
        folds.iter().enumerate().filter(|(_, f)| (**f == k) == test).map(|(at, _)| at).collect()
    };
    (0..FOLDS).map(|k| Split { train: side(k, false), test: side(k, true) }).collect()
}

/// A split for each dataset, which is held out whole with everything of its groups.
pub(super) fn leave_one_out(datasets: &[&str], groups: &[&str]) -> Vec<Split> {
    let split = |name: &str| {
        let test: Vec<usize> =
            datasets.iter().enumerate().filter(|(_, d)| **d == name).map(|(at, _)| at).collect();
        let out: BTreeSet<&str> = test.iter().filter_map(|at| groups.get(*at).copied()).collect();
        let train = datasets
            .iter()
            .zip(groups)
            .enumerate()
            .filter(|(_, (dataset, group))| **dataset != name && !out.contains(*group))
            .map(|(at, _)| at)
            .collect();
        Split { train, test }
    };
    super::names(datasets.iter().copied()).into_iter().map(split).collect()
}
