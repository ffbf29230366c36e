//! Watches the verdicts on each route for drift, and raises the alert: a line in the log when it begins and ends, a metric
//! while it lasts. The test itself is the ledger's ([`ledger::drift`]), over the rows that everybody can read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Period, Reader, RouteQuality};

use crate::app::App;

/// Verdicts are looked at together, at most this often: a look reads all of them.
const PAUSE: Duration = Duration::from_secs(5);

/// Which routes are drifting.
#[derive(Debug, Default)]
pub struct DriftWatch {
    state: Mutex<Watching>,
}

#[derive(Debug, Default)]
struct Watching {
    /// A look is on its way, or waits for the pause to end.
    due: bool,
    last: Option<Instant>,
    alerts: BTreeSet<(String, &'static str)>,
}

impl DriftWatch {
    /// A verdict was handed in: looks at all of them soon.
    pub fn verdict(&self, app: &Arc<App>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut state.due, true) {
            return;
        }
        let wait = state.last.map_or(Duration::ZERO, |last| PAUSE.saturating_sub(last.elapsed()));
        drop(state);
        let app = Arc::clone(app);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            app.drift.begin();
            let dir = app.data_dir.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let reader = Reader::open(&dir).map_err(|e| e.to_string())?;
                reader.quality(Period::default(), false).map_err(|e| e.to_string())
            });
            match reading.await {
                Ok(Ok(quality)) => app.drift.update(&app, &quality),
                Ok(Err(error)) => tracing::warn!(error, "the verdicts could not be read"),
                Err(error) => tracing::warn!(%error, "the verdicts could not be read"),
            }
        });
    }

    fn begin(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.due = false;
        state.last = Some(Instant::now());
    }

    fn update(&self, app: &App, quality: &[RouteQuality]) {
        let mut now = BTreeSet::new();
        for route in quality {
            let name = route.route.as_deref().unwrap_or("pinned");
            for source in &route.sources {
                let Some(drift) = source.drift else { continue };
                app.metrics.drift(name, source.source, drift.alert);
                if drift.alert {
                    now.insert((name.to_owned(), source.source));
                }
            }
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, source) in now.difference(&state.alerts) {
            tracing::warn!(route, source, "the quality of this route is falling: see /api/v1/quality");
        }
        for (route, source) in state.alerts.difference(&now) {
            tracing::info!(route, source, "the quality of this route is as usual again");
        }
        state.alerts = now;
    }
}
