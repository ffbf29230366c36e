//! Records become rows. Every insert leaves an existing row alone, so that replaying a spool twice, or what was
//! carried from one segment to the next, changes nothing.

use std::ops::AddAssign;

use catalog::{Basis, Money, PriceLine, Usage};
use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::assemble::{AttemptParts, Ready};
use crate::codec::{self, AttemptView, IntentView, OpenView, Record, RequestView, VerdictView};
use crate::decision::Texts;
use crate::row::{Field, Row};
use crate::{AttemptId, CostBasis, Outcome, RequestId};

/// What an attempt without a close is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unclosed {
    /// A crash left it open: its outcome is unknown, its cost estimated. With the time at which that was found.
    Crashed(Timestamp),
    /// It may still be running: shown, not counted.
    Running,
}

/// The outcome of an attempt that may still be running. Only ever in a reader's own tables.
pub(crate) const RUNNING: &str = "running";

/// Rows that were new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    pub requests: u64,
    pub attempts: u64,
    pub unknown_attempts: u64,
    pub unknown_requests: u64,
}

impl AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.unknown_attempts = self.unknown_attempts.saturating_add(other.unknown_attempts);
        self.unknown_requests = self.unknown_requests.saturating_add(other.unknown_requests);
    }
}

/// The statements, looked up once for many rows.
pub(crate) struct Inserts<'c> {
    conn: &'c Connection,
    request: Row<'c>,
    request_no: CachedStatement<'c>,
    texts: Texts<'c>,
    /// Of the last decision.
    figures: String,
    attempt: Row<'c>,
    places: CachedStatement<'c>,
}

const REQUEST: &str = "INSERT INTO request (id, client_request_id, started_us, duration_us, ttft_us, key, route,
    requested_model, op, stream, tags, session, config_version, status, reason, provider, model, attempts,
    baseline_target, baseline_micro, baseline_rest, saving_micro, saving_rest, decision_no, decision_figures)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
    ?24, ?25)
  ON CONFLICT (id) DO NOTHING";

const ATTEMPT: &str = "INSERT INTO attempt (no, id, request_no, seq, provider, model, upstream_key, started_us, duration_us,
    ttft_us, outcome, status, error, excerpt, served_model, finish, input, cache_read, cache_write_5m, cache_write_1h,
    input_audio, cache_read_audio, input_image, output, reasoning, output_audio, output_image, web_search,
    usage_estimated, cost_micro, cost_rest, cost_basis, cost_unknown, vendor_micro, vendor_rest, catalogue_version,
    price_lines)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
    ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37)";

/// The numbers of a request's attempts.
const PLACES: &str = "SELECT no, id FROM attempt WHERE no BETWEEN ?1 * 256 AND ?1 * 256 + 255";

/// Where the attempts of one request go.
struct Places {
    request_no: i64,
    next: i64,
    taken: Vec<AttemptId>,
}

impl Places {
    /// Those of a request that has no attempts yet.
    fn all(request_no: i64) -> Self {
        Self { request_no, next: request_no.saturating_mul(256), taken: Vec::new() }
    }
}

const VERDICT: &str = "INSERT INTO verdict (id, at_us, request, source, outcome, route, target, against, key)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
  ON CONFLICT (id) DO UPDATE SET at_us = excluded.at_us, outcome = excluded.outcome WHERE excluded.at_us > at_us";

