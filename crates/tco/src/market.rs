//! What tokens and GPU-hours cost: the catalogue on a day, or the source article's list.

use catalog::{Bucket, Catalogue, ListPrice, Offer, Tier};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::capacity::Points;
use crate::inputs::{Basis, Provenance};
use crate::scenario::PriceList;

/// The article's month.
pub(crate) const ARTICLE_DATE: &str = "2026-05";

/// The facts that a decision needs beside the scenario: they come as arguments, so that a decision is a pure function.
#[derive(Clone, Copy, Debug)]
pub struct Market<'a> {
    /// Prices and models.
    pub catalogue: &'a Catalogue,
    /// The moment for which prices are looked up.
    pub at: Timestamp,
    /// Measurements that outrank the capacity model.
    pub points: &'a Points,
}

impl Market<'_> {
    /// The day of [`Market::at`], UTC.
    pub(crate) fn day(&self) -> jiff::civil::Date {
        TimeZone::UTC.to_datetime(self.at).date()
    }
}

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its maker alone sells it.
    Closed,
    /// An open model that somebody hosts.
    Serverless,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Serverless => "serverless",
        }
    }
}

/// Dollars per million units by input length: the base, then those above a length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ladder {
    pub base: f64,
    /// Input tokens of a request above which the price holds, ascending.
    pub above: Vec<(f64, f64)>,
    /// Only the tokens above the length cost it.
    pub excess: bool,
}

/// The prices of one tier; a unit without a price is unknown, never free.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tariff {
    pub input: Option<Ladder>,
    pub cached: Option<Ladder>,
    pub written: Option<Ladder>,
    pub output: Option<Ladder>,
    pub reasoning: Option<Ladder>,
    /// Dollars per request.
    pub request: Option<f64>,
    /// Writing to the prompt cache costs more than plain input.
    pub bills_writes: bool,
}

/// A model at a vendor with its prices.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub target: String,
    pub kind: Kind,
    pub standard: Tariff,
    /// For what can wait; `None` when the vendor lists none.
    pub batch: Option<Tariff>,
    pub from: Provenance,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// Why a model has no price here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpriced {
    pub message: String,
    pub hint: String,
}

const STALE_DAYS: i32 = 30;

/// Looks a model up. `tier` is that of everything that is not batched.
pub(crate) fn listing(
    market: &Market<'_>,
    list: PriceList,
    model: &str,
    tier: Option<&str>,
    region: Option<&str>,
) -> Result<Listing, Unpriced> {
    match list {
        PriceList::Article => article(market, model),
        PriceList::Catalogue => from_catalogue(market, model, tier, region),
    }
}

fn offer(market: &Market<'_>, model: &str) -> Result<std::sync::Arc<Offer>, Unpriced> {
    let found = model.split_once('/').and_then(|(provider, id)| market.catalogue.offer(provider, id));
    if let Some(offer) = found {
        return Ok(offer);
    }
    let all: Vec<String> = market
        .catalogue
        .hosts()
        .flat_map(|host| market.catalogue.offers(host))
        .filter(|offer| offer.has_price())
        .map(|offer| offer.target())
        .collect();
    let near = catalog::nearest(model, all.iter().map(String::as_str), 3).join(", ");
    Err(Unpriced { message: format!("no vendor lists `{model}`"), hint: format!("the nearest are {near}") })
}

fn from_catalogue(
    market: &Market<'_>,
    model: &str,
    tier: Option<&str>,
    region: Option<&str>,
) -> Result<Listing, Unpriced> {
    let offer = offer(market, model)?;
    let tier = match tier {
        Some("batch") => Tier::Batch,
        Some("flex") => Tier::Flex,
        Some("priority") => Tier::Priority,
        _ => Tier::Standard,
    };
    let has = |tier: Tier| tier == Tier::Standard || offer.tiers().contains(&tier);
    if !has(tier) {
        let names: Vec<String> =
            offer.tiers().iter().map(|tier| format!("{tier:?}").to_lowercase()).collect();
        let message = format!("`{}` has no price in that tier", offer.target());
        return Err(Unpriced { message, hint: format!("it has {}", names.join(", ")) });
    }
    if region.is_some_and(|region| !offer.regions().any(|known| known == region)) {
        let known: Vec<&str> = offer.regions().collect();
        let hint =
            if known.is_empty() { "its price is the same everywhere".into() } else { known.join(", ") };
        return Err(Unpriced { message: format!("`{}` has no price for that region", offer.target()), hint });
    }
    let standard = tariff(&offer.list_prices(tier, market.at));
    if standard.input.is_none() || standard.output.is_none() {
        let message = format!("`{}` is listed without a price", offer.target());
        let hint = "state input_usd_per_million and output_usd_per_million, or another vendor";
        return Err(Unpriced { message, hint: hint.into() });
    }
    let batch =
        offer.tiers().contains(&Tier::Batch).then(|| tariff(&offer.list_prices(Tier::Batch, market.at)));
    let origin = offer.origin();
    let from = Provenance {
        basis: Basis::List,
        source: origin.map_or_else(|| "overlay".to_owned(), |origin| origin.source.clone()),
        as_of: origin.and_then(|origin| origin.as_of).map(|day| day.to_string()),
    };
    Ok(Listing {
        target: offer.target(),
        kind: kind(&offer),
        standard,
        batch,
        from,
        warnings: warnings(market, &offer, region),
    })
}

