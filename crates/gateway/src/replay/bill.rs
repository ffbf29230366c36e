//! Prices one past request in another world.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::{Basis, Money, Offer, Tier, Usage};
use ledger::{Outcome, Past, PastAttempt};

use super::World;
use super::interval::{Moments, Weighted, count};
use super::learn::{Learned, same_name};
use super::policy::{self, Calls, Decided, Escalates, Logged};
use crate::config::Target;

/// Tokens by which a price per token is measured.
const STEP: u64 = 1_000;

/// What a request would cost.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cost {
    /// From the ledger's own counts.
    Exact(Money),
    /// Modelled, in dollars.
    Modelled(f64),
    /// The ledger cannot say why.
    Unknown(String),
}

/// A request in the other world.
#[derive(Debug, Clone)]
pub(super) struct Replayed {
    pub cost: Cost,
    /// The chance that it escalates there, before or after the first answer; `None` when unknown.
    pub escalates: Option<f64>,
    /// Where it does not escalate there, the client gets the answer that it got.
    pub keeps_answer: bool,
    /// It is of the kind that shadow traffic is drawn from.
    pub judgeable: bool,
    /// What its estimate owes to shared means.
    pub owes: Vec<Owes>,
    /// Calls whose service tier could not be told from what was paid.
    pub tier_assumed: u64,
}

/// A weight on a mean that was learned.
#[derive(Debug, Clone)]
pub(super) enum Owes {
    /// Dollars per output token of this model on the request's route.
    Output {
        /// The model.
        model: String,
        /// The weight.
        usd_per_token: f64,
    },
    /// Dollars per unit of the ratio of two tokenizers.
    Ratio {
        /// From this model's tokens.
        from: String,
        /// To this one's.
        to: String,
        /// The weight.
        usd: f64,
    },
    /// Dollars of an escalation that comes as often as this model's answers were turned down.
    Escalation {
        /// The first model.
        model: String,
        /// The weight.
        usd: f64,
    },
}

/// One call that was priced.
struct Call {
    cost: Cost,
    owes: Vec<Owes>,
}

/// The offers of a target, there and where it was paid.
#[derive(Clone)]
struct Offers {
    there: Option<Arc<Offer>>,
    paid: Option<Arc<Offer>>,
}

/// Prices requests.
pub(super) struct Bill<'w> {
    world: &'w World,
    learned: &'w Learned,
    /// By host, then by model: a lookup makes no text.
    offers: HashMap<String, HashMap<String, Offers>>,
    tier_assumed: u64,
}

impl<'w> Bill<'w> {
    pub fn new(world: &'w World, learned: &'w Learned) -> Self {
        Self { world, learned, offers: HashMap::new(), tier_assumed: 0 }
    }

    /// What a request would cost, and whether its answer would be the one that was given.
    pub fn request(&mut self, past: &Past) -> Replayed {
        self.tier_assumed = 0;
        let Some(config) = &self.world.policy else {
            let replayed = self.unchanged(past);
            return Replayed { tier_assumed: self.tier_assumed, ..replayed };
        };
        let logged = Logged::of(past);
        let replayed = match policy::decide(config, past, &logged) {
            Ok(decided) => self.decided(past, &decided),
            Err(why) => unknown(why.to_owned()),
        };
        Replayed { tier_assumed: self.tier_assumed, judgeable: logged.can_be_judged(past), ..replayed }
    }

    fn decided(&mut self, past: &Past, decided: &Decided<'_>) -> Replayed {
        let before = if decided.before { 1.0 } else { 0.0 };
        match &decided.calls {
            Calls::AsTheyWere => self.unchanged(past),
            Calls::One(targets) => {
                let call = self.any_of(past, targets);
                let keeps_answer = gave_the_answer(targets, past);
                Replayed { escalates: Some(before), keeps_answer, owes: call.owes, ..costing(call.cost) }
            }
            Calls::Gated { first, second, escalates } => self.gated(past, first, second, *escalates),
        }
    }

    fn unchanged(&mut self, past: &Past) -> Replayed {
        let cost = self.as_they_were(&past.attempts);
        let escalated = escalated(past);
        Replayed { escalates: Some(escalated), keeps_answer: escalated <= 0.0, ..costing(cost) }
    }

