//! Prices over time: which rows apply to a call, and in which order they win.
//!
//! Three orders meet here. Between layers (user's overlay, ours, source) the higher one wins, bucket by bucket.
//! Between snapshots of one source the newest that was taken before the call wins, so that a newer list does not
//! re-price the past, except where it states itself from when a price held. Within a snapshot the last row that
//! applies wins.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::rates::{Factor, Ladder, Rates};
use crate::snapshot::PriceRow;
use crate::{Bucket, Context, MoneyError, Tier, UnknownPrice};

const DAY: i64 = 86_400;
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When a row applies, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct When {
    from: Option<i64>,
    until: Option<i64>,
    /// Seconds of the day; wraps past midnight when the end is before the start.
    daily: Option<(i64, i64)>,
    /// Bit 0 is Monday.
    days: Option<u8>,
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error("`{0}` is not a time of day such as \"01:00-04:00\" (UTC)")]
    Daily(String),
    #[error("`{0}` is not a range of days such as \"mon-fri\" (UTC)")]
    Days(String),
}

impl When {
    pub(crate) fn parse(row: &PriceRow) -> Result<Self, RowError> {
        let daily =
            row.daily.as_deref().map(|text| parse_daily(text).ok_or_else(|| RowError::Daily(text.into())));
        let days =
            row.days.as_deref().map(|text| parse_days(text).ok_or_else(|| RowError::Days(text.into())));
        Ok(Self {
            from: row.from.map(midnight),
            until: row.until.map(midnight),
            daily: daily.transpose()?,
            days: days.transpose()?,
        })
    }

    fn holds(&self, second: i64) -> bool {
        let of_day = second.rem_euclid(DAY);
        // 1970-01-01 was a Thursday.
        let weekday = (second.div_euclid(DAY) + 3).rem_euclid(7);
        self.from.is_none_or(|from| second >= from)
            && self.until.is_none_or(|until| second < until)
            && self.days.is_none_or(|days| days >> weekday & 1 == 1)
            && self.daily.is_none_or(|(start, end)| {
                let (after, before) = (of_day >= start, of_day < end);
                if start <= end { after && before } else { after || before }
            })
    }
}

/// The first second of a day in UTC.
pub(crate) fn midnight(date: Date) -> i64 {
    TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_or(i64::MAX, Timestamp::as_second)
}

fn parse_daily(text: &str) -> Option<(i64, i64)> {
    let minute = |text: &str| -> Option<i64> {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
        (hours <= 24 && minutes < 60).then(|| (i64::from(hours) * 60 + i64::from(minutes)) * 60)
    };
    let (start, end) = text.split_once('-')?;
    Some((minute(start)?, minute(end)?))
}

fn parse_days(text: &str) -> Option<u8> {
    let day = |text: &str| WEEK.iter().position(|day| *day == text);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |mask, i| mask | 1 << ((first + i) % 7)))
}

/// Rates with the tier and the time that they are for.
#[derive(Clone, Debug)]
struct Row {
    tier: Tier,
    when: When,
    rates: Rates,
}

/// What one source said at one time.
#[derive(Clone, Debug)]
struct Version {
    /// From which second this version decides.
    since: i64,
    rows: Vec<Row>,
}

/// One source's word on one model, over all its snapshots; oldest version first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    versions: Vec<Version>,
    /// An overlay's rows add up: what a later row leaves out, an earlier one still says. A source's row is whole.
    adds_up: bool,
}

