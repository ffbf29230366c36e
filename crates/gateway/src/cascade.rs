//! One attempt engine for every endpoint and mode. It runs a plan: the targets of the first step in turn, the checks on
//! what comes, the escalation, the last resort. Until it returns, not a byte has gone to the client, so any failure may
//! still fail over; what it returns is the commit point (LAW 4).
//!
//! The obvious alternative is a retry loop around "make the call" with streams opened lazily inside the response body:
//! there the retry never sees a failing stream (field notes §1.5, §1.6). Here an attempt is not over before its first
//! content-bearing event has come.

mod attempt;
mod reconsider;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use router::{HoldBack, How, Plan, Step};
use tokio::time::Instant;
use wire::{Answer, Request, Retry, Unsupported, UpstreamError};

use crate::app::App;
use crate::config::{Config, RouteConfig, Target};
use crate::health::{Health, backoff};
use crate::meter::RequestMeter;
use crate::respond::Refusal;
use crate::shadow::Sampled;
use crate::stream::Committed;

pub use attempt::Try;

/// Rounds over a step's targets: the first, and two more for faults that pass.
const ROUNDS: u32 = 3;
/// Calls for one request, over all its steps. Enough for any sane list of vendors; a bound on what a total outage costs.
const MOST_ATTEMPTS: u16 = 8;
/// Longest wait between rounds. A vendor that asks for more gets its way through the client's `retry-after`.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a plan came to.
pub enum Answered {
    /// A whole answer.
    Whole {
        /// The answer.
        answer: Box<Answer>,
        /// Fields that the upstream could not take.
        dropped: Vec<String>,
    },
    /// A stream at its commit point.
    Stream {
        /// What the response body is made from.
        committed: Box<Committed>,
        /// Fields that the upstream could not take.
        dropped: Vec<String>,
    },
}

/// How the checks of a route apply to one answer.
#[derive(Clone, Copy, Debug)]
pub struct Gating {
    /// What is held back, and for how long.
    hold: HoldBack,
    /// Hold the whole answer.
    to_end: bool,
}

/// How a step ended, if not in a refusal.
enum StepEnd {
    Answered(Answered),
    /// A check failed: its name, and the answer's text for `reconsider`.
    Escalate {
        check: String,
        text: String,
    },
}

/// A step that no target answered.
struct StepFailed {
    error: Option<UpstreamError>,
    unsupported: Option<Unsupported>,
}

/// One request on its way through its plan.
pub struct Call {
    /// The process.
    pub app: Arc<App>,
    /// The snapshot that this request sees.
    pub config: Arc<Config>,
    /// The request.
    pub request: Request,
    /// Its books.
    pub meter: RequestMeter,
    /// The route, if one was named.
    pub route: Option<Arc<RouteConfig>>,
    /// Every target that the plan may name.
    pub targets: Vec<Arc<Target>>,
    /// Some model's vendors are picked by price, so that warm prompt caches are kept in mind.
    pub weighs_prices: bool,
    /// Headers that every attempt carries (`traceparent`, `x-request-id`).
    pub headers: HeaderMap,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// The target that the conversation is bound to.
    pub bound_to: Option<Arc<str>>,
    /// The end of the total deadline.
    pub deadline: Instant,
    /// The tier that the client asked for.
    pub tier: catalog::Tier,
    /// The longest wait that any vendor asked for.
    pub retry_after: Option<Duration>,
    /// It was drawn to be put to another model too.
    pub shadow: Option<Box<Sampled>>,
    /// No client waits for it: its text is read, and nothing is tried twice.
    pub aside: bool,
}

