//! What every request shares: one value, made once, handed down as an `Arc`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use ledger::Ledger;
use tokio::sync::Semaphore;
use ulid::Ulid;

use crate::affinity::Affinity;
use crate::config::store::ConfigStore;
use crate::decision::Places;
use crate::drift::DriftWatch;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::shadow::Shadows;
use crate::telemetry::Telemetry;
use crate::upstream::Upstream;

/// The process's shared state.
pub struct App {
    /// The running configuration.
    pub config: Arc<ConfigStore>,
    /// The ledger.
    pub ledger: Ledger,
    /// The client for all vendors.
    pub upstream: Upstream,
    /// Breakers and keys.
    pub health: Health,
    /// Counters.
    pub metrics: Metrics,
    /// OpenTelemetry export.
    pub telemetry: Telemetry,
    /// Which conversations are bound to which targets.
    pub affinity: Affinity,
    /// Shadow and judge calls: places and budgets.
    pub shadows: Shadows,
    /// Watches verdicts.
    pub drift: DriftWatch,
    /// The one place for a replay.
    pub replays: Arc<Semaphore>,
    /// Places for decisions.
    pub decisions: Places,
    /// The token of `DATA_DIR/admin.token`.
    pub admin_token: String,
    /// Where the ledger and other state live.
    pub data_dir: PathBuf,
    /// What every page says at its top, e.g. that all vendors are simulated.
    pub notice: OnceLock<&'static str>,
}

/// A fresh id: a ULID, ordered by time. Ids name rows and are no secrets, so a fast generator is enough.
pub fn new_id() -> Ulid {
    let now = Timestamp::now().as_millisecond();
    Ulid::from_parts(u64::try_from(now).unwrap_or(0), fastrand::u128(..))
}
