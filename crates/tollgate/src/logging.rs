//! Logs go to stderr; data goes to stdout. Prompts, answers and keys are never logged, at any level.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `TOLLGATE_LOG` sets the filter (default `info`). Libraries below us stay at `warn`: at finer levels
/// some of them print what they send.
pub fn start(format: Format) {
    let asked = std::env::var("TOLLGATE_LOG").unwrap_or_default();
    let level = match asked.trim().to_ascii_lowercase().as_str() {
        "error" => "error",
        "warn" => "warn",
        "debug" => "debug",
        "trace" => "trace",
        _ => "info",
    };
    let ours =
        ["tollgate", "tollgate_gateway", "tollgate_ledger"].map(|name| format!("{name}={level}")).join(",");
    let filter = EnvFilter::new(format!("warn,{ours}"));
    let to_stderr = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (tests) keeps the first subscriber.
    let started = match format {
        Format::Json => to_stderr.json().flatten_event(true).try_init(),
        Format::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            to_stderr.with_ansi(colour).with_target(false).try_init()
        }
    };
    let _ = started;
}
