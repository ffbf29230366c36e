//! A client's request, from its bytes to its answer.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::Full;
use jiff::Timestamp;
use ledger::{RequestId, RequestOpen};
use router::Plan;
use wire::{Dialect, Door, Finish, Op, Request};

use crate::app::App;
use crate::cascade::{Answered, Call};
use crate::config::{Config, Group, Resolved, Target};
use crate::inbound::{self, Caller};
use crate::meter::{RequestMeter, RequestStart, estimate_tokens};
use crate::plan;
use crate::respond::Refusal;
use crate::server::{self, BodyError};
use crate::service::Body;
use crate::stream::{AnswerStream, OnEnd};

/// Patience with a body that makes no progress.
const BODY_STALL: std::time::Duration = std::time::Duration::from_secs(30);

/// The head of a request that has passed the door.
pub struct Head {
    /// Headers as the client sent them.
    pub headers: HeaderMap,
    /// Who asks.
    pub caller: Caller,
    /// Our id for it.
    pub id: RequestId,
    /// When its head came.
    pub started: Instant,
}

/// Answers one call. Errors are answered in the caller's dialect by the service.
pub async fn handle(
    app: &Arc<App>,
    config: Arc<Config>,
    door: &'static dyn Door,
    op: Op,
    head: Head,
    body: hyper::body::Incoming,
) -> Result<Response<Body>, Refusal> {
    let body = server::read_body(body, config.limits.body_bytes, BODY_STALL).await.map_err(too_much)?;
    let mut request = door.read(op, body)?;
    let started_at = Timestamp::now();
    request.received_at_unix = u64::try_from(started_at.as_second()).unwrap_or(0);
    let resolved = config.resolve(&request.view.model)?;
    let planned = decide(app, &request, &resolved, &head)?;
    let (call, writer) = (prepare(app, &config, request, resolved, &planned, &head, started_at), door);
    answer(call, planned.plan, writer).await
}

fn too_much(error: BodyError) -> Refusal {
    use http::StatusCode as S;
    let (status, code) = match error {
        BodyError::TooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
        BodyError::Stalled => (S::REQUEST_TIMEOUT, "body_stalled"),
        BodyError::Broken => (S::BAD_REQUEST, "body_broken"),
    };
    Refusal::door(status, code, error.to_string())
}

/// A decision with what it was made from.
struct Planned {
    plan: Plan,
    session: u64,
    bound_to: Option<Arc<str>>,
    input_tokens: u64,
}

fn decide(app: &App, request: &Request, resolved: &Resolved, head: &Head) -> Result<Planned, Refusal> {
    let session = session(app, request, head);
    let bound_to = if request.view.bound { app.affinity.target(session) } else { None };
    let input_tokens = estimate_tokens(request.view.text_bytes);
    let inputs = plan::Inputs { request, session, bound_to: bound_to.as_deref(), input_tokens };
    let plan = plan::decide(&app.health, resolved, &inputs)?;
    Ok(Planned { plan, session, bound_to, input_tokens })
}

/// `x-tollgate-session`, else `prompt_cache_key`, else a keyed hash of key, system and first user message.
fn session(app: &App, request: &Request, head: &Head) -> u64 {
    let key = head.caller.key().unwrap_or_default().as_bytes();
    if let Some(named) = inbound::text(&head.headers, &HeaderName::from_static("x-tollgate-session")) {
        return app.affinity.session(&[key, b"named", named.as_bytes()]);
    }
    if let Some(named) = &request.view.prompt_cache_key {
        return app.affinity.session(&[key, b"cache", named.as_bytes()]);
    }
    let spans = &request.view.spans;
    let part = |span: &Option<std::ops::Range<usize>>| {
        span.clone().and_then(|span| request.raw.get(span)).unwrap_or_default()
    };
    app.affinity.session(&[key, part(&spans.system), part(&spans.first_user)])
}

fn prepare(
    app: &Arc<App>,
    config: &Arc<Config>,
    request: Request,
    resolved: Resolved,
    planned: &Planned,
    head: &Head,
    started_at: Timestamp,
) -> Call {
    let (route, flagship, groups) = match resolved {
        Resolved::Route(route) => {
            let groups: Vec<Arc<Group>> =
                [Some(&route.default), route.escalate.as_ref(), route.last_resort.as_ref()]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect();
            let flagship = route.escalate.clone();
            (Some(route), flagship, groups)
        }
        Resolved::Group(group) => (None, None, vec![group]),
    };
    let open = RequestOpen {
        id: head.id,
        client_request_id: inbound::client_request_id(&head.headers),
        started_at,
        key: head.caller.key().map(str::to_owned),
        route: route.as_ref().map(|r| r.route.name.clone()),
        requested_model: request.view.model.clone(),
        op: request.op.as_str(),
        stream: request.view.stream,
        tags: inbound::tags(&head.headers, &request.view.metadata),
        session: planned.session,
        config_version: config.version,
    };
    let tier = plan::tier(request.view.service_tier.as_deref());
    let span = app.telemetry.request(request.op.as_str(), &head.headers);
    let headers = passed_on(&head.headers, head.id, app.telemetry.traceparent(&span).as_deref());
    let start = RequestStart { started: head.started, flagship, tier, span };
    let mut meter = RequestMeter::open(app, open, start);
    meter.reason = planned.plan.reason.to_string();
    meter.decision = serde_json::to_string(&planned.plan.explanation).unwrap_or_default();
    Call {
        app: Arc::clone(app),
        deadline: tokio::time::Instant::now() + config.timeouts.total,
        config: Arc::clone(config),
        request,
        meter,
        route,
        targets: groups.iter().flat_map(|g| g.targets.iter().cloned()).collect(),
        headers,
        input_tokens: planned.input_tokens,
        bound_to: planned.bound_to.clone(),
        tier,
        retry_after: None,
    }
}

