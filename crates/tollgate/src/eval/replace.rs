//! "The vendor retires this model: which replacement passes my suite, and at what price?" Candidates are tried from the
//! cheapest up, each only as long as it can still pass, and the first that passes is the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Ability, Bucket, Context, Money, Offer, Tier, Usage};
use gateway::config::{Config, Resolved};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::paired::{self, Paired};
use super::results::{Outcome, Run};

/// A model that ends sooner than this many days from now is no replacement.
const LASTS_DAYS: i32 = 60;

/// What is known of the model that goes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Leaving {
    /// Its name, as given.
    pub model: String,
    /// `provider/model` behind the name.
    pub targets: Vec<String>,
    /// The last day that the catalogue gives; `None` when it knows of no end.
    pub last_day: Option<Date>,
    /// Days from today to then.
    pub days_left: Option<i32>,
    /// What the vendor names instead.
    pub successor: Option<String>,
}

/// List price in dollars per million tokens; `None` when unknown.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PerMillion {
    /// Input tokens.
    pub input_usd: Option<Money>,
    /// Output tokens.
    pub output_usd: Option<Money>,
}

/// A candidate and how it did.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// Its list price.
    pub per_million: PerMillion,
    /// What the suite was expected to cost with it.
    pub estimated_usd: Option<Money>,
    /// Against the model that goes, over the cases that both answered; `None` without a run of that model.
    pub versus: Option<Paired>,
    /// How it did.
    pub run: Run,
}

/// What the catalogue and the configuration say of the model that goes. Errors when no such model is known.
pub fn leaving(config: &Config, model: &str, today: Date) -> anyhow::Result<Leaving> {
    let group = match config.resolve(model)? {
        Resolved::Group(group) => group,
        Resolved::Route(_) => anyhow::bail!("`{model}` is a route: name the model that goes"),
    };
    let end = group.targets.iter().filter_map(|t| t.offer.retires.as_ref()).min_by_key(|end| end.last_day);
    Ok(Leaving {
        model: model.to_owned(),
        targets: group.targets.iter().map(|target| target.id.clone()).collect(),
        last_day: end.map(|end| end.last_day),
        days_left: end.map(|end| days(today, end.last_day)),
        successor: end.and_then(|end| end.successor.clone()),
    })
}

fn days(from: Date, to: Date) -> i32 {
    from.until(to).map_or(i32::MAX, |span| span.get_days())
}

/// Models that may replace it: those of the configuration and the vendor's own successor always; then the catalogue's at
/// the configured vendors that cost no more than the one that goes, the cheapest first, up to `limit` in all.
pub fn candidates(config: &Config, leaving: &Leaving, now: Timestamp, limit: usize) -> Vec<String> {
    let today = jiff::tz::Offset::UTC.to_datetime(now).date();
    let goes: BTreeSet<&str> = leaving.targets.iter().map(String::as_str).collect();
    let fit = |offer: &Offer| fits(offer, today) && !goes.contains(offer.target().as_str());
    let mut chosen: Vec<String> = Vec::new();
    let mut take = |offer: &Offer| {
        let target = offer.target();
        if fit(offer) && !chosen.contains(&target) {
            chosen.push(target);
        }
    };
    for target in config.models.values().flat_map(|group| &group.targets) {
        take(&target.offer);
    }
    let routed = config.routes.values().flat_map(|route| [Some(&route.default), route.escalate.as_ref()]);
    for target in routed.flatten().flat_map(|group| &group.targets) {
        take(&target.offer);
    }
    for offer in successors(config, leaving) {
        take(&offer);
    }
    let ceiling = goes.iter().filter_map(|target| price(offer(config, target)?.as_ref(), now)).max();
    let mut listed: Vec<(Money, Arc<Offer>)> = config
        .hosts
        .keys()
        .flat_map(|host| config.catalogue.offers(host))
        .filter_map(|offer| Some((price(&offer, now)?, offer)))
        .filter(|(price, _)| ceiling.is_none_or(|ceiling| *price <= ceiling))
        .collect();
    listed.sort_by_cached_key(|(price, offer)| (*price, offer.target()));
    for (_, offer) in listed {
        if chosen.len() >= limit {
            break;
        }
        if fit(&offer) && !chosen.contains(&offer.target()) {
            chosen.push(offer.target());
        }
    }
    chosen
}

fn offer(config: &Config, target: &str) -> Option<Arc<Offer>> {
    let (host, model) = target.split_once('/')?;
    config.catalogue.offer(host, model)
}

/// The successor's offers: the name may be the vendor's own for it, or a `provider/model`.
fn successors(config: &Config, leaving: &Leaving) -> Vec<Arc<Offer>> {
    let Some(name) = &leaving.successor else { return Vec::new() };
    let hosts: Vec<&str> = config.hosts.keys().map(String::as_str).collect();
    let own = leaving.targets.iter().filter_map(|target| target.split_once('/'));
    let own = own.filter_map(|(host, _)| config.catalogue.offer(host, name));
    let found = config.catalogue.find(name, &hosts).into_iter().map(|hit| hit.offer);
    own.chain(offer(config, name)).chain(found).collect()
}

