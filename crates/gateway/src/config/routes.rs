//! `[routes.NAME]`: rules before the call, checks after it. Rules that can never fire are mistakes: a policy that fails
//! silently is worse than none.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use catalog::Money;
use jiff::Timestamp;
use regex::Regex;
use router::tune::Goal;
use router::{Check, HoldBack, How, Route, Rule, Threshold, Until};

use super::classifier::Classifier;
use super::doc::{Section, Value, type_name};
use super::models::{Models, Targets, check_name};
use super::nearest::nearest;
use super::{Group, RouteConfig};
use crate::shadow::{Judge, Shadow};
use crate::tune;

/// Most dollars a day for shadow, and for judge calls, where the file does not say.
const USD_PER_DAY: Money = Money::from_pico(1_000_000_000_000);
const RULES: &str = "{ matches = \"…\" }, { input_tokens_over = 30000 } or { difficulty_over = 0.62 }";
/// Bytes that a compiled regex may take: a pattern of a rule needs a hundredth.
const REGEX_BYTES: usize = 1 << 20;
const CHECKS: [&str; 5] = ["empty", "refusal", "repetition", "truncated", "broken_json"];

/// What routes are made from.
pub(super) struct Routes<'a> {
    pub(super) models: &'a Models,
    pub(super) targets: &'a Targets<'a>,
    /// Largest answer that is held.
    pub(super) answer_bytes: usize,
    /// The weights behind the learned scores.
    pub(super) classifier: &'a Classifier,
    /// Which prices hold.
    pub(super) now: Timestamp,
}

