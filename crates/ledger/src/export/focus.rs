//! FOCUS, the `FinOps` Open Cost and Usage Specification: one row per attempt and price line, so that every row traces to
//! an attempt and all rows together are the ledger's total to the last pico-dollar.
//!
//! Version 1.2 (29 May 2025) is the default, since importers validate it; it has `ProviderName` and `PublisherName`. 1.3
//! (4 December 2025) adds `ServiceProviderName` and `HostProviderName` and deprecates those two, so a 1.3 file
//! carries both pairs; a 1.4 file (4 June 2026) carries the new pair only. The specification has no columns for model or
//! token kind yet: `x_ModelId`, `x_TokenDirection` and `x_TokenCacheAction` are named as its proposals for 1.5 are.

use std::io::Write;
use std::str::FromStr;

use catalog::Money;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rusqlite::{Connection, Row, params_from_iter};

use super::{ExportError, cause, text_cell};
use crate::ReadError;
use crate::insert::RUNNING;
use crate::query::requests::{money, price_lines, time};
use crate::query::rows::PricedLine;
use crate::query::{Filter, Level, Period, Sql};
use crate::reader::{SCHEMAS, with_attempts};

/// A version of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FocusVersion {
    /// 1.2.
    #[default]
    V1_2,
    /// 1.3.
    V1_3,
    /// 1.4.
    V1_4,
}

/// Not a version that this build writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no FOCUS version of this build: use 1.2, 1.3 or 1.4")]
pub struct UnknownVersion(String);

impl FromStr for FocusVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "1.2" => Ok(Self::V1_2),
            "1.3" => Ok(Self::V1_3),
            "1.4" => Ok(Self::V1_4),
            other => Err(UnknownVersion(other.chars().take(20).collect())),
        }
    }
}

/// What to export.
#[derive(Clone, Debug, Default)]
pub struct FocusQuery {
    /// Which requests, by their start.
    pub period: Period,
    /// Which attempts of them.
    pub filter: Filter,
    /// In which version.
    pub version: FocusVersion,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FocusSummary {
    /// Rows written.
    pub rows: u64,
    /// The sum of their costs.
    pub total: Money,
    /// Attempts whose cost is unknown. FOCUS has no such row, and zero would be a lie: they are left out.
    pub left_out: u64,
}

/// A column's name, and the cell of a row in it.
type Column = (&'static str, fn(&Charge<'_>) -> String);

/// The columns of a version with the function that fills each. FOCUS wants its own first, then the `x_` ones.
const COLUMNS: [Column; 43] = [
    ("BilledCost", |c| c.cost.to_string()),
    ("BillingAccountId", |c| text(&format!("{}/{}", c.attempt.provider, c.attempt.upstream_key))),
    ("BillingAccountName", |c| text(&c.attempt.provider)),
    ("BillingCurrency", |_| "USD".to_owned()),
    ("BillingPeriodEnd", |c| c.month().1),
    ("BillingPeriodStart", |c| c.month().0),
    ("ChargeCategory", |_| "Usage".to_owned()),
    ("ChargeClass", |c| if c.correction { "Correction" } else { "" }.to_owned()),
    ("ChargeDescription", |c| format!("{} of {} at {}", c.meter(), c.attempt.model, c.attempt.provider)),
    ("ChargePeriodEnd", |c| moment(c.end())),
    ("ChargePeriodStart", |c| moment(c.attempt.started_at)),
    ("ConsumedQuantity", |c| c.units()),
    ("ConsumedUnit", |c| c.unit().to_owned()),
    ("ContractedCost", |c| c.cost.to_string()),
    ("EffectiveCost", |c| c.cost.to_string()),
    ("HostProviderName", |c| text(&c.attempt.provider)),
    ("InvoiceIssuerName", |c| text(&c.attempt.provider)),
    ("ListCost", |c| c.cost.to_string()),
    ("PricingQuantity", |c| c.units()),
    ("PricingUnit", |c| c.unit().to_owned()),
    ("ProviderName", |c| text(&c.attempt.provider)),
    ("PublisherName", |c| text(&c.attempt.provider)),
    ("ServiceCategory", |_| "AI and Machine Learning".to_owned()),
    ("ServiceName", |c| text(&format!("{} inference", c.attempt.provider))),
    ("ServiceProviderName", |c| text(&c.attempt.provider)),
    ("ServiceSubcategory", |_| "Generative AI".to_owned()),
    ("SkuMeter", |c| c.meter().to_owned()),
    ("Tags", |c| text(c.attempt.tags.as_deref().unwrap_or("{}"))),
    ("x_AttemptId", |c| c.attempt.id.to_string()),
    ("x_CatalogueVersion", |c| text(&c.attempt.catalogue_version)),
    ("x_CostBasis", |c| c.attempt.cost_basis.clone()),
    ("x_GatewayKey", |c| text(c.attempt.key.as_deref().unwrap_or_default())),
    ("x_ModelId", |c| text(&c.attempt.model)),
    ("x_Outcome", |c| c.attempt.outcome.clone()),
    ("x_PricePerMillion", |c| c.line.as_ref().map_or(String::new(), |l| l.usd_per_million.to_string())),
    ("x_RequestId", |c| c.attempt.request.to_string()),
    ("x_RequestedModel", |c| text(&c.attempt.requested_model)),
    ("x_Route", |c| text(c.attempt.route.as_deref().unwrap_or_default())),
    ("x_TokenCacheAction", |c| c.cache_action().to_owned()),
    ("x_TokenDirection", |c| c.direction().to_owned()),
    ("x_UsageBucket", |c| c.bucket().to_owned()),
    ("x_UsageEstimated", |c| c.attempt.usage_estimated.to_string()),
    ("x_VendorReportedCost", |c| c.attempt.vendor_cost.map_or(String::new(), |m| m.to_string())),
];

