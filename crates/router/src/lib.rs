//! Which model should answer, and whether its answer is good enough.
//!
//! Pure: no clock, no I/O, no randomness of its own. [`decide`] turns a route and a prompt into a [`Plan`];
//! [`Gate`] watches the first step's answer and says hold, release or escalate. Every decision carries the
//! explanation that the ledger keeps (LAW 7).

pub mod adaptive;
mod decide;
mod gate;
pub mod measure;
mod needs;
mod order;
mod plan;
mod route;

pub use decide::decide;
pub use gate::{Gate, Verdict};
pub use measure::{Measured, Measures, Pace, Sample};
pub use plan::{
    Cached, Candidate, Excluded, Explanation, Group, Kept, NoCandidate, Plan, Prompt, Reason, Role, Step, Up,
};
pub use route::{Check, HoldBack, How, Pick, Route, Rule, Until};
