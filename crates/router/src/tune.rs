//! Thresholds for a quality that is to be kept, with a confidence bound.
//!
//! The obvious alternative, the threshold whose measured quality is just the target, is wrong half of the time: a measured
//! quality is above the true one as often as below. Here a threshold is taken only if a lower bound of its quality is
//! above the target. Thresholds are looked at from the safest (everything to the strong model) to the boldest, and the
//! search ends at the first that fails: testing in a fixed order needs no correction for the number of looks (Maurer,
//! Hothorn and Lehmacher 1995; for risk control: Angelopoulos, Bates, Candès, Jordan and Lei 2021).

mod calibration;

use std::collections::BTreeSet;

pub use calibration::{Calibration, Row, Seen, gather};

/// Normal deviate that leaves 5 % above.
const Z: f64 = 1.644_853_626_951_472_7;
/// Normal deviate that leaves 2.5 % on either side.
const Z_TWO_SIDED: f64 = 1.959_963_984_540_054;
/// Difficulty thresholds that are tried with every doubt threshold: the search has as many paths, one more for "never".
const PATHS: usize = 10;
/// The same for all paths together (Bonferroni): leaves 5 % / 11 above.
const Z_OF_PATHS: f64 = 2.609_1;
/// Thresholds of one score that are tried.
const POINTS: usize = 50;
/// Fewer buckets with data than this give no bound.
const LEAST_BUCKETS: usize = 8;

/// What a call costs, in dollars: modelled or from a ledger, for an order of policies and for saying what they cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// A call of the weak model.
    pub weak: f64,
    /// A call of the strong model.
    pub strong: f64,
}

/// A pair of thresholds with what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Escalate before the call above this difficulty; `None`: never.
    pub difficulty_over: Option<f64>,
    /// Escalate after the weak answer above this doubt; `None`: never.
    pub doubt_over: Option<f64>,
    /// Share of the strong model's quality that is kept.
    pub kept: f64,
    /// Lower 95 % confidence bound of that; holds although this choice was looked for among others.
    pub kept_at_least: f64,
    /// 95 % interval of `kept` at this point alone: for a curve that is looked at whole, not for a choice.
    pub interval: (f64, f64),
    /// Share of requests that go to the strong model at once.
    pub before: f64,
    /// Share of requests that go there after a weak answer.
    pub after: f64,
    /// Dollars per request.
    pub cost: f64,
}

/// Why no threshold can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// Too few labels for a bound.
    #[error("too few labelled prompts for a confidence bound")]
    TooFew,
    /// The strong model is not better on these data: there is nothing to keep.
    #[error("the strong model is right nowhere in these data")]
    Nothing,
    /// There is nothing to save.
    #[error("the strong model costs no more than the weak one: make it the default")]
    NotDearer,
    /// The budget does not even pay the weak model.
    #[error("the budget is below what the weak model alone costs")]
    Budget,
}

/// What is asked of a choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Keep this share of the strong model's quality, as cheaply as possible.
    Quality(f64),
    /// Keep as much as this many dollars per request allow.
    Budget(f64),
}

/// Which scores a route may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Before the call only.
    Difficulty,
    /// After the weak answer only.
    Doubt,
    /// Both.
    Both,
}

/// Sums of one bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    strong: f64,
    kept: f64,
    before: f64,
    after: f64,
}

/// Finds thresholds. Errors when the data cannot say, or there is nothing to save.
pub fn tune(rows: &[Row], scores: Scores, prices: Prices, goal: Goal) -> Result<Choice, NoChoice> {
    if prices.strong <= prices.weak {
        return Err(NoChoice::NotDearer);
    }
    let z = if scores == Scores::Both { Z_OF_PATHS } else { Z };
    let judge = Judge::new(rows, prices, z)?;
    let before =
        grid(rows.iter().map(|row| row.difficulty), if scores == Scores::Both { PATHS } else { POINTS });
    let after = grid(rows.iter().filter_map(|row| row.doubt), POINTS);
    let paths = paths(&before, &after, scores);
    match goal {
        Goal::Quality(target) => Ok(judge.cheapest(&paths, target)),
        Goal::Budget(most) => judge.best(&paths, most).ok_or(NoChoice::Budget),
    }
}

