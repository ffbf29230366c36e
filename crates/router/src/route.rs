//! A route as configuration: rules before the call, checks after it.

use regex::Regex;

/// How to choose among the vendors of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// In the order of the config.
    #[default]
    Order,
    /// In proportion to weights, sticky per session: an A/B of two vendors.
    Weighted,
    /// By the price of this request; unknown prices last.
    Cheapest,
    /// By measured time to first token; unmeasured first, so that they get measured.
    Fastest,
}

/// A rule that escalates before the call.
#[derive(Clone, Debug)]
pub enum Rule {
    /// The last user message matches.
    Matches(Regex),
    /// The input is longer, in estimated tokens.
    InputTokensOver(u64),
}

/// A check on the cheap answer that escalates when it fails.
#[derive(Clone, Debug)]
pub enum Check {
    /// No visible text and no tool call.
    Empty,
    /// A refusal.
    Refusal,
    /// The same words over and over.
    Repetition,
    /// The caller's regex matches the answer.
    Regex(Regex),
    /// Ended by the token limit (whole answer).
    Truncated,
    /// Asked for JSON, or a schema, or tool arguments, and did not get them (whole answer).
    BrokenJson,
}

/// How an escalated request is asked again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// The flagship gets the request as it came.
    #[default]
    Fresh,
    /// The flagship gets the request, the cheap answer and an instruction to improve it.
    Reconsider,
}

/// What is held back while checks decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The first tokens of visible text.
    Prefix {
        /// Estimated tokens.
        tokens: u32,
    },
    /// The whole answer, up to a bound.
    End {
        /// Bytes.
        bytes: usize,
    },
}

/// The bounds of holding back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldBack {
    /// How much.
    pub until: Until,
    /// Milliseconds from the first upstream event, after which the gateway calls [`crate::Gate::expired`].
    pub ms: u32,
}

/// What a client names as its model, with the models behind it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, e.g. `auto`.
    pub name: String,
    /// Escalate before the call when any of these holds.
    pub before: Vec<Rule>,
    /// Escalate after the cheap answer when any of these fails.
    pub after: Vec<Check>,
    /// How to ask again.
    pub how: How,
    /// What is held back while checks decide.
    pub hold_back: HoldBack,
    /// Run the checks on tool-result turns too.
    pub check_tool_turns: bool,
}
