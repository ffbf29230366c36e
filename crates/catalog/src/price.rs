//! The price of a usage: a function of model, tier, context bracket, cache class, modality, region and time.
//! Unknown is [`Cost::Unknown`], never zero (LAW 3).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rates::INPUTS_IN_PROMPT_ORDER;
use crate::schedule::Schedule;
use crate::{Bucket, Money, Rate, Usage};

/// The service tier that a vendor granted; it changes the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The list price.
    #[default]
    Standard,
    /// Answered within a day, usually at half price.
    Batch,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
}

/// All that a price depends on besides the usage.
#[derive(Clone, Debug)]
pub struct Context {
    /// The tier that was granted (not the one asked for).
    pub tier: Tier,
    /// The vendor's region, where it changes the price.
    pub region: Option<String>,
    /// When the call started: prices have effective dates.
    pub at: Timestamp,
}

/// One line of a bill: `amount = rate × units`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLine {
    /// What was counted.
    pub bucket: Bucket,
    /// How many.
    pub units: u64,
    /// Pico-dollars per unit.
    pub pico_per_unit: i64,
}

impl PriceLine {
    /// Pico-dollars per unit as a [`Rate`].
    pub const fn rate(&self) -> Rate {
        Rate::from_pico(self.pico_per_unit)
    }

    /// `rate × units`.
    pub fn amount(&self) -> Money {
        self.rate().times(self.units)
    }
}

/// Why a call cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// No source lists the model at this vendor.
    #[error("no price is known for this model at this vendor")]
    Model,
    /// The model is listed, this kind of unit is not.
    #[error("the model has no price for {0:?} units")]
    Bucket(Bucket),
    /// The model is listed, this tier or region is not.
    #[error("the model has no price for this tier or region")]
    Tier,
    /// No listed price was in effect at that time.
    #[error("no price was in effect at that time")]
    Time,
}

/// The price of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Priced, with its lines.
    Known(Vec<PriceLine>),
    /// Not priceable: never counted as zero.
    Unknown(UnknownPrice),
}

impl Cost {
    /// The sum of the lines; `None` when unknown.
    pub fn total(&self) -> Option<Money> {
        match self {
            Self::Known(lines) => Some(lines.iter().map(PriceLine::amount).sum()),
            Self::Unknown(_) => None,
        }
    }

    /// The lines of the bill; empty when unknown.
    pub fn lines(&self) -> &[PriceLine] {
        match self {
            Self::Known(lines) => lines,
            Self::Unknown(_) => &[],
        }
    }
}

/// One line for each used bucket and rate: units × rate, nothing rounded.
pub(crate) fn bill(schedule: &Schedule, usage: &Usage, context: &Context) -> Cost {
    let rates = match schedule.at(context) {
        Ok(rates) => rates,
        Err(why) => return Cost::Unknown(why),
    };
    let total_input = usage.total_input();
    let mut lines = Vec::with_capacity(4);
    for bucket in Bucket::ALL {
        let units = usage.get(bucket);
        if units == 0 {
            continue;
        }
        match rates.of(bucket) {
            Some((ladder, _)) => ladder.split(units, before(usage, bucket), total_input, |units, rate| {
                lines.push(PriceLine { bucket, units, pico_per_unit: rate.pico() });
            }),
            // Every call is one request, and most vendors have no fee for it.
            None if bucket == Bucket::Request => {}
            None => return Cost::Unknown(UnknownPrice::Bucket(bucket)),
        }
    }
    Cost::Known(lines)
}

/// Input tokens that lie before those of `bucket` in the prompt.
fn before(usage: &Usage, bucket: Bucket) -> u64 {
    INPUTS_IN_PROMPT_ORDER
        .iter()
        .take_while(|earlier| **earlier != bucket)
        .fold(0, |sum, earlier| sum.saturating_add(usage.get(*earlier)))
}