impl Call {
    /// Runs the plan. Errors when nothing answered.
    pub async fn run(&mut self, plan: &Plan) -> Result<Answered, Refusal> {
        let first =
            self.step(&plan.first, plan.hold.map(|hold| Gating { hold, to_end: plan.hold_to_end })).await;
        let failed = match first {
            Ok(StepEnd::Answered(answered)) => return Ok(answered),
            Ok(StepEnd::Escalate { check, text }) => {
                self.meter.reason = format!("check:{check}");
                if plan.how == How::Reconsider {
                    self.request = reconsider::with_answer(&self.request, &text)?;
                }
                None
            }
            Err(failed) => Some(failed),
        };
        self.escalate(plan, failed).await
    }

    /// The steps after the first: the flagship, then the route's last resort.
    async fn escalate(&mut self, plan: &Plan, mut failed: Option<StepFailed>) -> Result<Answered, Refusal> {
        let last_resort = self.route.as_ref().and_then(|r| r.last_resort.as_ref()).map(|group| Step {
            model: group.name.clone(),
            targets: group.targets.iter().map(|t| t.id.clone()).collect(),
        });
        for step in plan.escalation.iter().chain(last_resort.iter()) {
            if let Some(failed) = &failed {
                self.may_move_on(failed)?;
                self.meter.reason = format!("failover:{}", failed.word());
            }
            match self.step(step, None).await {
                Ok(StepEnd::Answered(answered)) => return Ok(answered),
                // An ungated step does not escalate.
                Ok(StepEnd::Escalate { .. }) => {}
                Err(next) => failed = Some(next),
            }
        }
        Err(self.refuse(failed.unwrap_or(StepFailed { error: None, unsupported: None })))
    }

    /// A request that is itself at fault is refused at once: another model would not make it right.
    fn may_move_on(&self, failed: &StepFailed) -> Result<(), Refusal> {
        match &failed.error {
            Some(error) if error.retry == Retry::Never => Err(Refusal::Upstream {
                error: error.clone(),
                retry_after: error.retry_after,
                attempts: self.meter.attempts,
            }),
            _ => Ok(()),
        }
    }

    fn refuse(&self, failed: StepFailed) -> Refusal {
        if let Some(error) = failed.error {
            let retry_after = self.retry_after.max(error.retry_after);
            return Refusal::Upstream { error, retry_after, attempts: self.meter.attempts };
        }
        match failed.unsupported {
            Some(unsupported) => Refusal::Unsupported(unsupported),
            None => Refusal::door(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "no_healthy_upstream",
                "no vendor of this model may be called now; see `providers` in the gateway's API for the reasons",
            ),
        }
    }

    /// Tries the targets of one step. `gate`: run the route's checks.
    async fn step(&mut self, step: &Step, gate: Option<Gating>) -> Result<StepEnd, StepFailed> {
        let mut state = StepState::new(step.targets.iter().filter_map(|id| self.target(id)).collect());
        for round in 0..ROUNDS {
            if let Some(end) = self.round(&mut state, gate, round > 0, false).await? {
                return Ok(end);
            }
            if self.aside || state.left.is_empty() || !self.wait(round, state.last.as_ref()).await {
                break;
            }
        }
        if !state.called {
            state.error_if_throttled(&self.app.health);
            if let Some(end) = self.round(&mut state, gate, false, true).await? {
                return Ok(end);
            }
        }
        Err(StepFailed { error: state.last, unsupported: state.unsupported })
    }

