//! The plain roofline: a step takes as long as the slower of memory and arithmetic, plus fixed costs.
//!
//! Six constants for all hardware. Nothing is answered from it: it is the yardstick that stands beside the calibrated
//! model's errors.

use super::load::Load;

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
pub(super) fn ttft_ms(load: &Load<'_>) -> f64 {
    let flops = 2.0 * load.model.active_params() * load.fresh + load.model.attention_flops(load.fresh);
    let rate = load.n_gpu * load.gpu.tflops_at(load.precision.compute_bits()) * 1e12;
    flops / (rate * PREFILL) * 1e3 + comm_ms(load)
}

/// Milliseconds per output token, prefills of later requests included.
pub(super) fn tpot_ms(load: &Load<'_>) -> f64 {
    let batch = load.concurrency;
    let context = load.isl + load.osl / 2.0;
    let embeddings = f64::from(load.model.vocab) * f64::from(load.model.hidden);
    let weights = (load.model.params_read(batch) + embeddings) * load.precision.bytes();
    let bytes = weights + batch * load.model.kv_values(context) * load.kv_bytes();
    let memory = bytes / (load.n_gpu * load.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH);
    let rate = load.n_gpu * load.gpu.tflops_at(load.precision.compute_bits()) * 1e12 * DECODE;
    let arithmetic = 2.0 * load.model.active_params() * batch / rate;
    memory.max(arithmetic) * 1e3 + STEP_MS + comm_ms(load) + batch / load.osl * ttft_ms(load)
}

fn comm_ms(load: &Load<'_>) -> f64 {
    if load.n_gpu < 2.0 {
        return 0.0;
    }
    f64::from(load.model.layers) * (COMM_US.0 + COMM_US.1 * load.n_gpu.log2()) * 1e-3
}
