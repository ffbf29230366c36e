//! Did the ledger keep up, and has it a row for every request? Asked of the gateway's own API.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::Client;
use crate::subject::{KEY, Subject};

/// What the ledger had when the load ended.
pub struct Ledger {
    requests: u64,
    rows: u64,
    /// Age of the oldest record that was not in the store when the load ended.
    pub lag: f64,
    /// From the end of the load until the rows equal the requests.
    pub settled: f64,
}

impl std::fmt::Display for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, rows, lag, settled } = self;
        write!(
            f,
            "{rows} rows for {requests} requests, lag {lag:.2} s at the end, all there after {settled:.2} s"
        )
    }
}

/// Reads the lag at once, then waits until the rows equal the requests that the upstream saw, at most ten seconds.
pub async fn settle(subject: &Subject, requests: u64) -> Result<Ledger> {
    let begun = Instant::now();
    let mut client = Client::connect(subject.whole).await?;
    let metrics = client.get("/metrics", KEY).await?;
    let lag = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tollgate_ledger_lag_seconds "))
        .context("no lag")?;
    let lag = lag.parse()?;
    loop {
        let spend = client.get("/api/v1/spend", KEY).await?;
        let total: serde_json::Value = serde_json::from_str(&spend)?;
        let rows =
            total.pointer("/total/requests").and_then(serde_json::Value::as_u64).context("no total")?;
        let settled = begun.elapsed().as_secs_f64();
        if rows == requests {
            return Ok(Ledger { requests, rows, lag, settled });
        }
        if settled > 10.0 {
            bail!("the ledger has {rows} rows for {requests} requests");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
