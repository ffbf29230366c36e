//! `tollgate eval replace MODEL --suite FILE`: the cheapest model that passes in its place.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use catalog::Money;
use jiff::Timestamp;
use serde::Serialize;

use super::Asking;
use crate::cli::Global;
use crate::eval::replace::{Leaving, PerMillion, Tried, candidates, leaving, per_million, versus};
use crate::eval::results::{Run, needed};
use crate::eval::run::{Expected, Session};
use crate::render;

/// Flags of `eval replace`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The model that goes: `provider/model`, an alias, a catalogue id
    model: String,
    /// The suite that a replacement must pass
    #[arg(long, value_name = "FILE")]
    suite: PathBuf,
    /// Try these instead of the configuration's and the catalogue's; may be repeated
    #[arg(long = "candidate", value_name = "M")]
    candidates: Vec<String>,
    /// Most candidates; configured ones and the vendor's own successor are always among them
    #[arg(long, value_name = "N", default_value_t = 12)]
    limit: usize,
    /// Try all candidates, not only up to the first that passes
    #[arg(long)]
    all: bool,
    /// Do not ask MODEL itself for comparison
    #[arg(long)]
    no_baseline: bool,
    #[command(flatten)]
    asking: Asking,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    leaving: Leaving,
    /// The model that goes, on the suite.
    baseline: Option<Run>,
    baseline_per_million: PerMillion,
    /// From the cheapest up.
    tried: Vec<Tried>,
    /// The cheapest that passes.
    replacement: Option<String>,
    paid_usd: Money,
    paid_unknown: usize,
}

/// Finds it. Exit 0: a replacement is named; 1: none passes.
pub async fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let Some(suite) = super::read_suite(&args.suite, args.asking.allow_code) else {
        return Ok(ExitCode::from(2));
    };
    let session = super::open(suite, &args.asking, global).await?;
    let found = find(&session, &args).await;
    super::close(session).await;
    let Some(found) = found? else { return Ok(ExitCode::SUCCESS) };
    for tried in &found.tried {
        for case in tried.run.not_passed() {
            crate::say(format_args!("FAIL {} {}: {}\n", tried.run.model, case.id, case.why.join("; ")));
        }
    }
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&found)?))?;
    } else {
        told(&found)?;
    }
    Ok(ExitCode::from(u8::from(found.replacement.is_none())))
}

/// `None` after a dry run.
async fn find(session: &Arc<Session>, args: &Args) -> anyhow::Result<Option<Found>> {
    let config = session.gate.config.clone();
    let config = config.context("the replacement is looked for in the configuration: see --config")?;
    let now = Timestamp::now();
    let today = jiff::tz::Offset::UTC.to_datetime(now).date();
    let leaving = leaving(&config, &args.model, today)?;
    announce(&leaving);
    let names = if args.candidates.is_empty() {
        candidates(&config, &leaving, now, args.limit)
    } else {
        args.candidates.clone()
    };
    let ordered = by_price(session, &names).await;
    if ordered.is_empty() {
        anyhow::bail!("no candidate: name some with --candidate, or configure more vendors");
    }
    super::announce(session, &ordered)?;
    if args.asking.dry_run {
        return Ok(None);
    }
    let total = session.suite.cases.len();
    let baseline = if args.no_baseline { None } else { Some(one(session, &args.model, None).await?) };
    let allowed = total.saturating_sub(needed(session.suite.min_pass, total));
    let mut tried = Vec::new();
    for (model, expected) in ordered {
        let run = one(session, &model, Some(allowed)).await?;
        let passed = run.pass;
        let versus = baseline.as_ref().and_then(|before| versus(before, &run));
        let estimated_usd = expected.in_full.first;
        tried.push(Tried { per_million: per_million(&config, &model, now), estimated_usd, versus, run });
        if passed && !args.all {
            break;
        }
    }
    let cheapest = tried.iter().filter(|tried| tried.run.pass).min_by_key(|tried| {
        let known = tried.run.cost_unknown == 0;
        (!known, tried.run.cost_usd)
    });
    Ok(Some(Found {
        baseline_per_million: per_million(&config, leaving.targets.first().unwrap_or(&args.model), now),
        replacement: cheapest.map(|tried| tried.run.model.clone()),
        leaving,
        baseline,
        tried,
        paid_usd: session.paid().usd,
        paid_unknown: session.paid().unknown,
    }))
}