/// It chats, and does not end soon itself.
fn fits(offer: &Offer, today: Date) -> bool {
    let can = &offer.facts.can;
    let chats = can.chat != Ability::No && can.embeddings != Ability::Yes;
    let lasts = offer.retires.as_ref().is_none_or(|end| days(today, end.last_day) >= LASTS_DAYS);
    chats && lasts
}

/// A thousand tokens in and three hundred out: for an order, not for a bill.
fn price(offer: &Offer, now: Timestamp) -> Option<Money> {
    let usage = Usage { input: 1_000, output: 300, ..Usage::default() };
    offer.price(&usage, &Context { tier: Tier::Standard, region: None, at: now }).total()
}

/// The list price of a `provider/model`.
pub fn per_million(config: &Config, target: &str, now: Timestamp) -> PerMillion {
    let Some(offer) = offer(config, target) else { return PerMillion::default() };
    let prices = offer.list_prices(Tier::Standard, now);
    let of = |bucket| {
        let price = prices.iter().find(|price| price.bucket == bucket)?;
        price.steps.first().map(|(_, rate)| rate.usd_per_million())
    };
    PerMillion { input_usd: of(Bucket::Input), output_usd: of(Bucket::Output) }
}

/// Compares two runs over the cases that both answered. `None` when there are none.
pub fn versus(before: &Run, after: &Run) -> Option<Paired> {
    let pairs: Vec<(bool, bool)> = pairs(before, after).map(|(_, a, b)| (a, b)).collect();
    (!pairs.is_empty()).then(|| paired::compare(&pairs))
}

/// Cases that both runs answered: their id, passed before, passed after.
pub fn pairs<'r>(before: &'r Run, after: &'r Run) -> impl Iterator<Item = (&'r str, bool, bool)> {
    let answered = |result| matches!(result, Outcome::Pass | Outcome::Fail);
    before.cases.iter().filter_map(move |old| {
        let new = after.cases.iter().find(|new| new.id == old.id)?;
        (answered(old.result) && answered(new.result)).then_some((
            old.id.as_str(),
            old.result == Outcome::Pass,
            new.result == Outcome::Pass,
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::results::tests::case;

    const CONFIG: &str = r#"
        [catalogue]
        overlay = "prices.toml"
        [providers.north]
        wire = "openai"
        base_url = "http://127.0.0.1:9/v1"
        allow_private = true
        auth = "none"
        [models.old]
        targets = ["north/old"]
        [models.big]
        targets = ["north/big"]
        [routes.auto]
        default = "old"
        escalate = "big"
    "#;
    const PRICES: &str = r#"
        [[price]]
        target = "north/old"
        input = "1"
        output = "2"
        [[price]]
        target = "north/big"
        input = "5"
        output = "9"
        [[price]]
        target = "north/small"
        input = "0.1"
        output = "0.2"
        [[price]]
        target = "north/dear"
        input = "7"
        output = "9"
        [[price]]
        target = "north/new"
        input = "3"
        output = "3"
        [[price]]
        target = "north/going"
        input = "0.2"
        output = "0.2"
        [[model]]
        target = "north/old"
        last_day = "2026-12-24"
        successor = "new"
        [[model]]
        target = "north/going"
        last_day = "2026-12-01"
    "#;

    fn config() -> Config {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prices.toml"), PRICES).unwrap();
        std::fs::write(dir.path().join("tollgate.toml"), CONFIG).unwrap();
        let file = Some(dir.path().join("tollgate.toml"));
        let origin = gateway::config::store::Origin::reading(file, None).unwrap().with_env(|_| None);
        origin.load(1, now()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_end_and_the_candidates_come_from_catalogue_and_config() {
        let config = config();
        let leaving = leaving(&config, "old", Date::constant(2026, 11, 24)).unwrap();
        assert_eq!((leaving.days_left, leaving.successor.as_deref()), (Some(30), Some("new")));
        let found = candidates(&config, &leaving, now(), 10);
        // configured, then the successor, then cheaper ones; neither what costs more nor what goes itself
        assert_eq!(found, ["north/big", "north/new", "north/small"]);
        assert_eq!(candidates(&config, &leaving, now(), 1), ["north/big", "north/new"], "these always");
        let price = per_million(&config, "north/small", now());
        assert_eq!(price.input_usd, Money::parse_usd("0.1").ok());
    }

    #[test]
    fn only_cases_that_both_answered_are_compared() {
        let run = |results: &[Outcome]| {
            let ids = ["a", "b", "c", "d"];
            Run::new("m", 1.0, ids.into_iter().zip(results).map(|(id, r)| case(id, *r)).collect())
        };
        let before = run(&[Outcome::Pass, Outcome::Fail, Outcome::Pass, Outcome::Unanswered]);
        let after = run(&[Outcome::Fail, Outcome::Pass, Outcome::Skipped, Outcome::Pass]);
        let paired = versus(&before, &after).unwrap();
        assert_eq!((paired.cases, paired.regressed, paired.improved), (2, 1, 1));
        assert!(versus(&before, &run(&[Outcome::Skipped; 4])).is_none());
    }
}