/// What one score keeps at every share of strong calls, from all to none, with a 95 % interval at each point. Errors when
/// the data cannot say.
pub fn curve(rows: &[Row], scores: Scores, prices: Prices) -> Result<Vec<Choice>, NoChoice> {
    let judge = Judge::new(rows, prices, Z)?;
    let thresholds = match scores {
        Scores::Doubt => grid(rows.iter().filter_map(|row| row.doubt), POINTS),
        _ => grid(rows.iter().map(|row| row.difficulty), POINTS),
    };
    let at = |over: Option<f64>| match scores {
        Scores::Doubt => judge.judge(None, over),
        _ => judge.judge(over, None),
    };
    Ok([Some(f64::NEG_INFINITY)]
        .into_iter()
        .chain(thresholds.into_iter().map(Some))
        .chain([None])
        .map(at)
        .collect())
}

/// Student's deviate for a normal one and these degrees of freedom (Fisher and Cornish 1960, four terms): a standard error
/// from two dozen buckets is itself uncertain.
fn student(z: f64, freedom: usize) -> f64 {
    let (n, z2) = (float(freedom), z * z);
    let first = z * (z2 + 1.0) / 4.0;
    let second = z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let third = z * (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    z + (first + (second + third / n) / n) / n
}

/// Thresholds from the safest to the boldest: at most so many, at quantiles of the scores.
fn grid(scores: impl Iterator<Item = f64>, most: usize) -> Vec<f64> {
    // A threshold of 1 is none.
    let mut all: Vec<f64> = scores.filter(|score| *score < 1.0).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}

/// A pair of thresholds: of the difficulty, and of the doubt.
type Pair = (Option<f64>, Option<f64>);

/// Paths of thresholds from safe to bold. With both scores, each difficulty threshold has a path of doubt thresholds of its
/// own, and a bound must be one of all paths together.
fn paths(before: &[f64], after: &[f64], scores: Scores) -> Vec<Vec<Pair>> {
    let bolder = |thresholds: &[f64]| thresholds.iter().copied().map(Some).chain([None]).collect::<Vec<_>>();
    match scores {
        Scores::Difficulty => vec![bolder(before).into_iter().map(|over| (over, None)).collect()],
        Scores::Doubt => vec![bolder(after).into_iter().map(|over| (None, over)).collect()],
        Scores::Both => {
            let after = bolder(after);
            let path = |over: Option<f64>| after.iter().map(move |doubt| (over, *doubt)).collect();
            bolder(before).into_iter().map(path).collect()
        }
    }
}

/// Judges one pair of thresholds on all rows.
struct Judge<'r> {
    rows: &'r [Row],
    buckets: usize,
    prices: Prices,
    /// How many standard errors a bound is away, and the ends of an interval.
    t: f64,
    t_two_sided: f64,
}

impl<'r> Judge<'r> {
    fn new(rows: &'r [Row], prices: Prices, z: f64) -> Result<Self, NoChoice> {
        let buckets = rows.iter().map(|row| usize::from(row.bucket) + 1).max().unwrap_or(0);
        let filled: BTreeSet<u16> = rows.iter().map(|row| row.bucket).collect();
        if filled.len() < LEAST_BUCKETS {
            return Err(NoChoice::TooFew);
        }
        if rows.iter().map(|row| row.strong).sum::<f64>() <= 0.0 {
            return Err(NoChoice::Nothing);
        }
        let freedom = filled.len() - 1;
        Ok(Self { rows, buckets, prices, t: student(z, freedom), t_two_sided: student(Z_TWO_SIDED, freedom) })
    }

    /// The cheapest that holds, of each path up to the first that does not. Everything to the strong model always holds.
    fn cheapest(&self, paths: &[Vec<Pair>], target: f64) -> Choice {
        // Below every score: all to the strong model at once.
        let all = self.judge(Some(f64::NEG_INFINITY), None);
        let held = paths.iter().flat_map(|path| {
            let judged = path.iter().map(|(before, after)| self.judge(*before, *after));
            judged.take_while(|choice| choice.kept_at_least >= target)
        });
        held.fold(all, |best, choice| if choice.cost < best.cost { choice } else { best })
    }

