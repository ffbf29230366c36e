//! What the ledger says of one's own traffic on a route: what calls cost, and what judges said of answers to prompts whose
//! difficulty was scored.
//!
//! Judges see only what the default model answered. The obvious alternative, thresholds from those verdicts alone, would
//! take it that prompts which the route sends to the flagship today are as easy as the others. Here such prompts are in,
//! as if the default model failed every one of them, so that no threshold is bolder than what was judged supports.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use ledger::{Outcome, Past, Period, Reader, TrafficQuery};
use router::tune::{Row, Seen, gather};
use serde::Deserialize;

/// Days of the ledger that are read.
const DAYS: i64 = 30;

/// One's own traffic, by route.
#[derive(Default)]
pub struct Own {
    /// Answered calls and what they cost, in dollars, by route and target.
    calls: BTreeMap<(String, String), (usize, f64)>,
    routes: BTreeMap<String, Labels>,
}

/// Requests of a route with a score, of the kind that shadow traffic is drawn from.
#[derive(Default)]
struct Labels {
    /// Judged: the request, its difficulty, whether the answer was at least as good as the flagship's.
    judged: Vec<(String, f64, bool)>,
    /// Answered by the default model, judged or not.
    by_default: usize,
    /// Sent to the flagship before the call, for their difficulty.
    escalated: Vec<(String, f64)>,
    /// Turned down by a check, and so escalated whatever the threshold.
    turned_down: Vec<(String, f64)>,
}

/// What a decision says.
#[derive(Deserialize)]
struct Logged {
    difficulty: Option<Scored>,
    #[serde(default)]
    needs: Vec<String>,
}

#[derive(Deserialize)]
struct Scored {
    score: f64,
    #[serde(default)]
    domain: String,
}

impl Own {
    /// Reads the last days. A machine without a ledger has nothing of its own.
    pub fn read(data_dir: &Path) -> anyhow::Result<Self> {
        let reader = match Reader::open(data_dir) {
            Ok(reader) => reader,
            Err(ledger::OpenError::Missing { .. }) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let since = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * DAYS)).ok();
        let period = Period { since, until: None };
        let judged = reader.judged(period)?;
        let mut own = Self::default();
        let query = TrafficQuery { period, filter: Vec::new(), decisions: !judged.is_empty() };
        reader.traffic(&query, |past| own.take(past, judged.get(&past.id).copied()))?;
        Ok(own)
    }

    fn take(&mut self, past: &Past, good: Option<bool>) {
        let Some(route) = &past.route else { return };
        for attempt in past.attempts.iter().filter(|a| a.outcome == Outcome::Ok.as_str()) {
            let Some(cost) = attempt.cost else { continue };
            let target = format!("{}/{}", attempt.provider, attempt.model);
            let sum = self.calls.entry((route.clone(), target)).or_default();
            *sum = (sum.0 + 1, sum.1 + cost.to_f64_usd());
        }
        let logged = past.decision.as_deref().and_then(|json| serde_json::from_str::<Logged>(json).ok());
        let Some(logged) = logged else { return };
        if past.op != "chat" || logged.needs.iter().any(|need| need.contains("tools")) {
            return;
        }
        let Some(scored) = logged.difficulty else { return };
        // A score of an unknown kind of prompt fires no rule, whatever the threshold.
        let difficulty = if scored.domain == "unknown domain" { 0.0 } else { scored.score };
        let labels = self.routes.entry(route.clone()).or_default();
        let id = past.id.to_string();
        match past.reason.as_str() {
            "default" => {
                labels.by_default += 1;
                labels.judged.extend(good.map(|good| (id, difficulty, good)));
            }
            reason if reason.starts_with("difficulty:") => labels.escalated.push((id, difficulty)),
            reason if reason.starts_with("check:") && reason != "check:undecided" => {
                labels.turned_down.push((id, difficulty));
            }
            _ => {}
        }
    }

    /// Answered calls to a target on a route, and what they cost in all.
    pub fn calls(&self, route: &str, target: &str) -> Option<&(usize, f64)> {
        self.calls.get(&(route.to_owned(), target.to_owned()))
    }

    /// Judged requests of a route.
    pub fn judged(&self, route: &str) -> usize {
        self.routes.get(route).map_or(0, |labels| labels.judged.len())
    }

    /// Them and the others, as thresholds are found on.
    pub fn rows(&self, route: &str) -> Vec<Row> {
        self.routes.get(route).map(Labels::rows).unwrap_or_default()
    }
}

impl Labels {
    fn rows(&self) -> Vec<Row> {
        #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
        let stands_for = self.by_default as f64 / self.judged.len().max(1) as f64;
        let row = |group, difficulty, weak, weight| Seen {
            group,
            difficulty,
            doubt: None,
            weak,
            strong: 1.0,
            weight,
        };
        let judged = self.judged.iter().map(|(id, difficulty, good)| {
            row(id.as_str(), *difficulty, if *good { 1.0 } else { 0.0 }, stands_for)
        });
        let escalated = self.escalated.iter().map(|(id, difficulty)| row(id, *difficulty, 0.0, 1.0));
        let turned_down = self.turned_down.iter().map(|(id, difficulty)| row(id, *difficulty, 1.0, 1.0));
        gather(judged.chain(escalated).chain(turned_down))
    }
}

#[cfg(test)]
mod tests {
    use ledger::{PastAttempt, RequestId};
    use router::tune::{Goal, Prices, Scores, tune};

    use super::*;

    fn past(n: u128, reason: &str, difficulty: f64) -> Past {
        let decision =
            format!(r#"{{"difficulty": {{"score": {difficulty}, "domain": "known"}}, "needs": []}}"#);
        Past {
            id: RequestId::from_parts(1, n),
            route: Some("auto".to_owned()),
            op: "chat".to_owned(),
            reason: reason.to_owned(),
            decision: Some(decision),
            attempts: Vec::<PastAttempt>::new(),
            ..Past::default()
        }
    }

    /// Prompts above `over` went to the flagship; of the others one in four was judged, and all were good.
    fn own(over: f64) -> Own {
        let mut own = Own::default();
        for n in 0..4_000_u32 {
            let difficulty = f64::from(n % 100) / 100.0;
            let reason = if difficulty > over { "difficulty:0.9" } else { "default" };
            let good = (reason == "default" && (n / 100) % 4 == 0).then_some(true);
            own.take(&past(u128::from(n), reason, difficulty), good);
        }
        own
    }

    #[test]
    fn prompts_that_no_judge_saw_are_not_taken_for_easy() {
        let prices = Prices { weak: 1.0, strong: 10.0 };
        let own = own(0.61);
        assert_eq!(own.judged("auto"), 620);
        let choice = tune(&own.rows("auto"), Scores::Difficulty, prices, Goal::Quality(0.95)).unwrap();
        let over = choice.difficulty_over.unwrap();
        assert!((0.6..=0.7).contains(&over), "every answer that was judged was good: {choice:?}");
        assert!((choice.before - (0.99 - over)).abs() < 0.03, "shares are of all requests: {choice:?}");
    }

    #[test]
    fn what_a_score_does_not_know_escalates_nowhere() {
        let mut own = own(0.61);
        let mut odd = past(9_999, "default", 0.99);
        odd.decision = odd.decision.map(|json| json.replace("known", "unknown domain"));
        own.take(&odd, Some(false));
        let lowest = own.rows("auto").iter().map(|row| row.difficulty).fold(1.0, f64::min);
        assert!((lowest - 0.02).abs() < 1e-9);
        assert_eq!(own.judged("auto"), 621);
    }
}
