//! `route train`: recorded outcomes → a weights file and a report. The same data and seed give the same bytes.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use aws_lc_rs::digest;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use router::train::data::Data;
use router::train::{Figures, Report, Trained};
use router::{Learned, train};
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::render;

/// Largest file of data, unpacked.
const FILE_BYTES: u64 = 1 << 30;
/// The seed of the built-in weights.
const SEED: u64 = 20_261_124;

/// Flags of `route train`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Holds `pairs.json`, `train/*.jsonl[.gz]` and, for the doubt score, `cascade/*.jsonl[.gz]` (docs/routing.md)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the weights go; without it they are only reported on
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the calibration goes, from which `route tune` finds thresholds
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Another seed gives other weights that are as good
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// Trains, reports, writes.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut data = Data::default();
    let inputs = read(&args.data, &mut data)?;
    let bar = bar();
    let Trained { learned, reports, calibration } =
        train::train(&data, args.seed, inputs, &mut |what| bar.set_message(what.to_owned()))?;
    if let Some(out) = &args.calibration {
        std::fs::write(out, calibration.write())
            .with_context(|| format!("{} cannot be written", out.display()))?;
    }
    bar.finish_and_clear();
    let file = learned.write();
    let builtin = Learned::builtin().is_ok_and(|builtin| *builtin == learned);
    if let Some(out) = &args.out {
        std::fs::write(out, &file).with_context(|| format!("{} cannot be written", out.display()))?;
    }
    let sum = hex(digest::digest(&digest::SHA256, &file).as_ref());
    let text = if global.json {
        let reports: Vec<Value> = reports.iter().map(as_json).collect();
        let weights = json!({
            "name": learned.card.name, "bytes": file.len(), "sha256": sum, "seed": learned.card.seed,
            "inputs": learned.card.inputs, "notices": learned.card.notices, "same_as_builtin": builtin,
            "written_to": args.out,
        });
        serde_json::to_string_pretty(&json!({ "weights": weights, "reports": reports }))?
    } else {
        let mut parts: Vec<String> = reports.iter().map(told).collect();
        let same = if builtin { "the same as the built-in weights" } else { "not the built-in weights" };
        parts.push(format!("{}, {} bytes, sha256 {sum}: {same}", learned.card.name, file.len()));
        parts.extend(learned.card.notices.iter().cloned());
        parts.join("\n\n")
    };
    crate::print(format_args!("{text}\n"))?;
    match &args.out {
        Some(out) => crate::say(format_args!("written to {}\n", out.display())),
        None => crate::say(format_args!("nothing was written: name a file with --out\n")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads everything in a fixed order; gives each file's name and SHA-256.
fn read(dir: &Path, data: &mut Data) -> anyhow::Result<Vec<(String, String)>> {
    let mut inputs = Vec::new();
    let pairs = file(dir, "pairs.json", &mut inputs)?;
    data.set_pairs("pairs.json", &pairs)?;
    for name in names(dir, "train")? {
        data.add_prompts(&name, &file(dir, &name, &mut inputs)?)?;
    }
    if dir.join("cascade").is_dir() {
        for name in names(dir, "cascade")? {
            data.add_answers(&name, &file(dir, &name, &mut inputs)?)?;
        }
    }
    Ok(inputs)
}

/// `FOLDER/NAME.jsonl` and `.jsonl.gz`, sorted.
fn names(dir: &Path, folder: &str) -> anyhow::Result<Vec<String>> {
    let path = dir.join(folder);
    let entries = std::fs::read_dir(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if plain.strip_suffix(".jsonl").is_some() {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("{} holds no .jsonl or .jsonl.gz file", path.display());
    }
    Ok(names)
}

fn file(dir: &Path, name: &str, inputs: &mut Vec<(String, String)>) -> anyhow::Result<String> {
    let shown = dir.join(name).display().to_string();
    let stored = std::fs::read(dir.join(name)).with_context(|| format!("{shown} cannot be read"))?;
    inputs.push((name.to_owned(), hex(digest::digest(&digest::SHA256, &stored).as_ref())));
    let mut text = String::new();
    let read = if name.strip_suffix(".gz").is_some() {
        MultiGzDecoder::new(stored.as_slice()).take(FILE_BYTES).read_to_string(&mut text)
    } else {
        stored.as_slice().take(FILE_BYTES).read_to_string(&mut text)
    };
    let size = read.with_context(|| format!("{shown} cannot be unpacked"))?;
    if size as u64 == FILE_BYTES {
        bail!("{shown} has over {FILE_BYTES} bytes");
    }
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn told(report: &Report) -> String {
    let cell = |figure: Option<Option<f64>>| figure.flatten().map_or("–".to_owned(), |x| format!("{x:.3}"));
    let mut rows: Vec<Vec<String>> = report
        .rows
        .iter()
        .map(|(name, n)| {
            let (cross, alien) = (report.cross.apgr.get(name), report.alien.apgr.get(name));
            vec![name.clone(), render::thousands(*n as u64), cell(cross.copied()), cell(alien.copied())]
        })
        .collect();
    let row = |name: &str, of: fn(&Figures) -> f64| {
        let figure = |f: &Figures| format!("{:.3}", of(f));
        vec![name.to_owned(), String::new(), figure(&report.cross), figure(&report.alien)]
    };
    rows.push(row("mean", |f| f.mean));
    rows.push(row("pooled", |f| f.pooled));
    rows.push(row("saving at 95 %", |f| f.saving));
    let head = [report.score.as_str(), "rows", "APGR, 4 folds", "APGR, left out"];
    render::table(&head, rows)
}

fn as_json(report: &Report) -> Value {
    let figures = |f: &Figures| {
        let by: Map<String, Value> = f.apgr.iter().map(|(name, x)| (name.clone(), json!(x))).collect();
        json!({ "apgr": by, "mean": f.mean, "pooled": f.pooled, "saving_at_95": f.saving })
    };
    json!({
        "score": report.score, "rows": report.rows, "cross_validation": figures(&report.cross),
        "leave_one_dataset_out": figures(&report.alien),
    })
}