    /// The best within the budget. Of each path the safest that it pays, which outcomes have no say in, so that the bound
    /// need be corrected for the number of paths only.
    fn best(&self, paths: &[Vec<Pair>], most: f64) -> Option<Choice> {
        let paid = paths.iter().filter_map(|path| {
            path.iter().map(|(before, after)| self.judge(*before, *after)).find(|choice| choice.cost <= most)
        });
        let all = self.judge(Some(f64::NEG_INFINITY), None);
        paid.chain((all.cost <= most).then_some(all))
            .max_by(|a, b| a.kept_at_least.total_cmp(&b.kept_at_least))
    }

    fn judge(&self, difficulty_over: Option<f64>, doubt_over: Option<f64>) -> Choice {
        let mut sums = vec![Sums::default(); self.buckets];
        for row in self.rows {
            let Some(sum) = sums.get_mut(usize::from(row.bucket)) else { continue };
            let before = difficulty_over.is_some_and(|over| row.difficulty > over);
            let after = !before && doubt_over.zip(row.doubt).is_some_and(|(over, doubt)| doubt > over);
            sum.n += row.n;
            sum.strong += row.strong;
            sum.kept += if before || after { row.strong } else { row.weak };
            sum.before += if before { row.n } else { 0.0 };
            sum.after += if after { row.n } else { 0.0 };
        }
        let all = sums.iter().fold(Sums::default(), Sums::plus);
        let kept = all.kept / all.strong;
        let (before, after) = (all.before / all.n, all.after / all.n);
        let error = jackknife(&sums, all);
        let half = self.t_two_sided * error;
        Choice {
            difficulty_over,
            doubt_over,
            kept,
            kept_at_least: kept - self.t * error,
            interval: (kept - half, kept + half),
            before,
            after,
            cost: (1.0 - before) * self.prices.weak + (before + after) * self.prices.strong,
        }
    }
}

impl Sums {
    fn plus(self, other: &Self) -> Self {
        Self {
            n: self.n + other.n,
            strong: self.strong + other.strong,
            kept: self.kept + other.kept,
            before: self.before + other.before,
            after: self.after + other.after,
        }
    }
}

/// Standard error of the kept share: leave one bucket out at a time (Quenouille, Tukey).
fn jackknife(sums: &[Sums], all: Sums) -> f64 {
    let without = |sum: &Sums| (all.kept - sum.kept) / (all.strong - sum.strong);
    let parts: Vec<f64> =
        sums.iter().filter(|sum| sum.n > 0.0 && sum.strong < all.strong).map(without).collect();
    let n = float(parts.len());
    let mean = parts.iter().sum::<f64>() / n;
    let squares: f64 = parts.iter().map(|part| (part - mean) * (part - mean)).sum();
    ((n - 1.0) / n * squares).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "a count of buckets")]
