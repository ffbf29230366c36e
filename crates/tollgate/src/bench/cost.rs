//! What the bench itself costs: a client that cannot keep up looks like a slow server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

use super::stats::{Spread, rounded, share};

/// How often the event loop is asked whether it is on time.
const TICK: Duration = Duration::from_millis(10);

/// The client's own cost over a point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Processor time, seconds; `None` where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Of one core.
    pub cpu_share: Option<f64>,
    /// How late the event loop was, milliseconds: an upper bound on what the client adds to a time.
    pub lag_ms: Option<Spread>,
}

/// A measurement under way.
pub struct Watch {
    started: Instant,
    cpu: Option<f64>,
    stop: Arc<AtomicBool>,
    lag: JoinHandle<Vec<f64>>,
}

impl Watch {
    /// Begins. Must be called in a runtime.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let lag = tokio::spawn(lag(Arc::clone(&stop)));
        Self { started: Instant::now(), cpu: cpu_seconds(), stop, lag }
    }

    /// Ends.
    pub async fn finish(self) -> Cost {
        self.stop.store(true, Ordering::Relaxed);
        let wall = self.started.elapsed().as_secs_f64();
        let cpu = self.cpu.zip(cpu_seconds()).map(|(before, after)| after - before);
        Cost {
            cpu_s: cpu.map(|cpu| rounded(cpu, 3)),
            cpu_share: cpu.map(|cpu| rounded(share(cpu, wall), 3)),
            lag_ms: Spread::of(self.lag.await.unwrap_or_default()),
        }
    }
}

/// Sleeps again and again and notes by how many milliseconds it woke too late.
async fn lag(stop: Arc<AtomicBool>) -> Vec<f64> {
    let mut late = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + TICK;
        tokio::time::sleep_until(due.into()).await;
        late.push(due.elapsed().as_secs_f64() * 1e3);
    }
    late
}

/// Processor time of this process, all threads, user and system.
#[cfg(unix)]
fn cpu_seconds() -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?).as_secs_f64().into()
}

#[cfg(not(unix))]
fn cpu_seconds() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocked_event_loop_is_seen() {
        let watch = Watch::start();
        tokio::task::yield_now().await;
        // blocks the only thread for longer than a tick
        let until = Instant::now() + TICK * 5;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let cost = watch.finish().await;
        assert!(cost.lag_ms.unwrap().max >= 30.0, "{cost:?}");
        assert!(cost.cpu_s.is_none_or(|cpu| cpu > 0.0), "{cost:?}");
    }
}
