//! Starts the gate on a listener and stops it without cutting anybody off.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ledger::Ledger;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::affinity::Affinity;
use crate::api;
use crate::app::App;
use crate::config::store::ConfigStore;
use crate::decision::Places;
use crate::drift::DriftWatch;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::retirement;
use crate::server::{self, Drained, ServerOptions};
use crate::service::Service;
use crate::shadow::Shadows;
use crate::telemetry::{Telemetry, TelemetryError};
use crate::upstream::Upstream;

/// What a gate is made from.
pub struct StartOptions {
    /// The running configuration.
    pub config: Arc<ConfigStore>,
    /// The open ledger.
    pub ledger: Ledger,
    /// Where clients come in.
    pub listener: TcpListener,
    /// Where the ledger and other state live.
    pub data_dir: PathBuf,
    /// The token for the API's mutations; empty: none.
    pub admin_token: String,
    /// How long open requests may go on after a shutdown.
    pub grace: Duration,
}

/// A running gate.
pub struct Running {
    addr: SocketAddr,
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drained>,
}

/// Why a gate could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener has no address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
    /// The telemetry endpoint cannot be used.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

/// Starts the gate. Must be called within a tokio runtime.
pub fn start(options: StartOptions) -> Result<Running, StartError> {
    let addr = options.listener.local_addr()?;
    let config = options.config.load();
    let app = Arc::new(App {
        config: Arc::clone(&options.config),
        ledger: options.ledger,
        upstream: Upstream::default(),
        health: Health::default(),
        metrics: Metrics::default(),
        telemetry: Telemetry::start(config.telemetry.as_ref())?,
        affinity: Affinity::default(),
        shadows: Shadows::default(),
        drift: DriftWatch::default(),
        replays: Arc::new(Semaphore::new(1)),
        decisions: Places::default(),
        admin_token: options.admin_token,
        data_dir: options.data_dir,
        notice: OnceLock::new(),
    });
    tokio::spawn(retirement::watch(Arc::downgrade(&app)));
    let api = api::router(Arc::clone(&app));
    let service = Service::new(Arc::clone(&app), api);
    let limits = ServerOptions {
        header_bytes: config.limits.header_bytes,
        connections: config.limits.connections,
        grace: options.grace,
        ..ServerOptions::default()
    };
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        // A dropped sender stops the gate too.
        let _ = stopped.await;
    };
    let server = tokio::spawn(server::serve(options.listener, service, limits, shutdown));
    Ok(Running { addr, app, stop, server })
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its state.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Puts a notice on every page. The first one stays.
    pub fn notice(&self, text: &'static str) {
        let _ = self.app.notice.set(text);
    }

    /// Stops taking requests, lets open ones end within the grace period, and writes the ledger out.
    pub async fn shutdown(self) -> Drained {
        // An error means that the server has ended already.
        let _ = self.stop.send(());
        let drained = self.server.await.unwrap_or(Drained { finished: 0, aborted: 0 });
        let app = Arc::clone(&self.app);
        let flushed = tokio::task::spawn_blocking(move || {
            app.telemetry.shutdown();
            app.ledger.flush()
        });
        if !matches!(flushed.await, Ok(Ok(()))) {
            tracing::error!("the ledger's last rows could not be flushed; they are in the spool");
        }
        drained
    }
}
