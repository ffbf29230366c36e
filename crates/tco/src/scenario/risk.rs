//! What may happen: shortages, drifting prices, retirements, outages. Each is a scenario of its own, off unless stated.

use serde_json::Value;

use crate::dist::Dist;
use crate::inputs::{Bounds, Provenance};
use crate::reader::{Kind, Quantity, Reader};

/// What may happen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Risk {
    pub shortage: Option<Shortage>,
    pub drift: Option<Drift>,
    pub retirement: Option<Retirement>,
    pub outage: Option<Outage>,
    /// The capacity's error band takes part in the draws.
    pub capacity_band: bool,
    pub draws: Option<usize>,
    pub seed: Option<u64>,
}

/// GPUs become scarce: on-demand and spot prices multiply.
#[derive(Clone, Debug)]
pub(crate) struct Shortage {
    pub price_factor: Quantity,
    pub weeks: (f64, f64),
    pub per_24_months: usize,
}

/// Relative change of prices after so many months.
#[derive(Clone, Debug)]
pub(crate) struct Drift {
    pub closed: Option<Quantity>,
    pub serverless: Option<Quantity>,
    pub gpu: Option<Quantity>,
    pub months: f64,
}

/// A vendor retires the model with 30 days' notice: work to move, and the successor's price.
#[derive(Clone, Debug)]
pub(crate) struct Retirement {
    pub per_year: f64,
    pub usd: Quantity,
    pub price_factor: Quantity,
}

/// A vendor is down: traffic goes elsewhere at another price, or is lost.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    pub hours_per_year: Quantity,
    pub price_factor: Quantity,
    pub usd_per_hour: Option<Quantity>,
}

fn default_of(dist: Dist, why: &str) -> Quantity {
    Quantity { base: dist.center(), dist: Some(dist), from: Provenance::default(why) }
}

fn certain(base: f64, why: &str) -> Quantity {
    Quantity { base, dist: None, from: Provenance::default(why) }
}

impl Shortage {
    fn usual() -> Self {
        let why = "GPU shortage: price ×2 for 6 to 10 weeks, twice in 24 months";
        Self { price_factor: certain(2.0, why), weeks: (6.0, 10.0), per_24_months: 2 }
    }
}

impl Drift {
    fn usual() -> Self {
        Self {
            closed: Some(default_of(Dist::Uniform(-0.4, 0.4), "closed prices −40 % to +40 % in 18 months")),
            serverless: Some(default_of(
                Dist::Uniform(-0.4, 0.4),
                "serverless prices −40 % to +40 % in 18 months",
            )),
            gpu: Some(default_of(Dist::Uniform(-0.3, 0.38), "rented GPUs −30 % to +38 % in 18 months")),
            months: 18.0,
        }
    }
}

impl Retirement {
    fn usual() -> Self {
        Self {
            per_year: 0.5,
            usd: default_of(Dist::Uniform(4_000.0, 17_000.0), "1 to 4 person-weeks at $220,000 a year"),
            price_factor: default_of(
                Dist::Triangular(0.7, 1.0, 1.5),
                "a successor costs 0.7 to 1.5 times as much",
            ),
        }
    }
}

impl Outage {
    fn usual() -> Self {
        Self {
            hours_per_year: default_of(Dist::Uniform(4.0, 40.0), "a vendor is down 4 to 40 hours a year"),
            price_factor: default_of(Dist::Uniform(1.0, 3.0), "the next vendor costs 1 to 3 times as much"),
            usd_per_hour: None,
        }
    }
}

impl Risk {
    /// Something may happen.
    pub fn is_on(&self) -> bool {
        self.capacity_band
            || self.shortage.is_some()
            || self.drift.is_some()
            || self.retirement.is_some()
            || self.outage.is_some()
    }

