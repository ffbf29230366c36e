//! The ledger as its users see it: records in, rows out, whatever happens between.

mod lifecycle;
mod questions;
mod sample;
