//! Open connections at rest, per host, last in first out: the warmest connection is used next and the surplus of a
//! burst ages out from the other end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// Connections at rest per host.
const PER_HOST: usize = 256;

/// How long one may rest: below the 75 s of nginx and the 60 s of cloud load balancers, so that we close first.
const REST: Duration = Duration::from_secs(55);

/// How often the sweeper looks.
const SWEEP: Duration = Duration::from_secs(15);

struct Resting {
    connection: Box<Connection>,
    until: Instant,
}

/// The connections of one origin.
#[derive(Default)]
pub(super) struct Origin {
    resting: Mutex<VecDeque<Resting>>,
}

impl Origin {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was given back last and is still good.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        loop {
            let Resting { mut connection, until } = self.lock().pop_back()?;
            if now < until && connection.at_rest() {
                return Some(connection);
            }
        }
    }

    /// Takes back a connection whose answer was read to its end. A closed one is dropped.
    pub(super) fn put(&self, mut connection: Box<Connection>, now: Instant) {
        if !connection.at_rest() {
            return;
        }
        let until = now + connection.rest.map_or(REST, |rest| rest.min(REST));
        let mut resting = self.lock();
        let surplus = if resting.len() >= PER_HOST { resting.pop_front() } else { None };
        resting.push_back(Resting { connection, until });
        drop(resting);
        drop(surplus);
    }

    /// Drops what is too old or was closed by the other side; says how many are left.
    fn sweep(&self, now: Instant) -> usize {
        let mut gone = Vec::new();
        let mut resting = self.lock();
        for mut one in std::mem::take(&mut *resting) {
            if now < one.until && one.connection.at_rest() {
                resting.push_back(one);
            } else {
                gone.push(one);
            }
        }
        let left = resting.len();
        drop(resting);
        left
    }
}

/// All origins. `allow_private` is part of an origin's name: a connection that one host may have must not serve another
/// that may not.
#[derive(Default)]
pub(super) struct Pool {
    /// By host name, so that the look-up needs no owned key.
    origins: RwLock<HashMap<Box<str>, SameName>>,
    sweeping: AtomicBool,
}

/// The origins of one host name.
type SameName = Vec<(Scheme, Arc<Origin>)>;

/// What tells apart two origins with the same host name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Scheme {
    pub(super) port: u16,
    pub(super) https: bool,
    pub(super) allow_private: bool,
}

impl Pool {
    /// The origin, made on first use. Only configured hosts come here, so the map is bounded by the configuration.
    pub(super) fn origin(&self, host: &str, scheme: Scheme) -> Arc<Origin> {
        let known = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        let find =
            |all: &SameName| all.iter().find(|(s, _)| *s == scheme).map(|(_, origin)| Arc::clone(origin));
        if let Some(origin) = known.get(host).and_then(find) {
            return origin;
        }
        drop(known);
        let mut all = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        let same_name = all.entry(host.into()).or_default();
        if let Some(origin) = find(same_name) {
            return origin;
        }
        let origin = Arc::<Origin>::default();
        same_name.push((scheme, Arc::clone(&origin)));
        origin
    }

    /// Starts the sweeper unless it runs. It ends by itself when nothing rests any more.
    pub(super) fn keep_swept(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        tokio::spawn(sweeper(Arc::downgrade(self)));
    }

    pub(super) fn sweep(&self, now: Instant) -> usize {
        let origins: Vec<Arc<Origin>> = {
            let all = self.origins.read().unwrap_or_else(PoisonError::into_inner);
            all.values().flatten().map(|(_, origin)| Arc::clone(origin)).collect()
        };
        origins.iter().map(|origin| origin.sweep(now)).sum()
    }
}

async fn sweeper(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.sweep(Instant::now()) == 0 {
            pool.sweeping.store(false, Ordering::Relaxed);
            return;
        }
    }
}
