//! Meters attempts and requests. Both meters are guards: whatever happens to the task that holds one (an error, a
//! client that hangs up, a panic), its drop closes the books exactly once (LAW 1). The obvious alternative, a log call
//! on each way out, is how gateways lose the spend of cancelled streams (field notes §1.7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{Basis, Context, Cost, Money, Tier, Usage};
use jiff::Timestamp;
use ledger::{AttemptClose, AttemptId, CostBasis, Intent, Outcome, RequestClose, RequestOpen, Saving};
use router::Sample;
use wire::{Ending, Reply, UpstreamError};

use crate::app::{App, new_id};
use crate::config::{Group, Target};
use crate::health::Admission;
use crate::telemetry;

/// Bytes of text that make a token, for estimates: the usual figure for English in current tokenizers. Every count made
/// with it is marked estimated.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens in `bytes` of text, estimated.
pub fn estimate_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// What one closed attempt leaves for its request's record.
#[derive(Clone, Debug)]
pub struct Closed {
    /// What it used.
    pub usage: Usage,
    /// What it cost; `None` when unknown.
    pub cost: Option<Money>,
}

/// One upstream call, from its intent to its end.
pub struct AttemptMeter {
    app: Arc<App>,
    /// The target that is called.
    pub target: Arc<Target>,
    /// The key and probe that the breaker granted.
    pub admission: Admission,
    /// The reader of the answer; owned here so that a drop can still ask it what had come.
    pub reply: Box<dyn Reply>,
    /// What the reader said at the end: it is asked once, since it gives away what it has gathered.
    ended: Option<Ending>,
    id: AttemptId,
    request: Arc<RequestOpen>,
    estimate: Usage,
    started_at: Timestamp,
    started: Instant,
    ttft_us: Option<u64>,
    status: Option<u16>,
    tier: Tier,
    warm: Option<bool>,
    /// Bytes of the request reached the vendor's socket: a cancelled call may have been billed.
    sent: bool,
    open: bool,
    /// Costs of closed attempts are pushed here.
    tally: Arc<Tally>,
}

/// What a request's attempts share: the costs of the closed ones, and the span that theirs hang under.
#[derive(Default)]
pub struct Tally {
    closed: std::sync::Mutex<Vec<Closed>>,
    span: telemetry::Span,
}

impl Tally {
    fn push(&self, closed: Closed) {
        self.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(closed);
    }

    /// What all attempts cost together; `None` when one is unknown.
    pub fn total(&self) -> Option<Money> {
        let closed = self.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        closed.iter().map(|c| c.cost).sum()
    }

    /// The last closed attempt's usage.
    fn last_usage(&self) -> Option<Usage> {
        let closed = self.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        closed.last().map(|c| c.usage)
    }
}

/// What an attempt meter is made from.
pub struct AttemptStart {
    /// The target that is called.
    pub target: Arc<Target>,
    /// The key and probe that the breaker granted.
    pub admission: Admission,
    /// The reader of the answer.
    pub reply: Box<dyn Reply>,
    /// Position among the request's attempts, from 0.
    pub seq: u16,
    /// What the call is expected to use.
    pub estimate: Usage,
    /// The tier that the client asked for.
    pub tier: Tier,
    /// The catalogue's version.
    pub catalogue_version: String,
    /// Whether the session's prompt cache may be warm at the target; `None`: nobody asks, nothing is remembered.
    pub warm: Option<bool>,
}

impl AttemptMeter {
    /// Opens the books: returns the meter and the intent that must reach the spool before the call starts. Boxed, because
    /// it is handed on from step to step of the attempt.
    pub fn open(
        app: &Arc<App>,
        request: &Arc<RequestOpen>,
        tally: &Arc<Tally>,
        start: AttemptStart,
    ) -> (Box<Self>, Intent) {
        let started_at = Timestamp::now();
        let context = Context { tier: start.tier, region: None, at: started_at };
        let intent = Intent {
            id: new_id(),
            request: Arc::clone(request),
            seq: start.seq,
            provider: start.target.host.id.clone(),
            model: start.target.offer.model.clone(),
            upstream_key: u16::try_from(start.admission.key).unwrap_or(u16::MAX),
            started_at,
            estimate: start.estimate,
            estimated_cost: start.target.offer.price(&start.estimate, &context).total(),
            catalogue_version: start.catalogue_version,
        };
        let meter = Box::new(Self {
            app: Arc::clone(app),
            target: start.target,
            admission: start.admission,
            reply: start.reply,
            ended: None,
            id: intent.id,
            request: Arc::clone(request),
            estimate: start.estimate,
            started_at,
            started: Instant::now(),
            ttft_us: None,
            status: None,
            tier: start.tier,
            warm: start.warm,
            sent: false,
            open: true,
            tally: Arc::clone(tally),
        });
        (meter, intent)
    }

    /// The request is about to go out.
    pub fn sending(&mut self) {
        self.sent = true;
    }

    /// The call is not made: its intent is taken back and leaves no row.
    pub fn withdraw(mut self) {
        self.open = false;
        self.app.health.abandoned(&self.target, self.admission);
        self.app.ledger.withdraw(self.request.id, self.id);
    }

