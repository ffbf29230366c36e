//! The `tollgate` binary: one file per command in `commands/`.

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
