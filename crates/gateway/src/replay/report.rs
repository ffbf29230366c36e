//! What a replay found, added up by route and in all.

use std::collections::BTreeMap;

use catalog::Money;
use ledger::{Past, RequestId};
use serde::Serialize;

use super::World;
use super::bill::{Cost, Owed, Replayed, escalated};
use super::interval::{Interval, count};
use super::learn::Learned;
use super::quality::{self, Kept};

/// What happened.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Actual {
    /// Exact, over the requests whose cost is known.
    pub cost_usd: Money,
    /// Requests with a call of unknown cost; they are in no sum.
    pub unknown_requests: u64,
    /// Requests that escalated.
    pub escalated: u64,
}

/// A share of requests.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// Expected number of requests.
    pub requests: f64,
    /// Of how many.
    pub of: u64,
}

/// A route, or everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// The route; `None`: pinned requests.
    pub route: Option<String>,
    /// Requests.
    pub requests: u64,
    /// What happened.
    pub actual: Actual,
    /// Requests priced from their own counts.
    pub exact_requests: u64,
    /// What these would have cost, exact.
    pub exact_usd: Money,
    /// Requests priced by a model of what was not measured.
    pub estimated_requests: u64,
    /// What these would have cost: an estimate with its 95 % interval; `None` without any.
    pub estimated_usd: Option<Interval>,
    /// Requests that the ledger cannot say it of, by reason.
    pub unknown: BTreeMap<String, u64>,
    /// Both together, modelled as soon as a part of it is; without the unknown ones.
    pub replayed_usd: Interval,
    /// Requests that are in the difference: known here and there.
    pub compared: u64,
    /// What they cost, exact.
    pub compared_actual_usd: Money,
    /// Replayed minus actual cost, over these.
    pub difference_usd: Interval,
    /// Requests expected to escalate, of those that it is known of.
    pub escalated: Share,
    /// The share of the flagship's quality that is kept; only against a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Kept>,
    /// Calls whose service tier could not be told from what was paid: taken as standard.
    pub tier_assumed: u64,
}

/// A replay.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Against another policy, or only other prices.
    pub policy: bool,
    /// Names the prices.
    pub catalogue: String,
    /// The moment whose prices hold.
    pub prices_at: jiff::Timestamp,
    /// Everything.
    pub total: Part,
    /// By route.
    pub routes: Vec<Part>,
    /// What the figures do not say by themselves.
    pub notes: Vec<String>,
}

#[derive(Default)]
struct Sums {
    part: Part,
    estimated: f64,
    /// Of the compared requests: exact and modelled.
    compared_exact: Money,
    compared_modelled: f64,
    owed: Owed,
    compared_owed: Owed,
    quality: quality::Builder,
}

/// Adds up.
pub(super) struct Builder<'w> {
    world: &'w World,
    judged: &'w BTreeMap<RequestId, bool>,
    total: Sums,
    routes: BTreeMap<Option<String>, Sums>,
}

impl<'w> Builder<'w> {
    /// `judged`: whether a judge found a request's answer at least as good as the flagship's.
    pub fn new(world: &'w World, judged: &'w BTreeMap<RequestId, bool>) -> Self {
        Self { world, judged, total: Sums::default(), routes: BTreeMap::new() }
    }

    /// Takes a request in.
    pub fn add(&mut self, past: &Past, replayed: &Replayed) {
        if !self.routes.contains_key(&past.route) {
            let mut sums = Sums::default();
            sums.part.route.clone_from(&past.route);
            self.routes.insert(past.route.clone(), sums);
        }
        self.total.add(past, replayed);
        let Some(sums) = self.routes.get_mut(&past.route) else { return };
        sums.add(past, replayed);
        if replayed.judgeable {
            sums.quality.add(quality::Seen {
                escalated: escalated(past) > 0.0,
                escalates: replayed.escalates,
                keeps_answer: replayed.keeps_answer,
                good: self.judged.get(&past.id).copied(),
            });
        }
    }

