//! `tollgate models`: what the catalogue knows of hosts and models.

use std::process::ExitCode;
use std::sync::Arc;

use catalog::{Ability, Bucket, Capabilities, Catalogue, ListPrice, Offer, Tier};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::Global;
use crate::commands::prices;
use crate::render;

/// Flags of `models`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A part of the name; without it, the hosts are listed
    query: Option<String>,
    /// Only this host
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Also models that have retired
    #[arg(long)]
    retired: bool,
}

/// Lists models, or hosts; exit 1 when nothing fits.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let catalogue = prices::catalogue(global)?;
    let now = Timestamp::now();
    if args.query.is_none() && args.provider.is_none() && !global.json {
        crate::print(format_args!("{}\n", hosts(&catalogue)))?;
        crate::say(format_args!("`tollgate models QUERY` searches them\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let found = search(&catalogue, &args, now);
    if found.is_empty() {
        let all: Vec<String> = every_offer(&catalogue).map(|offer| offer.target()).collect();
        let query = args.query.or(args.provider).unwrap_or_default();
        let near = catalog::nearest(&query, all.iter().map(String::as_str), 3).join(", ");
        crate::say(format_args!("no model fits `{query}`; the nearest are {near}\n"));
        return Ok(ExitCode::from(1));
    }
    if global.json {
        let rows: Vec<Row<'_>> = found.iter().map(|offer| Row::of(offer, now)).collect();
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&rows)?))?;
    } else {
        crate::print(format_args!("{}\n", table(&found, now)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn every_offer(catalogue: &Catalogue) -> impl Iterator<Item = Arc<Offer>> {
    catalogue.hosts().flat_map(|host| catalogue.offers(host))
}

fn search(catalogue: &Catalogue, args: &Args, now: Timestamp) -> Vec<Arc<Offer>> {
    let query = args.query.as_deref().unwrap_or_default().to_lowercase();
    let named = |offer: &Offer| {
        let aliases = offer.aliases.iter().any(|alias| alias.to_lowercase().contains(&query));
        aliases || offer.target().to_lowercase().contains(&query)
    };
    let served = |offer: &Offer| args.retired || !has_retired(offer, now);
    let at = |offer: &Offer| args.provider.as_deref().is_none_or(|host| offer.provider == host);
    every_offer(catalogue).filter(|offer| at(offer) && served(offer) && named(offer)).collect()
}

/// The last day on which it was served has passed.
fn has_retired(offer: &Offer, now: Timestamp) -> bool {
    let today = TimeZone::UTC.to_datetime(now).date();
    offer.retires.as_ref().is_some_and(|end| end.last_day < today)
}

fn hosts(catalogue: &Catalogue) -> String {
    let rows = catalogue.providers().iter().map(|host| {
        let offers = catalogue.offers(&host.id);
        let priced = offers.iter().filter(|offer| offer.has_price()).count();
        let models =
            if offers.is_empty() { "yours".to_owned() } else { format!("{priced} of {}", offers.len()) };
        vec![host.id.clone(), host.name.clone(), host.wire.clone(), host.key_env.join(", "), models]
    });
    render::table(&["provider", "name", "wire", "key variable", "models with a price"], rows)
}

fn table(offers: &[Arc<Offer>], now: Timestamp) -> String {
    let rows = offers.iter().map(|offer| {
        let prices = offer.list_prices(Tier::Standard, now);
        let count = |n: Option<u64>| n.map(render::thousands).unwrap_or_default();
        let end = offer.retires.as_ref().map(|end| end.last_day.to_string());
        vec![
            offer.target(),
            count(offer.facts.context),
            count(offer.facts.max_output),
            price(&prices, Bucket::Input),
            price(&prices, Bucket::Output),
            abilities(offer),
            end.unwrap_or_default(),
        ]
    });
    let head = ["model", "context", "max output", "$/M in", "$/M out", "can", "last day"];
    render::table(&head, rows)
}

/// The price below the first bracket; a `+` tells that there are brackets.
fn price(prices: &[ListPrice], bucket: Bucket) -> String {
    match prices.iter().find(|price| price.bucket == bucket) {
        Some(price) => {
            let base = price.steps.first().map(|(_, rate)| rate.usd_per_million().to_string());
            format!("{}{}", base.unwrap_or_default(), if price.steps.len() > 1 { "+" } else { "" })
        }
        None => "unknown".to_owned(),
    }
}

fn abilities(offer: &Offer) -> String {
    let can = |name: &&str| offer.facts.can.get(name) == Some(Ability::Yes);
    let mut known: Vec<&str> =
        Capabilities::NAMES.iter().copied().filter(|name| *name != "chat" && can(name)).collect();
    if offer.facts.reasoning {
        known.push("reasoning");
    }
    known.join(" ")
}

/// A model in JSON.
#[derive(Serialize)]
struct Row<'a> {
    target: String,
    provider: &'a str,
    model: &'a str,
    aliases: &'a [String],
    maker: bool,
    context: Option<u64>,
    max_output: Option<u64>,
    reasoning: bool,
    can: Capabilities,
    last_day: Option<String>,
    successor: Option<&'a str>,
    prices: prices::PriceSheet<'a>,
}

impl<'a> Row<'a> {
    fn of(offer: &'a Offer, now: Timestamp) -> Self {
        let end = offer.retires.as_ref();
        Self {
            target: offer.target(),
            provider: &offer.provider,
            model: &offer.model,
            aliases: &offer.aliases,
            maker: offer.maker,
            context: offer.facts.context,
            max_output: offer.facts.max_output,
            reasoning: offer.facts.reasoning,
            can: offer.facts.can,
            last_day: end.map(|end| end.last_day.to_string()),
            successor: end.and_then(|end| end.successor.as_deref()),
            prices: prices::PriceSheet::of(offer, now),
        }
    }
}
