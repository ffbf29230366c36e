//! One request from its head to its answer: checks, then faults, then the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use serde_json::Value;

use crate::answer::{Answers, compose};
use crate::ask::{Ask, Op};
use crate::dialect::{Endpoint, Meta, Speak, header, speaker};
use crate::fault::{Fault, RetryAfter, UsageStyle, faults};
use crate::play::{Play, stream_steps, whole_steps};
use crate::problem::{Kind, Problem};
use crate::script::{Broken, Script, Ticket};
use crate::server::Shared;
use crate::stats::{Bill, BillEnd, Received, Tally};
use crate::{Keys, ModelSpec};

/// Largest request body.
const BODY: usize = 64 << 20;
/// Headers that carry keys.
const SECRET: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/// Answers a request. `Err` breaks the connection; `reset` says how.
pub(crate) async fn respond(
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Script>, Broken> {
    let voice = speaker(shared.spec.dialect);
    let (head, body) = request.into_parts();
    let Some(body) = collect(body).await? else {
        return Ok(refusal(&shared, voice, &Problem::new(Kind::TooLarge, "The request is too large.")));
    };
    let query = head.uri.query().unwrap_or_default();
    let key = voice.key(&head.headers, query);
    receive(&shared, &head, &body, key.as_deref());
    let admitted = voice
        .endpoint(&head.method, head.uri.path(), query)
        .and_then(|endpoint| authorised(&shared, key.as_deref()).map(|()| endpoint));
    let endpoint = match admitted {
        Ok(endpoint) => endpoint,
        Err(problem) => return Ok(refusal(&shared, voice, &problem)),
    };
    if let Endpoint::Models | Endpoint::Model(_) = endpoint {
        return Ok(listing(&shared, voice, &endpoint));
    }
    match admit(&shared, voice, &endpoint, &head.headers, &body) {
        Ok((ask, model)) => {
            let request_id = header(&head.headers, "x-request-id");
            call(&shared, voice, &reset, Asked { ask, model, request_id }).await
        }
        Err(problem) => Ok(refusal(&shared, voice, &problem)),
    }
}

/// A valid call.
struct Asked {
    ask: Ask,
    model: ModelSpec,
    request_id: Option<String>,
}

/// The body, or `None` when it is too large.
async fn collect(mut body: Incoming) -> Result<Option<Bytes>, Broken> {
    let mut whole = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let Some(frame) = frame else { return Ok(Some(whole.freeze())) };
        // the caller broke off: nobody is there to answer
        let frame = frame.map_err(|_| Broken)?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > BODY {
                return Ok(None);
            }
            whole.extend_from_slice(&data);
        }
    }
}

fn receive(shared: &Shared, head: &http::request::Parts, body: &Bytes, key: Option<&str>) {
    let mut headers = head.headers.clone();
    for name in SECRET {
        if headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static("..."));
        }
    }
    let mut path = head.uri.path().to_owned();
    if let Some(query) = head.uri.query() {
        let shown = query.split('&').map(|pair| if pair.starts_with("key=") { "key=..." } else { pair });
        path = format!("{path}?{}", shown.collect::<Vec<_>>().join("&"));
    }
    let known = match &shared.spec.keys {
        Keys::Only(keys) => keys.iter().position(|known| Some(known.as_str()) == key),
        Keys::Open | Keys::Any => None,
    };
    let received = Received { method: head.method.clone(), path, headers, body: body.clone(), key: known };
    shared.write(|book| book.receive(received, key, shared.spec.keep_requests));
}

fn authorised(shared: &Shared, key: Option<&str>) -> Result<(), Problem> {
    let good = match &shared.spec.keys {
        Keys::Open => true,
        Keys::Any => key.is_some(),
        Keys::Only(keys) => key.is_some_and(|key| keys.iter().any(|known| known == key)),
    };
    if good {
        return Ok(());
    }
    shared.write(|book| book.stats.wrong_keys += 1);
    Err(Problem::new(Kind::Key, "Incorrect API key provided."))
}

