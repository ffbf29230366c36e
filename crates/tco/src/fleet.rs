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

/// Levels that are alike: those between two neighbouring needs of the curve.
struct Band {
    /// How many.
    levels: usize,
    /// Hours in which each of them is needed.
    hours: f64,
    /// How often each begins to be.
    starts: f64,
}

/// The bands of a curve that repeats, lowest first: as many as it has different needs, however high it is.
fn bands(needs: &[usize]) -> Vec<Band> {
    let mut steps: Vec<usize> = needs.iter().copied().filter(|need| *need > 0).collect();
    steps.sort_unstable();
    steps.dedup();
    let place = |need: usize| steps.partition_point(|step| *step < need);
    // Differences first, sums after: one pass over the hours.
    let (mut hours, mut starts) = (vec![0.0; steps.len() + 1], vec![0.0; steps.len() + 1]);
    let mut before = needs.last().copied().unwrap_or(0);
    for need in needs.iter().copied().map(|need| need.min(usize::MAX >> 1)) {
        if need > 0 {
            add(&mut hours, place(need), 1.0);
        }
        if need > before {
            add(&mut starts, place(need), 1.0);
            // Levels up to what ran before do not start.
            if before > 0 {
                add(&mut starts, place(before), -1.0);
            }
        }
        before = need;
    }
    let mut found = Vec::with_capacity(steps.len());
    let (mut hours_above, mut starts_above) = (0.0, 0.0);
    for (at, step) in steps.iter().enumerate().rev() {
        hours_above += hours.get(at).copied().unwrap_or(0.0);
        starts_above += starts.get(at).copied().unwrap_or(0.0);
        let below = at.checked_sub(1).and_then(|at| steps.get(at)).copied().unwrap_or(0);
        found.push(Band { levels: step - below, hours: hours_above, starts: starts_above });
    }
    found.reverse();
    found
}

fn add(to: &mut [f64], at: usize, amount: f64) {
    if let Some(cell) = to.get_mut(at) {
        *cell += amount;
    }
}

/// The cheapest mix for `needs` replicas in each hour. `kept` fixes the count that is kept instead.
pub fn best_mix(needs: &[usize], rates: Rates, kept: Option<usize>) -> Mix {
    let bands = bands(needs);
    let all = float(needs.len());
    let burst = |band: &Band| rates.burst * (band.hours + band.starts * rates.start_hours);
    let count = kept.unwrap_or_else(|| cheapest_prefix(&bands, &burst, rates.kept * all));
    let mut mix = Mix { kept: count, kept_usd: float(count) * rates.kept * all, ..Mix::default() };
    let mut left = count;
    for band in &bands {
        let rented = float(band.levels - band.levels.min(left));
        left = left.saturating_sub(band.levels);
        mix.burst_hours += rented * band.hours;
        mix.starts += rented * band.starts;
        mix.burst_usd += rented * burst(band);
    }
    mix
}

/// How many of the first levels to keep at `kept` each, so that those and the others' own costs are least; the fewest
/// of equals. Within a band each level saves or loses the same, so only whole bands come into question.
fn cheapest_prefix(bands: &[Band], burst: &dyn Fn(&Band) -> f64, kept: f64) -> usize {
    let mut cost: f64 = bands.iter().map(|band| float(band.levels) * burst(band)).sum();
    let (mut best, mut least, mut count) = (0, cost, 0);
    for band in bands {
        count += band.levels;
        cost += float(band.levels) * (kept - burst(band));
        if cost < least - least.abs() * 1e-12 {
            (best, least) = (count, cost);
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
