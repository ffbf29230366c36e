//! Published claims, worked out again from their own inputs: `tollgate tco audit FILE`.
//!
//! It differs from a list of corrections in that no verdict is written down: the file holds what a source states, the
//! inputs that it states, and the formula that connects the two. Change an input and the verdicts follow.
//!
//! Verdicts, in the order in which they are looked for: a figure that only follows from an input the source never
//! states is a *hidden input*; one that no admissible value allows is *infeasible*; a wrong winner is *reversed*; what
//! disagrees with a named claim *contradicts* it; then *ok* (equal as printed, rounded or truncated), *rounded* (off by
//! less than 5 %) or *wrong*. A claim that states no figure of its own is a finding and has no verdict.

mod bounds;
mod claim;
mod eval;
mod figure;
mod file;
mod functions;
mod interval;
mod judge;
mod parse;
mod stated;
mod work;

pub use file::ClaimError;
pub use judge::{Judged, Verdict};

use eval::Names;

/// A claims file that was read and whose every name is known.
#[derive(Debug)]
pub struct Claims {
    names: Names,
    claims: Vec<claim::Claim>,
}

impl Claims {
    /// Reads a claims file. Errors with everything that is wrong in it, in its order.
    pub fn read(text: &str) -> Result<Self, Vec<ClaimError>> {
        file::read(text)
    }

    /// Works every claim out. Errors with every formula that has no answer (a division by zero, say).
    pub fn audit(&self) -> Result<Vec<Judged>, Vec<ClaimError>> {
        judge::all(&self.claims, &self.names)
    }
}

#[cfg(test)]
mod tests;