/// All checks on a body.
fn admit(
    shared: &Shared,
    voice: &dyn Speak,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Ask, ModelSpec), Problem> {
    let json = header(headers, "content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        return Err(Problem::new(Kind::Bad, "The content type must be application/json."));
    }
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Problem::new(Kind::Bad, "We could not parse the JSON body of your request."))?;
    if !body.is_object() {
        return Err(Problem::new(Kind::Bad, "The body must be a JSON object."));
    }
    let ask = voice.read(endpoint, headers, &body)?;
    let model = shared.spec.model(&ask.model).ok_or_else(|| unknown(&ask.model))?;
    if (ask.op == Op::Embedding) != (model.dimensions > 0) {
        let said = format!("The model `{}` does not serve this endpoint.", ask.model);
        return Err(Problem::bad("model", said));
    }
    if ask.images > 0 && !model.images {
        return Err(Problem::bad("messages", format!("The model `{}` takes no images.", ask.model)));
    }
    if ask.input_tokens > model.context {
        return Err(too_long(&ask, &model));
    }
    voice.check(&ask, &model, &body)?;
    Ok((ask, model))
}

fn unknown(model: &str) -> Problem {
    let said = format!("The model `{model}` does not exist or you do not have access to it.");
    Problem::new(Kind::Model, said).at("model")
}

fn too_long(ask: &Ask, model: &ModelSpec) -> Problem {
    let said = format!(
        "This model's maximum context length is {} tokens. However, your messages resulted in {} tokens.",
        model.context, ask.input_tokens
    );
    Problem::new(Kind::Context, said).at("messages")
}

fn listing(shared: &Shared, voice: &dyn Speak, endpoint: &Endpoint) -> Response<Script> {
    match endpoint {
        Endpoint::Model(id) => match shared.spec.model(id) {
            Some(model) => json(shared, StatusCode::OK, &voice.model(&model)),
            None => refusal(shared, voice, &unknown(id)),
        },
        _ => json(shared, StatusCode::OK, &voice.models(&shared.spec.models)),
    }
}

