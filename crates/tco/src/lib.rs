//! The decision: closed API, serverless, self-hosted or hybrid, with every figure traced to an input.
//!
//! It differs from a spreadsheet in that a scenario is checked whole before anything is computed, a capacity says
//! whether it was measured or modelled and how far it may be off, and a break-even that does not exist says why.
//! Pure: no I/O, no clock, no randomness of its own.

pub mod breakeven;
pub mod capacity;
mod invalid;

pub use invalid::Invalid;
