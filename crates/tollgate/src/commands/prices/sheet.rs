//! One model's prices, as table and as JSON.

use catalog::{Ability, Bucket, ListPrice, Offer, Rate, Tier};
use jiff::Timestamp;
use serde::Serialize;

use crate::render;

/// The prices of a model at one host.
#[derive(Serialize)]
pub struct PriceSheet<'a> {
    target: String,
    source: Option<&'a str>,
    as_of: Option<String>,
    page: Option<&'a str>,
    /// The other offer whose prices these are.
    priced_as: Option<&'a str>,
    /// When they hold.
    at: String,
    regions: Vec<&'a str>,
    prices: Vec<Line>,
    #[serde(skip)]
    offer: &'a Offer,
}

/// One price.
#[derive(Serialize)]
struct Line {
    tier: Tier,
    bucket: Bucket,
    /// `million_tokens`, `search` or `request`.
    unit: &'static str,
    #[serde(flatten)]
    amount: Amount,
    /// No price of its own is listed: it is billed like this.
    billed_as: Option<Bucket>,
}

/// A price that may depend on the length of the input.
#[derive(Serialize)]
pub struct Amount {
    usd: String,
    /// Other prices above an input length.
    above: Vec<Above>,
    /// Only the tokens above a length cost its price; otherwise all tokens of the request do.
    excess_only: bool,
}

#[derive(Serialize)]
struct Above {
    input_tokens: u64,
    usd: String,
}

impl Amount {
    /// In dollars per unit of its bucket.
    pub fn of(price: &ListPrice) -> Self {
        let mut steps = price.steps.iter().map(|(tokens, rate)| (*tokens, usd(price.bucket, *rate)));
        Self {
            usd: steps.next().map(|(_, usd)| usd).unwrap_or_default(),
            above: steps.map(|(input_tokens, usd)| Above { input_tokens, usd }).collect(),
            excess_only: price.excess,
        }
    }

    /// One line a bracket: `2.50`, `5.00 above 272,000`.
    pub fn lines(&self) -> Vec<String> {
        let above = self.above.iter();
        let above = above.map(|step| format!("{} above {}", step.usd, render::thousands(step.input_tokens)));
        let note = self.excess_only.then(|| "(the excess only)".to_owned());
        std::iter::once(self.usd.clone()).chain(above).chain(note).collect()
    }
}

/// The unit that a bucket's price is for.
pub fn unit(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::WebSearch => "search",
        Bucket::Request => "request",
        _ => "million_tokens",
    }
}

/// The rate in dollars per unit of its bucket.
pub fn usd(bucket: Bucket, rate: Rate) -> String {
    match bucket {
        Bucket::WebSearch | Bucket::Request => rate.times(1).to_string(),
        _ => rate.usd_per_million().to_string(),
    }
}

impl Line {
    fn of(tier: Tier, price: &ListPrice) -> Self {
        Self {
            tier,
            bucket: price.bucket,
            unit: unit(price.bucket),
            amount: Amount::of(price),
            billed_as: price.priced_as,
        }
    }

    fn cell(&self) -> String {
        let mut lines = self.amount.lines();
        if let (Some(bucket), Some(first)) = (self.billed_as, lines.first_mut()) {
            *first = format!("{first} (as {})", bucket.as_str().replace('_', " "));
        }
        lines.join("\n")
    }
}

impl<'a> PriceSheet<'a> {
    /// The prices in effect at a time.
    pub fn of(offer: &'a Offer, at: Timestamp) -> Self {
        let origin = offer.origin();
        // What images would cost is of interest where there can be any.
        let images = offer.facts.can.images == Ability::Yes;
        let moot = move |price: &ListPrice| {
            price.bucket == Bucket::InputImage && price.priced_as.is_some() && !images
        };
        let lines = |tier| {
            let prices = offer.list_prices(tier, at).into_iter().filter(move |price| !moot(price));
            prices.map(move |price| Line::of(tier, &price))
        };
        Self {
            target: offer.target(),
            source: origin.map(|origin| origin.source.as_str()),
            as_of: origin.and_then(|origin| Some(origin.as_of?.to_string())),
            page: origin.and_then(|origin| origin.page.as_deref()),
            priced_as: origin.and_then(|origin| origin.priced_as.as_deref()),
            at: at.to_string(),
            regions: offer.regions().collect(),
            prices: offer.tiers().into_iter().flat_map(lines).collect(),
            offer,
        }
    }

    /// Model, source, day and age, and a table with a column a tier.
    pub fn told(&self, now: Timestamp) -> String {
        let mut lines = vec![self.target.clone()];
        if self.prices.is_empty() {
            lines.push(" no price is known: a call is recorded as unknown, never as 0".to_owned());
            return lines.join("\n");
        }
        let day = self.offer.origin().and_then(|origin| origin.as_of);
        let age = day.map(|day| format!(", {day}, {} days old", super::age(day, now))).unwrap_or_default();
        lines.push(format!(" source: {}{age}", self.source.unwrap_or("unknown")));
        for (name, value) in [("page", self.page), ("priced as", self.priced_as)] {
            lines.extend(value.map(|value| format!(" {name}: {value}")));
        }
        if !self.regions.is_empty() {
            lines.push(format!(" dearer in: {}", self.regions.join(", ")));
        }
        lines.push(self.table());
        lines.join("\n")
    }

    fn table(&self) -> String {
        let mut tiers: Vec<Tier> = self.prices.iter().map(|line| line.tier).collect();
        tiers.dedup();
        let names = tiers.iter().map(|tier| match tier {
            Tier::Standard => "standard",
            Tier::Batch => "batch",
            Tier::Flex => "flex",
            Tier::Priority => "priority",
        });
        let head: Vec<&str> = ["US dollars", "per"].into_iter().chain(names).collect();
        let rows = Bucket::ALL.into_iter().filter_map(|bucket| {
            let cell = |tier: &Tier| {
                self.prices.iter().find(|line| line.bucket == bucket && line.tier == *tier).map(Line::cell)
            };
            let cells: Vec<Option<String>> = tiers.iter().map(cell).collect();
            cells.iter().any(Option::is_some).then(|| {
                let unit = unit(bucket).replace("million_tokens", "million");
                let first = [bucket.as_str().replace('_', " "), unit];
                first.into_iter().chain(cells.into_iter().map(Option::unwrap_or_default)).collect()
            })
        });
        render::table(&head, rows)
    }
}
