//! From a route and a prompt to a plan, with its reasons.
//!
//! Order of thought: candidates that cannot serve the request fall out first, so that no rule can send an image to a
//! text-only model; a conversation that is bound to a target stays there; then the route's rules; then the pick among
//! vendors. The same inputs give the same plan.

use std::borrow::Cow;

use crate::adaptive::{self, Placed};
use crate::needs::{self, Fit};
use crate::{
    Candidate, Excluded, Explanation, Group, How, Judged, Kept, NoCandidate, Pattern, Pick, Plan, Prompt,
    Reason, Role, Route, Rule, Step, Until, Up, order,
};

/// Bytes of the start, and of the end, of the last user message that rules read. A regex with a Unicode word boundary
/// runs at some 20 MB/s over non-ASCII text; unbounded, one 32 MB message would hold a worker for seconds.
const RULE_WINDOW: usize = 131_072;
/// Characters of matched text in the reason.
const WORD_CHARS: usize = 40;

/// The candidates of a group that can serve the request, best first.
struct Able<'g, 'a> {
    group: &'g Group<'a>,
    kept: Vec<(&'g Candidate<'a>, Fit)>,
    /// The first need that excluded someone.
    lacked: Option<&'static str>,
    /// What placed each of `kept`, with `pick = "adaptive"`; else empty.
    placed: Vec<Placed>,
}

/// Decides. `route` is `None` for a pinned model or alias (then `default` is the only group and no check runs).
pub fn decide(
    route: Option<&Route>,
    prompt: &Prompt<'_>,
    default: &Group<'_>,
    escalate: Option<&Group<'_>>,
) -> Result<Plan, NoCandidate> {
    let mut record = Explanation {
        route: route.map(|r| r.name.clone()),
        input_tokens: prompt.input_tokens,
        needs: needs::in_words(prompt),
        ..Explanation::default()
    };
    let default = able(default, prompt, &mut record);
    let escalate = route.and(escalate).map(|group| able(group, prompt, &mut record));
    if let Some(group) = escalate.as_ref().filter(|e| e.kept.is_empty()) {
        record
            .notes
            .push(format!("no model of `{}` can serve this request: no escalation", group.group.name));
    }
    let escalate = escalate.filter(|e| !e.kept.is_empty());

    let (reason, mut first, escalation) = match (route, default.kept.is_empty(), escalate) {
        (_, true, None) | (None, true, _) => return Err(NoCandidate { excluded: record.excluded }),
        (None, false, _) => (Reason::Pinned, default, None),
        (Some(_), true, Some(escalate)) => {
            let name = default.group.name;
            record.notes.push(format!("no model of `{name}` can serve this request: its escalation answers"));
            (Reason::Needs(default.lacked.unwrap_or("model")), escalate, None)
        }
        (Some(route), false, escalate) => by_rules(route, prompt, default, escalate, &mut record),
    };
    stay(prompt, &mut first, &mut record);
    Ok(plan(route, prompt, reason, &first, escalation.as_ref(), record))
}

/// Filters and sorts one group.
fn able<'g, 'a>(group: &'g Group<'a>, prompt: &Prompt<'_>, record: &mut Explanation) -> Able<'g, 'a> {
    let mut kept = Vec::with_capacity(group.candidates.len());
    let mut lacked = None;
    for candidate in &group.candidates {
        match needs::fit(candidate, prompt) {
            Fit::No(need, why) => {
                lacked = lacked.or(Some(need));
                if !record.excluded.iter().any(|e| e.target == candidate.target) {
                    record.excluded.push(Excluded { target: candidate.target.to_owned(), why });
                }
            }
            fit => kept.push((candidate, fit)),
        }
    }
    let placed = if let Pick::Adaptive { explored } = group.pick {
        let (placed, note) = adaptive::arrange(prompt, f64::from(explored) / 1_000.0, &mut kept);
        record.notes.extend(note);
        placed
    } else {
        order::sort(group.pick, prompt, &mut kept);
        Vec::new()
    };
    Able { group, kept, lacked, placed }
}

/// The binding, else the rules, choose between the route's two models.
fn by_rules<'g, 'a>(
    route: &Route,
    prompt: &Prompt<'_>,
    default: Able<'g, 'a>,
    escalate: Option<Able<'g, 'a>>,
    record: &mut Explanation,
) -> (Reason, Able<'g, 'a>, Option<Able<'g, 'a>>) {
    if let Some(bound) = prompt.bound_to {
        if default.has(bound) {
            return (Reason::Sticky, default, escalate);
        }
        match escalate {
            Some(escalate) if escalate.has(bound) => return (Reason::Sticky, escalate, None),
            other => {
                record
                    .notes
                    .push(format!("`{bound}`, which this conversation is bound to, cannot serve it now"));
                return rules(route, prompt, default, other, record);
            }
        }
    }
    rules(route, prompt, default, escalate, record)
}

