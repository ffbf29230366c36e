//! `tollgate route`: the learned scores that routes may go by.

mod data;
mod edit;
mod own;
mod report;
mod score;
mod train;
mod tune;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use router::Learned;

use crate::cli::Global;

/// Flags of `route`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Score prompts, or weak answers: higher means "needs the strong model"
    Score(score::Args),
    /// Train the scores on recorded outcomes, and report how well they do on prompts held out
    Train(train::Args),
    /// Make training data of the results of a regression suite
    Data(data::Args),
    /// Find the thresholds that keep a share of the flagship's quality, with a confidence bound
    Tune(tune::Args),
    /// Show what each score keeps of the flagship's quality at every share of strong calls
    Report(report::Args),
}

/// Does what the subcommand says.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.task {
        Task::Score(args) => score::run(&args),
        Task::Train(args) => train::run(&args, global),
        Task::Data(args) => data::run(&args),
        Task::Tune(args) => tune::run(&args, global),
        Task::Report(args) => report::run(&args, global),
    }
}

/// A weights file.
fn weights(path: &Path) -> anyhow::Result<Learned> {
    let shown = path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| format!("{shown} cannot be read"))?.len();
    if size > router::MAX_BYTES as u64 {
        bail!("{shown} has {size} bytes; a weights file has at most {}", router::MAX_BYTES);
    }
    let file = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
    Learned::read(&file).with_context(|| shown)
}
