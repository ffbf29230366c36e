//! A route as configuration: rules before the call, checks after it.

use std::fmt;

use regex::Regex;

use crate::{Pattern, Threshold};

/// How to choose among the vendors of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// In the order of the config.
    #[default]
    Order,
    /// In proportion to weights, sticky per session: an A/B of two vendors.
    Weighted,
    /// By the price of this request, with the vendor's measured cache hit rate; unknown prices last.
    Cheapest,
    /// By measured time to first token; unmeasured first, so that they get measured.
    Fastest,
    /// Spread by price, measured speed and failures; exploring a little ([`crate::adaptive`]).
    Adaptive {
        /// The least share of each vendor in rotation, in thousandths, as long as all of them together have no more than
        /// [`Pick::MOST_EXPLORED`].
        explored: u16,
    },
}

impl Pick {
    /// Adaptive, with two requests in a hundred to each vendor.
    pub const ADAPTIVE: Self = Self::Adaptive { explored: 20 };
    /// The budget of exploring: at most this share of a model's requests, however many vendors it has.
    pub const MOST_EXPLORED: f64 = 0.2;

    /// Prices decide, so that a vendor's measured cache hit rate counts.
    pub const fn weighs_prices(self) -> bool {
        matches!(self, Self::Cheapest | Self::Adaptive { .. })
    }

    /// The word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::Adaptive { .. } => "adaptive",
        }
    }
}

/// A rule that escalates before the call.
#[derive(Clone, Debug)]
pub enum Rule {
    /// The last user message matches. Of a very long message the start and the end are read (`docs/routes.md`).
    Matches(Pattern),
    /// The input is longer, in estimated tokens.
    InputTokensOver(u64),
    /// The difficulty score of the last user message is above a threshold.
    DifficultyOver(Threshold),
}

impl fmt::Display for Rule {
    /// As `explain` shows it: `matches /\bprove\b/`, `input_tokens_over 30000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.tell(&mut text);
        f.write_str(&text)
    }
}

impl Rule {
    /// Appends what [`fmt::Display`] shows. Not through a formatter: each request is told each rule.
    pub(crate) fn tell(&self, text: &mut String) {
        use fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Matches(pattern) => {
                text.push_str("matches /");
                text.push_str(pattern.as_str());
                text.write_char('/')
            }
            Self::InputTokensOver(limit) => write!(text, "input_tokens_over {limit}"),
            Self::DifficultyOver(threshold) => write!(text, "difficulty_over {}", threshold.over),
        };
    }
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
    /// The doubt score of the answer is above a threshold: after 64 or 256 tokens of a held prefix, or on the whole.
    DoubtOver(Threshold),
}

impl fmt::Display for Check {
    /// As `explain` and the ledger show it: `empty`, `regex /…/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex(regex) => write!(f, "regex /{regex}/"),
            Self::DoubtOver(threshold) => write!(f, "doubt_over {}", threshold.over),
            other => f.write_str(other.as_str()),
        }
    }
}

impl Check {
    /// The word in the config and in `x-tollgate-reason: check:…`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Refusal => "refusal",
            Self::Repetition => "repetition",
            Self::Regex(_) => "regex",
            Self::Truncated => "truncated",
            Self::BrokenJson => "broken_json",
            Self::DoubtOver(_) => "doubt",
        }
    }

    /// Decides on the whole answer only, so that a route with it holds to the end (interface §3b).
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Truncated | Self::BrokenJson)
    }
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

impl How {
    /// The word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Reconsider => "reconsider",
        }
    }
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

impl HoldBack {
    /// A prefix of 64 tokens, 1.5 seconds: what a route with prefix checks holds unless it says otherwise.
    pub const PREFIX: Self = Self { until: Until::Prefix { tokens: 64 }, ms: 1_500 };
    /// The whole answer up to 256 KiB, 30 seconds: what a request held to the end gets on a route whose own bound
    /// is a prefix.
    pub const WHOLE: Self = Self { until: Until::End { bytes: 262_144 }, ms: 30_000 };
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

impl Route {
    /// The bounds in effect: the route's own, or [`HoldBack::WHOLE`] when this request is held to the end and the
    /// route's own bound is a prefix (whose 1.5 seconds no whole answer meets).
    pub const fn hold(&self, to_end: bool) -> HoldBack {
        match (to_end, self.hold_back.until) {
            (true, Until::Prefix { .. }) => HoldBack::WHOLE,
            _ => self.hold_back,
        }
    }
}
