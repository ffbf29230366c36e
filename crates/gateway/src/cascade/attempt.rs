//! One upstream call, from its intent to the commit point.

use std::sync::Arc;

use catalog::{Basis, Usage};
use ledger::Outcome;
use router::{Gate, Until, Verdict};
use tokio::time::{Instant, timeout_at};
use wire::{Answer, Choice, Chunk, Content, Endpoint, ErrorKind, Finish, Part, Unsupported, UpstreamError};

use super::{Answered, Call, Gating};
use crate::config::{Target, WhenUnwritable};
use crate::health::Admission;
use crate::meter::{AttemptMeter, AttemptStart};
use crate::stream::{Committed, Events};
use crate::upstream;

/// Most bytes of an error body that are read: enough for its message.
const ERROR_BODY: usize = 64 * 1024;
/// Most bytes of a cheap answer that `reconsider` shows to the flagship.
const RECONSIDER_BYTES: usize = 64 * 1024;

/// How one call ended.
pub enum Try {
    /// It answers.
    Answered(Answered),
    /// A check failed: its name, and the answer's text for `reconsider`.
    Escalate {
        /// The check.
        check: String,
        /// The cheap answer.
        text: String,
    },
    /// The target's dialect cannot carry the request; no call was made.
    Unsupported(Unsupported),
    /// It failed; nothing has gone to the client.
    Failed(UpstreamError),
}

impl Call {
    /// Makes one call. `gate`: run the route's checks.
    pub(super) async fn attempt(
        &mut self,
        target: &Arc<Target>,
        admission: Admission,
        gate: Option<Gating>,
    ) -> Try {
        let moved = self.bound_to.as_deref().is_some_and(|bound| bound != target.id);
        let endpoint = Endpoint {
            model: &target.offer.model,
            quirks: &target.host.quirks,
            facts: &target.offer.facts,
            read_text: gate.is_some() || self.shadow.is_some() || self.aside,
            moved,
        };
        let begun = match wire::wire(target.host.dialect) {
            Some(wire) => wire.begin(&self.request, &endpoint),
            None => Err(Unsupported {
                field: "model".to_owned(),
                why: "its dialect is not in this build".to_owned(),
            }),
        };
        let sent = match begun {
            Ok(sent) => sent,
            Err(unsupported) => {
                self.app.health.abandoned(target, admission);
                return Try::Unsupported(unsupported);
            }
        };
        let (mut meter, intent) = AttemptMeter::open(
            &self.app,
            &self.meter.open,
            &self.meter.tally,
            AttemptStart {
                target: Arc::clone(target),
                admission,
                reply: sent.reply,
                seq: self.meter.attempts,
                estimate: self.expected_usage(),
                tier: self.tier,
                catalogue_version: self.config.catalogue.version().to_owned(),
                warm: self.weighs_prices.then(|| {
                    let now = std::time::Instant::now();
                    self.app.affinity.is_warm(self.meter.open.session, &target.id, now)
                }),
            },
        );
        // Counted from here: a client that hangs up while the intent is written leaves a whole request behind.
        self.meter.attempts = self.meter.attempts.saturating_add(1);
        if self.app.ledger.intent(intent).await.is_err()
            && self.config.when_unwritable == WhenUnwritable::Refuse
        {
            meter.withdraw();
            self.meter.attempts = self.meter.attempts.saturating_sub(1);
            let error = UpstreamError::new(ErrorKind::Overloaded, None, "the ledger cannot be written");
            let retry_after = Some(std::time::Duration::from_secs(1));
            return Try::Failed(UpstreamError { retry: wire::Retry::Never, retry_after, ..error });
        }
        meter.sending();
        let started = Instant::now();
        match self.send(target, admission, sent.outbound).await {
            Err(error) => failed(meter, error),
            Ok(reply) => self.read(meter, reply, sent.dropped, gate, started).await,
        }
    }