    /// The answer's head came.
    pub fn head(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// The first content-bearing event, or the whole answer, came.
    pub fn first_content(&mut self) {
        if self.ttft_us.is_none() {
            self.ttft_us = Some(micros(self.started));
        }
    }

    /// How the answer ended, as far as it came. No frame may follow.
    pub fn ending(&mut self) -> Ending {
        self.ended.get_or_insert_with(|| self.reply.end()).clone()
    }

    /// Closes a good answer, or one that a check rejected.
    pub fn succeed(&mut self, outcome: Outcome, ending: &Ending) -> Closed {
        let now = Instant::now();
        let sample = self.sample(ending, now);
        self.first_content();
        self.app.health.succeeded(&self.target, self.admission, &sample, now);
        if self.warm.is_some() {
            self.app.affinity.answered(self.request.session, &self.target.id, now);
        }
        self.close(outcome, ending, None)
    }

    /// What the answer says of its vendor. Call before a whole answer gets its own time as that of its first content.
    fn sample(&self, ending: &Ending, now: Instant) -> Sample {
        let reported = ending.usage.filter(|usage| usage.basis == Basis::Reported);
        let output =
            reported.map_or_else(|| estimate_tokens(ending.output_bytes), |usage| usage.total_output());
        Sample {
            ttft: self.ttft_us.map(Duration::from_micros),
            total: now.saturating_duration_since(self.started),
            output_tokens: output,
            input_tokens: reported.map_or(0, |usage| usage.total_input()),
            cached_tokens: reported.map_or(0, |usage| usage.cache_read),
            warm: self.warm == Some(true),
        }
    }

    /// Closes a failure. `begun`: the client had already got a part of it.
    pub fn fail(&mut self, error: &UpstreamError, begun: bool) -> Closed {
        self.app.health.failed(&self.target, self.admission, error, Instant::now());
        let ending = self.ending();
        self.close(if begun { Outcome::Partial } else { Outcome::Failed }, &ending, Some(error))
    }

    fn close(&mut self, outcome: Outcome, ending: &Ending, error: Option<&UpstreamError>) -> Closed {
        self.open = false;
        let (usage, cost, basis) = self.settle(outcome, ending, error);
        let closed = Closed { usage, cost: cost.total() };
        let offered = &self.target.offer.model;
        self.app.metrics.attempt(
            &self.target,
            outcome,
            error.map(|e| e.kind),
            &usage,
            closed.cost,
            self.ttft_us,
        );
        self.trace(outcome, ending, error, &closed);
        self.app.ledger.close_attempt(AttemptClose {
            id: self.id,
            request: self.request.id,
            outcome,
            status: self.status,
            error: error.map(|e| e.kind.as_str()),
            excerpt: error.map(|e| e.excerpt.clone()),
            ttft_us: self.ttft_us,
            duration_us: micros(self.started),
            usage,
            cost,
            cost_basis: basis,
            vendor_cost: ending.vendor_cost,
            served_model: ending.served_model.clone().filter(|served| served != offered),
            finish: ending.finish.map(wire::Finish::as_str),
        });
        self.tally.push(closed.clone());
        closed
    }

    fn trace(&self, outcome: Outcome, ending: &Ending, error: Option<&UpstreamError>, closed: &Closed) {
        if !self.app.telemetry.is_on() {
            return;
        }
        let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
        self.app.telemetry.attempt(
            &self.tally.span,
            &telemetry::Attempt {
                target: &self.target,
                op: self.request.op,
                started: std::time::SystemTime::now() - self.started.elapsed(),
                seconds: self.started.elapsed().as_secs_f64(),
                ttft_seconds: self.ttft_us.map(seconds),
                outcome: outcome.as_str(),
                error: error.map(|e| e.kind.as_str()),
                usage: &closed.usage,
                cost: closed.cost,
                served_model: ending.served_model.as_deref(),
                finish: ending.finish.map(wire::Finish::as_str),
            },
        );
    }

    /// The bill of an attempt. Reported usage wins; without it, what came is estimated from its bytes.
    fn settle(
        &self,
        outcome: Outcome,
        ending: &Ending,
        error: Option<&UpstreamError>,
    ) -> (Usage, Cost, CostBasis) {
        let refused =
            outcome == Outcome::Failed && error.is_some_and(|e| !e.maybe_billed) && ending.usage.is_none();
        if refused || !self.sent {
            let nothing = Usage { basis: Basis::Estimated, ..Usage::default() };
            return (nothing, Cost::Known(Vec::new()), CostBasis::Free);
        }
        let usage = ending.usage.unwrap_or_else(|| self.estimated(ending));
        let context = Context { tier: ending.tier.unwrap_or(self.tier), region: None, at: self.started_at };
        let cost = self.target.offer.price(&usage, &context);
        let basis = match (&cost, usage.basis) {
            (Cost::Unknown(_), _) => CostBasis::Unknown,
            (Cost::Known(_), Basis::Reported) => CostBasis::Reported,
            (Cost::Known(_), Basis::Estimated) => CostBasis::Estimated,
        };
        (usage, cost, basis)
    }

    fn estimated(&self, ending: &Ending) -> Usage {
        Usage {
            input: self.estimate.input,
            output: estimate_tokens(ending.output_bytes),
            reasoning: estimate_tokens(ending.reasoning_bytes),
            basis: Basis::Estimated,
            ..Usage::default()
        }
    }
}

impl Drop for AttemptMeter {
    fn drop(&mut self) {
        if self.open {
            self.app.health.abandoned(&self.target, self.admission);
            if self.sent && self.ttft_us.is_none() {
                let (stream, waited) = (self.request.stream, self.started.elapsed());
                self.app.health.waited(&self.target, stream, waited, Instant::now());
            }
            let ending = self.ending();
            self.close(Outcome::Cancelled, &ending, None);
        }
    }
}

/// One client request, from its plan to its end.
pub struct RequestMeter {
    app: Arc<App>,
    /// What was known at its start.
    pub open: Arc<RequestOpen>,
    /// Costs of its attempts.
    pub tally: Arc<Tally>,
    started: Instant,
    first_byte_us: Option<u64>,
    /// `x-tollgate-reason`.
    pub reason: String,
    /// The target that answered.
    pub answered: Option<Arc<Target>>,
    /// Attempts made.
    pub attempts: u16,
    /// The decision, as JSON.
    pub decision: String,
    flagship: Option<Arc<Group>>,
    tier: Tier,
    done: bool,
}

/// What a request meter is made from.
pub struct RequestStart {
    /// When the request's head came.
    pub started: Instant,
    /// What a saving is measured against; `None` for pinned requests.
    pub flagship: Option<Arc<Group>>,
    /// The tier that the client asked for.
    pub tier: Tier,
    /// The request's span.
    pub span: telemetry::Span,
}

impl RequestMeter {
    /// Opens a request's books.
    pub fn open(app: &Arc<App>, open: RequestOpen, start: RequestStart) -> Self {
        app.metrics.in_flight(1);
        let RequestStart { started, flagship, tier, span } = start;
        Self {
            app: Arc::clone(app),
            open: Arc::new(open),
            tally: Arc::new(Tally { span, ..Tally::default() }),
            started,
            first_byte_us: None,
            reason: String::new(),
            answered: None,
            attempts: 0,
            decision: String::new(),
            flagship,
            tier,
            done: false,
        }
    }

