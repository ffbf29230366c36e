//! Which targets and keys are in rotation: circuit breakers, key health, the retry budget. Time is an argument.

use std::time::{Duration, Instant};

use router::Up;
use wire::UpstreamError;

use crate::config::Target;

/// Breakers of all targets and keys. Outlives config reloads (keyed by target id).
#[derive(Debug, Default)]
pub struct Health {}

/// A permission to call a target now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The host's key to use.
    pub key: usize,
    /// This call is the half-open probe.
    pub probe: bool,
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
}

impl Health {
    /// The breaker's state.
    pub fn state(&self, target: &Target, now: Instant) -> Up {
        let (_, _) = (target, now);
        Up::Closed
    }

    /// Smoothed time to first token in milliseconds.
    pub fn ttft_ms(&self, target: &Target) -> Option<f64> {
        let _ = target;
        None
    }

    /// Admits a call and picks the key. `None`: the breaker is open, or every key is out. With `last_resort` an
    /// open breaker admits all the same (the least bad key).
    pub fn admit(&self, target: &Target, last_resort: bool, now: Instant) -> Option<Admission> {
        let (_, _, _) = (target, last_resort, now);
        Some(Admission { key: 0, probe: false })
    }

    /// A call succeeded, with its time to first token.
    pub fn succeeded(&self, target: &Target, admission: Admission, ttft: Duration, now: Instant) {
        let (_, _, _, _) = (target, admission, ttft, now);
    }

    /// A call failed: counts by blame, honours `retry_after`.
    pub fn failed(&self, target: &Target, admission: Admission, error: &UpstreamError, now: Instant) {
        let (_, _, _, _) = (target, admission, error, now);
    }

    /// A call was given up by us (client gone): frees the probe, counts nothing.
    pub fn abandoned(&self, target: &Target, admission: Admission) {
        let (_, _) = (target, admission);
    }

    /// A retry (any attempt beyond a request's first that is no escalation) may be spent now: at most one for five requests, over a window.
    pub fn may_retry(&self, now: Instant) -> bool {
        let _ = now;
        true
    }

    /// All targets ever called, for the API.
    pub fn snapshot(&self, now: Instant) -> Vec<TargetHealth> {
        let _ = now;
        Vec::new()
    }
}
