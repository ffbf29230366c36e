//! A claim as the file gives it.

use super::figure::Style;
use super::file::ClaimError;
use super::parse::{Expr, FormulaError};
use super::stated::{Kind, Stated};

/// One claim of a source.
#[derive(Debug)]
pub(crate) struct Claim {
    pub id: String,
    pub quote: String,
    pub kind: Kind,
    pub stated: Stated,
    /// The same as the source prints it.
    pub shown: Option<String>,
    pub formula: Formula,
    /// Claims that it may disagree with; its own id means another passage of the same claim.
    pub contradicts: Vec<String>,
    /// Inputs that the source never states.
    pub needs: Vec<String>,
    /// What the formula gives when it is not the stated figure itself but what that implies.
    pub implies: Option<String>,
    /// How the recomputed figure is printed, unless as the stated one.
    pub style: Option<Style>,
    /// Other figures that help to read it.
    pub readings: Vec<Reading>,
    pub note: Option<String>,
}

/// A figure beside the recomputed one.
#[derive(Debug)]
pub(crate) struct Reading {
    pub label: String,
    pub formula: Formula,
    pub style: Style,
}

/// A formula and its place in the file.
#[derive(Debug)]
pub(crate) struct Formula {
    pub expr: Expr,
    /// 1-based line and column of its first character.
    pub line: usize,
    pub column: usize,
}

impl Formula {
    /// An error in it, as one of the file.
    pub fn failed(&self, error: FormulaError) -> ClaimError {
        ClaimError {
            line: self.line,
            column: self.column + error.at,
            message: error.message,
            hint: error.hint,
        }
    }
}

impl Claim {
    /// How the recomputed figure is printed.
    pub fn style(&self) -> Style {
        self.style.clone().or_else(|| self.stated.style().cloned()).unwrap_or_else(Style::plain)
    }
}
