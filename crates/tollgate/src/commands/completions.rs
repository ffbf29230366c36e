//! `tollgate completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Global};

/// Flags of `completions`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell
    shell: clap_complete::Shell,
}

/// Prints the completion script.
#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "all commands have one signature"
)]
pub fn run(args: Args, _global: &Global) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut Cli::command(), "tollgate", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
