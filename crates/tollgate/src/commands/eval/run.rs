//! `tollgate eval run SUITE --model M`.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;

use super::Asking;
use crate::cli::Global;
use crate::eval::replace::{pairs, versus};
use crate::eval::results::{FORMAT, Outcome, Results, Run, junit};
use crate::eval::run::Session;
use crate::{place, render};

/// Flags of `eval run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The suite: a TOML file
    suite: PathBuf,
    /// A model: `provider/model`, an alias, a catalogue id; may be repeated
    #[arg(long = "model", value_name = "M", required_unless_present = "routes")]
    models: Vec<String>,
    /// A route; may be repeated
    #[arg(long = "route", value_name = "R")]
    routes: Vec<String>,
    #[command(flatten)]
    asking: Asking,
    /// Earlier results: exit 1 too when a case that passed there fails now
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the results there [default: a new file in eval/results of the data directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write JUnit XML there
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs the suite. Exit 0: all passed; 1: one did not; 2: the suite is wrong; 3: some cases have no answer.
pub async fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let Some(suite) = super::read_suite(&args.suite, args.asking.allow_code) else {
        return Ok(ExitCode::from(2));
    };
    let baseline = args.baseline.as_deref().map(super::read_results).transpose()?;
    if let Some(baseline) = &baseline
        && baseline.suite_sha256 != suite.sha256
    {
        crate::say(format_args!(
            "note: the suite has changed since the baseline; cases are matched by their ids\n"
        ));
    }
    let session = super::open(suite, &args.asking, global).await?;
    let started_at = Timestamp::now();
    let models: Vec<String> = args.models.iter().chain(&args.routes).cloned().collect();
    let done = all(&session, &models, args.asking.dry_run).await;
    let results = done.map(|(runs, estimated_usd)| Results {
        format: FORMAT,
        suite: session.suite.name.clone(),
        suite_sha256: session.suite.sha256.clone(),
        min_pass: session.suite.min_pass,
        started_at,
        paid_usd: session.paid().usd,
        paid_unknown: session.paid().unknown,
        estimated_usd,
        runs,
    });
    super::close(session).await;
    let results = results?;
    if args.asking.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    keep(&results, &args, global)?;
    show(&results, baseline.as_ref(), global.json)?;
    Ok(verdict(&results, baseline.as_ref()))
}

async fn all(
    session: &Arc<Session>,
    models: &[String],
    dry_run: bool,
) -> anyhow::Result<(Vec<Run>, Option<catalog::Money>)> {
    let mut expected = Vec::new();
    for model in models {
        let one =
            session.expect(model).await.with_context(|| format!("`{model}` at {}", session.gate.place))?;
        expected.push((model.clone(), one));
    }
    let estimated = super::announce(session, &expected)?;
    let mut runs = Vec::new();
    for model in models.iter().filter(|_| !dry_run) {
        let bar = super::bar(session.suite.cases.len(), model);
        runs.push(session.run(model, None, &bar).await?);
        bar.finish_and_clear();
    }
    Ok((runs, estimated))
}

fn keep(results: &Results, args: &Args, global: &Global) -> anyhow::Result<()> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| super::results_file(&data_dir, &results.suite, results.started_at));
    if let (None, Some(folder)) = (&args.out, path.parent()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("{}", folder.display()))?;
    }
    write(&path, &(serde_json::to_string_pretty(results)? + "\n"))?;
    crate::say(format_args!("results: {}\n", path.display()));
    if let Some(path) = &args.junit {
        write(path, &junit(results))?;
    }
    Ok(())
}

/// Answers may be confidential: readable by the user alone.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{}", path.display()))
}

fn show(results: &Results, baseline: Option<&Results>, json: bool) -> anyhow::Result<()> {
    if json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(results)?))?;
    } else {
        crate::print(format_args!("{}\n", table(results)))?;
    }
    for run in &results.runs {
        for case in run.not_passed() {
            let word = if case.result == Outcome::Fail { "FAIL" } else { "no answer" };
            crate::say(format_args!("{word} {} {}: {}\n", run.model, case.id, case.why.join("; ")));
        }
        for case in baseline.into_iter().flat_map(|b| regressions(b, run)) {
            crate::say(format_args!("REGRESSION {} {case}: it passed in the baseline\n", run.model));
        }
        if let Some(paired) = baseline.and_then(|b| before(b, run)).and_then(|before| versus(before, run)) {
            crate::say(format_args!("{}: {}\n", run.model, super::compare::said(&paired)));
        }
    }
    let paid = crate::eval::run::Paid { usd: results.paid_usd, unknown: results.paid_unknown };
    crate::say(format_args!("{}\n", super::said_paid(paid)));
    Ok(())
}

fn table(results: &Results) -> String {
    let head =
        ["model", "verdict", "passed", "of", "95 % interval", "no answer", "cost $", "judges $", "cached"];
    let rows = results.runs.iter().map(|run| {
        let [low, high] = run.share_interval;
        vec![
            run.model.clone(),
            if run.pass { "pass" } else { "FAIL" }.to_owned(),
            run.passed.to_string(),
            run.total.to_string(),
            format!("{:.0}-{:.0}%", 100.0 * low, 100.0 * high),
            (run.unanswered + run.skipped).to_string(),
            match run.cost_unknown {
                0 => run.cost_usd.to_string(),
                n => format!("{} + {n} unknown", run.cost_usd),
            },
            run.judge_cost_usd.to_string(),
            run.cached.to_string(),
        ]
    });
    render::table(&head, rows)
}

/// The baseline's run of the same model, else its only one.
fn before<'b>(baseline: &'b Results, run: &Run) -> Option<&'b Run> {
    let same = baseline.runs.iter().find(|before| before.model == run.model);
    same.or_else(|| baseline.runs.first().filter(|_| baseline.runs.len() == 1))
}

fn regressions<'r>(baseline: &'r Results, run: &'r Run) -> Vec<&'r str> {
    let Some(before) = before(baseline, run) else { return Vec::new() };
    pairs(before, run).filter(|(_, before, now)| *before && !*now).map(|(id, ..)| id).collect()
}

fn verdict(results: &Results, baseline: Option<&Results>) -> ExitCode {
    let regressed = baseline.is_some_and(|b| results.runs.iter().any(|run| !regressions(b, run).is_empty()));
    let lost = results.runs.iter().any(|run| !run.pass && !run.may_pass(results.min_pass));
    if regressed || lost {
        return ExitCode::from(1);
    }
    if results.runs.iter().all(|run| run.pass) {
        return ExitCode::SUCCESS;
    }
    crate::say(format_args!("some cases have no answer; run it again to ask only for those\n"));
    ExitCode::from(3)
}
