//! Which targets and keys are in rotation: circuit breakers, key health, the retry budget. Time is an argument.
//!
//! The obvious alternative, one cooldown per deployment, cannot tell a dead vendor from a throttled key or a refused
//! request. Here the [`Blame`] of an error decides what rests: the target (its breaker), one key, or nothing.

mod backoff;
mod breaker;
mod keys;
mod ramp;
#[cfg(test)]
mod tests;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use router::{Measured, Measures, Sample, Up};
use wire::{Blame, ErrorKind, UpstreamError};

use crate::config::Target;
pub use backoff::backoff;
use breaker::Breaker;
use keys::{Keys, Prints};
use window::Window;

/// Probes of one host's targets that may start in one second: a vendor that comes back is not met by all at once.
const PROBES_A_SECOND: u32 = 5;
/// Retries in ten seconds that are always granted, so that a quiet gateway can retry at all.
const FREE_RETRIES: u32 = 10;
/// Requests that earn one retry.
const REQUESTS_A_RETRY: u32 = 5;

/// Targets that are remembered. Clients may name any model of a configured vendor; without a bound they could fill the
/// memory. Healthy targets are forgotten first: they have nothing to remember but their figures.
const MOST_TARGETS: usize = 4_096;

/// Breakers of all targets and keys. Outlives config reloads (keyed by target id).
#[derive(Debug, Default)]
pub struct Health {
    targets: RwLock<HashMap<Box<str>, Arc<Cell>>>,
    hosts: RwLock<HashMap<Box<str>, Arc<Vendor>>>,
    prints: Prints,
    /// Calls, and retries as marks.
    retries: Mutex<Option<Window>>,
}

/// One target.
#[derive(Debug)]
struct Cell {
    vendor: Arc<Vendor>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// Keys that this model throttles or refuses: limits are per model at most vendors.
    keys: Keys,
    key_count: usize,
    /// Since `epoch`.
    measures: Measures,
    epoch: Instant,
}

/// What the targets of one host share.
#[derive(Debug, Default)]
struct Vendor {
    state: Mutex<VendorState>,
}

#[derive(Debug, Default)]
struct VendorState {
    /// Keys that no model accepts.
    keys: Keys,
    probes: Option<(Instant, u32)>,
}

/// A permission to call a target now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The host's key to use.
    pub key: usize,
    /// This call is the half-open probe.
    pub probe: bool,
    /// It was admitted as a last resort, whatever the breaker says.
    pub forced: bool,
}

/// One line of `/api/v1/providers`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TargetHealth {
    /// `provider/model`.
    pub target: String,
    /// Breaker state.
    pub state: Up,
    /// Why it is not closed.
    pub reason: Option<String>,
    /// Milliseconds until it is probed.
    pub retry_in_ms: Option<u64>,
    /// Smoothed time to first token.
    pub ttft_ms: Option<f64>,
    /// Calls and failures since start.
    pub calls: u64,
    /// Failures since start.
    pub failures: u64,
    /// Speed, failures and cache hits of late: what `pick = "adaptive"` goes by.
    pub measured: Measured,
}

impl Health {
    /// The breaker's state. Open, too, when every key rests; half-open, too, while a target that has come back takes no
    /// more calls for a moment.
    pub fn state(&self, target: &Target, now: Instant) -> Up {
        let Some(cell) = self.known(target) else { return Up::Closed };
        let state = lock(&cell.state);
        match state.breaker.state(now) {
            Up::Closed if self.key(target, &cell, &state, now).is_err() => Up::Open,
            Up::Closed if !state.breaker.has_room(now) => Up::HalfOpen,
            up => up,
        }
    }

    /// Smoothed time to first token in milliseconds.
    pub fn ttft_ms(&self, target: &Target) -> Option<f64> {
        lock(&self.known(target)?.state).breaker.ttft_ms
    }

    /// Speed, failures and cache hits of late; `None` when it was never called.
    pub fn measured(&self, target: &Target, now: Instant) -> Option<Measured> {
        Some(lock(&self.known(target)?.state).measured(now))
    }

