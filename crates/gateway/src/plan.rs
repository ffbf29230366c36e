//! Builds the router's own view of a request and its candidates, and asks it. The same function serves the gate and
//! `explain`, so what is explained is what is done.

use std::time::Instant;

use catalog::{Basis, Context, Money, Tier, Usage};
use jiff::Timestamp;
use router::{Candidate, Group as RouterGroup, NoCandidate, Pick, Plan, Prompt};
use wire::Request;

use crate::config::{Group, Resolved, Target};
use crate::health::Health;

/// Output tokens assumed for a price estimate when the caller set no bound.
const ASSUMED_OUTPUT: u64 = 500;

/// What a decision is made from.
pub struct Inputs<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its session.
    pub session: u64,
    /// The target that it is bound to.
    pub bound_to: Option<&'a str>,
    /// Estimated input tokens.
    pub input_tokens: u64,
}

/// Decides. Errors when no configured model can serve the request.
pub fn decide(health: &Health, resolved: &Resolved, inputs: &Inputs<'_>) -> Result<Plan, NoCandidate> {
    let view = &inputs.request.view;
    let last_user = inputs.request.last_user_text();
    let prompt = Prompt {
        op: inputs.request.op.as_str(),
        last_user: &last_user,
        input_tokens: inputs.input_tokens,
        max_output_tokens: view.max_output_tokens,
        needs: view.needs,
        tool_turn: view.tool_turn,
        session: inputs.session,
        bound_to: inputs.bound_to,
    };
    let estimate = Estimate::of(inputs);
    match resolved {
        Resolved::Route(route) => {
            let default = group(health, &route.default, &estimate);
            let escalate = route.escalate.as_ref().map(|g| group(health, g, &estimate));
            router::decide(Some(&route.route), &prompt, &default, escalate.as_ref())
        }
        Resolved::Group(pinned) => router::decide(None, &prompt, &group(health, pinned, &estimate), None),
    }
}

/// The tier that the caller asked for.
pub fn tier(asked: Option<&str>) -> Tier {
    match asked {
        Some("flex") => Tier::Flex,
        Some("priority") => Tier::Priority,
        _ => Tier::Standard,
    }
}

/// What a price estimate is made from.
struct Estimate {
    usage: Usage,
    context: Context,
    now: Instant,
}

impl Estimate {
    fn of(inputs: &Inputs<'_>) -> Self {
        let view = &inputs.request.view;
        let output = view.max_output_tokens.unwrap_or(ASSUMED_OUTPUT).min(ASSUMED_OUTPUT);
        let usage = Usage { input: inputs.input_tokens, output, basis: Basis::Estimated, ..Usage::default() };
        let context =
            Context { tier: tier(view.service_tier.as_deref()), region: None, at: Timestamp::now() };
        Self { usage, context, now: Instant::now() }
    }

    fn price(&self, target: &Target) -> Option<Money> {
        target.offer.price(&self.usage, &self.context).total()
    }
}

fn group<'a>(health: &Health, group: &'a Group, estimate: &Estimate) -> RouterGroup<'a> {
    let today = jiff::tz::Offset::UTC.to_datetime(estimate.context.at).date();
    let candidates = group.targets.iter().map(|target| Candidate {
        target: &target.id,
        facts: &target.offer.facts,
        endpoints: &target.host.endpoints,
        up: health.state(target, estimate.now),
        ttft_ms: if group.pick == Pick::Fastest { health.ttft_ms(target) } else { None },
        price: estimate.price(target),
        weight: target.weight,
        retired: target.offer.retires.as_ref().is_some_and(|r| r.last_day < today),
    });
    RouterGroup { name: &group.name, pick: group.pick, candidates: candidates.collect() }
}
