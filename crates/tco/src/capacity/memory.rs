//! Whether a replica holds the model, and how much room is left for keys and values.

use catalog::{Hardware, ModelFacts};

use super::{Lengths, Precision, Setup};

/// Share of the memory that engines take, by their usual default.
pub(super) const TAKEN: f64 = 0.9;
/// Bytes per accelerator for activations, graphs and communication buffers (aiconfigurator reserves the same).
pub(super) const RESERVED: f64 = 3.5 * 1_073_741_824.0;
/// Linear-attention state is kept at 32 bits.
pub(super) const STATE_BYTES: f64 = 4.0;
const GB: f64 = 1e9;

/// What is left once the weights are loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// GB (10⁹ bytes) of weights over all accelerators of the replica.
    pub weights_gb: f64,
    /// GB that the engine takes over all accelerators, weights included.
    pub usable_gb: f64,
    /// GB left for keys and values.
    pub kv_gb: f64,
    /// GB that one request of these lengths holds when it ends.
    pub kv_per_request_gb: f64,
    /// Requests that fit at their full length.
    pub max_batch: f64,
}

/// The replica cannot hold the model and one request.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("does not fit: {needed_gb:.1} GB needed, {usable_gb:.1} GB usable, {short_gb:.1} GB short")]
pub struct DoesNotFit {
    /// GB of weights and of one request.
    pub needed_gb: f64,
    /// GB that the engine can take.
    pub usable_gb: f64,
    /// The difference.
    pub short_gb: f64,
}

/// Bytes of a value in the cache: 8 bits where the weights are 8-bit floats or narrower floats, else 16.
pub(super) fn kv_bytes(gpu: &Hardware, precision: Precision) -> f64 {
    match precision.compute_bits() {
        16 => 2.0,
        _ if gpu.tflops.fp8.is_none() => 2.0,
        _ => 1.0,
    }
}

/// Bytes that a sequence of `tokens` holds.
pub(super) fn sequence_bytes(setup: &Setup<'_>, tokens: f64) -> f64 {
    setup.model.kv_values(tokens) * kv_bytes(setup.gpu, setup.precision)
        + setup.model.state_values() * STATE_BYTES
}

/// Bytes of all weights. Embeddings and the output layer stay at 16 bits in quantised checkpoints.
pub(super) fn weight_bytes(model: &ModelFacts, precision: Precision) -> f64 {
    let tables = 2.0 * f64::from(model.vocab) * f64::from(model.hidden);
    let all = model.params_b * GB;
    let tables = tables.min(all / 2.0);
    (all - tables) * precision.bytes() + tables * 2.0
}

/// The room of a replica, or by how much it is too small.
pub fn fits(setup: &Setup<'_>, lengths: &Lengths) -> Result<Room, DoesNotFit> {
    let n = f64::from(setup.n_gpu);
    let usable = n * (setup.gpu.memory_bytes() * TAKEN - RESERVED);
    let weights = weight_bytes(setup.model, setup.precision);
    let one = sequence_bytes(setup, lengths.input + lengths.output);
    let left = usable - weights;
    if left < one {
        let needed = weights + one;
        return Err(DoesNotFit {
            needed_gb: needed / GB,
            usable_gb: usable / GB,
            short_gb: (needed - usable) / GB,
        });
    }
    Ok(Room {
        weights_gb: weights / GB,
        usable_gb: usable / GB,
        kv_gb: left / GB,
        kv_per_request_gb: one / GB,
        max_batch: (left / one).floor(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(model: &str, gpu: &str, n_gpu: u32, precision: Precision) -> Result<Room, DoesNotFit> {
        let model = catalog::architecture::find(model).unwrap().model;
        let gpu = catalog::hardware::find(gpu).unwrap();
        let setup = Setup { model, gpu, n_gpu, precision, framework: "vllm" };
        fits(&setup, &Lengths { input: 1_200.0, output: 800.0, cached_share: 0.0 })
    }

    #[test]
    fn the_articles_configurations_that_hold_their_weights() {
        assert!(room("llama-3.3-70b", "H100", 2, Precision::Fp8).is_ok());
        assert!(room("llama-3.3-70b", "H100", 1, Precision::Int4).is_ok());
        assert!(room("llama-3.3-70b", "A100", 2, Precision::Fp8).is_ok());
        assert!(room("llama-3.3-70b", "L40S", 8, Precision::Fp8).is_ok());
        assert!(room("llama-3.1-405b", "H100", 8, Precision::Fp8).is_ok());
        assert!(room("qwen3-235b", "H100", 8, Precision::Fp8).is_ok());
    }

    #[test]
    fn what_does_not_fit_says_by_how_much() {
        let short = room("llama-3.1-405b", "H100", 2, Precision::Fp8).unwrap_err();
        // 405.85 GB and the tables at 16 bits, against 2 × (85.9 × 0.9 − 3.76).
        assert!((short.usable_gb - 147.1).abs() < 0.1, "{short}");
        assert!((short.short_gb - (short.needed_gb - short.usable_gb)).abs() < 1e-9);
        assert!((260.0..270.0).contains(&short.short_gb), "{short}");
        assert!(room("deepseek-v4-pro", "H100", 8, Precision::Fp8).is_err());
        assert!(room("llama-3.3-70b", "H100", 1, Precision::Bf16).is_err());
    }

    #[test]
    fn an_a100_keeps_its_cache_at_sixteen_bits() {
        let a100 = room("llama-3.3-70b", "A100", 2, Precision::Fp8).unwrap();
        let h100 = room("llama-3.3-70b", "H100", 2, Precision::Fp8).unwrap();
        assert!((a100.kv_per_request_gb / h100.kv_per_request_gb - 2.0).abs() < 1e-9);
    }
}