    /// Admits a call and picks the key. `None`: the breaker is open, or every key is out. With `last_resort` an
    /// open breaker admits all the same (the least bad key).
    pub fn admit(&self, target: &Target, last_resort: bool, now: Instant) -> Option<Admission> {
        let cell = self.cell(target, now);
        let mut state = lock(&cell.state);
        state.key_count = target.host.keys.len();
        let probe = match state.breaker.state(now) {
            Up::Closed => false,
            // What a last resort finds out decides as a probe does.
            _ if last_resort => true,
            Up::HalfOpen if state.breaker.may_probe(now) => true,
            Up::HalfOpen | Up::Open => return None,
        };
        let key = match self.key(target, &cell, &state, now) {
            Ok(key) => key,
            Err(least_bad) if last_resort => least_bad.key,
            Err(_) => return None,
        };
        if probe && !last_resort && !lock(&cell.vendor.state).probe(now) {
            return None;
        }
        if probe {
            state.breaker.probe(now);
        } else if !state.breaker.enter(now) && !last_resort {
            return None;
        }
        drop(state);
        self.count_call(now);
        Some(Admission { key, probe, forced: last_resort })
    }

    /// How long a vendor's rate limit keeps every key of a healthy target out. Not even a last resort calls it before:
    /// the vendor has said when to come back.
    pub fn throttled_for(&self, target: &Target, now: Instant) -> Option<Duration> {
        let cell = self.known(target)?;
        let state = lock(&cell.state);
        if state.breaker.state(now) != Up::Closed {
            return None;
        }
        let least = self.key(target, &cell, &state, now).err()?;
        let throttled =
            state.keys.resting(now).any(|(key, _, kind)| key == least.key && kind == ErrorKind::RateLimited);
        throttled.then(|| least.until.saturating_duration_since(now))
    }

    /// A call succeeded, and how.
    pub fn succeeded(&self, target: &Target, admission: Admission, sample: &Sample, now: Instant) {
        let cell = self.cell(target, now);
        let mut state = lock(&cell.state);
        state.breaker.succeeded(admission.probe, !admission.forced, sample.ttft.unwrap_or(sample.total), now);
        let since = now.saturating_duration_since(state.epoch);
        state.measures.answered(sample, since);
        state.keys.succeeded(admission.key);
        lock(&cell.vendor.state).keys.succeeded(admission.key);
    }

    /// A call failed: counts by blame, honours `retry_after`.
    pub fn failed(&self, target: &Target, admission: Admission, error: &UpstreamError, now: Instant) {
        let cell = self.cell(target, now);
        let mut state = lock(&cell.state);
        match error.blame {
            Blame::Vendor => {
                state.breaker.failed(admission.probe, error, fastrand::u64(..), now);
                let since = now.saturating_duration_since(state.epoch);
                state.measures.failed(since);
            }
            Blame::Key => {
                state.breaker.refused(admission.probe, true);
                let (host, key) = (&target.host, admission.key);
                if for_every_model(error) {
                    lock(&cell.vendor.state).keys.failed(host, key, &self.prints, error, now);
                } else {
                    state.keys.failed(host, key, &self.prints, error, now);
                }
            }
            Blame::Request | Blame::Gateway => state.breaker.refused(admission.probe, false),
        }
    }

    /// The client went away while nothing had come of a call: that it took so long is a measurement.
    pub fn waited(&self, target: &Target, stream: bool, waited: Duration, now: Instant) {
        let Some(cell) = self.known(target) else { return };
        let mut state = lock(&cell.state);
        let since = now.saturating_duration_since(state.epoch);
        state.measures.gave_up(stream, waited, since);
    }

    /// A call was given up by us (client gone): frees the probe, counts nothing.
    pub fn abandoned(&self, target: &Target, admission: Admission) {
        if let Some(cell) = self.known(target).filter(|_| admission.probe) {
            lock(&cell.state).breaker.free_probe();
        }
    }

    /// A retry (any attempt beyond a request's first that is no escalation) may be spent now: at most one for five
    /// requests over ten seconds, or ten when there are few requests. What is granted is spent.
    pub fn may_retry(&self, now: Instant) -> bool {
        let mut window = lock(&self.retries);
        let window = window.get_or_insert_with(|| Window::new(now));
        let counts = window.counts(now);
        let requests = counts.all.saturating_sub(counts.marked);
        let granted = counts.marked < (requests / REQUESTS_A_RETRY).max(FREE_RETRIES);
        if granted {
            window.mark(now);
        }
        granted
    }

    /// All targets ever called, for the API.
    pub fn snapshot(&self, now: Instant) -> Vec<TargetHealth> {
        let cells: Vec<(String, Arc<Cell>)> = {
            let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
            targets.iter().map(|(id, cell)| (id.to_string(), Arc::clone(cell))).collect()
        };
        let mut all: Vec<TargetHealth> = cells.into_iter().map(|(id, cell)| cell.describe(id, now)).collect();
        all.sort_by(|a, b| a.target.cmp(&b.target));
        all
    }