    fn gated(
        &mut self,
        past: &Past,
        first: &[(&Target, f64)],
        second: &[(&Target, f64)],
        escalates: Escalates,
    ) -> Replayed {
        let upto = past.attempts.iter().position(|a| a.outcome == Outcome::Rejected.as_str());
        let given = match (escalates, upto) {
            // The first step as it was, up to the answer that was turned down.
            (Escalates::Yes, Some(at)) => past.attempts.get(..=at),
            (_, None) if began_with(first, past) => Some(past.attempts.as_slice()),
            _ => None,
        };
        let first_call = match given {
            Some(attempts) => Call { cost: self.as_they_were(attempts), owes: Vec::new() },
            None => self.any_of(past, first),
        };
        let share = match (escalates, first) {
            (Escalates::Yes, _) => Some((1.0, None)),
            (Escalates::No, _) => Some((0.0, None)),
            (Escalates::AsOften, [(target, _), ..]) => {
                let model = &target.offer.model;
                let learned = self.learned.rejection(past.route.as_deref(), model);
                learned.map(|(share, _)| (share, Some(same_name(model))))
            }
            (Escalates::AsOften, []) => None,
        };
        let Some((share, coin)) = share else {
            return unknown(
                "how often checks turn down the first model's answers there is not known".to_owned(),
            );
        };
        let keeps_answer = gave_the_answer(first, past);
        if share <= 0.0 {
            let owes = first_call.owes;
            return Replayed { escalates: Some(0.0), keeps_answer, owes, ..costing(first_call.cost) };
        }
        let second_call = self.any_of(past, second);
        let cost = match (&first_call.cost, &second_call.cost) {
            (Cost::Unknown(why), _) | (_, Cost::Unknown(why)) => return unknown(why.clone()),
            (Cost::Exact(a), Cost::Exact(b)) if coin.is_none() => Cost::Exact(*a + *b),
            (a, b) => Cost::Modelled(dollars(a) + share * dollars(b)),
        };
        let mut owes = first_call.owes;
        owes.extend(second_call.owes.into_iter().map(|owed| owed.times(share)));
        let of_second = dollars(&second_call.cost);
        owes.extend(coin.map(|model| Owes::Escalation { model, usd: of_second }));
        Replayed { escalates: Some(share), keeps_answer, owes, ..costing(cost) }
    }

    /// All calls at the new prices.
    fn as_they_were(&mut self, attempts: &[PastAttempt]) -> Cost {
        let mut sum = Money::ZERO;
        for attempt in attempts {
            match self.again(attempt) {
                Ok(cost) => sum += cost,
                Err(why) => return Cost::Unknown(why),
            }
        }
        Cost::Exact(sum)
    }

    /// The same call at the new prices: its own counts, so exact.
    fn again(&mut self, attempt: &PastAttempt) -> Result<Money, String> {
        if attempt.free {
            return Ok(Money::ZERO);
        }
        let tier = self.tier(attempt);
        let context = self.world.context(tier);
        let offers = self.offers(&attempt.provider, &attempt.model);
        let cost = offers.there.as_ref().and_then(|offer| offer.price(&attempt.usage, &context).total());
        cost.ok_or_else(|| format!("no price is known for {}/{}", attempt.provider, attempt.model))
    }

    /// The tier whose price was paid. The ledger does not name it, but its sum tells.
    fn tier(&mut self, attempt: &PastAttempt) -> Tier {
        let Some(paid) = attempt.cost else { return Tier::Standard };
        let offers = self.offers(&attempt.provider, &attempt.model);
        let found = offers.paid.as_ref().and_then(|offer| {
            [Tier::Standard, Tier::Flex, Tier::Priority, Tier::Batch].into_iter().find(|tier| {
                let context = catalog::Context { tier: *tier, region: None, at: attempt.started_at };
                offer.price(&attempt.usage, &context).total() == Some(paid)
            })
        });
        if found.is_none() {
            self.tier_assumed += 1;
        }
        found.unwrap_or_default()
    }

    fn offers(&mut self, provider: &str, model: &str) -> Offers {
        if let Some(known) = self.offers.get(provider).and_then(|models| models.get(model)) {
            return known.clone();
        }
        let found = Offers {
            there: self.world.catalogue.offer(provider, model),
            paid: self.world.paid_at.offer(provider, model),
        };
        self.offers.entry(provider.to_owned()).or_default().insert(model.to_owned(), found.clone());
        found
    }

