//! The gate: HTTP in, HTTP out, every attempt metered.
//!
//! A request's life: [`service`] (guard, authenticate, dispatch) → [`routes`] (read, resolve, plan) → [`cascade`] (the
//! attempts, up to the commit point) → [`stream`] or a whole body → [`meter`] (books closed, whatever happened).

pub mod affinity;
pub mod api;
pub mod app;
pub mod cascade;
pub mod config;
pub mod decision;
pub mod drift;
pub mod explain;
pub mod health;
pub mod inbound;
pub mod keys;
pub mod meter;
pub mod metrics;
pub mod plan;
pub mod replay;
pub mod respond;
pub mod retirement;
pub mod routes;
pub mod server;
pub mod service;
pub mod shadow;
mod start;
pub mod stream;
pub mod telemetry;
pub mod tune;
pub mod upstream;

pub use start::{Running, StartError, StartOptions, start};
