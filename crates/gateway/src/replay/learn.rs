//! What the ledger teaches about models: how long their answers are on a route, how their tokenizers count, how much of
//! their input comes from a cache, how often a check turned their answers down.

use std::collections::HashMap;

use ledger::{Outcome, Past, PastAttempt};

use super::interval::{Moments, count};

/// Fewer observations than this say nothing.
pub(super) const LEAST: u64 = 30;

/// One model on one route.
#[derive(Clone, Debug, Default)]
pub(super) struct Habit {
    /// Output tokens of whole answers, reasoning included.
    pub output: Moments,
    /// Share of the output that is reasoning, by tokens.
    reasoning: u64,
    all_output: u64,
    cached: u64,
    all_input: u64,
    /// First answers that checks looked at.
    pub checked: u64,
    /// Of these, turned down.
    pub rejected: u64,
}

impl Habit {
    /// Share of the output that is reasoning.
    pub fn reasoning_share(&self) -> f64 {
        if self.all_output == 0 { 0.0 } else { count(self.reasoning) / count(self.all_output) }
    }

    /// Share of the input that was read from a cache.
    pub fn cached_share(&self) -> f64 {
        if self.all_input == 0 { 0.0 } else { count(self.cached) / count(self.all_input) }
    }

    /// Share of first answers that a check turned down; `None` with too few.
    pub fn rejection(&self) -> Option<f64> {
        (self.checked >= LEAST).then(|| count(self.rejected) / count(self.checked))
    }
}

/// Everything that was learned.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// By route (empty: pinned) and by model name without its host.
    habits: HashMap<String, HashMap<String, Habit>>,
    /// Tokens of the second model for a token of the first, from requests that both answered.
    ratios: HashMap<(String, String), Moments>,
}

/// The model's own name, whatever the host calls it: `Qwen/Qwen3-8B` at two hosts is one model.
pub(super) fn same_name(model: &str) -> String {
    model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase()
}

impl Learned {
    /// Takes a request in.
    pub fn take(&mut self, past: &Past) {
        let route = past.route.as_deref().unwrap_or_default();
        let habits = match self.habits.get_mut(route) {
            Some(habits) => habits,
            None => self.habits.entry(route.to_owned()).or_default(),
        };
        let turned_down = past.attempts.iter().any(|a| a.outcome == Outcome::Rejected.as_str());
        for attempt in past.attempts.iter().filter(|attempt| is_reported(attempt)) {
            let habit = habits.entry(same_name(&attempt.model)).or_default();
            let usage = &attempt.usage;
            habit.all_input += usage.total_input();
            habit.cached += usage.cache_read;
            if attempt.outcome == Outcome::Ok.as_str() {
                habit.output.push(count(usage.total_output()));
                habit.reasoning += usage.reasoning;
                habit.all_output += usage.total_output();
            }
            if went_to_default(past) && (attempt.outcome == Outcome::Rejected.as_str() || !turned_down) {
                habit.checked += 1;
                habit.rejected += u64::from(attempt.outcome == Outcome::Rejected.as_str());
            }
        }
        self.pairs(past);
    }

    /// Two models that read the same prompt in one request: their counts give the ratio of their tokenizers. Not after
    /// `reconsider`, which shows the second one more; a ratio that far off is no tokenizer's.
    fn pairs(&mut self, past: &Past) {
        let read: Vec<&PastAttempt> =
            past.attempts.iter().filter(|a| is_reported(a) && a.usage.total_input() > 0).collect();
        for (at, first) in read.iter().enumerate() {
            for second in read.iter().skip(at + 1) {
                let (a, b) = (same_name(&first.model), same_name(&second.model));
                if a == b {
                    continue;
                }
                let ratio = count(second.usage.total_input()) / count(first.usage.total_input());
                if (0.5..=2.0).contains(&ratio) {
                    self.ratios.entry((a.clone(), b.clone())).or_default().push(ratio);
                    self.ratios.entry((b, a)).or_default().push(1.0 / ratio);
                }
            }
        }
    }

    /// A model's habit on a route; `None` with too few whole answers.
    pub fn habit(&self, route: Option<&str>, model: &str) -> Option<&Habit> {
        let habit = self.habits.get(route.unwrap_or_default())?.get(&same_name(model))?;
        (habit.output.n >= LEAST).then_some(habit)
    }

    /// How often checks turned a model's first answer down on a route.
    pub fn rejection(&self, route: Option<&str>, model: &str) -> Option<(f64, u64)> {
        let habit = self.habits.get(route.unwrap_or_default())?.get(&same_name(model))?;
        Some((habit.rejection()?, habit.checked))
    }

    /// Tokens of `to` for a token of `from`; `None` with too few pairs.
    pub fn ratio(&self, from: &str, to: &str) -> Option<Moments> {
        let moments = self.ratios.get(&(same_name(from), same_name(to)))?;
        (moments.n >= LEAST).then_some(*moments)
    }
}

/// The vendor counted, and the answer is not a fragment of what a failure left.
fn is_reported(attempt: &PastAttempt) -> bool {
    attempt.usage.basis == catalog::Basis::Reported
        && (attempt.outcome == Outcome::Ok.as_str() || attempt.outcome == Outcome::Rejected.as_str())
}

/// No rule sent it to the escalation before the call.
pub(super) fn went_to_default(past: &Past) -> bool {
    let reason = past.reason.as_str();
    past.route.is_some() && (reason == "default" || reason.starts_with("check:"))
}

#[cfg(test)]
mod tests {
    use catalog::{Basis, Usage};

    use super::*;

    fn attempt(model: &str, outcome: &str, input: u64, output: u64) -> PastAttempt {
        PastAttempt {
            provider: "p".to_owned(),
            model: model.to_owned(),
            outcome: outcome.to_owned(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            usage: Usage { input, output, basis: Basis::Reported, ..Usage::default() },
            cost: None,
            free: false,
        }
    }

    fn past(reason: &str, attempts: Vec<PastAttempt>) -> Past {
        Past { route: Some("auto".to_owned()), reason: reason.to_owned(), attempts, ..Past::default() }
    }

    #[test]
    fn lengths_ratios_and_rejections_are_learned() {
        let mut learned = Learned::default();
        for n in 0..60_u64 {
            learned.take(&past("default", vec![attempt("org/Small", "ok", 100, 200 + n)]));
            let second = vec![attempt("small", "rejected", 100, 10), attempt("big", "ok", 120, 400)];
            learned.take(&past("check:refusal", second));
        }
        let small = learned.habit(Some("auto"), "other-org/small").unwrap();
        assert!((small.output.mean - 229.5).abs() < 1e-9, "rejected prefixes are no lengths");
        assert_eq!(learned.rejection(Some("auto"), "small"), Some((0.5, 120)));
        assert!((learned.ratio("small", "big").unwrap().mean - 1.2).abs() < 1e-9);
        assert!((learned.ratio("big", "small").unwrap().mean - 1.0 / 1.2).abs() < 1e-9);
        assert!(learned.habit(Some("other"), "small").is_none());
    }

    #[test]
    fn few_observations_say_nothing() {
        let mut learned = Learned::default();
        for _ in 0..LEAST - 1 {
            learned.take(&past("default", vec![attempt("small", "ok", 1, 1)]));
        }
        assert!(learned.habit(Some("auto"), "small").is_none());
        assert!(learned.rejection(Some("auto"), "small").is_none());
    }
}
