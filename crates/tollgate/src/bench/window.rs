//! Which part of a point counts: the ramp up and the drain are cut off, by the time of each token and not by whole
//! requests. Dropping the first requests whole would drop their late tokens, which came at full load, and keep early
//! tokens of requests that were counted.

use serde::Serialize;

use super::record::Record;
use super::stats::{real, rounded};

/// Fewest token events that a part of a request must have in the window to tell its pace.
const EVENTS_OF_A_PART: usize = 8;

/// The time that counts, microseconds since the start of the point, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From.
    pub from: u32,
    /// To.
    pub to: u32,
    /// The load was on all the time. False: the point was too short to have such a time, and this is all of it.
    pub steady: bool,
}

/// A window as the report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Seconds since the start of the point.
    pub from_s: f64,
    /// Seconds since the start of the point.
    pub to_s: f64,
    /// See [`Window::steady`].
    pub steady: bool,
}

impl Window {
    /// From just after the first request ended, when requests are in every phase of their lives, but not before
    /// `warm_up`, to `load_end`, when the last request went out. Where nothing is left of that: the whole point.
    pub fn of(records: &[Record], load_end: u32, warm_up: u32) -> Self {
        let first_end = records.iter().filter(|record| record.is_ok()).map(|record| record.end).min();
        match first_end.map(|end| end.saturating_add(1).max(warm_up)) {
            Some(from) if from < load_end => Self { from, to: load_end, steady: true },
            _ => Self::whole(records),
        }
    }

    /// All of a point: from its start to the end of its last request.
    pub fn whole(records: &[Record]) -> Self {
        let to = records.iter().map(|record| record.end).max().unwrap_or(0);
        Self { from: 0, to, steady: false }
    }

    /// Is a moment in it?
    pub fn holds(&self, at: u32) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        f64::from(self.to.saturating_sub(self.from)) / 1e6
    }

    /// For the report.
    pub fn shown(&self) -> Shown {
        let seconds = |at: u32| rounded(f64::from(at) / 1e6, 3);
        Shown { from_s: seconds(self.from), to_s: seconds(self.to), steady: self.steady }
    }

    /// Output tokens of `record` that came in the window: its events there, each for as many tokens as the request's
    /// events stand for on average.
    pub fn tokens(&self, record: &Record) -> f64 {
        real(self.part(record).len() as u64) * record.tokens_per_event()
    }

    /// Time per output token without the first, microseconds, of what the window holds of `record`. `None` when
    /// that is too little to tell.
    pub fn tpot(&self, record: &Record) -> Option<f64> {
        let part = self.part(record);
        if part.len() == record.events.len() {
            return record.tpot();
        }
        let (first, last) = (part.first()?, part.last()?);
        if part.len() < EVENTS_OF_A_PART || last <= first {
            return None;
        }
        Some(f64::from(last - first) / (real(part.len() as u64 - 1) * record.tokens_per_event()))
    }

    /// The token events of `record` in the window.
    pub fn part<'r>(&self, record: &'r Record) -> &'r [u32] {
        // events are in the order in which they were read
        let from = record.events.partition_point(|at| *at < self.from);
        let to = record.events.partition_point(|at| *at <= self.to);
        record.events.get(from..to).unwrap_or_default()
    }

    /// Seconds of the window during which `record` was under way.
    pub fn under_way(&self, record: &Record) -> f64 {
        f64::from(record.end.min(self.to).saturating_sub(record.sent.max(self.from))) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::answered;
    use super::*;

    /// Two slots, each with requests of 20 tokens, 10 ms apart, back to back; the second slot half a request later.
    fn records() -> Vec<Record> {
        let request = |start: u32| {
            let events: Vec<u32> = (1..=20).map(|n| start + n * 10_000).collect();
            answered(start, &events)
        };
        [0, 200_000, 400_000, 600_000, 100_000, 300_000, 500_000].map(request).to_vec()
    }

    #[test]
    fn the_cut_is_by_token_and_not_by_request() {
        let records = records();
        let window = Window::of(&records, 600_000, 0);
        assert_eq!(window, Window { from: 200_001, to: 600_000, steady: true });
        // both slots gave a token each 10 ms all the time: 40 events each
        let tokens: f64 = records.iter().map(|record| window.tokens(record)).sum();
        assert_eq!(tokens.to_string(), "80");
        // a cut by whole requests (those that lie inside) would count 60 tokens and see three quarters of the pace
        let inside = records.iter().filter(|r| r.sent >= 200_000 && r.end <= 600_000);
        assert_eq!(inside.map(|r| r.events.len()).sum::<usize>(), 60);
    }

    #[test]
    fn a_part_of_a_request_has_the_pace_of_its_part() {
        let mut events: Vec<u32> = (1..=10).map(|n| n * 50_000).collect(); // slow while warming up
        events.extend((1..=10).map(|n| 500_000 + n * 10_000));
        let record = answered(0, &events);
        let window = Window { from: 500_001, to: 700_000, steady: true };
        assert_eq!(window.tpot(&record), Some(10_000.0));
        let sliver = Window { from: 0, to: 150_000, steady: true };
        assert_eq!((sliver.part(&record).len(), sliver.tpot(&record)), (3, None));
    }

    #[test]
    fn warm_up_only_moves_the_start_and_a_short_point_counts_whole() {
        let records = records();
        assert_eq!(Window::of(&records, 600_000, 450_000).from, 450_000);
        assert_eq!(Window::of(&records, 600_000, 50_000).from, 200_001);
        let whole = Window { from: 0, to: 800_000, steady: false };
        assert_eq!(Window::of(&records, 100_000, 0), whole);
        assert_eq!(Window::of(&records, 600_000, 900_000), whole);
    }

    #[test]
    fn mean_in_flight_is_the_time_under_way() {
        let records = records();
        let window = Window::of(&records, 600_000, 0);
        let busy: f64 = records.iter().map(|record| window.under_way(record)).sum();
        assert!((busy / window.seconds() - 2.0).abs() < 1e-4, "{busy}");
    }
}
