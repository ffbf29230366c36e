//! `tollgate route report`: what each score keeps of the flagship's quality at every share of strong calls, with
//! intervals, beside what as many calls picked at random keep.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::config::RouteConfig;
use gateway::tune as route_tune;
use router::Extent;
use router::tune::{Calibration, Choice, Prices, Row, Scores, curve};
use serde::Serialize;

use super::own::Own;
use super::tune::{BENCHMARK, LEAST_LABELS, OWN, load, prices, routes};
use crate::cli::Global;
use crate::commands::spend::plain;
use crate::place;

/// Flags of `route report`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this route [default: every route with an escalation; without any, the benchmark data alone]
    #[arg(long, value_name = "R")]
    route: Option<String>,
    /// Every point as comma-separated values
    #[arg(long)]
    csv: bool,
}

/// One score on one route.
#[derive(Debug, Serialize)]
struct Curve {
    /// `None`: no route, the benchmark data alone.
    route: Option<String>,
    /// `difficulty`, `doubt at 64 tokens`, `doubt at 256 tokens`, `doubt on the whole answer`.
    score: &'static str,
    /// `own traffic` or `benchmark data`.
    data: &'static str,
    /// `ledger`, `list` or `unknown`.
    prices: &'static str,
    points: Vec<Point>,
}

/// A threshold and what comes of it.
#[derive(Debug, Serialize)]
struct Point {
    /// Escalate above it; `None`: everything, at the curve's start, or nothing, at its end.
    over: Option<f64>,
    /// Share of requests that the strong model answers.
    strong_share: f64,
    /// Share of the strong model's quality, with its 95 % interval at this point.
    kept: f64,
    low: f64,
    high: f64,
    /// What as many strong calls keep when they are picked at random.
    at_random: f64,
    /// Modelled, dollars; `None` without prices.
    usd_per_1000: Option<f64>,
    /// Against the flagship alone; negative when it costs more.
    saving: Option<f64>,
}