fn float(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: Prices = Prices { weak: 1.0, strong: 20.0 };

    /// A small generator with a fixed seed: the crate has no randomness of its own.
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            float(usize::try_from(state >> 40).unwrap()) / float(1 << 24)
        }
    }

    /// Prompts whose difficulty is the chance that the weak model fails, and whose doubt sees the failure half.
    fn world(n: usize, seed: u64) -> Vec<Row> {
        let (mut next, mut bucket) = (random(seed), 0);
        (0..n)
            .map(|_| {
                let difficulty = next();
                let weak = f64::from(u8::from(next() > difficulty * 0.6));
                let doubt = 0.5 * next() + 0.5 * (1.0 - weak) * next();
                bucket = (bucket + 1) % 64;
                Row { bucket, difficulty, doubt: Some(doubt), n: 1.0, weak, strong: 1.0 }
            })
            .collect()
    }

    #[test]
    fn a_target_is_kept_in_fact_as_often_as_promised() {
        // what the thresholds are worth on a hundred thousand other prompts
        let truth = world(100_000, 99);
        let mut missed = 0;
        for seed in 1..=100 {
            let choice = tune(&world(3_000, seed), Scores::Difficulty, PRICES, Goal::Quality(0.9)).unwrap();
            assert!(choice.kept_at_least >= 0.9 && choice.cost < 20.0, "{choice:?}");
            let there =
                Judge::new(&truth, PRICES, Z).unwrap().judge(choice.difficulty_over, choice.doubt_over);
            missed += i32::from(there.kept < 0.9);
        }
        assert!(missed <= 10, "{missed} of 100; 5 are promised");
    }

    #[test]
    fn more_labels_are_bolder_and_both_scores_are_cheaper() {
        let cost = |n, scores| tune(&world(n, 5), scores, PRICES, Goal::Quality(0.95)).unwrap().cost;
        assert!(cost(30_000, Scores::Difficulty) < cost(600, Scores::Difficulty));
        assert!(cost(30_000, Scores::Both) < cost(30_000, Scores::Difficulty));
    }

    #[test]
    fn everything_to_the_strong_model_keeps_everything() {
        let choice = tune(&world(500, 1), Scores::Both, PRICES, Goal::Quality(1.0)).unwrap();
        assert!((choice.kept - 1.0).abs() < 1e-12 && choice.kept_at_least >= 1.0 - 1e-12);
    }

    #[test]
    fn a_budget_is_kept() {
        let choice = tune(&world(5_000, 2), Scores::Both, PRICES, Goal::Budget(6.0)).unwrap();
        assert!(choice.cost <= 6.0 && choice.kept > 0.8, "{choice:?}");
        assert_eq!(tune(&world(5_000, 2), Scores::Both, PRICES, Goal::Budget(0.5)), Err(NoChoice::Budget));
    }

    #[test]
    fn a_budgets_bound_holds_as_often_as_promised() {
        let truth = world(100_000, 99);
        let mut missed = 0;
        for seed in 1..=100 {
            let choice = tune(&world(2_000, seed), Scores::Both, PRICES, Goal::Budget(8.0)).unwrap();
            let there =
                Judge::new(&truth, PRICES, Z).unwrap().judge(choice.difficulty_over, choice.doubt_over);
            missed += i32::from(there.kept < choice.kept_at_least);
        }
        assert!(missed <= 10, "{missed} of 100; at most 5 are promised");
    }

    #[test]
    fn a_curve_goes_from_all_to_none_and_its_intervals_cover() {
        let truth = world(100_000, 99);
        let (mut covered, mut points) = (0, 0);
        for seed in 1..=20 {
            let curve = curve(&world(2_000, seed), Scores::Difficulty, PRICES).unwrap();
            assert!((curve[0].kept - 1.0).abs() < 1e-12 && (curve[0].before - 1.0).abs() < 1e-12);
            assert!(curve.last().unwrap().before.abs() < 1e-12);
            for point in curve.iter().step_by(5) {
                let there = Judge::new(&truth, PRICES, Z).unwrap().judge(point.difficulty_over, None);
                let (low, high) = point.interval;
                covered += i32::from(low - 1e-9 <= there.kept && there.kept <= high + 1e-9);
                points += 1;
            }
        }
        assert!(covered * 100 >= points * 90, "{covered} of {points}");
    }

    #[test]
    fn student_is_that_of_the_tables() {
        for (z, freedom, table) in [(Z, 23, 1.713_87), (Z_TWO_SIDED, 23, 2.068_66), (Z, 7, 1.894_58)] {
            assert!((student(z, freedom) - table).abs() < 5e-4, "{}", student(z, freedom));
        }
    }

    #[test]
    fn too_little_says_so() {
        assert_eq!(tune(&[], Scores::Both, PRICES, Goal::Quality(0.9)), Err(NoChoice::TooFew));
        let wrong: Vec<Row> = world(100, 3).into_iter().map(|row| Row { strong: 0.0, ..row }).collect();
        assert_eq!(tune(&wrong, Scores::Both, PRICES, Goal::Quality(0.9)), Err(NoChoice::Nothing));
        let free = Prices { weak: 1.0, strong: 1.0 };
        let none = tune(&world(500, 3), Scores::Both, free, Goal::Quality(0.9));
        assert_eq!(none, Err(NoChoice::NotDearer));
    }
}
