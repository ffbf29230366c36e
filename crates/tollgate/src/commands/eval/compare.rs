//! `tollgate eval compare A B`: two results of one suite, case by case.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::Global;
use crate::eval::paired::Paired;
use crate::eval::replace::{pairs, versus};
use crate::eval::results::{Results, Run};

/// Flags of `eval compare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Results of `eval run`: FILE, or FILE#MODEL where the file holds several models
    a: String,
    /// The newer results
    b: String,
    /// Exit 1 only when B is worse at this level of significance (exact McNemar test), not for any case that regressed
    #[arg(long, value_name = "P", value_parser = level)]
    alpha: Option<f64>,
}

fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(p) if p > 0.0 && p < 1.0 => Ok(p),
        _ => Err("a level of significance between 0 and 1, such as 0.05".to_owned()),
    }
}

/// Compares. Exit 1 when B regressed.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let ((results_a, a), (results_b, b)) = (one(&args.a)?, one(&args.b)?);
    if results_a.suite_sha256 != results_b.suite_sha256 {
        crate::say(format_args!("note: the suite changed in between; cases are matched by their ids\n"));
    }
    let Some(paired) = versus(&a, &b) else { anyhow::bail!("no case was answered in both") };
    let changed =
        |from: bool| pairs(&a, &b).filter(move |(_, a, b)| *a == from && *b != from).map(|(id, ..)| id);
    let (regressed, improved): (Vec<&str>, Vec<&str>) = (changed(true).collect(), changed(false).collect());
    let left_out = a.total.max(b.total).saturating_sub(paired.cases);
    if global.json {
        let value = json!({
            "a": {"model": a.model, "passed": a.passed, "total": a.total, "cost_usd": a.cost_usd},
            "b": {"model": b.model, "passed": b.passed, "total": b.total, "cost_usd": b.cost_usd},
            "paired": paired, "regressed": regressed, "improved": improved, "not_compared": left_out,
        });
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&value)?))?;
    } else {
        for (name, run) in [("A", &a), ("B", &b)] {
            crate::print(format_args!(
                "{name}  {}: {} of {} passed, ${}\n",
                run.model, run.passed, run.total, run.cost_usd
            ))?;
        }
        crate::print(format_args!("{}\n", said(&paired)))?;
        for (word, ids) in [("regressed", &regressed), ("improved", &improved)] {
            if !ids.is_empty() {
                crate::print(format_args!("{word}: {}\n", ids.join(", ")))?;
            }
        }
        if left_out > 0 {
            crate::say(format_args!("{left_out} cases were not answered in both, and are not compared\n"));
        }
    }
    let worse = match args.alpha {
        Some(alpha) => paired.regressed > paired.improved && paired.p_value < alpha,
        None => !regressed.is_empty(),
    };
    Ok(ExitCode::from(u8::from(worse)))
}

/// The comparison in a line.
pub fn said(paired: &Paired) -> String {
    let [low, high] = paired.interval;
    format!(
        "{} cases in both: {} regressed, {} improved; difference {:+.1} points, 95 % interval {:+.1} to {:+.1} \
         (paired bootstrap); exact McNemar test p = {:.3}",
        paired.cases,
        paired.regressed,
        paired.improved,
        100.0 * paired.difference,
        100.0 * low,
        100.0 * high,
        paired.p_value
    )
}

/// `FILE` or `FILE#MODEL`.
fn one(named: &str) -> anyhow::Result<(Results, Run)> {
    let (file, model) = match named.rsplit_once('#') {
        Some((file, model)) if !Path::new(named).exists() => (file, Some(model)),
        _ => (named, None),
    };
    let results = super::read_results(Path::new(file))?;
    let models = || results.runs.iter().map(|run| run.model.as_str()).collect::<Vec<_>>().join(", ");
    let run = match (model, results.runs.as_slice()) {
        (Some(model), runs) => runs.iter().find(|run| run.model == model),
        (None, [run]) => Some(run),
        (None, _) => anyhow::bail!("{file} holds several models: name one as {file}#MODEL, of {}", models()),
    };
    let Some(run) = run.cloned() else { anyhow::bail!("{named}: the file holds {}", models()) };
    Ok((results, run))
}