    async fn send(
        &self,
        target: &Target,
        admission: Admission,
        outbound: wire::Outbound,
    ) -> Result<upstream::Reply, UpstreamError> {
        let mut timeouts = self.config.timeouts;
        if !self.request.view.stream {
            timeouts.first_byte = timeouts.whole;
        }
        let sending = self.app.upstream.send(&target.host, admission.key, outbound, &self.headers, &timeouts);
        match timeout_at(self.deadline, sending).await {
            Ok(result) => result,
            Err(_) => Err(total_deadline()),
        }
    }

    async fn read(
        &mut self,
        mut meter: Box<AttemptMeter>,
        mut reply: upstream::Reply,
        dropped: Vec<String>,
        gate: Option<Gating>,
        started: Instant,
    ) -> Try {
        meter.head(reply.status.as_u16());
        if !reply.status.is_success() {
            // Best effort: an error without its text is still an error.
            let body = timeout_at(self.deadline, reply.body.collect(ERROR_BODY)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            let error = meter.reply.refusal(reply.status, &reply.headers, &body);
            return failed(meter, error);
        }
        let is_sse = reply.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let is_sse = is_sse.is_some_and(|v| v.starts_with("text/event-stream"));
        if self.request.view.stream && is_sse {
            // Boxed: whole answers do not carry the room that a held stream needs.
            return Box::pin(self.read_stream(meter, reply.body, dropped, gate, started)).await;
        }
        let body = match timeout_at(self.deadline, reply.body.collect(self.config.limits.answer_bytes)).await
        {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return failed(meter, error),
            Err(_) => return failed(meter, total_deadline()),
        };
        match meter.reply.whole(&reply.headers, body) {
            Err(error) => failed(meter, error),
            Ok(_) if self.request.view.stream => {
                let error = UpstreamError::new(
                    ErrorKind::Garbled,
                    Some(200),
                    "asked for a stream, got a whole answer",
                );
                failed(meter, error)
            }
            Ok(answer) => self.check_whole(meter, answer, dropped, gate),
        }
    }

    fn check_whole(
        &mut self,
        mut meter: Box<AttemptMeter>,
        answer: Answer,
        dropped: Vec<String>,
        gate: Option<Gating>,
    ) -> Try {
        let route = self.route.clone();
        if let (Some(route), Some(_), Content::Choices(choices)) = (&route, gate, &answer.content) {
            let format = self.request.response_format();
            let mut gate = Gate::new(&route.route, true, format)
                .asked(|| self.request.last_user_text(), &meter.target.offer.model);
            let finish = answer.ending.finish.map(Finish::as_str);
            let verdict = check_choice(&mut gate, choices.first(), finish);
            self.meter.judged(gate.judged());
            if let Verdict::Escalate(check) = verdict {
                meter.succeed(Outcome::Rejected, &answer.ending);
                let text = choices.first().and_then(|c| c.text.clone()).unwrap_or_default();
                return Try::Escalate { check, text: bounded(text) };
            }
        }
        self.meter.answered = Some(Arc::clone(&meter.target));
        meter.succeed(Outcome::Ok, &answer.ending);
        Try::Answered(Answered::Whole { answer: Box::new(answer), dropped })
    }

    async fn read_stream(
        &mut self,
        meter: Box<AttemptMeter>,
        body: upstream::Body,
        dropped: Vec<String>,
        gate: Option<Gating>,
        started: Instant,
    ) -> Try {
        let events = Events::new(body, self.config.limits.answer_bytes);
        let route = self.route.clone();
        let gate = route.as_deref().zip(gate).map(|(route, gating)| {
            let gate = Gate::new(&route.route, gating.to_end, self.request.response_format());
            (gate.asked(|| self.request.last_user_text(), &meter.target.offer.model), gating.hold)
        });
        let holder = Holder {
            meter,
            events: Some(events),
            held: Vec::new(),
            held_bytes: 0,
            content: false,
            text: String::new(),
            first_byte: started + self.config.timeouts.first_byte,
            hold_until: None,
            total: self.deadline,
            idle: self.config.timeouts.idle,
        };
        let (held, judged) = holder.hold(gate).await;
        self.meter.judged(judged.as_ref());
        match held {
            Held::Failed(meter, error) => failed(meter, error),
            Held::Rejected { mut meter, check, text } => {
                let ending = meter.ending();
                meter.succeed(Outcome::Rejected, &ending);
                Try::Escalate { check, text }
            }
            Held::Released { committed, undecided } => {
                if undecided {
                    "check:undecided".clone_into(&mut self.meter.reason);
                    self.app.metrics.undecided();
                }
                self.meter.answered = Some(Arc::clone(&committed.attempt.target));
                Try::Answered(Answered::Stream { committed, dropped })
            }
        }
    }

    /// What the call will use at most by our own estimate: kept with the intent in case its outcome stays unknown.
    fn expected_usage(&self) -> Usage {
        let choices = u64::from(self.request.view.n.max(1));
        let output = self.request.view.max_output_tokens.unwrap_or(0).saturating_mul(choices);
        Usage { input: self.input_tokens, output, basis: Basis::Estimated, ..Usage::default() }
    }
}

fn failed(mut meter: Box<AttemptMeter>, error: UpstreamError) -> Try {
    meter.fail(&error, false);
    Try::Failed(error)
}

fn total_deadline() -> UpstreamError {
    UpstreamError::new(ErrorKind::Timeout, None, "the request's total deadline passed")
}

fn bounded(mut text: String) -> String {
    if text.len() > RECONSIDER_BYTES {
        text.truncate(text.floor_char_boundary(RECONSIDER_BYTES));
    }
    text
}

/// Feeds one whole choice to the checks.
fn check_choice(gate: &mut Gate<'_>, choice: Option<&Choice>, finish: Option<&str>) -> Verdict {
    let Some(choice) = choice else { return gate.end(finish) };
    let mut verdicts = Vec::new();
    if let Some(text) = &choice.text {
        verdicts.push(gate.text(text));
    }
    if let Some(refusal) = &choice.refusal {
        verdicts.push(gate.refusal(refusal));
    }
    for (index, call) in (0..).zip(&choice.tool_calls) {
        verdicts.push(gate.tool_call(index, &call.arguments));
    }
    let decided = verdicts.into_iter().find(|v| matches!(v, Verdict::Escalate(_)));
    decided.unwrap_or_else(|| gate.end(finish))
}

/// A stream before its commit point.
struct Holder {
    meter: Box<AttemptMeter>,
    events: Option<Events>,
    held: Vec<Chunk>,
    held_bytes: usize,
    content: bool,
    text: String,
    first_byte: Instant,
    hold_until: Option<Instant>,
    total: Instant,
    idle: std::time::Duration,
}

enum Held {
    Failed(Box<AttemptMeter>, UpstreamError),
    Rejected { meter: Box<AttemptMeter>, check: String, text: String },
    Released { committed: Box<Committed>, undecided: bool },
}

impl Holder {
    /// Reads until the first content-bearing event, and on until the checks have decided.
    async fn hold(
        mut self,
        mut gate: Option<(Gate<'_>, router::HoldBack)>,
    ) -> (Held, Option<router::Judged>) {
        let verdict = self.decided(gate.as_mut()).await;
        let judged = gate.and_then(|(gate, _)| gate.judged().cloned());
        (self.held(verdict), judged)
    }

    async fn decided(
        &mut self,
        mut gate: Option<&mut (Gate<'_>, router::HoldBack)>,
    ) -> Result<Verdict, UpstreamError> {
        loop {
            match self.read_one(gate.as_deref_mut()).await {
                Ok(Verdict::Hold) => {}
                decided => return decided,
            }
        }
    }

    fn held(mut self, verdict: Result<Verdict, UpstreamError>) -> Held {
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(error) => return Held::Failed(self.meter, error),
        };
        let undecided = match verdict {
            Verdict::Hold | Verdict::Release => false,
            Verdict::Undecided => true,
            Verdict::Escalate(check) => {
                let text = bounded(self.text);
                return Held::Rejected { meter: self.meter, check, text };
            }
        };
        if let Some(events) = self.events.as_mut() {
            events.set_idle(self.idle);
        }
        let committed =
            Committed { held: self.held, events: self.events, attempt: self.meter, deadline: self.total };
        Held::Released { committed: Box::new(committed), undecided }
    }

    /// Reads one event and says what to do now.
    async fn read_one(
        &mut self,
        gate: Option<&mut (Gate<'_>, router::HoldBack)>,
    ) -> Result<Verdict, UpstreamError> {
        let waiting = if self.content { self.hold_until.unwrap_or(self.total) } else { self.first_byte };
        let Some(events) = self.events.as_mut() else { return Ok(Verdict::Release) };
        let event = match timeout_at(waiting.min(self.total), events.next()).await {
            Ok(event) => event,
            Err(_) if self.content && Instant::now() < self.total => {
                return Ok(gate.map_or(Verdict::Undecided, |(gate, _)| gate.expired()));
            }
            Err(_) => {
                return Err(UpstreamError::new(
                    ErrorKind::Timeout,
                    Some(200),
                    "no content came before the deadline",
                ));
            }
        };
        let Some(event) = event else { return self.ended(gate) };
        let from = self.held.len();
        self.meter.reply.frame(event?, &mut self.held)?;
        let Some((gate, hold)) = gate else {
            let content = self.held.iter().skip(from).any(|c| c.content);
            return Ok(if content { self.committable() } else { Verdict::Hold });
        };
        self.hold_until
            .get_or_insert_with(|| Instant::now() + std::time::Duration::from_millis(hold.ms.into()));
        Ok(self.check(from, gate, hold))
    }

    fn committable(&mut self) -> Verdict {
        self.content = true;
        self.meter.first_content();
        Verdict::Release
    }

    /// Feeds the new chunks to the checks.
    fn check(&mut self, from: usize, gate: &mut Gate<'_>, hold: &router::HoldBack) -> Verdict {
        for chunk in self.held.iter().skip(from) {
            if chunk.content && !self.content {
                self.content = true;
                self.meter.first_content();
            }
            self.held_bytes += chunk.raw.as_ref().map_or(64, |(_, raw)| raw.len());
            for piece in chunk.pieces.iter().filter(|p| p.choice == 0) {
                let verdict = match &piece.part {
                    Part::Text(text) => {
                        if self.text.len() < RECONSIDER_BYTES {
                            self.text.push_str(text);
                        }
                        gate.text(text)
                    }
                    Part::Refusal(text) => gate.refusal(text),
                    Part::ToolCall(fragment) => gate.tool_call(fragment.index, &fragment.arguments),
                    Part::Reasoning(_) | Part::ReasoningDetail(_) | Part::Finish(_) => Verdict::Hold,
                };
                if verdict != Verdict::Hold {
                    return verdict;
                }
            }
        }
        let bound = match hold.until {
            Until::End { bytes } => bytes,
            Until::Prefix { .. } => PREFIX_BYTES,
        };
        if self.held_bytes > bound { gate.expired() } else { Verdict::Hold }
    }

    /// The upstream ended while held.
    fn ended(&mut self, gate: Option<&mut (Gate<'_>, router::HoldBack)>) -> Result<Verdict, UpstreamError> {
        self.events = None;
        let ending = self.meter.ending();
        if !ending.complete {
            let text = "the upstream's stream ended before its end";
            return Err(UpstreamError::new(ErrorKind::Truncated, Some(200), text));
        }
        Ok(gate.map_or(Verdict::Release, |(gate, _)| gate.end(ending.finish.map(Finish::as_str))))
    }
}

/// Most raw bytes that a prefix hold keeps, reasoning included: memory is bounded whatever the vendor sends.
const PREFIX_BYTES: usize = 1024 * 1024;
