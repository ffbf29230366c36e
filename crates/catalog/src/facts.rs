//! Hosts and models as data.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::rates::Ladder;
use crate::schedule::{Schedule, midnight};
use crate::{Bucket, Context, Cost, Rate, Tier, Usage, price};

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
#[expect(clippy::struct_excessive_bools, reason = "each is an independent departure")]
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

impl Capabilities {
    /// The names of the abilities.
    pub const NAMES: [&str; 12] = [
        "images",
        "audio",
        "files",
        "tools",
        "parallel_tools",
        "json_mode",
        "json_schema",
        "logprobs",
        "n",
        "chat",
        "embeddings",
        "completions",
    ];

    /// The ability with that name.
    pub fn get(&self, name: &str) -> Option<Ability> {
        self.clone().get_mut(name).copied()
    }

    /// The ability with that field name.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Ability> {
        Some(match name {
            "images" => &mut self.images,
            "audio" => &mut self.audio,
            "files" => &mut self.files,
            "tools" => &mut self.tools,
            "parallel_tools" => &mut self.parallel_tools,
            "json_mode" => &mut self.json_mode,
            "json_schema" => &mut self.json_schema,
            "logprobs" => &mut self.logprobs,
            "n" => &mut self.n,
            "chat" => &mut self.chat,
            "embeddings" => &mut self.embeddings,
            "completions" => &mut self.completions,
            _ => return None,
        })
    }

    /// Takes over what is still unknown here.
    pub(crate) fn fill<'a>(&mut self, from: impl IntoIterator<Item = (&'a String, &'a Ability)>) {
        for (name, ability) in from {
            if let Some(known) = self.get_mut(name).filter(|known| **known == Ability::Unknown) {
                *known = *ability;
            }
        }
    }
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

/// Where a price comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The source, e.g. `genai-prices`, or the file of an overlay.
    pub source: String,
    /// The day that the source's data describes.
    pub as_of: Option<Date>,
    /// The vendor's page that the source names.
    pub page: Option<String>,
    /// The `provider/model` whose prices these are, where an overlay says so.
    pub priced_as: Option<String>,
}

/// A price as a table shows it. The steps after the first apply above an input length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// What is counted.
    pub bucket: Bucket,
    /// Input length above which the rate applies, and the rate; `(0, base)` first.
    pub steps: Vec<(u64, Rate)>,
    /// Only the tokens above a length cost its rate. Otherwise all tokens of the request do.
    pub excess: bool,
    /// No source lists this bucket: it is priced like that other one, which is never too low.
    pub priced_as: Option<Bucket>,
    /// The tier has no price of its own for it: it is the standard one.
    pub inherited: bool,
}

/// What the catalogue knows of an offer's prices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) schedule: Schedule,
    /// The same prices where a region changes them.
    pub(crate) regions: Vec<(String, Schedule)>,
    pub(crate) origin: Option<Origin>,
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
    /// Other names that find it.
    pub aliases: Vec<String>,
    /// The host made the model.
    pub maker: bool,
    pub(crate) listing: Arc<Listing>,
}

impl Offer {
    /// A model that no source lists: nothing is known, its price is
    /// [`UnknownPrice::Model`](crate::UnknownPrice::Model).
    pub fn unlisted(provider: &str, model: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
            facts: Facts::default(),
            retires: None,
            aliases: Vec::new(),
            maker: false,
            listing: Arc::default(),
        }
    }

    /// `provider/model`.
    pub fn target(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// The exact price of `usage`; [`Cost::Unknown`] when any used bucket has no price in that context.
    ///
    /// Which price stands in for a bucket that has none of its own: see [`ListPrice::priced_as`].
    pub fn price(&self, usage: &Usage, context: &Context) -> Cost {
        let listing = self.listing.as_ref();
        let schedule = match &context.region {
            Some(region) if !listing.regions.is_empty() => {
                match listing.regions.iter().find(|(name, _)| name == region) {
                    Some((_, schedule)) => schedule,
                    None => return Cost::Unknown(crate::UnknownPrice::Tier),
                }
            }
            // Where no region changes the price, naming one does not either.
            _ => &listing.schedule,
        };
        price::bill(schedule, usage, context)
    }

    /// Where the price comes from; `None` when no source has one.
    pub fn origin(&self) -> Option<&Origin> {
        self.listing.origin.as_ref()
    }

    /// Some source has a price for it.
    pub fn has_price(&self) -> bool {
        !self.listing.schedule.is_empty()
    }

    /// The tiers that have a price at some time.
    pub fn tiers(&self) -> Vec<Tier> {
        let tiers = [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority];
        tiers.into_iter().filter(|tier| self.listing.schedule.lists(*tier)).collect()
    }

    /// The regions that change the price.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.listing.regions.iter().map(|(name, _)| name.as_str())
    }

    /// What a thousand input and three hundred output tokens cost on the day of the source: for putting vendors of
    /// one model in order. What has no price comes last.
    pub(crate) fn blended(&self) -> crate::Money {
        let usage = Usage { input: 1_000, output: 300, ..Usage::default() };
        let day = self.origin().and_then(|origin| origin.as_of).map_or(i64::MAX, midnight);
        let at = Timestamp::from_second(day).unwrap_or(Timestamp::MAX);
        let context = Context { tier: Tier::Standard, region: None, at };
        self.price(&usage, &context).total().unwrap_or(crate::Money::from_pico(i128::MAX))
    }

    /// The prices in effect at a time, in the order of a bill. Empty when there are none.
    pub fn list_prices(&self, tier: Tier, at: Timestamp) -> Vec<ListPrice> {
        let Ok(rates) = self.listing.schedule.in_effect(tier, at) else { return Vec::new() };
        let list = |bucket| {
            let (ladder, priced_as): (&Ladder, _) = rates.of(bucket)?;
            Some(ListPrice {
                bucket,
                steps: ladder.steps().collect(),
                excess: ladder.is_excess(),
                priced_as,
                inherited: rates.is_inherited(bucket),
            })
        };
        Bucket::ALL.into_iter().filter_map(list).collect()
    }
}
