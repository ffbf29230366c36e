//! Measures the gateway against nginx's plain proxying in the same run: same mock upstream, same clients, each subject
//! alone on one core, rounds interleaved, medians. Ratios are what counts; absolute figures depend on the machine.
//!
//! `cargo run --release -p tollgate-benches --bin bench-gateway`

mod ledger;
mod load;
mod measure;
mod mock;
mod process;
mod report;
mod subject;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::task::LocalSet;

use measure::{Figures, Part, Rig};
use subject::Kind;

/// Measures the gateway against nginx.
#[derive(Parser, Debug)]
struct Args {
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each load
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Streams that are held open, then hung up at once
    #[arg(long, default_value_t = 4_000)]
    streams: usize,
    /// Folder of the binaries `tollgate` and `bench-bare`; else that of this program
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Measure the bare parts too
    #[arg(long)]
    bare: bool,
    /// Leave the gateway out
    #[arg(long)]
    no_gateway: bool,
    /// Leave nginx out: no ratios, but all the time for a profiler
    #[arg(long)]
    no_nginx: bool,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    process::pin_rest()?;
    gateway::server::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(run(args)))
}

async fn run(args: Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    let clock = Instant::now();
    let seen = mock::Seen::default();
    tokio::task::spawn_local(mock::serve(listener, clock, seen.clone()));

    let mut kinds = if args.no_nginx { Vec::new() } else { vec![Kind::Nginx] };
    kinds.extend(args.bare.then_some(Kind::Bare));
    kinds.extend((!args.no_gateway).then_some(Kind::Gateway));
    let binaries = match args.binaries {
        Some(folder) => folder,
        None => std::env::current_exe()?.parent().context("folder of this program")?.to_owned(),
    };
    let rig = Rig {
        clock,
        seen,
        upstream,
        time: Duration::from_secs_f64(args.seconds),
        streams: args.streams,
        only: args.only,
        folder: folder.path().to_owned(),
        binaries,
    };
    let mut all: Vec<Figures> = kinds.iter().map(|&kind| Figures::new(kind)).collect();
    for round in 1..=args.rounds {
        for figures in &mut all {
            report::progress(&format!("round {round} of {}: {}", args.rounds, figures.kind.name()));
            rig.measure(figures, round).await?;
        }
    }
    report::print(&all, &args_line())
}

fn args_line() -> String {
    std::env::args().skip(1).collect::<Vec<_>>().join(" ")
}
