//! Commands, global flags and exit codes (interface §2): 0 done, 1 the answer is no, 2 wrong usage, 3 could not do it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands as c;

/// Sends each request to the cheapest model that is good enough, and accounts for every cent.
#[derive(Parser, Debug)]
#[command(name = "tollgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Args, Debug, Clone, Default)]
pub struct Global {
    /// Config file (else ./tollgate.toml if present)
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the ledger and other state live
    #[arg(long, global = true, value_name = "DIR", env = "TOLLGATE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON with stable keys
    #[arg(long, global = true)]
    pub json: bool,
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($module:ident)),* $(,)?) => {
        /// One row a command; each is a file in `commands/`.
        #[derive(Subcommand, Debug)]
        #[expect(clippy::large_enum_variant, reason = "one value a process")]
        pub enum Command { $($(#[$doc])* $name(c::$module::Args)),* }

        impl Command {
            fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
                match self { $(Self::$name(args) => c::$module::run(args, global)),* }
            }
        }
    };
}

commands! {
    /// Run the gateway, dashboard and API
    Serve(serve),
    /// The whole loop with simulated vendors: no key, no network, no config
    Demo(demo),
    /// Write a commented tollgate.toml for the keys found in the environment
    Init(init),
    /// Validate a config: every error with file, line and hint
    Check(check),
    /// Say which model would answer a request, and why; makes no call
    Explain(explain),
    /// Search the model catalogue
    Models(models),
    /// Prices with source, date and age; diff, update, check
    Prices(prices),
    /// What it cost
    Spend(spend),
    /// Recent requests, or one with every attempt and its decision
    Requests(requests),
    /// Closed API, serverless, own GPUs or a hybrid: what each costs, and published claims checked
    Tco(tco),
    /// A regression suite against any model or route; compare runs; find a replacement
    Eval(eval),
    /// The learned scores: train them, score prompts and answers
    Route(route),
    /// Past requests against other prices, another policy or other vendors
    Replay(replay),
    /// Create, list, revoke and rotate client keys
    Keys(keys),
    /// Measure what an endpoint carries at an objective for latency
    Bench(bench),
    /// Print shell completions
    Completions(completions),
}

/// Parses, runs, and turns errors into exit codes.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(&cli.global) {
        Ok(code) => code,
        Err(error) => {
            crate::say(format_args!("error: {error:#}\n"));
            ExitCode::from(3)
        }
    }
}
