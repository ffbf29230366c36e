//! `tollgate tco`: the decision, and what stands beside it.

mod audit;
mod calibrate;
mod capacity;
mod decide;
mod document;
mod focus;
mod measured;
mod predict;
mod question;
mod table;

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `tco`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    decide: decide::Compare,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Where own GPUs begin to win, against each other stack
    BreakEven(decide::Compare),
    /// What would change the decision: one input at a time, flip points, a grid of two
    Sensitivity(decide::Sensitivity),
    /// Seeded draws of everything that is uncertain
    Simulate(decide::Compare),
    /// Eight questions before machines are rented, answered where the scenario can
    Checklist(decide::Compare),
    /// Work published claims out again from their own inputs
    Audit(audit::Args),
    /// What one replica of a model on own GPUs holds and delivers
    Capacity(capacity::Args),
    /// Predict latency and throughput of every row of a CSV, with 90 % bands
    Predict(predict::Args),
    /// Fit the capacity model to measurements and print its errors by cross-validation
    Calibrate(calibrate::Args),
}

/// Does what the subcommand says; without one, compares the stacks.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.task {
        None => decide::run(&args.decide, global, decide::Part::All),
        Some(Task::BreakEven(args)) => decide::run(&args, global, decide::Part::BreakEven),
        Some(Task::Sensitivity(args)) => decide::sensitivity(&args, global),
        Some(Task::Simulate(args)) => decide::run(&args, global, decide::Part::Risk),
        Some(Task::Checklist(args)) => decide::checklist(&args, global),
        Some(Task::Audit(args)) => audit::run(&args, global),
        Some(Task::Capacity(args)) => capacity::run(&args, global),
        Some(Task::Predict(args)) => predict::run(&args, global),
        Some(Task::Calibrate(args)) => calibrate::run(&args, global),
    }
}
