//! `tollgate route tune --quality 0.95`: the thresholds that keep this share of the flagship's quality, with a confidence
//! bound, what they are expected to cost and save, and on which data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use gateway::config::store::Origin;
use gateway::config::{Config, Group, RouteConfig};
use gateway::tune as route_tune;
use jiff::Timestamp;
use router::tune::{Calibration, Choice, Goal, Prices, Row, Scores, tune};
use serde::Serialize;

use super::edit::{self, Change, Keys};
use super::own::Own;
use crate::cli::Global;
use crate::{catalogue, place};

/// Fewer labels of one's own than this are not tuned on.
pub(super) const LEAST_LABELS: usize = 500;
/// What thresholds were found on.
pub(super) const OWN: &str = "own traffic";
pub(super) const BENCHMARK: &str = "benchmark data";
/// Fewer answers than this say nothing of a price.
const LEAST_CALLS: usize = 30;

/// Flags of `route tune`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Share of the flagship's quality to keep, with 95 % confidence
    #[arg(long, value_name = "SHARE", value_parser = share, required_unless_present = "budget")]
    quality: Option<f64>,
    /// Instead: keep as much as this many dollars per 1,000 requests allow
    #[arg(long, value_name = "USD", value_parser = usd, conflicts_with = "quality")]
    budget: Option<f64>,
    /// Only this route [default: every route with an escalation]
    #[arg(long, value_name = "R")]
    route: Option<String>,
    /// Change these keys in the config file; comments and the rest stay
    #[arg(long)]
    write: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share above 0, at most 1, such as 0.95".to_owned()),
    }
}

fn usd(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('$').parse::<f64>() {
        Ok(usd) if usd > 0.0 && usd.is_finite() => Ok(usd),
        _ => Err("an amount of dollars such as 1.50".to_owned()),
    }
}

/// What was found for a route.
#[derive(Debug, Serialize)]
struct Tuned {
    route: String,
    /// `own traffic` or `benchmark data`.
    data: &'static str,
    /// Labels of one's own.
    own_labels: usize,
    difficulty_over: Option<f64>,
    doubt_over: Option<f64>,
    /// Share of the flagship's quality, and its lower 95 % bound.
    kept: f64,
    kept_at_least: f64,
    /// Shares of requests.
    escalated_before: f64,
    escalated_after: f64,
    /// Modelled; of an average call.
    usd_per_1000: Option<f64>,
    flagship_usd_per_1000: Option<f64>,
    /// Against the flagship alone; `None` without prices.
    saving: Option<f64>,
    /// `ledger`, `list` or `unknown`.
    prices: &'static str,
    /// No threshold holds: everything would go to the flagship.
    all_to_the_flagship: bool,
}

/// Finds the thresholds. Exit 1 when one route has none; 3 with a patch when the file cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let config = load(file.clone(), &data_dir)?;
    let routes = routes(&config, args.route.as_deref())?;
    let past = Own::read(&data_dir)?;
    let mut found = Vec::new();
    for (name, route) in routes {
        found.push(one(name, route, &past, args)?);
    }
    let written = if args.write { write(file.as_deref(), &found, args)? } else { Written::No };
    if let Written::Patch(patch) = &written {
        crate::print(format_args!("{patch}"))?;
    } else if global.json {
        let value = serde_json::json!({"routes": found, "written": matches!(written, Written::Yes)});
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&value)?))?;
    } else {
        crate::print(format_args!("{}", told(&found)))?;
    }
    match (written, &file) {
        (Written::Patch(_), Some(file)) => {
            crate::say(format_args!("{} cannot be written; the patch is on stdout\n", file.display()));
            Ok(ExitCode::from(3))
        }
        (Written::Yes, Some(file)) => {
            crate::say(format_args!("{} changed; a running server takes it up\n", file.display()));
            Ok(exit(&found))
        }
        _ => Ok(exit(&found)),
    }
}

fn exit(found: &[Tuned]) -> ExitCode {
    ExitCode::from(u8::from(found.iter().any(|tuned| tuned.all_to_the_flagship)))
}

/// A config for a look at it.
pub(super) fn load(file: Option<PathBuf>, data_dir: &Path) -> anyhow::Result<Config> {
    let prices = data_dir.to_owned();
    let origin = Origin::reading(file, Some(data_dir.to_owned()))?
        .with_catalogue(move || catalogue::with_updates(&prices));
    origin.load(1, Timestamp::now()).map_err(|errors| anyhow::anyhow!("{errors}"))
}

