//! The records: plain data, written to the spool as JSON lines or a compact form, stored as rows.

use catalog::{Cost, Money, Usage};
use jiff::Timestamp;
use ulid::Ulid;

/// Our id of a client's request: also `x-request-id`.
pub type RequestId = Ulid;
/// Our id of one upstream call, made at the intent: the primary key of `attempt`.
pub type AttemptId = Ulid;

/// What is known when a request's first attempt is about to start. Travels with every intent, so that a crash
/// leaves a row that says whose it was.
#[derive(Clone, Debug)]
pub struct RequestOpen {
    /// Our id.
    pub id: RequestId,
    /// The client's `x-request-id`, at most 200 bytes.
    pub client_request_id: Option<String>,
    /// When it came in: a request's time is its start.
    pub started_at: Timestamp,
    /// The gateway key's name; `None` when keyless.
    pub key: Option<String>,
    /// The route; `None` when pinned.
    pub route: Option<String>,
    /// The model as the client named it.
    pub requested_model: String,
    /// `chat`, `completion` or `embedding`.
    pub op: &'static str,
    /// Streamed.
    pub stream: bool,
    /// Bounded key-value pairs.
    pub tags: Vec<(String, String)>,
    /// A keyed hash, never text.
    pub session: u64,
    /// `config/version` at the time.
    pub config_version: u64,
}

/// One upstream call is about to start.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Our id.
    pub id: AttemptId,
    /// The request that it serves.
    pub request: std::sync::Arc<RequestOpen>,
    /// 0 for the first attempt of a request.
    pub seq: u16,
    /// Host id.
    pub provider: String,
    /// Upstream model id.
    pub model: String,
    /// Which of the host's keys: an index or label, never key material.
    pub upstream_key: u16,
    /// When the call starts.
    pub started_at: Timestamp,
    /// What it is expected to use, for the case that its outcome stays unknown.
    pub estimate: Usage,
    /// The price of `estimate`.
    pub estimated_cost: Option<Money>,
    /// The catalogue that prices it.
    pub catalogue_version: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered and used.
    Ok,
    /// Answered, and a check sent the request to the flagship. Billed.
    Rejected,
    /// The client went away, or a sibling made it needless; upstream cancelled. Billed for what had come.
    Cancelled,
    /// Failed; the kind is in [`AttemptClose::error`].
    Failed,
    /// Began to stream to the client and broke: billed for what had come.
    Partial,
    /// A crash left it open: cost estimated.
    Unknown,
}

impl Outcome {
    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a cost came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CostBasis {
    /// Catalogue rates × usage that the vendor reported.
    Reported,
    /// Catalogue rates × usage that we estimated.
    Estimated,
    /// The call was not billed (refused before work began).
    Free,
    /// No price is known.
    Unknown,
}

impl CostBasis {
    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Free => "free",
            Self::Unknown => "unknown",
        }
    }
}

/// One upstream call ended.
#[derive(Clone, Debug)]
pub struct AttemptClose {
    /// The id of its intent.
    pub id: AttemptId,
    /// The request that it served.
    pub request: RequestId,
    /// How it ended.
    pub outcome: Outcome,
    /// Upstream HTTP status, where one came.
    pub status: Option<u16>,
    /// The error's kind (`wire::ErrorKind::as_str`), where it failed.
    pub error: Option<&'static str>,
    /// At most 300 characters of the vendor's message. Never a prompt.
    pub excerpt: Option<String>,
    /// Microseconds from the start of the call to the first content-bearing event (or the whole answer).
    pub ttft_us: Option<u64>,
    /// Microseconds from the start of the call to its end.
    pub duration_us: u64,
    /// What it used, in disjoint buckets.
    pub usage: Usage,
    /// The price of `usage`, fixed now.
    pub cost: Cost,
    /// Where the cost came from.
    pub cost_basis: CostBasis,
    /// The vendor's own charge, where it reports one: kept beside ours, never instead of it.
    pub vendor_cost: Option<Money>,
    /// The model that the vendor says served the call, where it differs from the one asked for.
    pub served_model: Option<String>,
    /// The finish reason, in OpenAI's words.
    pub finish: Option<&'static str>,
}

/// Somebody's judgement of an answer that a client got. No text of prompt or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The same for the same judgement given again: the newer one then stands.
    pub id: Ulid,
    /// When.
    pub at: Timestamp,
    /// The request whose answer it is about.
    pub request: RequestId,
    /// Who judges.
    pub source: Source,
    /// What came out.
    pub opinion: Opinion,
    /// The request's route.
    pub route: Option<String>,
    /// Who gave the answer.
    pub target: Option<String>,
    /// What a judge compared it with.
    pub against: Option<String>,
    /// Whose feedback it is; `None`: keyless, or a judge.
    pub key: Option<String>,
}

/// Who judges an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A model that compared it with a shadow answer.
    Judge,
    /// The client.
    Feedback,
}

impl Source {
    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::Feedback => "feedback",
        }
    }
}

/// What a verdict says of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opinion {
    /// Better than what it was compared with.
    Better,
    /// As good, or the judge could not tell.
    Same,
    /// Worse.
    Worse,
    /// The client found it good.
    Good,
    /// The client found it bad.
    Bad,
}

impl Opinion {
    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// The saving against one direct call to the route's flagship. An estimate: may be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// The flagship that the comparison names.
    pub baseline_target: String,
    /// What the same tokens would have cost there.
    pub baseline_cost: Money,
    /// `baseline_cost` minus what all attempts cost.
    pub amount: Money,
}

/// A client's request ended. Handed over once, after its last attempt closed.
#[derive(Clone, Debug)]
pub struct RequestClose {
    /// What was known at its start.
    pub open: std::sync::Arc<RequestOpen>,
    /// HTTP status that the client got (499 when it went away first).
    pub status: u16,
    /// `x-tollgate-reason`.
    pub reason: String,
    /// Host of the attempt that answered.
    pub provider: Option<String>,
    /// Model of the attempt that answered.
    pub model: Option<String>,
    /// Microseconds from its start to its end.
    pub duration_us: u64,
    /// Microseconds to the first byte sent to the client.
    pub ttft_us: Option<u64>,
    /// Attempts made.
    pub attempts: u16,
    /// `None` for pinned requests and where a price is unknown.
    pub saving: Option<Saving>,
    /// `router::Explanation` as JSON.
    pub decision: String,
}
