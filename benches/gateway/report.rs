//! The table.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;

use crate::measure::{self, Figures};
use crate::subject::Kind;

/// A bar of the issue: what, its unit, the most that passes.
struct Row {
    what: &'static str,
    unit: &'static str,
    bar: Bar,
    of: fn(&Figures) -> &Vec<f64>,
}

enum Bar {
    /// Times nginx.
    Ratio(f64),
    /// In the row's unit.
    AtMost(f64),
    None,
}

const ROWS: [Row; 10] = [
    Row { what: "CPU per buffered request", unit: "µs", bar: Bar::Ratio(2.0), of: |f| &f.cpu_request },
    Row { what: "requests a second, saturated", unit: "1/s", bar: Bar::None, of: |f| &f.requests_a_second },
    Row { what: "CPU per streamed chunk, burst", unit: "µs", bar: Bar::Ratio(1.5), of: |f| &f.cpu_chunk },
    Row { what: "added latency p50 at 1,000/s", unit: "µs", bar: Bar::Ratio(2.0), of: |f| &f.added_latency },
    Row { what: "chunk transit p50", unit: "µs", bar: Bar::Ratio(1.3), of: |f| &f.transit },
    Row {
        what: "added time to first chunk p50",
        unit: "µs",
        bar: Bar::AtMost(800.0),
        of: |f| &f.added_first,
    },
    Row {
        what: "memory per 1,000 open streams",
        unit: "MiB",
        bar: Bar::Ratio(2.0),
        of: |f| &f.rss_per_thousand,
    },
    Row { what: "RSS after the first answer", unit: "MiB", bar: Bar::AtMost(30.0), of: |f| &f.idle_rss },
    Row {
        what: "first answer after process start",
        unit: "ms",
        bar: Bar::AtMost(100.0),
        of: |f| &f.first_answer,
    },
    Row { what: "all upstream streams cancelled", unit: "ms", bar: Bar::AtMost(500.0), of: |f| &f.cancel },
];

/// Prints the table of medians on stdout.
pub fn print(all: &[Figures], args: &str) -> Result<()> {
    let mut text = format!("`bench-gateway {args}`, clock resolution {:.2} µs\n\n", measure::resolution());
    write!(text, "| figure, median (least to most) |")?;
    for figures in all {
        write!(text, " {} |", figures.kind.name())?;
    }
    text.push_str(" ratio | bar | |\n|---|");
    text.push_str(&"---|".repeat(all.len() + 3));
    text.push('\n');
    let nginx = all.iter().find(|figures| figures.kind == Kind::Nginx);
    // A part that was not asked for has no samples, and no verdict.
    for row in ROWS.iter().filter(|row| all.iter().all(|figures| !(row.of)(figures).is_empty())) {
        write!(text, "| {}, {} |", row.what, row.unit)?;
        for figures in all {
            write!(text, " {} |", spread((row.of)(figures)))?;
        }
        let last = all.last().map_or(0.0, |figures| median((row.of)(figures)));
        let ratio = nginx.map(|figures| last / median((row.of)(figures)));
        let (bar, holds) = match row.bar {
            Bar::Ratio(most) => (format!("{most}×"), ratio.map(|ratio| ratio <= most)),
            Bar::AtMost(most) => (format!("{most} {}", row.unit), Some(last <= most)),
            Bar::None => (String::new(), None),
        };
        let holds = holds.map_or("", |holds| if holds { "holds" } else { "MISSED" });
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        writeln!(text, " {ratio} | {bar} | {holds} |")?;
    }
    for figures in all {
        if let Some(worst) =
            figures.ledgers.iter().max_by(|a, b| a.lag.max(a.settled).total_cmp(&b.lag.max(b.settled)))
        {
            let count = figures.ledgers.len();
            writeln!(text, "\nLedger of {}, the slowest of {count}: {worst}.", figures.kind.name())?;
        }
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Says on stderr where the run is.
pub fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}–{})", short(median(values)), short(least), short(most))
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
