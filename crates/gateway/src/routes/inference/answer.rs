//! From a plan's outcome to the client's response: headers that say what answered and why, and a body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::Full;
use router::Plan;
use wire::{Dialect, Door, Finish, sse};

use crate::cascade::{Answered, Call};
use crate::config::Target;
use crate::respond::Refusal;
use crate::service::Body;
use crate::stream::{AnswerStream, OnEnd};

/// Runs the plan and answers. `spare` is a map of headers that nobody needs any more: its memory holds those of the answer.
pub(super) async fn answer(
    mut call: Box<Call>,
    plan: Box<Plan>,
    door: &'static dyn Door,
    spare: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let early = call.request.view.stream && call.route.as_ref().is_some_and(|route| route.early_headers);
    if early {
        let headers = stream_headers(told(&call, spare), &[]);
        return Ok(response(headers, Body::Early(Box::new(EarlyStream::new(call, plan, door)))));
    }
    // Boxed: every level above would otherwise carry, and move, the whole attempt engine inside its own future.
    let answered = Box::pin(run(&mut call, &plan)).await?;
    let mut headers = told(&call, spare);
    call.meter.first_byte();
    match answered {
        Answered::Whole { answer, dropped } => {
            list_dropped(&mut headers, &dropped);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = door.writer(&call.request).whole(&answer);
            bind(&call, answer.ending.finish);
            if let Some(cost) = call.meter.tally.total() {
                insert(&mut headers, "x-tollgate-cost", &cost.to_string());
            }
            call.meter.finish(200);
            if let (Some(mut shadow), Some(target)) = (call.shadow.take(), call.meter.answered.clone()) {
                shadow.whole(&answer.content);
                shadow.answered(target);
            }
            Ok(response(headers, Body::Full(Full::new(body))))
        }
        Answered::Stream { committed, dropped } => {
            let headers = stream_headers(headers, &dropped);
            let (writer, on_end) = (door.writer(&call.request), on_end(&call));
            let stream = AnswerStream::new(*committed, call.meter, writer, on_end, call.shadow);
            Ok(response(headers, Body::Stream(Box::new(stream))))
        }
    }
}

async fn run(call: &mut Call, plan: &Plan) -> Result<Answered, Refusal> {
    let answered = call.run(plan).await;
    if let Err(refusal) = &answered {
        call.meter.finish(refusal.status().as_u16());
    }
    answered
}

fn response(headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

fn stream_headers(mut headers: HeaderMap, dropped: &[String]) -> HeaderMap {
    list_dropped(&mut headers, dropped);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
}

/// `early_headers = true`: status 200 and the headers go out before anything has answered. A failure can then only be an
/// in-band error event, and the headers cannot name the model.
pub struct EarlyStream {
    state: Early,
}

type Deciding = Pin<Box<dyn Future<Output = Result<Box<AnswerStream>, Bytes>> + Send>>;

enum Early {
    Deciding(Deciding),
    Answering(Box<AnswerStream>),
    Over,
}

impl EarlyStream {
    fn new(call: Box<Call>, plan: Box<Plan>, door: &'static dyn Door) -> Self {
        Self { state: Early::Deciding(Box::pin(decide(call, plan, door))) }
    }
}

/// The stream at its commit point, or an error event.
async fn decide(
    mut call: Box<Call>,
    plan: Box<Plan>,
    door: &'static dyn Door,
) -> Result<Box<AnswerStream>, Bytes> {
    let refusal = match run(&mut call, &plan).await {
        Ok(Answered::Stream { committed, .. }) => {
            call.meter.first_byte();
            let (writer, on_end) = (door.writer(&call.request), on_end(&call));
            let stream = AnswerStream::new(*committed, call.meter, writer, on_end, call.shadow);
            return Ok(Box::new(stream));
        }
        Ok(Answered::Whole { .. }) => Refusal::door(
            http::StatusCode::BAD_GATEWAY,
            "no_stream",
            "asked for a stream, got a whole answer",
        ),
        Err(refusal) => refusal,
    };
    let mut event = BytesMut::new();
    sse::write_data(&refusal.body(door), &mut event);
    Err(event.freeze())
}

impl http_body::Body for EarlyStream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if let Early::Deciding(deciding) = &mut self.state {
            match std::task::ready!(deciding.as_mut().poll(cx)) {
                Ok(stream) => self.state = Early::Answering(stream),
                Err(event) => {
                    self.state = Early::Over;
                    return Poll::Ready(Some(Ok(http_body::Frame::data(event))));
                }
            }
        }
        match &mut self.state {
            Early::Answering(stream) => Pin::new(stream.as_mut()).poll_frame(cx),
            Early::Deciding(_) | Early::Over => Poll::Ready(None),
        }
    }
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
fn told(call: &Call, mut headers: HeaderMap) -> HeaderMap {
    headers.clear();
    insert(&mut headers, "x-request-id", &call.request.id);
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