fn rules<'g, 'a>(
    route: &Route,
    prompt: &Prompt<'_>,
    default: Able<'g, 'a>,
    escalate: Option<Able<'g, 'a>>,
    record: &mut Explanation,
) -> (Reason, Able<'g, 'a>, Option<Able<'g, 'a>>) {
    let mut hit = None;
    for rule in &route.before {
        let (outcome, reason): (Cow<'_, str>, _) = match rule {
            Rule::Matches(pattern) => match find(pattern, prompt.last_user) {
                Some(word) => (format!("yes, `{word}`").into(), Some(Reason::Matched(word))),
                None => ("no".into(), None),
            },
            Rule::InputTokensOver(limit) => {
                let over = prompt.input_tokens > *limit;
                let answer = if over { "yes" } else { "no" };
                (format!("{answer}, about {}", prompt.input_tokens).into(), over.then_some(Reason::LongInput))
            }
            Rule::DifficultyOver(threshold) => {
                let judged = threshold.difficulty(prompt.last_user);
                let told = judged.as_ref().map_or("no, there are no weights".to_owned(), told);
                let fired = judged.as_ref().filter(|judged| judged.escalate);
                let reason = fired.map(|judged| Reason::Difficulty(hundredths(judged.score)));
                record.difficulty = judged;
                (told.into(), reason)
            }
        };
        let mut line = String::with_capacity(128);
        rule.tell(&mut line);
        line.push_str(": ");
        line.push_str(&outcome);
        record.rules.push(line);
        if reason.is_some() {
            hit = reason;
            break;
        }
    }
    match (hit, escalate) {
        (Some(reason), Some(escalate)) => (reason, escalate, None),
        (None, Some(escalate)) if warm_and_no_dearer(&escalate, &default) => {
            let (name, other) = (escalate.group.name, default.group.name);
            record.notes.push(format!(
                "stays with `{name}`: with its prompt cache warm it costs no more than `{other}` without one"
            ));
            (Reason::Sticky, escalate, None)
        }
        (_, escalate) => (Reason::Default, default, escalate),
    }
}

/// The conversation's cache is warm at the escalation and not at the default, and what it saves there makes the better
/// model the cheaper one.
fn warm_and_no_dearer(escalate: &Able<'_, '_>, default: &Able<'_, '_>) -> bool {
    let (Some((dear, _)), Some((cheap, _))) = (escalate.kept.first(), default.kept.first()) else {
        return false;
    };
    let no_dearer = dear.price.zip(cheap.price).is_some_and(|(dear, cheap)| dear <= cheap);
    no_dearer && dear.warm && !cheap.warm && dear.up == Up::Closed
}