impl Routes<'_> {
    /// Reads every route.
    pub(super) fn read(&self, section: &Section<'_>) -> BTreeMap<String, Arc<RouteConfig>> {
        let mut routes = BTreeMap::new();
        for (name, place, value) in section.named() {
            let Some(section) = section.as_section(name, place.clone(), value) else { continue };
            check_name(section.doc, "route", name, place.clone());
            if self.models.declared.contains(name) {
                let hint = "give one of them another name".to_owned();
                section.doc.error(place, format!("the route `{name}` hides the model `{name}`"), Some(hint));
            }
            if let Some(route) = self.one(name, &section) {
                routes.insert(name.to_owned(), Arc::new(route));
            }
            section.finish();
        }
        routes
    }

    fn one(&self, name: &str, section: &Section<'_>) -> Option<RouteConfig> {
        section.refuse("residency", "residency rules");
        let default = self.group(section, "default");
        let escalate = self.group(section, "escalate");
        let last_resort = self.group(section, "last_resort");
        let before = before(section, self.classifier);
        let after = after(section, self.classifier);
        let route = Route {
            name: name.to_owned(),
            how: how(section),
            hold_back: self.hold_back(section, &after),
            check_tool_turns: section.flag("check_tool_turns"),
            before,
            after,
        };
        dead_rules(section, &route);
        if section.get("default").is_none() {
            let hint = "default = \"MODEL\", a name of [models] or a `provider/model`".to_owned();
            section.doc.error(section.span.clone(), format!("{} needs `default`", section.name), Some(hint));
        }
        let quality = section.share("quality");
        let mut route = RouteConfig {
            route,
            default: default?,
            escalate,
            last_resort,
            early_headers: section.flag("early_headers"),
            shadow: self.shadow(section),
        };
        if let Some(share) = quality {
            self.quality(section, share, &mut route);
        }
        Some(route)
    }

    /// `quality = 0.95`: thresholds that keep this share of the flagship's quality, found on benchmark data.
    fn quality(&self, section: &Section<'_>, share: f64, route: &mut RouteConfig) {
        let place = section.place("quality");
        let error = |message: &str, hint: &str| {
            section.doc.error(place.clone(), message, Some(hint.to_owned()));
        };
        let scored = route.route.before.iter().any(|rule| matches!(rule, Rule::DifficultyOver(_)))
            || route.route.after.iter().any(|check| matches!(check, Check::DoubtOver(_)));
        if scored {
            let message = "`quality` finds the thresholds, and `difficulty_over` or `doubt_over` sets one";
            return error(message, "keep one of them");
        }
        let Some(escalate) = &route.escalate else {
            return error(
                "`quality` keeps a share of the flagship's, and there is no `escalate`",
                "add `escalate = \"MODEL\"`",
            );
        };
        if !self.classifier.is_builtin() {
            let message = "`quality` is found on benchmark data of the built-in weights, and `[classifier]` names others";
            return error(message, "set `difficulty_over` and `doubt_over`");
        }
        let prices = tune::list_prices(&route.default, escalate, self.now);
        let choice = match tune::on_benchmark(route, prices, Goal::Quality(share)) {
            Ok(choice) if tune::is_all(&choice) => {
                let message = format!("no threshold keeps {share} with confidence on benchmark data");
                return error(&message, "ask for less, or make the flagship the default");
            }
            Ok(choice) => choice,
            Err(why) => return error(&format!("`quality`: {why}"), "set `difficulty_over` and `doubt_over`"),
        };
        let threshold =
            |over| Threshold { over, learned: self.classifier.weights(section.doc, place.clone()) };
        route.route.before.extend(choice.difficulty_over.map(|over| Rule::DifficultyOver(threshold(over))));
        route.route.after.extend(choice.doubt_over.map(|over| Check::DoubtOver(threshold(over))));
    }

    /// `shadow = { share = 0.02, model = "flagship", usd_per_day = "1" }`, and `judge` of the same shape.
    fn shadow(&self, section: &Section<'_>) -> Option<Shadow> {
        let shadow = section.section("shadow").and_then(|table| self.sampled(table));
        let judge = section.section("judge").and_then(|table| self.sampled(table));
        if section.get("judge").is_some() && section.get("shadow").is_none() {
            let hint = "add `shadow = { share = 0.02, model = \"…\" }`".to_owned();
            let message = "`judge` compares with the shadow's answers, and there is no `shadow`";
            section.doc.error(section.place("judge"), message, Some(hint));
        }
        let (share, group, usd_per_day) = shadow?;
        if section.string("default").is_some_and(|(name, _)| name == group.name) {
            let message = "`shadow` names the model of `default`: it would be compared with itself";
            section.doc.error(section.place("shadow"), message, None);
        }
        if judge.as_ref().is_some_and(|(judged, ..)| *judged > share) {
            let message = "`judge` has a larger share than `shadow`: only shadowed requests can be judged";
            section.doc.error(section.place("judge"), message, None);
        }
        let judge =
            judge.map(|(judged, group, usd_per_day)| Judge { share: judged / share, group, usd_per_day });
        Some(Shadow { share, group, usd_per_day, judge })
    }

    fn sampled(&self, table: Section<'_>) -> Option<(f64, Arc<Group>, Money)> {
        let (share, model) = (table.share("share"), self.group(&table, "model"));
        let usd_per_day = table.money("usd_per_day");
        for key in ["share", "model"] {
            if table.get(key).is_none() {
                table.doc.error(table.span.clone(), format!("{} needs `{key}`", table.name), None);
            }
        }
        let given = table.get("usd_per_day").is_some();
        table.finish();
        let usd_per_day = if given { usd_per_day? } else { USD_PER_DAY };
        Some((share?, model?, usd_per_day))
    }

    /// The model that a key names: an alias, or one `provider/model`.
    fn group(&self, section: &Section<'_>, key: &'static str) -> Option<Arc<Group>> {
        let (name, span) = section.string(key)?;
        if let Some(group) = self.models.groups.get(name) {
            return Some(Arc::clone(group));
        }
        if self.models.declared.contains(name) {
            return None;
        }
        if name.contains('/') {
            let target = self.targets.one(section.doc, name, span, 1, &self.models.declared)?;
            return Some(Arc::new(Group {
                name: name.to_owned(),
                pick: router::Pick::Order,
                targets: vec![target],
            }));
        }
        let known = self.models.declared.iter().map(String::as_str);
        let hint = match nearest(name, known, 1).first() {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add [models.{name}], or write a `provider/model`"),
        };
        section.doc.error(span, format!("`{key}` = \"{name}\" is no model of this file"), Some(hint));
        None
    }

    fn hold_back(&self, section: &Section<'_>, after: &[Check]) -> HoldBack {
        let whole = after.iter().find(|check| check.is_whole());
        let usual = if whole.is_some() { HoldBack::WHOLE } else { HoldBack::PREFIX };
        let Some(table) = section.section("hold_back") else { return usual };
        let until = table.string("until");
        let ms = table.integer("ms", 1..=600_000);
        let tokens = table.integer("tokens", 1..=4_096);
        let bytes = table.integer("bytes", 1..=self.answer_bytes as u64);
        let other = |key: &'static str, word: &str| {
            if table.get(key).is_some() {
                table.doc.error(
                    table.place(key),
                    format!("`{key}` is not read with until = \"{word}\""),
                    None,
                );
            }
        };
        let held = match until {
            Some(("prefix", span)) => {
                other("bytes", "prefix");
                if let Some(check) = whole {
                    let message =
                        format!("`{}` reads the whole answer and cannot decide on a prefix", check.as_str());
                    table.doc.error(span, message, Some("until = \"end\"".to_owned()));
                }
                let tokens = tokens.and_then(|n| u32::try_from(n).ok()).unwrap_or(64);
                if tokens < 64 && after.iter().any(|check| matches!(check, Check::DoubtOver(_))) {
                    let message = "`doubt_over` judges after 64 or 256 tokens: it would never decide";
                    table.doc.error(table.place("tokens"), message, Some("tokens = 64".to_owned()));
                }
                Some((Until::Prefix { tokens }, HoldBack::PREFIX.ms))
            }
            Some(("end", _)) => {
                other("tokens", "end");
                let bytes =
                    bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(262_144).min(self.answer_bytes);
                Some((Until::End { bytes }, HoldBack::WHOLE.ms))
            }
            Some((word, span)) => {
                let hint = "\"prefix\" or \"end\"".to_owned();
                table.doc.error(span, format!("`until` = \"{word}\" is none that we know"), Some(hint));
                None
            }
            None => {
                if table.get("until").is_none() {
                    let hint = "until = \"prefix\" or \"end\"".to_owned();
                    table.doc.error(table.span.clone(), "`hold_back` needs `until`", Some(hint));
                }
                None
            }
        };
        table.finish();
        let Some((until, usual_ms)) = held else { return usual };
        HoldBack { until, ms: ms.and_then(|n| u32::try_from(n).ok()).unwrap_or(usual_ms) }
    }
}