impl<'c> Inserts<'c> {
    /// Prepares the statements. Errors as SQLite does.
    pub fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            request: Row::prepare(conn, REQUEST)?,
            request_no: conn.prepare_cached("SELECT no FROM request WHERE id = ?1")?,
            texts: Texts::prepare(conn)?,
            figures: String::new(),
            attempt: Row::prepare(conn, ATTEMPT)?,
            places: conn.prepare_cached(PLACES)?,
        })
    }

    /// Inserts a request and its attempts. Errors as SQLite does.
    pub fn ready(&mut self, ready: &Ready, unclosed: Unclosed) -> rusqlite::Result<Added> {
        if let Some(verdict) = &ready.verdict {
            if let Some(Record::Verdict(verdict)) = codec::decode(verdict) {
                self.verdict(&verdict)?;
            }
            return Ok(Added::default());
        }
        let mut added = Added::default();
        let close = match ready.close.as_deref().and_then(codec::decode) {
            Some(Record::RequestClose(close)) => self.request(&close)?,
            _ => None,
        };
        added.requests = close.is_some().into();
        let mut places = if let Some(no) = close {
            Places::all(no)
        } else if let Some(no) = self.request_no(ready.request)? {
            self.places(no)?
        } else {
            added.unknown_requests = 1;
            Places::all(self.unfinished(ready, unclosed)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
        };
        for parts in &ready.attempts {
            if !places.taken.contains(&parts.id) {
                added += self.attempt(&mut places, parts, unclosed)?;
            }
        }
        Ok(added)
    }

    /// The row number of a request that is in the store. Errors as SQLite does.
    pub fn request_no(&mut self, id: RequestId) -> rusqlite::Result<Option<i64>> {
        self.request_no.query_row([id.to_bytes()], |row| row.get(0)).optional()
    }

    /// What is taken and what is free of a request that is in the store.
    fn places(&mut self, request_no: i64) -> rusqlite::Result<Places> {
        let mut places = Places::all(request_no);
        let mut rows = self.places.query([request_no])?;
        while let Some(row) = rows.next()? {
            places.next = row.get::<_, i64>(0)?.saturating_add(1);
            places.taken.push(AttemptId::from_bytes(row.get(1)?));
        }
        Ok(places)
    }

    /// Inserts a verdict; given again, the newer one stands.
    fn verdict(&mut self, verdict: &VerdictView<'_>) -> rusqlite::Result<()> {
        self.conn.prepare_cached(VERDICT)?.execute(params![
            verdict.id.to_bytes(),
            verdict.at_us,
            verdict.request.to_bytes(),
            verdict.source,
            verdict.opinion,
            verdict.route,
            verdict.target,
            verdict.against,
            verdict.key,
        ])?;
        Ok(())
    }

    /// A request that has no close: what its first intent says of it.
    fn unfinished(&mut self, ready: &Ready, unclosed: Unclosed) -> rusqlite::Result<Option<i64>> {
        let intents = ready.attempts.iter().filter_map(|a| a.intent.as_deref()).filter_map(codec::decode);
        let open =
            intents.into_iter().find_map(|r| if let Record::Intent(i) = r { Some(i.open) } else { None });
        let ulid_us = ready.request.timestamp_ms().saturating_mul(1000);
        let close = RequestView {
            open: open.unwrap_or(OpenView {
                id: ready.request,
                client_request_id: None,
                started_us: int(ulid_us),
                key: None,
                route: None,
                requested_model: "unknown",
                op: "unknown",
                stream: false,
                tags: Vec::new(),
                session: 0,
                config_version: 0,
            }),
            status: 0,
            reason: match unclosed {
                Unclosed::Crashed(_) => Outcome::Unknown.as_str(),
                Unclosed::Running => RUNNING,
            },
            provider: None,
            model: None,
            duration_us: None,
            ttft_us: None,
            attempts: ready.attempts.len() as u64,
            saving: None,
            decision: "",
        };
        self.request(&close)
    }

    /// Inserts a request. Returns its row number, `None` when it was there.
    fn request(&mut self, close: &RequestView<'_>) -> rusqlite::Result<Option<i64>> {
        let open = &close.open;
        let tags: serde_json::Map<_, _> =
            open.tags.iter().map(|(k, v)| ((*k).to_owned(), serde_json::Value::from(*v))).collect();
        let tags = (!tags.is_empty()).then(|| serde_json::Value::from(tags).to_string());
        let (baseline_micro, baseline_rest) = money(close.saving.as_ref().map(|s| s.baseline_cost));
        let (saving_micro, saving_rest) = money(close.saving.as_ref().map(|s| s.amount));
        let decision = self.texts.number(close.decision, &mut self.figures)?;
        let id = open.id.to_bytes();
        let inserted = self.request.insert(&[
            Field::Id(id),
            open.client_request_id.into(),
            Field::Integer(open.started_us),
            close.duration_us.map(int).into(),
            close.ttft_us.map(int).into(),
            open.key.into(),
            open.route.into(),
            Field::Text(open.requested_model),
            Field::Text(open.op),
            Field::Integer(open.stream.into()),
            tags.as_deref().into(),
            Field::Integer(open.session.cast_signed()),
            Field::Integer(int(open.config_version)),
            Field::Integer(int(close.status)),
            Field::Text(close.reason),
            close.provider.into(),
            close.model.into(),
            Field::Integer(int(close.attempts)),
            close.saving.as_ref().map(|s| s.baseline_target).into(),
            baseline_micro.into(),
            baseline_rest.into(),
            saving_micro.into(),
            saving_rest.into(),
            decision.into(),
            decision.is_some().then_some(self.figures.as_str()).into(),
        ])?;
        Ok((inserted > 0).then(|| self.conn.last_insert_rowid()))
    }

    fn attempt(
        &mut self,
        places: &mut Places,
        parts: &AttemptParts,
        unclosed: Unclosed,
    ) -> rusqlite::Result<Added> {
        let intent = match parts.intent.as_deref().and_then(codec::decode) {
            Some(Record::Intent(intent)) => Some(intent),
            _ => None,
        };
        let close = match parts.close.as_deref().and_then(codec::decode) {
            Some(Record::AttemptClose(close)) => Some(close),
            _ => None,
        };
        let (closed, running) = (close.is_some(), matches!(unclosed, Unclosed::Running));
        // A call that may still run has used nothing yet that anybody could know.
        let expected = intent.as_ref().filter(|_| !running);
        let estimate = expected.and_then(|i| i.estimated_cost);
        let usage = expected.map(|i| i.estimate).unwrap_or_default();
        let close = close.unwrap_or_else(|| Box::new(without_close(parts.id, usage, estimate)));
        let cost = if closed { close.cost() } else { estimate };
        let outcome = if closed || !running { close.outcome.as_str() } else { RUNNING };
        let no = self.attempt_row(places, intent.as_deref(), &close, cost, outcome)?;
        let mut added = Added { attempts: 1, ..Added::default() };
        if let (false, Unclosed::Crashed(at)) = (closed, unclosed) {
            added.unknown_attempts = 1;
            let sql =
                "INSERT INTO adjustment (attempt_no, at_us, kind, note) VALUES (?1, ?2, 'left_open', ?3)";
            let note = "the server stopped before this attempt ended: usage and cost are the estimate made at its start";
            self.conn.prepare_cached(sql)?.execute(params![no, at.as_microsecond(), note])?;
        }
        Ok(added)
    }

    /// Inserts an attempt. Returns its row number. Errors as SQLite does: of the 257th attempt of a request, too.
    fn attempt_row(
        &mut self,
        places: &mut Places,
        intent: Option<&IntentView<'_>>,
        close: &AttemptView<'_>,
        cost: Option<Money>,
        outcome: &str,
    ) -> rusqlite::Result<i64> {
        let (cost_micro, cost_rest) = money(cost);
        let (vendor_micro, vendor_rest) = money(close.vendor_cost);
        let usage = &close.usage;
        let ulid_us = int(close.id.timestamp_ms().saturating_mul(1000));
        let no = places.next;
        let id = close.id.to_bytes();
        let ended = close.outcome != Outcome::Unknown || close.duration_us > 0;
        let bill = bill(&close.lines);
        self.attempt.insert(&[
            Field::Integer(no),
            Field::Id(id),
            Field::Integer(places.request_no),
            Field::Integer(int(intent.map_or(0, |i| i.seq))),
            // A close whose intent was lost to a full disk: the money is known, the vendor is not.
            Field::Text(intent.map_or("unknown", |i| i.provider)),
            Field::Text(intent.map_or("unknown", |i| i.model)),
            Field::Integer(int(intent.map_or(0, |i| i.upstream_key))),
            Field::Integer(intent.map_or(ulid_us, |i| i.started_us)),
            ended.then(|| int(close.duration_us)).into(),
            close.ttft_us.map(int).into(),
            Field::Text(outcome),
            close.status.map(int).into(),
            close.error.into(),
            close.excerpt.into(),
            close.served_model.into(),
            close.finish.into(),
            Field::Integer(int(usage.input)),
            Field::Integer(int(usage.cache_read)),
            Field::Integer(int(usage.cache_write_5m)),
            Field::Integer(int(usage.cache_write_1h)),
            Field::Integer(int(usage.input_audio)),
            Field::Integer(int(usage.cache_read_audio)),
            Field::Integer(int(usage.input_image)),
            Field::Integer(int(usage.output)),
            Field::Integer(int(usage.reasoning)),
            Field::Integer(int(usage.output_audio)),
            Field::Integer(int(usage.output_image)),
            Field::Integer(int(usage.web_search)),
            Field::Integer((usage.basis == Basis::Estimated).into()),
            cost_micro.into(),
            cost_rest.into(),
            Field::Text(close.cost_basis.as_str()),
            close.unknown.into(),
            vendor_micro.into(),
            vendor_rest.into(),
            Field::Text(intent.map_or("", |i| i.catalogue_version)),
            bill.as_deref().into(),
        ])?;
        places.next = no.saturating_add(1);
        Ok(no)
    }
}

