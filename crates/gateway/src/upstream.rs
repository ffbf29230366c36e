//! One HTTP client for all vendors: an own LIFO pool over hyper's `SendRequest`, because the obvious alternative,
//! hyper-util's legacy client, costs 2–3 µs more a request, and reqwest a copy.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wire::{Outbound, UpstreamError};

use crate::config::{Host, Timeouts};

/// The client. One for the process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Upstream {}

/// The head of an upstream answer and its body. Dropping it before the end closes the connection, which cancels the
/// upstream's work.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// A body that is read piece by piece.
#[derive(Debug)]
pub struct Body {}

impl Body {
    /// The next piece; `None` at a clean end (the connection then goes back to the pool). Errors: `Timeout` when
    /// nothing comes within the idle deadline, `Truncated` when the connection breaks.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        None
    }

    /// Changes the idle deadline (first-byte before the commit point, idle after it).
    pub fn set_idle(&mut self, idle: Duration) {
        let _ = idle;
    }
}

impl Upstream {
    /// Sends a request to `host` with its key number `key` and waits for the answer's head, at most
    /// `timeouts.connect` for a connection and `timeouts.first_byte` for the head. `headers` are added to the
    /// dialect's own (`traceparent`, `x-request-id`). Redirects are not followed: a 3xx is returned as it is.
    pub async fn send(
        &self,
        host: &Host,
        key: usize,
        outbound: Outbound,
        headers: &HeaderMap,
        timeouts: &Timeouts,
    ) -> Result<Reply, UpstreamError> {
        let (_, _, _, _, _) = (host, key, outbound, headers, timeouts);
        Err(UpstreamError::new(wire::ErrorKind::Connect, None, "no client"))
    }
}
