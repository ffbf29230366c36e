//! The configuration, validated whole: what the rest of the gateway reads is always consistent.
//!
//! A file (or nothing: zero config) goes in with the environment, the client keys and the catalogue as arguments; one
//! immutable [`Config`] or every mistake with its place comes out. The obvious alternative, to merge defaults, file and
//! environment into one tree and deserialise it, loses the places and accepts keys that nothing enforces.

mod auto;
mod base_url;
mod classifier;
mod client_keys;
mod doc;
mod error;
mod load;
mod locate;
mod models;
mod nearest;
mod providers;
mod resolve;
mod routes;
mod source;
pub mod store;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Auth, Catalogue, Offer, Quirks};
use jiff::Timestamp;
use wire::Dialect;

use crate::keys::{KeyHash, KeyRing, same};

pub use error::{ConfigError, ConfigErrors};
pub use locate::{Located, data_dir, locate};
pub use nearest::nearest;
pub use resolve::{Resolved, UnknownModel};
pub use source::Sources;

/// Everything that one request sees: an immutable snapshot, swapped whole on reload (LAW 10).
#[derive(Debug)]
pub struct Config {
    /// Counts up with every accepted reload; in responses of `/api/v1/config/version` and in the ledger.
    pub version: u64,
    /// The file it came from; `None` with zero config.
    pub file: Option<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// `data_dir` as configured; [`data_dir`] says which one is used.
    pub data_dir: Option<PathBuf>,
    /// Host names besides loopback that a request may carry in `Host`.
    pub allowed_hosts: Vec<String>,
    /// Bounds on what comes in.
    pub limits: Limits,
    /// Deadlines of an upstream call.
    pub timeouts: Timeouts,
    /// What to do when the ledger cannot be written.
    pub when_unwritable: WhenUnwritable,
    /// Client keys, revoked ones too; empty: keyless, loopback only.
    pub keys: Vec<ClientKey>,
    /// Configured vendors by id.
    pub hosts: BTreeMap<String, Arc<Host>>,
    /// `[models]` aliases.
    pub models: BTreeMap<String, Arc<Group>>,
    /// `[routes]`, with the implied `auto`.
    pub routes: BTreeMap<String, Arc<RouteConfig>>,
    /// Prices and facts, with the user's overlay.
    pub catalogue: Arc<Catalogue>,
    /// OpenTelemetry export; `None`: off.
    pub telemetry: Option<Telemetry>,
    /// What the operator should know at start: which vendors were found, what `auto` is. No secrets.
    pub notices: Vec<String>,
    /// What is allowed and unwise.
    pub warnings: Vec<ConfigError>,
    /// Files that this was made from: a change of any of them calls for a reload.
    pub files: Vec<PathBuf>,
    ring: KeyRing,
    /// Names of client keys by hash, without the revoked.
    by_hash: HashMap<KeyHash, usize>,
    resolved: resolve::Cache,
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// OTLP over HTTP, e.g. `http://127.0.0.1:4318`.
    pub otlp_endpoint: String,
    /// Which generation of OpenTelemetry's names for language models.
    pub semconv: Semconv,
}

/// `[telemetry] semconv`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semconv {
    /// Names up to v1.40.
    #[default]
    Old,
    /// Names of 2026.
    New,
    /// Both, for the time of a migration.
    Both,
}

impl Semconv {
    /// Old names are emitted.
    pub const fn has_old(self) -> bool {
        matches!(self, Self::Old | Self::Both)
    }

    /// New names are emitted.
    pub const fn has_new(self) -> bool {
        matches!(self, Self::New | Self::Both)
    }
}

/// Bounds on what comes in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest request body.
    pub body_bytes: usize,
    /// Largest request head.
    pub header_bytes: usize,
    /// Most open client connections.
    pub connections: usize,
    /// Largest whole upstream answer, and largest SSE event.
    pub answer_bytes: usize,
}

/// Deadlines of an upstream call.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To a usable connection.
    pub connect: Duration,
    /// From the request sent to the first content-bearing event of a stream.
    pub first_byte: Duration,
    /// From the request sent to the head of a whole answer, which comes when the vendor is done.
    pub whole: Duration,
    /// Between two reads of a stream.
    pub idle: Duration,
    /// For all attempts of a request together.
    pub total: Duration,
}

/// `[ledger] when_unwritable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnwritable {
    /// Serve on; bounded queue, loss counted.
    Serve,
    /// 503.
    Refuse,
}

