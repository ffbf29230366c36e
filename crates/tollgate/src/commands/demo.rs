//! `tollgate demo`: the whole loop with simulated vendors.

use std::process::ExitCode;

use crate::cli::Global;
use crate::{demo, place};

/// Flags of `demo`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// End after the summary, even on a terminal
    #[arg(long, conflicts_with = "stay")]
    exit: bool,
    /// Serve on after the summary, even when stdout is no terminal
    #[arg(long)]
    stay: bool,
    /// Listen on this port (else 4000, or a free one when it is taken)
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

/// Runs it.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let stay = match (args.exit, args.stay) {
        (true, _) => Some(false),
        (_, true) => Some(true),
        _ => None,
    };
    let base = place::data_dir(global, None)?.join("demo");
    demo::run(&demo::Options { stay, port: args.port, json: global.json, base })
}
