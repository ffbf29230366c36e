//! `tollgate tco predict`: a prediction for every row of a CSV, so that anyone can score the capacity model.
//!
//! The columns that hold results are neither read nor copied: the answer is the same whatever stands in them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tco::capacity::{Points, Row, predict, read_rows};

use super::measured;
use crate::cli::Global;

/// Columns with what was measured.
const RESULTS: [&str; 4] = ["output_tok_s", "ttft_ms", "tpot_ms", "derived_output_tok_s"];
/// What is added.
const ADDED: [&str; 10] = [
    "pred_ttft_ms",
    "pred_tpot_ms",
    "pred_output_tok_s",
    "tpot_low",
    "tpot_high",
    "ttft_low",
    "ttft_high",
    "output_tok_s_low",
    "output_tok_s_high",
    "basis",
];

/// Flags of `predict`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Rows with the columns of the shipped measurements; columns with results are ignored
    #[arg(long, value_name = "FILE.csv")]
    points: PathBuf,
    /// Where the answers go
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Your own measurements in the same form; they outrank the shipped ones
    #[arg(long, value_name = "FILE.csv")]
    bench: Option<PathBuf>,
}

/// Predicts and writes. A row that cannot be predicted has empty cells and the reason as its basis.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let text = measured::text(&args.points)?;
    let rows = read_rows(&text).map_err(|wrong| measured::told(&args.points, &wrong))?;
    let points = measured::points(args.bench.as_deref())?;
    let (answers, failed) = answered(&text, &rows, &points)
        .with_context(|| format!("{} cannot be copied", args.points.display()))?;
    write(&args.out, &answers)?;
    let (all, failed) = (rows.len(), failed);
    if global.json {
        let done = serde_json::json!({"rows": all, "predicted": all - failed, "failed": failed});
        crate::print(format_args!("{done}\n"))?;
    } else {
        crate::say(format_args!("{} of {all} rows predicted, in {}\n", all - failed, args.out.display()));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

/// The file with answers in place of results, and how many rows have none.
fn answered(text: &str, rows: &[Row], points: &Points) -> anyhow::Result<(Vec<u8>, usize)> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers()?.clone();
    let kept: Vec<usize> =
        head.iter().enumerate().filter(|(_, name)| !RESULTS.contains(name)).map(|(at, _)| at).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(kept.iter().filter_map(|at| head.get(*at)).chain(ADDED))?;
    let mut failed = 0;
    for (record, row) in reader.records().zip(rows) {
        let record = record?;
        let answer = cells(row, points).unwrap_or_else(|why| {
            failed += 1;
            let mut cells = vec![String::new(); ADDED.len() - 1];
            cells.push(format!("none: {why}"));
            cells
        });
        let copied = kept.iter().filter_map(|at| record.get(*at)).map(str::to_owned);
        writer.write_record(copied.chain(answer))?;
    }
    Ok((writer.into_inner()?, failed))
}

fn cells(row: &Row, points: &Points) -> Result<Vec<String>, String> {
    let speed = predict(row, points)?;
    let (ttft, tpot, rate) = (speed.ttft_ms, speed.tpot_ms, speed.output_tok_s);
    let values =
        [ttft.value, tpot.value, rate.value, tpot.low, tpot.high, ttft.low, ttft.high, rate.low, rate.high];
    Ok(values.iter().map(|value| format!("{value:.4}")).chain([speed.basis.name().to_owned()]).collect())
}
