//! `tollgate tco [FILE]`: compares stacks.

use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tco::capacity::Points;
use tco::{GridRequest, Market, Options, Report, Scenario};

use super::question::{self, Refused};
use super::{document, focus, table};
use crate::cli::Global;
use crate::commands::{prices, spend};

/// How to print it.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// One row a line of a bill
    Csv,
    /// Markdown
    Md,
    /// FOCUS 1.2: one charge a line of a bill
    Focus,
}

/// Flags of `tco`.
#[derive(clap::Args, Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that people type")]
pub struct Compare {
    #[command(flatten)]
    pub question: question::Flags,
    /// The traffic of the ledger since then: 7d, 24h or a date; without FILE the stacks follow from it too
    #[arg(long, value_name = "TIME")]
    pub from_ledger: Option<String>,
    /// Your own measurements of capacity, which outrank the model (columns as in `tco predict`)
    #[arg(long, value_name = "CSV")]
    pub bench: Option<std::path::PathBuf>,
    /// Seed of the draws: the same seed gives the same bytes
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many draws
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub draws: Option<u32>,
    /// Every line of every bill, with its formula and source
    #[arg(long)]
    pub explain: bool,
    /// table, json, csv, md or focus [default: table]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub format: Option<Format>,
    /// Also write the report as one HTML file with charts, readable without network
    #[arg(long, value_name = "FILE")]
    pub html: Option<std::path::PathBuf>,
    /// The same as --format csv
    #[arg(long, conflicts_with_all = ["format", "markdown", "focus"])]
    pub csv: bool,
    /// The same as --format md
    #[arg(long, conflicts_with_all = ["format", "focus"])]
    pub markdown: bool,
    /// The same as --format focus
    #[arg(long, conflicts_with = "format")]
    pub focus: bool,
}

/// Flags of `tco sensitivity`.
#[derive(clap::Args, Debug, Clone)]
pub struct Sensitivity {
    #[command(flatten)]
    pub decide: Compare,
    /// Two inputs that move at once, each as NAME or NAME=LOW..HIGH
    #[arg(long, num_args = 2, value_names = ["X", "Y"])]
    pub grid: Option<Vec<String>>,
    /// Values of each in the grid
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub steps: u32,
}

/// Which part of the report a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// Break-evens.
    BreakEven,
    /// Tornado and flip points.
    Sensitivity,
    /// Spreads over the draws.
    Risk,
}

impl Compare {
    fn format(&self, global: &Global) -> Format {
        match self.format {
            Some(format) => format,
            None if self.csv => Format::Csv,
            None if self.markdown => Format::Md,
            None if self.focus => Format::Focus,
            None if global.json => Format::Json,
            None => Format::Table,
        }
    }

    fn options(&self) -> Options {
        Options { seed: self.seed, draws: self.draws.and_then(|draws| usize::try_from(draws).ok()) }
    }
}

/// Says every problem; exit 2.
fn refused(refused: Refused) -> anyhow::Result<ExitCode> {
    match refused {
        Refused::Other(error) => Err(error),
        Refused::Problems(problems) => {
            for problem in &problems {
                crate::say(format_args!("error: {problem}\n"));
            }
            Ok(ExitCode::from(2))
        }
    }
}

/// What was asked for has no charges; exit 2.
fn no_charges() -> anyhow::Result<ExitCode> {
    let problem = "has charges, and this answer has none";
    let hint = "`tollgate tco FILE --focus` exports the bills; --json and --csv work here";
    refused(Refused::Problems(vec![tco::Problem::new("--format focus", problem, hint)]))
}

/// The scenario of file, ledger and flags. A ledger gives the traffic and, without a file, the stacks too.
fn scenario(args: &Compare, global: &Global) -> Result<Scenario, Refused> {
    let file = match &args.question.file {
        Some(file) => Some(question::read(file)?),
        None => None,
    };
    let base = match (&args.from_ledger, file) {
        (None, Some(file)) => file,
        (None, None) => {
            let hint = "FILE, or --from-ledger 7d";
            return Err(Refused::Problems(vec![tco::Problem::new("", "there is no scenario", hint)]));
        }
        (Some(time), None) => from_ledger(time, global)?,
        (Some(time), Some(file)) => tco::tree::on_traffic_of(from_ledger(time, global)?, file),
    };
    args.question
        .scenario(base, |tree| with_market(args, global, |market| Ok(tco::unknown_names(tree, market))))
}

fn from_ledger(time: &str, global: &Global) -> Result<serde_json::Value, Refused> {
    let since = gateway::decision::Since::parse(time, Timestamp::now()).map_err(|error| {
        Refused::Problems(vec![tco::Problem::new("--from-ledger", error.to_string(), "7d, 24h, or a date")])
    })?;
    let reader = spend::open(global)?;
    let catalogue = prices::catalogue(global)?;
    gateway::decision::scenario(&reader, since, &catalogue).map_err(|error| Refused::Other(error.into()))
}

