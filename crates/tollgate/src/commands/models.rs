//! `tollgate models`.

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `models`.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`models` is not in this build")
}
