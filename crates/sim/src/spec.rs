//! What a simulated vendor is: its dialect, models, keys and timing. Declared, so that the demo can print it.

use std::sync::Arc;
use std::time::Duration;

use crate::{AnswerKey, FaultRule, Taste};

/// How a vendor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Chat completions, completions, embeddings, models, under `/v1`.
    OpenAi,
    /// Messages, under `/v1`.
    Anthropic,
    /// `generateContent` and embeddings, under `/v1beta`.
    Gemini,
}

/// Which keys a vendor takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// None needed: a server of one's own.
    Open,
    /// One must be there; any is good.
    #[default]
    Any,
    /// Only these; others get the dialect's 401.
    Only(Vec<String>),
}

/// When things arrive. All zero by default: tests do not wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// From the request to the head of the answer.
    pub head: Duration,
    /// From the head of a stream to its first content; a buffered answer waits as long before its head.
    pub first_token: Duration,
    /// Between two content chunks; a buffered answer waits for all its gaps.
    pub gap: Duration,
    /// Each wait is stretched by a seeded random share between 0 and this.
    pub jitter: f64,
}

/// How SSE frames are spelled: the same payloads, in the variants that real vendors send (field notes §2.28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `data: …\n\n`
    #[default]
    Plain,
    /// `data: …\r\n\r\n`
    Crlf,
    /// `data:…\n\n`
    Tight,
    /// A byte-order mark at the start, then `: comment`, `id:` and `retry:` lines around each event.
    Commented,
}

/// A model that the vendor serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent traits of a model")]
pub struct ModelSpec {
    /// Its id.
    pub id: String,
    /// Gives the [`AnswerKey`]'s strong answers; otherwise the weak ones where there are any.
    pub strong: bool,
    /// Most tokens of input and output together.
    pub context: u64,
    /// Most output tokens.
    pub max_output: u64,
    /// Tokens of an echo.
    pub words: u64,
    /// Takes images.
    pub images: bool,
    /// Reasons before it answers: rejects `max_tokens` and a `temperature` other than 1 in the OpenAI dialect
    /// (field notes §2.17), spends `[[think:N]]` or 16 tokens.
    pub reasoning: bool,
    /// Refuses a function call that comes back without its `thoughtSignature`, as Gemini 3 does (Gemini dialect; field
    /// notes §2.13).
    pub sealed_calls: bool,
    /// Length of its vectors: an embedding model, which does not chat. 0 for others.
    pub dimensions: usize,
    /// The id that its answers carry, where it is another one (an alias, a silent replacement).
    pub served_as: Option<String>,
    /// Compares answers, by this taste, instead of giving one.
    pub judges: Option<Taste>,
}

impl ModelSpec {
    /// A weak chat model: 128k context, images, no reasoning. Calls are sealed when it is called `gemini-3…`.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            strong: false,
            context: 131_072,
            max_output: 32_768,
            words: 32,
            images: true,
            reasoning: false,
            sealed_calls: id.starts_with("gemini-3"),
            dimensions: 0,
            served_as: None,
            judges: None,
        }
    }

    /// A chat model that gives the strong answers.
    pub fn strong(id: &str) -> Self {
        Self { strong: true, ..Self::new(id) }
    }

    /// An embedding model.
    pub fn embedding(id: &str, dimensions: usize) -> Self {
        Self { dimensions, ..Self::new(id) }
    }
}

/// A simulated vendor.
#[derive(Clone, Debug)]
pub struct VendorSpec {
    /// Its name, in ids and `server` headers.
    pub name: String,
    /// How it speaks.
    pub dialect: Dialect,
    /// What it serves; anything else is a 404. Empty: every name is served, as a [`ModelSpec::new`].
    pub models: Vec<ModelSpec>,
    /// Which keys it takes.
    pub keys: Keys,
    /// When things arrive.
    pub timing: Timing,
    /// Tokens a content chunk.
    pub chunk_tokens: u64,
    /// How SSE frames are spelled.
    pub framing: Framing,
    /// Splits a stream's bytes into writes of this size, wherever that falls. 0: a write for each event.
    pub write_bytes: usize,
    /// Field that carries visible reasoning in the OpenAI dialect, e.g. `reasoning_content`; `None`: it is hidden.
    pub reasoning_field: Option<String>,
    /// Reports its own charge as `usage.cost`, in dollars (OpenAI dialect; field notes §2.32).
    pub reports_cost: Option<String>,
    /// Known prompts.
    pub answers: Arc<AnswerKey>,
    /// Faults from the start; [`crate::Sim::set_faults`] changes them.
    pub faults: Vec<FaultRule>,
    /// Seeds jitter and the faults of a given share.
    pub seed: u64,
    /// Received requests that are kept whole, the newest.
    pub keep_requests: usize,
}

impl VendorSpec {
    /// A vendor without faults or latency that serves any model name.
    pub fn new(name: &str, dialect: Dialect) -> Self {
        Self {
            name: name.to_owned(),
            dialect,
            models: Vec::new(),
            keys: Keys::Any,
            timing: Timing::default(),
            chunk_tokens: 4,
            // Google ends its lines with CRLF
            framing: if dialect == Dialect::Gemini { Framing::Crlf } else { Framing::Plain },
            write_bytes: 0,
            reasoning_field: None,
            reports_cost: None,
            answers: Arc::new(AnswerKey::default()),
            faults: Vec::new(),
            seed: 1,
            keep_requests: 1_000,
        }
    }

    /// [`VendorSpec::new`] with the OpenAI dialect.
    pub fn openai(name: &str) -> Self {
        Self::new(name, Dialect::OpenAi)
    }

    /// [`VendorSpec::new`] with the Anthropic dialect.
    pub fn anthropic(name: &str) -> Self {
        Self::new(name, Dialect::Anthropic)
    }

    /// [`VendorSpec::new`] with the Gemini dialect.
    pub fn gemini(name: &str) -> Self {
        Self::new(name, Dialect::Gemini)
    }

    /// The same vendor with these models.
    #[must_use]
    pub fn models(mut self, models: impl IntoIterator<Item = ModelSpec>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// The same vendor with these faults.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = FaultRule>) -> Self {
        self.faults = faults.into_iter().collect();
        self
    }

    /// The model called `id`, if it is served.
    pub(crate) fn model(&self, id: &str) -> Option<ModelSpec> {
        if self.models.is_empty() {
            let dimensions = if id.contains("embed") { 8 } else { 0 };
            return Some(ModelSpec { dimensions, ..ModelSpec::new(id) });
        }
        self.models.iter().find(|model| model.id == id).cloned()
    }
}
