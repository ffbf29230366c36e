//! What the ledger costs: CPU per request, size per request, time to open, time to answer.
//!
//! `cargo run --release -p tollgate-ledger --example cost -- 200000`; with `write` behind it, no questions are asked.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{Basis, Bucket, Cost, Money, PriceLine, Usage};
use jiff::Timestamp;
use tollgate_ledger::{
    AttemptClose, CostBasis, Intent, Ledger, Options, Outcome, Reader, RequestClose, RequestId, RequestOpen,
    RequestQuery, Saving, SpendQuery,
};

/// Requests that wait for their intent at the same time, as 64 connections make them.
const AT_ONCE: u64 = 64;

fn main() {
    let requests: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (cpu, wall) = (cpu_time("self"), Instant::now());
    let front = cpu_time("thread-self");
    runtime.block_on(async {
        let mut n = 0;
        while n < requests {
            let batch = (n..n + AT_ONCE).map(|n| {
                let ledger = ledger.clone();
                async move { one(&ledger, n).await }
            });
            let mut set = tokio_join(batch);
            std::future::poll_fn(|cx| set.poll(cx)).await;
            n += AT_ONCE;
        }
    });
    let front = cpu_time("thread-self").saturating_sub(front);
    let handed_in = wall.elapsed();
    ledger.flush().unwrap();
    let cpu = cpu_time("self").saturating_sub(cpu);
    let each = |t: Duration| t.as_secs_f64() * 1e6 / requests as f64;
    println!("{requests} requests handed in in {handed_in:.2?}, in the store after {:.2?}", wall.elapsed());
    println!("CPU per request: {:.2} µs, of which on the caller's thread {:.2} µs", each(cpu), each(front));
    println!("{:?}", ledger.stats());
    ledger.close().unwrap();
    let bytes = std::fs::metadata(dir.path().join("ledger.db")).unwrap().len();
    println!("store: {} bytes per request", bytes / requests);

    if std::env::args().nth(2).is_some_and(|a| a == "write") {
        return;
    }
    let start = Instant::now();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    println!("open: {:.2?}", start.elapsed());
    let start = Instant::now();
    let reader = Reader::open(dir.path()).unwrap();
    println!("reader open: {:.2?}", start.elapsed());
    for by in [&[][..], &["route", "model"], &["target"], &["key"], &["day"], &["hour"], &["tag:team"]] {
        let start = Instant::now();
        let by = by.iter().map(|b| b.parse().unwrap()).collect();
        let query = SpendQuery { by, ..SpendQuery::default() };
        let cpu = cpu_time("thread-self");
        let rows = reader.spend(&query).unwrap().rows.len();
        let cpu = cpu_time("thread-self").saturating_sub(cpu);
        println!("spend by {:?}: {:.2?}, CPU {cpu:.2?}, {rows} rows", query.by, start.elapsed());
    }
    for filter in
        ["", "key=key1", "model=model-2", "key=nobody", "model=nothing", "tag:team=none", "reason=none"]
    {
        let start = Instant::now();
        let filter = if filter.is_empty() { Vec::new() } else { vec![filter.parse().unwrap()] };
        let query = RequestQuery { filter, ..RequestQuery::default() };
        let cpu = cpu_time("thread-self");
        let rows = reader.requests(&query).unwrap().requests.len();
        let cpu = cpu_time("thread-self").saturating_sub(cpu);
        println!("requests {:?}: {:.2?}, CPU {cpu:.2?}, {rows} rows", query.filter, start.elapsed());
    }
    drop(ledger);
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()>>>;

struct Set(Vec<Task>);

fn tokio_join<F: Future<Output = ()> + 'static>(tasks: impl Iterator<Item = F>) -> Set {
    Set(tasks.map(|t| Box::pin(t) as Task).collect())
}

impl Set {
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.0.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        if self.0.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }
}

/// User and system time from `/proc`, to a hundredth of a second.
fn cpu_time(whose: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{whose}/stat")).unwrap();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|t| t.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

async fn one(ledger: &Ledger, n: u64) {
    let ms = 1_772_366_400_000 + n * 10;
    let started_at = Timestamp::from_millisecond(ms.cast_signed()).unwrap();
    let open = Arc::new(RequestOpen {
        id: RequestId::from_parts(ms, u128::from(n)),
        client_request_id: None,
        started_at,
        key: Some(format!("key{}", n % 7)),
        route: Some("auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat",
        stream: false,
        tags: vec![("team".to_owned(), format!("t{}", n % 3))],
        session: n,
        config_version: 1,
    });
    let id = RequestId::from_parts(ms, u128::from(n) << 64 | 1);
    let provider = "together".to_owned();
    let model = format!("model-{}", n % 5);
    let usage = Usage {
        input: 900 + n % 100,
        cache_read: 300,
        output: 400,
        basis: Basis::Reported,
        ..Usage::default()
    };
    let intent = Intent {
        id,
        request: Arc::clone(&open),
        seq: 0,
        provider: provider.clone(),
        model: model.clone(),
        upstream_key: 0,
        started_at,
        estimate: usage,
        estimated_cost: Some(Money::from_pico(600_000_000)),
        catalogue_version: "2026-11-20+overlay:1f2e3d4c".to_owned(),
    };
    ledger.intent(intent).await.unwrap();
    let line = |bucket, pico_per_unit| PriceLine { bucket, units: usage.get(bucket), pico_per_unit };
    let lines =
        vec![line(Bucket::Input, 150_000), line(Bucket::CacheRead, 15_000), line(Bucket::Output, 600_000)];
    ledger.close_attempt(AttemptClose {
        id,
        request: open.id,
        outcome: Outcome::Ok,
        status: Some(200),
        error: None,
        excerpt: None,
        ttft_us: Some(250_000),
        duration_us: 900_000,
        usage,
        cost: Cost::Known(lines),
        cost_basis: CostBasis::Reported,
        vendor_cost: None,
        served_model: None,
        finish: Some("stop"),
    });
    let decision = r#"{"route":"auto","reason":"default","input_tokens":1200,"needs":["chat"],"rules":["matches /(multi-step|prove)/: no","input 1200 > 30000: no"],"candidates":[{"target":"together/model-1","price":"0.000390","up":"closed"},{"target":"deepinfra/model-1","price":"0.000410","up":"closed"}],"excluded":[],"checks":["empty","refusal"]}"#;
    ledger.close_request(RequestClose {
        open,
        status: 200,
        reason: "default".to_owned(),
        provider: Some(provider),
        model: Some(model),
        duration_us: 901_000,
        ttft_us: Some(251_000),
        attempts: 1,
        saving: Some(Saving {
            baseline_target: "anthropic/claude".to_owned(),
            baseline_cost: Money::from_pico(9_000_000_000),
            amount: Money::from_pico(8_000_000_000),
        }),
        decision: decision.to_owned(),
    });
}
