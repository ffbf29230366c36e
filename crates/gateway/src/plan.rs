//! Builds the router's own view of a request and its candidates, and asks it. The same function serves the gate and
//! `explain`, so what is explained is what is done.

use std::time::Instant;

use catalog::{Basis, Context, Money, Tier, Usage};
use jiff::Timestamp;
use jiff::civil::Date;
use router::{Cached, Candidate, Group as RouterGroup, Measured, NoCandidate, Pick, Plan, Prompt};
use wire::Request;

use crate::affinity::Affinity;
use crate::config::{Group, Resolved, Target};
use crate::health::Health;

/// Share of its input that a conversation's next turn is assumed to find in the cache of a vendor which has a price for
/// cached tokens and was not measured yet. Shown as assumed.
const ASSUMED_WARM: f64 = 0.5;

/// What a decision is made from.
pub struct Inputs<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its session.
    pub session: u64,
    /// A random number, where the choice is spread; `None`: the best first.
    pub draw: Option<u64>,
    /// The target that it is bound to.
    pub bound_to: Option<&'a str>,
    /// Where its prompt cache may be warm.
    pub affinity: Option<&'a Affinity>,
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
        stream: view.stream,
        needs: view.needs,
        tool_turn: view.tool_turn,
        session: inputs.session,
        draw: inputs.draw,
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
struct Estimate<'a> {
    usage: Usage,
    context: Context,
    now: Instant,
    session: u64,
    affinity: Option<&'a Affinity>,
}

impl<'a> Estimate<'a> {
    fn of(inputs: &Inputs<'a>) -> Self {
        let view = &inputs.request.view;
        let most = Prompt::ASSUMED_OUTPUT;
        let output = view.max_output_tokens.unwrap_or(most).min(most);
        let usage = Usage { input: inputs.input_tokens, output, basis: Basis::Estimated, ..Usage::default() };
        let context =
            Context { tier: tier(view.service_tier.as_deref()), region: None, at: Timestamp::now() };
        let (session, affinity) = (inputs.session, inputs.affinity);
        Self { usage, context, now: Instant::now(), session, affinity }
    }

    fn price(&self, target: &Target) -> Option<Money> {
        target.offer.price(&self.usage, &self.context).total()
    }

    /// The price with the share of the input that the vendor's prompt cache is expected to hold (field notes §1.17). Without a
    /// price for cached tokens, or anything to expect, that of fresh ones.
    fn cached_price(
        &self,
        target: &Target,
        warm: bool,
        measured: Option<&Measured>,
    ) -> (Option<Money>, Option<Cached>) {
        let found = |hit_rate: f64| Cached { hit_rate, measured: true };
        let expected = if warm {
            let assumed = Cached { hit_rate: ASSUMED_WARM, measured: false };
            Some(measured.and_then(|m| m.warm_cache_hit_rate).map_or(assumed, found))
        } else {
            measured.and_then(|m| m.cold_cache_hit_rate).map(found)
        };
        let with_cache = expected.filter(|cache| cache.hit_rate > 0.0).and_then(|cache| {
            let cache_read = share_of(self.usage.input, cache.hit_rate);
            let usage = Usage { input: self.usage.input - cache_read, cache_read, ..self.usage };
            Some((target.offer.price(&usage, &self.context).total()?, cache))
        });
        match with_cache {
            Some((price, cache)) => (Some(price), Some(cache)),
            None => (self.price(target), None),
        }
    }

    fn candidate(&self, health: &Health, pick: Pick, target: &'a Target, today: Date) -> Candidate<'a> {
        let mut candidate = Candidate {
            target: &target.id,
            facts: &target.offer.facts,
            endpoints: &target.host.endpoints,
            up: health.state(target, self.now),
            ttft_ms: None,
            price: None,
            cache: None,
            warm: false,
            measured: None,
            weight: target.weight,
            retired: target.offer.retires.as_ref().is_some_and(|r| r.last_day < today),
        };
        if pick.weighs_prices() {
            let measured = health.measured(target, self.now);
            candidate.warm = self.affinity.is_some_and(|a| a.is_warm(self.session, &target.id, self.now));
            (candidate.price, candidate.cache) = self.cached_price(target, candidate.warm, measured.as_ref());
            candidate.measured = measured;
        } else {
            candidate.price = self.price(target);
        }
        if matches!(pick, Pick::Fastest | Pick::Adaptive { .. }) {
            candidate.ttft_ms = health.ttft_ms(target);
        }
        candidate
    }
}

/// A share of a count, never more than it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, and bounded by the count"
)]
fn share_of(count: u64, share: f64) -> u64 {
    ((count as f64 * share.clamp(0.0, 1.0)) as u64).min(count)
}

fn group<'a>(health: &Health, group: &'a Group, estimate: &Estimate<'a>) -> RouterGroup<'a> {
    let today = jiff::tz::Offset::UTC.to_datetime(estimate.context.at).date();
    let candidates = group.targets.iter().map(|t| estimate.candidate(health, group.pick, t, today));
    RouterGroup { name: &group.name, pick: group.pick, candidates: candidates.collect() }
}
