//! `tollgate prices`: what a model costs, by which source, of which day; and newer lists.

mod lists;
mod sheet;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use catalog::{Catalogue, Offer};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use sheet::PriceSheet;

use crate::cli::Global;
use crate::{place, render};

/// After so many days a list is old: vendors change prices about once a month.
const OLD: i32 = 30;

/// Flags of `prices`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    /// `provider/model`, or a model's name at all hosts; without it, the sources are listed
    model: Option<String>,
    /// Prices at this time instead of now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Show what a newer list would change
    Diff(lists::File),
    /// Put a newer list into the data directory: a snapshot, genai-prices' v2 data or `LiteLLM`'s price map
    Update(lists::File),
    /// Show where two sources differ on what both list
    Check,
}

/// Prints prices, or does what the subcommand says.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    match (&args.task, &args.model) {
        (Some(Task::Diff(file)), _) => lists::diff(file, global, now),
        (Some(Task::Update(file)), _) => lists::update(file, global, now),
        (Some(Task::Check), _) => lists::check(global, now),
        (None, Some(model)) => one(model, args.at.unwrap_or(now), now, global),
        (None, None) => sources(global, now),
    }
}

/// The catalogue as `serve` sees it: built-in lists, newer ones from the data directory, the user's overlay.
pub fn catalogue(global: &Global) -> anyhow::Result<Catalogue> {
    let config = place::config_file(global);
    // Prices can be shown where there is no place for data.
    let known = match place::data_dir(global, config.as_deref()) {
        Ok(data_dir) => crate::catalogue::with_updates(&data_dir),
        Err(_) => Catalogue::builtin(),
    };
    let Some(file) = config else { return Ok(known) };
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    // Only this one key: prices can be looked up while the rest of the config is being edited.
    let (table, _) = toml::de::DeTable::parse_recoverable(&text);
    let section = table.get_ref().get("catalogue").and_then(|section| section.get_ref().get("overlay"));
    let Some(overlay) = section.and_then(|path| path.get_ref().as_str()) else { return Ok(known) };
    let path = file.parent().unwrap_or("".as_ref()).join(overlay);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(|| format!("{shown} cannot be read"))?;
    known.with_overlay(&shown, &text).map_err(|errors| anyhow::anyhow!(lists::told(&errors)))
}

fn today(now: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(now).date()
}

/// Days since the data was true; a list of tomorrow is as good as today's.
fn age(as_of: Date, now: Timestamp) -> i32 {
    as_of.until(today(now)).map_or(0, |span| span.get_days()).max(0)
}

/// Tells when a list is old.
fn warn_when_old(source: &str, as_of: Date, now: Timestamp) {
    let days = age(as_of, now);
    if days > OLD {
        crate::say(format_args!(
            "warning: the prices of {source} are {days} days old ({as_of}); `tollgate prices update FILE` takes newer ones\n"
        ));
    }
}

/// The offers that `name` may mean.
fn named(catalogue: &Catalogue, name: &str) -> Vec<Arc<Offer>> {
    let pinned = name.split_once('/').and_then(|(host, model)| catalogue.offer(host, model));
    if let Some(offer) = pinned {
        return vec![offer];
    }
    let hosts: Vec<&str> = catalogue.hosts().collect();
    catalogue.find(name, &hosts).into_iter().map(|hit| hit.offer).collect()
}

fn one(name: &str, at: Timestamp, now: Timestamp, global: &Global) -> anyhow::Result<ExitCode> {
    let catalogue = catalogue(global)?;
    let offers = named(&catalogue, name);
    if offers.is_empty() {
        let all: Vec<String> =
            catalogue.hosts().flat_map(|host| catalogue.offers(host)).map(|offer| offer.target()).collect();
        let near = catalog::nearest(name, all.iter().map(String::as_str), 3).join(", ");
        crate::say(format_args!("no model is named `{name}`; the nearest are {near}\n"));
        return Ok(ExitCode::from(1));
    }
    let sheets: Vec<PriceSheet<'_>> = offers.iter().map(|offer| PriceSheet::of(offer, at)).collect();
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&sheets)?))?;
    } else {
        let text: Vec<String> = sheets.iter().map(|sheet| sheet.told(now)).collect();
        crate::print(format_args!("{}\n", text.join("\n\n")))?;
    }
    let mut old: Vec<(&str, Date)> = offers
        .iter()
        .filter_map(|offer| Some((offer.origin()?.source.as_str(), offer.origin()?.as_of?)))
        .collect();
    old.sort_unstable();
    old.dedup();
    for (source, as_of) in old {
        warn_when_old(source, as_of, now);
    }
    Ok(ExitCode::SUCCESS)
}

/// The lists in use.
fn sources(global: &Global, now: Timestamp) -> anyhow::Result<ExitCode> {
    let catalogue = catalogue(global)?;
    let lists: Vec<(&str, Date)> = catalogue.snapshots().collect();
    if global.json {
        let lists: Vec<_> = lists
            .iter()
            .map(|(source, date)| serde_json::json!({"source": source, "as_of": date.to_string(), "age_days": age(*date, now), "old": age(*date, now) > OLD}))
            .collect();
        let all = serde_json::json!({"version": catalogue.version(), "sources": lists});
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        let row = |(source, date): &(&str, Date)| {
            vec![(*source).to_owned(), date.to_string(), age(*date, now).to_string()]
        };
        let table = render::table(&["source", "as of", "days old"], lists.iter().map(row));
        crate::print(format_args!("{table}\n\ncatalogue {}\n", catalogue.version()))?;
        crate::say(format_args!("`tollgate prices MODEL` shows one model's prices\n"));
    }
    // The newest list of a source is the one that counts.
    for (source, date) in &lists {
        if !lists.iter().any(|(other, newer)| other == source && newer > date) {
            warn_when_old(source, *date, now);
        }
    }
    Ok(ExitCode::SUCCESS)
}
