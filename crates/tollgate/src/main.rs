//! The `tollgate` binary: one file per command in `commands/`.

mod bench;
mod catalogue;
mod cli;
mod commands;
mod demo;
mod eval;
mod logging;
mod place;
mod render;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

/// Says something to the person at the terminal: stderr, since stdout is for data. A closed stderr is no error.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

/// Prints data to stdout. A reader that has gone (`| head`) is no error; a full disk is.
fn print(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    match std::io::stdout().write_fmt(text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
