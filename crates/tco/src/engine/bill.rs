//! A bill that is being added up.

use crate::inputs::Provenance;
use crate::report::{Group, Line, Rounded};

/// What stands beside an amount.
pub(crate) struct Draft {
    pub label: String,
    pub how: String,
    pub group: Group,
    pub from: Provenance,
}

/// Takes amounts in dollars a month.
pub(crate) trait Bill {
    /// Adds one; `line` is only called where lines are kept.
    fn add(&mut self, usd: f64, line: impl FnOnce() -> Draft);

    /// What has been added so far.
    fn total(&self) -> f64;
}

/// Only the sum.
#[derive(Default)]
pub(crate) struct Sum(f64);

impl Bill for Sum {
    #[inline]
    fn add(&mut self, usd: f64, _: impl FnOnce() -> Draft) {
        self.0 += usd;
    }

    fn total(&self) -> f64 {
        self.0
    }
}

/// Every line.
#[derive(Default)]
pub(crate) struct Lines(pub Vec<Line>);

impl Bill for Lines {
    fn add(&mut self, usd: f64, line: impl FnOnce() -> Draft) {
        let Draft { label, how, group, from } = line();
        let Provenance { basis, source, as_of } = from;
        self.0.push(Line { label, usd: Rounded(usd), how, source, as_of, basis, group });
    }

    fn total(&self) -> f64 {
        // In the order of `Sum`, so that both agree to the bit.
        self.0.iter().fold(0.0, |sum, line| sum + line.usd.0)
    }
}
