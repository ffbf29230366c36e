//! Files for other programs: the same functions serve the CLI and the API.

mod focus;

use std::io::{self, Write};

pub(crate) use focus::write as write_focus;
pub use focus::{FocusQuery, FocusSummary, FocusVersion, UnknownVersion, focus_columns};

use crate::query::spend::{Spend, Totals};

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] crate::ReadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// The writer's own error, with its kind: a reader that has gone is told apart from a full disk.
pub(crate) fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A cell of text that we did not choose. A spreadsheet runs a cell that begins like a formula; an apostrophe before it
/// makes it text. Our own numbers, which may begin with a minus, do not come through here.
pub fn text_cell(text: &str) -> std::borrow::Cow<'_, str> {
    let dangerous = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.trim_start_matches(' ').starts_with(dangerous) { format!("'{text}").into() } else { text.into() }
}

/// Writes spend as CSV (RFC 4180): the dimensions, then the sums under the names that they have in JSON. A value that
/// is missing is an empty cell. Errors as the writer does.
pub fn spend_csv(spend: &Spend, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let names = spend.by.iter().map(ToString::to_string).map(|name| text_cell(&name).into_owned());
    let sums = Totals::default().cells();
    csv.write_record(names.chain(sums.iter().map(|(name, _)| (*name).to_owned()))).map_err(cause)?;
    let total = [(Vec::new(), &spend.total)];
    let rows = spend.rows.iter().map(|row| (row.key.clone(), &row.totals));
    // Without a breakdown the total is the only row; with one, a total among the rows would be counted twice.
    for (key, totals) in rows.chain(total.into_iter().filter(|_| spend.by.is_empty())) {
        let key = key.iter().map(|k| k.as_deref().map_or(String::new(), |k| text_cell(k).into_owned()));
        csv.write_record(key.chain(totals.cells().into_iter().map(|(_, cell)| cell))).map_err(cause)?;
    }
    csv.flush()
}

impl Totals {
    /// Every sum with its name, as text.
    pub(crate) fn cells(&self) -> [(&'static str, String); 18] {
        [
            ("requests", self.requests.to_string()),
            ("errors", self.errors.to_string()),
            ("attempts", self.attempts.to_string()),
            ("escalated", self.escalated.to_string()),
            ("failovers", self.failovers.to_string()),
            ("failed_attempts", self.failed_attempts.to_string()),
            ("input_tokens", self.input_tokens.to_string()),
            ("cached_tokens", self.cached_tokens.to_string()),
            ("cache_write_tokens", self.cache_write_tokens.to_string()),
            ("output_tokens", self.output_tokens.to_string()),
            ("reasoning_tokens", self.reasoning_tokens.to_string()),
            ("cost_usd", self.cost_usd.to_string()),
            ("estimated_cost_usd", self.estimated_cost_usd.to_string()),
            ("unknown_cost", self.unknown_cost.to_string()),
            ("baseline_usd", self.baseline_usd.to_string()),
            ("saving_usd", self.saving_usd.to_string()),
            ("compared", self.compared.to_string()),
            ("evaluation_usd", self.evaluation_usd.to_string()),
        ]
    }
}
