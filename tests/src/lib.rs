//! What whole-system tests share: simulated vendors and a gateway in front of them, in this process ([`Stack`]) or as
//! the real binary ([`Server`]); a plain HTTP client that hides nothing ([`Client`]); OpenAI's published schemas
//! ([`spec`]); the real SDKs ([`sdk`]).
//!
//! Every wait is bounded by [`bounded`], and waits for a condition, never for time to pass.

mod client;
pub mod engine;
pub mod sdk;
pub mod server;
pub mod setup;
pub mod spec;
mod stack;

pub use client::{Client, Reply, SseEvent, SseReader};
pub use sdk::{Report, Sdk, Seen};
pub use server::Server;
pub use stack::{ADMIN_TOKEN, Stack, all_requests};

/// How long anything may take before a test fails instead of hanging.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Waits for `future`, at most [`PATIENCE`]. Panics with `what` when it takes longer.
pub async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: nothing within {PATIENCE:?}"))
}

/// Asks again and again until `question` has an answer, at most [`PATIENCE`].
pub async fn poll<T>(what: &str, question: impl AsyncFn() -> Option<T>) -> T {
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
    let asking = async {
        loop {
            pace.tick().await;
            if let Some(answer) = question().await {
                return answer;
            }
        }
    };
    bounded(what, asking).await
}

/// An amount of the API, exact decimal dollars as text, in pico-dollars. Panics when it is anything else.
pub fn pico(amount: &serde_json::Value) -> i128 {
    let text = amount.as_str().unwrap_or_else(|| panic!("an amount is text, but: {amount}"));
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(
        part.len() <= 12 && (whole.to_owned() + part).bytes().all(|b| b.is_ascii_digit()),
        "no amount: {text}"
    );
    sign * format!("{whole}{part:0<12}").parse::<i128>().expect("digits")
}
