//! `tollgate check`: validates a config whole. Starts nothing and writes nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use gateway::config::store::Origin;
use gateway::config::{Config, ConfigError, ConfigErrors};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::Global;
use crate::{catalogue, place};

/// Flags of `check`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The config file (else as `serve` finds it)
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Exit 1 on warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// Take every environment variable as set, for machines that hold no keys
    #[arg(long)]
    no_environment: bool,
}

/// Prints every error with file, line and hint; exit 1 when there is one.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let file = args.file.or_else(|| place::config_file(global));
    let shown = file.as_ref().map_or("zero config".to_owned(), |file| file.display().to_string());
    // Without a home there are no stored keys to read; the file can be judged all the same.
    let data_dir = place::data_dir(global, file.as_deref()).ok();
    let mut origin = Origin::reading(file, data_dir.clone())?;
    if let Some(prices) = data_dir {
        origin = origin.with_catalogue(move || catalogue::with_updates(&prices));
    }
    if args.no_environment {
        origin = origin.with_env(|name| Some(format!("not-looked-at-{name}")));
    }
    let loaded = origin.load(1, Timestamp::now());
    let text = if global.json { as_json(&shown, &loaded)? } else { told(&shown, &loaded) };
    crate::print(format_args!("{text}"))?;
    let good = loaded.is_ok_and(|config| config.warnings.is_empty() || !args.deny_warnings);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn as_json(file: &str, loaded: &Result<Config, ConfigErrors>) -> anyhow::Result<String> {
    let (errors, warnings, notices): (&[ConfigError], &[ConfigError], &[String]) = match loaded {
        Ok(config) => (&[], &config.warnings, &config.notices),
        Err(errors) => (&errors.0, &[], &[]),
    };
    let answer = json!({
        "file": file,
        "ok": loaded.is_ok(),
        "errors": errors,
        "warnings": warnings,
        "notices": notices,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&answer)?))
}

fn told(file: &str, loaded: &Result<Config, ConfigErrors>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    match loaded {
        Ok(config) => {
            for warning in &config.warnings {
                let _ = writeln!(text, "warning: {warning}");
            }
            for notice in &config.notices {
                let _ = writeln!(text, "note: {notice}");
            }
            let names = |names: Vec<&String>| match names.len() {
                0 => "none".to_owned(),
                _ => names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            let _ = writeln!(
                text,
                "{file} is sound: vendors {}; models {}; routes {}; {} client keys",
                names(config.hosts.keys().collect()),
                names(config.models.keys().collect()),
                names(config.routes.keys().collect()),
                config.keys.iter().filter(|key| key.revoked_at.is_none()).count(),
            );
        }
        Err(errors) => {
            let count = errors.0.len();
            let _ = writeln!(text, "{errors}\n{count} error{} in {file}", if count == 1 { "" } else { "s" });
        }
    }
    text
}
