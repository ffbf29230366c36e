//! Price data as its publishers write it → [`Snapshot`]. Amounts are moved as text, never through `f64`.

mod decimal;
mod genai;
mod litellm;

use jiff::civil::Date;

use crate::LoadError;
use crate::snapshot::Snapshot;

/// A publisher's file, read.
#[derive(Debug)]
pub struct Imported {
    /// What it says of the hosts that we know.
    pub snapshot: Snapshot,
    /// How many amounts had digits below a pico-dollar a unit and were rounded, half-even.
    pub rounded: usize,
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not the JSON that the publisher writes.
    #[error("not as its publisher writes it: {0}")]
    Json(#[from] serde_json::Error),
    /// Not an amount.
    #[error("`{0}` is not a price")]
    Price(String),
    /// A construct that this build does not know.
    #[error("unknown construct: {0}")]
    Construct(String),
    /// In one model.
    #[error("{model}: {reason}")]
    In {
        /// `provider/model` as the publisher names it.
        model: String,
        /// What is wrong there.
        reason: Box<ImportError>,
    },
    /// A snapshot of ours with mistakes.
    #[error("{}", all(.0))]
    Snapshot(Vec<LoadError>),
}

fn all(errors: &[LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ImportError {
    fn within(self, model: String) -> Self {
        Self::In { model, reason: Box::new(self) }
    }
}

/// Reads `file`, whose text is genai-prices' v2 data, `LiteLLM`'s price map, or a snapshot. `version` and `date` name
/// the publisher's data; a snapshot has its own.
pub fn read(file: &str, text: &str, version: &str, date: Date) -> Result<Imported, ImportError> {
    if text.trim_start().starts_with('[') {
        return genai(text, version, date);
    }
    // A snapshot begins with its source; a price map begins with some model.
    if text.trim_start().trim_start_matches('{').trim_start().starts_with("\"source\"") {
        let snapshot = Snapshot::read(file, text).map_err(ImportError::Snapshot)?;
        return Ok(Imported { snapshot, rounded: 0 });
    }
    litellm(text, version, date)
}

/// genai-prices' v2 data: `data/prices.json` of the crate of that name.
pub fn genai(text: &str, version: &str, date: Date) -> Result<Imported, ImportError> {
    genai::snapshot(text, version, date)
}

/// `LiteLLM`'s `model_prices_and_context_window_backup.json`.
pub fn litellm(text: &str, version: &str, date: Date) -> Result<Imported, ImportError> {
    litellm::snapshot(text, version, date)
}
