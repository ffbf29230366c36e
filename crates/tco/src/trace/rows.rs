//! Rows of the known formats.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Format, Row};
use crate::problem::Problem;

/// Lines that are named of each kind of mistake.
const NAMED: usize = 5;

/// Where each value stands in a record.
struct Columns {
    at: usize,
    input: usize,
    output: usize,
    cached: Option<usize>,
    reasoning: Option<usize>,
    class: Option<usize>,
}

/// What is wrong with a line.
struct Bad {
    what: &'static str,
    line: u64,
}

/// Rows with an answer, whether their time is a date, and how many rows had no answer.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<(Vec<Row>, bool, usize), Vec<Problem>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes);
    let header = reader.headers().map_err(|error| vec![unreadable(&error)])?.clone();
    let columns = columns(&header, format)?;
    let (mut rows, mut failed, mut bad, mut dated) = (Vec::new(), 0, Vec::new(), None);
    for record in reader.records() {
        let record = record.map_err(|error| vec![unreadable(&error)])?;
        let line = record.position().map_or(0, csv::Position::line);
        match row(&record, &columns) {
            Ok((row, is_date)) => {
                if *dated.get_or_insert(is_date) != is_date {
                    bad.push(Bad { what: "mixes dates and seconds", line });
                } else if row.output > 0.0 {
                    rows.push(row);
                } else {
                    failed += 1;
                }
            }
            Err(what) => bad.push(Bad { what, line }),
        }
    }
    if bad.is_empty() { Ok((rows, dated.unwrap_or(false), failed)) } else { Err(problems(&bad)) }
}

fn unreadable(error: &csv::Error) -> Problem {
    Problem::new("trace", format!("is no CSV: {error}"), "comma-separated values with a header line")
}

fn problems(bad: &[Bad]) -> Vec<Problem> {
    let mut kinds: Vec<&'static str> = bad.iter().map(|bad| bad.what).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let problem = |what: &'static str| {
        let lines: Vec<u64> = bad.iter().filter(|bad| bad.what == what).map(|bad| bad.line).collect();
        let first: Vec<String> = lines.iter().take(NAMED).map(ToString::to_string).collect();
        let more =
            if lines.len() > NAMED { format!(" and {} more", lines.len() - NAMED) } else { String::new() };
        Problem::new("trace", what, format!("line {}{more}", first.join(", ")))
    };
    kinds.into_iter().map(problem).collect()
}

fn columns(header: &csv::StringRecord, format: Format) -> Result<Columns, Vec<Problem>> {
    let find = |names: &[&str]| {
        header.iter().position(|cell| {
            let cell = cell.trim_start_matches('\u{feff}');
            names.iter().any(|name| name.eq_ignore_ascii_case(cell))
        })
    };
    let (at, input, output): (&[&str], &[&str], &[&str]) = match format {
        Format::Csv => (&["timestamp", "time", "at"], &["input_tokens"], &["output_tokens"]),
        Format::Azure => (&["TIMESTAMP"], &["ContextTokens"], &["GeneratedTokens"]),
        Format::BurstGpt => (&["Timestamp"], &["Request tokens"], &["Response tokens"]),
    };
    let class: &[&str] = match format {
        Format::Csv => &["class"],
        Format::Azure => &[],
        Format::BurstGpt => &["Log Type"],
    };
    let mut missing = Vec::new();
    let mut need = |names: &[&str]| {
        find(names).unwrap_or_else(|| {
            missing.push(Problem::new(
                "trace",
                format!("has no column `{}`", names.first().unwrap_or(&"")),
                format!("it has {}", header.iter().collect::<Vec<_>>().join(", ")),
            ));
            0
        })
    };
    let found = Columns {
        at: need(at),
        input: need(input),
        output: need(output),
        cached: if format == Format::Csv { find(&["cached_tokens"]) } else { None },
        reasoning: if format == Format::Csv { find(&["reasoning_tokens"]) } else { None },
        class: find(class),
    };
    if missing.is_empty() { Ok(found) } else { Err(missing) }
}

fn row(record: &csv::StringRecord, columns: &Columns) -> Result<(Row, bool), &'static str> {
    let cell = |at: usize| record.get(at).unwrap_or_default();
    let count = |at: usize| {
        let value = cell(at).parse::<f64>().map_err(|_| "has a count that is no number")?;
        if (0.0..=1e9).contains(&value) { Ok(value) } else { Err("has a count that is negative or absurd") }
    };
    let optional = |at: Option<usize>| match at {
        Some(at) if !cell(at).is_empty() => count(at),
        _ => Ok(0.0),
    };
    let (at, dated) = time(cell(columns.at)).ok_or("has a time that is neither a date nor seconds")?;
    let (input, output) = (count(columns.input)?, count(columns.output)?);
    let (cached, reasoning) = (optional(columns.cached)?, optional(columns.reasoning)?);
    if cached > input || reasoning > output {
        return Err("has more cached or reasoning tokens than tokens");
    }
    let class = columns.class.map_or("all", cell);
    let class = if class.is_empty() { "all" } else { class }.to_owned();
    Ok((Row { at, class, input, output, cached, reasoning }, dated))
}

/// Seconds, and whether they are since 1970.
fn time(text: &str) -> Option<(f64, bool)> {
    if let Ok(seconds) = text.parse::<f64>() {
        // From 2001 on, seconds of that size are a date.
        return (seconds.is_finite() && seconds >= 0.0).then_some((seconds, seconds > 1e9));
    }
    let moment = text.parse::<Timestamp>().ok().or_else(|| {
        // Dates without a zone are taken as UTC.
        let local = text.replace('/', "-").parse::<DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
    let seconds = moment.as_second() as f64;
    Some((seconds + f64::from(moment.subsec_nanosecond()) / 1e9, true))
}
