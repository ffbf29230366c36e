//! Maintenance tasks: `cargo xtask prices`.

use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use catalog::import::{self, Imported};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Maintenance tasks of the Tollgate workspace.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write dated, trimmed price snapshots into crates/catalog/data/prices
    Prices(Prices),
}

#[derive(clap::Args)]
struct Prices {
    /// genai-prices' v2 data: `data/prices.json` of the crate of that name
    #[arg(long, value_name = "FILE")]
    genai: Option<PathBuf>,
    /// The version that the file is from
    #[arg(long, value_name = "VERSION", default_value = "unknown")]
    genai_version: String,
    /// `LiteLLM`'s `model_prices_and_context_window_backup.json`, unzipped from its wheel
    #[arg(long, value_name = "FILE")]
    litellm: Option<PathBuf>,
    /// The version that the file is from
    #[arg(long, value_name = "VERSION", default_value = "unknown")]
    litellm_version: String,
    /// The day that the data describes: when its publisher released it, or else today
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// Where the snapshots go
    #[arg(long, value_name = "DIR", default_value = "crates/catalog/data/prices")]
    out: PathBuf,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Prices(args) => prices(&args),
    }
}

fn prices(args: &Prices) -> Result<()> {
    ensure!(
        args.genai.is_some() || args.litellm.is_some(),
        "nothing to do: give --genai FILE or --litellm FILE"
    );
    let date = args.date.unwrap_or_else(|| TimeZone::UTC.to_datetime(Timestamp::now()).date());
    if let Some(file) = &args.genai {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        write(&import::genai(&text, &args.genai_version, date)?, &args.out)?;
    }
    if let Some(file) = &args.litellm {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        write(&import::litellm(&text, &args.litellm_version, date)?, &args.out)?;
    }
    Ok(())
}

fn write(imported: &Imported, folder: &Path) -> Result<()> {
    let Imported { snapshot, rounded } = imported;
    let path = folder.join(format!("{}-{}.json", snapshot.source, snapshot.date));
    let text = catalog::snapshot::to_text(snapshot)?;
    let models: usize = snapshot.providers.values().map(Vec::len).sum();
    fs::write(&path, &text).with_context(|| path.display().to_string())?;
    let shown = path.display();
    let _ =
        writeln!(stderr(), "{shown}: {models} models, {} KiB, {rounded} amounts rounded", text.len() / 1024);
    Ok(())
}
