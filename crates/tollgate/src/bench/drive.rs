//! Holds a load: a closed loop of so many slots, or an open loop of Poisson arrivals.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::Load;
use super::arrivals::Poisson;
use super::record::{Outcome, Record};
use super::stats::{len, real};
use super::target::micros;

/// Arrivals that are looked at to see whether the queue grows.
const WATCHED: usize = 60;
/// Requests in flight, on average over the latest arrivals, below which nothing is called saturated.
const QUEUE: f64 = 8.0;
/// Failures after which a point where most fail ends.
const FAILURES: usize = 20;

/// Where a point ends, whatever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most requests.
    pub requests: usize,
    /// No request goes out after this.
    pub duration: Duration,
    /// Most requests under way in an open loop; at this the server counts as saturated.
    pub in_flight: usize,
    /// End a point early when it cannot be held.
    pub stop_early: bool,
}

/// One request to make.
#[derive(Clone, Copy, Debug)]
pub struct Shot {
    /// Its number in the point.
    pub number: usize,
    /// The start of the point.
    pub epoch: Instant,
    /// When it is meant to go out; `None` in a closed loop: when its slot is free.
    pub intended: Option<Duration>,
}

/// What a point brought.
#[derive(Debug)]
pub struct Held {
    /// A record of each request that came back.
    pub records: Vec<Record>,
    /// Requests that were begun, counted before they went out.
    pub sent: usize,
    /// When the last one went out, microseconds.
    pub load_end: u32,
    /// Why it ended before its bounds.
    pub stopped: Option<String>,
}

/// Holds `load` until its bounds and waits for what is under way. `shoot` makes one request and never fails.
pub async fn hold<F, Fut>(load: Load, seed: u64, bounds: Bounds, bar: &ProgressBar, shoot: F) -> Held
where
    F: Fn(Shot) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Record> + Send + 'static,
{
    match load {
        Load::Closed { concurrency } => closed(concurrency, bounds, bar, shoot).await,
        Load::Open { rate } => open(Poisson::new(rate, seed), bounds, bar, shoot).await,
    }
}

/// What the slots of a closed loop share.
struct Shared {
    epoch: Instant,
    next: AtomicUsize,
    sent: AtomicUsize,
    failed: AtomicUsize,
    last_sent: AtomicU32,
    given_up: AtomicBool,
}

async fn closed<F, Fut>(concurrency: usize, bounds: Bounds, bar: &ProgressBar, shoot: F) -> Held
where
    F: Fn(Shot) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Record> + Send + 'static,
{
    let shared = Arc::new(Shared {
        epoch: Instant::now(),
        next: AtomicUsize::new(0),
        sent: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        last_sent: AtomicU32::new(0),
        given_up: AtomicBool::new(false),
    });
    let mut slots = JoinSet::new();
    for _ in 0..concurrency {
        let (shared, bar, shoot) = (Arc::clone(&shared), bar.clone(), shoot.clone());
        slots.spawn(async move {
            let mut records = Vec::new();
            while let Some(number) = shared.take(bounds) {
                let record = shoot(Shot { number, epoch: shared.epoch, intended: None }).await;
                shared.note(&record, bounds);
                bar.inc(1);
                records.push(record);
            }
            records
        });
    }
    let mut records = Vec::new();
    while let Some(slot) = slots.join_next().await {
        // a slot that panicked loses its records: the sum of outcomes then tells
        records.extend(slot.unwrap_or_default());
    }
    let given_up = shared.given_up.load(Ordering::Relaxed);
    Held {
        records,
        sent: shared.sent.load(Ordering::Relaxed),
        load_end: shared.last_sent.load(Ordering::Relaxed),
        stopped: given_up.then(|| "most requests failed".to_owned()),
    }
}

