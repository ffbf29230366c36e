//! The gate: HTTP in, HTTP out, every attempt metered.

pub mod config;
pub mod health;
pub mod server;
pub mod upstream;