fn warnings(market: &Market<'_>, offer: &Offer, region: Option<&str>) -> Vec<String> {
    let target = offer.target();
    let today = market.day();
    let mut said = Vec::new();
    if let Some(end) = &offer.retires {
        let successor = end.successor.as_ref().map(|to| format!("; {to} follows")).unwrap_or_default();
        let verb = if end.last_day < today { "was last served on" } else { "retires after" };
        said.push(format!("{target} {verb} {}{successor}", end.last_day));
    }
    if let Some(day) = offer.origin().and_then(|origin| origin.as_of) {
        let age = day.until(today).map_or(0, |span| span.get_days());
        if age > STALE_DAYS {
            said.push(format!(
                "the price of {target} is {age} days old ({day}); `tollgate prices check` compares sources"
            ));
        }
    }
    if region.is_some() {
        said.push(format!("{target}: prices are those without a region's uplift"));
    }
    said
}

/// Closed means that nobody but the maker (and its resellers) has the weights: makers that publish none of theirs.
fn kind(offer: &Offer) -> Kind {
    const CLOSED: [&str; 8] = ["gpt-", "claude", "gemini", "grok", "o1", "o3", "o4", "sonar"];
    let name = offer.model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let open = name.contains("oss");
    if !open && CLOSED.iter().any(|stem| name.starts_with(stem)) { Kind::Closed } else { Kind::Serverless }
}

fn tariff(prices: &[ListPrice]) -> Tariff {
    let find = |bucket: Bucket| prices.iter().find(|price| price.bucket == bucket);
    let ladder = |bucket: Bucket| find(bucket).map(ladder);
    let own_price = |bucket: Bucket| find(bucket).is_some_and(|price| price.priced_as.is_none());
    Tariff {
        input: ladder(Bucket::Input),
        cached: ladder(Bucket::CacheRead),
        written: ladder(Bucket::CacheWrite5m),
        output: ladder(Bucket::Output),
        reasoning: ladder(Bucket::Reasoning),
        request: find(Bucket::Request).map(ladder_of_request),
        bills_writes: own_price(Bucket::CacheWrite5m),
    }
}

/// Pico-dollars per unit are micro-dollars per million.
fn per_million(rate: catalog::Rate) -> f64 {
    rate.usd_per_million().to_f64_usd()
}

fn ladder(price: &ListPrice) -> Ladder {
    let mut steps = price.steps.iter();
    let base = steps.next().map_or(f64::NAN, |(_, rate)| per_million(*rate));
    #[expect(clippy::cast_precision_loss, reason = "context lengths are far below 2^53")]
    let above = steps.map(|(bound, rate)| (*bound as f64, per_million(*rate))).collect();
    Ladder { base, above, excess: price.excess }
}

fn ladder_of_request(price: &ListPrice) -> f64 {
    ladder(price).base / 1e6
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArticleList {
    as_of: String,
    token: Vec<ArticlePrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArticlePrice {
    model: String,
    kind: String,
    input: Option<f64>,
    output: f64,
    note: Option<String>,
}

const ARTICLE: &str = include_str!("../data/article-2026-05.toml");

fn article(market: &Market<'_>, model: &str) -> Result<Listing, Unpriced> {
    // A list that does not parse fails `the_articles_list_is_valid`.
    let list: ArticleList =
        toml::from_str(ARTICLE).unwrap_or(ArticleList { as_of: ARTICLE_DATE.to_owned(), token: Vec::new() });
    let named = offer(market, model).map(|offer| offer.target());
    let same =
        |price: &&ArticlePrice| price.model == model || named.as_ref().is_ok_and(|name| *name == price.model);
    let Some(price) = list.token.iter().find(same) else {
        let priced: Vec<&str> = list.token.iter().map(|price| price.model.as_str()).collect();
        let message = format!("the article states no price for `{model}`");
        return Err(Unpriced { message, hint: format!("it prices {}", priced.join(", ")) });
    };
    let flat = |base: f64| Ladder { base, above: Vec::new(), excess: false };
    let note = price.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    let input = price.input.map(flat);
    let standard = Tariff {
        cached: input.clone(),
        written: input.clone(),
        input,
        output: Some(flat(price.output)),
        reasoning: Some(flat(price.output)),
        request: None,
        bills_writes: false,
    };
    Ok(Listing {
        target: price.model.clone(),
        kind: if price.kind == "closed" { Kind::Closed } else { Kind::Serverless },
        standard,
        batch: None,
        from: Provenance {
            basis: Basis::List,
            source: format!("source article{note}"),
            as_of: Some(list.as_of.clone()),
        },
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use super::*;

    #[test]
    fn the_articles_list_is_valid() {
        let list: ArticleList = toml::from_str(ARTICLE).unwrap();
        assert_eq!(list.as_of, ARTICLE_DATE);
        assert!(list.token.iter().all(|price| ["closed", "serverless"].contains(&price.kind.as_str())));
    }

    #[test]
    fn a_price_is_found_by_either_list_and_an_unknown_model_hears_the_nearest() {
        let catalogue = Catalogue::builtin();
        let points = Points::default();
        let at = "2026-11-24T00:00:00Z".parse().unwrap();
        let market = Market { catalogue: &catalogue, at, points: &points };
        let find = |list, model| listing(&market, list, model, None, None);
        let listed = find(PriceList::Catalogue, "openai/gpt-5.4").unwrap();
        assert_eq!((listed.kind, listed.standard.input.unwrap().base), (Kind::Closed, 2.5));
        assert_eq!(listed.standard.output.unwrap().above, [(272_000.0, 22.5)]);
        let stated = find(PriceList::Article, "openai/gpt-5.4").unwrap();
        assert_eq!(stated.standard.output.unwrap().base, 32.0);
        let unknown = find(PriceList::Catalogue, "openai/gpt-5.4o").unwrap_err();
        assert!(unknown.hint.contains("openai/gpt-5.4"), "{unknown:?}");
        let unpriced = find(PriceList::Article, "mistral/mistral-large-4").unwrap_err();
        assert!(unpriced.message.contains("states no price"), "{unpriced:?}");
    }
}
