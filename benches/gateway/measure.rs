//! One round of measurements on one subject.
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52 become figures of a table")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::ledger::{self, Ledger};
use crate::load::{self, nanos};
use crate::mock::Seen;
use crate::subject::{KEY, Kind, Subject};

/// Clients at saturation.
const CONNECTIONS: usize = 64;
/// Streams read at once in a burst.
const BURSTS: usize = 32;
/// Timed streams at once.
const TIMED: usize = 50;
/// Requests a second for the latencies.
const PACE: Duration = Duration::from_millis(1);
const STREAM_PACE: Duration = Duration::from_millis(5);

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Request,
    Chunk,
    Latency,
    First,
    Transit,
    Idle,
}

/// What all rounds share.
pub struct Rig {
    pub clock: Instant,
    pub seen: Seen,
    pub upstream: SocketAddr,
    pub time: Duration,
    pub streams: usize,
    /// Empty: all.
    pub only: Vec<Part>,
    pub folder: PathBuf,
    pub binaries: PathBuf,
}

/// All figures of one subject, one entry a round.
pub struct Figures {
    pub kind: Kind,
    /// Microseconds of CPU.
    pub cpu_request: Vec<f64>,
    pub requests_a_second: Vec<f64>,
    pub cpu_chunk: Vec<f64>,
    /// Microseconds over the mock.
    pub added_latency: Vec<f64>,
    pub added_first: Vec<f64>,
    /// Microseconds.
    pub transit: Vec<f64>,
    pub direct_transit: Vec<f64>,
    /// MiB.
    pub idle_rss: Vec<f64>,
    pub rss_per_thousand: Vec<f64>,
    /// Milliseconds.
    pub first_answer: Vec<f64>,
    pub cancel: Vec<f64>,
    pub ledgers: Vec<Ledger>,
}

impl Figures {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            cpu_request: Vec::new(),
            requests_a_second: Vec::new(),
            cpu_chunk: Vec::new(),
            added_latency: Vec::new(),
            added_first: Vec::new(),
            transit: Vec::new(),
            direct_transit: Vec::new(),
            idle_rss: Vec::new(),
            rss_per_thousand: Vec::new(),
            first_answer: Vec::new(),
            cancel: Vec::new(),
            ledgers: Vec::new(),
        }
    }
}

impl Rig {
    /// Starts the subject anew, measures everything once, stops it.
    pub async fn measure(&self, figures: &mut Figures, round: usize) -> Result<()> {
        let folder = self.folder.join(format!("round-{round}"));
        let streamed = |model: &str| load::request(model, true, KEY);
        let whole = load::request("bench-whole", false, KEY);
        let before = self.seen.requests.get();
        let subject = figures.kind.start(&folder, self.upstream.port(), &self.binaries, &whole).await?;
        figures.first_answer.push(subject.first_answer.as_secs_f64() * 1e3);
        figures.idle_rss.push(mib(subject.process.rss()?));

        let asked = |part| self.only.is_empty() || self.only.contains(&part);
        if asked(Part::Request) {
            self.saturate(figures, &subject, &whole).await?;
            self.ledger(figures, &subject, before).await?;
        }
        if asked(Part::Chunk) {
            self.burst(figures, &subject, &streamed("bench-burst")).await?;
        }
        if asked(Part::Latency) {
            self.latency(figures, &subject, &whole).await?;
        }
        if asked(Part::First) {
            self.first_chunk(figures, &subject, &streamed("bench-first")).await?;
        }
        if asked(Part::Transit) {
            self.transit(figures, &subject, &streamed("bench-timed")).await?;
        }
        if asked(Part::Idle) {
            self.idle(figures, &subject, &streamed("bench-idle")).await?;
        }
        self.ledger(figures, &subject, before).await
    }

    async fn ledger(&self, figures: &mut Figures, subject: &Subject, before: u64) -> Result<()> {
        if figures.kind == Kind::Gateway {
            figures.ledgers.push(ledger::settle(subject, self.seen.requests.get() - before).await?);
        }
        Ok(())
    }

    async fn saturate(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        load::saturate(subject.whole, request, CONNECTIONS, self.time / 4).await?;
        let (cpu, begun) = (subject.process.cpu()?, Instant::now());
        let requests = load::saturate(subject.whole, request, CONNECTIONS, self.time).await?;
        let cpu = subject.process.cpu()?.saturating_sub(cpu);
        figures.cpu_request.push(per(cpu, requests)?);
        figures.requests_a_second.push(requests as f64 / begun.elapsed().as_secs_f64());
        Ok(())
    }

    async fn burst(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        let cpu = subject.process.cpu()?;
        let chunks = load::stream(subject.streams, request, BURSTS, self.time).await?;
        figures.cpu_chunk.push(per(subject.process.cpu()?.saturating_sub(cpu), chunks)?);
        Ok(())
    }

    async fn latency(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        let count = self.count(PACE);
        let direct = load::paced(self.upstream, request, CONNECTIONS, PACE, count, false).await?;
        let through = load::paced(subject.whole, request, CONNECTIONS, PACE, count, false).await?;
        figures.added_latency.push(micros(median_of(through)?) - micros(median_of(direct)?));
        Ok(())
    }

    async fn first_chunk(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        let count = self.count(STREAM_PACE);
        let direct = load::paced(self.upstream, request, 8, STREAM_PACE, count, true).await?;
        let through = load::paced(subject.streams, request, 8, STREAM_PACE, count, true).await?;
        figures.added_first.push(micros(median_of(through)?) - micros(median_of(direct)?));
        Ok(())
    }

    async fn transit(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        let direct = load::transit(self.upstream, request, TIMED, self.clock).await?;
        let through = load::transit(subject.streams, request, TIMED, self.clock).await?;
        figures.direct_transit.push(micros(median_of(direct)?));
        figures.transit.push(micros(median_of(through)?));
        Ok(())
    }

    /// Memory of quiet streams, then all clients hang up at once.
    async fn idle(&self, figures: &mut Figures, subject: &Subject, request: &[u8]) -> Result<()> {
        let before = subject.process.rss()?;
        let open = load::open_idle(subject.streams, request, self.streams).await?;
        if self.seen.idle.get() != self.streams {
            bail!("{} of {} streams reached the upstream", self.seen.idle.get(), self.streams);
        }
        let more = subject.process.rss()?.saturating_sub(before);
        figures.rss_per_thousand.push(mib(more) * 1_000.0 / self.streams as f64);
        let begun = Instant::now();
        drop(open);
        while self.seen.idle.get() > 0 {
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("{} upstream streams are never cancelled", self.seen.idle.get());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        figures.cancel.push(begun.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn count(&self, pace: Duration) -> usize {
        usize::try_from(self.time.as_nanos() / pace.as_nanos()).unwrap_or(1).max(100)
    }
}

fn per(cpu: Duration, count: u64) -> Result<f64> {
    if count == 0 {
        bail!("nothing was done");
    }
    Ok(cpu.as_secs_f64() * 1e6 / count as f64)
}

fn median_of(mut times: Vec<u64>) -> Result<u64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("no samples")
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// How fine the clock is that all latencies use, in microseconds.
pub fn resolution() -> f64 {
    let steps = (0..1_000).map(|_| {
        let begun = Instant::now();
        loop {
            let step = begun.elapsed();
            if !step.is_zero() {
                return nanos(step);
            }
        }
    });
    micros(steps.max().unwrap_or(0))
}
