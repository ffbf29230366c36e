//! The OpenAI dialect from the vendor's side: chat completions, completions, embeddings, models.

mod read;
mod stream;
mod whole;

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answers, Finish};
use crate::ask::{Ask, Op};
use crate::dialect::{Endpoint, Event, Meta, Speak, bearer, header};
use crate::problem::{Kind, Problem};
use crate::{ModelSpec, Tally, VendorSpec};

/// `created` of every answer: fixed, so that answers repeat to the byte.
pub(crate) const CREATED: u64 = 1_767_225_600;

/// The dialect.
pub(crate) struct OpenAi;

impl Speak for OpenAi {
    fn endpoint(&self, method: &Method, path: &str, _query: &str) -> Result<Endpoint, Problem> {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let call = |op| Ok(Endpoint::Call { op, model: None, stream: false });
        match (method, path) {
            (&Method::POST, "/chat/completions") => call(Op::Chat),
            (&Method::POST, "/completions") => call(Op::Completion),
            (&Method::POST, "/embeddings") => call(Op::Embedding),
            (&Method::GET, "/models") => Ok(Endpoint::Models),
            (&Method::GET, path) if path.starts_with("/models/") => {
                Ok(Endpoint::Model(path.trim_start_matches("/models/").to_owned()))
            }
            (_, "/chat/completions" | "/completions" | "/embeddings" | "/models") => {
                Err(Problem::new(Kind::Method, format!("Not allowed to {method} on {path}.")))
            }
            _ => Err(Problem::new(Kind::Path, format!("Invalid URL ({method} {path})"))),
        }
    }

    fn key(&self, headers: &HeaderMap, _query: &str) -> Option<String> {
        bearer(headers).or_else(|| header(headers, "api-key"))
    }

    fn read(&self, endpoint: &Endpoint, _headers: &HeaderMap, body: &Value) -> Result<Ask, Problem> {
        match endpoint {
            Endpoint::Call { op: Op::Completion, .. } => read::completion(body),
            Endpoint::Call { op: Op::Embedding, .. } => read::embedding(body),
            _ => read::chat(body),
        }
    }

    fn check(&self, ask: &Ask, model: &ModelSpec, body: &Value) -> Result<(), Problem> {
        read::check(ask, model, body)
    }

    fn id(&self, op: Op, name: &str, number: u64) -> String {
        let kind = if op == Op::Completion { "cmpl" } else { "chatcmpl" };
        format!("{kind}-{name}-{number}")
    }

    fn whole(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value {
        match ask.op {
            Op::Chat => whole::chat(answers, meta, spec),
            Op::Completion => whole::completion(answers, meta, spec),
            Op::Embedding => whole::embeddings(ask, meta, spec),
        }
    }

    fn events(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
        stream::events(ask, answers, meta, spec)
    }

    fn error(&self, problem: &Problem) -> (StatusCode, Value) {
        let (status, kind, code) = words(problem.kind);
        let error = json!({"message": problem.message, "type": kind, "param": problem.param, "code": code});
        (status, json!({"error": error}))
    }

    fn error_event(&self, problem: &Problem) -> Event {
        Event::data(self.error(problem).1.to_string())
    }

    fn overload(&self) -> Problem {
        Problem::new(Kind::Status(503), "The server is overloaded or not ready yet.")
    }

    fn models(&self, models: &[ModelSpec]) -> Value {
        json!({"object": "list", "data": models.iter().map(|model| self.model(model)).collect::<Vec<_>>()})
    }

    fn model(&self, model: &ModelSpec) -> Value {
        json!({"id": model.id, "object": "model", "created": CREATED, "owned_by": "sim"})
    }
}

/// Status, `type` and `code` of an error.
fn words(kind: Kind) -> (StatusCode, &'static str, Option<&'static str>) {
    let invalid = "invalid_request_error";
    let (status, kind, code) = match kind {
        Kind::Bad => (400, invalid, Some("invalid_value")),
        Kind::Missing => (400, invalid, Some("missing_required_parameter")),
        Kind::UnsupportedField => (400, invalid, Some("unsupported_parameter")),
        Kind::TooLarge => (413, invalid, None),
        Kind::Key => (401, invalid, Some("invalid_api_key")),
        Kind::Model => (404, invalid, Some("model_not_found")),
        Kind::Path => (404, invalid, Some("unknown_url")),
        Kind::Method => (405, invalid, Some("method_not_supported")),
        Kind::RateLimited | Kind::Status(429) => (429, "requests", Some("rate_limit_exceeded")),
        Kind::Quota => (429, "insufficient_quota", Some("insufficient_quota")),
        Kind::Filter => (400, invalid, Some("content_filter")),
        Kind::Context => (400, invalid, Some("context_length_exceeded")),
        Kind::Status(503) => (503, "server_error", Some("overloaded")),
        Kind::Status(status) if status < 500 => (status, invalid, None),
        Kind::Status(status) => (status, "server_error", None),
    };
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), kind, code)
}

/// OpenAI's finish words.
fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Malformed => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
        Finish::Filter | Finish::Blocked => "content_filter",
    }
}

/// `usage`: `prompt_tokens` includes cached tokens, `completion_tokens` includes reasoning (field notes §2.1, §2.16).
fn usage(tally: &Tally, spec: &VendorSpec) -> Value {
    let output = tally.output + tally.reasoning;
    let mut usage = json!({
        "prompt_tokens": tally.input(),
        "completion_tokens": output,
        "total_tokens": tally.input() + output,
        "prompt_tokens_details": {"cached_tokens": tally.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tally.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        }
    });
    let cost: Option<Value> = spec.reports_cost.as_deref().and_then(|cost| serde_json::from_str(cost).ok());
    if let (Some(cost), Some(usage)) = (cost, usage.as_object_mut()) {
        usage.insert("cost".to_owned(), cost);
    }
    usage
}
