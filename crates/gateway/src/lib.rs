//! The gate: HTTP in, HTTP out, every attempt metered.

pub mod config;
pub mod health;
pub mod keys;
pub mod server;
pub mod upstream;
