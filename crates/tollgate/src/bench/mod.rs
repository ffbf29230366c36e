//! `tollgate bench`: what an endpoint can carry at an objective for latency.
//!
//! How it differs from a load generator with a histogram: it counts what came of every request (sent = ok + error +
//! incomplete), looks at token events and not only at requests, measures itself, reads the server's own counters, and
//! states throughput only together with the share of requests that met the objective.
//!
//! A run is a list of points; a point is one [`Load`] held until its bound. [`target`] sends one request and
//! writes down when its tokens came ([`record`]); [`drive`] sends many, in a closed or an open loop; [`window`] cuts the
//! ramps off; [`point`] makes figures; [`report`] shows them; [`mod@save`] keeps them for `tollgate tco --bench`.

mod arrivals;
mod calibrate;
mod cost;
mod drive;
mod point;
mod prompts;
mod record;
mod report;
mod save;
mod scrape;
mod stats;
mod sweep;
mod target;
mod window;

pub use save::{Stand, date, name as save_name, write as save};
pub use sweep::{Plan, run};
pub use target::{Address, secret};

use std::fmt;

use serde::Serialize;

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Load {
    /// So many are under way at any time; the next goes out when one ends.
    Closed {
        /// Requests under way at once.
        concurrency: usize,
    },
    /// They go out at times that do not depend on the answers: Poisson arrivals.
    Open {
        /// Mean requests per second.
        rate: f64,
    },
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { concurrency } => write!(f, "c={concurrency}"),
            Self::Open { rate } => write!(f, "{rate}/s"),
        }
    }
}

/// The objective for latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slo {
    /// Time to the first token, from the intended send time, milliseconds.
    pub ttft_ms: f64,
    /// Time per output token without the first, milliseconds.
    pub tpot_ms: f64,
    /// Share of requests that must meet both, for a point to count as within the objective.
    pub share: f64,
}
