//! What every simulated dialect can do: find its way, read, refuse, answer whole or as events.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::answer::Answers;
use crate::ask::{Ask, Op};
use crate::problem::Problem;
use crate::{Dialect, ModelSpec, UsageStyle, VendorSpec};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Inference. Gemini says model and streaming in the path, the others in the body.
    Call { op: Op, model: Option<String>, stream: bool },
    /// The list of models.
    Models,
    /// One model.
    Model(String),
}

/// What an answer carries besides its content.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// Of the answer, in the dialect's fashion.
    pub id: String,
    /// Of the call, unique for the vendor.
    pub number: u64,
    /// The model that is said to have served.
    pub served: String,
    pub usage: UsageStyle,
}

/// One SSE event before framing, with the tokens that are billed once it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub name: Option<&'static str>,
    pub data: String,
    pub output: u64,
    pub reasoning: u64,
    /// Text, reasoning or a tool call: waits for its time.
    pub content: bool,
}

impl Event {
    pub fn data(data: String) -> Self {
        Self { data, ..Self::default() }
    }
}

/// A dialect, from the vendor's side.
pub(crate) trait Speak: Sync {
    fn endpoint(&self, method: &Method, path: &str, query: &str) -> Result<Endpoint, Problem>;
    /// The key that the caller sent.
    fn key(&self, headers: &HeaderMap, query: &str) -> Option<String>;
    /// Reads and checks a body, apart from what depends on the model.
    fn read(&self, endpoint: &Endpoint, headers: &HeaderMap, body: &Value) -> Result<Ask, Problem>;
    /// Checks that depend on the model.
    fn check(&self, ask: &Ask, model: &ModelSpec, body: &Value) -> Result<(), Problem>;
    /// Prefix of answer ids.
    fn id(&self, op: Op, name: &str, number: u64) -> String;
    fn whole(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value;
    fn events(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event>;
    fn error(&self, problem: &Problem) -> (StatusCode, Value);
    /// The same error inside a stream.
    fn error_event(&self, problem: &Problem) -> Event;
    /// What this vendor calls being overloaded.
    fn overload(&self) -> Problem;
    fn models(&self, models: &[ModelSpec]) -> Value;
    fn model(&self, model: &ModelSpec) -> Value;
}

/// The dialect's vendor side.
pub(crate) fn speaker(dialect: Dialect) -> &'static dyn Speak {
    match dialect {
        Dialect::OpenAi => &crate::openai::OpenAi,
        Dialect::Anthropic => &crate::anthropic::Anthropic,
        Dialect::Gemini => &crate::gemini::Gemini,
    }
}

/// `authorization: Bearer …`
pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let key = value.strip_prefix("Bearer ")?.trim();
    (!key.is_empty()).then(|| key.to_owned())
}

/// The only value of a header, as text.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