    /// The report.
    pub fn finish(self, learned: &Learned) -> Report {
        let policy = self.world.policy.is_some();
        let kept =
            policy.then(|| quality::total(self.routes.iter().map(|(name, s)| (name.as_deref(), &s.quality))));
        let total = Part { quality: kept, ..self.total.finish(learned) };
        let routes = self.routes.into_iter().map(|(route, sums)| {
            let kept = policy.then(|| sums.quality.finish(route.is_some()));
            Part { quality: kept, ..sums.finish(learned) }
        });
        Report {
            policy,
            catalogue: self.world.catalogue.version().to_owned(),
            prices_at: self.world.at,
            notes: notes(&total, policy, self.world.assumed_ratio),
            total,
            routes: routes.collect(),
        }
    }
}

impl Sums {
    fn add(&mut self, past: &Past, replayed: &Replayed) {
        let sums = &mut self.part;
        let actual: Option<Money> =
            past.attempts.iter().map(|a| if a.free { Some(Money::ZERO) } else { a.cost }).sum();
        sums.requests += 1;
        sums.tier_assumed += replayed.tier_assumed;
        sums.actual.escalated += u64::from(escalated(past) > 0.0);
        match actual {
            Some(cost) => sums.actual.cost_usd += cost,
            None => sums.actual.unknown_requests += 1,
        }
        if let Some(share) = replayed.escalates {
            sums.escalated.requests += share;
            sums.escalated.of += 1;
        }
        match &replayed.cost {
            Cost::Exact(cost) => {
                sums.exact_requests += 1;
                sums.exact_usd += *cost;
            }
            Cost::Modelled(usd) => {
                sums.estimated_requests += 1;
                self.estimated += usd;
            }
            Cost::Unknown(why) => {
                *sums.unknown.entry(why.clone()).or_default() += 1;
                return;
            }
        }
        self.owed.push(past.route.as_deref(), &replayed.owes);
        let Some(actual) = actual else { return };
        self.part.compared += 1;
        self.part.compared_actual_usd += actual;
        match &replayed.cost {
            Cost::Exact(cost) => self.compared_exact += *cost,
            Cost::Modelled(usd) => self.compared_modelled += usd,
            Cost::Unknown(_) => {}
        }
        self.compared_owed.push(past.route.as_deref(), &replayed.owes);
    }

    fn finish(self, learned: &Learned) -> Part {
        let mut part = self.part;
        let variance = self.owed.variance(learned);
        if part.estimated_requests > 0 {
            part.estimated_usd = Some(Interval::around(self.estimated, variance));
        }
        part.replayed_usd = Interval::around(part.exact_usd.to_f64_usd() + self.estimated, variance);
        let exact = (self.compared_exact - part.compared_actual_usd).to_f64_usd();
        part.difference_usd =
            Interval::about(exact + self.compared_modelled, self.compared_owed.variance(learned));
        part
    }
}

fn notes(total: &Part, policy: bool, assumed: Option<f64>) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown: u64 = total.unknown.values().sum();
    if unknown > 0 {
        notes.push(format!(
            "{unknown} of {} requests are in no replayed sum: the ledger cannot say",
            total.requests
        ));
    }
    if total.estimated_requests > 0 {
        notes.push(
            "estimates: the prompt by the measured ratio of the tokenizers, the answer by the model's own answers on \
             that route, to the prompts that it got; the interval covers chance, not that other prompts may have longer \
             or shorter answers"
                .to_owned(),
        );
    }
    if let Some(assumed) = assumed.filter(|_| policy) {
        notes.push(format!("where no ratio of tokenizers was measured, {assumed} is assumed"));
    }
    if total.tier_assumed > 0 {
        notes.push(format!(
            "{} calls were paid at none of the listed prices of their time: taken as the standard tier",
            total.tier_assumed
        ));
    }
    if policy {
        notes.push(
            "an escalation that the ledger does not show is expected as often as checks turned that model's answers \
             down on that route, with the checks of then"
                .to_owned(),
        );
        notes.push(match total.quality.as_ref().map(|kept| kept.unknown_because.as_str()) {
            Some("") => "quality: kept share of the flagship's, off-policy from the judges' verdicts on shadow traffic"
                .to_owned(),
            Some(why) => format!("quality: unknown; {why}"),
            None => "quality: unknown".to_owned(),
        });
    }
    notes
}

impl Share {
    /// The share; `None` of nothing.
    pub fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.requests / count(self.of))
    }
}
