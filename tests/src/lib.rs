//! What whole-system tests share: simulated vendors and a gateway in front of them, in this process ([`Stack`]) or as
//! the real binary ([`Server`]); a plain HTTP client that hides nothing ([`Client`]); OpenAI's published schemas
//! ([`spec`]); the real SDKs ([`sdk`]).
//!
//! Every wait is bounded by [`bounded`], and waits for a condition, never for time to pass.

mod client;
pub mod sdk;
pub mod server;
pub mod spec;

pub use client::{Client, Reply, SseEvent, SseReader};
pub use sdk::{Report, Sdk, Seen};
pub use server::Server;

/// How long anything may take before a test fails instead of hanging.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Waits for `future`, at most [`PATIENCE`]. Panics with `what` when it takes longer.
pub async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: nothing within {PATIENCE:?}"))
}