/// Decides and prints.
pub fn run(args: &Compare, global: &Global, part: Part) -> anyhow::Result<ExitCode> {
    let report = match scenario(args, global).and_then(|scenario| decide(args, global, &scenario)) {
        Ok(report) => report,
        Err(why) => return refused(why),
    };
    print(&report, args, global, part)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks with the catalogue of this machine, now, and the measurements named.
fn with_market<T>(
    args: &Compare,
    global: &Global,
    ask: impl FnOnce(&Market<'_>) -> Result<T, Vec<tco::Problem>>,
) -> Result<T, Refused> {
    let catalogue = prices::catalogue(global)?;
    let points = match &args.bench {
        None => Points::default(),
        Some(file) => own_points(file)?,
    };
    ask(&Market { catalogue: &catalogue, at: Timestamp::now(), points: &points }).map_err(Refused::Problems)
}

fn own_points(file: &std::path::Path) -> Result<Points, Refused> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let wrong = |lines: Vec<String>| {
        let problem = |line| tco::Problem::new("--bench", line, "columns as in `tollgate tco predict`");
        Refused::Problems(lines.into_iter().map(problem).collect())
    };
    let points = tco::capacity::read_points(&text).map_err(wrong)?;
    Points::with_bench(&points).map_err(wrong)
}

fn decide(args: &Compare, global: &Global, scenario: &Scenario) -> Result<Report, Refused> {
    with_market(args, global, |market| tco::decide(scenario, market, &args.options()))
}

fn print(report: &Report, args: &Compare, global: &Global, part: Part) -> anyhow::Result<()> {
    let text = match args.format(global) {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        Format::Csv => document::csv(report)?,
        Format::Md => document::markdown(report),
        Format::Focus => focus::focus(report, TimeZone::UTC.to_datetime(Timestamp::now()).date())?,
        Format::Table => table::report(report, part, args.explain),
    };
    crate::print(format_args!("{text}"))?;
    if let Some(file) = &args.html {
        let named = args.question.file.as_ref().and_then(|file| file.file_stem());
        let title =
            named.map_or_else(|| report.workload.source.clone(), |name| name.to_string_lossy().into_owned());
        let page = web::report::page(report, &title)?;
        std::fs::write(file, page).with_context(|| format!("{} cannot be written", file.display()))?;
        crate::say(format_args!("wrote {}\n", file.display()));
    }
    Ok(())
}

/// The eight questions, answered where the scenario can; exit 1 when an answer speaks against machines.
pub fn checklist(args: &Compare, global: &Global) -> anyhow::Result<ExitCode> {
    let asked = scenario(args, global).and_then(|scenario| {
        with_market(args, global, |market| tco::checklist(&scenario, market, &args.options()))
    });
    let (questions, report) = match asked {
        Ok(asked) => asked,
        Err(why) => return refused(why),
    };
    let text = match args.format(global) {
        Format::Json => {
            format!(
                "{}\n",
                serde_json::to_string_pretty(
                    &serde_json::json!({ "checklist": questions, "winner": report.winner })
                )?
            )
        }
        Format::Csv => document::checklist_csv(&questions)?,
        Format::Focus => return no_charges(),
        Format::Table | Format::Md => table::checklist(&questions),
    };
    crate::print(format_args!("{text}"))?;
    let against = questions.iter().any(|question| question.answer == tco::Answer::No);
    Ok(ExitCode::from(u8::from(against)))
}

/// Tornado, flip points, and a grid where one is asked for.
pub fn sensitivity(args: &Sensitivity, global: &Global) -> anyhow::Result<ExitCode> {
    let Some(grid) = &args.grid else { return run(&args.decide, global, Part::Sensitivity) };
    let made = scenario(&args.decide, global).and_then(|scenario| {
        let request = grid_request(grid, args.steps)?;
        with_market(&args.decide, global, |market| tco::grid(&scenario, market, &request))
    });
    let grid = match made {
        Ok(grid) => grid,
        Err(why) => return refused(why),
    };
    let text = match args.decide.format(global) {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&grid)?),
        Format::Csv => document::grid_csv(&grid)?,
        Format::Focus => return no_charges(),
        Format::Table | Format::Md => table::grid(&grid),
    };
    crate::print(format_args!("{text}"))?;
    Ok(ExitCode::SUCCESS)
}

/// `NAME` or `NAME=LOW..HIGH`.
fn grid_request(axes: &[String], steps: u32) -> Result<GridRequest, Refused> {
    let read = |text: &str| -> Result<(String, Option<(f64, f64)>), Refused> {
        let Some((name, ends)) = text.split_once('=') else { return Ok((text.to_owned(), None)) };
        let parsed = ends.split_once("..").and_then(|(low, high)| {
            Some((low.trim().parse::<f64>().ok()?, high.trim().parse::<f64>().ok()?))
        });
        let Some(ends) = parsed.filter(|(low, high)| low.is_finite() && high.is_finite() && low < high)
        else {
            let message = format!("`{ends}` is no range");
            let hint = "NAME=LOW..HIGH, e.g. peak_to_mean=1..5";
            return Err(Refused::Problems(vec![tco::Problem::new("--grid", message, hint)]));
        };
        Ok((name.to_owned(), Some(ends)))
    };
    let (x, y) = match axes {
        [x, y] => (read(x)?, read(y)?),
        _ => (read("workload")?, read("workload")?),
    };
    Ok(GridRequest { x: x.0, x_ends: x.1, y: y.0, y_ends: y.1, n: usize::try_from(steps).unwrap_or(12) })
}