/// The column names of a version, in order.
pub fn focus_columns(version: FocusVersion) -> Vec<&'static str> {
    columns(version).map(|(name, _)| *name).collect()
}

fn columns(version: FocusVersion) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |(name, _)| match *name {
        "ProviderName" | "PublisherName" => version <= FocusVersion::V1_3,
        "ServiceProviderName" | "HostProviderName" => version >= FocusVersion::V1_3,
        _ => true,
    })
}

fn text(cell: &str) -> String {
    text_cell(cell).into_owned()
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What all rows of an attempt share.
struct Attempt {
    id: ulid::Ulid,
    request: ulid::Ulid,
    provider: String,
    model: String,
    upstream_key: i64,
    started_at: Timestamp,
    duration_us: i64,
    outcome: String,
    cost: Option<Money>,
    cost_basis: String,
    vendor_cost: Option<Money>,
    usage_estimated: bool,
    catalogue_version: String,
    requested_model: String,
    route: Option<String>,
    key: Option<String>,
    tags: Option<String>,
    lines: Vec<PricedLine>,
    later: Option<Money>,
}

/// One row.
struct Charge<'a> {
    attempt: &'a Attempt,
    /// `None`: an estimate for the whole call, or a correction.
    line: Option<PricedLine>,
    cost: Money,
    correction: bool,
}

impl Charge<'_> {
    fn bucket(&self) -> &str {
        self.line.as_ref().map_or("", |line| &line.bucket)
    }

    fn units(&self) -> String {
        self.line.as_ref().map_or_else(|| "1".to_owned(), |line| line.units.to_string())
    }

    fn unit(&self) -> &'static str {
        match self.bucket() {
            "" | "request" => "Requests",
            "web_search" => "Searches",
            _ => "Tokens",
        }
    }

    fn meter(&self) -> &'static str {
        match self.bucket() {
            "input" => "Input Tokens",
            "cache_read" => "Cached Input Tokens",
            "cache_write_5m" => "Cache Write Tokens (5 minutes)",
            "cache_write_1h" => "Cache Write Tokens (1 hour)",
            "input_audio" => "Audio Input Tokens",
            "cache_read_audio" => "Cached Audio Input Tokens",
            "input_image" => "Image Input Tokens",
            "output" => "Output Tokens",
            "reasoning" => "Reasoning Tokens",
            "output_audio" => "Audio Output Tokens",
            "output_image" => "Image Output Tokens",
            "web_search" => "Web Searches",
            _ if self.correction => "Corrections",
            "request" => "Requests",
            _ => "Estimated Requests",
        }
    }

    fn direction(&self) -> &'static str {
        match self.bucket() {
            "output" | "reasoning" | "output_audio" | "output_image" => "Output",
            "" | "request" | "web_search" => "",
            _ => "Input",
        }
    }

    fn cache_action(&self) -> &'static str {
        match self.bucket() {
            "cache_read" | "cache_read_audio" => "Read",
            "cache_write_5m" | "cache_write_1h" => "Write",
            _ => "",
        }
    }

    /// Exclusive: at least a second after the start, on a full second.
    fn end(&self) -> Timestamp {
        let micros = self.attempt.duration_us.max(0).saturating_add(999_999);
        let seconds = (micros / 1_000_000).max(1);
        let start = Timestamp::from_second(self.attempt.started_at.as_second()).unwrap_or_default();
        start.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(start)
    }

    /// First moments of the calendar month (UTC) and of the next.
    fn month(&self) -> (String, String) {
        let first = self.attempt.started_at.to_zoned_datetime(TimeZone::UTC).date().first_of_month();
        let next = first.checked_add(1.month()).unwrap_or(first);
        (format!("{first}T00:00:00Z"), format!("{next}T00:00:00Z"))
    }
}

