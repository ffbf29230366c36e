//! `tollgate spend`: what it cost, from the ledger. No server is asked, and none needs to run.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use catalog::Money;
use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{
    By, Condition, FocusQuery, FocusVersion, OpenError, Period, Reader, SourceQuality, Spend, SpendQuery,
    Totals,
};

use crate::cli::Global;
use crate::place;

/// How to print it.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// One row a group
    Csv,
    /// FOCUS: one row per attempt and price line
    Focus,
}

/// Which requests: shared with `requests`.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// From then on: 7d, 24h, a date, or RFC 3339 [default: the beginning]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to then, exclusive
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only those with FIELD=VALUE (route, model, provider, target, key, tag:NAME, status, reason, op, stream, session);
    /// may be repeated; an empty value means "none"
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub filter: Vec<Condition>,
    /// Time zone of days, hours and dates, e.g. Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub tz: TimeZone,
}

/// Flags of `spend`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Broken down by route, model, provider, target, key, reason, tag, tag:NAME, hour, day; several with commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "route")]
    by: Vec<By>,
    #[command(flatten)]
    which: Which,
    /// table, json, csv or focus [default: table]
    #[arg(long, value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// Version of FOCUS: 1.2, 1.3 or 1.4
    #[arg(long, value_name = "VERSION", default_value = "1.2")]
    focus_version: FocusVersion,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("`{name}` is no time zone: write e.g. UTC or Europe/Berlin"))
}

impl Which {
    /// The period meant. Errors when a time is none.
    pub fn period(&self) -> anyhow::Result<Period> {
        let now = Timestamp::now();
        let read = |text: &Option<String>, flag: &str| {
            text.as_deref()
                .map(|text| ledger::moment(text, now, &self.tz).with_context(|| flag.to_owned()))
                .transpose()
        };
        let period = Period { since: read(&self.since, "--since")?, until: read(&self.until, "--until")? };
        if let (Some(since), Some(until)) = (period.since, period.until) {
            anyhow::ensure!(since < until, "--since {since} is not before --until {until}");
        }
        Ok(period)
    }
}

/// Opens the ledger of the data directory. Errors with a hint.
pub fn open(global: &Global) -> anyhow::Result<Reader> {
    let file = place::config_file(global);
    let dir = place::data_dir(global, file.as_deref())?;
    reader(&dir)
}

pub fn reader(dir: &Path) -> anyhow::Result<Reader> {
    Reader::open(dir).map_err(|error: OpenError| anyhow::anyhow!("{error}\nhint: {}", error.hint()))
}

