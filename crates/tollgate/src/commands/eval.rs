//! `tollgate eval`: a regression suite against any model, vendor or route.

mod compare;
mod replace;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use catalog::Money;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::moment;

use crate::cli::Global;
use crate::eval::answers::Answers;
use crate::eval::gate::{Estimate, Gate, Where};
use crate::eval::run::{Expected, Paid, Session};
use crate::eval::suite::{self, Suite};
use crate::eval::{code, results};
use crate::place;

/// Flags of `eval`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Run a suite against models or routes; exit 1 when one does not pass
    Run(run::Args),
    /// Compare two results case by case; exit 1 when B has a regression
    Compare(compare::Args),
    /// Find the cheapest model that passes a suite in place of MODEL
    Replace(replace::Args),
}

/// How to ask: shared by `run` and `replace`.
#[derive(clap::Args, Debug)]
struct Asking {
    /// The gate's URL [default: the server of this data directory, else a gate for the time of the run]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where the client key for that gate is
    #[arg(long, value_name = "env:NAME|file:PATH")]
    key: Option<String>,
    /// Questions at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Answers younger than this are taken from earlier runs: 24h, 7d, 0m for none
    #[arg(long, value_name = "TIME", default_value = "24h")]
    max_age: String,
    /// Stop asking once this many dollars are spent; refuse to start when the estimate is above
    #[arg(long, value_name = "USD", value_parser = usd)]
    budget: Option<Money>,
    /// Run code that models wrote, in a fenced process, for checks of kind `code`
    #[arg(long)]
    allow_code: bool,
    /// Say what it would cost, and ask nothing
    #[arg(long)]
    dry_run: bool,
}

fn usd(text: &str) -> Result<Money, String> {
    match Money::parse_usd(text.trim_start_matches('$')) {
        Ok(money) if money >= Money::ZERO => Ok(money),
        _ => Err(format!("`{text}` is no amount of dollars such as 1.50")),
    }
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    if let What::Compare(args) = &args.what {
        return compare::run(args, global);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.what {
            What::Run(args) => run::run(args, global).await,
            What::Replace(args) => replace::run(args, global).await,
            What::Compare(args) => compare::run(&args, global),
        }
    })
}

/// Reads a suite; says every mistake. `None` (and exit 2) when there is one.
fn read_suite(path: &Path, allow_code: bool) -> Option<Suite> {
    let suite = match suite::read(path) {
        Ok(suite) => suite,
        Err(mistakes) => {
            crate::say(format_args!("{}\n", mistakes.join("\n")));
            return None;
        }
    };
    if suite.runs_code() && !allow_code {
        crate::say(format_args!(
            "{}: has checks of kind `code`, which run what a model wrote\nhint: --allow-code runs it in a fenced \
             process (limits of time, memory and files{})\n",
            path.display(),
            if code::can_cut_network() {
                ", no network"
            } else {
                "; this system does not let us take its network away"
            }
        ));
        return None;
    }
    Some(suite)
}

/// Opens the answers and the gate. Errors when either cannot be had.
async fn open(suite: Suite, asking: &Asking, global: &Global) -> anyhow::Result<Arc<Session>> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let now = Timestamp::now();
    let since = moment(&asking.max_age, now, &jiff::tz::TimeZone::UTC).context("--max-age")?;
    let answers = Answers::open(&data_dir, since)?;
    if suite.runs_code() && !code::can_cut_network() {
        crate::say(format_args!(
            "warning: code of models runs with the network; this system does not let us take it away\n"
        ));
    }
    let tags = format!("eval={},eval_run={}", suite.name, gateway::app::new_id());
    let at = Where { url: asking.url.as_deref(), key: asking.key.as_deref() };
    let gate = Gate::open(global, at, &tags).await?;
    Ok(Arc::new(Session {
        gate,
        answers,
        suite,
        jobs: asking.jobs.into(),
        budget: asking.budget,
        paid: Mutex::new(Paid::default()),
    }))
}

/// Ends the gate where it is ours.
async fn close(session: Arc<Session>) {
    if let Some(session) = Arc::into_inner(session) {
        session.gate.close().await;
    }
}

/// Says what is to be paid. Errors when that is above the budget.
fn announce(session: &Session, expected: &[(String, Expected)]) -> anyhow::Result<Option<Money>> {
    let mut sum = Some(Money::ZERO);
    for (model, expected) in expected {
        let cached = session.suite.cases.len().saturating_sub(expected.questions);
        let Estimate { first, most } = expected.to_pay;
        let cost = match (first, most.filter(|most| Some(*most) > first)) {
            (None, _) => "cost unknown: a price is missing".to_owned(),
            (Some(first), Some(most)) => {
                format!("about ${first}, up to ${most} if all escalate (estimated)")
            }
            (Some(first), None) => format!("about ${first} (estimated)"),
        };
        sum = sum.zip(first).map(|(a, b)| a + b);
        crate::say(format_args!(
            "{model}: {} questions to ask, {cached} answers known; {cost}\n",
            expected.questions
        ));
    }
    if let (Some(budget), Some(sum)) = (session.budget, sum)
        && sum > budget
    {
        anyhow::bail!("the estimate of ${sum} is above the budget of ${budget}; nothing was asked");
    }
    Ok(sum)
}

/// What was paid, for people.
fn said_paid(paid: Paid) -> String {
    let unknown = match paid.unknown {
        0 => String::new(),
        n => format!("; {n} calls of unknown cost come on top (`tollgate spend --by tag:eval_run`)"),
    };
    format!("paid in this run: ${} (exact, from the gate{unknown})", paid.usd)
}

/// A bar on stderr, only on a terminal.
fn bar(len: usize, model: &str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(model.to_owned());
    bar
}

/// Reads saved results. Errors when the file is none of ours, or a newer one.
fn read_results(path: &Path) -> anyhow::Result<results::Results> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
    let found: results::Results =
        serde_json::from_str(&text).with_context(|| format!("{shown} holds no results of `eval run`"))?;
    if found.format > results::FORMAT {
        anyhow::bail!("{shown} was written by a newer version");
    }
    Ok(found)
}

/// Where results are kept unless a file is named.
fn results_file(data_dir: &Path, suite: &str, at: Timestamp) -> PathBuf {
    let at = at.round(jiff::Unit::Second).unwrap_or(at).strftime("%Y%m%dT%H%M%SZ").to_string();
    data_dir.join(crate::eval::answers::FOLDER).join("results").join(format!("{suite}-{at}.json"))
}
