//! Named measurements: points in the columns of the published serving measurements, so that `tollgate tco --bench FILE`
//! reads one's own and others' points alike. Each of one's own stands above the model.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::civil::Date;

use super::Load;
use super::point::Point;
use super::report::Report;

/// The columns, in order.
pub const COLUMNS: [&str; 21] = [
    "model",
    "gpu",
    "n_gpu",
    "precision",
    "framework",
    "isl",
    "osl",
    "concurrency_or_batch",
    "output_tok_s",
    "ttft_ms",
    "tpot_ms",
    "source_repo",
    "source_path",
    "commit",
    "row_id",
    "parallel",
    "scenario",
    "latency_stat",
    "derived_output_tok_s",
    "measured_at",
    "note",
];
/// Columns that the row's identifier is made of.
const IDENTITY: usize = 14;

/// What the bench cannot see from outside: where the engine stands. All of it stated by the user.
#[derive(Clone, Debug)]
pub struct Stand {
    /// The name of the measurement, which is the file's.
    pub name: String,
    /// The checkpoint; else the model's name at the endpoint.
    pub checkpoint: Option<String>,
    /// Accelerator, as the catalogue spells it.
    pub gpu: String,
    /// Accelerators of the endpoint.
    pub gpus: u32,
    /// Of the weights.
    pub precision: String,
    /// Engine and version.
    pub engine: String,
    /// Parallelism, such as `tp2`.
    pub parallel: String,
    /// The day.
    pub date: Date,
}

/// A measurement's name: the name of its file.
pub fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.bytes().all(plain) {
        return Err(
            "a name has 1 to 100 letters, digits, `.`, `_` and `-`, and does not begin with `.`".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// A day.
pub fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is no day: write e.g. 2026-11-24"))
}

/// Writes `DATA_DIR/bench/NAME.csv`; a measurement of that name is replaced whole. Returns the path. Errors when there
/// is no usable point, or the file cannot be written.
pub fn write(report: &Report, stand: &Stand, data_dir: &Path) -> anyhow::Result<PathBuf> {
    let rows: Vec<Vec<String>> = report.points.iter().filter_map(|point| row(report, stand, point)).collect();
    ensure!(!rows.is_empty(), "no point is worth keeping: none has an answered request with a pace");
    let folder = data_dir.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let path = folder.join(format!("{}.csv", stand.name));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    for row in &rows {
        out.write_record(row)?;
    }
    // renamed into place, so that a reader never sees half of it
    let fresh = folder.join(format!("{}.csv.new", stand.name));
    let written = std::fs::write(&fresh, out.into_inner()?).and_then(|()| std::fs::rename(&fresh, &path));
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// A point as a row; `None` when it has no pace to tell, or mostly failed.
fn row(report: &Report, stand: &Stand, point: &Point) -> Option<Vec<String>> {
    let (ttft, tpot) = (point.ttft_ms?, point.tpot_ms?);
    if point.ok * 2 < point.sent {
        return None;
    }
    let settings = &report.settings;
    let (concurrency, scenario) = match point.load {
        Load::Closed { concurrency } => (concurrency.to_string(), "closed-loop".to_owned()),
        // Little's law, by the time under way
        Load::Open { rate } => (format!("{}", point.in_flight), format!("open-loop, Poisson {rate}/s")),
    };
    let mut row = vec![
        stand.checkpoint.clone().unwrap_or_else(|| settings.model.clone()),
        stand.gpu.clone(),
        stand.gpus.to_string(),
        stand.precision.clone(),
        stand.engine.clone(),
        whole(point.tokens.mean_input),
        whole(point.tokens.mean_output),
        concurrency,
        point.output_tok_s.to_string(),
        ttft.p50.to_string(),
        tpot.p50.to_string(),
        "tollgate bench".to_owned(),
        format!("{}#{}", stand.name, point.load),
        settings.run.clone(),
    ];
    row.push(row_id(&row));
    row.extend([
        stand.parallel.clone(),
        scenario,
        "p50".to_owned(),
        String::new(),
        stand.date.to_string(),
        note(report, point),
    ]);
    Some(row)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn note(report: &Report, point: &Point) -> String {
    let settings = &report.settings;
    let mut notes = vec![if point.window.steady { "steady window" } else { "whole point" }.to_owned()];
    if settings.warm_share > 0.0 {
        notes.push(format!("{} of each prompt in common", settings.warm_share));
    }
    if point.tokens.cached > 0 {
        notes.push(format!("{} of the input cached", point.tokens.cached_share));
    }
    if point.tokens.uncounted > 0 {
        notes.push("tokens counted as events".to_owned());
    }
    if point.error + point.incomplete > 0 {
        notes.push(format!("{} of {} requests failed", point.error + point.incomplete, point.sent));
    }
    notes.join("; ")
}

/// The first twelve hexadecimal digits of SHA-256 over the fourteen columns before it, joined by `|`: as in the published
/// measurements.
fn row_id(row: &[String]) -> String {
    let identity = row.get(..IDENTITY).unwrap_or(row).join("|");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, identity.as_bytes());
    hash.as_ref().iter().take(6).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_is_made_as_in_the_published_rows() {
        // a published row of TensorRT-LLM's, with its identifier
        let row = "Qwen/Qwen3-235B-A22B,B200-SXM-180GB,4,fp4,trtllm >1.0 (pytorch backend),1000,1000,,23056,,,\
                   NVIDIA/TensorRT-LLM,docs/source/developer-guide/perf-overview.md,\
                   03e27c7d5ff0c6e89f8328838c0a8e64f1b34f9d";
        let columns: Vec<String> = row.split(',').map(str::to_owned).collect();
        assert_eq!((columns.len(), row_id(&columns).as_str()), (14, "f7a79844bd54"));
    }

    #[test]
    fn a_name_is_no_path() {
        assert_eq!(name("h100-fp8_v1.2").as_deref(), Ok("h100-fp8_v1.2"));
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "ü", "a b"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(date("2026-02-30").is_err() && date("2026-11-24").is_ok());
    }
}
