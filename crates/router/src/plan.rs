//! What a decision is made of: the request as the router sees it, the candidates, and the plan with its record.

use std::fmt;

use catalog::{Facts, Money, Needs};
use serde::Serialize;

use crate::adaptive::Placed;
use crate::{HoldBack, How, Judged, Measured, Pick};

/// What the router may know of a request. Built by the gateway from any client dialect.
#[derive(Clone, Debug)]
pub struct Prompt<'a> {
    /// `chat`, `completion` or `embedding`.
    pub op: &'a str,
    /// Text of the last user message.
    pub last_user: &'a str,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// The output bound that the caller set.
    pub max_output_tokens: Option<u64>,
    /// Asked for as a stream.
    pub stream: bool,
    /// What the request needs.
    pub needs: Needs,
    /// The last message is a tool result.
    pub tool_turn: bool,
    /// A keyed hash of the session: makes weighted picks sticky.
    pub session: u64,
    /// A random number: spreads adaptive picks; the same number gives the same plan. `None`: the best first.
    pub draw: Option<u64>,
    /// The target that this conversation is bound to, if it already has one (tool calls, signatures).
    pub bound_to: Option<&'a str>,
}

impl Prompt<'_> {
    /// Output tokens assumed for an estimate when the caller set no bound, and at most assumed where it did.
    pub const ASSUMED_OUTPUT: u64 = 500;

    /// Output tokens that estimates of time and price reckon with.
    pub fn expected_output(&self) -> f64 {
        let tokens = self.max_output_tokens.unwrap_or(Self::ASSUMED_OUTPUT).min(Self::ASSUMED_OUTPUT);
        u32::try_from(tokens).map_or(1.0, f64::from)
    }
}

/// The breaker's view of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// Calls flow.
    Closed,
    /// Probing after a fault, or just back from one: tried in its place, if the gateway has room for the call.
    HalfOpen,
    /// Out of rotation: used only as the last resort.
    Open,
}

/// One vendor of a model, with what is known of it now.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// `provider/model`.
    pub target: &'a str,
    /// What it can do.
    pub facts: &'a Facts,
    /// The provider's endpoints (`chat`, …); empty when unknown.
    pub endpoints: &'a [String],
    /// Breaker state.
    pub up: Up,
    /// Measured time to first token, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Estimated price of this request, with the share of its input that a prompt cache is expected to hold.
    pub price: Option<Money>,
    /// That share, where a price was made with one.
    pub cache: Option<Cached>,
    /// The conversation's last turn was answered here a short while ago: its prompt may be in the vendor's cache.
    pub warm: bool,
    /// For [`Pick::Adaptive`].
    pub measured: Option<Measured>,
    /// For [`Pick::Weighted`].
    pub weight: u32,
    /// Past its last day.
    pub retired: bool,
}

/// The share of a request's input that a vendor's prompt cache is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cached {
    /// 0 to 1.
    pub hit_rate: f64,
    /// Measured on answers of this vendor; else assumed, because a conversation's next turn goes there and the vendor has a
    /// price for cached tokens.
    pub measured: bool,
}

/// A model of the config: several vendors for one job.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Its alias, or the target itself when pinned.
    pub name: &'a str,
    /// How to choose.
    pub pick: Pick,
    /// Its vendors.
    pub candidates: Vec<Candidate<'a>>,
}

/// Why a step answers (`x-tollgate-reason`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The route's default.
    Default,
    /// A rule's regex matched this word: lower-cased, at most 40 characters, control characters as spaces. May hold
    /// letters outside ASCII.
    Matched(String),
    /// The input is long.
    LongInput,
    /// The prompt's difficulty score, in hundredths.
    Difficulty(u8),
    /// No model of the route's default serves this need (its name, e.g. `images`), its escalation does.
    Needs(&'static str),
    /// The conversation is bound to its target.
    Sticky,
    /// The client named the model.
    Pinned,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Matched(word) => write!(f, "matched:{word}"),
            Self::LongInput => f.write_str("long-input"),
            Self::Difficulty(score) => write!(f, "difficulty:{}.{:02}", score / 100, score % 100),
            Self::Needs(need) => write!(f, "needs:{need}"),
            Self::Sticky => f.write_str("sticky"),
            Self::Pinned => f.write_str("pinned"),
        }
    }
}

/// One model to ask: its vendors in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The group's name.
    pub model: String,
    /// Targets, best first. Open breakers come last, as a last resort.
    pub targets: Vec<String>,
}

/// A candidate that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// `provider/model`.
    pub target: String,
    /// E.g. `takes no images`, `context 8192 < 30000 tokens`.
    pub why: String,
}

/// Which part a candidate plays in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asked first.
    First,
    /// Asked when a check fails, or when all of the first fail.
    Escalation,
}

/// A candidate that was kept, with the figures that placed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// `provider/model`.
    pub target: String,
    /// The group that it stands in for.
    pub model: String,
    /// Its part.
    pub role: Role,
    /// How its group picks: `order`, `weighted`, …
    pub pick: &'static str,
    /// Breaker state.
    pub up: Up,
    /// Estimated price of this request; `null` when unknown.
    pub price_usd: Option<Money>,
    /// Measured time to first token, milliseconds; `null` when unmeasured.
    pub ttft_ms: Option<f64>,
    /// The share of the input that its prompt cache is expected to hold, where the price counts one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cached>,
    /// What placed it, with `pick = "adaptive"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Placed>,
    /// Its weight.
    pub weight: u32,
    /// What is not documented and put it behind the others, e.g. `images not documented`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsure: Option<String>,
}

/// What the ledger and `explain` show of a decision (LAW 7).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// The route, if one was named.
    pub route: Option<String>,
    /// `x-tollgate-reason`.
    pub reason: String,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// What the request needs, in words.
    pub needs: Vec<String>,
    /// Rules looked at, with their outcome, e.g. `matches /…/: no`. The first that holds ends the look.
    pub rules: Vec<String>,
    /// Candidates in the order in which they are tried.
    pub candidates: Vec<Kept>,
    /// Candidates left out.
    pub excluded: Vec<Excluded>,
    /// Checks that will run on the first answer; empty when none.
    pub checks: Vec<String>,
    /// What is held back while they run, in words; empty when nothing is.
    pub hold: String,
    /// How an escalation is asked: `fresh` or `reconsider`; empty when there is none.
    pub how: &'static str,
    /// What else shaped the decision, a sentence each.
    pub notes: Vec<String>,
    /// The prompt's difficulty, when a rule asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<Judged>,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Asked first.
    pub first: Step,
    /// Asked when a check fails, or when every target of `first` fails.
    pub escalation: Option<Step>,
    /// Whether the checks of the route run on the first answer.
    pub gated: bool,
    /// Hold to the end (a whole check, `response_format` or tools on a route with checks).
    pub hold_to_end: bool,
    /// The bounds of holding back for this request; `None` when not `gated`. Not always the route's own: see
    /// [`crate::Route::hold`].
    pub hold: Option<HoldBack>,
    /// How an escalation is asked.
    pub how: How,
    /// Why `first`.
    pub reason: Reason,
    /// The record of it.
    pub explanation: Explanation,
}

/// No configured model can serve the request: a 400 that names the need and who fails it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no configured model can serve this request: {}", excluded.iter().map(|e| format!("{} {}", e.target, e.why)).collect::<Vec<_>>().join("; "))]
pub struct NoCandidate {
    /// Each candidate with what it lacks.
    pub excluded: Vec<Excluded>,
}
