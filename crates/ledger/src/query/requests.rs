//! Which requests there were, and everything about one.

use catalog::{Money, Rate};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde::Serialize;
use serde_json::value::RawValue;
use ulid::Ulid;

use crate::decision;
use crate::query::rows::{
    Adjustment, AttemptDetail, AttemptRow, PricedLine, RequestDetail, RequestHead, RequestRow, UsageSums,
};
use crate::query::{BadQuery, Filter, Level, Period, Sql};
use crate::reader::{SCHEMAS, not_echo, with_attempts};
use crate::{CostBasis, RequestId};

/// Most requests on a page.
pub const MAX_PAGE: u32 = 1000;

/// A question about requests.
#[derive(Clone, Debug, Default)]
pub struct RequestQuery {
    /// How many, at most [`MAX_PAGE`]; 0 stands for 50.
    pub limit: u32,
    /// Only those that started before this one: [`Page::next`] of the page before.
    pub cursor: Option<RequestId>,
    /// Which, by their start.
    pub period: Period,
    /// Which of them. Conditions on model, provider and target hold for any of their attempts.
    pub filter: Filter,
}

/// Reads a cursor. Errors when it is none of ours.
pub fn cursor(text: &str) -> Result<RequestId, BadQuery> {
    Ulid::from_string(text).map_err(|_| BadQuery::Cursor(text.chars().take(40).collect()))
}

/// Some requests, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The requests.
    pub requests: Vec<RequestRow>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<RequestId>,
}

const HEAD: &str =
    "r.id, r.client_request_id, r.started_us, r.key, r.route, r.requested_model, r.model, r.provider, r.op,
  r.stream, r.status, r.reason, r.ttft_us, r.duration_us, r.tags, r.saving_micro, r.saving_rest";

/// Lists requests over store and spool. Errors as SQLite does.
pub(crate) fn list(conn: &Connection, query: &RequestQuery) -> rusqlite::Result<Page> {
    let limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_PAGE) } as usize;
    let mut heads = Vec::new();
    let cursor = query.cursor.map(|id| Ok::<_, rusqlite::Error>((started_us(conn, id)?, id))).transpose()?;
    for schema in SCHEMAS {
        let mut sql = Sql::default();
        let before = match cursor {
            Some((us, id)) => {
                format!("(r.started_us, r.id) < ({}, {})", sql.bind(us), sql.bind(id.to_bytes().to_vec()))
            }
            None => "1".to_owned(),
        };
        let period = sql.period(query.period);
        let filter = sql.filter(&query.filter, Level::Any, schema);
        let text = format!(
            "SELECT {HEAD} FROM {schema}.request r WHERE {before} AND {period} AND {filter} AND {}
             ORDER BY r.started_us DESC, r.id DESC LIMIT {}",
            not_echo(schema),
            limit.saturating_add(1)
        );
        let mut statement = conn.prepare_cached(&text)?;
        let found = statement.query_map(params_from_iter(sql.params), head)?;
        heads.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    heads.sort_by_key(|h: &RequestHead| std::cmp::Reverse((h.started_at, h.id)));
    let more = heads.len() > limit;
    heads.truncate(limit);
    let next = heads.last().filter(|_| more).map(|h| h.id);
    let requests = heads.into_iter().map(|mut head| {
        let attempts: Vec<_> = attempts(conn, head.id)?.into_iter().map(|(_, _, a)| a.row).collect();
        head.sum_up(attempts.iter());
        Ok(RequestRow { head, attempts })
    });
    Ok(Page { requests: requests.collect::<rusqlite::Result<_>>()?, next })
}

/// When a request started: what lists are ordered by. Ids made in one millisecond are in no order.
fn started_us(conn: &Connection, id: RequestId) -> rusqlite::Result<i64> {
    for schema in SCHEMAS {
        let text = format!("SELECT r.started_us FROM {schema}.request r WHERE r.id = ?1");
        if let Some(us) = conn.query_row(&text, [id.to_bytes()], |row| row.get(0)).optional()? {
            return Ok(us);
        }
    }
    // Nobody's id: its own millisecond.
    Ok(i64::try_from(id.timestamp_ms().saturating_mul(1000)).unwrap_or(i64::MAX))
}

