//! Shadow traffic: a sample of a route's requests is also put to another model, after the client has its answer, so that
//! the quality of the route is measured and not assumed. The client's answer is never delayed or changed. Bounded by
//! share, dollars a day and calls at a time; each call has its own row in the ledger, tagged with the request that it
//! follows. Neither prompts nor answers are kept: they are gone when the comparison is made.
//!
//! The obvious alternative, mirroring the request when it comes in, doubles the load at the moment of most load and cannot
//! know whether the cheap model will answer at all.

mod budget;
pub mod judge;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use catalog::{Money, Tier};
use http::HeaderMap;
use jiff::Timestamp;
use ledger::{Opinion, RequestId, RequestOpen, Source, Verdict};
use router::{Plan, Reason, Up};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wire::{Chunk, Content, Op, Part, Request};

use crate::app::{App, new_id};
use crate::cascade::{Answered, Call};
use crate::config::{Config, Group, Resolved, RouteConfig, Target};
use crate::meter::{RequestMeter, RequestStart, estimate_tokens};
use crate::plan;
use crate::telemetry::Span;

pub use budget::{Budgets, Kind};

/// Comparisons at a time, over all routes. One that finds no place is left out and counted.
const AT_A_TIME: usize = 4;
/// Bytes of an answer that are kept for the judge.
const ANSWER_BYTES: usize = 64 * 1024;

/// `shadow` and `judge` of a route.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Share of the route's requests that are shadowed, 0 to 1.
    pub share: f64,
    /// Who is asked too.
    pub group: Arc<Group>,
    /// Most dollars a day (UTC).
    pub usd_per_day: Money,
    /// Who compares.
    pub judge: Option<Judge>,
}

/// `judge` of a route.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Share of the shadowed requests that are judged, 0 to 1.
    pub share: f64,
    /// Who judges.
    pub group: Arc<Group>,
    /// Most dollars a day (UTC).
    pub usd_per_day: Money,
}

/// What the process keeps of it.
pub struct Shadows {
    places: Arc<Semaphore>,
    /// What was spent today.
    pub budgets: Budgets,
}

impl Default for Shadows {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_A_TIME)), budgets: Budgets::default() }
    }
}

/// A request that was drawn, while its client waits for the answer.
pub struct Sampled {
    app: Arc<App>,
    config: Arc<Config>,
    route: Arc<RouteConfig>,
    shadow: Shadow,
    request: Request,
    /// The client's request.
    id: RequestId,
    judged: bool,
    /// The client's answer.
    text: String,
}

/// Draws. Only what the route's default answers of itself is drawn, and only what can be compared as text.
pub fn sample(
    app: &Arc<App>,
    config: &Arc<Config>,
    resolved: &Resolved,
    request: &Request,
    plan: &Plan,
    id: RequestId,
) -> Option<Box<Sampled>> {
    let Resolved::Route(route) = resolved else { return None };
    let shadow = route.shadow.as_ref().filter(|shadow| fastrand::f64() < shadow.share)?;
    let view = &request.view;
    let comparable = request.op == Op::Chat && !view.needs.tools && !view.tool_turn && view.n <= 1;
    if plan.reason != Reason::Default || !comparable {
        return None;
    }
    Some(Box::new(Sampled {
        app: Arc::clone(app),
        config: Arc::clone(config),
        route: Arc::clone(route),
        judged: shadow.judge.as_ref().is_some_and(|judge| fastrand::f64() < judge.share),
        shadow: shadow.clone(),
        request: request.clone(),
        id,
        text: String::new(),
    }))
}

impl Sampled {
    /// A piece of the client's answer goes by.
    pub fn chunk(&mut self, chunk: &Chunk) {
        for piece in chunk.pieces.iter().filter(|piece| piece.choice == 0) {
            if let Part::Text(text) = &piece.part {
                self.push(text);
            }
        }
    }

    /// The client's whole answer.
    pub fn whole(&mut self, content: &Content) {
        self.push(&first_text(content));
    }

    fn push(&mut self, text: &str) {
        let room = ANSWER_BYTES.saturating_sub(self.text.len());
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
    }

    /// The client has its answer, from `target`: asks the shadow, in a task of its own.
    pub fn answered(self: Box<Self>, target: Arc<Target>) {
        let app = Arc::clone(&self.app);
        if !self.route.default.targets.iter().any(|t| t.id == target.id) {
            return;
        }
        let Ok(place) = Arc::clone(&app.shadows.places).try_acquire_owned() else {
            app.metrics.evaluation("shadow", "no_place");
            return;
        };
        tokio::spawn(async move {
            self.compare(&app, &target).await;
            drop(place);
        });
    }

    async fn compare(self: Box<Self>, app: &Arc<App>, target: &Target) {
        let asked = plain_chat(&self.request.raw, &self.shadow.group.name);
        let spend = (Kind::Shadow, self.shadow.usd_per_day);
        let Some((text, against)) = self.ask(app, &self.shadow.group, asked, spend).await else { return };
        let Some(judge) = self.shadow.judge.as_ref().filter(|_| self.judged) else { return };
        let opinion = self.judge(app, judge, &text).await;
        app.metrics.evaluation("judge", opinion.map_or_else(|why| why, Opinion::as_str));
        let Ok(opinion) = opinion else { return };
        app.ledger.verdict(&Verdict {
            id: new_id(),
            at: Timestamp::now(),
            request: self.id,
            source: Source::Judge,
            opinion,
            route: Some(self.route.route.name.clone()),
            target: Some(target.id.clone()),
            against: Some(against),
            key: None,
        });
        app.drift.verdict(app);
    }

