//! Requests and attempts as they are shown: interface §4's JSON, the CLI's tables and the pages read these.

use std::collections::BTreeMap;

use catalog::Money;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{AttemptId, RequestId};

/// Tokens in OpenAI's manner: inputs include cached ones, outputs include reasoning. The ledger keeps disjoint
/// buckets (see [`PricedLine`]); these are sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageSums {
    /// All input tokens.
    pub input_tokens: u64,
    /// Those read from a cache.
    pub cached_tokens: u64,
    /// Those written to a cache.
    pub cache_write_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Those spent on reasoning.
    pub reasoning_tokens: u64,
    /// Some count is ours, not the vendor's.
    pub estimated: bool,
}

impl UsageSums {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// An attempt in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptRow {
    /// Our id.
    pub id: AttemptId,
    /// `provider/model`.
    pub target: String,
    /// Upstream HTTP status, where one came.
    pub status: Option<i64>,
    /// [`crate::Outcome::as_str`], or `running`.
    pub outcome: String,
    /// Why it failed, where it did.
    pub error: Option<String>,
    /// When the call started.
    pub started_at: Timestamp,
    /// Milliseconds to the first content.
    pub ttft_ms: Option<f64>,
    /// Milliseconds to its end.
    pub duration_ms: Option<f64>,
    /// What it used.
    pub usage: UsageSums,
    /// What it cost; `None` when unknown.
    pub cost_usd: Option<Money>,
    /// [`crate::CostBasis::as_str`].
    pub cost_basis: String,
}

/// A request without its attempts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestHead {
    /// Our id.
    pub id: RequestId,
    /// The client's.
    pub client_request_id: Option<String>,
    /// When it came in.
    pub started_at: Timestamp,
    /// The gateway key's name; `None` when keyless.
    pub key: Option<String>,
    /// The route; `None` when pinned.
    pub route: Option<String>,
    /// The model as the client named it.
    pub requested_model: String,
    /// Model of the attempt that answered.
    pub model: Option<String>,
    /// Host of the attempt that answered.
    pub provider: Option<String>,
    /// `chat`, `completion` or `embedding`.
    pub op: String,
    /// Streamed.
    pub stream: bool,
    /// What the client got; 0: a crash left it open, or it is running.
    pub status: i64,
    /// `x-tollgate-reason`; `unknown`: a crash left it open; `running`.
    pub reason: String,
    /// Milliseconds to the first byte for the client.
    pub ttft_ms: Option<f64>,
    /// Milliseconds to its end.
    pub duration_ms: Option<f64>,
    /// What the caller attached.
    pub tags: BTreeMap<String, String>,
    /// Over all attempts.
    pub usage: UsageSums,
    /// Over all attempts; `None` when one of them has no known price.
    pub cost_usd: Option<Money>,
    /// The weakest basis among its attempts: unknown, estimated, reported; free when nothing was billed.
    pub cost_basis: &'static str,
    /// Against one call to the flagship. An estimate.
    pub saving_usd: Option<Money>,
}

/// A request in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestRow {
    /// The request.
    #[serde(flatten)]
    pub head: RequestHead,
    /// In order.
    pub attempts: Vec<AttemptRow>,
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PricedLine {
    /// `catalog::Bucket::as_str`.
    pub bucket: String,
    /// How many.
    pub units: u64,
    /// Dollars per million units.
    pub usd_per_million: Money,
    /// `units × rate`.
    pub amount_usd: Money,
}

/// What became known of an attempt later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adjustment {
    /// When.
    pub at: Timestamp,
    /// E.g. `left_open`.
    pub kind: String,
    /// Added to the attempt's cost.
    pub cost_usd: Option<Money>,
    /// In words.
    pub note: Option<String>,
}

/// An attempt with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptDetail {
    /// As in a list.
    #[serde(flatten)]
    pub row: AttemptRow,
    /// Position in its request.
    pub seq: i64,
    /// Which of the host's keys.
    pub upstream_key: i64,
    /// The model that the vendor says served the call, where it differs.
    pub served_model: Option<String>,
    /// The finish reason.
    pub finish: Option<String>,
    /// The vendor's message, shortened.
    pub excerpt: Option<String>,
    /// Why the cost is unknown, where it is.
    pub cost_unknown: Option<String>,
    /// The vendor's own charge.
    pub vendor_cost_usd: Option<Money>,
    /// What priced it.
    pub catalogue_version: String,
    /// The bill. Empty for an estimate that a crash left.
    pub price_lines: Vec<PricedLine>,
    /// What became known later.
    pub adjustments: Vec<Adjustment>,
}

/// A request with everything that is known of it.
#[derive(Debug, Serialize)]
pub struct RequestDetail {
    /// The request.
    #[serde(flatten)]
    pub head: RequestHead,
    /// `config/version` at the time.
    pub config_version: i64,
    /// The flagship that it is compared with.
    pub baseline_target: Option<String>,
    /// What one call there would have cost. An estimate.
    pub baseline_usd: Option<Money>,
    /// In order.
    pub attempts: Vec<AttemptDetail>,
    /// What decided: features, rules, candidates, reason.
    pub decision: Option<Box<RawValue>>,
}