/// Finds one request. Errors as SQLite does.
pub(crate) fn detail(conn: &Connection, id: RequestId) -> rusqlite::Result<Option<RequestDetail>> {
    for schema in SCHEMAS {
        let text = format!(
            "SELECT {HEAD}, r.config_version, r.baseline_target, r.baseline_micro, r.baseline_rest,
               d.text, r.decision_figures
             FROM {schema}.request r LEFT JOIN {schema}.decision d ON d.no = r.decision_no WHERE r.id = ?1 AND {}",
            not_echo(schema)
        );
        let found = conn.query_row(&text, [id.to_bytes()], |row| {
            let text: Option<String> = row.get(21)?;
            let figures: Option<String> = row.get(22)?;
            let decision = text.zip(figures).map(|(text, figures)| decision::join(&text, &figures));
            Ok(RequestDetail {
                head: head(row)?,
                config_version: row.get(17)?,
                baseline_target: row.get(18)?,
                baseline_usd: money(row, 19)?,
                attempts: Vec::new(),
                decision: decision.and_then(|json| RawValue::from_string(json).ok()),
            })
        });
        let Some(mut detail) = found.optional()? else { continue };
        for (schema, no, mut attempt) in attempts(conn, id)? {
            attempt.adjustments = adjustments(conn, schema, no)?;
            detail.attempts.push(attempt);
        }
        detail.head.sum_up(detail.attempts.iter().map(|a| &a.row));
        return Ok(Some(detail));
    }
    Ok(None)
}

