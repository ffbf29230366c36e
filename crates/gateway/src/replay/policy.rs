//! What another policy would decide for a past request, as far as the ledger can say. Prompts are not in it; what rules
//! and checks found when the request was made is.

use ledger::{Outcome, Past};
use router::{Check, Pick, Rule};
use serde::Deserialize;

use super::learn::went_to_default;
use crate::config::{Config, Group, Resolved, RouteConfig, Target};

/// What a stored decision says. Everything else in it is passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Logged {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    checks: Vec<String>,
    difficulty: Option<Score>,
    doubt: Option<Score>,
}

/// A learned score that was taken.
#[derive(Debug, Deserialize)]
struct Score {
    score: f64,
    #[serde(default)]
    domain: String,
}

impl Score {
    /// Above a threshold, and not of a domain that the score does not know.
    fn is_over(&self, over: f64) -> bool {
        self.score > over && self.domain != "unknown domain"
    }
}

/// Why the ledger cannot say: few words, counted.
pub(super) type Because = &'static str;

/// Which calls would be made.
#[derive(Debug, Clone)]
pub(super) enum Calls<'c> {
    /// As they were made, to the last one.
    AsTheyWere,
    /// One call to one of these, with these shares.
    One(Vec<(&'c Target, f64)>),
    /// The first answer, then, with this certainty, an escalation.
    Gated {
        /// Asked first.
        first: Vec<(&'c Target, f64)>,
        /// Asked when a check fails.
        second: Vec<(&'c Target, f64)>,
        /// Whether it fails.
        escalates: Escalates,
    },
}

/// Whether checks would turn the first answer down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escalates {
    /// The ledger says so.
    Yes,
    /// The ledger says not.
    No,
    /// As often as the first model's answers were turned down on this route.
    AsOften,
}

/// The decision, and whether it escalates before the call.
#[derive(Debug, Clone)]
pub(super) struct Decided<'c> {
    pub calls: Calls<'c>,
    /// A rule sends it to the escalation at once.
    pub before: bool,
}

impl Logged {
    /// What was stored; nothing where there is none.
    pub(super) fn of(past: &Past) -> Self {
        past.decision.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Shadow traffic is drawn from chats without tools; a judge says nothing of anything else.
    pub(super) fn can_be_judged(&self, past: &Past) -> bool {
        past.op == "chat" && !self.needs.iter().any(|need| need.contains("tools"))
    }
}

/// Decides. Errors with why the ledger cannot say.
pub(super) fn decide<'c>(config: &'c Config, past: &Past, logged: &Logged) -> Result<Decided<'c>, Because> {
    let named = past.route.as_deref().unwrap_or(&past.requested_model);
    if let Some(route) = config.routes.get(named) {
        return by_route(route, past, logged);
    }
    if let Some(group) = config.models.get(named) {
        return Ok(Decided { calls: pinned(group, past, logged)?, before: false });
    }
    match config.resolve(named) {
        // `resolve` hands out owners, and routes and groups of the file are found above: what is left is a vendor's model
        // that is called by its own name, which no policy changes.
        Ok(Resolved::Group(group)) => {
            let there = answered(past).is_some_and(|id| group.targets.iter().any(|t| t.id == id));
            if there {
                Ok(Decided { calls: Calls::AsTheyWere, before: false })
            } else {
                Err("another vendor would answer a model that was named as a vendor's")
            }
        }
        Ok(Resolved::Route(_)) | Err(_) => Err("the policy has no route or model of that name"),
    }
}

fn pinned<'c>(group: &'c Group, past: &Past, logged: &Logged) -> Result<Calls<'c>, Because> {
    let picked = pick(group, past, logged)?;
    Ok(if is_first(&picked, past) { Calls::AsTheyWere } else { Calls::One(picked) })
}

fn by_route<'c>(route: &'c RouteConfig, past: &Past, logged: &Logged) -> Result<Decided<'c>, Because> {
    let first = pick(&route.default, past, logged);
    let second = route.escalate.as_ref().map(|group| pick(group, past, logged)).transpose();
    if let (Some(second), true) = (second.clone()?, escalates_before(&route.route.before, past, logged)?) {
        let same = !went_to_default(past) && is_first(&second, past);
        let calls = if same { Calls::AsTheyWere } else { Calls::One(second) };
        return Ok(Decided { calls, before: true });
    }
    let first = first?;
    let Some(second) = second? else {
        let same = is_first(&first, past) && !turned_down(past);
        return Ok(Decided {
            calls: if same { Calls::AsTheyWere } else { Calls::One(first) },
            before: false,
        });
    };
    let checked = !route.route.after.is_empty() && past.op != "embedding";
    if !checked {
        let same = is_first(&first, past) && !turned_down(past);
        return Ok(Decided {
            calls: if same { Calls::AsTheyWere } else { Calls::One(first) },
            before: false,
        });
    }
    let escalates = if went_to_default(past) && is_first(&first, past) {
        verdict(&route.route.after, past, logged)
    } else {
        Escalates::AsOften
    };
    let as_it_was = match escalates {
        Escalates::No => !turned_down(past) && is_first(&first, past),
        Escalates::Yes => turned_down(past) && last_is(&second, past),
        Escalates::AsOften => false,
    };
    let calls = if as_it_was { Calls::AsTheyWere } else { Calls::Gated { first, second, escalates } };
    Ok(Decided { calls, before: false })
}

