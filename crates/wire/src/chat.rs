//! A conversation in a neutral form, read from an OpenAI chat body: what a translating wire encodes.
//!
//! Pass-through wires never come here; they splice bytes. The obvious alternative, one typed struct that mirrors
//! OpenAI's body and ignores what it does not know, drops fields silently. Here every top-level field has a fate,
//! and a field without one is refused:
//!
//! | field | fate |
//! | --- | --- |
//! | `messages`, `tools`, `tool_choice`, `parallel_tool_calls`, `response_format`, `stop`, `temperature`, `top_p`, `top_k`, `max_tokens`, `max_completion_tokens`, `reasoning_effort` | carried; the dialect names what its model cannot take |
//! | `n` | carried by Gemini; Anthropic refuses more than 1 |
//! | `seed` | carried by Gemini; dropped by Anthropic (it changes repeatability, not the question) |
//! | `frequency_penalty`, `presence_penalty` | when not 0: carried by Gemini up to 2.0, else dropped (a nudge to sampling that newer models refuse) |
//! | `user`, `safety_identifier` | Anthropic's `metadata.user_id`; dropped by Gemini |
//! | `cache_control` | carried by Anthropic; dropped by Gemini (a hint) |
//! | `service_tier` | `auto`, `default` mean nothing here; any other is dropped (the granted tier decides the price) |
//! | `model`, `stream`, `stream_options`, `metadata`, `prompt_cache_key` | read by the gateway itself |
//! | `store`, `prediction`, `verbosity`, `prompt_cache_retention`, `prompt_cache_options` | dropped: they change storage, speed or style |
//! | `logit_bias` (not empty), `logprobs: true`, `top_logprobs` above 0 | refused: the caller relies on the effect |
//! | `audio`, `modalities` with more than `text`, `web_search_options`, `moderation` | refused: another kind of answer |
//! | `functions`, `function_call` | refused: replaced by `tools`, whose answers look different |
//! | anything else | refused: what is not known cannot be called harmless |
//!
//! "Dropped" means listed in [`Chat::dropped`], never silent. `null` always means absent.

mod messages;
mod read;
pub(crate) mod thought_id;
mod tools;

use serde_json::{Map, Value};

use crate::Unsupported;

/// A conversation, ready to be encoded.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// System and developer messages, hoisted in order (field notes §2.18).
    pub system: Vec<Text>,
    /// Everything else, in order, not yet merged.
    pub turns: Vec<Turn>,
    /// In the caller's order: it is part of the prompt that the vendor caches (§2.34).
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub parallel_tools: Option<bool>,
    pub format: Format,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_output: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub seed: Option<i64>,
    /// Choices asked for.
    pub n: Option<u64>,
    pub stop: Vec<String>,
    pub effort: Option<Effort>,
    /// `user`, else `safety_identifier`.
    pub user: Option<String>,
    /// Automatic caching of the whole prompt, an Anthropic field that callers of other gateways send.
    pub cache_control: Option<Value>,
    /// Harmless fields that the upstream does not get.
    pub dropped: Dropped,
}

/// Visible text, with the cache mark that the caller put on it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub text: String,
    pub cache: Option<Value>,
}

/// One message that is not a system message. `at` is its index in `messages`, for errors.
#[derive(Debug)]
pub(crate) enum Turn {
    User { at: usize, parts: Vec<Part> },
    Assistant(Assistant),
    Tool(ToolResult),
}

/// What the model said earlier.
#[derive(Debug, Default)]
pub(crate) struct Assistant {
    pub at: usize,
    pub thoughts: Vec<Thought>,
    pub text: Vec<Text>,
    pub calls: Vec<Call>,
}

/// A reasoning block that a vendor signed or sealed, in the shape that `reasoning_details` has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Thought {
    /// Who made it, e.g. [`ANTHROPIC_FORMAT`]; absent from older clients.
    pub format: Option<String>,
    pub text: Option<String>,
    pub signature: Option<String>,
    /// A sealed block.
    pub data: Option<String>,
}

/// The `format` of Anthropic's reasoning blocks.
pub(crate) const ANTHROPIC_FORMAT: &str = "anthropic-claude-v1";

/// The `format` of Gemini's signatures on text.
pub(crate) const GEMINI_FORMAT: &str = "google-gemini-v1";

/// A tool call that the model made earlier.
#[derive(Debug)]
pub(crate) struct Call {
    /// Without a signature.
    pub id: String,
    pub name: String,
    pub arguments: Map<String, Value>,
    /// Gemini's, taken out of the id or of `extra_content` (§2.13).
    pub signature: Option<String>,
    pub cache: Option<Value>,
}

/// What a tool answered.
#[derive(Debug)]
pub(crate) struct ToolResult {
    pub at: usize,
    /// Without a signature.
    pub id: String,
    pub parts: Vec<Part>,
    pub cache: Option<Value>,
}

/// A part of a user message or a tool result.
#[derive(Debug)]
pub(crate) enum Part {
    Text(Text),
    Image { source: Source, cache: Option<Value> },
    Audio { media_type: String, data: String, cache: Option<Value> },
    File { media_type: String, data: String, name: Option<String>, cache: Option<Value> },
}

/// Where an image comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Never fetched by Tollgate.
    Url(String),
    /// Base64.
    Data { media_type: String, data: String },
}

/// A function that the model may call.
#[derive(Debug)]
pub(crate) struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub parameters: Option<Value>,
    pub strict: bool,
    pub cache: Option<Value>,
}

/// Which tools the model may or must call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// Not said: as the vendor likes.
    #[default]
    Unset,
    Auto,
    None,
    Required,
    Function(String),
    /// `allowed_tools`: one of these, or none if not `required`.
    Allowed {
        required: bool,
        names: Vec<String>,
    },
}

impl ToolChoice {
    /// The model must call a tool.
    pub fn forced(&self) -> bool {
        matches!(self, Self::Required | Self::Function(_) | Self::Allowed { required: true, .. })
    }
}

/// The shape of the answer.
#[derive(Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that fits the schema.
    JsonSchema(Value),
}

/// `reasoning_effort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// Reasoning tokens for models that take a budget (§2.15). Low to high are Google's own numbers for OpenAI
    /// clients; the ends continue the series.
    pub const fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1_024,
            Self::Medium => 8_192,
            Self::High => 24_576,
            Self::Xhigh | Self::Max => 32_768,
        }
    }
}

/// Names of fields that were left out: each once, in the order found, `[]` in place of indexes so that a long
/// conversation does not make a long header. Names may be the caller's own: what no header holds is replaced.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Vec<String>);

impl Dropped {
    const MOST: usize = 64;

    /// Notes a field.
    pub fn note(&mut self, field: &str) {
        let name: String = field
            .chars()
            .take(80)
            .map(|c| if c.is_ascii_graphic() && c != ',' || c == ' ' { c } else { '?' })
            .collect();
        if self.0.len() < Self::MOST && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Refuses a field.
pub(crate) fn refuse(field: impl Into<String>, why: impl Into<String>) -> Unsupported {
    Unsupported { field: field.into(), why: why.into() }
}

#[cfg(test)]
mod tests;