    /// One call to one of these, by their shares.
    fn any_of(&mut self, past: &Past, targets: &[(&Target, f64)]) -> Call {
        if let [(target, _)] = targets {
            return self.call(past, target);
        }
        let (mut mean, mut owes) = (0.0, Vec::new());
        for (target, share) in targets {
            let call = self.call(past, target);
            if let Cost::Unknown(_) = call.cost {
                return call;
            }
            mean += share * dollars(&call.cost);
            owes.extend(call.owes.into_iter().map(|owed| owed.times(*share)));
        }
        Call { cost: Cost::Modelled(mean), owes }
    }

    fn call(&mut self, past: &Past, target: &Target) -> Call {
        let there = past.attempts.iter().find(|a| policy::is(target, a) && a.outcome == Outcome::Ok.as_str());
        if let Some(attempt) = there {
            let cost = self.again(attempt).map_or_else(Cost::Unknown, Cost::Exact);
            return Call { cost, owes: Vec::new() };
        }
        self.model(past, target).unwrap_or_else(|why| Call { cost: Cost::Unknown(why), owes: Vec::new() })
    }

    /// A call that was not made: the prompt by the ratio of the tokenizers, the answer by the model's habit on the route.
    fn model(&mut self, past: &Past, target: &Target) -> Result<Call, String> {
        let model = &target.offer.model;
        let source = source(past, model).ok_or("the vendor's count of the prompt is not in the ledger")?;
        if has_more_than_text(&source.usage) {
            return Err("audio, images and searches are not modelled".to_owned());
        }
        let route = past.route.as_deref();
        let same = same_name(model) == same_name(&source.model);
        let ratio = if same { Some((1.0, None)) } else { self.ratio(&source.model, model) };
        let (ratio, measured) = ratio.ok_or_else(|| {
            format!("no {} requests were read by both {} and {model}", super::learn::LEAST, source.model)
        })?;
        let habit = self.learned.habit(route, model);
        let whole = same && source.outcome == Outcome::Ok.as_str();
        let uncached = source.usage.cache_read == 0
            && source.usage.cache_write_5m == 0
            && source.usage.cache_write_1h == 0;
        let context = self.world.context(Tier::Standard);
        if whole && uncached {
            let cost = target.offer.price(&source.usage, &context).total();
            let cost = cost.ok_or_else(|| format!("no price is known for {}", target.id))?;
            return Ok(Call { cost: Cost::Exact(cost), owes: Vec::new() });
        }
        let output = match (past.op.as_str(), whole, habit) {
            ("embedding", ..) => 0.0,
            (_, true, _) => count(source.usage.total_output()),
            (_, false, Some(habit)) => habit.output.mean,
            (_, false, None) => {
                return Err(format!("fewer than {} answers of {model} on this route", super::learn::LEAST));
            }
        };
        let input = ratio * count(source.usage.total_input());
        let usage =
            split(input, output, habit.map_or((0.0, 0.0), |h| (h.cached_share(), h.reasoning_share())));
        let price = |usage: &Usage| target.offer.price(usage, &context).total().map(Money::to_f64_usd);
        let priced = price(&usage).zip(price(&Usage { input: usage.input + STEP, ..usage }));
        let priced = priced.zip(price(&Usage { output: usage.output + STEP, ..usage }));
        let ((mean, longer), wordier) =
            priced.ok_or_else(|| format!("no price is known for {}", target.id))?;
        let per = |other: f64| (other - mean) / count(STEP);
        let mut owes = Vec::new();
        if !whole && past.op != "embedding" {
            owes.push(Owes::Output { model: same_name(model), usd_per_token: per(wordier) });
        }
        if measured.is_some() {
            let usd = per(longer) * count(source.usage.total_input());
            owes.push(Owes::Ratio { from: same_name(&source.model), to: same_name(model), usd });
        }
        Ok(Call { cost: Cost::Modelled(mean), owes })
    }

    /// The ratio of two tokenizers, measured or assumed.
    fn ratio(&self, from: &str, to: &str) -> Option<(f64, Option<Moments>)> {
        match self.learned.ratio(from, to) {
            Some(measured) => Some((measured.mean, Some(measured))),
            None => self.world.assumed_ratio.map(|assumed| (assumed, None)),
        }
    }
}

fn unknown(why: String) -> Replayed {
    costing(Cost::Unknown(why))
}

/// Nothing else is known.
fn costing(cost: Cost) -> Replayed {
    Replayed {
        cost,
        escalates: None,
        keeps_answer: false,
        judgeable: false,
        owes: Vec::new(),
        tier_assumed: 0,
    }
}