/// Finds requests by the id that the client gave. Errors as SQLite does.
pub(crate) fn by_client_id(conn: &Connection, id: &str) -> rusqlite::Result<Vec<RequestId>> {
    let mut found = Vec::new();
    for schema in SCHEMAS {
        let text = format!(
            "SELECT r.id FROM {schema}.request r WHERE r.client_request_id = ?1 AND {} ORDER BY r.id DESC LIMIT 20",
            not_echo(schema)
        );
        let mut statement = conn.prepare_cached(&text)?;
        let ids = statement.query_map([id], |row| row.get(0).map(Ulid::from_bytes))?;
        found.extend(ids.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    found.sort_by_key(|id| std::cmp::Reverse(*id));
    found.truncate(20);
    Ok(found)
}

fn head(row: &Row<'_>) -> rusqlite::Result<RequestHead> {
    let tags: Option<String> = row.get(14)?;
    Ok(RequestHead {
        id: Ulid::from_bytes(row.get(0)?),
        client_request_id: row.get(1)?,
        started_at: time(row, 2)?,
        key: row.get(3)?,
        route: row.get(4)?,
        requested_model: row.get(5)?,
        model: row.get(6)?,
        provider: row.get(7)?,
        op: row.get(8)?,
        stream: row.get(9)?,
        status: row.get(10)?,
        reason: row.get(11)?,
        ttft_ms: milliseconds(row, 12)?,
        duration_ms: milliseconds(row, 13)?,
        tags: tags.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        usage: UsageSums::default(),
        cost_usd: None,
        cost_basis: CostBasis::Free.as_str(),
        saving_usd: money(row, 15)?,
    })
}

impl RequestHead {
    /// Adds up the attempts.
    fn sum_up<'a>(&mut self, attempts: impl Iterator<Item = &'a AttemptRow>) {
        let mut cost = Some(Money::ZERO);
        let mut weakest = CostBasis::Free;
        for attempt in attempts {
            self.usage = self.usage.plus(attempt.usage);
            cost = cost.zip(attempt.cost_usd).map(|(sum, one)| sum + one);
            let rank = |basis: &CostBasis| basis.as_str() == attempt.cost_basis;
            let order = [CostBasis::Unknown, CostBasis::Estimated, CostBasis::Reported, CostBasis::Free];
            weakest = order.into_iter().find(|b| *b == weakest || rank(b)).unwrap_or(weakest);
        }
        self.cost_usd = cost;
        self.cost_basis = if cost.is_none() { CostBasis::Unknown.as_str() } else { weakest.as_str() };
    }
}

/// The attempts of a request with the schema and row number of each, in order.
fn attempts(
    conn: &Connection,
    request: RequestId,
) -> rusqlite::Result<Vec<(&'static str, i64, AttemptDetail)>> {
    let mut found = Vec::new();
    for schema in SCHEMAS {
        let text = format!(
            "SELECT a.no, a.id, a.provider || '/' || a.model, a.status, a.outcome, a.error, a.started_us, a.ttft_us,
               a.duration_us, a.input, a.cache_read, a.cache_write_5m, a.cache_write_1h, a.input_audio, a.cache_read_audio,
               a.input_image, a.output, a.reasoning, a.output_audio, a.output_image, a.usage_estimated, a.cost_micro,
               a.cost_rest, a.cost_basis, a.seq, a.upstream_key, a.served_model, a.finish, a.excerpt, a.cost_unknown,
               a.vendor_micro, a.vendor_rest, a.catalogue_version, a.price_lines,
               (SELECT sum(cost_micro) FROM {schema}.adjustment j WHERE j.attempt_no = a.no),
               (SELECT sum(cost_rest) FROM {schema}.adjustment j WHERE j.attempt_no = a.no)
             FROM {} WHERE r.id = ?1",
            with_attempts(schema)
        );
        let mut statement = conn.prepare_cached(&text)?;
        let rows =
            statement.query_map([request.to_bytes()], |row| Ok((schema, row.get(0)?, attempt(row)?)))?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    found.sort_by_key(|(_, _, a)| (a.seq, a.row.id));
    Ok(found)
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptDetail> {
    let count = |column: usize| row.get(column).map(|n: i64| u64::try_from(n).unwrap_or(0));
    let sum =
        |columns: &[usize]| columns.iter().try_fold(0_u64, |sum, c| count(*c).map(|n| sum.saturating_add(n)));
    let cost = match (money(row, 21)?, money(row, 34)?) {
        (Some(cost), Some(later)) => Some(cost + later),
        (cost, later) => cost.or(later),
    };
    Ok(AttemptDetail {
        row: AttemptRow {
            id: Ulid::from_bytes(row.get(1)?),
            target: row.get(2)?,
            status: row.get(3)?,
            outcome: row.get(4)?,
            error: row.get(5)?,
            started_at: time(row, 6)?,
            ttft_ms: milliseconds(row, 7)?,
            duration_ms: milliseconds(row, 8)?,
            usage: UsageSums {
                input_tokens: sum(&[9, 10, 11, 12, 13, 14, 15])?,
                cached_tokens: sum(&[10, 14])?,
                cache_write_tokens: sum(&[11, 12])?,
                output_tokens: sum(&[16, 17, 18, 19])?,
                reasoning_tokens: count(17)?,
                estimated: row.get(20)?,
            },
            cost_usd: cost,
            cost_basis: row.get(23)?,
        },
        seq: row.get(24)?,
        upstream_key: row.get(25)?,
        served_model: row.get(26)?,
        finish: row.get(27)?,
        excerpt: row.get(28)?,
        cost_unknown: row.get(29)?,
        vendor_cost_usd: money(row, 30)?,
        catalogue_version: row.get(32)?,
        price_lines: price_lines(row.get::<_, Option<String>>(33)?.as_deref()),
        adjustments: Vec::new(),
    })
}

/// Reads a stored bill.
pub(crate) fn price_lines(json: Option<&str>) -> Vec<PricedLine> {
    let lines: Vec<(String, u64, i64)> = json.and_then(|j| serde_json::from_str(j).ok()).unwrap_or_default();
    let priced = lines.into_iter().map(|(bucket, units, pico)| {
        let rate = Rate::from_pico(pico);
        PricedLine { bucket, units, usd_per_million: rate.usd_per_million(), amount_usd: rate.times(units) }
    });
    priced.collect()
}

fn adjustments(conn: &Connection, schema: &str, attempt_no: i64) -> rusqlite::Result<Vec<Adjustment>> {
    let text = format!(
        "SELECT at_us, kind, cost_micro, cost_rest, note FROM {schema}.adjustment WHERE attempt_no = ?1 ORDER BY no"
    );
    let mut statement = conn.prepare_cached(&text)?;
    let rows = statement.query_map(params![attempt_no], |row| {
        Ok(Adjustment { at: time(row, 0)?, kind: row.get(1)?, cost_usd: money(row, 2)?, note: row.get(4)? })
    })?;
    rows.collect()
}

/// Two columns of money; `None` when NULL.
pub(crate) fn money(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Money>> {
    let micro: Option<i64> = row.get(column)?;
    let rest: Option<i64> = row.get(column.saturating_add(1))?;
    Ok(micro.zip(rest).map(|(micro, rest)| Money::from_columns(micro.into(), rest.into())))
}

/// A column of microseconds since the epoch.
pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_microsecond(row.get(column)?).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "exact below 285 years")]
fn milliseconds(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<f64>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(|us| us as f64 / 1000.0))
}
