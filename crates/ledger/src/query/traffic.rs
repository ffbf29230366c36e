//! Past requests one after the other, for questions that no sum answers: what would they have cost elsewhere?
//!
//! The obvious alternative, pages of [`crate::RequestRow`], asks the store again for every request and makes text that
//! nobody reads. Here one statement walks both tables in their order; memory stays flat however long the ledger is.

use catalog::{Basis, Money, Usage};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params_from_iter};

use crate::insert::RUNNING;
use crate::query::requests::{money, time};
use crate::query::{Filter, Level, Period, Sql};
use crate::reader::{SCHEMAS, not_echo, with_attempts};
use crate::{CostBasis, RequestId, decision};

/// Which requests.
#[derive(Clone, Debug, Default)]
pub struct TrafficQuery {
    /// By their start.
    pub period: Period,
    /// Conditions on model, provider and target hold for any of their attempts.
    pub filter: Filter,
    /// Read the decisions too; they are most of a ledger's bytes.
    pub decisions: bool,
}

/// A client's request that has ended, with all its attempts.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Our id.
    pub id: RequestId,
    /// When it came in.
    pub started_at: Timestamp,
    /// The route; `None` when pinned.
    pub route: Option<String>,
    /// The model as the client named it.
    pub requested_model: String,
    /// `chat`, `completion` or `embedding`.
    pub op: String,
    /// What the client got; 0: a crash left it open.
    pub status: i64,
    /// `x-tollgate-reason`.
    pub reason: String,
    /// The decision as JSON, where it was asked for and is there.
    pub decision: Option<String>,
    /// In order.
    pub attempts: Vec<PastAttempt>,
}

/// One call of a past request.
#[derive(Clone, Debug)]
pub struct PastAttempt {
    /// The host.
    pub provider: String,
    /// The model as the host calls it.
    pub model: String,
    /// [`crate::Outcome::as_str`].
    pub outcome: String,
    /// When it started.
    pub started_at: Timestamp,
    /// What it used.
    pub usage: Usage,
    /// What it cost, with later adjustments; `None` when unknown.
    pub cost: Option<Money>,
    /// It was not billed.
    pub free: bool,
}

/// Hands every request to `each`, in the order in which they reached the store. Errors as SQLite does.
pub(crate) fn walk(
    conn: &Connection,
    query: &TrafficQuery,
    each: &mut dyn FnMut(&Past),
) -> rusqlite::Result<()> {
    for schema in SCHEMAS {
        let mut sql = Sql::default();
        let period = sql.period(query.period);
        let filter = sql.filter(&query.filter, Level::Any, schema);
        let decision = if query.decisions { "d.text, r.decision_figures" } else { "NULL, NULL" };
        let join = if query.decisions {
            format!(" LEFT JOIN {schema}.decision d ON d.no = r.decision_no")
        } else {
            String::new()
        };
        let text = format!(
            "SELECT r.no, r.started_us, r.route, r.requested_model, r.op, r.status, r.reason, {decision}, r.id,
               a.provider, a.model, a.outcome, a.started_us, a.cost_micro, a.cost_rest, a.cost_basis, a.usage_estimated,
               a.input, a.cache_read, a.cache_write_5m, a.cache_write_1h, a.input_audio, a.cache_read_audio, a.input_image,
               a.output, a.reasoning, a.output_audio, a.output_image, a.web_search, a.no
             FROM {}{join}
             WHERE {} AND r.reason <> '{RUNNING}' AND a.outcome <> '{RUNNING}' AND r.op NOT IN ('shadow', 'judge')
               AND {period} AND {filter}
             ORDER BY r.no, a.seq",
            with_attempts(schema),
            not_echo(schema)
        );
        let later = format!(
            "SELECT sum(cost_micro), sum(cost_rest) FROM {schema}.adjustment WHERE attempt_no = ?1 AND cost_micro IS NOT NULL"
        );
        let mut later = conn.prepare(&later)?;
        let any_later =
            format!("SELECT EXISTS (SELECT 1 FROM {schema}.adjustment WHERE cost_micro IS NOT NULL)");
        let any_later: bool = conn.query_row(&any_later, [], |row| row.get(0))?;
        let mut statement = conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        let mut open: Option<(i64, Past)> = None;
        while let Some(row) = rows.next()? {
            let no: i64 = row.get(0)?;
            if open.as_ref().is_none_or(|(before, _)| *before != no)
                && let Some((_, past)) = open.replace((no, past(row)?))
            {
                each(&past);
            }
            let mut attempt = attempt(row)?;
            if any_later {
                let more = later.query_row([row.get::<_, i64>(30)?], |row| money(row, 0))?;
                attempt.cost = match (attempt.cost, more) {
                    (Some(cost), Some(more)) => Some(cost + more),
                    (cost, more) => cost.or(more),
                };
            }
            if let Some((_, past)) = &mut open {
                past.attempts.push(attempt);
            }
        }
        if let Some((_, past)) = open {
            each(&past);
        }
    }
    Ok(())
}

fn past(row: &Row<'_>) -> rusqlite::Result<Past> {
    let text: Option<String> = row.get(7)?;
    let figures: Option<String> = row.get(8)?;
    Ok(Past {
        id: RequestId::from_bytes(row.get(9)?),
        started_at: time(row, 1)?,
        route: row.get(2)?,
        requested_model: row.get(3)?,
        op: row.get(4)?,
        status: row.get(5)?,
        reason: row.get(6)?,
        decision: text.zip(figures).map(|(text, figures)| decision::join(&text, &figures)),
        attempts: Vec::with_capacity(2),
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<PastAttempt> {
    let count = |column: usize| row.get(column).map(|n: i64| u64::try_from(n).unwrap_or(0));
    let estimated: bool = row.get(17)?;
    let usage = Usage {
        input: count(18)?,
        cache_read: count(19)?,
        cache_write_5m: count(20)?,
        cache_write_1h: count(21)?,
        input_audio: count(22)?,
        cache_read_audio: count(23)?,
        input_image: count(24)?,
        output: count(25)?,
        reasoning: count(26)?,
        output_audio: count(27)?,
        output_image: count(28)?,
        web_search: count(29)?,
        basis: if estimated { Basis::Estimated } else { Basis::Reported },
    };
    Ok(PastAttempt {
        provider: row.get(10)?,
        model: row.get(11)?,
        outcome: row.get(12)?,
        started_at: time(row, 13)?,
        usage,
        cost: money(row, 14)?,
        free: row.get_ref(16)?.as_str().is_ok_and(|basis| basis == CostBasis::Free.as_str()),
    })
}
