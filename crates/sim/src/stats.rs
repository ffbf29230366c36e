//! What a vendor has seen: counters, its own bill, and the newest requests. Never a key.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{HeaderMap, Method};

/// Tokens in disjoint buckets, as the vendor bills them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Input that was neither read from nor written to a cache.
    pub fresh: u64,
    /// Input read from the cache.
    pub cached: u64,
    /// Input written to the five-minute cache.
    pub write_5m: u64,
    /// Input written to the one-hour cache.
    pub write_1h: u64,
    /// Visible output.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

impl Tally {
    /// All input.
    pub fn input(&self) -> u64 {
        self.fresh + self.cached + self.write_5m + self.write_1h
    }
}

/// How a billed call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillEnd {
    /// Still being answered.
    Open,
    /// Sent whole.
    Complete,
    /// The caller closed the connection first.
    Cancelled,
    /// A fault ended it.
    Broken,
}

/// What the vendor charges for one call: the input, and the output up to where it was sent. A buffered answer whose
/// caller left before its head is billed for its input only. Refused calls have no bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The id in the answer's body.
    pub id: String,
    /// The caller's `x-request-id`.
    pub request_id: Option<String>,
    /// The model that was asked for.
    pub model: String,
    /// Streamed.
    pub stream: bool,
    /// Tokens.
    pub tally: Tally,
    /// How it ended.
    pub end: BillEnd,
}

/// A request as it came. Values of headers that carry keys are replaced by `…`.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method.
    pub method: Method,
    /// Path with query; a `key` parameter is replaced by `…`.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, byte for byte.
    pub body: Bytes,
    /// Which of [`crate::Keys::Only`] it carried.
    pub key: Option<usize>,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections taken.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// HTTP requests of any kind whose body was read.
    pub requests: u64,
    /// Inference requests that passed the vendor's checks: those that faults count.
    pub calls: u64,
    /// Calls answered whole.
    pub completed: u64,
    /// Calls whose caller closed the connection before the end.
    pub cancelled: u64,
    /// Calls that a fault ended after the head, or with a reset.
    pub broken: u64,
    /// Requests answered with an error status or a redirect.
    pub refused: u64,
    /// Calls being answered now.
    pub open: u64,
    /// Most calls ever open together.
    pub most_open: u64,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Answer body bytes.
    pub bytes_out: u64,
    /// Different keys seen.
    pub keys_seen: u64,
    /// Requests without a key or with a wrong one.
    pub wrong_keys: u64,
    /// Bills that were not kept, because there were too many.
    pub bills_dropped: u64,
}

/// Most bills kept.
const BILLS: usize = 1_000_000;

/// Everything that a vendor writes down.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub stats: Stats,
    pub bills: Vec<Bill>,
    pub received: VecDeque<Received>,
    keys: HashSet<u64>,
}

impl Book {
    /// A request came. `key` is hashed at once.
    pub fn receive(&mut self, request: Received, key: Option<&str>, keep: usize) {
        self.stats.requests += 1;
        self.stats.bytes_in += request.body.len() as u64;
        if let Some(key) = key {
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            self.keys.insert(hasher.finish());
            self.stats.keys_seen = self.keys.len() as u64;
        }
        self.received.push_back(request);
        while self.received.len() > keep {
            self.received.pop_front();
        }
    }

    /// A call begins to be billed; the index of its bill.
    pub fn bill(&mut self, bill: Bill) -> Option<usize> {
        if self.bills.len() >= BILLS {
            self.stats.bills_dropped += 1;
            return None;
        }
        self.bills.push(bill);
        Some(self.bills.len() - 1)
    }

    /// The bill at `index`, to add to it.
    pub fn billed(&mut self, index: Option<usize>) -> Option<&mut Bill> {
        self.bills.get_mut(index?)
    }
}
