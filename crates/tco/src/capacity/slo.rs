//! The largest load that keeps within limits on latency.

use super::{Basis, DoesNotFit, Estimate, Lengths, Points, Setup, Slo, Speed, fits, speed};

/// What one replica delivers within the limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Requests in flight.
    pub concurrency: f64,
    /// Output tokens per second of the replica.
    pub output_tok_s: Estimate,
    /// Milliseconds to the first token.
    pub ttft_ms: Estimate,
    /// Milliseconds per output token after the first.
    pub tpot_ms: Estimate,
    /// Tokens of an answer, which turn token rates into request rates.
    pub output_tokens: f64,
    /// Who spoke.
    pub basis: Basis,
}

impl Capacity {
    /// Requests per second of one full replica.
    pub fn requests_per_s(&self) -> f64 {
        self.output_tok_s.value / self.output_tokens.max(1.0)
    }
}

/// No load keeps within the limits.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unreachable {
    /// The replica does not hold the model.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// Even a single request takes too long to its first token.
    #[error(
        "a single request already needs {at_best_ms:.0} ms to its first token; the limit is {limit_ms:.0} ms"
    )]
    Ttft {
        /// The least that it takes.
        at_best_ms: f64,
        /// What was asked for.
        limit_ms: f64,
    },
    /// Even a single request takes too long per token.
    #[error("a single request already needs {at_best_ms:.1} ms per token; the limit is {limit_ms:.1} ms")]
    Tpot {
        /// The least that it takes.
        at_best_ms: f64,
        /// What was asked for.
        limit_ms: f64,
    },
    /// The lengths are not positive numbers.
    #[error("lengths must be at least one token")]
    Lengths,
}

/// The largest whole number of requests in flight whose expected latencies keep within `slo`, and what it delivers.
pub fn at_slo(
    setup: &Setup<'_>,
    lengths: &Lengths,
    slo: &Slo,
    points: &Points,
) -> Result<Capacity, Unreachable> {
    let room = fits(setup, lengths)?;
    let at = |concurrency: f64| speed(setup, lengths, concurrency, points);
    let keeps = |speed: &Speed| speed.ttft_ms.value <= slo.ttft_ms && speed.tpot_ms.value <= slo.tpot_ms;
    let within = |concurrency: f64| at(concurrency).is_some_and(|speed| keeps(&speed));
    let alone = at(1.0).ok_or(Unreachable::Lengths)?;
    if !keeps(&alone) {
        if alone.ttft_ms.value > slo.ttft_ms {
            return Err(Unreachable::Ttft { at_best_ms: alone.ttft_ms.value, limit_ms: slo.ttft_ms });
        }
        return Err(Unreachable::Tpot { at_best_ms: alone.tpot_ms.value, limit_ms: slo.tpot_ms });
    }
    // Both latencies grow with the load, so bisection finds the last load that keeps the limits.
    let (mut good, mut bad) = (1.0_f64, room.max_batch.max(1.0) + 1.0);
    while bad - good > 1.0 {
        let middle = f64::midpoint(good, bad).floor();
        if within(middle) { good = middle } else { bad = middle }
    }
    let speed = at(good).ok_or(Unreachable::Lengths)?;
    Ok(Capacity {
        concurrency: good,
        output_tok_s: speed.output_tok_s,
        ttft_ms: speed.ttft_ms,
        tpot_ms: speed.tpot_ms,
        output_tokens: lengths.output,
        basis: speed.basis,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Precision;

    fn seventy(n_gpu: u32) -> Setup<'static> {
        let model = catalog::architecture::find("llama-3.3-70b").unwrap().model;
        let gpu = catalog::hardware::find("H100-SXM-80GB").unwrap();
        Setup { model, gpu, n_gpu, precision: Precision::Fp8, framework: "trtllm" }
    }

    const CHAT: Lengths = Lengths { input: 1_200.0, output: 800.0, cached_share: 0.0 };

    #[test]
    fn a_tighter_limit_never_gives_more() {
        let points = Points::default();
        let at = |tpot_ms: f64| at_slo(&seventy(2), &CHAT, &Slo { ttft_ms: 1_000.0, tpot_ms }, &points);
        let (tight, loose) = (at(25.0).unwrap(), at(50.0).unwrap());
        assert!(tight.concurrency <= loose.concurrency);
        assert!(tight.tpot_ms.value <= 25.0 && loose.tpot_ms.value <= 50.0);
        assert!(loose.output_tok_s.low <= loose.output_tok_s.value);
    }

    #[test]
    fn what_cannot_be_reached_says_what_can() {
        let points = Points::default();
        let slo = Slo { ttft_ms: 1_000.0, tpot_ms: 1.0 };
        let Err(Unreachable::Tpot { at_best_ms, .. }) = at_slo(&seventy(2), &CHAT, &slo, &points) else {
            panic!("one millisecond per token is out of reach");
        };
        assert!(at_best_ms > 10.0);
        let slo = Slo { ttft_ms: 1_000.0, tpot_ms: 50.0 };
        assert!(matches!(at_slo(&seventy(0), &CHAT, &slo, &points), Err(Unreachable::DoesNotFit(_))));
    }
}