/// `yes, 0.71`, `no, 0.34`, `unknown domain`.
fn told(judged: &Judged) -> String {
    let answer = if judged.escalate { "yes" } else { "no" };
    match judged.domain {
        "known" => format!("{answer}, {:.2}", judged.score),
        domain => format!("{answer}, {:.2}, {domain}", judged.score),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score of 0 to 1")]
fn hundredths(score: f64) -> u8 {
    (score * 100.0).round().clamp(0.0, 100.0) as u8
}

/// The matched text, fit for a header: lower-cased, bounded, without control characters.
fn find(pattern: &Pattern, text: &str) -> Option<String> {
    let found = if text.len() <= 2 * RULE_WINDOW {
        pattern.find(text)?
    } else {
        let (start, _) = text.split_at(text.floor_char_boundary(RULE_WINDOW));
        let (_, end) = text.split_at(text.ceil_char_boundary(text.len() - RULE_WINDOW));
        pattern.find(start).or_else(|| pattern.find(end))?
    };
    let word = found.chars().take(WORD_CHARS).map(|c| if c.is_control() { ' ' } else { c });
    Some(word.collect::<String>().to_lowercase().trim().to_owned())
}

/// Puts the target that the conversation is bound to first, unless its breaker is open.
fn stay(prompt: &Prompt<'_>, first: &mut Able<'_, '_>, record: &mut Explanation) {
    let Some(bound) = prompt.bound_to else { return };
    let Some(at) = first.kept.iter().position(|(c, _)| c.target == bound) else { return };
    if first.kept.get(at).is_some_and(|(c, _)| c.up == Up::Open) {
        record.notes.push(format!("`{bound}`, which this conversation is bound to, is out of rotation"));
    } else if let Some(head) = first.kept.get_mut(..=at) {
        head.rotate_right(1);
        if let Some(placed) = first.placed.get_mut(..=at) {
            placed.rotate_right(1);
        }
    }
}

impl Able<'_, '_> {
    fn has(&self, target: &str) -> bool {
        self.kept.iter().any(|(candidate, _)| candidate.target == target)
    }

    fn step(&self) -> Step {
        Step {
            model: self.group.name.to_owned(),
            targets: self.kept.iter().map(|(c, _)| c.target.to_owned()).collect(),
        }
    }

    fn record(&self, role: Role, into: &mut Vec<Kept>) {
        into.extend(self.kept.iter().enumerate().map(|(at, (candidate, fit))| Kept {
            target: candidate.target.to_owned(),
            model: self.group.name.to_owned(),
            role,
            pick: self.group.pick.as_str(),
            up: candidate.up,
            price_usd: candidate.price,
            ttft_ms: candidate.ttft_ms,
            cache: candidate.cache,
            adaptive: self.placed.get(at).copied(),
            weight: candidate.weight,
            unsure: match fit {
                Fit::Unsure(what) => Some(what.clone()),
                _ => None,
            },
        }));
    }
}

fn plan(
    route: Option<&Route>,
    prompt: &Prompt<'_>,
    reason: Reason,
    first: &Able<'_, '_>,
    escalation: Option<&Able<'_, '_>>,
    mut record: Explanation,
) -> Plan {
    first.record(Role::First, &mut record.candidates);
    if let Some(escalation) = escalation {
        escalation.record(Role::Escalation, &mut record.candidates);
    }
    reason.to_string().clone_into(&mut record.reason);

    let checked = route.filter(|r| escalation.is_some() && runs_checks(r, prompt, &mut record));
    let hold_to_end = checked.is_some_and(|route| holds_to_end(route, prompt));
    let hold = checked.map(|route| route.hold(hold_to_end));
    if let Some(route) = checked {
        record.checks = route.after.iter().map(ToString::to_string).collect();
    }
    if let Some(hold) = hold {
        record.hold = match hold.until {
            Until::Prefix { tokens } => format!("the first {tokens} tokens, at most {} ms", hold.ms),
            Until::End { bytes } => format!("to the end, at most {bytes} bytes, {} ms", hold.ms),
        };
    }
    let how = match route.filter(|_| escalation.is_some()) {
        Some(route) => how(route, prompt, &mut record),
        None => How::Fresh,
    };
    Plan {
        first: first.step(),
        escalation: escalation.map(Able::step),
        gated: checked.is_some(),
        hold_to_end,
        hold,
        how,
        reason,
        explanation: record,
    }
}

fn runs_checks(route: &Route, prompt: &Prompt<'_>, record: &mut Explanation) -> bool {
    if route.after.is_empty() || prompt.op == "embedding" {
        return false;
    }
    let spared = prompt.tool_turn && !route.check_tool_turns;
    if spared {
        record.notes.push("a tool-result turn: no checks run on the answer".to_owned());
    }
    !spared
}

/// Interface §3b: whole checks need the end, and an answer that a parser will read is not released half.
fn holds_to_end(route: &Route, prompt: &Prompt<'_>) -> bool {
    let needs = &prompt.needs;
    matches!(route.hold_back.until, Until::End { .. })
        || route.after.iter().any(crate::Check::is_whole)
        || needs.json_mode
        || needs.json_schema
        || needs.tools
}

/// `reconsider` quotes the cheap answer back, so it needs one text: interface §3b.
fn how(route: &Route, prompt: &Prompt<'_>, record: &mut Explanation) -> How {
    let needs = &prompt.needs;
    let hindrance = if needs.many_choices {
        Some("n is above 1")
    } else if needs.json_mode || needs.json_schema {
        Some("a response_format is set")
    } else if needs.tools {
        Some("the cheap answer may be a tool call")
    } else if needs.audio {
        Some("the cheap answer may be audio")
    } else {
        None
    };
    let how = match (route.how, hindrance) {
        (How::Reconsider, Some(why)) => {
            record.notes.push(format!("`reconsider` becomes `fresh`: {why}"));
            How::Fresh
        }
        (how, _) => how,
    };
    record.how = how.as_str();
    how
}
