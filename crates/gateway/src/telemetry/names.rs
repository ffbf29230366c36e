//! OpenTelemetry names for language models, all of them, in one place: they are "Development" and were renamed in 2026.
//! Source: open-telemetry/semantic-conventions-genai, `docs/gen-ai` and its migration page. No convention has an
//! attribute for cost; ours are under `tollgate.`.

/// `chat`, `text_completion` or `embeddings`.
pub const OPERATION: &str = "gen_ai.operation.name";
/// Replaces `gen_ai.system`.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// Deprecated by [`PROVIDER`].
pub const OLD_SYSTEM: &str = "gen_ai.system";
/// The model asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the answer ended.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Input tokens, cached ones included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Output tokens, reasoning included.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Tokens read from a cache.
pub const CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
/// Tokens written to a cache.
pub const CACHE_WRITE: &str = "gen_ai.usage.cache_write.input_tokens";
/// Replaced by [`CACHE_WRITE`].
pub const OLD_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Reasoning tokens.
pub const REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
/// Token kind on the old usage histogram.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// Stable.
pub const ERROR_TYPE: &str = "error.type";
/// Stable.
pub const SERVER_ADDRESS: &str = "server.address";
/// Stable.
pub const SERVER_PORT: &str = "server.port";

/// Histogram, seconds.
pub const DURATION: &str = "gen_ai.client.inference.duration";
/// Replaced by [`DURATION`].
pub const OLD_DURATION: &str = "gen_ai.client.operation.duration";
/// Histogram, seconds.
pub const FIRST_CHUNK: &str = "gen_ai.client.inference.time_to_first_chunk";
/// Replaced by [`FIRST_CHUNK`].
pub const OLD_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// Counter.
pub const USAGE_INPUT: &str = "gen_ai.client.inference.usage.input_tokens";
/// Counter.
pub const USAGE_OUTPUT: &str = "gen_ai.client.inference.usage.output_tokens";
/// Counter.
pub const USAGE_CACHE_READ: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
/// Counter.
pub const USAGE_CACHE_WRITE: &str = "gen_ai.client.inference.usage.cache_write.input_tokens";
/// Counter.
pub const USAGE_REASONING: &str = "gen_ai.client.inference.usage.reasoning.output_tokens";
/// Histogram by [`TOKEN_TYPE`], replaced by the counters.
pub const OLD_TOKEN_USAGE: &str = "gen_ai.client.token.usage";

/// The route that decided.
pub const ROUTE: &str = "tollgate.route";
/// `x-tollgate-reason`.
pub const REASON: &str = "tollgate.reason";
/// Dollars, as exact decimal text.
pub const COST: &str = "tollgate.cost_usd";
/// How the attempt ended.
pub const OUTCOME: &str = "tollgate.outcome";

/// The convention's word for our operation.
pub fn operation(op: &str) -> &'static str {
    match op {
        "completion" => "text_completion",
        "embedding" => "embeddings",
        _ => "chat",
    }
}

/// The convention's word for a host where it has one, else the host's own id.
pub fn provider(id: &str) -> &str {
    match id {
        "google" | "gemini" => "gcp.gemini",
        "xai" => "x_ai",
        "mistral" => "mistral_ai",
        other => other,
    }
}
