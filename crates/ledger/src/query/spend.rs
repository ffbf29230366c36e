//! What it cost, by anything.
//!
//! Two sums, joined by their keys. Money and tokens belong to the **attempt** that used them; a request, its status
//! and its saving belong to the target that **answered** it. So every row adds up: the sum over targets is the
//! total, to the last pico-dollar.

use std::collections::BTreeMap;

use catalog::Money;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, Unit, ZonedDateTimeRound};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params_from_iter};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::insert::RUNNING;
use crate::query::quality::{RouteQuality, SourceQuality};
use crate::query::{By, Condition, Filter, Level, Period, Sql};
use crate::reader::{SCHEMAS, not_echo, with_attempts};

/// Microseconds of the buckets in which SQL groups time. A quarter of an hour, since no time zone is finer.
const QUARTER_US: i64 = 900_000_000;

/// A question about money.
#[derive(Clone, Debug)]
pub struct SpendQuery {
    /// The breakdown; empty: the total only.
    pub by: Vec<By>,
    /// Which requests, by their start.
    pub period: Period,
    /// Which of them.
    pub filter: Filter,
    /// Where [`By::Hour`] and [`By::Day`] begin.
    pub tz: TimeZone,
}

impl Default for SpendQuery {
    fn default() -> Self {
        Self { by: Vec::new(), period: Period::default(), filter: Filter::new(), tz: TimeZone::UTC }
    }
}

/// Sums over the rows of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests that were answered here (with a breakdown by target), or that came in (any other).
    pub requests: u64,
    /// Requests that ended with status 400 or above; 499 (the client went away) is none of them.
    pub errors: u64,
    /// Upstream calls made, successful or not.
    pub attempts: u64,
    /// Attempts whose answer a check turned down.
    pub escalated: u64,
    /// Failed attempts after which another one followed.
    pub failovers: u64,
    /// Attempts that failed, or broke after the first byte.
    pub failed_attempts: u64,
    /// All input tokens, cached or not.
    pub input_tokens: u64,
    /// Input tokens read from a cache: a part of `input_tokens`.
    pub cached_tokens: u64,
    /// Input tokens written to a cache: a part of `input_tokens`.
    pub cache_write_tokens: u64,
    /// All output tokens, visible or not.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning: a part of `output_tokens`.
    pub reasoning_tokens: u64,
    /// What the attempts cost whose price is known. Exact.
    pub cost_usd: Money,
    /// The part of `cost_usd` that rests on estimated usage.
    pub estimated_cost_usd: Money,
    /// Attempts whose cost is unknown: not in `cost_usd`, and not free.
    pub unknown_cost: u64,
    /// What one direct call to each route's flagship would have cost, over `compared` requests. An estimate.
    pub baseline_usd: Money,
    /// `baseline_usd` minus what those requests cost. An estimate; may be negative.
    pub saving_usd: Money,
    /// Requests with a baseline: routed, and every price known.
    pub compared: u64,
    /// What shadow and judge calls cost, which no client asked for. Not in `cost_usd` and the other sums, save
    /// `unknown_cost`. A filter on `op=shadow` or `op=judge` tells them like requests.
    pub evaluation_usd: Money,
}

/// One row of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SpendRow {
    /// A value for each dimension, in the order of the query; `None`: it has none (pinned, keyless, untagged, unanswered).
    pub key: Vec<Option<String>>,
    /// The sums.
    pub totals: Totals,
    /// With a breakdown by route alone, and where asked for: how good its answers were, by source. Empty: unknown.
    pub quality: Option<Vec<SourceQuality>>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Spend {
    /// The dimensions.
    pub by: Vec<By>,
    /// The period asked for.
    pub period: Period,
    /// Name of the reporting time zone.
    pub tz: String,
    /// By time first if asked for, then by cost, the dearest first.
    pub rows: Vec<SpendRow>,
    /// Over everything. With [`By::Tag`] and no name, rows overlap and add up to more.
    pub total: Totals,
}

