//! The ledger as its users see it: records in, rows out, whatever happens between.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

mod disk_limit;
mod exports;
mod kills;
mod lifecycle;
mod quality;
mod questions;
mod sample;
