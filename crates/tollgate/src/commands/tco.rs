//! `tollgate tco`: the decision, and what stands beside it.

mod audit;
mod calibrate;
mod capacity;
mod measured;
mod predict;

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
    /// What one replica of a model on own GPUs holds and delivers
    Capacity(capacity::Args),
    /// Predict latency and throughput of every row of a CSV, with 90 % bands
    Predict(predict::Args),
    /// Fit the capacity model to measurements and print its errors by cross-validation
    Calibrate(calibrate::Args),
}

/// Does what the subcommand says.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.task {
        Some(Task::Audit(args)) => audit::run(args, global),
        Some(Task::Capacity(args)) => capacity::run(args, global),
        Some(Task::Predict(args)) => predict::run(args, global),
        Some(Task::Calibrate(args)) => calibrate::run(args, global),
        None => Ok(ExitCode::from(2)),
    }
}