fn announce(leaving: &Leaving) {
    let shown = leaving.targets.join(", ");
    let text = match (leaving.last_day, leaving.days_left) {
        (Some(day), Some(left)) if left >= 0 => {
            format!("{shown} is served until {day}, for {left} more days")
        }
        (Some(day), _) => format!("{shown} was served until {day}"),
        (None, _) => format!("{shown}: the catalogue knows of no end"),
    };
    let successor = leaving.successor.as_ref().map(|s| format!("; its vendor names {s}")).unwrap_or_default();
    crate::say(format_args!("{text}{successor}\n"));
}

/// The candidates that the gate would ask, from the cheapest up by the estimated cost of this suite; unknown prices last.
async fn by_price(session: &Arc<Session>, names: &[String]) -> Vec<(String, Expected)> {
    let mut ordered = Vec::new();
    for name in names {
        match session.expect(name).await {
            Ok(expected) => ordered.push((name.clone(), expected)),
            Err(why) => crate::say(format_args!("{name} is left out: {why}\n")),
        }
    }
    ordered.sort_by_key(|(name, expected)| {
        let cost = expected.in_full.first;
        (cost.is_none(), cost, name.clone())
    });
    ordered
}

async fn one(session: &Arc<Session>, model: &str, allowed: Option<usize>) -> anyhow::Result<Run> {
    let bar = super::bar(session.suite.cases.len(), model);
    let run = session.run(model, allowed, &bar).await;
    bar.finish_and_clear();
    run
}

fn told(found: &Found) -> anyhow::Result<()> {
    let head = [
        "model",
        "verdict",
        "passed",
        "of",
        "suite cost $",
        "$/M input",
        "$/M output",
        "regressed",
        "McNemar p",
    ];
    let shown = |price: Option<Money>| price.map_or("unknown".to_owned(), |price| price.to_string());
    let row = |run: &Run, price: &PerMillion, versus: Option<&crate::eval::paired::Paired>, word: &str| {
        vec![
            run.model.clone(),
            word.to_owned(),
            run.passed.to_string(),
            run.total.to_string(),
            if run.cost_unknown > 0 || run.skipped > 0 { "-".to_owned() } else { run.cost_usd.to_string() },
            shown(price.input_usd),
            shown(price.output_usd),
            versus.map_or("-".to_owned(), |v| v.regressed.to_string()),
            versus.map_or("-".to_owned(), |v| format!("{:.3}", v.p_value)),
        ]
    };
    let baseline = found.baseline.iter().map(|run| row(run, &found.baseline_per_million, None, "(goes)"));
    let tried = found.tried.iter().map(|tried| {
        let word = if tried.run.pass { "pass" } else { "FAIL" };
        row(&tried.run, &tried.per_million, tried.versus.as_ref(), word)
    });
    crate::print(format_args!("{}\n", render::table(&head, baseline.chain(tried))))?;
    match found.tried.iter().find(|tried| Some(&tried.run.model) == found.replacement.as_ref()) {
        Some(tried) => crate::print(format_args!(
            "cheapest that passes: {} at ${} for this suite (${} / ${} per million tokens in / out){}\n",
            tried.run.model,
            tried.run.cost_usd,
            shown(tried.per_million.input_usd),
            shown(tried.per_million.output_usd),
            found
                .baseline
                .as_ref()
                .map(|b| format!("; {} cost ${}", b.model, b.cost_usd))
                .unwrap_or_default(),
        ))?,
        None => crate::print(format_args!("no candidate passes\n"))?,
    }
    let paid = crate::eval::run::Paid { usd: found.paid_usd, unknown: found.paid_unknown };
    crate::say(format_args!("{}\n", super::said_paid(paid)));
    Ok(())
}