/// The routes with an escalation, or the one that is asked for. Errors when there is none.
pub(super) fn routes<'c>(
    config: &'c Config,
    only: Option<&str>,
) -> anyhow::Result<Vec<(&'c str, &'c RouteConfig)>> {
    let with_escalation = config.routes.iter().filter(|(_, route)| route.escalate.is_some());
    let chosen: Vec<(&str, &RouteConfig)> = with_escalation
        .filter(|(name, _)| only.is_none_or(|only| only == name.as_str()))
        .map(|(name, route)| (name.as_str(), route.as_ref()))
        .collect();
    match (chosen.is_empty(), only) {
        (false, _) => Ok(chosen),
        (true, Some(name)) if config.routes.contains_key(name) => {
            bail!("the route `{name}` has no `escalate`: there is nothing to tune")
        }
        (true, Some(name)) => bail!("no route is called `{name}`"),
        (true, None) => bail!("no route has an `escalate`: there is nothing to tune"),
    }
}

fn one(name: &str, route: &RouteConfig, own: &Own, args: &Args) -> anyhow::Result<Tuned> {
    let escalate = route.escalate.as_ref().context("it has an escalation")?;
    let (prices, from) = prices(name, route, escalate, own);
    // Without a price only the order of policies is known, and that needs none but "dearer".
    let assumed = prices.unwrap_or(Prices { weak: 1.0, strong: 10.0 });
    let goal = match (args.quality, args.budget) {
        (Some(quality), _) => Goal::Quality(quality),
        (None, Some(_)) if prices.is_none() => {
            bail!("route `{name}`: a budget needs prices, and one is unknown")
        }
        (None, Some(budget)) => Goal::Budget(budget / 1_000.0),
        (None, None) => bail!("--quality or --budget"),
    };
    let labels = own.judged(name);
    let enough = labels >= LEAST_LABELS;
    let choice = if enough {
        tune(&own.rows(name), Scores::Difficulty, assumed, goal)
    } else {
        let scores = route_tune::scores(&route.route);
        let rows: &[Row] = Calibration::builtin().rows(scores, route_tune::extent(route.route.hold_back));
        tune(rows, scores, assumed, goal)
    };
    let choice = choice.with_context(|| format!("route `{name}`"))?;
    Ok(Tuned {
        data: if enough { OWN } else { BENCHMARK },
        own_labels: labels,
        prices: from,
        ..told_of(name, &choice, prices)
    })
}

fn told_of(name: &str, choice: &Choice, prices: Option<Prices>) -> Tuned {
    let all = route_tune::is_all(choice);
    let cost =
        |weak: f64, strong: f64| (1.0 - choice.before) * weak + (choice.before + choice.after) * strong;
    let spent = prices.map(|prices| cost(prices.weak, prices.strong));
    Tuned {
        route: name.to_owned(),
        data: "",
        own_labels: 0,
        difficulty_over: choice.difficulty_over.filter(|_| !all).map(short),
        doubt_over: choice.doubt_over.filter(|_| !all).map(short),
        kept: choice.kept,
        kept_at_least: choice.kept_at_least,
        escalated_before: choice.before,
        escalated_after: choice.after,
        usd_per_1000: spent.map(|usd| 1_000.0 * usd),
        flagship_usd_per_1000: prices.map(|prices| 1_000.0 * prices.strong),
        saving: prices.zip(spent).map(|(prices, spent)| 1.0 - spent / prices.strong),
        prices: "",
        all_to_the_flagship: all,
    }
}

/// A threshold to three places, never bolder than it was found.
fn short(threshold: f64) -> f64 {
    (threshold * 1_000.0 + 1e-9).floor() / 1_000.0
}

/// What an average call costs: from the ledger where there are enough, else the list price of a usual one.
pub(super) fn prices(
    name: &str,
    route: &RouteConfig,
    escalate: &Group,
    own: &Own,
) -> (Option<Prices>, &'static str) {
    let of = |group: &Group| {
        let calls = group.targets.iter().filter_map(|target| own.calls(name, &target.id));
        let (n, usd) = calls.fold((0, 0.0), |(n, usd), (more, cost)| (n + more, usd + cost));
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        (n >= LEAST_CALLS).then(|| usd / n as f64)
    };
    match of(&route.default).zip(of(escalate)) {
        Some((weak, strong)) => (Some(Prices { weak, strong }), "ledger"),
        None => match route_tune::list_prices(&route.default, escalate, Timestamp::now()) {
            Some(prices) => (Some(prices), "list"),
            None => (None, "unknown"),
        },
    }
}

