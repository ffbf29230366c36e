//! One client connection: its requests, its one timer, its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::gauge::{Gauge, Watched};
use super::tracked::Tracked;
use super::{Handler, ServerOptions};

/// How long a client that connected just before the shutdown may take to send its request.
const LATECOMER: Duration = Duration::from_millis(300);
/// How long an h2 connection at rest may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Tells all connections to finish. A flag beside the notification, because the flag is what a connection looks at
/// whenever it is woken, and looking must cost nothing.
#[derive(Default)]
pub(super) struct Drain {
    begun: AtomicBool,
    notify: Notify,
}

impl Drain {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub(super) fn begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Serves one connection to its end.
pub(super) fn drive<S: Handler>(
    builder: &Builder<TokioExecutor>,
    service: S,
    (stream, peer): (TcpStream, SocketAddr),
    options: ServerOptions,
    drain: Arc<Drain>,
) -> impl Future<Output = ()> + Send + 'static + use<S> {
    let gauge = Arc::new(Gauge::new());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&gauge)));
    let tracked = Tracked::new(service, Arc::clone(&gauge), Arc::clone(&drain), peer);
    let connection = builder.serve_connection(io, tracked).into_owned();
    async move {
        let mut connection = pin!(connection);
        let timer = pin!(tokio::time::sleep(options.header_timeout));
        let mut told = pin!(drain.notify.notified());
        let mut clock = Clock { gauge: &gauge, options, timer, closing: Closing::No };
        // The waker of a task never changes, so this needs no second poll.
        let mut registered = false;
        std::future::poll_fn(|cx| {
            if !registered {
                registered = true;
                let (_, _) = (told.as_mut().poll(cx), clock.timer.as_mut().poll(cx));
            }
            loop {
                if connection.as_mut().poll(cx).is_ready() || gauge.flooded() {
                    return Poll::Ready(());
                }
                match clock.tick(drain.begun(), cx) {
                    Tick::Wait => return Poll::Pending,
                    Tick::Close => return Poll::Ready(()),
                    // No further requests; the one under way is answered.
                    Tick::Finish => connection.as_mut().graceful_shutdown(),
                }
            }
        })
        .await;
    }
}

/// When a connection ends although neither side has closed it.
struct Clock<'a> {
    gauge: &'a Gauge,
    options: ServerOptions,
    timer: Pin<&'a mut Sleep>,
    closing: Closing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    /// Draining, but the client has just connected and not yet spoken.
    Latecomer,
    /// hyper has been told.
    Told,
    /// hyper has been told because an h2 connection rested too long.
    Goodbye,
}

enum Tick {
    Wait,
    Finish,
    Close,
}

impl Clock<'_> {
    /// Looks at the state after the connection was polled.
    fn tick(&mut self, draining: bool, cx: &mut Context<'_>) -> Tick {
        if draining {
            match self.closing {
                Closing::No if self.gauge.fresh() => {
                    self.closing = Closing::Latecomer;
                    self.timer.as_mut().reset(Instant::now() + LATECOMER);
                }
                Closing::No => return self.finish(Closing::Told),
                Closing::Latecomer if !self.gauge.fresh() => return self.finish(Closing::Told),
                Closing::Latecomer | Closing::Told | Closing::Goodbye => {}
            }
        }
        if let (Closing::No | Closing::Told, Some(due)) = (self.closing, self.due()) {
            // A head has begun to trickle in: its end is nearer than that of the rest before it.
            if due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
        }
        while self.timer.is_elapsed() {
            let now = Instant::now();
            match (self.closing, self.due()) {
                (Closing::Latecomer | Closing::Goodbye, _) => return Tick::Close,
                (_, None) => self.timer.as_mut().reset(now + self.options.header_timeout),
                (_, Some(due)) if due > now => self.timer.as_mut().reset(due),
                (Closing::No, _) if self.gauge.http2() => {
                    self.timer.as_mut().reset(now + GOODBYE);
                    return self.finish(Closing::Goodbye);
                }
                _ => return Tick::Close,
            }
            // A timer that has fired has forgotten its waker.
            if self.timer.as_mut().poll(cx).is_pending() {
                break;
            }
        }
        Tick::Wait
    }

    fn finish(&mut self, closing: Closing) -> Tick {
        self.closing = closing;
        Tick::Finish
    }

    fn due(&self) -> Option<Instant> {
        self.gauge.due(self.options.header_timeout, self.options.keep_alive).map(Instant::from_std)
    }
}
