//! The demo: the whole loop with simulated vendors, so that a newcomer sees it work without a key or a network.
//!
//! Simulated: vendors, answers, latencies and faults, all declared in [`vendors`] and `prompts.toml`. Real: the gate, its
//! routing, the ledger, the arithmetic and the list prices.

mod client;
mod drive;
mod narrate;
mod prompts;
mod summary;
mod vendors;