/// Prints what it cost.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let period = args.which.period()?;
    let format = match (args.format, global.json) {
        (Some(format), _) => format,
        (None, true) => Format::Json,
        (None, false) => Format::Table,
    };
    let reader = open(global)?;
    if format == Format::Focus {
        return focus(&reader, args, period);
    }
    let Which { filter, tz, .. } = args.which;
    let mut spend = reader.spend(&SpendQuery { by: args.by, period, filter, tz })?;
    if spend.by == [By::Route] {
        spend.add_quality(&reader.quality(period, false)?);
    }
    match format {
        Format::Json => crate::print(format_args!("{}\n", serde_json::to_string_pretty(&spend)?))?,
        Format::Csv => {
            let mut out = Vec::new();
            ledger::spend_csv(&spend, &mut out)?;
            crate::print(format_args!("{}", String::from_utf8_lossy(&out)))?;
        }
        _ => {
            crate::print(format_args!("{}\n", table(&spend)))?;
            crate::say(format_args!("{}", notes(&spend)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn focus(reader: &Reader, args: Args, period: Period) -> anyhow::Result<ExitCode> {
    let query = FocusQuery { period, filter: args.which.filter, version: args.focus_version };
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    let summary = match reader.focus(&query, out) {
        Err(ledger::ExportError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        other => other?,
    };
    crate::say(format_args!("{} rows, ${}\n", summary.rows, summary.total));
    if summary.left_out > 0 {
        crate::say(format_args!("{} attempts of unknown cost have no row\n", summary.left_out));
    }
    Ok(ExitCode::SUCCESS)
}

/// A plain table: readable without colour, and by `awk`.
pub fn plain(header: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

const SUMS: [&str; 9] =
    ["requests", "attempts", "escalated", "errors", "input", "cached", "output", "cost $", "saved $ (est.)"];

fn table(spend: &Spend) -> String {
    let names: Vec<String> = spend.by.iter().map(ToString::to_string).collect();
    let judged = spend.rows.iter().any(|row| row.quality.as_ref().is_some_and(|q| !q.is_empty()));
    let quality = judged.then_some("quality");
    let header: Vec<&str> = names.iter().map(String::as_str).chain(SUMS).chain(quality).collect();
    let mut table = plain(&header, names.len());
    for row in &spend.rows {
        let key = spend.by.iter().zip(&row.key).map(|(by, value)| shown(by, value.as_deref()));
        let quality = quality.map(|_| rated(row.quality.as_deref().unwrap_or_default()));
        table.add_row(key.chain(sums(&row.totals)).chain(quality));
    }
    let label = |i: usize| if i == 0 { "total".to_owned() } else { String::new() };
    table.add_row((0..names.len()).map(label).chain(sums(&spend.total)));
    table.trim_fmt()
}

/// A dimension's value, or what its absence means.
fn shown(by: &By, value: Option<&str>) -> String {
    match (value, by) {
        (Some(value), _) => printable(value),
        (None, By::Route) => "(pinned)".to_owned(),
        (None, By::Key) => "(no key)".to_owned(),
        (None, By::Tag(_)) => "(untagged)".to_owned(),
        (None, _) => "(unanswered)".to_owned(),
    }
}

/// Text that others chose, without what would move a terminal's cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

fn sums(totals: &Totals) -> [String; 9] {
    let share = |part: u64, of: u64| {
        let tenths = u128::from(part).saturating_mul(1000).checked_div(u128::from(of)).unwrap_or(0);
        format!("{}.{}%", tenths / 10, tenths % 10)
    };
    [
        totals.requests.to_string(),
        totals.attempts.to_string(),
        totals.escalated.to_string(),
        totals.errors.to_string(),
        totals.input_tokens.to_string(),
        share(totals.cached_tokens, totals.input_tokens),
        totals.output_tokens.to_string(),
        dollars(totals.cost_usd),
        if totals.compared == 0 { "–".to_owned() } else { dollars(totals.saving_usd) },
    ]
}

/// The quality of a route by its best source: a judge's comparisons before clients' thumbs. The JSON has all.
fn rated(sources: &[SourceQuality]) -> String {
    let by = |name: &str| sources.iter().find(|s| s.source == name);
    let Some(source) = by("judge").or_else(|| by("feedback")) else { return "unknown".to_owned() };
    let percent = |share: f64| format!("{:.0}", 100.0 * share);
    let (share, low, high) =
        (percent(source.good.share), percent(source.good.low), percent(source.good.high));
    let drifting = if source.drift.is_some_and(|d| d.alert) { ", falling" } else { "" };
    format!("{share} % ({low}–{high}), {} n={}{drifting}", source.source, source.n)
}

/// Dollars for people: rounded half away from zero to six decimals. JSON and CSV carry the exact amount.
pub fn dollars(amount: Money) -> String {
    let half = if amount < Money::ZERO { -500_000 } else { 500_000 };
    let micro = amount.pico().saturating_add(half) / 1_000_000;
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// What the figures do not say by themselves.
fn notes(spend: &Spend) -> String {
    let total = &spend.total;
    let mut notes = String::new();
    if total.unknown_cost > 0 {
        let _ = writeln!(
            notes,
            "{} attempts have no known price: they are not in the cost, and not free",
            total.unknown_cost
        );
    }
    if total.estimated_cost_usd > Money::ZERO {
        let _ =
            writeln!(notes, "${} of the cost rests on estimated usage", dollars(total.estimated_cost_usd));
    }
    if total.compared > 0 {
        let _ = writeln!(
            notes,
            "saved: against one direct call to the route's flagship each (${} for {} requests); an estimate",
            dollars(total.baseline_usd),
            total.compared
        );
    }
    if total.evaluation_usd > Money::ZERO {
        let _ = writeln!(
            notes,
            "${} more was spent on shadow and judge calls: `--where op=shadow`, `--where op=judge`",
            dollars(total.evaluation_usd)
        );
    }
    if spend.rows.iter().flat_map(|row| row.quality.iter().flatten()).next().is_some() {
        notes.push_str(
            "quality: share of answers that a judge found as good as the shadow's, or else that clients found good, \
             with Wilson's 95 % interval\n",
        );
    }
    if spend.by.contains(&By::Tag(None)) {
        notes.push_str("a request with several tags is in several rows; the total counts it once\n");
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_rounded_for_people_only() {
        let shown = ["0.0000005", "0.0000004", "-0.0000005", "12.3456789", "0"]
            .map(|text| dollars(Money::parse_usd(text).unwrap()));
        assert_eq!(shown, ["0.000001", "0.000000", "-0.000001", "12.345679", "0.000000"]);
    }

    #[test]
    fn a_missing_ledger_is_said_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let said = reader(dir.path()).unwrap_err().to_string();
        assert!(said.contains("no ledger") && said.contains("hint: run `tollgate serve`"), "{said}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a·[2Jb·");
    }
}
