//! One file per command: `Args` and `run`.

pub mod bench;
pub mod check;
pub mod completions;
pub mod demo;
pub mod eval;
pub mod explain;
pub mod init;
pub mod keys;
pub mod models;
pub mod prices;
pub mod replay;
pub mod requests;
pub mod route;
pub mod serve;
pub mod spend;
pub mod tco;
