//! How good the answers of each route were, as far as somebody said so: never estimated. Sources are kept apart, since a
//! judge's comparison, a client's thumb and a check of form are not the same thing.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params_from_iter};
use serde::Serialize;

use crate::RequestId;
use crate::query::{Period, Sql};
use crate::reader::{SCHEMAS, attempts_of_r, not_echo};
use crate::statistics::{self, Drift, Share};

/// Votes of one key that count on a route. A key that floods, or lies, has the weight of thirty votes and no more.
pub const VOTES_OF_A_KEY: u32 = 30;

/// A route with what is known of its quality.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteQuality {
    /// The route; `None`: requests that named a model.
    pub route: Option<String>,
    /// By source: `judge`, `feedback`, `checks`. Without any, the quality is unknown.
    pub sources: Vec<SourceQuality>,
}

/// What one source says of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceQuality {
    /// `judge`: the cheap answer was at least as good as the shadow's; `feedback`: the client found it good; `checks`: the
    /// cheap answer passed the route's checks.
    pub source: &'static str,
    /// Verdicts.
    pub n: u64,
    /// Verdicts that counted: of one key's feedback at most [`VOTES_OF_A_KEY`].
    pub weight: f64,
    /// Their number by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Share of good ones, with its interval.
    #[serde(flatten)]
    pub good: Share,
    /// The test for drift; `None` with too few verdicts, and for checks, which are not tested.
    pub drift: Option<Drift>,
}

/// A verdict read back.
struct Seen {
    at_us: i64,
    source: &'static str,
    outcome: String,
    route: Option<String>,
    key: Option<String>,
}