impl Spend {
    /// Puts the quality of each route beside its cost. Does nothing to another breakdown than by route alone.
    pub fn add_quality(&mut self, quality: &[RouteQuality]) {
        if self.by != [By::Route] {
            return;
        }
        for row in &mut self.rows {
            let of_row = quality.iter().find(|q| Some(&q.route) == row.key.first());
            row.quality = Some(of_row.map(|q| q.sources.clone()).unwrap_or_default());
        }
    }
}

impl Serialize for Spend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("by", &self.by.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        map.serialize_entry("since", &self.period.since)?;
        map.serialize_entry("until", &self.period.until)?;
        map.serialize_entry("tz", &self.tz)?;
        let rows: Vec<_> = self.rows.iter().map(|row| Flat { by: &self.by, row }).collect();
        map.serialize_entry("rows", &rows)?;
        map.serialize_entry("total", &self.total)?;
        map.end()
    }
}

/// A row as JSON: dimensions and sums in one object.
struct Flat<'a> {
    by: &'a [By],
    row: &'a SpendRow,
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            key: BTreeMap<String, &'a Option<String>>,
            #[serde(flatten)]
            totals: &'a Totals,
            #[serde(skip_serializing_if = "Option::is_none")]
            quality: Option<&'a [SourceQuality]>,
        }
        let key = self.by.iter().map(ToString::to_string).zip(&self.row.key).collect();
        Whole { key, totals: &self.row.totals, quality: self.row.quality.as_deref() }.serialize(serializer)
    }
}

type Groups = BTreeMap<Vec<Option<String>>, Totals>;

/// How sums are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// As SQLite's 64-bit integers: it refuses to wrap.
    Narrow,
    /// In two halves of 32 bits, put together in 128: twice the work, and no vendor's nonsense can overflow it.
    Wide,
}

/// Answers the query over store and spool. Errors as SQLite does.
pub(crate) fn run(conn: &Connection, query: &SpendQuery) -> rusqlite::Result<Spend> {
    match answer(conn, query, Width::Narrow) {
        Err(error) if overflowed(&error) => answer(conn, query, Width::Wide),
        other => other,
    }
}

/// A sum did not fit: SQLite says so for a sum over rows, and makes a float of one within a row.
fn overflowed(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::InvalidColumnType(..) => true,
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.contains("integer overflow"),
        _ => false,
    }
}

fn answer(conn: &Connection, query: &SpendQuery, width: Width) -> rusqlite::Result<Spend> {
    let mut groups = Groups::new();
    collect(conn, query, width, &mut groups)?;
    let total = if query.by.contains(&By::Tag(None)) {
        let mut all = Groups::new();
        collect(conn, &SpendQuery { by: Vec::new(), ..query.clone() }, width, &mut all)?;
        all.into_values().next().unwrap_or_default()
    } else {
        groups.values().fold(Totals::default(), Totals::plus)
    };
    let mut rows: Vec<_> =
        groups.into_iter().map(|(key, totals)| SpendRow { key, totals, quality: None }).collect();
    if query.by.is_empty() {
        rows.clear();
    }
    let when = |row: &SpendRow| {
        let timed = query.by.iter().zip(&row.key).filter(|(by, _)| matches!(by, By::Hour | By::Day));
        timed.map(|(by, label)| moment(by, label.as_deref())).collect::<Vec<_>>()
    };
    rows.sort_by(|a, b| {
        when(a).cmp(&when(b)).then(b.totals.cost_usd.cmp(&a.totals.cost_usd)).then(a.key.cmp(&b.key))
    });
    let tz = query.tz.iana_name().unwrap_or("UTC").to_owned();
    Ok(Spend { by: query.by.clone(), period: query.period, tz, rows, total })
}

