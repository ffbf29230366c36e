//! The hours of a ledger: how many were looked at, and how traffic moves over them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Stamp, float};

const HOUR: i64 = 3_600;
const DAY: usize = 24;
const WEEK: usize = 168;
/// Peak over mean where too few hours were seen to know it.
const USUAL_PEAK: f64 = 3.0;

/// Requests of each hour from the first that had any to the last; hours without a row had none.
pub(super) struct Hours {
    start: Timestamp,
    requests: Vec<u64>,
}

impl Hours {
    /// `None` without traffic.
    pub fn of(rows: &[(Timestamp, u64)]) -> Option<Self> {
        let busy = || rows.iter().filter(|(_, requests)| *requests > 0);
        let start = busy().map(|(at, _)| *at).min()?;
        let last = busy().map(|(at, _)| *at).max()?;
        let place = |at: Timestamp| usize::try_from((at.as_second() - start.as_second()) / HOUR).ok();
        let mut requests = vec![0; place(last)? + 1];
        for (at, count) in busy() {
            if let Some(cell) = place(*at).and_then(|at| requests.get_mut(at)) {
                *cell += count;
            }
        }
        Some(Self { start, requests })
    }

    /// How many hours.
    pub fn count(&self) -> u64 {
        u64::try_from(self.requests.len()).unwrap_or(u64::MAX)
    }

    /// The day of the last one.
    pub fn last_day(&self) -> String {
        let hours = i64::try_from(self.requests.len()).unwrap_or(0).saturating_sub(1);
        let last = Timestamp::from_second(self.start.as_second() + hours * HOUR).unwrap_or(self.start);
        TimeZone::UTC.to_datetime(last).date().to_string()
    }

    /// What a reader must know.
    pub fn notes(&self) -> Vec<String> {
        let count = self.requests.len();
        let mut notes = Vec::new();
        if count < DAY {
            let hours = if count == 1 { "1 hour".to_owned() } else { format!("{count} hours") };
            notes.push(format!(
                "only {hours} of traffic: a day is taken to be {} of them",
                24.0 / float(self.count())
            ));
        } else if count < WEEK {
            notes.push(format!("{count} hours of traffic: every day is taken to be like their mean day"));
        }
        let empty = self.requests.iter().filter(|requests| **requests == 0).count();
        if empty > 0 {
            notes.push(format!("{empty} of {count} hours had no request: taken as quiet, not as missing"));
        }
        notes
    }

    /// Writes the shape: the mean week of at least a week, the mean day of at least a day, else the usual peak.
    pub fn shape_into(&self, workload: &mut Map<String, Value>, stamp: &Stamp<'_>) {
        if self.requests.len() >= WEEK {
            workload.insert("hours".into(), json!(self.folded(WEEK)));
        } else if self.requests.len() >= DAY {
            workload.insert("profile".into(), json!(self.folded(DAY)));
        } else {
            let source = format!("default: fewer than {DAY} hours in the {}", stamp.source);
            workload.insert(
                "peak_to_mean".into(),
                json!({"value": USUAL_PEAK, "basis": "assumed", "source": source}),
            );
        }
    }

    /// Mean requests of each hour of a day or a week that begins at midnight, on Monday.
    fn folded(&self, period: usize) -> Vec<f64> {
        let begin = TimeZone::UTC.to_datetime(self.start);
        let hour = usize::try_from(begin.hour()).unwrap_or(0);
        let day = usize::try_from(begin.weekday().to_monday_zero_offset()).unwrap_or(0);
        let first = (day * DAY + hour) % period;
        let (mut sums, mut seen) = (vec![0.0; period], vec![0.0; period]);
        for (at, requests) in self.requests.iter().enumerate() {
            let place = (first + at) % period;
            if let (Some(sum), Some(times)) = (sums.get_mut(place), seen.get_mut(place)) {
                *sum += float(*requests);
                *times += 1.0;
            }
        }
        sums.iter().zip(&seen).map(|(sum, times): (&f64, &f64)| sum / times.max(1.0)).collect()
    }
}
