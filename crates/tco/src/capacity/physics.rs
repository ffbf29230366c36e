//! The calibrated formula: what a decode step and a prefill cost, from the datasheet and the shape of the model.
//!
//! Unlike the plain roofline it adds the costs instead of taking the larger (kernels of one step do not overlap), has
//! a cost per layer that no amount of bandwidth buys off, knows that wider chips reach less of their rating, lets
//! requests queue when the cache of keys and values is full, and knows that engines differ in how much of others'
//! prefill a running answer must wait for.

use serde::{Deserialize, Serialize};

use super::load::{Engine, Load};
use super::memory::{RESERVED, STATE_BYTES, TAKEN, weight_bytes};

/// Most requests that an engine runs at once in one copy, whatever the memory.
const MAX_BATCH: f64 = 2_048.0;

/// Rated bandwidth (GB/s) and dense 16-bit arithmetic (Tflop/s) at which the reached shares are stated, those of an
/// H100-SXM. On an accelerator k times as wide a reached share is k^−fade of it: the same kernels fill a wider chip
/// less. Without this, constants learned on one generation are wrong for the next in the same direction everywhere.
const REFERENCE: (f64, f64) = (3_350.0, 989.0);

macro_rules! constants {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $start:literal give $spread:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: f64,)* }

        impl $name {
            pub(super) const START: [f64; [$($start),*].len()] = [$($start),*];
            pub(super) const SPREAD: [f64; [$($start),*].len()] = [$($spread),*];

            pub(super) fn from_array([$($field),*]: [f64; [$($start),*].len()]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

constants! {
    /// Constants of decoding and prefill, with where the fit starts and how far (in logarithms) it likes to go.
    Constants {
        /// Reached share of memory bandwidth when reading weights that every token uses.
        weights_bandwidth: 0.74 give 0.2,
        /// The same for the experts that the batch touches.
        experts_bandwidth: 0.6 give 0.3,
        /// The same for keys and values.
        cache_bandwidth: 0.6 give 0.3,
        /// Reached share of peak arithmetic in decoding.
        decode_arithmetic: 0.5 give 0.5,
        /// How the reached share of bandwidth falls with the rated bandwidth, an exponent: at k times the
        /// bandwidth of an H100-SXM (3,350 GB/s) it is k^−this.
        bandwidth_fade: 0.15 give 0.1,
        /// The same for arithmetic, from its 989 Tflop/s at 16 bits.
        arithmetic_fade: 0.25 give 0.1,
        /// Seconds per layer of launching and synchronising kernels.
        layer_s: 20e-6 give 0.5,
        /// Seconds per layer of waiting for other accelerators.
        comm_s: 10e-6 give 0.5,
        /// Its growth with the binary logarithm of their number.
        comm_log_s: 3e-6 give 0.5,
        /// Seconds per layer of routing to experts.
        routing_s: 15e-6 give 0.5,
        /// Reached share of a fast link's bandwidth by a step's small messages.
        link: 0.3 give 0.7,
        /// Reached share of peak arithmetic in prefill.
        prefill_arithmetic: 0.6 give 0.3,
        /// Milliseconds per step, whatever the model.
        step_ms: 0.4 give 0.7,
        /// vLLM's cost per layer, as a multiple of TensorRT-LLM's.
        vllm_layer: 1.0 give 0.3,
        /// SGLang's.
        sglang_layer: 1.0 give 0.3,
        /// How much of the others' prefill a running answer waits for, in TensorRT-LLM.
        trtllm_wait: 1.0 give 0.3,
        /// In vLLM.
        vllm_wait: 1.0 give 0.3,
        /// In SGLang, which makes newcomers wait instead.
        sglang_wait: 0.5 give 0.3,
    }
}

constants! {
    /// Constants of the time to the first token.
    FirstToken {
        /// Multiple of one prefill.
        prefill: 1.3 give 2.0,
        /// Multiple of one decode step.
        step: 1.0 give 2.0,
        /// Prefills of others ahead in the queue, as a share of the requests in flight, in TensorRT-LLM.
        trtllm_queue: 0.08 give 2.0,
        /// In vLLM.
        vllm_queue: 0.08 give 2.0,
        /// In SGLang.
        sglang_queue: 0.3 give 2.0,
        /// Milliseconds of network, tokenizer and scheduler.
        fixed_ms: 20.0 give 2.0,
        /// Share of the wait for room in the cache that theory gives.
        full_cache: 0.7 give 2.0,
    }
}

/// The parts of the answer, in milliseconds where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Requests that run at once in one copy.
    pub batch: f64,
    /// Requests that fit into the cache of one copy.
    pub fits: f64,
    pub step: f64,
    pub prefill: f64,
    pub tpot: f64,
    /// Share of `tpot` that is others' prefill.
    pub waiting: f64,
}

/// Bytes that a step reads for the cache of one request, and that the request holds on average.
fn cache_bytes(load: &Load<'_>) -> (f64, f64) {
    let middle = load.model.kv_values(load.isl + load.osl / 2.0);
    let end = load.model.kv_values(load.isl + load.osl);
    let state = load.model.state_values() * STATE_BYTES;
    (middle * load.kv_bytes() + 2.0 * state, f64::midpoint(middle, end) * load.kv_bytes() + state)
}

/// Requests that fit into one copy's share of the memory.
fn room(load: &Load<'_>, held: f64) -> f64 {
    let group = load.group();
    let memory = load.gpu.memory_bytes();
    let weights = weight_bytes(load.model, load.precision) / load.layout.copies;
    // What does not fit is answered elsewhere; here it only must not divide by zero.
    let free = (group * (memory * TAKEN - RESERVED) - weights).max(0.02 * group * memory);
    (free / held).max(1.0)
}

/// Evaluates the formula.
pub(super) fn terms(c: &Constants, load: &Load<'_>) -> Terms {
    let model = load.model;
    let (group, ring, copies) = (load.group(), load.ring(), load.layout.copies);
    let rated = load.gpu.bandwidth_gb_s;
    let bandwidth = rated * 1e9 * (rated / REFERENCE.0).powf(-c.bandwidth_fade);
    let (read, held) = cache_bytes(load);
    let fits = room(load, held);
    // A soft minimum: near the limit some requests already wait.
    let batch = (load.batch().powi(-4) + fits.powi(-4)).powf(-0.25).min(MAX_BATCH);
    let all = batch * copies;

    let bytes = load.precision.bytes();
    let table = f64::from(model.vocab) * f64::from(model.hidden);
    let shared = model.shared_params() * bytes + table * (2.0 - bytes);
    let experts = (model.params_read(all) - model.shared_params()) * bytes;
    let memory = shared / (group * bandwidth * c.weights_bandwidth)
        + experts / (load.n_gpu * bandwidth * c.experts_bandwidth)
        + batch * read / (group * bandwidth * c.cache_bandwidth);

    let fade = (load.gpu.tflops.bf16 / REFERENCE.1).powf(-c.arithmetic_fade);
    let peak = load.n_gpu * load.gpu.tflops_at(load.precision.compute_bits()) * 1e12 * fade;
    let arithmetic = 2.0 * model.active_params() * all / (peak * c.decode_arithmetic);

    let layers = f64::from(model.layers);
    let (pace, wait) = match load.engine {
        Engine::TensorRt => (1.0, c.trtllm_wait),
        Engine::Vllm => (c.vllm_layer, c.vllm_wait),
        Engine::Sglang => (c.sglang_layer, c.sglang_wait),
    };
    let together = if ring > 1.0 { c.comm_s + c.comm_log_s * ring.log2() } else { 0.0 };
    let routing = if model.is_dense() { 0.0 } else { c.routing_s };
    let latency = layers * pace * (c.layer_s + together + routing);
    // Two all-reduces a layer move each activation (16 bits) twice. PCIe comes near its rated speed; a fast link does
    // not with messages this small.
    let speed = load.gpu.link.gb_s * 1e9 * if load.gpu.link.kind == "pcie" { 0.6 } else { c.link };
    let volume = if ring > 1.0 {
        layers * 8.0 * batch * f64::from(model.hidden) * (ring - 1.0) / ring / speed
    } else {
        0.0
    };

    let flops = 2.0 * model.active_params() * load.fresh + model.attention_flops(load.fresh);
    let prefill = (flops / (peak * c.prefill_arithmetic) * copies + latency * 0.5) * 1e3;
    let step = (memory + arithmetic + latency + volume) * 1e3 + c.step_ms;
    let others = batch / load.osl * prefill * wait;
    Terms { batch, fits, step, prefill, tpot: step + others, waiting: others / (step + others) }
}

/// Milliseconds to the first token.
pub(super) fn ttft_ms(c: &FirstToken, load: &Load<'_>, t: &Terms) -> f64 {
    let queue = match load.engine {
        Engine::TensorRt => c.trtllm_queue,
        Engine::Vllm => c.vllm_queue,
        Engine::Sglang => c.sglang_queue,
    };
    let waiting = load.batch().min(10.0 * t.fits);
    // In a closed loop, those who find no room wait until somebody ends.
    let full = (waiting / t.fits - 1.0).max(0.0) * load.osl * t.tpot * c.full_cache;
    t.prefill * (c.prefill + waiting * queue) + t.step * c.step + c.fixed_ms + full
}

/// Output tokens per second of the whole replica when requests always wait.
pub(super) fn saturated_tok_s(load: &Load<'_>, t: &Terms) -> f64 {
    let cycle = t.step + t.batch / load.osl * t.prefill;
    t.batch * load.layout.copies / cycle * 1e3
}
