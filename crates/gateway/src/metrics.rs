//! Prometheus metrics: base units, `_total` counters, bounded labels. A label never holds what a client can make up:
//! targets beyond a fixed number of distinct ones are counted as `other` (field notes §1.25).

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use catalog::{Money, Usage};
use ledger::{Outcome, RequestOpen};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use router::Up;
use wire::ErrorKind;

use crate::config::Target;
use crate::health::TargetHealth;

/// Distinct targets that get a label of their own.
const MOST_TARGETS: usize = 500;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    op: &'static str,
    stream: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    op: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    target: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    target: String,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EvaluationLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DriftLabels {
    route: String,
    source: &'static str,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Durations<RouteLabels>,
    attempts: Family<AttemptLabels, Counter>,
    ttft_seconds: Durations<TargetLabels>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<TargetLabels, Counter<f64, AtomicU64>>,
    unpriced: Family<TargetLabels, Counter>,
    undecided: Counter,
    in_flight: Gauge<i64, AtomicI64>,
    breaker: Family<TargetLabels, Gauge>,
    ledger_queue: Gauge,
    ledger_lag: Gauge<f64, AtomicU64>,
    ledger_lost: Gauge,
    evaluations: Family<EvaluationLabels, Counter>,
    drift: Family<DriftLabels, Gauge>,
    targets: RwLock<HashMap<String, Arc<Series>>>,
}

/// The usual series of one target. Found once: each look-up in a family copies and hashes a name.
#[derive(Default)]
struct Series {
    label: TargetLabels,
    ok: OnceLock<Counter>,
    tokens: [OnceLock<Counter>; TOKENS.len()],
    cost: OnceLock<Counter<f64, AtomicU64>>,
    ttft: OnceLock<Histogram>,
}

/// Kinds of tokens that are counted.
const TOKENS: [&str; 4] = ["input", "cached", "output", "reasoning"];

