//! Open connections at rest, per host, last in first out: the warmest connection is used next and the surplus of a
//! burst ages out from the other end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::Stream;
use super::request::Pieces;

/// Connections at rest per host.
const PER_HOST: usize = 256;

/// How long one may rest: below the 75 s of nginx and the 60 s of cloud load balancers, so that we close first.
const REST: Duration = Duration::from_secs(55);

/// How often the sweeper looks.
const SWEEP: Duration = Duration::from_secs(15);

/// One connection with its driver. hyper's habit is to spawn the driver; here whoever holds the connection polls it,
/// which spares a task, two wake-ups a chunk, and closes the socket in the moment in which the holder is dropped.
pub(super) struct Channel {
    pub(super) sender: SendRequest<Pieces>,
    connection: Connection<TokioIo<Stream>, Pieces>,
    wrote: Arc<AtomicBool>,
    finished: bool,
    /// How long the server lets it rest.
    pub(super) rest: Duration,
}

impl Channel {
    pub(super) fn new(
        sender: SendRequest<Pieces>,
        connection: Connection<TokioIo<Stream>, Pieces>,
        wrote: Arc<AtomicBool>,
    ) -> Self {
        Self { sender, connection, wrote, finished: false, rest: REST }
    }

    /// Moves bytes. Safe to call after the connection has finished.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.finished {
            self.finished = self.connection.poll_without_shutdown(cx).is_ready();
        }
    }

    /// No byte will move any more.
    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Neither closed by the other side nor still busy.
    pub(super) fn usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.finished
            && matches!(self.sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    /// Nothing has been written since [`Self::mark`].
    pub(super) fn unwritten(&self) -> bool {
        !self.wrote.load(Ordering::Relaxed)
    }

    /// A new request begins.
    pub(super) fn mark(&self) {
        self.wrote.store(false, Ordering::Relaxed);
    }
}

struct Resting {
    channel: Box<Channel>,
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
    pub(super) fn take(&self, now: Instant) -> Option<Box<Channel>> {
        loop {
            let Resting { mut channel, until } = self.lock().pop_back()?;
            if now < until && channel.usable() {
                return Some(channel);
            }
        }
    }

    /// Takes back a connection whose answer was read to its end. A busy or closed one is dropped.
    pub(super) fn put(&self, mut channel: Box<Channel>, now: Instant) {
        // Polling with a waker of nobody also frees the task that last drove the connection.
        if !channel.usable() {
            return;
        }
        let until = now + channel.rest.min(REST);
        let mut resting = self.lock();
        let surplus = if resting.len() >= PER_HOST { resting.pop_front() } else { None };
        resting.push_back(Resting { channel, until });
        drop(resting);
        drop(surplus);
    }

    /// Drops what is too old or was closed by the other side; says how many are left.
    fn sweep(&self, now: Instant) -> usize {
        let mut gone = Vec::new();
        let mut resting = self.lock();
        for mut one in std::mem::take(&mut *resting) {
            if now < one.until && one.channel.usable() {
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
