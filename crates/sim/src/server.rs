//! The vendor's server: a listener, one task for each connection, HTTP/1.1.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::respond::respond;
use crate::spec::{Dialect, VendorSpec};
use crate::stats::{Bill, Book, Received, Stats};
use crate::{Fault, FaultRule};

/// What connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub spec: VendorSpec,
    faults: Mutex<Vec<FaultRule>>,
    book: Mutex<Book>,
    changed: watch::Sender<()>,
}

impl Shared {
    /// Writes in the book and wakes who waits for it.
    pub fn write<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        let result = f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        result
    }

    /// The faults now.
    pub fn faults(&self) -> Vec<FaultRule> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Orders to the accept loop, each confirmed.
enum Order {
    Kill(oneshot::Sender<()>),
    Revive(oneshot::Sender<io::Result<()>>),
}

/// A running vendor. Dropping it ends it.
#[derive(Debug)]
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
}

impl Sim {
    /// Starts a vendor on a free port of the loopback address. Errors when no port can be had.
    pub async fn start(spec: VendorSpec) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let faults = Mutex::new(spec.faults.clone());
        let shared =
            Arc::new(Shared { spec, faults, book: Mutex::default(), changed: watch::Sender::new(()) });
        let (orders, incoming) = mpsc::channel(4);
        tokio::spawn(accept(listener, addr, Arc::clone(&shared), incoming));
        Ok(Self { addr, shared, orders })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.spec.name
    }

    /// What it is.
    pub fn spec(&self) -> &VendorSpec {
        &self.shared.spec
    }

    /// The base URL with the version path, as a config wants it.
    pub fn base_url(&self) -> String {
        let version = match self.shared.spec.dialect {
            Dialect::OpenAi | Dialect::Anthropic => "v1",
            Dialect::Gemini => "v1beta",
        };
        format!("http://{}/{version}", self.addr)
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.shared.write(|book| book.stats)
    }

    /// Waits until the counters satisfy `enough`, and returns them. Bound it with a timeout.
    pub async fn wait_until(&self, enough: impl Fn(&Stats) -> bool) -> Stats {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let stats = self.shared.book.lock().unwrap_or_else(PoisonError::into_inner).stats;
            // the sender lives as long as `self`, so an error cannot occur; treat it as the end
            if enough(&stats) || changed.changed().await.is_err() {
                return stats;
            }
        }
    }

    /// What the vendor charged, call by call.
    pub fn bills(&self) -> Vec<Bill> {
        self.shared.write(|book| book.bills.clone())
    }

    /// The newest requests, oldest first ([`VendorSpec::keep_requests`]).
    pub fn received(&self) -> Vec<Received> {
        self.shared.write(|book| book.received.iter().cloned().collect())
    }

    /// Replaces all faults; calls that are being answered keep theirs.
    pub fn set_faults(&self, rules: Vec<FaultRule>) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// From now on this fault on every call, or none.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.set_faults(fault.map(Fault::always).into_iter().collect());
    }

    /// Stops listening and drops all connections: the vendor is dead, connections are refused. Calls that were open
    /// count as cancelled, since they end without either side's say.
    pub async fn kill(&self) {
        let (done, confirmed) = oneshot::channel();
        if self.orders.send(Order::Kill(done)).await.is_ok() {
            let _ = confirmed.await;
        }
    }

    /// Listens again on the same port. Errors when somebody took it meanwhile.
    pub async fn revive(&self) -> io::Result<()> {
        let (done, confirmed) = oneshot::channel();
        let sent = self.orders.send(Order::Revive(done)).await.is_ok();
        let gone = || io::Error::other("the vendor's task has ended");
        if sent { confirmed.await.map_err(|_| gone())? } else { Err(gone()) }
    }

    /// Ends it and returns the last counters.
    pub async fn shutdown(self) -> Stats {
        self.kill().await;
        self.stats()
    }
}

/// Takes connections until the [`Sim`] is dropped.
async fn accept(
    listener: TcpListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut listener = Some(listener);
    // connections end when their receiver sees this sender go or change
    let mut alive = watch::Sender::new(());
    loop {
        let next = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Kill(done)) => {
                    listener = None;
                    alive = watch::Sender::new(());
                    let _ = done.send(());
                }
                Some(Order::Revive(done)) => {
                    let bound = match listener {
                        Some(_) => Ok(()),
                        None => TcpListener::bind(addr).await.map(|fresh| listener = Some(fresh)),
                    };
                    let _ = done.send(bound);
                }
                None => return,
            },
            taken = next => match taken {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, Arc::clone(&shared), alive.subscribe()));
                }
                // out of file descriptors: let others finish
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            },
        }
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.write(|book| {
            book.stats.connections += 1;
            book.stats.open_connections += 1;
        });
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.write(|book| book.stats.open_connections -= 1);
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut alive: watch::Receiver<()>) {
    let _open = Open::new(&shared);
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| respond(Arc::clone(&shared), Arc::clone(&reset), request));
    // larger than any gateway's own bound, so that it is the gateway that refuses
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_headers(1_000)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut serving => {}
        _ = alive.changed() => {}
    }
    if reset.load(Ordering::Relaxed) {
        // RST instead of FIN
        let _ = serving.into_parts().io.into_inner().set_zero_linger();
    }
}