impl Layer {
    /// Adds a snapshot's rows. Snapshots come oldest first. Zero prices are left out unless `free`: a source that
    /// lists zero usually knows none (LAW 3).
    pub(crate) fn push(&mut self, taken: Date, rows: &[PriceRow], free: bool) -> Result<(), RowError> {
        let rows = rows.iter().map(|row| read_row(row, free)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<Row> =
            rows.into_iter().filter(|row| row.tier != Tier::Standard || !row.rates.is_empty()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        // A snapshot that dates its prices itself decides from the first such date on, even before it was taken.
        let stated = rows.iter().filter_map(|row| row.when.from).min().unwrap_or(i64::MAX);
        let since = if self.versions.is_empty() { i64::MIN } else { midnight(taken).min(stated) };
        self.versions.push(Version { since, rows });
        Ok(())
    }

    /// Adds a row of an overlay, which has no versions: each row says itself from when it holds.
    pub(crate) fn amend(&mut self, row: &PriceRow, free: bool) -> Result<(), RowError> {
        let row = read_row(row, free)?;
        self.adds_up = true;
        match self.versions.last_mut() {
            Some(version) => version.rows.push(row),
            None => self.versions.push(Version { since: i64::MIN, rows: vec![row] }),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    pub(crate) fn scaled(&self, factor: Factor) -> Self {
        let mut scaled = self.clone();
        for row in scaled.versions.iter_mut().flat_map(|version| &mut version.rows) {
            row.rates = row.rates.scaled(factor);
        }
        scaled
    }

    fn rows(&self, second: i64) -> &[Row] {
        self.versions
            .iter()
            .rev()
            .find(|version| second >= version.since)
            .map_or(&[], |version| &version.rows)
    }

    /// The rows that are in effect.
    fn active(&self, tier: Tier, second: i64) -> Active<'_> {
        let holds = |row: &Row| row.tier == tier && row.when.holds(second);
        let rows = self.rows(second);
        let last = rows.iter().rposition(holds);
        let first = if self.adds_up { rows.iter().position(holds) } else { last };
        let rows = first.zip(last).and_then(|(first, last)| rows.get(first..=last)).unwrap_or_default();
        Active { rows, tier, second }
    }

    fn lists(&self, tier: Tier) -> bool {
        self.versions.iter().flat_map(|version| &version.rows).any(|row| row.tier == tier)
    }
}

/// Rows of one layer, the first and the last of which are in effect.
#[derive(Clone, Copy, Debug, Default)]
struct Active<'a> {
    rows: &'a [Row],
    tier: Tier,
    second: i64,
}

impl<'a> Active<'a> {
    fn get(&self, bucket: Bucket) -> Option<&'a Ladder> {
        let holds = |row: &&Row| row.tier == self.tier && row.when.holds(self.second);
        self.rows.iter().rev().filter(holds).find_map(|row| row.rates.get(bucket))
    }
}

fn read_row(row: &PriceRow, free: bool) -> Result<Row, RowError> {
    let mut rates = Rates::default();
    for (bucket, text) in &row.usd {
        let ladder = Ladder::parse(*bucket, text)?;
        if free || !ladder.is_zero() {
            rates.set(*bucket, ladder);
        }
    }
    Ok(Row { tier: row.tier, when: When::parse(row)?, rates })
}

/// The layers of a schedule, strongest first: the user's overlay, ours, one source.
pub(crate) const LAYERS: usize = 3;
/// The layer of the user's overlay.
pub(crate) const USER: usize = 0;
/// The layer of `data/prices/overlay.toml`.
pub(crate) const OURS: usize = 1;
/// The layer of the source's snapshots.
pub(crate) const SOURCE: usize = 2;

/// All prices of an offer, the strongest layer first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    layers: [Option<Arc<Layer>>; LAYERS],
    /// Buckets that this host bills like text where its price page does not list them apart.
    bills_as_text: bool,
}

impl Schedule {
    pub(crate) fn new(layers: [Option<Arc<Layer>>; LAYERS], bills_as_text: bool) -> Self {
        Self { layers, bills_as_text }
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().flatten().map(AsRef::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers().all(Layer::is_empty)
    }

    pub(crate) fn layer(&self, at: usize) -> Option<&Arc<Layer>> {
        self.layers.get(at)?.as_ref()
    }

    /// The same with `factor` on the layers from `strongest` down; those above it are prices agreed on otherwise.
    pub(crate) fn scaled(&self, factor: Factor, strongest: usize) -> Self {
        let mut scaled = self.clone();
        for layer in scaled.layers.iter_mut().skip(strongest).flatten() {
            *layer = Arc::new(layer.scaled(factor));
        }
        scaled
    }

    /// Whether some row, at any time, is for that tier.
    pub(crate) fn lists(&self, tier: Tier) -> bool {
        self.layers().any(|layer| layer.lists(tier))
    }

    /// The rates that are in effect, or why there are none.
    pub(crate) fn at(&self, context: &Context) -> Result<Effective<'_>, UnknownPrice> {
        self.in_effect(context.tier, context.at)
    }

