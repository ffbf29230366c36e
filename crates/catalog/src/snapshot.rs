//! The format of a price snapshot: what one source listed on one day, trimmed to the hosts that we know.
//! `cargo xtask prices` and `tollgate prices update` write it, the catalogue reads it.
//!
//! Amounts stay decimal text from the source to [`Rate`](crate::Rate): they never pass through `f64`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::rates::Factor;
use crate::schedule::Layer;
use crate::{Ability, Bucket, Capabilities, LoadError, Tier};

/// One source on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Who published it, e.g. `genai-prices`. Also the first part of the file name.
    pub source: String,
    /// The version that the source gives its data.
    pub version: String,
    /// Where the source publishes it.
    pub url: String,
    /// The source's licence, as an SPDX expression.
    pub licence: String,
    /// The day that the data describes: never later than the day it was read.
    pub date: Date,
    /// Models by host, hosts by our id.
    pub providers: BTreeMap<String, Vec<Entry>>,
}

/// One model at one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// The id that the host wants to hear.
    pub id: String,
    /// Other ids that the host serves at the same price (dated versions, spellings): they are sent as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Beginnings of ids that the source prices alike; only a date or `latest` may follow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stems: Vec<String>,
    /// Names that people use and the host may not know: replaced by `id`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Prices; of those that apply, the last wins. Without any, the entry tells facts only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceRow>,
    /// Zero prices in this entry mean free of charge. Without this flag they mean that the source knows none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// Factors by which a region changes every price, e.g. `eu` → `1.1`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, String>,
    /// The page of the vendor that the source names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The last day on which the model is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_day: Option<Date>,
    /// What it takes and does.
    #[serde(skip_serializing_if = "EntryFacts::is_empty")]
    pub facts: EntryFacts,
}

/// Facts besides the price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntryFacts {
    /// Tokens of input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Most output tokens in one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// It reasons before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Abilities by the names of the fields of [`crate::Capabilities`]; what no source says is left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub can: BTreeMap<String, Ability>,
}

impl EntryFacts {
    /// The source says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Prices that apply together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceRow {
    /// The tier that they are for. A tier's row holds only what differs from the standard row.
    #[serde(skip_serializing_if = "is_standard")]
    pub tier: Tier,
    /// First day (UTC) on which they apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// First day (UTC) on which they apply no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Time of day (UTC) in which they apply: `01:00-04:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<String>,
    /// Days of the week (UTC) on which they apply: `mon-fri`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
    /// US dollars: per million tokens, per web search, per request.
    pub usd: BTreeMap<Bucket, LadderText>,
}

/// A price that may depend on the length of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LadderText {
    /// One price.
    Flat(String),
    /// A price and others above some length.
    Steps {
        /// Up to the first bound.
        base: String,
        /// `(bound, price)`: applies when the input has more tokens than the bound.
        above: Vec<(u64, String)>,
        /// Only the tokens above a bound cost its price. Otherwise all tokens of the request do.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        excess: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_standard(tier: &Tier) -> bool {
    *tier == Tier::Standard
}

/// The text of a snapshot file: one line a model, so that a newer one shows as a readable difference.
pub fn to_text(snapshot: &Snapshot) -> serde_json::Result<String> {
    let head = serde_json::to_string(&Snapshot { providers: BTreeMap::new(), ..snapshot.clone() })?;
    let mut text = head.trim_end_matches("{}}").to_owned();
    text.push('{');
    for (i, (id, entries)) in snapshot.providers.iter().enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(id)?);
        text.push_str(":[");
        for (i, entry) in entries.iter().enumerate() {
            text.push_str(if i == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(entry)?);
        }
        text.push(']');
    }
    text.push_str("}}\n");
    Ok(text)
}

impl Snapshot {
    /// Reads and checks a snapshot file whole: every amount, date and ability. Returns all errors at once.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let error = |line, message| LoadError { file: file.to_owned(), line, message };
        let snapshot: Self = serde_json::from_str(text).map_err(|e| {
            vec![error(
                e.line(),
                format!("{e}; a snapshot is what `tollgate prices update` and `cargo xtask prices` write"),
            )]
        })?;
        let mut errors = Vec::new();
        for (host, entries) in &snapshot.providers {
            for entry in entries {
                // The file has one line a model, so that the line of an error can be found again.
                let line = || {
                    let key = format!("{{\"id\":{}", serde_json::to_string(&entry.id).unwrap_or_default());
                    text.lines().position(|line| line.starts_with(&key)).map_or(0, |at| at + 1)
                };
                for message in entry.check() {
                    errors.push(error(line(), format!("{host}/{}: {message}", entry.id)));
                }
            }
        }
        if errors.is_empty() { Ok(snapshot) } else { Err(errors) }
    }
}

impl Entry {
    fn check(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if let Err(error) = Layer::default().push(Date::MIN, &self.prices, self.free) {
            errors.push(error.to_string());
        }
        for factor in self.regions.values() {
            errors.extend(Factor::parse(factor).err().map(|error| error.to_string()));
        }
        for ability in self.facts.can.keys() {
            if Capabilities::default().get_mut(ability).is_none() {
                errors.push(format!("`{ability}` is no ability that this build knows"));
            }
        }
        errors
    }
}
