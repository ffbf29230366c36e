//! The demo: the whole loop with simulated vendors, so that a newcomer sees it work without a key or a network.
//!
//! Simulated: vendors, answers, latencies and faults, all declared in [`vendors`] and `prompts.toml`. Real: the gate, its
//! routing, the ledger, the arithmetic and the list prices.

mod client;
mod drive;
mod folder;
mod narrate;
mod policies;
mod prompts;
mod summary;
mod vendors;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use gateway::config::store::{ConfigStore, Origin};
use gateway::server::bind;
use gateway::{Running, StartOptions};
use ledger::{Ledger, Reader};
use tokio::net::TcpListener;

use summary::{Sources, Summary};

/// Stands on every page of the demo.
const NOTICE: &str = "Demo: vendors, prompts, answers, delays and faults are simulated. Prices are real list prices; \
                      routing, ledger and arithmetic are the real ones.";

/// Where the demo listens when nobody says otherwise.
const PORT: u16 = 4000;
/// How long open requests may go on at the end.
const GRACE: Duration = Duration::from_secs(2);

/// How to show it.
#[derive(Debug)]
pub struct Options {
    /// Serve on after the summary; `None`: on a terminal only.
    pub stay: Option<bool>,
    /// Listen here or fail; `None`: on 4000, or a free port when it is taken.
    pub port: Option<u16>,
    /// Print the summary as JSON.
    pub json: bool,
    /// Runs get a folder each below it.
    pub base: PathBuf,
}

/// Shows it. Errors when a port or a folder cannot be had.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(show(options))
}

async fn show(options: &Options) -> anyhow::Result<ExitCode> {
    let prompts = Arc::new(prompts::load()?);
    let sims = vendors::start(prompts::answer_key(&prompts)).await?;
    let listener = listen(options.port)?;
    let addr = listener.local_addr()?;
    let dir = folder::fresh(&options.base, gateway::app::new_id(), SystemTime::now())
        .with_context(|| format!("a folder for this run in {}", options.base.display()))?;
    let running = gate(&dir, listener, &vendors::config(&sims, addr, &dir))?;
    let begun = Instant::now();
    let outcomes = drive::drive(addr, Arc::clone(&prompts)).await?;
    let elapsed = begun.elapsed();
    let ledger = running.app().ledger.clone();
    tokio::task::spawn_blocking(move || ledger.flush()).await?.context("writing the ledger out")?;
    let policies = policies::compare(&dir, &prompts).await?;
    let summary = summary::summarise(Sources {
        reader: &Reader::open(&dir)?,
        prompts: &prompts,
        outcomes: &outcomes,
        breakers: running.app().health.snapshot(Instant::now()),
        sims: &sims,
        catalogue: running.app().config.load().catalogue.version().to_owned(),
        elapsed,
        data_dir: dir,
        dashboard: format!("http://{addr}/"),
        policies,
    })?;
    let stay = options.stay.unwrap_or_else(|| std::io::stdout().is_terminal());
    print(&summary, options.json, stay)?;
    if stay {
        tokio::signal::ctrl_c().await?;
    }
    running.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// The port that was asked for; else 4000; else a free one.
fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = port {
        return bind(at(port)).with_context(|| format!("cannot listen on port {port}"));
    }
    bind(at(PORT)).or_else(|_| bind(at(0))).context("no free port")
}

/// Writes the config of the run and starts the real gate with it.
fn gate(dir: &Path, listener: TcpListener, config: &str) -> anyhow::Result<Running> {
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    let file = dir.join("tollgate.toml");
    std::fs::write(&file, config)?;
    std::fs::write(dir.join("prices.toml"), vendors::overlay(today))?;
    std::fs::write(dir.join("sim.key"), "a-key-that-opens-nothing\n")?;
    // the user's environment stays out of it: no real vendor, no real key
    let origin = Origin::serving(Some(file), dir.to_owned())?.with_env(|_| None);
    let store =
        ConfigStore::open(origin).map_err(|errors| anyhow::anyhow!("the demo's own config: {errors}"))?;
    let (ledger, _) = Ledger::open(dir, ledger::Options::default())?;
    let options = StartOptions {
        config: Arc::new(store),
        ledger,
        listener,
        data_dir: dir.to_owned(),
        admin_token: String::new(),
        grace: GRACE,
    };
    let running = gateway::start(options)?;
    running.notice(NOTICE);
    Ok(running)
}

/// The story, or its figures, on stdout. A closed pipe is no error.
fn print(summary: &Summary, json: bool, stay: bool) -> anyhow::Result<()> {
    let mut text =
        if json { serde_json::to_string_pretty(summary)? + "\n" } else { narrate::narrate(summary) };
    if stay && !json {
        text.push_str("\nDashboard (simulated data): ");
        text.push_str(&summary.dashboard);
        text.push_str("   Ctrl-C ends it.\n");
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
