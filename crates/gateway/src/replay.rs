//! Past requests against other prices, another policy or other vendors: what would they have cost?
//!
//! The ledger is read twice, row by row: once to learn how long each model's answers are on each route, how its tokenizer
//! counts and how often its answers were turned down (`learn`); once to decide and price each request anew
//! (`policy`, `bill`). What follows from the ledger alone is exact; what is modelled has an interval; what the ledger
//! cannot say is unknown, with the reason, and is in no sum. The obvious alternative, one multiplication of all tokens
//! with new prices, hides all three.

mod bill;
mod interval;
mod learn;
mod policy;
mod quality;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Catalogue, Context, Tier};
use jiff::Timestamp;
use ledger::{Past, ReadError, Reader, TrafficQuery};

use crate::config::Config;

pub use interval::Interval;
pub use quality::Kept;
pub use report::{Actual, Part, Report, Share};

/// Another world for past requests.
pub struct World {
    /// Prices there.
    pub catalogue: Arc<Catalogue>,
    /// Routes, models and vendors there; `None`: every call goes where it went.
    pub policy: Option<Arc<Config>>,
    /// Prices that the calls were made at, to tell their tier.
    pub paid_at: Arc<Catalogue>,
    /// The moment whose prices hold there.
    pub at: Timestamp,
    /// Tokens of a text in another model's tokenizer, where the ledger has not measured it. `None`: unknown.
    pub assumed_ratio: Option<f64>,
}

impl World {
    fn context(&self, tier: Tier) -> Context {
        Context { tier, region: None, at: self.at }
    }
}

/// A catalogue with other prices on top: the text of an overlay (TOML) or of a snapshot (JSON) called `name`. Errors with
/// every mistake, a line each.
pub fn with_prices(base: &Catalogue, name: &str, text: &str) -> Result<Catalogue, String> {
    let base = base.clone();
    let is_snapshot = text.trim_start().starts_with('{');
    let there = if is_snapshot { base.with_snapshot(name, text) } else { base.with_overlay(name, text) };
    there.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Replays. Errors when the ledger cannot be read.
pub fn run(reader: &Reader, query: &TrafficQuery, world: &World) -> Result<Report, ReadError> {
    let query = TrafficQuery { decisions: world.policy.is_some(), ..query.clone() };
    let mut learned = learn::Learned::default();
    if world.policy.is_some() {
        let without = TrafficQuery { decisions: false, ..query.clone() };
        reader.traffic(&without, |past| learned.take(past))?;
    }
    let judged = if world.policy.is_some() { reader.judged(query.period)? } else { BTreeMap::new() };
    let mut report = report::Builder::new(world, &judged);
    let mut replay = bill::Bill::new(world, &learned);
    reader.traffic(&query, |past: &Past| {
        let outcome = replay.request(past);
        report.add(past, &outcome);
    })?;
    Ok(report.finish(&learned))
}
