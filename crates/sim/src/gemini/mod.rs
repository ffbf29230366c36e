//! Gemini from the vendor's side: `generateContent`, `streamGenerateContent`, embeddings, models, under `/v1beta`.

mod read;
mod schema;
mod stream;
mod whole;

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Answers, Finish};
use crate::ask::{Ask, Op};
use crate::dialect::{Endpoint, Event, Meta, Speak, header};
use crate::problem::{Kind, Problem};
use crate::{ModelSpec, Tally, UsageStyle, VendorSpec};

/// The dialect.
pub(crate) struct Gemini;

impl Speak for Gemini {
    fn endpoint(&self, method: &Method, path: &str, query: &str) -> Result<Endpoint, Problem> {
        let unknown = || Problem::new(Kind::Path, "Requested entity was not found.");
        let path = path.strip_prefix("/v1beta/").ok_or_else(unknown)?;
        let Some((model, action)) = path.rsplit_once(':') else {
            return match (method, path.strip_prefix("models/")) {
                (&Method::GET, Some(model)) => Ok(Endpoint::Model(model.to_owned())),
                (&Method::GET, None) if path == "models" => Ok(Endpoint::Models),
                _ => Err(unknown()),
            };
        };
        if method != Method::POST {
            return Err(Problem::new(Kind::Method, "Method not allowed."));
        }
        let model = model.strip_prefix("models/").ok_or_else(unknown)?;
        let call = |op, stream| Ok(Endpoint::Call { op, model: Some(model.to_owned()), stream });
        match action {
            "generateContent" => call(Op::Chat, false),
            // without `alt=sse` the real one sends a growing JSON array, which nobody needs here
            "streamGenerateContent" if query.split('&').any(|pair| pair == "alt=sse") => call(Op::Chat, true),
            "embedContent" | "batchEmbedContents" => call(Op::Embedding, false),
            _ => Err(unknown()),
        }
    }

    fn key(&self, headers: &HeaderMap, query: &str) -> Option<String> {
        let in_query = || query.split('&').find_map(|pair| pair.strip_prefix("key=")).map(str::to_owned);
        header(headers, "x-goog-api-key").or_else(in_query)
    }

    fn read(&self, endpoint: &Endpoint, _headers: &HeaderMap, body: &Value) -> Result<Ask, Problem> {
        let Endpoint::Call { op, model: Some(model), stream } = endpoint else {
            return Err(Problem::new(Kind::Path, "Requested entity was not found."));
        };
        let mut ask = Ask::new(*op, model);
        ask.stream = *stream;
        if *op == Op::Embedding {
            read::embeddings(body, &mut ask)?;
        } else {
            read::contents(body, &mut ask)?;
        }
        Ok(ask)
    }

    fn check(&self, ask: &Ask, model: &ModelSpec, _body: &Value) -> Result<(), Problem> {
        if ask.max_output.is_some_and(|most| most > model.max_output) {
            let said = format!("max_output_tokens must be at most {}.", model.max_output);
            return Err(Problem::new(Kind::Bad, said));
        }
        if ask.unsealed && model.sealed_calls {
            let said = "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly.";
            return Err(Problem::new(Kind::Bad, said));
        }
        if ask.op == Op::Embedding && ask.dimensions.is_some_and(|n| n == 0 || n > model.dimensions) {
            return Err(Problem::new(Kind::Bad, "outputDimensionality is out of range."));
        }
        Ok(())
    }

    fn id(&self, _op: Op, name: &str, number: u64) -> String {
        format!("{name}-{number}")
    }