/// A client key: only a keyed hash of it is kept.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// Its name in the ledger.
    pub name: String,
    /// HMAC-SHA256 of the secret under the gateway's own key.
    pub hash: KeyHash,
    /// When it was revoked; it is refused since.
    pub revoked_at: Option<Timestamp>,
}

/// A secret that never prints.
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A configured vendor.
#[derive(Debug)]
pub struct Host {
    /// Its id in `provider/model`.
    pub id: String,
    /// How it speaks.
    pub dialect: Dialect,
    /// TLS or plain.
    pub https: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path of the base URL without a trailing slash, e.g. `/v1`.
    pub base_path: String,
    /// How the key travels.
    pub auth: Auth,
    /// Its keys, in order of preference. Empty for [`Auth::None`].
    pub keys: Vec<Secret>,
    /// Departures from the dialect.
    pub quirks: Quirks,
    /// Endpoints that it serves; empty when unknown.
    pub endpoints: Vec<String>,
    /// May resolve to a private address.
    pub allow_private: bool,
}

impl Host {
    /// A server at a base URL that the user typed, with the version path: private addresses and plain http are fine,
    /// since naming the server is the permission. `key` travels as a bearer token. Errors say what is wrong with the
    /// URL, without repeating it.
    pub fn typed(id: &str, dialect: Dialect, url: &str, key: Option<Secret>) -> Result<Self, String> {
        let url = base_url::parse(url, true).map_err(|(message, hint)| match hint {
            Some(hint) => format!("the URL {message}: {hint}"),
            None => format!("the URL {message}"),
        })?;
        Ok(Self {
            id: id.to_owned(),
            dialect,
            https: url.https,
            host: url.host,
            port: url.port,
            base_path: url.path,
            auth: if key.is_some() { Auth::Bearer } else { Auth::None },
            keys: key.into_iter().collect(),
            quirks: Quirks::default(),
            endpoints: Vec::new(),
            allow_private: true,
        })
    }
}

/// One model at one vendor, ready to be called.
#[derive(Debug)]
pub struct Target {
    /// `provider/model`.
    pub id: String,
    /// The vendor.
    pub host: Arc<Host>,
    /// Model id, facts and prices.
    pub offer: Arc<Offer>,
    /// For `pick = "weighted"`.
    pub weight: u32,
}

/// Several vendors for one job.
#[derive(Debug)]
pub struct Group {
    /// Its alias, or the target itself when pinned.
    pub name: String,
    /// How to choose.
    pub pick: router::Pick,
    /// Its vendors.
    pub targets: Vec<Arc<Target>>,
}

/// A route with the groups behind it.
#[derive(Debug)]
pub struct RouteConfig {
    /// Rules and checks.
    pub route: router::Route,
    /// Asked first.
    pub default: Arc<Group>,
    /// Asked for the hard ones.
    pub escalate: Option<Arc<Group>>,
    /// Asked when all else is down.
    pub last_resort: Option<Arc<Group>>,
    /// Send headers before the commit point.
    pub early_headers: bool,
    /// What is asked beside the clients' requests; `None`: nothing.
    pub shadow: Option<crate::shadow::Shadow>,
}

impl Config {
    /// The name of the client key that `secret` is; `None` when it is unknown or revoked.
    pub fn key_name(&self, secret: &str) -> Option<&str> {
        let hash = self.ring.hash(secret);
        let key = self.keys.get(*self.by_hash.get(&hash)?)?;
        same(&hash, &key.hash).then_some(key.name.as_str())
    }

    /// Reads a configuration from TOML text, without an environment, files or a data directory: for tests and the demo.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        Self::from_toml_with(text, &|_| None)
    }

    /// The same with an environment.
    pub fn from_toml_with(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let ring =
            KeyRing::ephemeral().map_err(|e| ConfigErrors::whole("tollgate.toml", e.to_string(), None))?;
        Self::read("tollgate.toml".as_ref(), text, &Sources { env, ..Sources::bare(&ring) })
    }

    /// Reads the configuration `text` of `file`. Returns every mistake at once.
    pub fn read(file: &Path, text: &str, sources: &Sources<'_>) -> Result<Self, ConfigErrors> {
        load::read(file, text, sources)
    }

    /// Zero config: vendors found by their usual environment variables. Errors when there are none.
    pub fn zero(sources: &Sources<'_>) -> Result<Self, ConfigErrors> {
        load::zero(sources)
    }
}
