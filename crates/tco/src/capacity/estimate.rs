//! Latency and throughput of a replica at a given load.

use super::{Lengths, Points, Setup, roofline};

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The user's own bench, at or between its points.
    OwnBench,
    /// A published measurement of this very load.
    Measured,
    /// Between published measurements of the same curve.
    Interpolated,
    /// The analytic model.
    Modelled,
}

/// A value that holds in nine of ten cases between `low` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The likeliest value.
    pub value: f64,
    /// The lower end of the band.
    pub low: f64,
    /// The upper end of the band.
    pub high: f64,
}

/// How fast a replica is with so many requests in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Milliseconds to the first token, waiting for a place in the batch included.
    pub ttft_ms: Estimate,
    /// Milliseconds per output token after the first.
    pub tpot_ms: Estimate,
    /// Output tokens per second of the replica.
    pub output_tok_s: Estimate,
    /// Who spoke.
    pub basis: Basis,
}

/// The speed with `concurrency` requests always in flight.
pub fn speed(setup: &Setup<'_>, lengths: &Lengths, concurrency: f64, _points: &Points) -> Speed {
    let tpot = roofline::tpot_ms(setup, lengths, concurrency);
    let ttft = roofline::prefill_ms(setup, lengths);
    let spread = |value: f64, factor: f64| Estimate { value, low: value / factor, high: value * factor };
    let tpot = spread(tpot, 1.5);
    let ttft = spread(ttft, 3.0);
    let rate = |ttft: f64, tpot: f64| closed_loop(concurrency, lengths.output, ttft, tpot);
    Speed {
        ttft_ms: ttft,
        tpot_ms: tpot,
        output_tok_s: Estimate {
            value: rate(ttft.value, tpot.value),
            low: rate(ttft.high, tpot.high),
            high: rate(ttft.low, tpot.low),
        },
        basis: Basis::Modelled,
    }
}

/// Output tokens per second when `concurrency` clients each send the next request as the last one ends.
pub(super) fn closed_loop(concurrency: f64, output: f64, ttft_ms: f64, tpot_ms: f64) -> f64 {
    concurrency * output / (ttft_ms + (output - 1.0).max(0.0) * tpot_ms) * 1e3
}
