//! Records to test with.

use std::path::Path;
use std::sync::Arc;

use catalog::{Basis, Bucket, Cost, Money, PriceLine, Usage};
use jiff::Timestamp;
use rusqlite::Connection;
use tollgate_ledger::{
    AttemptClose, CostBasis, Intent, Ledger, Outcome, RequestClose, RequestId, RequestOpen, Saving,
};

/// 2026-03-01T12:00:00Z, in milliseconds.
pub const NOON: u64 = 1_772_366_400_000;

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A read-only look at the store that shares no code with the reader.
pub fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("ledger.db")).unwrap()
}

pub fn count(db: &Connection, table: &str) -> i64 {
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap()
}

/// The n-th request, a second after the one before it.
pub fn open(n: u64) -> Arc<RequestOpen> {
    let ms = NOON + n * 1000;
    Arc::new(RequestOpen {
        id: RequestId::from_parts(ms, u128::from(n) << 16),
        client_request_id: n.is_multiple_of(3).then(|| format!("client-{n}")),
        started_at: Timestamp::from_millisecond(ms.cast_signed()).unwrap(),
        key: (!n.is_multiple_of(4)).then(|| format!("key{}", n % 4)),
        route: (!n.is_multiple_of(5)).then(|| "auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat",
        stream: n.is_multiple_of(2),
        tags: vec![("team".to_owned(), format!("t{}", n % 3))],
        session: n,
        config_version: 1,
    })
}

pub fn intent(open: &Arc<RequestOpen>, seq: u16) -> Intent {
    let n = open.session;
    Intent {
        id: RequestId::from_parts(open.id.timestamp_ms(), (u128::from(n) << 16) + 1 + u128::from(seq)),
        request: Arc::clone(open),
        seq,
        provider: if seq == 0 { "sim-north".to_owned() } else { "sim-flagship".to_owned() },
        model: format!("model-{}", (n + u64::from(seq)) % 3),
        upstream_key: 0,
        started_at: open.started_at,
        estimate: Usage { input: 100, output: 50, ..Usage::default() },
        estimated_cost: Some(Money::from_pico(123_456_789)),
        catalogue_version: "test-1".to_owned(),
    }
}

pub fn close(intent: &Intent, outcome: Outcome) -> AttemptClose {
    let n = intent.request.session;
    let usage =
        Usage { input: 100 + n, cache_read: 10, output: 20, basis: Basis::Reported, ..Usage::default() };
    let line = |bucket, pico_per_unit| PriceLine { bucket, units: usage.get(bucket), pico_per_unit };
    AttemptClose {
        id: intent.id,
        request: intent.request.id,
        outcome,
        status: Some(200),
        error: None,
        excerpt: None,
        ttft_us: Some(1500),
        duration_us: 20_000,
        usage,
        cost: Cost::Known(vec![
            line(Bucket::Input, 150_001),
            line(Bucket::CacheRead, 15_003),
            line(Bucket::Output, 600_007),
        ]),
        cost_basis: CostBasis::Reported,
        vendor_cost: None,
        served_model: None,
        finish: Some("stop"),
    }
}

pub fn request_close(open: &Arc<RequestOpen>, attempts: u16) -> RequestClose {
    let last = intent(open, attempts.saturating_sub(1));
    RequestClose {
        open: Arc::clone(open),
        status: 200,
        reason: if attempts > 1 { "check:refusal".to_owned() } else { "default".to_owned() },
        provider: Some(last.provider),
        model: Some(last.model),
        duration_us: 50_000,
        ttft_us: Some(2000),
        attempts,
        saving: Some(Saving {
            baseline_target: "sim-flagship/big".to_owned(),
            baseline_cost: Money::from_pico(999_999_999),
            amount: Money::from_pico(-1_000_001),
        }),
        decision: r#"{"route":"auto","reason":"default"}"#.to_owned(),
    }
}

/// Hands in the n-th request whole; every seventh escalates.
pub fn whole_request(ledger: &Ledger, n: u64) {
    let open = open(n);
    let attempts = if n.is_multiple_of(7) { 2 } else { 1 };
    block_on(async {
        for seq in 0..attempts {
            let intent = intent(&open, seq);
            ledger.intent(intent.clone()).await.unwrap();
            let outcome = if seq + 1 < attempts { Outcome::Rejected } else { Outcome::Ok };
            ledger.close_attempt(close(&intent, outcome));
        }
    });
    ledger.close_request(request_close(&open, attempts));
}
