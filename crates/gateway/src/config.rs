//! The configuration, validated whole: what the rest of the gateway reads is always consistent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Auth, Catalogue, Offer, Quirks};
use wire::Dialect;

/// Everything that one request sees: an immutable snapshot, swapped whole on reload (LAW 10).
#[derive(Debug)]
pub struct Config {
    /// Counts up with every accepted reload; in responses of `/api/v1/config/version` and in the ledger.
    pub version: u64,
    /// The file it came from; `None` with zero config.
    pub file: Option<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Host names besides loopback that a request may carry in `Host`.
    pub allowed_hosts: Vec<String>,
    /// Bounds on what comes in.
    pub limits: Limits,
    /// Deadlines of an upstream call.
    pub timeouts: Timeouts,
    /// What to do when the ledger cannot be written.
    pub when_unwritable: WhenUnwritable,
    /// Client keys; empty: keyless, loopback only.
    pub keys: Vec<ClientKey>,
    /// Configured vendors by id.
    pub hosts: BTreeMap<String, Arc<Host>>,
    /// `[models]` aliases.
    pub models: BTreeMap<String, Arc<Group>>,
    /// `[routes]`, with the implied `auto`.
    pub routes: BTreeMap<String, Arc<RouteConfig>>,
    /// Prices and facts, with the user's overlay.
    pub catalogue: Arc<Catalogue>,
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
    /// From the request sent to the first content-bearing event (or the whole answer's head).
    pub first_byte: Duration,
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
    pub hash: [u8; 32],
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
}

/// What a model name stands for.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A route.
    Route(Arc<RouteConfig>),
    /// An alias or a single target: pinned.
    Group(Arc<Group>),
}

/// No such model: a 404 with the nearest names.
#[derive(Debug, thiserror::Error)]
#[error("no route, model or vendor model is called `{name}`")]
pub struct UnknownModel {
    /// What was asked for.
    pub name: String,
    /// At most three near names.
    pub nearest: Vec<String>,
}

impl Config {
    /// Resolves a model name (interface §3a): route → alias → `provider/model` → catalogue id or alias served by a
    /// configured vendor. Errors with the nearest names.
    pub fn resolve(&self, name: &str) -> Result<Resolved, UnknownModel> {
        if let Some(route) = self.routes.get(name) {
            return Ok(Resolved::Route(Arc::clone(route)));
        }
        match self.models.get(name) {
            Some(group) => Ok(Resolved::Group(Arc::clone(group))),
            None => Err(UnknownModel { name: name.to_owned(), nearest: Vec::new() }),
        }
    }
}
