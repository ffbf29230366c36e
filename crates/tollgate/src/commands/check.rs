//! `tollgate check`.

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `check`.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`check` is not in this build")
}