fn how(section: &Section<'_>) -> How {
    match section.string("how") {
        None | Some(("fresh", _)) => How::Fresh,
        Some(("reconsider", _)) => How::Reconsider,
        Some((word, span)) => {
            let hint = "\"fresh\" or \"reconsider\"".to_owned();
            section.doc.error(span, format!("`how` = \"{word}\" is none that we know"), Some(hint));
            How::Fresh
        }
    }
}

/// What is written and could never have an effect.
fn dead_rules(section: &Section<'_>, route: &Route) {
    let doc = section.doc;
    if section.get("escalate").is_none() {
        for key in ["escalate_before", "escalate_after"] {
            if section.get(key).is_some() {
                let hint = "add `escalate = \"MODEL\"`".to_owned();
                doc.error(
                    section.place(key),
                    format!("`{key}` can never fire: there is no `escalate`"),
                    Some(hint),
                );
            }
        }
    } else if let (Some((default, _)), Some((escalate, span))) =
        (section.string("default"), section.string("escalate"))
        && default == escalate
    {
        doc.error(span, "`escalate` names the model of `default`: escalating would change nothing", None);
    }
    if route.after.is_empty() && section.get("escalate_after").is_none() {
        for key in ["how", "hold_back", "check_tool_turns"] {
            if section.get(key).is_some() {
                let hint = "add `escalate_after = [\"empty\", \"refusal\"]`, or take it out".to_owned();
                doc.error(
                    section.place(key),
                    format!("`{key}` has no effect: there is no `escalate_after`"),
                    Some(hint),
                );
            }
        }
    }
}

fn before(section: &Section<'_>, classifier: &Classifier) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for item in section.array("escalate_before").unwrap_or_default() {
        let Some(rule) = rule(section, item, classifier) else { continue };
        let twin = rules.iter().any(|earlier| match (earlier, &rule) {
            (Rule::Matches(a), Rule::Matches(b)) => a.as_str() == b.as_str(),
            (Rule::InputTokensOver(_), Rule::InputTokensOver(_))
            | (Rule::DifficultyOver(_), Rule::DifficultyOver(_)) => true,
            _ => false,
        });
        if twin {
            let message = "this rule can never fire: one like it stands before it";
            section.doc.error(item.span(), message, None);
        }
        rules.push(rule);
    }
    rules
}

