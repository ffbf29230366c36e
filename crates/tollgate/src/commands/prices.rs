//! `tollgate prices`.

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `prices`.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`prices` is not in this build")
}