    pub(crate) fn in_effect(&self, tier: Tier, at: Timestamp) -> Result<Effective<'_>, UnknownPrice> {
        if self.is_empty() {
            return Err(UnknownPrice::Model);
        }
        let second = at.as_second();
        let mut parts = [Active::default(); 2 * LAYERS];
        let mut slots = parts.iter_mut();
        let mut fill = |tier| {
            let mut found = false;
            for (layer, slot) in self.layers.iter().zip(slots.by_ref()) {
                *slot = layer.as_ref().map(|layer| layer.active(tier, second)).unwrap_or_default();
                found |= !slot.rows.is_empty();
            }
            found
        };
        let own = tier == Tier::Standard || fill(tier);
        if !own {
            return Err(if self.lists(tier) { UnknownPrice::Time } else { UnknownPrice::Tier });
        }
        if !fill(Tier::Standard) && tier == Tier::Standard {
            return Err(UnknownPrice::Time);
        }
        Ok(Effective { parts, bills_as_text: self.bills_as_text })
    }
}

/// The rates of one call, strongest first: the tier's rows before the standard ones.
#[derive(Debug)]
pub(crate) struct Effective<'a> {
    parts: [Active<'a>; 2 * LAYERS],
    bills_as_text: bool,
}

impl<'a> Effective<'a> {
    /// The price that is listed for that very bucket.
    pub(crate) fn listed(&self, bucket: Bucket) -> Option<&'a Ladder> {
        self.parts.iter().find_map(|part| part.get(bucket))
    }

    /// The tier's own rows say nothing of the bucket; the standard ones do.
    pub(crate) fn is_inherited(&self, bucket: Bucket) -> bool {
        let silent = self.parts.iter().take(LAYERS).all(|part| part.get(bucket).is_none());
        silent && self.parts.iter().skip(LAYERS).any(|part| part.get(bucket).is_some())
    }

    /// The price of a bucket and, where it has none of its own, the bucket whose price stands in.
    ///
    /// A stand-in is used only where it cannot be too low, or where the vendor is known to bill so:
    /// - reasoning costs what output costs (all vendors that list no price of their own);
    /// - a cache read costs at most what a fresh read costs, so the input price is an upper bound. Absent is not free.
    /// - images are counted in text tokens unless the vendor lists image tokens apart;
    /// - audio only at hosts whose price page says that text and audio cost the same.
    ///
    /// Cache writes and audio elsewhere cost more than text: without a price they are unknown.
    pub(crate) fn of(&self, bucket: Bucket) -> Option<(&'a Ladder, Option<Bucket>)> {
        if let Some(ladder) = self.listed(bucket) {
            return Some((ladder, None));
        }
        let stand_in = match bucket {
            Bucket::Reasoning => Bucket::Output,
            Bucket::CacheRead | Bucket::InputImage => Bucket::Input,
            Bucket::InputAudio if self.bills_as_text => Bucket::Input,
            Bucket::CacheReadAudio if self.bills_as_text && self.listed(Bucket::InputAudio).is_none() => {
                Bucket::CacheRead
            }
            Bucket::CacheReadAudio => Bucket::InputAudio,
            _ => return None,
        };
        // At most two steps: cached audio → cached text → text.
        self.of(stand_in).map(|(ladder, via)| (ladder, Some(via.unwrap_or(stand_in))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn when(daily: Option<&str>, days: Option<&str>) -> When {
        let row =
            PriceRow { daily: daily.map(Into::into), days: days.map(Into::into), ..PriceRow::default() };
        When::parse(&row).unwrap()
    }

    fn second(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_daily_window_includes_its_start_and_not_its_end_and_may_wrap() {
        let peak = when(Some("01:00-04:00"), None);
        assert!(peak.holds(second("2026-11-24T01:00:00Z")));
        assert!(!peak.holds(second("2026-11-24T04:00:00Z")));
        let night = when(Some("16:30-00:30"), None);
        assert!(night.holds(second("2026-11-24T23:00:00Z")) && night.holds(second("2026-11-24T00:29:59Z")));
        assert!(!night.holds(second("2026-11-24T00:30:00Z")));
    }

    #[test]
    fn days_of_the_week_are_utc_days() {
        let work = when(None, Some("mon-fri"));
        assert!(work.holds(second("2026-11-24T12:00:00Z")), "a Tuesday");
        assert!(!work.holds(second("2026-11-28T12:00:00Z")), "a Saturday");
        assert!(when(None, Some("sat-mon")).holds(second("2026-11-23T00:00:00Z")), "a Monday");
        assert!(
            parse_days("mon-xyz").is_none()
                && parse_daily("1-2").is_none()
                && parse_daily("25:00-01:00").is_none()
        );
    }

    #[test]
    fn midnight_is_utc() {
        assert_eq!(midnight(date(1970, 1, 2)), DAY);
    }
}