    /// What `--risk default` turns on, where the scenario does not say otherwise.
    pub fn or_default(self) -> Self {
        Self {
            shortage: self.shortage.or_else(|| Some(Shortage::usual())),
            drift: self.drift.or_else(|| Some(Drift::usual())),
            retirement: self.retirement.or_else(|| Some(Retirement::usual())),
            outage: self.outage.or_else(|| Some(Outage::usual())),
            capacity_band: true,
            ..self
        }
    }
}

pub(super) fn read(root: &Reader<'_>) -> Risk {
    if let Some(Value::String(word)) = root.value("risk") {
        if word == "default" {
            return Risk::default().or_default();
        }
        root.problem("risk", format!("`{word}` is not known"), "\"default\" or a table");
        return Risk::default();
    }
    let Some(table) = root.table("risk") else { return Risk::default() };
    let risk = Risk {
        shortage: table.table("gpu_shortage").map(read_shortage),
        drift: table.table("price_drift").map(read_drift),
        retirement: table.table("model_retired").map(read_retirement),
        outage: table.table("vendor_outage").map(read_outage),
        capacity_band: table.flag("capacity_band").unwrap_or(true),
        draws: table.whole("draws", 100, 10_000_000),
        seed: table.whole("seed", 0, 1_000_000_000).and_then(|seed| u64::try_from(seed).ok()),
    };
    table.finish();
    risk
}

fn read_shortage(table: Reader<'_>) -> Shortage {
    let usual = Shortage::usual();
    let weeks = table.value("weeks").and_then(|value| {
        let one = value.as_f64().map(|n| (n, n));
        let pair = value.as_array().and_then(|items| crate::reader::numbers(items).ok());
        let pair = pair.and_then(|list| if let [a, b] = list.as_slice() { Some((*a, *b)) } else { None });
        let weeks = one.or(pair).filter(|(low, high)| *low > 0.0 && low <= high && *high <= 104.0);
        if weeks.is_none() {
            table.problem(
                "weeks",
                format!("is {value}"),
                "a length in weeks, or [shortest, longest], at most 104",
            );
        }
        weeks
    });
    let shortage = Shortage {
        price_factor: table.quantity("price_factor", Kind::FACTOR).unwrap_or(usual.price_factor),
        weeks: weeks.unwrap_or(usual.weeks),
        per_24_months: table.whole("per_24_months", 1, 24).unwrap_or(usual.per_24_months),
    };
    table.finish();
    shortage
}

fn read_drift(table: Reader<'_>) -> Drift {
    let drift = Drift {
        closed: table.quantity("closed", Kind::CHANGE),
        serverless: table.quantity("serverless", Kind::CHANGE),
        gpu: table.quantity("gpu", Kind::CHANGE),
        months: table.number("months", Kind { absurd: 240.0, ..Kind::FACTOR }).unwrap_or(18.0),
    };
    table.finish();
    drift
}

fn read_retirement(table: Reader<'_>) -> Retirement {
    let usual = Retirement::usual();
    let rate = Kind { bounds: Bounds::NONNEGATIVE, absurd: 12.0, unit: "per year" };
    let retirement = Retirement {
        per_year: table.number("per_year", rate).unwrap_or(usual.per_year),
        usd: table.quantity("usd", Kind::USD).unwrap_or(usual.usd),
        price_factor: table.quantity("price_factor", Kind::FACTOR).unwrap_or(usual.price_factor),
    };
    table.finish();
    retirement
}

fn read_outage(table: Reader<'_>) -> Outage {
    let usual = Outage::usual();
    let hours = Kind { bounds: Bounds::NONNEGATIVE, absurd: 8_760.0, unit: "hours/year" };
    let outage = Outage {
        hours_per_year: table.quantity("hours_per_year", hours).unwrap_or(usual.hours_per_year),
        price_factor: table.quantity("price_factor", Kind::FACTOR).unwrap_or(usual.price_factor),
        usd_per_hour: table.quantity("usd_per_hour", Kind::USD),
    };
    table.finish();
    outage
}
