//! `tollgate replay`: past requests against other prices, another policy or other vendors. No server is asked, and no
//! vendor called.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use gateway::config::Config;
use gateway::config::store::Origin;
use gateway::replay::{Interval, Kept, Part, Report, World};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::TrafficQuery;

use super::spend::{Which, dollars, plain, printable, reader};
use crate::cli::Global;
use crate::{catalogue, place};

/// Flags of `replay`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Another policy: a config file with other routes, models or vendors
    #[arg(long, value_name = "FILE", required_unless_present_any = ["prices", "at"])]
    policy: Option<PathBuf>,
    /// Other prices: an overlay (TOML) or a snapshot (JSON), on top of the catalogue
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// The moment whose prices hold: a date, RFC 3339, or 7d for a week ago [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Where the ledger has not measured how another model's tokenizer counts, take this ratio; it is said
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    assume_token_ratio: Option<f64>,
    #[command(flatten)]
    which: Which,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.1..=10.0).contains(&ratio) => Ok(ratio),
        _ => Err("a ratio from 0.1 to 10, such as 1.0".to_owned()),
    }
}

/// Replays and prints the difference.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let at =
        args.at.as_deref().map(|at| ledger::moment(at, now, &TimeZone::UTC)).transpose().context("--at")?;
    let paid_at = match &file {
        Some(file) => Arc::clone(&load(file, &data_dir)?.catalogue),
        None => Arc::new(catalogue::with_updates(&data_dir)),
    };
    let policy = args.policy.as_deref().map(|file| load(file, &data_dir)).transpose()?.map(Arc::new);
    let there = policy.as_ref().map_or(&paid_at, |policy| &policy.catalogue);
    let there = match &args.prices {
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(|| name.clone())?;
            Arc::new(gateway::replay::with_prices(there, &name, &text).map_err(|e| anyhow::anyhow!("{e}"))?)
        }
        None => Arc::clone(there),
    };
    let world = World {
        catalogue: there,
        policy,
        paid_at,
        at: at.unwrap_or(now),
        assumed_ratio: args.assume_token_ratio,
    };
    let query = TrafficQuery { period: args.which.period()?, filter: args.which.filter, decisions: false };
    let reader = reader(&data_dir)?;
    let report = gateway::replay::run(&reader, &query, &world)?;
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        crate::print(format_args!("{}\n", told(&report)))?;
        crate::say(format_args!("{}", notes(&report)));
    }
    Ok(ExitCode::SUCCESS)
}

/// A config, without its secrets: vendors are not called.
fn load(file: &Path, data_dir: &Path) -> anyhow::Result<Config> {
    let prices = data_dir.to_owned();
    let origin = Origin::reading(Some(file.to_owned()), None)?
        .with_env(|name| Some(std::env::var(name).unwrap_or_else(|_| format!("not-needed-for-{name}"))))
        .with_catalogue(move || catalogue::with_updates(&prices));
    origin.load(1, Timestamp::now()).map_err(|errors| anyhow::anyhow!("{errors}"))
}

const HEAD: [&str; 9] = [
    "route",
    "requests",
    "paid $",
    "would cost $",
    "95 % interval",
    "difference $",
    "exact",
    "estimated",
    "unknown",
];

fn told(report: &Report) -> String {
    let mut table = plain(&HEAD, 1);
    for part in &report.routes {
        let name = part.route.as_deref().map_or("(pinned)".to_owned(), printable);
        table.add_row(line(name, part));
    }
    table.add_row(line("total".to_owned(), &report.total));
    let mut text = table.trim_fmt();
    let total = &report.total;
    let share = |n: f64, of: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let of = of as f64;
        if of > 0.0 { format!("{:.1} %", 100.0 * n / of) } else { "unknown".to_owned() }
    };
    if report.policy {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let escalated = total.actual.escalated as f64;
        let _ = write!(
            text,
            "\n\nescalated: {} then, {} expected (of {} requests that it is known of)\nquality kept (of the flagship's): {}",
            share(escalated, total.requests),
            share(total.escalated.requests, total.escalated.of),
            total.escalated.of,
            total.quality.as_ref().map_or("unknown".to_owned(), kept)
        );
    }
    text
}

/// The kept share then and there.
fn kept(kept: &Kept) -> String {
    let shown = |interval: &Option<Interval>| match interval {
        Some(i) => format!("{:.1} % ({:.1} to {:.1})", 100.0 * i.mean, 100.0 * i.low, 100.0 * i.high),
        None => "unknown".to_owned(),
    };
    format!(
        "{} then, {} there; an estimate from {} judged answers",
        shown(&kept.then),
        shown(&kept.there),
        kept.judged
    )
}

fn line(name: String, part: &Part) -> [String; 9] {
    let unknown: u64 = part.unknown.values().sum();
    let exact = part.estimated_requests == 0;
    let would = if exact { dollars(part.exact_usd) } else { format!("~{:.6}", part.replayed_usd.mean) };
    let Interval { low, high, .. } = part.replayed_usd;
    [
        name,
        part.requests.to_string(),
        dollars(part.actual.cost_usd),
        if part.exact_requests + part.estimated_requests == 0 { "unknown".to_owned() } else { would },
        if exact { "exact".to_owned() } else { format!("{low:.6} to {high:.6}") },
        if part.compared == 0 { "–".to_owned() } else { format!("{:+.6}", part.difference_usd.mean) },
        part.exact_requests.to_string(),
        part.estimated_requests.to_string(),
        unknown.to_string(),
    ]
}

fn notes(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "prices of {} ({})", report.prices_at, report.catalogue);
    for (why, requests) in &report.total.unknown {
        let _ = writeln!(text, "unknown for {requests} requests: {}", printable(why));
    }
    for note in &report.notes {
        let _ = writeln!(text, "{note}");
    }
    text
}