/// What every attempt carries upstream: the trace, and our own request id.
fn passed_on(headers: &HeaderMap, id: RequestId, traceparent: Option<&str>) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(3);
    for name in ["traceparent", "tracestate"] {
        if let Some(value) = headers.get(name) {
            out.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(Ok(own)) = traceparent.map(HeaderValue::from_str) {
        out.insert("traceparent", own);
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        out.insert("x-request-id", id);
    }
    out
}

async fn answer(mut call: Call, plan: Plan, door: &'static dyn Door) -> Result<Response<Body>, Refusal> {
    let answered = match call.run(&plan).await {
        Ok(answered) => answered,
        Err(refusal) => {
            call.meter.finish(refusal.status().as_u16());
            return Err(refusal);
        }
    };
    let mut writer = door.writer(&call.request);
    let mut headers = told(&call);
    call.meter.first_byte();
    let (body, kind) = match answered {
        Answered::Whole { answer, dropped } => {
            list_dropped(&mut headers, &dropped);
            let body = writer.whole(&answer);
            bind(&call, answer.ending.finish);
            if let Some(cost) = call.meter.tally.total() {
                insert(&mut headers, "x-tollgate-cost", &cost.to_string());
            }
            call.meter.finish(200);
            (Body::Full(Full::new(body)), "application/json")
        }
        Answered::Stream { committed, dropped } => {
            list_dropped(&mut headers, &dropped);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            let on_end = on_end(&call);
            let stream = AnswerStream::new(*committed, call.meter, writer, on_end);
            (Body::Stream(Box::new(stream)), "text/event-stream")
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    Ok(response)
}

/// Binds the session to the target when the answer asks for tools: the result must come back to it.
fn bind(call: &Call, finish: Option<Finish>) {
    if let (Some(target), true) = (&call.meter.answered, must_stay(call, finish)) {
        call.app.affinity.bind(call.meter.open.session, &target.id);
    }
}

fn must_stay(call: &Call, finish: Option<Finish>) -> bool {
    // A translated dialect may have signed its reasoning; a pass-through answer binds by its tool calls.
    let foreign = call.meter.answered.as_ref().is_some_and(|t| t.host.dialect != Dialect::OpenAi);
    finish == Some(Finish::ToolCalls) || call.request.view.bound || foreign
}

fn on_end(call: &Call) -> Option<OnEnd> {
    let target = call.meter.answered.clone()?;
    let stays = must_stay(call, None);
    let (app, session) = (Arc::clone(&call.app), call.meter.open.session);
    Some(Box::new(move |ending| {
        if stays || ending.finish == Some(Finish::ToolCalls) {
            app.affinity.bind(session, &target.id);
        }
    }))
}

/// `x-tollgate-*`: what answered and why.
fn told(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    insert(&mut headers, "x-request-id", &call.meter.open.id.to_string());
    insert(&mut headers, "x-tollgate-reason", &call.meter.reason);
    headers.insert("x-tollgate-attempts", HeaderValue::from(call.meter.attempts));
    if let Some(route) = &call.route {
        insert(&mut headers, "x-tollgate-route", &route.route.name);
    }
    if let Some(target) = &call.meter.answered {
        insert(&mut headers, "x-tollgate-model", &target.id);
        retirement(&mut headers, target);
    }
    headers
}

/// `sunset` (RFC 8594) and `deprecation` where the model's end is announced.
fn retirement(headers: &mut HeaderMap, target: &Target) {
    let Some(retires) = &target.offer.retires else { return };
    let end = jiff::fmt::strtime::format("%a, %d %b %Y 00:00:00 GMT", retires.last_day);
    if let Ok(end) = end {
        insert(headers, "sunset", &end);
    }
    headers.insert("deprecation", HeaderValue::from_static("true"));
}

fn list_dropped(headers: &mut HeaderMap, dropped: &[String]) {
    if !dropped.is_empty() {
        insert(headers, "x-tollgate-dropped", &dropped.join(","));
    }
}

/// Inserts a value that is text; characters that a header cannot hold become `?`.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let clean = HeaderValue::from_str(value).or_else(|_| {
        let ascii: String = value.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        HeaderValue::from_str(&ascii)
    });
    if let Ok(value) = clean {
        headers.insert(HeaderName::from_static(name), value);
    }
}
