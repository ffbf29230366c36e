//! Hosts and models as data.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{Context, Cost, UnknownPrice, Usage};

/// How a host wants its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// The key alone in a header of that name, e.g. `x-api-key`, `x-goog-api-key`, `api-key`.
    Header(String),
    /// No key: a server of one's own.
    None,
}

/// Where a host departs from its dialect. Every field has a default that means "as the dialect says".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Rejects `stream_options`; usage comes anyway or not at all.
    pub no_stream_options: bool,
    /// Wants `max_completion_tokens` and rejects `max_tokens` (field notes §2.17).
    pub max_completion_tokens: bool,
    /// Knows no role `developer`: it is sent as `system` (§2.18).
    pub no_developer_role: bool,
    /// Its `usage.prompt_tokens` leaves cached tokens out (§2.1).
    pub prompt_excludes_cached: bool,
    /// Its `usage.completion_tokens` leaves reasoning tokens out (§2.16).
    pub completion_excludes_reasoning: bool,
    /// Reports its own charge in `usage.cost` (dollars) (§2.32).
    pub reports_cost: bool,
    /// Closes streams without `[DONE]` (§2.6).
    pub no_done: bool,
}

/// A host: where it is and how to talk to it. Prices are not here.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The id in `provider/model`, e.g. `together`.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// The dialect that it speaks: `openai`, `anthropic` or `gemini`.
    pub wire: String,
    /// With the version path, e.g. `https://api.together.xyz/v1`. Empty for servers of one's own.
    pub base_url: String,
    /// How the key travels.
    pub auth: Auth,
    /// Environment variables that usually hold the key, the most usual first.
    pub key_env: Vec<String>,
    /// Departures from the dialect.
    pub quirks: Quirks,
    /// Endpoints that it serves: `chat`, `completion`, `embedding`.
    pub endpoints: Vec<String>,
}

/// Whether a model can do something. Unknown is tried last and learned from the vendor's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    /// Documented.
    Yes,
    /// Documented as missing.
    No,
    /// No source says.
    #[default]
    Unknown,
}

/// What a model can take and do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Image input.
    pub images: Ability,
    /// Audio input.
    pub audio: Ability,
    /// File (PDF) input.
    pub files: Ability,
    /// Tool calls.
    pub tools: Ability,
    /// More than one tool call in a turn.
    pub parallel_tools: Ability,
    /// JSON mode.
    pub json_mode: Ability,
    /// Output held to a JSON schema.
    pub json_schema: Ability,
    /// Log probabilities.
    pub logprobs: Ability,
    /// More than one choice (`n`).
    pub n: Ability,
    /// Chat completions.
    pub chat: Ability,
    /// Embeddings.
    pub embeddings: Ability,
    /// Legacy text completions.
    pub completions: Ability,
}

/// What a request needs of a model (interface §3c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent need")]
pub struct Needs {
    /// Image input.
    pub images: bool,
    /// Audio input or output.
    pub audio: bool,
    /// File input.
    pub files: bool,
    /// Tool calls.
    pub tools: bool,
    /// `parallel_tool_calls: true`, said explicitly.
    pub parallel_tools: bool,
    /// `response_format: json_object`.
    pub json_mode: bool,
    /// `response_format: json_schema`.
    pub json_schema: bool,
    /// Log probabilities.
    pub logprobs: bool,
    /// `n` above one.
    pub many_choices: bool,
}

/// What is known of a model apart from its price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Tokens of input and output together.
    pub context: Option<u64>,
    /// Most output tokens in one answer.
    pub max_output: Option<u64>,
    /// What it can do.
    pub can: Capabilities,
    /// It reasons before it answers (rejects `max_tokens` and `temperature` at OpenAI).
    pub reasoning: bool,
}

/// The end of a model at a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The last day on which it is served.
    pub last_day: Date,
    /// What the vendor names instead.
    pub successor: Option<String>,
}

/// One model at one vendor: facts, retirement and prices over time. Built by the catalogue.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The host's id.
    pub provider: String,
    /// The id that the host wants to hear.
    pub model: String,
    /// What it can do.
    pub facts: Facts,
    /// When it ends, if announced.
    pub retires: Option<Retirement>,
}

impl Offer {
    /// A model that no source lists: nothing is known, its price is [`UnknownPrice::Model`].
    pub fn unlisted(provider: &str, model: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
            facts: Facts::default(),
            retires: None,
        }
    }

    /// `provider/model`.
    pub fn target(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// The exact price of `usage`; [`Cost::Unknown`] when any used bucket has no price in that context.
    pub fn price(&self, usage: &Usage, context: &Context) -> Cost {
        let (_, _): (&Usage, &Timestamp) = (usage, &context.at);
        Cost::Unknown(UnknownPrice::Model)
    }
}
