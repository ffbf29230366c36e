//! `prices diff`, `prices update`, `prices check`: whole lists.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use catalog::import::{self, Imported};
use catalog::{Catalogue, Difference, LoadError, Scope};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::sheet;
use crate::cli::Global;
use crate::{catalogue, place, render};

/// Longest list that is read: ten times the largest known.
const LIST_BYTES: u64 = 64 << 20;

/// A list of prices.
#[derive(clap::Args, Debug)]
pub struct File {
    /// A snapshot, genai-prices' v2 data (`data/prices.json` of its crate) or `LiteLLM`'s
    /// `model_prices_and_context_window_backup.json`
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The day that a publisher's file describes (a snapshot has its own)
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// The version that a publisher's file is from
    #[arg(long, value_name = "VERSION", default_value = "unknown")]
    source_version: String,
}

impl File {
    fn read(&self, now: Timestamp) -> anyhow::Result<Imported> {
        let shown = self.path.display().to_string();
        let size = std::fs::metadata(&self.path).with_context(|| format!("{shown} cannot be read"))?.len();
        if size > LIST_BYTES {
            bail!("{shown} has {size} bytes; a price list has at most {LIST_BYTES}");
        }
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("{shown} cannot be read"))?;
        let date = self.date.unwrap_or(super::today(now));
        import::read(&shown, &text, &self.source_version, date)
            .with_context(|| format!("{shown} is no price list"))
    }
}

/// Several errors as lines.
pub fn told(errors: &[LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What the catalogue would say with that list on top.
fn with(known: Catalogue, imported: &Imported, file: &Path) -> anyhow::Result<Catalogue> {
    let text = catalog::snapshot::to_text(&imported.snapshot)?;
    let shown = file.display().to_string();
    known.with_snapshot(&shown, &text).map_err(|errors| anyhow::anyhow!(told(&errors)))
}

/// Shows what a newer list changes, at the present time.
pub fn diff(file: &File, global: &Global, now: Timestamp) -> anyhow::Result<ExitCode> {
    let imported = file.read(now)?;
    let after = with(super::catalogue(global)?, &imported, &file.path)?;
    let differences = super::catalogue(global)?.differences(&after, Scope::All, now);
    print(&differences, ("before", "after"), global)?;
    crate::say(format_args!("{} prices differ; `tollgate prices update` accepts them\n", differences.len()));
    Ok(ExitCode::SUCCESS)
}

/// Puts a newer list into the data directory. Nothing else is changed: the built-in lists stay, and what was recorded
/// keeps its price.
pub fn update(file: &File, global: &Global, now: Timestamp) -> anyhow::Result<ExitCode> {
    let imported = file.read(now)?;
    let before = super::catalogue(global)?;
    let after = with(super::catalogue(global)?, &imported, &file.path)?;
    let differences = before.differences(&after, Scope::All, now).len();
    let config = place::config_file(global);
    let folder = place::data_dir(global, config.as_deref())?.join(catalogue::FOLDER);
    let snapshot = &imported.snapshot;
    let path = folder.join(format!("{}-{}.json", plain(&snapshot.source)?, snapshot.date));
    write(&path, &catalog::snapshot::to_text(snapshot)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let models: usize = snapshot.providers.values().map(Vec::len).sum();
    if global.json {
        let done = serde_json::json!({
            "file": path, "source": snapshot.source, "as_of": snapshot.date.to_string(), "models": models,
            "prices_changed": differences, "amounts_rounded": imported.rounded, "version": after.version(),
        });
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&done)?))?;
    } else {
        crate::print(format_args!(
            "{}: {models} models, {differences} prices differ from before\n",
            path.display()
        ))?;
        crate::say(format_args!("a running server takes it at its next start\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The source becomes a file name: no way out of the folder.
fn plain(source: &str) -> anyhow::Result<&str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if source.is_empty() || source.len() > 64 || !source.bytes().all(good) {
        bail!("`{source}` is no name of a source: letters, digits, `-` and `_`");
    }
    Ok(source)
}

/// Whole or not at all: a reader never sees half a list.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("json.new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Shows where the second source differs from the first on what both list. Differences are the normal state of two
/// lists of a thousand models, so the exit code stays 0.
pub fn check(global: &Global, now: Timestamp) -> anyhow::Result<ExitCode> {
    let catalogue = super::catalogue(global)?;
    let mut sources: Vec<String> = catalogue.snapshots().map(|(source, _)| source.to_owned()).collect();
    sources.dedup();
    let Some((first, others)) = sources.split_first() else { bail!("there is no price list") };
    let mut differences = Vec::new();
    for other in others {
        differences.extend(catalogue.only(first).differences(&catalogue.only(other), Scope::Common, now));
    }
    let other = others.join(", ");
    print(&differences, (first, &other), global)?;
    crate::say(format_args!("{} prices differ; {first} wins over {other}\n", differences.len()));
    Ok(ExitCode::SUCCESS)
}

/// A difference in JSON.
#[derive(Serialize)]
struct Row<'a> {
    target: &'a str,
    tier: catalog::Tier,
    bucket: catalog::Bucket,
    unit: &'static str,
    before: Option<sheet::Amount>,
    after: Option<sheet::Amount>,
}

fn print(differences: &[Difference], heads: (&str, &str), global: &Global) -> anyhow::Result<()> {
    let rows: Vec<Row<'_>> = differences
        .iter()
        .map(|d| Row {
            target: &d.target,
            tier: d.tier,
            bucket: d.bucket,
            unit: sheet::unit(d.bucket),
            before: d.before.as_ref().map(sheet::Amount::of),
            after: d.after.as_ref().map(sheet::Amount::of),
        })
        .collect();
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&rows)?))?;
    } else if !rows.is_empty() {
        let cells = rows.into_iter().map(|row| {
            let cell =
                |amount: Option<sheet::Amount>| amount.map_or("–".to_owned(), |a| a.lines().join("\n"));
            let tier = format!("{:?}", row.tier).to_lowercase();
            let bucket = row.bucket.as_str().replace('_', " ");
            vec![row.target.to_owned(), tier, bucket, cell(row.before), cell(row.after)]
        });
        let table = render::table(&["model", "tier", "unit", heads.0, heads.1], cells);
        crate::print(format_args!("{table}\n"))?;
    }
    Ok(())
}
