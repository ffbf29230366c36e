//! Splits an SSE byte stream into events without copying payloads that lie in one read.

use bytes::Bytes;

/// One event: the joined `data:` lines and the event name, if any. Comments, `id:` and `retry:` are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The `event:` field; empty when absent.
    pub event: Bytes,
    /// The `data:` payload, several lines joined by `\n`.
    pub data: Bytes,
}