/// The close that a crash prevented: the estimate of the intent.
fn without_close(id: AttemptId, usage: Usage, estimate: Option<Money>) -> AttemptView<'static> {
    let known = estimate.is_some();
    AttemptView {
        id,
        outcome: Outcome::Unknown,
        status: None,
        error: None,
        excerpt: None,
        ttft_us: None,
        duration_us: 0,
        usage: Usage { basis: Basis::Estimated, ..usage },
        lines: Vec::new(),
        unknown: (!known).then_some("no price was known when the attempt started"),
        cost_basis: if known { CostBasis::Estimated } else { CostBasis::Unknown },
        vendor_cost: None,
        served_model: None,
        finish: None,
    }
}

/// The lines of a bill as JSON; `None` without any. Names of buckets need no escapes.
fn bill(lines: &[PriceLine]) -> Option<String> {
    let mut text = String::with_capacity(96);
    for line in lines {
        text.push_str(if text.is_empty() { "[[\"" } else { ",[\"" });
        text.push_str(line.bucket.as_str());
        text.push_str("\",");
        text.push_str(itoa::Buffer::new().format(line.units));
        text.push(',');
        text.push_str(itoa::Buffer::new().format(line.pico_per_unit));
        text.push(']');
    }
    (!text.is_empty()).then(|| text + "]")
}

/// The largest count that SQLite holds stands for anything above it.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn money(amount: Option<Money>) -> (Option<i64>, Option<i64>) {
    amount.map(Money::to_columns).unzip()
}
