//! `tollgate serve`: the gateway, dashboard and API in one process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway::config::Config;
use gateway::config::store::{ConfigStore, Origin};
use ledger::Ledger;

use crate::cli::Global;
use crate::{catalogue, logging, place};

/// Flags of `serve`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Log lines for people, or one JSON object a line
    #[arg(long, value_enum, default_value_t)]
    log: logging::Format,
    /// Listen here instead of where the config says (`127.0.0.1:0` takes a free port)
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Seconds that open requests may go on after SIGTERM
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    grace: u64,
}

/// Serves until SIGTERM or Ctrl-C.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    logging::start(args.log);
    gateway::server::raise_file_limit();
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let prices = data_dir.clone();
    let origin = Origin::serving(file, data_dir.clone())?
        .with_listen(args.listen)
        .with_catalogue(move || catalogue::with_updates(&prices));
    let store = match ConfigStore::open(origin) {
        Ok(store) => Arc::new(store),
        Err(errors) => {
            crate::say(format_args!("{errors}\n"));
            return Ok(ExitCode::from(3));
        }
    };
    let (ledger, recovery) = Ledger::open(&data_dir, ledger::Options::default())?;
    if recovery.unknown_attempts > 0 {
        let attempts = recovery.unknown_attempts;
        tracing::warn!(
            attempts,
            "a crash left attempts open: recorded as `unknown` with their cost estimated"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(&args, store, ledger, &data_dir))
}

async fn serve(
    args: &Args,
    store: Arc<ConfigStore>,
    ledger: Ledger,
    data_dir: &Path,
) -> anyhow::Result<ExitCode> {
    let config = store.load();
    let listener = gateway::server::bind(config.listen)
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let running = gateway::start(gateway::StartOptions {
        config: Arc::clone(&store),
        ledger,
        listener,
        data_dir: data_dir.to_owned(),
        admin_token: place::admin_token(data_dir)?,
        grace: Duration::from_secs(args.grace),
    })?;
    tokio::spawn(store.watch());
    greet(&config, running.addr(), data_dir);
    stopped().await?;
    crate::say(format_args!("stopping: open requests have {} s to end\n", args.grace));
    let drained = running.shutdown().await;
    if drained.aborted > 0 {
        tracing::warn!(connections = drained.aborted, "cut after the grace period");
    }
    Ok(ExitCode::SUCCESS)
}

/// Addresses, vendors found, where the data lies, and a request to try.
fn greet(config: &Config, addr: SocketAddr, data_dir: &Path) {
    let vendors: Vec<&str> = config.hosts.keys().map(String::as_str).collect();
    let routes: Vec<&str> = config.routes.keys().map(String::as_str).collect();
    let file = config.file.as_deref().map_or("none (zero config)".to_owned(), |f| f.display().to_string());
    let model =
        routes.first().copied().or_else(|| config.models.keys().next().map(String::as_str)).unwrap_or("auto");
    let key = if config.keys.is_empty() { "" } else { " -H 'authorization: Bearer YOUR_KEY'" };
    let text = format!(
        "tollgate {version} on http://{addr}\n\
         \x20 base URL   http://{addr}/v1\n\
         \x20 dashboard  http://{addr}/\n\
         \x20 config     {file}\n\
         \x20 data       {data} (ledger, admin.token)\n\
         \x20 vendors    {vendors}\n\
         \x20 routes     {routes}\n\
         \x20 try        curl http://{addr}/v1/chat/completions -H 'content-type: application/json'{key} \\\n\
         \x20              -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n",
        version = env!("CARGO_PKG_VERSION"),
        data = data_dir.display(),
        vendors = vendors.join(", "),
        routes = routes.join(", "),
    );
    let mut out = std::io::stdout();
    // A closed stdout is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    for notice in &config.notices {
        crate::say(format_args!("note: {notice}\n"));
    }
    for warning in &config.warnings {
        crate::say(format_args!("warning: {warning}\n"));
    }
}

/// Ready at SIGTERM or Ctrl-C.
async fn stopped() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}