    fn known(&self, target: &Target) -> Option<Arc<Cell>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(target.id.as_str()).map(Arc::clone)
    }

    fn cell(&self, target: &Target, now: Instant) -> Arc<Cell> {
        if let Some(cell) = self.known(target) {
            return cell;
        }
        let vendor = {
            let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(target.host.id.as_str().into()).or_default())
        };
        let new = || {
            let (keys, measures) = (Keys::default(), Measures::default());
            let state = State { breaker: Breaker::new(now), keys, key_count: 0, measures, epoch: now };
            Arc::new(Cell { vendor, state: Mutex::new(state) })
        };
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= MOST_TARGETS {
            targets.retain(|_, cell| lock(&cell.state).breaker.state(now) != Up::Closed);
        }
        if targets.len() >= MOST_TARGETS {
            targets.clear();
        }
        Arc::clone(targets.entry(target.id.as_str().into()).or_insert_with(new))
    }

    /// The first key in order of preference that does not rest, else the one that rests least.
    fn key(&self, target: &Target, cell: &Cell, state: &State, now: Instant) -> Result<usize, LeastBad> {
        let vendor = lock(&cell.vendor.state);
        let mut least_bad: Option<LeastBad> = None;
        for key in 0..target.host.keys.len().max(1) {
            let here = state.keys.rests(&target.host, key, &self.prints, now);
            let anywhere = vendor.keys.rests(&target.host, key, &self.prints, now);
            let Some(until) = here.max(anywhere) else { return Ok(key) };
            if least_bad.as_ref().is_none_or(|least| until < least.until) {
                least_bad = Some(LeastBad { key, until });
            }
        }
        Err(least_bad.unwrap_or(LeastBad { key: 0, until: now }))
    }

    fn count_call(&self, now: Instant) {
        lock(&self.retries).get_or_insert_with(|| Window::new(now)).add(false, now);
    }
}

struct LeastBad {
    key: usize,
    until: Instant,
}

impl Cell {
    fn describe(&self, target: String, now: Instant) -> TargetHealth {
        let state = lock(&self.state);
        let vendor = lock(&self.vendor.state);
        let mut up = state.breaker.state(now);
        let (mut reason, mut until) = state.breaker.trouble().map(|(why, at)| (why.to_owned(), at)).unzip();
        let mut resting: Vec<(usize, Instant, ErrorKind)> =
            state.keys.resting(now).chain(vendor.keys.resting(now)).collect();
        // One line a key: the longer of its two rests.
        resting.sort_by_key(|&(key, at, _)| (key, std::cmp::Reverse(at)));
        resting.dedup_by_key(|one| one.0);
        if up == Up::Closed && state.breaker.returning(now) {
            reason = Some("back from a fault: its calls grow over ten seconds".to_owned());
        }
        let keys = state.key_count.max(1);
        if let (Up::Closed, Some(&(key, at, kind))) = (up, resting.iter().min_by_key(|one| one.1)) {
            if resting.len() >= keys {
                up = Up::Open;
                reason = Some(format!("every key rests: {}", kind.as_str()));
                until = Some(at);
            } else {
                reason = Some(format!("key {} of {keys} rests: {}", key + 1, kind.as_str()));
            }
        }
        TargetHealth {
            target,
            state: up,
            reason,
            retry_in_ms: until.map(|at| millis(at.saturating_duration_since(now))),
            ttft_ms: state.breaker.ttft_ms,
            calls: state.breaker.calls,
            failures: state.breaker.failures,
            measured: state.measured(now),
        }
    }
}

impl State {
    fn measured(&self, now: Instant) -> Measured {
        self.measures.at(now.saturating_duration_since(self.epoch))
    }
}

impl VendorState {
    /// Takes one of this second's probes.
    fn probe(&mut self, now: Instant) -> bool {
        match &mut self.probes {
            Some((since, count)) if now.saturating_duration_since(*since) < Duration::from_secs(1) => {
                *count += 1;
                *count <= PROBES_A_SECOND
            }
            probes => {
                *probes = Some((now, 1));
                true
            }
        }
    }
}

/// A throttle, and a 403, may concern one model only; a bad key and an empty account concern all.
fn for_every_model(error: &UpstreamError) -> bool {
    match error.kind {
        ErrorKind::QuotaExhausted => true,
        ErrorKind::Credentials => error.status != Some(403),
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
