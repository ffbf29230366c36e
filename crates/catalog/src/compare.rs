//! Where two catalogues, or two sources of one, differ in price.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::{Bucket, Catalogue, ListPrice, Offer, Tier};

/// One price that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `provider/model`.
    pub target: String,
    /// The tier that the price is for.
    pub tier: Tier,
    /// What is counted.
    pub bucket: Bucket,
    /// The price in the first; `None` when it lists none.
    pub before: Option<ListPrice>,
    /// The price in the second; `None` when it lists none.
    pub after: Option<ListPrice>,
}

/// Which models and prices are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, also those that only one of the two lists.
    All,
    /// What both list.
    Common,
}

/// One model in the first and the second catalogue.
type Pair = (Option<Arc<Offer>>, Option<Arc<Offer>>);

impl Catalogue {
    /// Prices that differ between this catalogue and `other` at a time, by host and model.
    pub fn differences(&self, other: &Self, scope: Scope, at: Timestamp) -> Vec<Difference> {
        let mut found = Vec::new();
        for host in self.hosts().chain(other.hosts()).collect::<BTreeSet<_>>() {
            // A model is known by the id of the second: that may be one of several names in the first.
            let mut models: BTreeMap<String, Pair> = BTreeMap::new();
            for offer in other.offers(host) {
                models.insert(offer.model.clone(), (self.offer(host, &offer.model), Some(offer)));
            }
            for offer in self.offers(host) {
                let after = other.offer(host, &offer.model);
                models.entry(offer.model.clone()).or_insert((Some(offer), after));
            }
            for (before, after) in models.into_values() {
                if scope == Scope::All || before.is_some() && after.is_some() {
                    compare(before.as_deref(), after.as_deref(), scope, at, &mut found);
                }
            }
        }
        found
    }
}

fn compare(
    before: Option<&Offer>,
    after: Option<&Offer>,
    scope: Scope,
    at: Timestamp,
    found: &mut Vec<Difference>,
) {
    let Some(target) = after.or(before).map(Offer::target) else { return };
    for tier in [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority] {
        let (mut first, second) = (listed(before, tier, at), listed(after, tier, at));
        for bucket in Bucket::ALL {
            let (before, after) =
                (take(&mut first, bucket), second.iter().find(|price| price.bucket == bucket));
            let both = before.is_some() && after.is_some();
            if before.as_ref() != after && (both || scope == Scope::All) {
                let target = target.clone();
                found.push(Difference { target, tier, bucket, before, after: after.cloned() });
            }
        }
    }
}

/// Prices that are listed for that very tier and bucket.
fn listed(offer: Option<&Offer>, tier: Tier, at: Timestamp) -> Vec<ListPrice> {
    let mut prices = offer.map(|offer| offer.list_prices(tier, at)).unwrap_or_default();
    prices.retain(|price| price.priced_as.is_none() && !price.inherited);
    prices
}

fn take(prices: &mut Vec<ListPrice>, bucket: Bucket) -> Option<ListPrice> {
    let at = prices.iter().position(|price| price.bucket == bucket)?;
    Some(prices.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_catalogue_does_not_differ_from_itself() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.differences(&Catalogue::builtin(), Scope::All, now()), []);
    }

    #[test]
    fn a_changed_price_is_found_with_both_values() {
        let text = "[[price]]\ntarget = \"openai/gpt-5.4-mini\"\ninput = \"0.50\"\n";
        let other = Catalogue::builtin().with_overlay("o", text).unwrap();
        let found = Catalogue::builtin().differences(&other, Scope::All, now());
        assert_eq!(found.len(), 1);
        let only = found.first().unwrap();
        assert_eq!((only.target.as_str(), only.bucket), ("openai/gpt-5.4-mini", Bucket::Input));
        let shown =
            |price: &Option<ListPrice>| price.as_ref().unwrap().steps[0].1.usd_per_million().to_string();
        assert_eq!((shown(&only.before), shown(&only.after)), ("0.75".into(), "0.50".into()));
    }

    #[test]
    fn sources_are_compared_on_what_both_list() {
        let catalogue = Catalogue::builtin();
        let (first, second) = (catalogue.only("genai-prices"), catalogue.only("litellm"));
        let found = first.differences(&second, Scope::Common, now());
        assert!(!found.is_empty(), "two lists of a thousand models never agree");
        assert!(found.iter().all(|d| d.before.is_some() && d.after.is_some() && d.before != d.after));
        assert!(!found.iter().any(|d| d.target == "anthropic/claude-opus-4-7" && d.tier == Tier::Standard));
    }
}