    fn whole(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Value {
        if ask.op == Op::Embedding {
            whole::embeddings(ask, meta, spec)
        } else {
            whole::content(ask, answers, meta)
        }
    }

    fn events(&self, ask: &Ask, answers: &Answers, meta: &Meta, spec: &VendorSpec) -> Vec<Event> {
        stream::events(ask, answers, meta, spec)
    }

    fn error(&self, problem: &Problem) -> (StatusCode, Value) {
        let (code, word) = words(problem.kind);
        let (message, details) = match problem.kind {
            Kind::Key => {
                let info = json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com"
                });
                ("API key not valid. Please pass a valid API key.".to_owned(), Some(info))
            }
            Kind::Quota => {
                let failure = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
                    {"quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests"}
                ]});
                let said = "You exceeded your current quota, please check your plan and billing details.";
                (said.to_owned(), Some(failure))
            }
            _ => (problem.message.clone(), None),
        };
        let mut error = json!({"code": code, "message": message, "status": word});
        if let (Some(details), Some(error)) = (details, error.as_object_mut()) {
            error.insert("details".to_owned(), json!([details]));
        }
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, json!({"error": error}))
    }

    fn error_event(&self, problem: &Problem) -> Event {
        Event::data(self.error(problem).1.to_string())
    }

    fn overload(&self) -> Problem {
        Problem::new(Kind::Status(503), "The model is overloaded. Please try again later.")
    }

    fn models(&self, models: &[ModelSpec]) -> Value {
        json!({"models": models.iter().map(|model| self.model(model)).collect::<Vec<_>>()})
    }

    fn model(&self, model: &ModelSpec) -> Value {
        let methods = if model.dimensions > 0 { json!(["embedContent"]) } else { json!(["generateContent"]) };
        json!({
            "name": format!("models/{}", model.id), "displayName": model.id, "inputTokenLimit": model.context,
            "outputTokenLimit": model.max_output, "supportedGenerationMethods": methods
        })
    }
}

/// HTTP status and Google's word for it. A wrong key is a 400 here, not a 401.
fn words(kind: Kind) -> (u16, &'static str) {
    match kind {
        Kind::Bad
        | Kind::Missing
        | Kind::UnsupportedField
        | Kind::Context
        | Kind::Filter
        | Kind::Key
        | Kind::TooLarge => (400, "INVALID_ARGUMENT"),
        Kind::Model | Kind::Path => (404, "NOT_FOUND"),
        Kind::Method => (405, "UNIMPLEMENTED"),
        Kind::RateLimited | Kind::Quota | Kind::Status(429) => (429, "RESOURCE_EXHAUSTED"),
        Kind::Status(403) => (403, "PERMISSION_DENIED"),
        Kind::Status(503) => (503, "UNAVAILABLE"),
        Kind::Status(504) => (504, "DEADLINE_EXCEEDED"),
        Kind::Status(status) if status < 500 => (status, "INVALID_ARGUMENT"),
        Kind::Status(status) => (status, "INTERNAL"),
    }
}

/// Tool calls also end with `STOP` (field notes §2.10).
fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        _ if !answer.refusal.is_empty() => "SAFETY",
        Finish::Stop | Finish::StopSequence | Finish::Tools => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter | Finish::Blocked => "SAFETY",
        Finish::Malformed => "MALFORMED_FUNCTION_CALL",
    }
}

/// `usageMetadata`: the prompt includes cached tokens, candidates leave thoughts out (field notes §2.1, §2.16).
/// Counts that are zero are left out, as protobuf does.
fn usage(tally: &Tally) -> Value {
    let mut usage = json!({
        "promptTokenCount": tally.input(),
        "totalTokenCount": tally.input() + tally.output + tally.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tally.input()}]
    });
    let counts = [
        ("candidatesTokenCount", tally.output),
        ("thoughtsTokenCount", tally.reasoning),
        ("cachedContentTokenCount", tally.cached),
    ];
    if let Some(usage) = usage.as_object_mut() {
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            usage.insert(name.to_owned(), json!(count));
        }
    }
    usage
}

/// A response with these candidates.
fn response(candidates: Option<Value>, tally: &Tally, meta: &Meta) -> Value {
    let mut body = serde_json::Map::new();
    if let Some(candidates) = candidates {
        body.insert("candidates".to_owned(), candidates);
    }
    if meta.usage != UsageStyle::Missing {
        body.insert("usageMetadata".to_owned(), usage(tally));
    }
    body.insert("modelVersion".to_owned(), json!(meta.served));
    body.insert("responseId".to_owned(), json!(meta.id));
    Value::Object(body)
}

/// What seals a function call; the call comes back with it or is refused (field notes §2.13).
fn seal(name: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("c2ln{:016x}", hasher.finish())
}