fn collect(conn: &Connection, query: &SpendQuery, width: Width, groups: &mut Groups) -> rusqlite::Result<()> {
    for schema in SCHEMAS {
        let mut grouping = Grouping { conn, query, schema, width, groups };
        grouping.attempts()?;
        grouping.evaluation()?;
        grouping.adjustments()?;
        grouping.requests()?;
    }
    Ok(())
}

/// The SQL of the dimensions: columns, and a join where tags are spread out.
fn dimensions(sql: &mut Sql, by: &[By], level: Level) -> (Vec<String>, &'static str) {
    let table = if level == Level::Attempt { "a" } else { "r" };
    let mut join = "";
    let columns = by.iter().map(|by| match by {
        By::Route => "r.route".to_owned(),
        By::Key => "r.key".to_owned(),
        By::Model => format!("{table}.model"),
        By::Provider => format!("{table}.provider"),
        By::Target => format!("{table}.provider || '/' || {table}.model"),
        By::Tag(Some(name)) => sql.tag(name),
        By::Tag(None) => {
            join = " LEFT JOIN json_each(r.tags) p";
            "p.key || '=' || p.value".to_owned()
        }
        By::Reason => "CASE WHEN r.reason LIKE 'difficulty:%' THEN 'difficulty' ELSE r.reason END".to_owned(),
        By::Hour | By::Day => format!("r.started_us / {QUARTER_US}"),
    });
    (columns.collect(), join)
}

/// The grouped statements of a query over one schema.
struct Grouping<'a> {
    conn: &'a Connection,
    query: &'a SpendQuery,
    schema: &'a str,
    width: Width,
    groups: &'a mut Groups,
}

