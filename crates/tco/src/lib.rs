//! The decision: closed API, serverless, self-hosted or hybrid, with every figure traced to an input.
//!
//! It differs from a spreadsheet in that a scenario is checked whole before anything is computed, a capacity says
//! whether it was measured or modelled and how far it may be off, and a break-even that does not exist says why.
//! Pure: no I/O, no clock, no randomness of its own.
//!
//! [`Scenario`] (TOML or JSON) and [`Market`] (catalogue, moment, measurements) → [`decide`] → [`Report`].

pub mod audit;
pub mod breakeven;
pub mod capacity;
mod checklist;
mod compile;
mod decide;
mod dist;
mod engine;
pub mod fleet;
mod inputs;
mod invalid;
mod market;
mod names;
mod num;
mod problem;
mod reader;
pub mod report;
mod rng;
mod scenario;
mod sensitivity;
mod simulate;
pub mod trace;
pub mod tree;

pub use checklist::{Answer, Question};
pub use decide::{GridRequest, Options, checklist, decide, grid};
pub use inputs::Basis;
pub use invalid::Invalid;
pub use market::Market;
pub use names::unknown_names;
pub use num::grouped;
pub use problem::Problem;
pub use report::Report;
pub use scenario::{PriceList, Scenario, toml_value};
