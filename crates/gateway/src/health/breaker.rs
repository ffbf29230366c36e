//! One circuit breaker: closed → open → half-open → closed. A plain state machine; its owner locks it.

use std::time::{Duration, Instant};

use router::Up;
use wire::{ErrorKind, UpstreamError};

use super::backoff::{LONGEST, doubled};
use super::ramp::Ramp;
use super::window::Window;

/// Failures in a row that open it.
const IN_A_ROW: u32 = 5;
/// Calls in the window below which the share of failures says nothing.
const ENOUGH: u32 = 10;
/// First pause; doubles with each failed probe.
const FIRST: Duration = Duration::from_secs(2);
const CAP: Duration = Duration::from_mins(1);
/// First pause of a model that the vendor does not serve: it will not come back by waiting.
const UNKNOWN_MODEL: Duration = Duration::from_mins(10);
/// A breaker that opens again within this time goes on doubling.
const CALM: Duration = Duration::from_mins(1);
/// A probe that never reported back (its task died) stops blocking after this.
const LOST_PROBE: Duration = Duration::from_mins(2);
/// Seconds of a [`Window`].
const SECONDS: f64 = 10.0;
/// Weight of the newest time to first token.
const NEWEST: f64 = 0.2;

/// The health of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    in_a_row: u32,
    window: Window,
    /// While set, the breaker is not closed; half-open from this time on.
    until: Option<Instant>,
    /// Times that it opened without a calm time between.
    opened: u32,
    closed_at: Option<Instant>,
    /// Calls a second before it opened.
    rate: f64,
    /// Its way back after a probe has closed it.
    ramp: Option<Ramp>,
    probing: Option<Instant>,
    reason: Option<String>,
    pub(super) ttft_ms: Option<f64>,
    pub(super) calls: u64,
    pub(super) failures: u64,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            in_a_row: 0,
            window: Window::new(now),
            until: None,
            opened: 0,
            closed_at: None,
            rate: 0.0,
            ramp: None,
            probing: None,
            reason: None,
            ttft_ms: None,
            calls: 0,
            failures: 0,
        }
    }

    pub(super) fn state(&self, now: Instant) -> Up {
        match self.until {
            None => Up::Closed,
            Some(until) if now < until => Up::Open,
            Some(_) => Up::HalfOpen,
        }
    }

    /// Why it is not closed, and when it is probed.
    pub(super) fn trouble(&self) -> Option<(&str, Instant)> {
        Some((self.reason.as_deref()?, self.until?))
    }

    /// A probe may start.
    pub(super) fn may_probe(&self, now: Instant) -> bool {
        self.probing.is_none_or(|since| now.saturating_duration_since(since) > LOST_PROBE)
    }

    /// A call may go while it is closed: always, unless it has been out a moment ago.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.ramp.as_ref().is_none_or(|ramp| ramp.room(now))
    }

    /// Takes the room of a call, if there is any.
    pub(super) fn enter(&mut self, now: Instant) -> bool {
        if self.ramp.as_ref().is_some_and(|ramp| ramp.over(now)) {
            self.ramp = None;
        }
        self.ramp.as_mut().is_none_or(|ramp| ramp.take(now))
    }

    /// It is on its way back.
    pub(super) fn returning(&self, now: Instant) -> bool {
        self.ramp.as_ref().is_some_and(|ramp| !ramp.over(now))
    }

    pub(super) fn probe(&mut self, now: Instant) {
        self.probing = Some(now);
    }

    pub(super) fn free_probe(&mut self) {
        self.probing = None;
    }

    /// A whole success. Only a probe closes an open breaker: a call that began before it opened proves nothing.
    /// `withheld`: while it was open, calls were kept from it.
    pub(super) fn succeeded(&mut self, probe: bool, withheld: bool, ttft: Duration, now: Instant) {
        self.calls += 1;
        self.in_a_row = 0;
        self.window.add(false, now);
        let ms = ttft.as_secs_f64() * 1_000.0;
        self.ttft_ms = Some(self.ttft_ms.map_or(ms, |old| old + NEWEST * (ms - old)));
        if probe {
            self.probing = None;
            if self.until.take().is_some() {
                self.reason = None;
                self.closed_at = Some(now);
                self.window.clear();
                // A last resort that was called all the time has nobody who waits.
                self.ramp = withheld.then(|| Ramp::new(self.rate, now));
            }
        }
    }

    /// The vendor answered, but with a refusal of our key (a failure of the call, not of the vendor) or of the request.
    pub(super) fn refused(&mut self, probe: bool, failure: bool) {
        self.calls += 1;
        self.failures += u64::from(failure);
        if probe {
            self.probing = None;
        }
    }

    /// The vendor failed.
    pub(super) fn failed(&mut self, probe: bool, error: &UpstreamError, seed: u64, now: Instant) {
        self.calls += 1;
        self.failures += 1;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.window.add(true, now);
        if probe {
            self.probing = None;
        }
        let asked = error.retry_after.map(|wait| wait.min(LONGEST));
        match self.state(now) {
            Up::HalfOpen if probe => self.open(error, asked, seed, now),
            // Stragglers: the later, longer wish wins, nothing else changes.
            Up::Open | Up::HalfOpen => self.extend(asked, now),
            Up::Closed => {
                let counts = self.window.counts(now);
                let half = counts.all >= ENOUGH && counts.marked.saturating_mul(2) >= counts.all;
                if self.in_a_row >= IN_A_ROW
                    || half
                    || asked.is_some()
                    || error.kind == ErrorKind::ModelNotFound
                {
                    self.rate = f64::from(counts.all) / SECONDS;
                    self.ramp = None;
                    self.open(error, asked, seed, now);
                }
            }
        }
    }

    fn extend(&mut self, asked: Option<Duration>, now: Instant) {
        if let Some(asked) = asked {
            self.until = self.until.max(now.checked_add(asked));
        }
    }

    fn open(&mut self, error: &UpstreamError, asked: Option<Duration>, seed: u64, now: Instant) {
        if self.closed_at.is_some_and(|at| now.saturating_duration_since(at) > CALM) {
            self.opened = 0;
        }
        let (first, cap) =
            if error.kind == ErrorKind::ModelNotFound { (UNKNOWN_MODEL, LONGEST) } else { (FIRST, CAP) };
        let pause = doubled(first, self.opened, cap);
        // 0.8 to 1.2: gateways that saw the same fault do not probe together.
        let pause = pause.mul_f64(0.8 + 0.4 * fastrand::Rng::with_seed(seed).f64());
        self.opened = self.opened.saturating_add(1);
        self.until = self.until.max(now.checked_add(pause.max(asked.unwrap_or_default())));
        self.probing = None;
        self.reason = Some(reason(error, self.in_a_row));
    }
}

fn reason(error: &UpstreamError, in_a_row: u32) -> String {
    let kind = error.kind.as_str();
    let status = error.status.map(|status| format!(" ({status})")).unwrap_or_default();
    if in_a_row > 1 { format!("{kind}{status}, {in_a_row} in a row") } else { format!("{kind}{status}") }
}
