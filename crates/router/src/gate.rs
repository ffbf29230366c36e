//! Watches the cheap answer: hold, release or escalate.

use crate::Route;

/// What to do with the held bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided: keep holding.
    Hold,
    /// Good: flush and forward.
    Release,
    /// Released without a decision, because a bound was reached (`check:undecided`).
    Undecided,
    /// Not good enough: the name of the failed check (`refusal` for `check:refusal`).
    Escalate(String),
}

/// The checks of a route, applied to one answer as it arrives. Feed it pieces in order; after any verdict but
/// [`Verdict::Hold`] it is done.
#[derive(Debug)]
pub struct Gate<'r> {
    route: &'r Route,
}

impl<'r> Gate<'r> {
    /// `to_end`: hold the whole answer (see [`crate::Plan::hold_to_end`]). `format`: the request's
    /// `response_format` as JSON text, for the JSON and schema check.
    pub fn new(route: &'r Route, to_end: bool, format: Option<&str>) -> Self {
        let (_, _) = (to_end, format);
        Self { route }
    }

    /// Visible text of choice 0.
    pub fn text(&mut self, text: &str) -> Verdict {
        let (_, _) = (text, &self.route);
        Verdict::Hold
    }

    /// Refusal text.
    pub fn refusal(&mut self, text: &str) -> Verdict {
        let _ = text;
        Verdict::Hold
    }

    /// A fragment of tool call number `index`: its JSON arguments so far grow by `arguments`.
    pub fn tool_call(&mut self, index: u32, arguments: &str) -> Verdict {
        let (_, _) = (index, arguments);
        Verdict::Hold
    }

    /// The answer ended; `finish` is OpenAI's word, if any. Never [`Verdict::Hold`].
    pub fn end(&mut self, finish: Option<&str>) -> Verdict {
        let _ = finish;
        Verdict::Release
    }

    /// The time bound was reached. Never [`Verdict::Hold`].
    pub fn expired(&mut self) -> Verdict {
        Verdict::Undecided
    }
}