enum Written {
    No,
    Yes,
    Patch(String),
}

fn write(file: Option<&Path>, found: &[Tuned], args: &Args) -> anyhow::Result<Written> {
    let file = file.context("--write needs a config file: see --config and `tollgate init`")?;
    let shown = file.display().to_string();
    // A link is followed, not replaced.
    let file = std::fs::canonicalize(file).with_context(|| shown.clone())?;
    let old = std::fs::read_to_string(&file).with_context(|| shown.clone())?;
    let mut new = old.clone();
    for tuned in found.iter().filter(|tuned| !tuned.all_to_the_flagship) {
        let quality = args.quality.filter(|_| edit::has_quality(&new, &tuned.route));
        // Own labels say nothing of a doubt: that check stays what it was when they were made.
        let doubt_over = if tuned.data == OWN { Change::Keep } else { tuned.doubt_over.into() };
        let keys = Keys { difficulty_over: tuned.difficulty_over.into(), doubt_over, quality };
        new = edit::changed(&new, &tuned.route, keys)?;
    }
    if new == old {
        return Ok(Written::Yes);
    }
    let read_only = std::fs::metadata(&file).with_context(|| shown.clone())?.permissions().readonly();
    if read_only {
        return Ok(Written::Patch(edit::patch(&shown, &old, &new)));
    }
    match replace(&file, &new) {
        Ok(()) => Ok(Written::Yes),
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(Written::Patch(edit::patch(&shown, &old, &new)))
        }
        Err(e) => Err(e).with_context(|| shown),
    }
}

/// Puts the new text in the file's place at once: a server that reloads never sees half of it.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(name);
    std::fs::write(&fresh, text)?;
    let done = std::fs::metadata(file)
        .and_then(|metadata| std::fs::set_permissions(&fresh, metadata.permissions()))
        .and_then(|()| std::fs::rename(&fresh, file));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&fresh);
    }
    done
}

fn told(found: &[Tuned]) -> String {
    let mut out = String::new();
    for tuned in found {
        // Writing to a String cannot fail.
        let _ = write_route(&mut out, tuned);
    }
    out
}

fn write_route(out: &mut String, tuned: &Tuned) -> std::fmt::Result {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    writeln!(out, "[routes.{}]", tuned.route)?;
    if tuned.all_to_the_flagship {
        writeln!(
            out,
            "# no threshold keeps that much with confidence: make the flagship the default, or ask for less"
        )?;
    }
    if let Some(over) = tuned.difficulty_over {
        writeln!(
            out,
            "escalate_before = [{{ difficulty_over = {over} }}]   # beside the rules that are there"
        )?;
    }
    if let Some(over) = tuned.doubt_over {
        writeln!(out, "escalate_after = [{{ doubt_over = {over} }}]   # beside the checks that are there")?;
    }
    if tuned.difficulty_over.is_none() && tuned.doubt_over.is_none() && !tuned.all_to_the_flagship {
        writeln!(out, "# no learned score needed: the default model alone keeps that much")?;
    }
    writeln!(
        out,
        "# on {}: keeps {} of the flagship's quality, at least {} with 95 % confidence",
        tuned.data,
        percent(tuned.kept),
        percent(tuned.kept_at_least),
    )?;
    match tuned.data {
        OWN => writeln!(out, "# ({} judged requests of yours)", tuned.own_labels)?,
        _ => writeln!(
            out,
            "# ({} judged requests of your own are too few, it takes {LEAST_LABELS}; and prompts of a kind that the\n\
             # score does not know never escalate for it)",
            tuned.own_labels
        )?,
    }
    writeln!(
        out,
        "# to the flagship: {} before the call, {} after the cheap answer",
        percent(tuned.escalated_before),
        percent(tuned.escalated_after)
    )?;
    match (tuned.usd_per_1000, tuned.flagship_usd_per_1000, tuned.saving) {
        (Some(usd), Some(flagship), Some(saving)) => writeln!(
            out,
            "# expected: ${usd:.4} per 1,000 requests, the flagship alone ${flagship:.4}: saves {}\n# (an estimate from {})\n",
            percent(saving),
            match tuned.prices {
                "ledger" => "the average call of this route in the ledger",
                _ => "list prices, 1,000 tokens in and 300 out",
            }
        ),
        _ => writeln!(out, "# what it costs and saves is unknown: a price is missing\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_never_rounded_to_the_bold_side() {
        assert!((short(0.629_999) - 0.629).abs() < 1e-12);
        assert!((short(0.61) - 0.61).abs() < 1e-12);
    }
}
