//! What a replica can serve: does the model fit, how fast does it answer, how many replicas does the peak need.
//!
//! A price per token without the lengths, the load and the limits on latency behind it means nothing, so every answer
//! here takes all three, is a value with a band, and says who spoke ([`Basis`]): one's own bench, a published
//! measurement, an interpolation between such, or the model. Other calculators print one number for a GPU.

mod calibrate;
mod calibration;
mod estimate;
mod least_squares;
mod linear;
mod load;
mod memory;
mod model;
mod physics;
mod points;
mod queue;
mod roofline;
mod slo;
mod smooth;

use catalog::{Hardware, ModelFacts};

pub use calibrate::calibrate;
pub use calibration::{Bands, Calibration, Coefficients, GroupError, Nearness, Widths};
pub use estimate::{Basis, Estimate, Points, SHIPPED_POINTS, Speed, predict, saturated, speed};
pub use memory::{DoesNotFit, Room, fits};
pub use physics::{Constants, FirstToken};
pub use points::{Point, Row, read_points, read_rows, write_points};
pub use queue::{replicas_for_peak, waiting_share};
pub use slo::{Capacity, Unreachable, at_slo};

/// Number format of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// 16 bits.
    Bf16,
    /// 8-bit floats.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 4-bit floats with block scales (NVFP4, MXFP4).
    Fp4,
    /// 4-bit integers with group scales.
    Int4,
}

impl Precision {
    /// The one with that name: `bf16`, `fp16`, `fp8`, `int8`, `fp4`, `nvfp4`, `mxfp4`, `int4`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "bf16" | "fp16" | "float16" | "bfloat16" => Self::Bf16,
            "fp8" => Self::Fp8,
            "int8" => Self::Int8,
            "fp4" | "nvfp4" | "mxfp4" => Self::Fp4,
            "int4" => Self::Int4,
            _ => return None,
        })
    }

    /// The name in the measurements.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Fp4 => "fp4",
            Self::Int4 => "int4",
        }
    }

    /// Bits that the arithmetic is done in. Four-bit integers are widened to 16 bits before they are multiplied.
    pub fn compute_bits(self) -> u32 {
        match self {
            Self::Bf16 | Self::Int4 => 16,
            Self::Fp8 | Self::Int8 => 8,
            Self::Fp4 => 4,
        }
    }

    /// Bytes per weight, scales included: one 8-bit scale for 16 values at `fp4`, one 16-bit scale for 32 at `int4`.
    pub fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 | Self::Int8 => 1.0,
            Self::Fp4 | Self::Int4 => 0.5625,
        }
    }
}

/// A replica: one copy of a model on some accelerators.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The model.
    pub model: &'a ModelFacts,
    /// The accelerator.
    pub gpu: &'a Hardware,
    /// How many of them hold one copy.
    pub n_gpu: u32,
    /// Format of the weights.
    pub precision: Precision,
    /// Engine, with or without its version, e.g. `vllm 0.19.0`.
    pub framework: &'a str,
}

/// Tokens of a mean request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    /// Tokens of the prompt.
    pub input: f64,
    /// Tokens of the answer.
    pub output: f64,
    /// Share of the prompt that the prefix cache already holds, 0 to 1.
    pub cached_share: f64,
}

/// Limits on latency. The measurements behind the model are medians or means; a limit on a high percentile needs
/// room above them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slo {
    /// Most milliseconds to the first token; infinite for none.
    pub ttft_ms: f64,
    /// Most milliseconds per output token after the first; infinite for none.
    pub tpot_ms: f64,
}
