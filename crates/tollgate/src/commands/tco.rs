//! `tollgate tco`: the decision, and what stands beside it.

mod audit;

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `tco`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Work published claims out again from their own inputs
    Audit(audit::Args),
}

/// Does what the subcommand says.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.task {
        Some(Task::Audit(args)) => audit::run(args, global),
        None => Ok(ExitCode::from(2)),
    }
}