/// Answers over store and spool. Errors as SQLite does.
pub(crate) fn run(
    conn: &Connection,
    period: Period,
    with_checks: bool,
) -> rusqlite::Result<Vec<RouteQuality>> {
    let mut routes: BTreeMap<Option<String>, Vec<SourceQuality>> = BTreeMap::new();
    let mut by_source: BTreeMap<(Option<String>, &'static str), Vec<Seen>> = BTreeMap::new();
    for seen in verdicts(conn, period)? {
        by_source.entry((seen.route.clone(), seen.source)).or_default().push(seen);
    }
    for ((route, source), seen) in by_source {
        routes.entry(route).or_default().extend(weighed(source, &seen));
    }
    let checks = if with_checks { checks(conn, period)? } else { Vec::new() };
    for (route, passed, failed) in checks {
        routes.entry(route).or_default().extend(checked(passed, failed));
    }
    Ok(routes.into_iter().map(|(route, sources)| RouteQuality { route, sources }).collect())
}

/// Every verdict once, the newest where one was given again, in order of time.
fn verdicts(conn: &Connection, period: Period) -> rusqlite::Result<Vec<Seen>> {
    let mut newest: BTreeMap<[u8; 16], Seen> = BTreeMap::new();
    for schema in SCHEMAS {
        if !has_verdicts(conn, schema)? {
            continue;
        }
        let mut sql = Sql::default();
        let period = sql.span("v.at_us", period);
        let text =
            format!("SELECT id, at_us, source, outcome, route, key FROM {schema}.verdict v WHERE {period}");
        let mut statement = conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        while let Some(row) = rows.next()? {
            let (id, Some(seen)) = (row.get::<_, [u8; 16]>(0)?, seen(row)?) else { continue };
            match newest.get(&id) {
                Some(known) if known.at_us >= seen.at_us => {}
                _ => {
                    newest.insert(id, seen);
                }
            }
        }
    }
    let mut all: Vec<Seen> = newest.into_values().collect();
    all.sort_by_key(|seen| seen.at_us);
    Ok(all)
}

fn seen(row: &Row<'_>) -> rusqlite::Result<Option<Seen>> {
    let source = match row.get::<_, String>(2)?.as_str() {
        "judge" => "judge",
        "feedback" => "feedback",
        _ => return Ok(None),
    };
    let (at_us, outcome) = (row.get(1)?, row.get(3)?);
    Ok(Some(Seen { at_us, source, outcome, route: row.get(4)?, key: row.get(5)? }))
}

/// What judges said of single answers that clients got, the newest where one was given again: the request, and whether
/// its answer was at least as good as the shadow's. Errors as SQLite does.
pub(crate) fn judged(conn: &Connection, period: Period) -> rusqlite::Result<BTreeMap<RequestId, bool>> {
    let mut newest: BTreeMap<RequestId, (i64, bool)> = BTreeMap::new();
    for schema in SCHEMAS {
        if !has_verdicts(conn, schema)? {
            continue;
        }
        let mut sql = Sql::default();
        let period = sql.span("v.at_us", period);
        let text = format!(
            "SELECT request, at_us, outcome FROM {schema}.verdict v WHERE source = 'judge' AND {period}"
        );
        let mut statement = conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        while let Some(row) = rows.next()? {
            let request = RequestId::from_bytes(row.get(0)?);
            let (at_us, outcome): (i64, String) = (row.get(1)?, row.get(2)?);
            if newest.get(&request).is_none_or(|(known, _)| *known < at_us) {
                newest.insert(request, (at_us, !is_bad(&outcome)));
            }
        }
    }
    Ok(newest.into_iter().map(|(request, (_, good))| (request, good)).collect())
}

/// A ledger that an older version wrote has no such table yet.
fn has_verdicts(conn: &Connection, schema: &str) -> rusqlite::Result<bool> {
    let there = format!("SELECT count(*) FROM {schema}.sqlite_schema WHERE name = 'verdict'");
    conn.query_row(&there, [], |row| Ok(row.get::<_, i64>(0)? > 0))
}

fn is_bad(outcome: &str) -> bool {
    matches!(outcome, "worse" | "bad")
}

/// Shares of one source on one route. Feedback is weighed by key: each counts as the share that it found good, times its
/// votes up to [`VOTES_OF_A_KEY`].
fn weighed(source: &'static str, seen: &[Seen]) -> Option<SourceQuality> {
    let mut outcomes = BTreeMap::new();
    let mut keys: BTreeMap<Option<&str>, (u32, u32)> = BTreeMap::new();
    for one in seen {
        *outcomes.entry(one.outcome.clone()).or_default() += 1;
        let (good, all) = keys.entry(one.key.as_deref()).or_default();
        *all += 1;
        *good += u32::from(!is_bad(&one.outcome));
    }
    let bound = |votes: u32| if source == "feedback" { votes.min(VOTES_OF_A_KEY) } else { votes };
    let weigh = |(good, all): &(u32, u32)| {
        let weight = f64::from(bound(*all));
        (weight * f64::from(*good) / f64::from(*all), weight)
    };
    let (good, weight) = keys.values().map(weigh).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let drift = statistics::drift(&tested(seen, bound));
    Some(SourceQuality {
        source,
        n: seen.len() as u64,
        weight,
        outcomes,
        good: statistics::wilson(good, weight)?,
        drift,
    })
}

/// What the drift test sees: of each key its last votes, as many as count.
fn tested(seen: &[Seen], bound: impl Fn(u32) -> u32) -> Vec<bool> {
    let mut left: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    for one in seen {
        *left.entry(one.key.as_deref()).or_default() += 1;
    }
    for votes in left.values_mut() {
        *votes = bound(*votes);
    }
    let mut bad = Vec::new();
    for one in seen.iter().rev() {
        if let Some(votes) = left.get_mut(&one.key.as_deref()).filter(|votes| **votes > 0) {
            *votes -= 1;
            bad.push(is_bad(&one.outcome));
        }
    }
    bad.reverse();
    bad
}

/// Routes with the answers that passed their checks and those that did not. An answer that was released undecided, or
/// that came by failover, counts as neither.
fn checks(conn: &Connection, period: Period) -> rusqlite::Result<Vec<(Option<String>, u64, u64)>> {
    let mut counts: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    for schema in SCHEMAS {
        let mut sql = Sql::default();
        let period = sql.period(period);
        let echo = not_echo(schema);
        let rejected = format!(
            "EXISTS (SELECT 1 FROM {schema}.attempt a WHERE {} AND a.outcome = 'rejected')",
            attempts_of_r("a")
        );
        // Requests share the texts of their decisions, so few texts are looked at.
        let checked = format!(
            "SELECT no FROM {schema}.decision WHERE text LIKE '%\"checks\":[_%' AND text NOT LIKE '%\"checks\":[]%'"
        );
        let text = format!(
            "SELECT route, sum(1 - rejected), sum(rejected) FROM (
               SELECT r.route, r.status, r.reason, {rejected} AS rejected FROM {schema}.request r
               WHERE {period} AND {echo} AND r.route IS NOT NULL AND r.decision_no IN ({checked}))
             WHERE rejected OR (status = 200 AND reason <> 'check:undecided' AND reason NOT LIKE 'failover:%')
             GROUP BY route"
        );
        let mut statement = conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        while let Some(row) = rows.next()? {
            let (passed, failed) = counts.entry(row.get(0)?).or_default();
            *passed += row.get::<_, Option<i64>>(1)?.map_or(0, i64::unsigned_abs);
            *failed += row.get::<_, Option<i64>>(2)?.map_or(0, i64::unsigned_abs);
        }
    }
    Ok(counts.into_iter().map(|(route, (passed, failed))| (route, passed, failed)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn checked(passed: u64, failed: u64) -> Option<SourceQuality> {
    let n = passed + failed;
    let outcomes = [("passed", passed), ("failed", failed)];
    Some(SourceQuality {
        source: "checks",
        n,
        weight: n as f64,
        outcomes: outcomes.into_iter().filter(|(_, n)| *n > 0).map(|(o, n)| (o.to_owned(), n)).collect(),
        good: statistics::wilson(passed as f64, n as f64)?,
        drift: None,
    })
}