    /// Adds the doubt score of an answer to the decision that the ledger keeps.
    pub fn judged(&mut self, judged: Option<&router::Judged>) {
        let json = judged.and_then(|judged| serde_json::to_string(judged).ok());
        if let (Some(json), true) = (json, self.decision.ends_with('}')) {
            self.decision.truncate(self.decision.len() - 1);
            self.decision.push_str(",\"doubt\":");
            self.decision.push_str(&json);
            self.decision.push('}');
        }
    }

    /// The first byte goes to the client.
    pub fn first_byte(&mut self) {
        self.first_byte_us = Some(micros(self.started));
    }

    /// Closes the books. All attempts must have closed before.
    pub fn finish(&mut self, status: u16) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let target = self.answered.as_ref();
        self.app.metrics.in_flight(-1);
        self.app.metrics.request(&self.open, status, micros(self.started));
        let traced = telemetry::Request {
            route: self.open.route.as_deref(),
            reason: &self.reason,
            model: &self.open.requested_model,
            status,
        };
        self.app.telemetry.end(&self.tally.span, &traced);
        // A request that made no attempt cost nothing and explains nothing: it has no row.
        if self.attempts == 0 {
            return;
        }
        self.app.ledger.close_request(RequestClose {
            open: Arc::clone(&self.open),
            status,
            reason: std::mem::take(&mut self.reason),
            provider: target.map(|t| t.host.id.clone()),
            model: target.map(|t| t.offer.model.clone()),
            duration_us: micros(self.started),
            ttft_us: self.first_byte_us,
            attempts: self.attempts,
            saving: self.saving(),
            decision: std::mem::take(&mut self.decision),
        });
    }

    /// The saving against one direct call to the flagship with the same tokens (token ratio 1.0, assumed).
    fn saving(&self) -> Option<Saving> {
        self.answered.as_ref()?;
        let flagship = self.flagship.as_ref()?.targets.first()?;
        let usage = self.tally.last_usage()?;
        let context = Context { tier: self.tier, region: None, at: self.open.started_at };
        let baseline_cost = baseline(flagship, &usage, &context)?;
        let spent = self.tally.total()?;
        Some(Saving { baseline_target: flagship.id.clone(), baseline_cost, amount: baseline_cost - spent })
    }
}

/// The flagship's price for the same tokens. Where it has no price for a cache class, those tokens count as fresh input.
fn baseline(flagship: &Target, usage: &Usage, context: &Context) -> Option<Money> {
    if let Some(total) = flagship.offer.price(usage, context).total() {
        return Some(total);
    }
    let plain = Usage {
        input: usage.total_input(),
        output: usage.total_output(),
        basis: usage.basis,
        ..Usage::default()
    };
    flagship.offer.price(&plain, context).total()
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        // 499: the client closed the request, nginx's word for it.
        self.finish(499);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