/// Would a rule send it to the escalation? A rule on text is known only where the same rule was looked at.
fn escalates_before(rules: &[Rule], past: &Past, logged: &Logged) -> Result<bool, Because> {
    if past.reason == "sticky" {
        return Err("the conversation was bound to its vendor");
    }
    let mut unknown = None;
    for rule in rules {
        let holds = match rule {
            Rule::InputTokensOver(limit) => logged.input_tokens.map(|tokens| tokens > *limit),
            Rule::DifficultyOver(threshold) => {
                logged.difficulty.as_ref().map(|score| score.is_over(threshold.over))
            }
            other @ Rule::Matches(_) => {
                let name = format!("{other}: ");
                let said = logged.rules.iter().find_map(|line| line.strip_prefix(name.as_str()));
                said.map(|said| said.starts_with("yes"))
            }
        };
        match holds {
            Some(true) => return Ok(true),
            Some(false) => {}
            None => unknown = Some("a rule on the prompt was not looked at when the request was made"),
        }
    }
    unknown.map_or(Ok(false), Err)
}

/// Would a check turn down the first answer, which is the one that was given?
fn verdict(checks: &[Check], past: &Past, logged: &Logged) -> Escalates {
    let fired = past.reason.strip_prefix("check:").filter(|_| turned_down(past));
    let mut all_seen = true;
    for check in checks {
        // A score that was taken decides for every threshold.
        if let (Check::DoubtOver(threshold), Some(score)) = (check, &logged.doubt) {
            if score.is_over(threshold.over) {
                return Escalates::Yes;
            }
            continue;
        }
        if fired == Some(check.as_str()) {
            // A regex that fired is this one only if the same pattern was listed.
            if logged.checks.iter().any(|seen| *seen == check.to_string()) {
                return Escalates::Yes;
            }
        }
        all_seen &= logged.checks.iter().any(|seen| *seen == check.to_string());
    }
    // Where a check that does not fire there ended the answer early, the rest of it was never seen.
    if all_seen && fired.is_none() { Escalates::No } else { Escalates::AsOften }
}

/// Which vendors of a group would be asked, with their shares. Those that documentedly cannot serve it are left out.
fn pick<'c>(group: &'c Group, past: &Past, logged: &Logged) -> Result<Vec<(&'c Target, f64)>, Because> {
    let can = |target: &&std::sync::Arc<Target>| {
        let needs = logged.needs.iter();
        let lacks = |need: &String| target.offer.facts.can.get(need) == Some(catalog::Ability::No);
        !needs.into_iter().any(lacks)
    };
    let able: Vec<&Target> = group.targets.iter().filter(can).map(AsRef::as_ref).collect();
    let (Some(first), many) = (able.first(), able.len() > 1) else {
        return Err("no model of the policy can serve it");
    };
    if !many {
        return Ok(vec![(first, 1.0)]);
    }
    match group.pick {
        Pick::Order => Ok(vec![(first, 1.0)]),
        Pick::Weighted => {
            let all: u32 = able.iter().map(|target| target.weight).sum();
            let share = |target: &Target| f64::from(target.weight) / f64::from(all.max(1));
            // The vendor that was asked keeps its requests as far as its share goes: which session goes where is chance.
            match able.iter().find(|target| Some(target.id.as_str()) == asked_first(past).as_deref()) {
                Some(same) if same.weight > 0 => Ok(vec![(same, 1.0)]),
                _ => Ok(able.iter().filter(|t| t.weight > 0).map(|t| (*t, share(t))).collect()),
            }
        }
        Pick::Cheapest => Ok(vec![(cheapest(first, &able, past), 1.0)]),
        _ => match able.iter().find(|target| Some(target.id.as_str()) == asked_first(past).as_deref()) {
            Some(same) => Ok(vec![(same, 1.0)]),
            None => Err("which vendor is fastest then is not known"),
        },
    }
}

/// By the price of what the request used; unknown prices last.
fn cheapest<'c>(first: &'c Target, able: &[&'c Target], past: &Past) -> &'c Target {
    let usage = past.attempts.last().map(|attempt| attempt.usage).unwrap_or_default();
    let context = catalog::Context { tier: catalog::Tier::Standard, region: None, at: past.started_at };
    let price = |target: &Target| {
        let price = target.offer.price(&usage, &context).total();
        (price.is_none(), price)
    };
    able.iter().fold(first, |best, target| if price(target) < price(best) { target } else { best })
}

fn asked_first(past: &Past) -> Option<String> {
    past.attempts.first().map(|a| format!("{}/{}", a.provider, a.model))
}

fn answered(past: &Past) -> Option<String> {
    past.attempts.last().map(|a| format!("{}/{}", a.provider, a.model))
}

/// The request began where the policy would begin.
fn is_first(picked: &[(&Target, f64)], past: &Past) -> bool {
    let first = past.attempts.first();
    matches!((picked, first), ([(target, _)], Some(a)) if is(target, a))
}

/// The request ended where the policy would end.
fn last_is(picked: &[(&Target, f64)], past: &Past) -> bool {
    let last = past.attempts.last();
    matches!((picked, last), ([(target, _)], Some(a)) if is(target, a))
}

/// The call went to this target.
pub(super) fn is(target: &Target, attempt: &ledger::PastAttempt) -> bool {
    target.host.id == attempt.provider && target.offer.model == attempt.model
}

/// A check turned its first answer down.
pub(super) fn turned_down(past: &Past) -> bool {
    past.attempts.iter().any(|attempt| attempt.outcome == Outcome::Rejected.as_str())
}
