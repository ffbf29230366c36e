//! Anthropic Messages from the vendor's side.

mod read;
mod stream;
mod whole;

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Answers, Finish};
use crate::ask::{Ask, Op};
use crate::dialect::{Endpoint, Event, Meta, Speak, bearer, header};
use crate::problem::{Kind, Problem};
use crate::{ModelSpec, Tally, VendorSpec};

/// The dialect.
pub(crate) struct Anthropic;

impl Speak for Anthropic {
    fn endpoint(&self, method: &Method, path: &str, _query: &str) -> Result<Endpoint, Problem> {
        match (method, path) {
            (&Method::POST, "/v1/messages") => {
                Ok(Endpoint::Call { op: Op::Chat, model: None, stream: false })
            }
            (&Method::GET, "/v1/models") => Ok(Endpoint::Models),
            (&Method::GET, path) if path.starts_with("/v1/models/") => {
                Ok(Endpoint::Model(path.trim_start_matches("/v1/models/").to_owned()))
            }
            (_, "/v1/messages" | "/v1/models") => Err(Problem::new(Kind::Method, "Method Not Allowed")),
            _ => Err(Problem::new(Kind::Path, "Not Found")),
        }
    }

    fn key(&self, headers: &HeaderMap, _query: &str) -> Option<String> {
        header(headers, "x-api-key").or_else(|| bearer(headers))
    }

    fn read(&self, _endpoint: &Endpoint, headers: &HeaderMap, body: &Value) -> Result<Ask, Problem> {
        if header(headers, "anthropic-version").as_deref() != Some("2023-06-01") {
            return Err(Problem::new(Kind::Bad, "anthropic-version: header is required"));
        }
        read::messages(body)
    }

    fn check(&self, ask: &Ask, model: &ModelSpec, _body: &Value) -> Result<(), Problem> {
        let asked = ask.max_output.unwrap_or_default();
        if asked <= model.max_output {
            return Ok(());
        }
        let said = format!(
            "max_tokens: {asked} > {}, which is the maximum allowed number of output tokens for {}",
            model.max_output, model.id
        );
        Err(Problem::new(Kind::Bad, said))
    }

    fn id(&self, _op: Op, name: &str, number: u64) -> String {
        format!("msg_{name}_{number}")
    }

    fn whole(&self, _ask: &Ask, answers: &Answers, meta: &Meta, _spec: &VendorSpec) -> Value {
        whole::message(answers, meta)
    }

    fn events(&self, _ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
        stream::events(answers, meta, spec)
    }

    fn error(&self, problem: &Problem) -> (StatusCode, Value) {
        let (status, kind) = words(problem.kind);
        let message = match problem.kind {
            Kind::Missing => format!("{}: Field required", problem.param.as_deref().unwrap_or("body")),
            Kind::Model => format!("model: {}", problem.message),
            Kind::Key => "invalid x-api-key".to_owned(),
            Kind::Quota => "Your credit balance is too low to access the Anthropic API.".to_owned(),
            Kind::Context => format!("prompt is too long: {}", problem.message),
            _ => problem.message.clone(),
        };
        let error = json!({"type": kind, "message": message});
        (status, json!({"type": "error", "error": error, "request_id": "req_sim"}))
    }

    fn error_event(&self, problem: &Problem) -> Event {
        named("error", &self.error(problem).1)
    }

    fn overload(&self) -> Problem {
        Problem::new(Kind::Status(529), "Overloaded")
    }

    fn models(&self, models: &[ModelSpec]) -> Value {
        let data: Vec<Value> = models.iter().map(|model| self.model(model)).collect();
        json!({"data": data, "has_more": false, "first_id": null, "last_id": null})
    }

    fn model(&self, model: &ModelSpec) -> Value {
        json!({"type": "model", "id": model.id, "display_name": model.id, "created_at": "2026-01-01T00:00:00Z"})
    }
}

fn words(kind: Kind) -> (StatusCode, &'static str) {
    let (status, kind) = match kind {
        // out of credit is a 400 here, not a 429
        Kind::Bad | Kind::Missing | Kind::UnsupportedField | Kind::Context | Kind::Filter | Kind::Quota => {
            (400, "invalid_request_error")
        }
        Kind::TooLarge => (413, "request_too_large"),
        Kind::Key => (401, "authentication_error"),
        Kind::Model | Kind::Path => (404, "not_found_error"),
        Kind::Method => (405, "invalid_request_error"),
        Kind::RateLimited | Kind::Status(429) => (429, "rate_limit_error"),
        Kind::Status(529) => (529, "overloaded_error"),
        Kind::Status(403) => (403, "permission_error"),
        Kind::Status(status) if status < 500 => (status, "invalid_request_error"),
        Kind::Status(status) => (status, "api_error"),
    };
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), kind)
}

fn named(name: &'static str, data: &Value) -> Event {
    Event { name: Some(name), ..Event::data(data.to_string()) }
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.finish {
        _ if !answer.refusal.is_empty() => "refusal",
        Finish::Stop | Finish::Malformed => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Tools => "tool_use",
        Finish::Filter | Finish::Blocked => "refusal",
    }
}

/// `usage`: `input_tokens` leaves cache reads and writes out (field notes §2.1), `output_tokens` holds reasoning.
fn usage(tally: &Tally, output: u64) -> Value {
    json!({
        "input_tokens": tally.fresh,
        "cache_creation_input_tokens": tally.write_5m + tally.write_1h,
        "cache_read_input_tokens": tally.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tally.write_5m, "ephemeral_1h_input_tokens": tally.write_1h
        },
        "output_tokens": output,
        "service_tier": "standard"
    })
}

/// What seals a thinking block; a later turn must bring the block back with it.
fn signature(thinking: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    thinking.hash(&mut hasher);
    format!("c2ln{:016x}", hasher.finish())
}

/// The content of a `redacted_thinking` block.
const REDACTED: &str = "cmVkYWN0ZWQ=";

/// The id of the `i`-th tool call of an answer.
fn call_id(meta: &Meta, i: usize) -> String {
    format!("toolu_{}_{i}", meta.number)
}