impl Shared {
    /// The number of the next request, counted as sent; `None` when the point is over.
    fn take(&self, bounds: Bounds) -> Option<usize> {
        if self.given_up.load(Ordering::Relaxed) || self.epoch.elapsed() >= bounds.duration {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= bounds.requests {
            return None;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.last_sent.fetch_max(micros(self.epoch), Ordering::Relaxed);
        Some(number)
    }

    fn note(&self, record: &Record, bounds: Bounds) {
        if record.is_ok() {
            return;
        }
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if bounds.stop_early && hopeless(failed, self.sent.load(Ordering::Relaxed)) {
            self.given_up.store(true, Ordering::Relaxed);
        }
    }
}

fn hopeless(failed: usize, sent: usize) -> bool {
    failed >= FAILURES && failed * 2 > sent
}

async fn open<F, Fut>(arrivals: Poisson, bounds: Bounds, bar: &ProgressBar, shoot: F) -> Held
where
    F: Fn(Shot) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Record> + Send + 'static,
{
    let epoch = Instant::now();
    let mut held = Held { records: Vec::new(), sent: 0, load_end: 0, stopped: None };
    let mut flying = JoinSet::new();
    let mut queue = Queue::default();
    let mut failed = 0;
    for intended in arrivals.take(bounds.requests) {
        if intended >= bounds.duration {
            break;
        }
        tokio::time::sleep_until((epoch + intended).into()).await;
        while let Some(landed) = flying.try_join_next() {
            land(landed, &mut held, bar, &mut failed);
        }
        if !held.records.is_empty() {
            queue.saw(flying.len());
        }
        if let Some(why) = too_much(flying.len(), &queue, failed, held.sent, bounds) {
            held.stopped = Some(why);
            break;
        }
        held.load_end = micros(epoch);
        flying.spawn(shoot(Shot { number: held.sent, epoch, intended: Some(intended) }));
        held.sent += 1;
    }
    while let Some(landed) = flying.join_next().await {
        land(landed, &mut held, bar, &mut failed);
    }
    held
}

fn land(
    landed: Result<Record, tokio::task::JoinError>,
    held: &mut Held,
    bar: &ProgressBar,
    failed: &mut usize,
) {
    // a request whose task panicked has no record: the sum of outcomes then tells
    let Ok(record) = landed else { return };
    *failed += usize::from(!matches!(record.outcome, Outcome::Ok));
    bar.inc(1);
    held.records.push(record);
}

fn too_much(flying: usize, queue: &Queue, failed: usize, sent: usize, bounds: Bounds) -> Option<String> {
    if flying >= bounds.in_flight {
        return Some(format!("over-saturated: {flying} requests in flight, the bound"));
    }
    if !bounds.stop_early {
        return None;
    }
    if queue.grows() {
        return Some(format!("over-saturated: requests in flight grew steadily, to {flying}"));
    }
    hopeless(failed, sent).then(|| "most requests failed".to_owned())
}

/// Requests in flight at the latest arrivals, since the first request has ended.
#[derive(Debug, Default)]
struct Queue {
    seen: VecDeque<usize>,
}

impl Queue {
    fn saw(&mut self, in_flight: usize) {
        self.seen.push_back(in_flight);
        // the latest half of a long run, so that a late collapse is seen, too
        if self.seen.len() > 40 * WATCHED {
            self.seen.drain(..20 * WATCHED);
        }
    }

    /// More arrives than leaves: the mean of each third of the arrivals is above the third before, and the last far
    /// above the first (steady growth from nothing makes it five times the first). At rest it wavers around one value.
    fn grows(&self) -> bool {
        if self.seen.len() < WATCHED {
            return false;
        }
        let third = self.seen.len() / 3;
        let mean = |part: usize| {
            let sum: usize = self.seen.iter().skip(part * third).take(third).sum();
            real(sum as u64) / len(third)
        };
        let (first, middle, last) = (mean(0), mean(1), mean(2));
        last >= QUEUE && last > 1.2 * middle && middle > 1.2 * first && last > 2.5 * first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with `slots` places and a fixed time of service: requests in flight seen by each arrival.
    fn simulate(rate: f64, slots: usize, service: f64, arrivals: usize, seed: u64) -> Option<usize> {
        let mut queue = Queue::default();
        let mut free = vec![0.0_f64; slots];
        let mut ends: Vec<f64> = Vec::new();
        for (n, at) in Poisson::new(rate, seed).take(arrivals).enumerate() {
            let at = at.as_secs_f64();
            if ends.iter().any(|end| *end <= at) {
                queue.saw(ends.iter().filter(|end| **end > at).count());
            }
            if queue.grows() {
                return Some(n);
            }
            let slot = (0..slots).min_by(|a, b| free[*a].total_cmp(&free[*b])).unwrap();
            free[slot] = free[slot].max(at) + service;
            ends.push(free[slot]);
        }
        None
    }

    #[test]
    fn a_server_that_keeps_up_is_not_called_saturated() {
        for seed in 0..40 {
            // 16 slots of one second carry 16 requests a second
            assert_eq!(simulate(8.0, 16, 1.0, 1_500, seed), None, "half load, seed {seed}");
            assert_eq!(simulate(12.0, 16, 1.0, 1_500, seed), None, "three quarters, seed {seed}");
        }
    }

    #[test]
    fn a_server_that_falls_behind_is() {
        for seed in 0..40 {
            let at = simulate(32.0, 16, 1.0, 1_500, seed);
            assert!(at.is_some_and(|arrivals| arrivals < 500), "twice the load, seed {seed}: {at:?}");
        }
    }

    fn record(shot: Shot, ok: bool) -> Record {
        let now = micros(shot.epoch);
        let outcome = if ok { Outcome::Ok } else { Outcome::Error("server_error".to_owned()) };
        let intended = shot.intended.map_or(now, |at| u32::try_from(at.as_micros()).unwrap());
        Record { intended, sent: now, events: vec![now], end: now, outcome, usage: None, resent: 0 }
    }

    const BOUNDS: Bounds =
        Bounds { requests: 500, duration: Duration::from_mins(1), in_flight: 100, stop_early: true };

    #[tokio::test]
    async fn a_closed_loop_keeps_its_slots_busy_and_counts_what_it_sent() {
        let most = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let counted = Arc::clone(&most);
        let shoot = move |shot: Shot| {
            let counted = Arc::clone(&counted);
            async move {
                let now = counted.0.fetch_add(1, Ordering::SeqCst) + 1;
                counted.1.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                counted.0.fetch_sub(1, Ordering::SeqCst);
                record(shot, true)
            }
        };
        let load = Load::Closed { concurrency: 7 };
        let held = hold(load, 1, BOUNDS, &ProgressBar::hidden(), shoot).await;
        assert_eq!((held.sent, held.records.len(), held.stopped), (500, 500, None));
        assert_eq!(most.1.load(Ordering::SeqCst), 7);
    }

    #[tokio::test]
    async fn a_lost_record_shows_in_the_sum() {
        let shoot = |shot: Shot| async move {
            assert!(shot.number != 3, "a bug of the client");
            record(shot, true)
        };
        let bounds = Bounds { requests: 10, ..BOUNDS };
        for load in [Load::Closed { concurrency: 2 }, Load::Open { rate: 1e6 }] {
            let held = hold(load, 1, bounds, &ProgressBar::hidden(), shoot).await;
            assert!(held.records.len() < held.sent, "{load}: {} of {}", held.records.len(), held.sent);
        }
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_is_left_alone_soon() {
        let shoot = |shot: Shot| async move { record(shot, false) };
        let held = hold(Load::Closed { concurrency: 2 }, 1, BOUNDS, &ProgressBar::hidden(), shoot).await;
        assert!(held.sent < 50 && held.stopped.as_deref() == Some("most requests failed"), "{}", held.sent);
    }

    #[tokio::test]
    async fn an_open_loop_sends_at_its_times_and_stops_at_its_bound() {
        // answers come only when nothing more is sent: the bound ends the point, and all are waited for
        let sent = Arc::new(tokio::sync::Barrier::new(5));
        let waiting = move |shot: Shot| {
            let sent = Arc::clone(&sent);
            async move {
                sent.wait().await;
                record(shot, true)
            }
        };
        let bounds = Bounds { in_flight: 5, ..BOUNDS };
        let held = hold(Load::Open { rate: 1e6 }, 1, bounds, &ProgressBar::hidden(), waiting).await;
        assert!(held.sent >= 5 && held.sent == held.records.len(), "{}", held.sent);
        let shoot = |shot: Shot| async move { record(shot, true) };
        let held = hold(Load::Open { rate: 5_000.0 }, 1, BOUNDS, &ProgressBar::hidden(), shoot).await;
        let meant: Vec<u32> =
            Poisson::new(5_000.0, 1).take(500).map(|t| u32::try_from(t.as_micros()).unwrap()).collect();
        let mut intended: Vec<u32> = held.records.iter().map(|record| record.intended).collect();
        intended.sort_unstable();
        // A busy machine may end the point early, but never moves a time.
        assert!(intended.len() >= 5, "{intended:?}");
        assert_eq!(Some(intended.as_slice()), meant.get(..intended.len()), "not when the client got to it");
    }
}