fn seconds() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tollgate"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            attempts: Family::default(),
            ttft_seconds: Family::new_with_constructor(seconds),
            tokens: Family::default(),
            cost: Family::default(),
            unpriced: Family::default(),
            undecided: Counter::default(),
            in_flight: Gauge::default(),
            breaker: Family::default(),
            ledger_queue: Gauge::default(),
            ledger_lag: Gauge::default(),
            ledger_lost: Gauge::default(),
            evaluations: Family::default(),
            drift: Family::default(),
            targets: RwLock::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Client requests by route, endpoint and status", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "Time from a client request to the end of its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        r.register("attempts", "Upstream calls by target and outcome", self.attempts.clone());
        r.register_with_unit(
            "time_to_first_token",
            "Time from an upstream call to its first content",
            Unit::Seconds,
            self.ttft_seconds.clone(),
        );
        r.register("tokens", "Tokens by target and kind", self.tokens.clone());
        r.register(
            "cost_usd",
            "Cost of upstream calls in US dollars; exact sums are in the ledger",
            self.cost.clone(),
        );
        r.register("unpriced_attempts", "Upstream calls whose price is unknown", self.unpriced.clone());
        r.register(
            "checks_undecided",
            "Answers released because a check could not decide in time",
            self.undecided.clone(),
        );
        r.register(
            "evaluations",
            "Shadow and judge calls, and judgements, by what became of them",
            self.evaluations.clone(),
        );
        r.register(
            "quality_drift",
            "1 while the verdicts on a route have become worse than usual, else 0",
            self.drift.clone(),
        );
        r.register("requests_in_flight", "Client requests being served", self.in_flight.clone());
        r.register("breaker_open", "1 while a target's breaker is open, else 0", self.breaker.clone());
        r.register(
            "ledger_queued_rows",
            "Rows handed in and not yet in the store",
            self.ledger_queue.clone(),
        );
        r.register_with_unit(
            "ledger_lag",
            "Age of the oldest row not yet in the store",
            Unit::Seconds,
            self.ledger_lag.clone(),
        );
        r.register(
            "ledger_lost_rows",
            "Rows that could not be written since start",
            self.ledger_lost.clone(),
        );
    }

    fn series(&self, target: &Target) -> Arc<Series> {
        if let Some(series) = self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&target.id) {
            return Arc::clone(series);
        }
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let name = if targets.len() < MOST_TARGETS { target.id.as_str() } else { "other" };
        let new =
            || Arc::new(Series { label: TargetLabels { target: name.to_owned() }, ..Series::default() });
        Arc::clone(targets.entry(name.to_owned()).or_insert_with(new))
    }

    /// A request came (+1) or ended (-1).
    pub fn in_flight(&self, by: i64) {
        self.in_flight.inc_by(by);
    }

    /// A request ended.
    pub fn request(&self, open: &RequestOpen, status: u16, duration_us: u64) {
        let route = open.route.clone().unwrap_or_else(|| "pinned".to_owned());
        let stream = if open.stream { "true" } else { "false" };
        let labels = RequestLabels { route: route.clone(), op: open.op, stream, status };
        self.requests.get_or_create(&labels).inc();
        let seconds = std::time::Duration::from_micros(duration_us).as_secs_f64();
        self.request_seconds.get_or_create(&RouteLabels { route, op: open.op }).observe(seconds);
    }

    /// An upstream call ended.
    pub fn attempt(
        &self,
        target: &Target,
        outcome: Outcome,
        error: Option<ErrorKind>,
        usage: &Usage,
        cost: Option<Money>,
        ttft_us: Option<u64>,
    ) {
        let series = self.series(target);
        let label = &series.label;
        let word = error.map_or(outcome.as_str(), ErrorKind::as_str);
        let ended = || {
            self.attempts
                .get_or_create(&AttemptLabels { target: label.target.clone(), outcome: word })
                .clone()
        };
        if error.is_none() && outcome == Outcome::Ok {
            series.ok.get_or_init(ended).inc();
        } else {
            ended().inc();
        }
        let counts = [
            usage.total_input().saturating_sub(usage.cache_read),
            usage.cache_read,
            usage.total_output().saturating_sub(usage.reasoning),
            usage.reasoning,
        ];
        for ((cell, kind), count) in series.tokens.iter().zip(TOKENS).zip(counts).filter(|(_, n)| *n > 0) {
            let labels = || TokenLabels { target: label.target.clone(), kind };
            cell.get_or_init(|| self.tokens.get_or_create(&labels()).clone()).inc_by(count);
        }
        match cost {
            Some(cost) => {
                let counter = series.cost.get_or_init(|| self.cost.get_or_create(label).clone());
                counter.inc_by(cost.to_f64_usd().max(0.0));
            }
            None => {
                self.unpriced.get_or_create(label).inc();
            }
        }
        if let Some(us) = ttft_us {
            let seconds = std::time::Duration::from_micros(us).as_secs_f64();
            series.ttft.get_or_init(|| self.ttft_seconds.get_or_create(label).clone()).observe(seconds);
        }
    }

    /// A shadow or judge call, or a judgement, ended so.
    pub fn evaluation(&self, kind: &'static str, outcome: &'static str) {
        self.evaluations.get_or_create(&EvaluationLabels { kind, outcome }).inc();
    }

    /// The drift test of a route's verdicts from one source stands so. Routes are the operator's: few.
    pub fn drift(&self, route: &str, source: &'static str, alert: bool) {
        let labels = DriftLabels { route: route.to_owned(), source };
        self.drift.get_or_create(&labels).set(i64::from(alert));
    }

    /// A held answer was released without a verdict.
    pub fn undecided(&self) {
        self.undecided.inc();
    }

    /// The text for a scrape, with gauges brought up to date.
    pub fn encode(&self, health: &[TargetHealth], ledger: &ledger::Stats) -> Result<String, std::fmt::Error> {
        let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for line in health.iter().take(MOST_TARGETS) {
            let gauge = self.breaker.get_or_create(&TargetLabels { target: line.target.clone() });
            gauge.set(i64::from(line.state == Up::Open));
        }
        self.ledger_queue.set(clamp(ledger.queued));
        self.ledger_lag.set(std::time::Duration::from_millis(ledger.lag_ms).as_secs_f64());
        self.ledger_lost.set(clamp(ledger.lost));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