impl Grouping<'_> {
    /// Runs one grouped statement and hands each row to `add`, with the sums of its group.
    fn run(
        &mut self,
        level: Level,
        (sums, from, only): (&str, &str, &str),
        add: impl Fn(&mut Totals, &mut Sums<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut sql = Sql::default();
        let (columns, join) = dimensions(&mut sql, &self.query.by, level);
        let period = sql.period(self.query.period);
        let filter = sql.filter(&self.query.filter, level, self.schema);
        let count = columns.len();
        let ordinals: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
        let group_by = if count == 0 { String::new() } else { format!(" GROUP BY {}", ordinals.join(", ")) };
        let selected: Vec<&str> = columns.iter().map(String::as_str).chain([sums]).collect();
        let selected = selected.join(", ");
        let text =
            format!("SELECT {selected} FROM {from}{join} WHERE {only} AND {period} AND {filter}{group_by}");
        let mut statement = self.conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        while let Some(row) = rows.next()? {
            let by = self.query.by.iter().enumerate();
            let key = by.map(|(i, by)| label(by, row.get_ref(i)?, &self.query.tz));
            let totals = self.groups.entry(key.collect::<rusqlite::Result<_>>()?).or_default();
            add(totals, &mut Sums { row, next: count, width: self.width })?;
        }
        Ok(())
    }

    fn attempts(&mut self) -> rusqlite::Result<()> {
        let wide = |columns: &[&str]| self.width.sum(columns);
        let inputs = [
            "a.input",
            "a.cache_read",
            "a.cache_write_5m",
            "a.cache_write_1h",
            "a.input_audio",
            "a.cache_read_audio",
            "a.input_image",
        ];
        let sums = [
            "count(*), sum(a.outcome = 'rejected'), sum(a.outcome = 'failed' AND a.seq + 1 < r.attempts)"
                .to_owned(),
            "sum(a.outcome IN ('failed', 'partial')), sum(a.cost_micro IS NULL)".to_owned(),
            wide(&inputs),
            wide(&["a.cache_read", "a.cache_read_audio"]),
            wide(&["a.cache_write_5m", "a.cache_write_1h"]),
            wide(&["a.output", "a.reasoning", "a.output_audio", "a.output_image"]),
            wide(&["a.reasoning"]),
            self.width.money("a.cost", "1"),
            self.width.money("a.cost", "a.cost_basis = 'estimated'"),
        ]
        .join(", ");
        let from = with_attempts(self.schema);
        let only = format!("a.outcome <> '{RUNNING}' AND {}", self.of_clients());
        self.run(Level::Attempt, (&sums, &from, &only), |totals, sums| {
            let mut more = Totals { attempts: sums.count()?, escalated: sums.count()?, ..Totals::default() };
            more.failovers = sums.count()?;
            more.failed_attempts = sums.count()?;
            more.unknown_cost = sums.count()?;
            more.input_tokens = sums.wide()?;
            more.cached_tokens = sums.wide()?;
            more.cache_write_tokens = sums.wide()?;
            more.output_tokens = sums.wide()?;
            more.reasoning_tokens = sums.wide()?;
            more.cost_usd = sums.money()?;
            more.estimated_cost_usd = sums.money()?;
            *totals = std::mem::take(totals).plus(&more);
            Ok(())
        })
    }

    /// The condition that keeps out what no client asked for; a query for just that keeps everything.
    fn of_clients(&self) -> &'static str {
        let asked = |c: &Condition| matches!(c, Condition::Op(op) if op == "shadow" || op == "judge");
        if self.query.filter.iter().any(asked) { "1" } else { "r.op NOT IN ('shadow', 'judge')" }
    }

    /// What was spent on finding out how good the answers are.
    fn evaluation(&mut self) -> rusqlite::Result<()> {
        if self.of_clients() == "1" {
            return Ok(());
        }
        let sums = format!("{}, sum(a.cost_micro IS NULL)", self.width.money("a.cost", "1"));
        let from = with_attempts(self.schema);
        let only = format!("a.outcome <> '{RUNNING}' AND r.op IN ('shadow', 'judge')");
        self.run(Level::Attempt, (&sums, &from, &only), |totals, sums| {
            totals.evaluation_usd += sums.money()?;
            totals.unknown_cost = totals.unknown_cost.saturating_add(sums.count()?);
            Ok(())
        })
    }

    /// Costs that became known later. One for an attempt of unknown cost makes it known.
    fn adjustments(&mut self) -> rusqlite::Result<()> {
        let known_now = "count(DISTINCT CASE WHEN a.cost_micro IS NULL THEN a.no END)";
        let sums = format!("{}, {known_now}", self.width.money("j.cost", "1"));
        let from = format!(
            "{0}.adjustment j JOIN {0}.attempt a ON a.no = j.attempt_no JOIN {0}.request r ON r.no = a.request_no",
            self.schema
        );
        let only = format!("j.cost_micro IS NOT NULL AND {}", self.of_clients());
        // Without a group, an empty sum is a row too: it adds nothing.
        self.run(Level::Attempt, (&sums, &from, &only), |totals, sums| {
            totals.cost_usd += sums.money()?;
            totals.unknown_cost = totals.unknown_cost.saturating_sub(sums.count()?);
            Ok(())
        })
    }

    fn requests(&mut self) -> rusqlite::Result<()> {
        let sums = [
            "count(*), sum(r.status >= 400 AND r.status <> 499), sum(r.saving_micro IS NOT NULL)",
            &self.width.money("r.baseline", "1"),
            &self.width.money("r.saving", "1"),
        ]
        .join(", ");
        let from = format!("{}.request r", self.schema);
        let only = format!("{} AND {}", not_echo(self.schema), self.of_clients());
        self.run(Level::Answer, (&sums, &from, &only), |totals, sums| {
            let mut more = Totals { requests: sums.count()?, errors: sums.count()?, ..Totals::default() };
            more.compared = sums.count()?;
            more.baseline_usd = sums.money()?;
            more.saving_usd = sums.money()?;
            *totals = std::mem::take(totals).plus(&more);
            Ok(())
        })
    }
}