/// Works the curves out and prints them.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let curves = curves(args, global)?;
    if global.json {
        let value = serde_json::json!({ "curves": curves });
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&value)?))?;
    } else if args.csv {
        crate::print(format_args!("{}", csv(&curves)))?;
    } else {
        crate::print(format_args!("{}", told(&curves)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn curves(args: &Args, global: &Global) -> anyhow::Result<Vec<Curve>> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let config = match (load(file.clone(), &data_dir), file) {
        (Err(error), Some(_)) => return Err(error),
        // Without a file and without keys in the environment there is no route to speak of.
        (Err(_), None) => None,
        (Ok(config), _) => Some(config),
    };
    let found = config.as_ref().map(|config| routes(config, args.route.as_deref()));
    let found = match found {
        Some(Err(error)) if args.route.is_some() => return Err(error),
        Some(Ok(found)) => found,
        _ => Vec::new(),
    };
    if found.is_empty() {
        let all = [Extent::Start, Extent::Quarter, Extent::Whole];
        return benchmark(None, None, "unknown", &all).context("the benchmark data");
    }
    let own = Own::read(&data_dir)?;
    let mut curves = Vec::new();
    for (name, route) in found {
        curves.extend(of_route(name, route, &own).with_context(|| format!("route `{name}`"))?);
    }
    Ok(curves)
}

fn of_route(name: &str, route: &RouteConfig, own: &Own) -> anyhow::Result<Vec<Curve>> {
    let escalate = route.escalate.as_ref().context("it has an escalation")?;
    let (found, from) = prices(name, route, escalate, own);
    let mut curves = Vec::new();
    if own.judged(name) >= LEAST_LABELS {
        curves.push(one(Some(name), "difficulty", OWN, &own.rows(name), (found, from))?);
    }
    let seen =
        if route.route.after.is_empty() { None } else { Some(route_tune::extent(route.route.hold_back)) };
    curves.extend(benchmark(Some(name), found, from, seen.as_slice())?);
    Ok(curves)
}

/// Difficulty, and doubt as far as an answer is seen.
fn benchmark(
    route: Option<&str>,
    prices: Option<Prices>,
    from: &'static str,
    seen: &[Extent],
) -> anyhow::Result<Vec<Curve>> {
    let data = Calibration::builtin();
    let all = |scores, extent| data.rows(scores, extent);
    let mut curves =
        vec![one(route, "difficulty", BENCHMARK, all(Scores::Difficulty, Extent::Start), (prices, from))?];
    for extent in seen {
        let score = match extent {
            Extent::Start => "doubt at 64 tokens",
            Extent::Quarter => "doubt at 256 tokens",
            Extent::Whole => "doubt on the whole answer",
        };
        curves.push(one(route, score, BENCHMARK, all(Scores::Doubt, *extent), (prices, from))?);
    }
    Ok(curves)
}

fn one(
    route: Option<&str>,
    score: &'static str,
    data: &'static str,
    rows: &[Row],
    (prices, from): (Option<Prices>, &'static str),
) -> anyhow::Result<Curve> {
    let scores = if score == "difficulty" { Scores::Difficulty } else { Scores::Doubt };
    let assumed = prices.unwrap_or(Prices { weak: 0.0, strong: 1.0 });
    let choices = curve(rows, scores, assumed)?;
    let weak = choices.last().map_or(1.0, |choice| choice.kept);
    let points = choices.iter().map(|choice| point(choice, weak, prices)).collect();
    Ok(Curve { route: route.map(str::to_owned), score, data, prices: from, points })
}

fn point(choice: &Choice, weak: f64, prices: Option<Prices>) -> Point {
    let strong_share = choice.before + choice.after;
    let (low, high) = choice.interval;
    Point {
        over: choice.difficulty_over.or(choice.doubt_over).filter(|over| over.is_finite()),
        strong_share,
        kept: choice.kept,
        low,
        high,
        at_random: weak + strong_share * (1.0 - weak),
        usd_per_1000: prices.map(|_| 1_000.0 * choice.cost),
        saving: prices.map(|prices| 1.0 - choice.cost / prices.strong),
    }
}

/// The point nearest to each tenth of strong calls.
fn tenths(points: &[Point]) -> Vec<&Point> {
    let mut shown: Vec<&Point> = Vec::new();
    for tenth in (0..=10_u8).rev() {
        let wanted = f64::from(tenth) / 10.0;
        let away = |point: &&Point| (point.strong_share - wanted).abs();
        let nearest = points.iter().min_by(|a, b| away(a).total_cmp(&away(b)));
        if let Some(nearest) = nearest
            && !shown.iter().any(|known| std::ptr::eq(*known, nearest))
        {
            shown.push(nearest);
        }
    }
    shown
}

fn told(curves: &[Curve]) -> String {
    let mut out = String::new();
    for curve in curves {
        let route = curve.route.as_deref().map(|name| format!("[routes.{name}] ")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{route}{}, on {}", curve.score, curve.data);
        let head = [
            "threshold",
            "strong calls",
            "quality kept",
            "95 % interval",
            "at random",
            "$ per 1,000",
            "saving",
        ];
        let mut table = plain(&head, 0);
        for point in tenths(&curve.points) {
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            let unknown = || "unknown".to_owned();
            table.add_row([
                point.over.map_or_else(|| "–".to_owned(), |over| format!("{over:.2}")),
                percent(point.strong_share),
                percent(point.kept),
                format!("{:.1} to {:.1}", 100.0 * point.low, 100.0 * point.high),
                percent(point.at_random),
                point.usd_per_1000.map_or_else(unknown, |usd| format!("{usd:.4}")),
                point.saving.map_or_else(unknown, percent),
            ]);
        }
        let _ = writeln!(out, "{}\n", table.trim_fmt());
    }
    out.push_str(
        "Quality kept is a share of the strong model's; \"at random\" is what as many strong calls keep without a score.\n\
         Costs are estimates: average calls of the route in the ledger, else list prices of 1,000 tokens in and 300 out.\n",
    );
    if curves.iter().any(|curve| curve.data == BENCHMARK) {
        out.push_str(
            "Benchmark data are not your traffic: on it more or less may be kept (docs/routing.md).\n",
        );
    }
    out
}

fn csv(curves: &[Curve]) -> String {
    let mut out = String::from(
        "route,score,data,prices,over,strong_share,kept,low,high,at_random,usd_per_1000,saving\n",
    );
    for curve in curves {
        for p in &curve.points {
            let maybe = |x: Option<f64>| x.map(|x| format!("{x:.6}")).unwrap_or_default();
            // A route's name has neither commas nor quotes. Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{},{},{},{},{},{:.6},{:.6},{:.6},{:.6},{:.6},{},{}",
                curve.route.as_deref().unwrap_or_default(),
                curve.score,
                curve.data,
                curve.prices,
                maybe(p.over),
                p.strong_share,
                p.kept,
                p.low,
                p.high,
                p.at_random,
                maybe(p.usd_per_1000),
                maybe(p.saving)
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_curve_is_above_chance_and_ends_at_the_weak_model() {
        let curves =
            benchmark(None, Some(Prices { weak: 1.0, strong: 10.0 }), "list", &[Extent::Whole]).unwrap();
        assert_eq!(curves.len(), 2);
        for curve in &curves {
            let (first, last) = (curve.points.first().unwrap(), curve.points.last().unwrap());
            assert!((first.kept - 1.0).abs() < 1e-9 && first.over.is_none(), "{first:?}");
            assert!(last.strong_share.abs() < 1e-9 && (last.kept - last.at_random).abs() < 1e-9, "{last:?}");
            let middle = curve.points.iter().find(|point| point.strong_share < 0.5).unwrap();
            assert!(middle.kept > middle.at_random, "{}: {middle:?}", curve.score);
            assert!(middle.low < middle.kept && middle.kept < middle.high);
        }
        assert_eq!(csv(&curves).lines().count(), 1 + curves.iter().map(|c| c.points.len()).sum::<usize>());
        assert!(tenths(&curves[0].points).len() >= 8);
    }
}