fn plain(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Script> {
    let length = bytes.len();
    let mut response = Response::new(Script::plain(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn json(shared: &Shared, status: StatusCode, body: &Value) -> Response<Script> {
    let bytes = Bytes::from(body.to_string());
    shared.write(|book| {
        book.stats.bytes_out += bytes.len() as u64;
        if status.as_u16() >= 300 {
            book.stats.refused += 1;
        }
    });
    plain(status, "application/json", bytes)
}

fn refusal(shared: &Shared, voice: &dyn Speak, problem: &Problem) -> Response<Script> {
    let (status, body) = voice.error(problem);
    json(shared, status, &body)
}

/// A call that passed all checks.
async fn call(
    shared: &Arc<Shared>,
    voice: &dyn Speak,
    reset: &AtomicBool,
    asked: Asked,
) -> Result<Response<Script>, Broken> {
    let Asked { ask, model, request_id } = asked;
    let (mut ticket, number) = Ticket::open(shared);
    let mut rng = Rng::with_seed(shared.spec.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
    let faults = faults(&shared.faults(), number, &ask.model, &mut rng);
    if faults.contains(&Fault::Reset) {
        reset.store(true, Ordering::Relaxed);
        ticket.close(Some(BillEnd::Broken));
        return Err(Broken);
    }
    if faults.contains(&Fault::HangBeforeHead) {
        // the ticket is dropped, and so counted, when the caller closes
        std::future::pending::<Infallible>().await;
    }
    if let Some(response) = faults.iter().find_map(|fault| refused(shared, voice, fault, &ask, &model)) {
        ticket.refuse();
        return Ok(response);
    }
    let mut answers = compose(&ask, &model, &shared.spec.answers);
    let meta = meta(shared, voice, &ask, &model, &faults, number);
    ticket.bill(Bill {
        id: meta.id.clone(),
        request_id,
        model: ask.model.clone(),
        stream: ask.stream,
        tally: Tally { output: 0, reasoning: 0, ..answers.tally },
        end: BillEnd::Open,
    });
    let mut play = Play::new(&shared.spec, &faults, rng);
    Ok(answer(voice, &ask, &mut answers, &meta, &mut play, ticket).await)
}

fn meta(
    shared: &Shared,
    voice: &dyn Speak,
    ask: &Ask,
    model: &ModelSpec,
    faults: &[Fault],
    number: u64,
) -> Meta {
    let mut meta = Meta {
        id: voice.id(ask.op, &shared.spec.name, number),
        number,
        served: model.served_as.clone().unwrap_or_else(|| ask.model.clone()),
        usage: UsageStyle::Usual,
    };
    for fault in faults {
        match fault {
            Fault::Usage(style) => meta.usage = *style,
            Fault::OtherModel(id) => meta.served.clone_from(id),
            _ => {}
        }
    }
    meta
}

/// Plays the answer, whole or streamed.
async fn answer(
    voice: &dyn Speak,
    ask: &Ask,
    answers: &mut Answers,
    meta: &Meta,
    play: &mut Play<'_>,
    ticket: Ticket,
) -> Response<Script> {
    let (wait, steps, length) = if ask.stream {
        let events = voice.events(ask, answers, meta, play.spec);
        let (wait, steps) = stream_steps(voice, events, play);
        (wait, steps, None)
    } else {
        let body = voice.whole(ask, answers, meta, play.spec);
        whole_steps(voice, &body, &answers.tally, play)
    };
    pause(wait).await;
    let mut response = Response::new(Script::play(steps, ticket));
    let headers = response.headers_mut();
    let kind = if ask.stream { "text/event-stream" } else { "application/json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if play.gzip() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(id) = HeaderValue::from_str(&format!("req-{}", meta.id)) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// The answer to a call that a fault refuses before it begins.
fn refused(
    shared: &Shared,
    voice: &dyn Speak,
    fault: &Fault,
    ask: &Ask,
    model: &ModelSpec,
) -> Option<Response<Script>> {
    let problem = match fault {
        Fault::RateLimited(after) => return Some(rate_limited(shared, voice, after)),
        Fault::Redirect(to) => {
            let mut response = json(shared, StatusCode::FOUND, &Value::Null);
            response.headers_mut().insert(LOCATION, HeaderValue::from_str(to).ok()?);
            return Some(response);
        }
        Fault::Html(status) => {
            let page = "<!doctype html><html><body><h1>A proxy's page</h1></body></html>";
            shared.write(|book| book.stats.refused += 1);
            return Some(plain(
                StatusCode::from_u16(*status).ok()?,
                "text/html",
                Bytes::from_static(page.as_bytes()),
            ));
        }
        Fault::ErrorArray(status) => {
            let (status, body) =
                voice.error(&Problem::new(Kind::Status(*status), "The model is overloaded."));
            return Some(json(shared, status, &Value::Array(vec![body])));
        }
        Fault::Status(status) => Problem::new(Kind::Status(*status), "The server had an error."),
        Fault::Overloaded => voice.overload(),
        Fault::QuotaExhausted => Problem::new(Kind::Quota, "You exceeded your current quota."),
        Fault::Retired => unknown(&ask.model),
        Fault::ContentFilter => {
            Problem::new(Kind::Filter, "The content policy refuses this prompt.").at("prompt")
        }
        Fault::ContextLength => too_long(ask, model),
        Fault::WrongKey => Problem::new(Kind::Key, "Incorrect API key provided."),
        _ => return None,
    };
    Some(refusal(shared, voice, &problem))
}

fn rate_limited(shared: &Shared, voice: &dyn Speak, after: &RetryAfter) -> Response<Script> {
    let mut said = "Rate limit reached.".to_owned();
    if let RetryAfter::Body(seconds) = after {
        said = format!("Rate limit reached. Please try again in {seconds}s.");
    }
    let (status, mut body) = voice.error(&Problem::new(Kind::RateLimited, said));
    if let (RetryAfter::Body(seconds), crate::Dialect::Gemini) = (after, shared.spec.dialect)
        && let Some(error) = body.get_mut("error").and_then(Value::as_object_mut)
    {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        let details = serde_json::json!([{"@type": kind, "retryDelay": format!("{seconds}s")}]);
        error.insert("details".to_owned(), details);
    }
    let mut response = json(shared, status, &body);
    let spelled = match after {
        RetryAfter::Silent | RetryAfter::Body(_) => None,
        RetryAfter::Seconds(seconds) => Some((RETRY_AFTER, seconds.to_string())),
        RetryAfter::Date(date) => Some((RETRY_AFTER, date.clone())),
        RetryAfter::Millis(ms) => Some((HeaderName::from_static("retry-after-ms"), ms.to_string())),
        RetryAfter::AzureMillis(ms) => Some((HeaderName::from_static("x-ms-retry-after-ms"), ms.to_string())),
        RetryAfter::Reset(time) => {
            Some((HeaderName::from_static("x-ratelimit-reset-requests"), time.clone()))
        }
    };
    if let Some((name, value)) = spelled
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        response.headers_mut().insert(name, value);
    }
    response
}
