//! How many machines to keep for good and how many to rent by the hour, over a curve of hours.
//!
//! The obvious alternative, a discount on one price, is how a bill of $40 became $80 in a published comparison. Here each
//! level of the curve (the first replica, the second, …) is either kept or rented, level by level, because a replica
//! that is needed in most hours is cheaper kept, and one that is needed at noon is not. Levels that are kept come first,
//! so the best count is the least of K + 1 sums, equal to brute force.

use crate::num::float;

/// What to rent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mix {
    /// Replicas kept the whole time.
    pub kept: usize,
    /// Dollars of the kept ones over the curve.
    pub kept_usd: f64,
    /// Replica-hours rented beside them.
    pub burst_hours: f64,
    /// Times that a rented replica was started.
    pub starts: f64,
    /// Dollars of the rented ones, their starts included.
    pub burst_usd: f64,
}

impl Mix {
    /// Dollars over the curve.
    pub fn usd(&self) -> f64 {
        self.kept_usd + self.burst_usd
    }
}

/// What machines cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Dollars an hour of a replica that is kept the whole time.
    pub kept: f64,
    /// Dollars an hour of a replica that is rented by the hour.
    pub burst: f64,
    /// Hours that a start takes and is paid for before it serves.
    pub start_hours: f64,
}

/// Hours in which each level is needed, and how often it begins to be, for `needs` replicas in each hour of a curve that
/// repeats.
struct Levels {
    hours: Vec<f64>,
    starts: Vec<f64>,
}

impl Levels {
    fn of(needs: &[usize]) -> Self {
        let most = needs.iter().copied().max().unwrap_or(0);
        // Differences first, sums after: one pass over the hours whatever the height of the curve.
        let (mut hours, mut starts) = (vec![0.0; most + 1], vec![0.0; most + 1]);
        let mut before = needs.last().copied().unwrap_or(0);
        for need in needs.iter().copied() {
            add(&mut hours, need, 1.0);
            if need > before {
                add(&mut starts, need, 1.0);
                add(&mut starts, before, -1.0);
            }
            before = need;
        }
        Self { hours: from_above(&hours), starts: from_above(&starts) }
    }
}

fn add(to: &mut [f64], at: usize, amount: f64) {
    if let Some(cell) = to.get_mut(at) {
        *cell += amount;
    }
}

/// Cell k becomes the sum of the cells from k + 1 on: what concerns level k + 1.
fn from_above(cells: &[f64]) -> Vec<f64> {
    let mut sums: Vec<f64> = cells
        .iter()
        .skip(1)
        .rev()
        .scan(0.0, |sum, cell| {
            *sum += cell;
            Some(*sum)
        })
        .collect();
    sums.reverse();
    sums
}

/// The cheapest mix for `needs` replicas in each hour. `kept` fixes the count that is kept instead.
pub fn best_mix(needs: &[usize], rates: Rates, kept: Option<usize>) -> Mix {
    let levels = Levels::of(needs);
    let all = float(needs.len());
    let burst = |(hours, starts): (&f64, &f64)| rates.burst * (hours + starts * rates.start_hours);
    let each: Vec<f64> = levels.hours.iter().zip(&levels.starts).map(burst).collect();
    let count = kept.unwrap_or_else(|| cheapest_prefix(&each, rates.kept * all));
    let above = |of: &[f64]| of.iter().skip(count).sum::<f64>();
    Mix {
        kept: count,
        kept_usd: float(count) * rates.kept * all,
        burst_hours: above(&levels.hours),
        starts: above(&levels.starts),
        burst_usd: above(&each),
    }
}

/// How many of the first levels to keep at `kept` each, so that those and the others' own costs are least; the fewest
/// of equals.
fn cheapest_prefix(each: &[f64], kept: f64) -> usize {
    let mut cost: f64 = each.iter().sum();
    let (mut best, mut least) = (0, cost);
    for (at, burst) in each.iter().enumerate() {
        cost += kept - burst;
        if cost < least - least.abs() * 1e-12 {
            (best, least) = (at + 1, cost);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use super::*;
    use proptest::prelude::*;

    /// The definition, hour by hour.
    fn by_hand(needs: &[usize], rates: Rates, kept: usize) -> f64 {
        let mut usd = float(kept) * rates.kept * float(needs.len());
        for (at, need) in needs.iter().copied().enumerate() {
            let before = if at == 0 { needs[needs.len() - 1] } else { needs[at - 1] };
            let (rented, had) = (need.saturating_sub(kept), before.saturating_sub(kept));
            usd += rates.burst * (float(rented) + float(rented.saturating_sub(had)) * rates.start_hours);
        }
        usd
    }

    #[test]
    fn a_flat_curve_is_kept_and_a_spike_is_rented() {
        let rates = Rates { kept: 1.4, burst: 3.0, start_hours: 0.1 };
        assert_eq!(best_mix(&[4; 24], rates, None).kept, 4);
        let mut spike = vec![1; 24];
        spike[12] = 9;
        let mix = best_mix(&spike, rates, None);
        assert_eq!((mix.kept, mix.burst_hours, mix.starts), (1, 8.0, 8.0));
        assert_eq!(best_mix(&[], rates, None), Mix::default());
        assert_eq!(best_mix(&[0, 0], rates, None).usd(), 0.0);
    }

    proptest! {
        #[test]
        fn the_best_mix_is_that_of_brute_force(
            needs in prop::collection::vec(0usize..40, 1..200),
            kept in 0.1f64..5.0, burst in 0.1f64..10.0, start_hours in 0.0f64..0.5,
        ) {
            let rates = Rates { kept, burst, start_hours };
            let mix = best_mix(&needs, rates, None);
            let least = (0..=41).map(|count| by_hand(&needs, rates, count)).fold(f64::INFINITY, f64::min);
            prop_assert!((mix.usd() - least).abs() <= 1e-9 * least.max(1.0), "{mix:?} {least}");
            prop_assert!((by_hand(&needs, rates, mix.kept) - mix.usd()).abs() <= 1e-9 * least.max(1.0));
        }
    }
}
