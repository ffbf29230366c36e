//! A client's request, from its bytes to its answer.

mod answer;

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use jiff::Timestamp;
use ledger::{RequestId, RequestOpen};
use router::Plan;
use wire::{Door, Op, Request};

use crate::app::App;
use crate::cascade::Call;
use crate::config::{Config, Group, Resolved};
use crate::inbound::{self, Caller};
use crate::meter::{RequestMeter, RequestStart, estimate_tokens};
use crate::plan;
use crate::respond::Refusal;
use crate::server::{self, BodyError};
use crate::service::Body;
use crate::shadow;

pub use answer::EarlyStream;

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
    body: server::RequestBody,
) -> Result<Response<Body>, Refusal> {
    let body = server::read_body(body, config.limits.body_bytes, BODY_STALL).await.map_err(too_much)?;
    let mut request = door.read(op, body)?;
    let started_at = Timestamp::now();
    request.received_at_unix = u64::try_from(started_at.as_second()).unwrap_or(0);
    request.id = head.id.to_string();
    let resolved = config.resolve(&request.view.model)?;
    let planned = decide(app, &request, &resolved, &head)?;
    let call = prepare(app, &config, request, resolved, &planned, &head, started_at);
    answer::answer(call, planned.plan, door, head.headers).await
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
    plan: Box<Plan>,
    session: u64,
    bound_to: Option<Arc<str>>,
    input_tokens: u64,
}

fn decide(app: &App, request: &Request, resolved: &Resolved, head: &Head) -> Result<Planned, Refusal> {
    let session = session(app, request, head);
    let bound_to = if request.view.bound { app.affinity.target(session) } else { None };
    let input_tokens = estimate_tokens(request.view.text_bytes);
    let inputs = plan::Inputs {
        request,
        session,
        draw: Some(fastrand::u64(..)),
        bound_to: bound_to.as_deref(),
        affinity: Some(&app.affinity),
        input_tokens,
    };
    let plan = plan::decide(&app.health, resolved, &inputs)?;
    Ok(Planned { plan: Box::new(plan), session, bound_to, input_tokens })
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
) -> Box<Call> {
    let shadow = shadow::sample(app, config, &resolved, &request, &planned.plan, head.id);
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
    meter.decision = planned.plan.explanation.to_json();
    // Boxed: it is handed from the answer to its future, to the stream.
    Box::new(Call {
        app: Arc::clone(app),
        deadline: tokio::time::Instant::now() + config.timeouts.total,
        config: Arc::clone(config),
        request,
        meter,
        route,
        weighs_prices: groups.iter().any(|g| g.pick.weighs_prices()),
        targets: groups.iter().flat_map(|g| g.targets.iter().cloned()).collect(),
        headers,
        input_tokens: planned.input_tokens,
        bound_to: planned.bound_to.clone(),
        tier,
        retry_after: None,
        shadow,
        aside: false,
    })
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