/// `{ matches = "…" }`, `{ input_tokens_over = n }` or `{ difficulty_over = x }`.
fn rule(section: &Section<'_>, item: Value<'_>, classifier: &Classifier) -> Option<Rule> {
    let table = inline(section, "rule", item, RULES)?;
    let matches = table.string("matches").and_then(|(pattern, span)| regex(&table, pattern, span));
    let over = table.integer("input_tokens_over", 1..=100_000_000);
    let difficulty = threshold(&table, "difficulty_over", classifier);
    let conditions = ["matches", "input_tokens_over", "difficulty_over"];
    if conditions.iter().filter(|key| table.get(key).is_some()).count() != 1 {
        let hint = format!("{RULES}; list two rules for \"any of them\"");
        table.doc.error(table.span.clone(), "a rule has exactly one condition", Some(hint));
    }
    table.finish();
    match (matches, over, difficulty) {
        (Some(regex), None, None) => Some(Rule::Matches(regex.into())),
        (None, Some(limit), None) => Some(Rule::InputTokensOver(limit)),
        (None, None, Some(threshold)) => Some(Rule::DifficultyOver(threshold)),
        _ => None,
    }
}

/// A learned score's threshold.
fn threshold(table: &Section<'_>, key: &'static str, classifier: &Classifier) -> Option<Threshold> {
    let over = table.threshold(key)?;
    Some(Threshold { over, learned: classifier.weights(table.doc, table.place(key)) })
}

fn after(section: &Section<'_>, classifier: &Classifier) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for item in section.array("escalate_after").unwrap_or_default() {
        let Some(check) = check(section, item, classifier) else { continue };
        let twin = checks.iter().any(|earlier| match (earlier, &check) {
            (Check::Regex(a), Check::Regex(b)) => a.as_str() == b.as_str(),
            (a, b) => a.as_str() == b.as_str(),
        });
        if twin {
            section.doc.error(item.span(), format!("the check `{}` is listed twice", check.as_str()), None);
        }
        checks.push(check);
    }
    checks
}

fn check(section: &Section<'_>, item: Value<'_>, classifier: &Classifier) -> Option<Check> {
    let Some(word) = item.get_ref().as_str() else {
        let table = inline(
            section,
            "check",
            item,
            "a word such as \"empty\", { regex = \"…\" } or { doubt_over = 0.5 }",
        )?;
        let regex =
            table.string("regex").and_then(|(pattern, span)| regex(&table, pattern, span)).map(Check::Regex);
        let doubt = threshold(&table, "doubt_over", classifier).map(Check::DoubtOver);
        if table.get("regex").is_some() == table.get("doubt_over").is_some() {
            table.doc.error(
                table.span.clone(),
                "a check in braces needs `regex` or `doubt_over`, one of them",
                None,
            );
        }
        table.finish();
        return regex.or(doubt);
    };
    match word {
        "empty" => Some(Check::Empty),
        "refusal" => Some(Check::Refusal),
        "repetition" => Some(Check::Repetition),
        "truncated" => Some(Check::Truncated),
        "broken_json" => Some(Check::BrokenJson),
        _ => {
            let hint = match nearest(word, CHECKS, 1).first() {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => {
                    format!("one of {}, {{ regex = \"…\" }} or {{ doubt_over = 0.5 }}", CHECKS.join(", "))
                }
            };
            section.doc.error(item.span(), format!("\"{word}\" is no check"), Some(hint));
            None
        }
    }
}

/// An inline table of a list.
fn inline<'t>(section: &Section<'t>, kind: &str, item: Value<'t>, wanted: &str) -> Option<Section<'t>> {
    let Some(table) = item.get_ref().as_table() else {
        let message = format!("a {kind} is {wanted}, not {}", type_name(item.get_ref()));
        section.doc.error(item.span(), message, None);
        return None;
    };
    Some(Section::new(section.doc, format!("a {kind}"), item.span(), table))
}

/// Compiles a pattern. One that matches the empty text matches every text, and would escalate everything.
fn regex(section: &Section<'_>, pattern: &str, span: Range<usize>) -> Option<Regex> {
    match regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build() {
        Ok(regex) if regex.is_match("") => {
            let hint = "to escalate everything, make the escalation the default".to_owned();
            section.doc.error(span, "this pattern matches every text, the empty one too", Some(hint));
            None
        }
        Ok(regex) => Some(regex),
        Err(e) => {
            section.doc.error(span, format!("not a regex: {}", why(&e)), hint_for(pattern));
            None
        }
    }
}

/// The last line of the compiler's message is the reason; the lines before draw the pattern with a caret.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        error => {
            let text = error.to_string();
            let caret = text.lines().find(|line| line.trim_start().starts_with('^'));
            let column = caret
                .and_then(|line| line.find('^'))
                .map(|at| format!(" (at its character {})", at.saturating_sub(3)));
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{reason}{}", column.unwrap_or_default())
        }
    }
}

fn hint_for(pattern: &str) -> Option<String> {
    let looks = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look));
    looks.then(|| "look-around is not supported: it would make matching slow on hostile text".to_owned())
}