    /// Two calls, places swapped. Errors with the word for the metric.
    async fn judge(&self, app: &Arc<App>, judge: &Judge, other: &str) -> Result<Opinion, &'static str> {
        if judge::talks_to_the_judge(&self.text) || judge::talks_to_the_judge(other) {
            return Err("talks_to_the_judge");
        }
        let question = self.request.last_user_text();
        let mut said = Vec::with_capacity(2);
        for (first, second) in [(self.text.as_str(), other), (other, self.text.as_str())] {
            let mark = format!("{:032x}", fastrand::u128(..));
            let messages = judge::messages(&question, first, second, &mark);
            let asked = json!({"model": judge.group.name, "messages": messages});
            let spend = (Kind::Judge, judge.usd_per_day);
            let reply = self.ask(app, &judge.group, Some(asked), spend).await.ok_or("not_asked")?;
            said.push(judge::read(&reply.0).ok_or("unreadable")?);
        }
        match said.as_slice() {
            [as_first, as_second] => Ok(judge::combine(*as_first, *as_second)),
            _ => Err("unreadable"),
        }
    }

    /// One call within the day's budget. Returns the text and who wrote it.
    async fn ask(
        &self,
        app: &Arc<App>,
        group: &Arc<Group>,
        body: Option<Value>,
        (kind, usd_per_day): (Kind, Money),
    ) -> Option<(String, String)> {
        let counted = |outcome| app.metrics.evaluation(kind.as_str(), outcome);
        let Some((request, plan)) = body.and_then(|body| self.plan(app, group, &body)) else {
            counted("cannot_serve");
            return None;
        };
        let route = &self.route.route.name;
        // An unknown price could not be held to a budget (LAW 3).
        let Some(estimate) = plan.explanation.candidates.first().and_then(|c| c.price_usd) else {
            counted("unpriced");
            return None;
        };
        let reserved = app.shadows.budgets.reserve(app, kind, route, usd_per_day, estimate).await;
        let Some(reserved) = reserved else {
            counted("budget");
            return None;
        };
        let mut call = self.call(app, group, request, &plan, kind);
        let answered = Box::pin(call.run(&plan)).await;
        reserved.settle(call.meter.tally.total());
        let target = call.meter.answered.as_ref().map(|t| t.id.clone());
        call.meter.finish(if answered.is_ok() { 200 } else { 502 });
        let text = match (answered, target) {
            (Ok(Answered::Whole { answer, .. }), Some(target)) => Some((first_text(&answer.content), target)),
            _ => None,
        };
        counted(if text.is_some() { "answered" } else { "failed" });
        text
    }

    /// The request with its plan: one attempt, nothing streamed. `None` when no healthy model of the group can serve it.
    fn plan(&self, app: &App, group: &Arc<Group>, body: &Value) -> Option<(Request, Plan)> {
        let id = new_id();
        let mut request =
            wire::door(self.request.dialect)?.read(Op::Chat, Bytes::from(body.to_string())).ok()?;
        request.id = id.to_string();
        request.received_at_unix = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        let resolved = Resolved::Group(Arc::clone(group));
        let inputs = plan::Inputs {
            request: &request,
            session: 0,
            draw: Some(fastrand::u64(..)),
            bound_to: None,
            affinity: None,
            input_tokens: estimate_tokens(request.view.text_bytes),
        };
        let mut plan = plan::decide(&app.health, &resolved, &inputs).ok()?;
        // A vendor in trouble needs no more traffic, and one attempt is enough for a sample.
        if plan.explanation.candidates.first().is_none_or(|c| c.up != Up::Closed) {
            return None;
        }
        plan.first.targets.truncate(1);
        Some((request, plan))
    }

    fn call(&self, app: &Arc<App>, group: &Group, request: Request, plan: &Plan, kind: Kind) -> Call {
        let open = RequestOpen {
            id: request.id.parse().unwrap_or_else(|_| new_id()),
            client_request_id: None,
            started_at: Timestamp::now(),
            key: None,
            route: Some(self.route.route.name.clone()),
            requested_model: group.name.clone(),
            op: kind.as_str(),
            stream: false,
            tags: vec![("follows".to_owned(), self.id.to_string())],
            session: 0,
            config_version: self.config.version,
        };
        let start = RequestStart {
            started: Instant::now(),
            flagship: None,
            tier: Tier::Standard,
            span: Span::default(),
        };
        let mut meter = RequestMeter::open(app, open, start);
        kind.as_str().clone_into(&mut meter.reason);
        meter.decision = plan.explanation.to_json();
        Call {
            app: Arc::clone(app),
            deadline: tokio::time::Instant::now() + self.config.timeouts.total,
            config: Arc::clone(&self.config),
            input_tokens: estimate_tokens(request.view.text_bytes),
            request,
            meter,
            route: None,
            targets: group.targets.clone(),
            weighs_prices: false,
            headers: HeaderMap::new(),
            bound_to: None,
            tier: Tier::Standard,
            retry_after: None,
            shadow: None,
            aside: true,
        }
    }
}

/// The client's request for another model, not streamed.
fn plain_chat(raw: &[u8], model: &str) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(raw).ok()?;
    let fields = body.as_object_mut()?;
    fields.insert("model".to_owned(), Value::from(model));
    for name in ["stream", "stream_options", "service_tier", "prompt_cache_key"] {
        fields.remove(name);
    }
    Some(body)
}

fn first_text(content: &Content) -> String {
    match content {
        Content::Choices(choices) => choices.first().and_then(|c| c.text.clone()).unwrap_or_default(),
        Content::Embeddings(_) | Content::Unread => String::new(),
    }
}