/// Writes the file, row by row as the rows are read. Errors when the ledger cannot be read or the file not written.
pub(crate) fn write(
    conn: &Connection,
    query: &FocusQuery,
    out: impl Write,
    failed: impl Fn(rusqlite::Error) -> ReadError,
) -> Result<FocusSummary, ExportError> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(focus_columns(query.version)).map_err(cause)?;
    let mut summary = FocusSummary::default();
    for schema in SCHEMAS {
        let mut sql = Sql::default();
        let text = statement(&mut sql, query, schema);
        let mut statement = conn.prepare(&text).map_err(&failed)?;
        let mut rows = statement.query(params_from_iter(sql.params)).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let attempt = attempt(row).map_err(&failed)?;
            if attempt.cost.is_none() && attempt.later.is_none() {
                summary.left_out = summary.left_out.saturating_add(1);
            }
            for charge in charges(&attempt) {
                csv.write_record(columns(query.version).map(|(_, cell)| cell(&charge))).map_err(cause)?;
                summary.rows = summary.rows.saturating_add(1);
                summary.total += charge.cost;
            }
        }
    }
    csv.flush()?;
    Ok(summary)
}

fn statement(sql: &mut Sql, query: &FocusQuery, schema: &str) -> String {
    let period = sql.period(query.period);
    let filter = sql.filter(&query.filter, Level::Attempt, schema);
    format!(
        "SELECT a.id, r.id, a.provider, a.model, a.upstream_key, a.started_us, a.duration_us, a.outcome, a.cost_micro,
           a.cost_rest, a.cost_basis, a.vendor_micro, a.vendor_rest, a.usage_estimated, a.catalogue_version,
           r.requested_model, r.route, r.key, r.tags, a.price_lines,
           (SELECT sum(cost_micro) FROM {schema}.adjustment j WHERE j.attempt_no = a.no),
           (SELECT sum(cost_rest) FROM {schema}.adjustment j WHERE j.attempt_no = a.no)
         FROM {}
         WHERE a.outcome <> '{RUNNING}' AND {period} AND {filter} ORDER BY a.no",
        with_attempts(schema)
    )
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        id: ulid::Ulid::from_bytes(row.get(0)?),
        request: ulid::Ulid::from_bytes(row.get(1)?),
        provider: row.get(2)?,
        model: row.get(3)?,
        upstream_key: row.get(4)?,
        started_at: time(row, 5)?,
        duration_us: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
        outcome: row.get(7)?,
        cost: money(row, 8)?,
        cost_basis: row.get(10)?,
        vendor_cost: money(row, 11)?,
        usage_estimated: row.get(13)?,
        catalogue_version: row.get(14)?,
        requested_model: row.get(15)?,
        route: row.get(16)?,
        key: row.get(17)?,
        tags: row.get(18)?,
        lines: price_lines(row.get::<_, Option<String>>(19)?.as_deref()),
        later: money(row, 20)?,
    })
}

/// The rows of an attempt: its bill, or its estimate, and what was corrected later. Nothing for what cost nothing.
fn charges(attempt: &Attempt) -> Vec<Charge<'_>> {
    let charge = |line, cost, correction| Charge { attempt, line, cost, correction };
    let mut charges: Vec<_> = attempt
        .lines
        .iter()
        .filter(|line| line.units > 0)
        .map(|line| charge(Some(line.clone()), line.amount_usd, false))
        .collect();
    if let Some(cost) = attempt.cost.filter(|cost| charges.is_empty() && *cost != Money::ZERO) {
        charges.push(charge(None, cost, false));
    }
    if let Some(later) = attempt.later.filter(|later| *later != Money::ZERO) {
        charges.push(charge(None, later, true));
    }
    charges
}
