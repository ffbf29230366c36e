//! A scenario: what a user wrote, read whole and checked, before anything is computed.
//!
//! TOML and JSON are the same tree. Names of models and GPUs are looked up later ([`crate::decide`]), because that needs a
//! catalogue; everything that can be wrong by itself is found here.

mod overhead;
mod risk;
mod stacks;
mod workload;

use std::cell::RefCell;

use serde_json::Value;

pub(crate) use overhead::{Item, Overhead};
pub(crate) use risk::Risk;
pub(crate) use stacks::{
    ApiSpec, Committed, HybridSpec, Mechanism, OwnSpec, Rent, Scaling, Share, Spec, StackSpec, Stacking, Term,
};
pub(crate) use workload::{Class, DAYS, HOURS, Shape, Volume, Workload};

use crate::checklist::Stated;
use crate::problem::Problem;
use crate::reader::{Kind, Quantity, Reader, kind_of};

/// Which prices are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceList {
    /// The catalogue's, on the day of the question.
    Catalogue,
    /// The source article's, of May 2026.
    Article,
}

impl PriceList {
    /// As in a scenario.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Article => "article",
        }
    }
}

/// A scenario that can be computed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The list that decides, and others that are shown beside it.
    pub(crate) prices: Vec<PriceList>,
    pub(crate) workload: Workload,
    pub(crate) slo: Slo,
    pub(crate) stacks: Vec<StackSpec>,
    pub(crate) overhead: Overhead,
    pub(crate) risk: Risk,
    pub(crate) quality: Quality,
    /// Pattern of `provider/model` and the ratio, in the order of the file.
    pub(crate) token_ratios: Vec<(String, Quantity)>,
    /// What only people know, for the checklist.
    pub(crate) stated: Stated,
    /// What a reader must know.
    pub(crate) warnings: Vec<String>,
}

/// The promised latency, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slo {
    pub ttft_ms: Option<f64>,
    pub tpot_ms: Option<f64>,
}

/// Quality in money.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quality {
    /// A stack below this share of accepted outcomes is not feasible.
    pub floor: Option<f64>,
    /// What a person costs who mends one outcome.
    pub human_usd_per_failure: Option<Quantity>,
}

impl Scenario {
    /// Reads TOML. Errors with every problem at once.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_json(&toml_value(text)?)
    }

    /// Reads JSON of the same shape. Errors with every problem at once.
    pub fn from_json(value: &Value) -> Result<Self, Vec<Problem>> {
        let Value::Object(map) = value else {
            return Err(vec![Problem::new(
                "",
                format!("is {}, not a table", kind_of(value)),
                "see docs/tco.md",
            )]);
        };
        let problems = RefCell::default();
        let reader = Reader::new(map, "", &problems);
        let mut warnings = read_notes(&reader);
        let prices = read_prices(&reader);
        let workload = workload::read(&reader);
        let slo = read_slo(&reader);
        let stacks = stacks::read(&reader);
        let overhead = overhead::read(&reader, &mut warnings);
        let risk = risk::read(&reader);
        let quality = read_quality(&reader);
        let token_ratios = read_ratios(&reader);
        let stated = read_stated(&reader);
        reader.finish();
        let mut problems = problems.into_inner();
        match workload {
            Some(workload) if problems.is_empty() => Ok(Self {
                prices,
                workload,
                slo,
                stacks,
                overhead,
                risk,
                quality,
                token_ratios,
                stated,
                warnings,
            }),
            _ => {
                problems.sort();
                Err(problems)
            }
        }
    }

    /// The list of prices that decides.
    pub fn price_list(&self) -> PriceList {
        self.prices.first().copied().unwrap_or(PriceList::Catalogue)
    }

    /// The same with the risk scenarios of `--risk default` turned on where it states none.
    #[must_use]
    pub fn with_default_risk(mut self) -> Self {
        self.risk = self.risk.or_default();
        self
    }
}

/// TOML as the tree that a scenario is read from. Errors with the parser's message and line.
pub fn toml_value(text: &str) -> Result<Value, Vec<Problem>> {
    toml::from_str::<Value>(text)
        .map_err(|error| vec![Problem::new("", error.to_string().trim().to_owned(), "this is not TOML")])
}

/// What whoever made the scenario wants to be read beside the answer.
fn read_notes(root: &Reader<'_>) -> Vec<String> {
    let Some(value) = root.value("notes") else { return Vec::new() };
    let text = |note: &Value| note.as_str().map(ToOwned::to_owned);
    let notes = value.as_array().and_then(|items| items.iter().map(text).collect::<Option<Vec<String>>>());
    notes.unwrap_or_else(|| {
        root.problem("notes", format!("is {}", kind_of(value)), "a list of texts");
        Vec::new()
    })
}

fn read_prices(root: &Reader<'_>) -> Vec<PriceList> {
    const HINT: &str = "\"catalogue\", \"article\", or a list of both: the first decides";
    let Some(value) = root.value("prices") else { return vec![PriceList::Catalogue] };
    let words = match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    let mut lists = Vec::new();
    for word in words {
        match word.as_str() {
            Some("catalogue") => lists.push(PriceList::Catalogue),
            Some("article") => lists.push(PriceList::Article),
            _ => root.problem("prices", format!("{word} is not known"), HINT),
        }
    }
    lists.dedup();
    if lists.is_empty() { vec![PriceList::Catalogue] } else { lists }
}

fn read_slo(root: &Reader<'_>) -> Slo {
    let Some(table) = root.table("slo") else { return Slo::default() };
    let ms = Kind { unit: "ms", absurd: 1e7, ..Kind::FACTOR };
    let slo = Slo { ttft_ms: table.number("ttft_ms", ms), tpot_ms: table.number("tpot_ms", ms) };
    table.finish();
    slo
}

fn read_quality(root: &Reader<'_>) -> Quality {
    let Some(table) = root.table("quality") else { return Quality::default() };
    let quality = Quality {
        floor: table.number("floor", Kind::SHARE),
        human_usd_per_failure: table.quantity("human_usd_per_failure", Kind::USD),
    };
    table.finish();
    quality
}

fn read_ratios(root: &Reader<'_>) -> Vec<(String, Quantity)> {
    let Some(table) = root.table("token_ratio") else { return Vec::new() };
    let kind = Kind { unit: "tokens per reference token", absurd: 20.0, ..Kind::FACTOR };
    let entry = |key: &str| Some((key.to_owned(), table.quantity_of(key, table.named(key)?, kind)?));
    table.keys().filter_map(entry).collect()
}

fn read_stated(root: &Reader<'_>) -> Stated {
    let Some(table) = root.table("checklist") else { return Stated::default() };
    let stated = Stated {
        on_call: table.flag("on_call"),
        data_must_stay: table.flag("data_must_stay"),
        update_plan: table.flag("update_plan"),
        fallback: table.flag("fallback"),
    };
    table.finish();
    stated
}
