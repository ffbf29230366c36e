//! Spend over time for charts: every bucket of the period, also those in which nothing happened, and as many lines as a
//! person can tell apart. Chart libraries would draw a line straight over a missing bucket, as if money had been spent
//! there.

use std::collections::BTreeMap;

use catalog::Money;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Timestamp, ToSpan as _, Unit, ZonedDateTimeRound};
use ledger::{By, Period, Spend, Totals};
use serde::Serialize;

/// Lines that are told apart; the rest is one line.
const LINES: usize = 7;
/// Longest period that is cut into hours.
const HOURS: SignedDuration = SignedDuration::from_hours(49);
/// Most buckets.
const BUCKETS: usize = 1_100;

/// The answer of `GET /api/v1/spend/series`.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    /// What a line is: a dimension, as in `spend`.
    pub(super) by: Option<String>,
    /// `hour` or `day`.
    pub(super) bucket: String,
    /// The time zone of the buckets.
    pub(super) tz: String,
    /// Start of each bucket.
    pub(super) times: Vec<String>,
    /// The last bucket is not over yet.
    pub(super) unfinished: bool,
    /// The dearest first.
    pub(super) lines: Vec<Line>,
    /// Values of the dimension in the period; those without a line of their own are in the line `other`.
    pub(super) of: usize,
}

/// A line: a value for each bucket.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    /// The value of the dimension; `None`: it has none.
    pub(super) value: Option<String>,
    /// For people.
    pub(super) label: String,
    /// It is the rest.
    pub(super) other: bool,
    /// Known cost.
    pub(super) cost_usd: Vec<Money>,
    /// Attempts whose cost is unknown.
    pub(super) unknown_cost: Vec<u64>,
    /// Requests.
    pub(super) requests: Vec<u64>,
}

/// Hours for a day or two, else days.
pub(super) fn bucket(period: Period, now: Timestamp) -> By {
    let until = period.until.unwrap_or(now);
    match period.since {
        Some(since) if until.duration_since(since) <= HOURS => By::Hour,
        _ => By::Day,
    }
}

/// Makes a series of `spend`, which is by `bucket` first and perhaps by a dimension. `None` when the period has too many
/// buckets.
pub(super) fn series(spend: &Spend, bucket: &By, tz: &TimeZone, now: Timestamp) -> Option<Series> {
    let times = times(spend, bucket, tz, now)?;
    let at: BTreeMap<&str, usize> = times.iter().enumerate().map(|(at, time)| (time.as_str(), at)).collect();
    let by = spend.by.get(1);
    let mut sums: BTreeMap<Option<String>, Totals> = BTreeMap::new();
    for row in &spend.rows {
        let sum = sums.entry(value_of(&row.key)).or_default();
        *sum = std::mem::take(sum).plus(&row.totals);
    }
    let of = sums.len();
    let mut values: Vec<(Option<String>, Totals)> = sums.into_iter().collect();
    values.sort_by(|(a, x), (b, y)| {
        y.cost_usd.cmp(&x.cost_usd).then(y.requests.cmp(&x.requests)).then(a.cmp(b))
    });
    // a rest of one is no rest
    let kept = if of > LINES + 1 { LINES } else { of };
    let mut lines: Vec<Line> = values
        .into_iter()
        .take(kept)
        .map(|(value, _)| Line { label: label(by, value.as_deref()), value, ..Line::of(times.len()) })
        .collect();
    if kept < of {
        let label = format!("{} others", of - kept);
        lines.push(Line { label, other: true, ..Line::of(times.len()) });
    }
    for row in &spend.rows {
        let Some(bucket) = row.key.first().and_then(Option::as_deref).and_then(|time| at.get(time)) else {
            continue;
        };
        let value = value_of(&row.key);
        let own = lines.iter().position(|line| !line.other && line.value == value);
        if let Some(line) = own.or(lines.len().checked_sub(1)).and_then(|line| lines.get_mut(line)) {
            line.add(*bucket, &row.totals);
        }
    }
    let unfinished = spend.period.until.is_none_or(|until| until > now);
    let tz = spend.tz.clone();
    Some(Series {
        by: by.map(ToString::to_string),
        bucket: bucket.to_string(),
        tz,
        times,
        unfinished,
        lines,
        of,
    })
}

/// The dimension's value of a row; one line for all without a dimension.
fn value_of(key: &[Option<String>]) -> Option<String> {
    key.get(1).cloned().flatten()
}

/// A value of a dimension, or what its absence means.
pub(super) fn label(by: Option<&By>, value: Option<&str>) -> String {
    match (value, by) {
        (Some(value), _) => value.to_owned(),
        (None, None) => "all".to_owned(),
        (None, Some(By::Route)) => "pinned, no route".to_owned(),
        (None, Some(By::Key)) => "no key".to_owned(),
        (None, Some(By::Tag(_))) => "untagged".to_owned(),
        (None, Some(_)) => "unanswered".to_owned(),
    }
}

impl Line {
    fn of(buckets: usize) -> Self {
        Self {
            cost_usd: vec![Money::ZERO; buckets],
            unknown_cost: vec![0; buckets],
            requests: vec![0; buckets],
            ..Self::default()
        }
    }

    fn add(&mut self, bucket: usize, totals: &Totals) {
        if let Some(cost) = self.cost_usd.get_mut(bucket) {
            *cost += totals.cost_usd;
        }
        if let Some(unknown) = self.unknown_cost.get_mut(bucket) {
            *unknown += totals.unknown_cost;
        }
        if let Some(requests) = self.requests.get_mut(bucket) {
            *requests += totals.requests;
        }
    }
}

/// The starts of all buckets, spelled as the ledger spells them. A period without a beginning begins with its first row.
fn times(spend: &Spend, bucket: &By, tz: &TimeZone, now: Timestamp) -> Option<Vec<String>> {
    let end = spend.period.until.map_or(now, |until| until.min(now));
    let last = end.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(end);
    let first_row = || spend.rows.first()?.key.first()?.clone();
    if *bucket == By::Day {
        let first = match spend.period.since {
            Some(since) => since.to_zoned_datetime(tz.clone()).date(),
            None => first_row()
                .and_then(|day| day.parse::<Date>().ok())
                .unwrap_or_else(|| last.to_zoned_datetime(tz.clone()).date()),
        };
        let last = last.to_zoned_datetime(tz.clone()).date();
        let days = first.series(1.day()).take_while(|day| *day <= last).take(BUCKETS + 1);
        let days: Vec<String> = days.map(|day| day.to_string()).collect();
        return (days.len() <= BUCKETS).then_some(days);
    }
    let mut hours = Vec::new();
    let mut at = spend.period.since?;
    while hours.len() <= BUCKETS {
        let local = at.to_zoned_datetime(tz.clone());
        let whole = ZonedDateTimeRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
        let hour = local.round(whole).unwrap_or(local);
        if hour.timestamp() > last {
            return Some(hours);
        }
        hours.push(hour.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
        at = hour.timestamp().checked_add(SignedDuration::from_hours(1)).ok()?;
    }
    None
}
