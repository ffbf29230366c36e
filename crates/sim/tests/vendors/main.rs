//! The simulated vendors from outside, through a plain hyper client.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own functions may panic"
)]

mod anthropic;
mod client;
mod faults;
mod gemini;
mod openai;