/// The model of these gave the answer that the client got, without an escalation.
fn gave_the_answer(targets: &[(&Target, f64)], past: &Past) -> bool {
    let Some(last) = past.attempts.last().filter(|last| last.outcome == Outcome::Ok.as_str()) else {
        return false;
    };
    escalated(past) <= 0.0 && targets.iter().all(|(t, _)| same_name(&t.offer.model) == same_name(&last.model))
}

fn dollars(cost: &Cost) -> f64 {
    match cost {
        Cost::Exact(money) => money.to_f64_usd(),
        Cost::Modelled(usd) => *usd,
        Cost::Unknown(_) => 0.0,
    }
}

/// Did it escalate when it was made, before or after the first answer?
pub(super) fn escalated(past: &Past) -> f64 {
    let before = ["matched:", "long-input", "difficulty:"].iter().any(|word| past.reason.starts_with(word));
    if past.route.is_some() && (before || policy::turned_down(past)) { 1.0 } else { 0.0 }
}

fn began_with(targets: &[(&Target, f64)], past: &Past) -> bool {
    matches!((targets, past.attempts.first()), ([(target, _)], Some(first)) if policy::is(target, first))
}

/// The call whose count of the prompt is nearest to the model's own: its own, else that of the last whole answer.
fn source<'p>(past: &'p Past, model: &str) -> Option<&'p PastAttempt> {
    let counted = |a: &&PastAttempt| a.usage.basis == Basis::Reported && a.usage.total_input() > 0;
    let mut own = past.attempts.iter().filter(counted).filter(|a| same_name(&a.model) == same_name(model));
    own.next_back().or_else(|| past.attempts.iter().rfind(counted))
}

fn has_more_than_text(usage: &Usage) -> bool {
    usage.input_audio
        + usage.cache_read_audio
        + usage.input_image
        + usage.output_audio
        + usage.output_image
        + usage.web_search
        > 0
}

/// Tokens in buckets, by the shares of cache and reasoning.
fn split(input: f64, output: f64, (cached, reasoning): (f64, f64)) -> Usage {
    Usage {
        input: tokens(input * (1.0 - cached)),
        cache_read: tokens(input * cached),
        output: tokens(output * (1.0 - reasoning)),
        reasoning: tokens(output * reasoning),
        ..Usage::default()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded, bounded count")]
fn tokens(count: f64) -> u64 {
    count.round().clamp(0.0, 1e12) as u64
}

impl Owes {
    fn times(self, share: f64) -> Self {
        match self {
            Self::Output { model, usd_per_token } => {
                Self::Output { model, usd_per_token: usd_per_token * share }
            }
            Self::Ratio { from, to, usd } => Self::Ratio { from, to, usd: usd * share },
            Self::Escalation { model, usd } => Self::Escalation { model, usd: usd * share },
        }
    }
}

/// What many requests owe together.
#[derive(Debug, Default)]
pub(super) struct Owed {
    output: HashMap<(Option<String>, String), Weighted>,
    ratio: HashMap<(String, String), Weighted>,
    escalation: HashMap<(Option<String>, String), Weighted>,
}

impl Owed {
    /// Takes in what a request owes.
    pub fn push(&mut self, route: Option<&str>, owes: &[Owes]) {
        let route = || route.map(str::to_owned);
        for owed in owes {
            match owed {
                Owes::Output { model, usd_per_token } => {
                    self.output.entry((route(), model.clone())).or_default().push(*usd_per_token);
                }
                Owes::Ratio { from, to, usd } => {
                    self.ratio.entry((from.clone(), to.clone())).or_default().push(*usd);
                }
                Owes::Escalation { model, usd } => {
                    self.escalation.entry((route(), model.clone())).or_default().push(*usd);
                }
            }
        }
    }

    /// The variance of their sum, in dollars squared.
    pub fn variance(&self, learned: &Learned) -> f64 {
        let outputs = self.output.iter().filter_map(|((route, model), weights)| {
            let habit = learned.habit(route.as_deref(), model)?;
            Some(weights.variance(habit.output.variance(), habit.output.variance_of_mean()))
        });
        let ratios = self.ratio.iter().filter_map(|((from, to), weights)| {
            let ratio = learned.ratio(from, to)?;
            Some(weights.variance(ratio.variance(), ratio.variance_of_mean()))
        });
        let escalations = self.escalation.iter().filter_map(|((route, model), weights)| {
            let (share, n) = learned.rejection(route.as_deref(), model)?;
            let one = share * (1.0 - share);
            Some(weights.variance(one, one / count(n)))
        });
        outputs.chain(ratios).chain(escalations).sum()
    }
}
