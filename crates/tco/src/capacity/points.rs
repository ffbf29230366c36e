//! Known measurements.

/// One measurement of a replica at a fixed number of requests in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The checkpoint, as its source names it.
    pub model: String,
    /// The accelerator's id.
    pub gpu: String,
    /// Accelerators of the replica.
    pub n_gpu: u32,
    /// Format of the weights, e.g. `fp8`.
    pub precision: String,
    /// Engine and version.
    pub framework: String,
    /// Tokens of a prompt.
    pub isl: f64,
    /// Tokens of an answer.
    pub osl: f64,
    /// Requests in flight.
    pub concurrency: f64,
    /// Milliseconds to the first token.
    pub ttft_ms: Option<f64>,
    /// Milliseconds per token after the first.
    pub tpot_ms: Option<f64>,
    /// Output tokens per second of the replica.
    pub output_tok_s: Option<f64>,
}

/// Measurements that outrank the model: the shipped ones, and the user's own bench, which outranks those.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// Published measurements.
    pub shipped: Vec<Point>,
    /// One's own bench.
    pub own: Vec<Point>,
}