impl Width {
    /// A sum over several columns: one column of the answer, or two.
    fn sum(self, columns: &[&str]) -> String {
        let sum = |cut: &str| {
            let cut = columns.iter().map(|c| format!("({c}{cut})")).collect::<Vec<_>>();
            format!("sum({})", cut.join(" + "))
        };
        match self {
            Self::Narrow => sum(""),
            Self::Wide => [sum(" >> 32"), sum(" & 4294967295")].join(", "),
        }
    }

    /// A sum of money where `only` holds: micro-dollars, then the rest.
    fn money(self, prefix: &str, only: &str) -> String {
        let pick = |column: &str| {
            if only == "1" {
                format!("{prefix}_{column}")
            } else {
                format!("CASE WHEN {only} THEN {prefix}_{column} END")
            }
        };
        [self.sum(&[&pick("micro")]), format!("sum({})", pick("rest"))].join(", ")
    }
}

/// The sums of a row, read in the order of the statement. NULL, the sum over nothing, is zero.
struct Sums<'a> {
    row: &'a Row<'a>,
    next: usize,
    width: Width,
}

impl Sums<'_> {
    fn int(&mut self) -> rusqlite::Result<i128> {
        let value: Option<i64> = self.row.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Ok(value.unwrap_or(0).into())
    }

    fn count(&mut self) -> rusqlite::Result<u64> {
        Ok(u64::try_from(self.int()?).unwrap_or(0))
    }

    fn sum(&mut self) -> rusqlite::Result<i128> {
        let high = self.int()?;
        if self.width == Width::Narrow {
            return Ok(high);
        }
        Ok((high << 32).saturating_add(self.int()?))
    }

    fn wide(&mut self) -> rusqlite::Result<u64> {
        Ok(u64::try_from(self.sum()?).unwrap_or(u64::MAX))
    }

    fn money(&mut self) -> rusqlite::Result<Money> {
        let micro = self.sum()?;
        Ok(Money::from_columns(micro, self.int()?))
    }
}

/// A dimension's value as text: RFC 3339 for an hour, a date for a day.
fn label(by: &By, value: ValueRef<'_>, tz: &TimeZone) -> rusqlite::Result<Option<String>> {
    match (by, value) {
        (By::Hour | By::Day, ValueRef::Integer(quarter)) => {
            let start = Timestamp::from_microsecond(quarter.saturating_mul(QUARTER_US)).unwrap_or_default();
            let local = start.to_zoned_datetime(tz.clone());
            if *by == By::Day {
                return Ok(Some(local.date().to_string()));
            }
            let hour = ZonedDateTimeRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
            let local = local.round(hour).unwrap_or(local);
            Ok(Some(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()))
        }
        (_, value) => Ok(value.as_str_or_null()?.map(str::to_owned)),
    }
}

/// Where a row stands in time: an hour is compared as a moment, since clocks go back once a year.
fn moment(by: &By, label: Option<&str>) -> (Option<Timestamp>, Option<String>) {
    let at = label.filter(|_| *by == By::Hour).and_then(|l| l.parse().ok());
    (at, label.map(str::to_owned))
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            errors: self.errors.saturating_add(other.errors),
            attempts: self.attempts.saturating_add(other.attempts),
            escalated: self.escalated.saturating_add(other.escalated),
            failovers: self.failovers.saturating_add(other.failovers),
            failed_attempts: self.failed_attempts.saturating_add(other.failed_attempts),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            cost_usd: self.cost_usd + other.cost_usd,
            estimated_cost_usd: self.estimated_cost_usd + other.estimated_cost_usd,
            unknown_cost: self.unknown_cost.saturating_add(other.unknown_cost),
            baseline_usd: self.baseline_usd + other.baseline_usd,
            saving_usd: self.saving_usd + other.saving_usd,
            compared: self.compared.saturating_add(other.compared),
            evaluation_usd: self.evaluation_usd + other.evaluation_usd,
        }
    }
}