    /// One pass over the targets that are still worth a call.
    async fn round(
        &mut self,
        state: &mut StepState,
        gate: Option<Gating>,
        repeat: bool,
        last_resort: bool,
    ) -> Result<Option<StepEnd>, StepFailed> {
        for target in state.left.clone() {
            // One call a key: a key that fails is taken out by `failed`, and the next admission names another.
            for _ in 0..target.host.keys.len().max(1) {
                let now = std::time::Instant::now();
                if self.meter.attempts >= MOST_ATTEMPTS {
                    return Err(StepFailed { error: state.last.take(), unsupported: None });
                }
                // Moving on to another vendor is what failover is for; calling the same one again spends the budget.
                if repeat && !self.app.health.may_retry(now) {
                    return Ok(None);
                }
                let Some(admission) = self.app.health.admit(&target, last_resort, now) else { break };
                match self.attempt(&target, admission, gate).await {
                    Try::Answered(answered) => return Ok(Some(StepEnd::Answered(answered))),
                    Try::Escalate { check, text } => return Ok(Some(StepEnd::Escalate { check, text })),
                    Try::Unsupported(unsupported) => {
                        state.drop_target(&target);
                        state.unsupported = Some(unsupported);
                        break;
                    }
                    Try::Failed(error) => {
                        state.called = true;
                        self.retry_after = self.retry_after.max(error.retry_after);
                        if !state.note(&target, error)? {
                            break;
                        }
                    }
                }
                if Instant::now() >= self.deadline {
                    return Err(StepFailed { error: state.last.take(), unsupported: None });
                }
            }
        }
        Ok(None)
    }

    /// Waits before another round. False when there is no time for it, or the vendors ask for more than we would wait.
    async fn wait(&self, round: u32, last: Option<&UpstreamError>) -> bool {
        if round + 1 >= ROUNDS || last.is_none() {
            return false;
        }
        let wait = backoff(round, last.and_then(|e| e.retry_after), fastrand::u64(..));
        if wait > LONGEST_WAIT || Instant::now() + wait >= self.deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }

    fn target(&self, id: &str) -> Option<Arc<Target>> {
        self.targets.iter().find(|t| t.id == id).cloned()
    }
}

impl StepFailed {
    /// What `x-tollgate-reason: failover:…` names: the status, else the kind.
    fn word(&self) -> String {
        match (&self.error, &self.unsupported) {
            (Some(UpstreamError { status: Some(status), .. }), _) if *status != 200 => status.to_string(),
            (Some(error), _) => error.kind.as_str().to_owned(),
            (None, Some(_)) => "unsupported".to_owned(),
            (None, None) => "open".to_owned(),
        }
    }
}

/// What a step has learned about its targets.
struct StepState {
    left: Vec<Arc<Target>>,
    last: Option<UpstreamError>,
    unsupported: Option<Unsupported>,
    called: bool,
}

impl StepState {
    fn new(left: Vec<Arc<Target>>) -> Self {
        Self { left, last: None, unsupported: None, called: false }
    }

    /// Takes out the targets whose vendors have said when to come back; they are an error, not a last resort.
    fn error_if_throttled(&mut self, health: &Health) {
        let now = std::time::Instant::now();
        let mut shortest: Option<Duration> = None;
        self.left.retain(|target| match health.throttled_for(target, now) {
            None => true,
            Some(wait) => {
                shortest = Some(shortest.map_or(wait, |s| s.min(wait)));
                false
            }
        });
        if let Some(wait) = shortest {
            let mut error =
                UpstreamError::new(wire::ErrorKind::RateLimited, Some(429), "the vendor's rate limit");
            error.retry_after = Some(wait);
            self.last = Some(error);
        }
    }

    fn drop_target(&mut self, target: &Target) {
        self.left.retain(|t| t.id != target.id);
    }

    /// Takes note of a failure. True: the same target may be tried with another key now.
    fn note(&mut self, target: &Target, error: UpstreamError) -> Result<bool, StepFailed> {
        let retry = error.retry;
        // A timeout may have been billed: not asked of the same vendor again (field notes §1.18).
        let spent = error.kind == wire::ErrorKind::Timeout || retry == Retry::OtherVendor;
        self.last = Some(error);
        match retry {
            Retry::Never => Err(StepFailed { error: self.last.take(), unsupported: None }),
            Retry::OtherKey => {
                if target.host.keys.len() < 2 {
                    self.drop_target(target);
                }
                Ok(true)
            }
            Retry::OtherVendor | Retry::Anywhere => {
                if spent {
                    self.drop_target(target);
                }
                Ok(false)
            }
        }
    }
}
