//! Which model should answer, and whether its answer is good enough.
//!
//! Pure: no clock, no I/O, no randomness of its own. [`decide`] turns a route and a prompt into a [`Plan`];
//! [`Gate`] watches the first step's answer and says hold, release or escalate. Every decision carries the
//! explanation that the ledger keeps (LAW 7).

pub mod adaptive;
mod answer;
mod curve;
mod decide;
mod difficulty;
mod domain;
mod doubt;
mod explanation;
pub mod features;
mod gate;
mod judged;
mod learned;
mod linear;
pub mod measure;
mod needs;
mod order;
mod pattern;
mod plan;
mod route;
pub mod text;
mod topics;
pub mod train;
mod trees;
pub mod tune;
mod weights;

pub use answer::Extent;
pub use decide::decide;
pub use difficulty::{Difficulty, Score};
pub use doubt::{Doubt, Question};
pub use gate::{Gate, Verdict};
pub use judged::{Judged, Threshold};
pub use learned::Learned;
pub use measure::{Measured, Measures, Pace, Sample};
pub use pattern::Pattern;
pub use plan::{
    Cached, Candidate, Excluded, Explanation, Group, Kept, NoCandidate, Plan, Prompt, Reason, Role, Step, Up,
};
pub use route::{Check, HoldBack, How, Pick, Route, Rule, Until};
pub use weights::{BadWeights, Card, MAX_BYTES};
