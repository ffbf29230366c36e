//! The plain roofline: a step takes as long as the slower of memory and arithmetic, plus fixed costs.
//!
//! Six constants for all hardware. It is the yardstick that the calibrated model is measured against.

use super::memory::{kv_bytes, weight_bytes};
use super::{Lengths, Setup};

/// Reached share of the peak memory bandwidth.
const BANDWIDTH: f64 = 0.74;
/// Reached share of the peak arithmetic in prefill.
const PREFILL: f64 = 0.58;
/// Reached share of the peak arithmetic in decoding.
const DECODE: f64 = 0.13;
/// Milliseconds of scheduling and launching per step.
const STEP_MS: f64 = 0.40;
/// Microseconds per layer of waiting for the other accelerators, and its growth with their binary logarithm.
const COMM_US: (f64, f64) = (49.0, 7.0);

/// Milliseconds to prefill one prompt.
pub(super) fn prefill_ms(setup: &Setup<'_>, lengths: &Lengths) -> f64 {
    let fresh = lengths.input * (1.0 - lengths.cached_share);
    let flops = 2.0 * setup.model.active_params() * fresh + setup.model.attention_flops(fresh);
    let rate = f64::from(setup.n_gpu) * setup.gpu.tflops_at(setup.precision.compute_bits()) * 1e12;
    flops / (rate * PREFILL) * 1e3 + comm_ms(setup)
}

/// Milliseconds per output token with `batch` requests in flight, prefills of their successors included.
pub(super) fn tpot_ms(setup: &Setup<'_>, lengths: &Lengths, batch: f64) -> f64 {
    let n = f64::from(setup.n_gpu);
    let context = lengths.input + lengths.output / 2.0;
    let share = setup.model.params_read(batch) / (setup.model.params_b * 1e9);
    let bytes = weight_bytes(setup) * share + batch * setup.model.kv_values(context) * kv_bytes(setup);
    let memory = bytes / (n * setup.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH);
    let rate = n * setup.gpu.tflops_at(setup.precision.compute_bits()) * 1e12 * DECODE;
    let arithmetic = 2.0 * setup.model.active_params() * batch / rate;
    let step = memory.max(arithmetic) * 1e3 + STEP_MS + comm_ms(setup);
    step + batch / lengths.output.max(1.0) * prefill_ms(setup, lengths)
}

fn comm_ms(setup: &Setup<'_>) -> f64 {
    if setup.n_gpu < 2 {
        return 0.0;
    }
    f64::from(setup.model.layers) * (COMM_US.0 + COMM_US.1 * f64::from(setup.n_gpu).log2()) * 1e-3
}
