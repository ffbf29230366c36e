//! Runs a suite against a model: at most so many questions at once, each answered question kept before the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use catalog::Money;
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::task::JoinSet;

use super::answers::{self, Answer, Answers};
use super::check::{Check, Verdict};
use super::gate::{Estimate, Gate, Unanswered};
use super::judge;
use super::results::{CaseResult, Outcome, Run};
use super::suite::{Case, Suite};

/// Output tokens that the estimate of a judge's call takes an answer for, as `explain` does for other calls.
const ASSUMED_ANSWER: usize = 500;

/// What all runs of one command share.
pub struct Session {
    /// The gate.
    pub gate: Gate,
    /// What was paid for before.
    pub answers: Answers,
    /// The suite.
    pub suite: Suite,
    /// Questions at once.
    pub jobs: usize,
    /// Stop asking when this is spent. What is under way then is paid on top.
    pub budget: Option<Money>,
    /// What this command has paid so far.
    pub paid: Mutex<Paid>,
}

/// Money paid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paid {
    /// Exact.
    pub usd: Money,
    /// Calls whose cost is unknown.
    pub unknown: usize,
}

/// What is expected to be paid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Questions that have no answer yet.
    pub questions: usize,
    /// What they will cost.
    pub to_pay: Estimate,
    /// What the whole suite would cost, known answers too: what models are put in order by.
    pub in_full: Estimate,
}

impl Session {
    /// What was paid so far.
    pub fn paid(&self) -> Paid {
        *self.paid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.paid().usd >= budget)
    }

    /// What a run against `model` would pay. Errors as the gate would refuse the first question.
    pub async fn expect(&self, model: &str) -> Result<Expected, Unanswered> {
        let nothing = Estimate { first: Some(Money::ZERO), most: Some(Money::ZERO) };
        let mut expected = Expected { questions: 0, to_pay: nothing, in_full: nothing };
        for case in &self.suite.cases {
            let body = Value::Object(case.body.clone());
            let mut price = self.gate.explain(model, &body).await?;
            for (criterion, judge) in case.judges() {
                let asked = judge::body(criterion, &case.body, &"word ".repeat(ASSUMED_ANSWER * 4 / 5));
                price = price.plus(self.gate.explain(judge, &asked).await?);
            }
            expected.in_full = expected.in_full.plus(price);
            if self.answers.get(&answers::key(model, &body)).is_none() {
                expected.questions += 1;
                expected.to_pay = expected.to_pay.plus(price);
            }
        }
        Ok(expected)
    }

    /// Runs the suite. `allowed`: stop once more cases than that are no pass. Errors when answers cannot be kept.
    pub async fn run(
        self: &Arc<Self>,
        model: &str,
        allowed: Option<usize>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Run> {
        let (next, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut workers = JoinSet::new();
        for _ in 0..self.jobs.max(1) {
            let (session, model, bar) = (Arc::clone(self), model.to_owned(), bar.clone());
            let (next, lost) = (Arc::clone(&next), Arc::clone(&lost));
            workers.spawn(async move {
                let mut done = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = session.suite.cases.get(at) else { return anyhow::Ok(done) };
                    let hopeless = allowed.is_some_and(|most| lost.load(Ordering::Relaxed) > most);
                    let result = if hopeless {
                        nothing(case, Outcome::Skipped, "the run could not pass any more")
                    } else {
                        session.case(&model, at, case).await?
                    };
                    if result.result != Outcome::Pass {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    done.push((at, result));
                    bar.inc(1);
                }
            });
        }
        let mut all = Vec::with_capacity(self.suite.cases.len());
        while let Some(worker) = workers.join_next().await {
            all.extend(worker??);
        }
        all.sort_by_key(|(at, _)| *at);
        Ok(Run::new(model, self.suite.min_pass, all.into_iter().map(|(_, result)| result).collect()))
    }

    async fn case(self: &Arc<Self>, model: &str, at: usize, case: &Case) -> anyhow::Result<CaseResult> {
        let (answer, cached) = match self.ask(model, &Value::Object(case.body.clone())).await? {
            Asked::Got(answer, cached) => (answer, cached),
            Asked::Spent => return Ok(nothing(case, Outcome::Skipped, "the budget is spent")),
            Asked::Nothing(why) => {
                let status = why.status.map(|status| format!("{status}: ")).unwrap_or_default();
                return Ok(nothing(case, Outcome::Unanswered, &format!("{status}{why}")));
            }
        };
        let mut result = CaseResult {
            result: Outcome::Pass,
            why: Vec::new(),
            answer: Some(answer.text.clone()),
            answered_by: answer.answered_by,
            reason: answer.reason,
            finish: answer.finish,
            cost_usd: answer.cost_usd,
            input_tokens: answer.input_tokens,
            output_tokens: answer.output_tokens,
            ms: Some(answer.ms),
            cached,
            request_id: answer.request_id,
            ..nothing(case, Outcome::Pass, "")
        };
        self.check(at, case, &answer.text, &mut result).await?;
        if result.result != Outcome::Pass && result.finish.as_deref() == Some("length") {
            result.why.push("the answer was cut at its token limit".to_owned());
        }
        Ok(result)
    }

    /// Runs the checks. A failure is a failure whatever else is missing.
    async fn check(
        self: &Arc<Self>,
        at: usize,
        case: &Case,
        text: &str,
        result: &mut CaseResult,
    ) -> anyhow::Result<()> {
        let (session, text_there) = (Arc::clone(self), text.to_owned());
        // Off the runtime: a check may run a program.
        let local = tokio::task::spawn_blocking(move || {
            let checks = session.suite.cases.get(at).map(|case| case.checks.as_slice()).unwrap_or_default();
            checks.iter().filter_map(|check| check.run(&text_there)).collect::<Vec<_>>()
        });
        for verdict in local.await? {
            if let Verdict::Fail(why) = verdict {
                result.result = Outcome::Fail;
                result.why.push(why);
            }
        }
        for (criterion, model) in case.judges() {
            let unjudged = match self.ask(model, &judge::body(criterion, &case.body, text)).await? {
                Asked::Got(said, _) => {
                    result.judge_cost_usd += said.cost_usd.unwrap_or_default();
                    match judge::verdict(&said.text, model) {
                        Ok(Verdict::Pass) => continue,
                        Ok(Verdict::Fail(why)) => {
                            result.result = Outcome::Fail;
                            result.why.push(why);
                            continue;
                        }
                        Err(why) => why,
                    }
                }
                Asked::Spent => "not judged: the budget is spent".to_owned(),
                Asked::Nothing(why) => format!("the judge {model} did not answer: {why}"),
            };
            if result.result == Outcome::Pass {
                result.result = Outcome::Unanswered;
            }
            result.why.push(unjudged);
        }
        Ok(())
    }

    /// A known answer, or a new one, kept before it is used.
    async fn ask(&self, model: &str, body: &Value) -> anyhow::Result<Asked> {
        let key = answers::key(model, body);
        if let Some(known) = self.answers.get(&key) {
            return Ok(Asked::Got(Box::new(known), true));
        }
        if self.spent() {
            return Ok(Asked::Spent);
        }
        let asked = self.gate.ask(key, model, body).await;
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(answer) => {
                match answer.cost_usd {
                    Some(cost) => paid.usd += cost,
                    None => paid.unknown += 1,
                }
                drop(paid);
                self.answers.put(&answer)?;
                Ok(Asked::Got(Box::new(answer), false))
            }
            Err(why) => {
                // A refusal at the door costs nothing; what a failed vendor billed only the ledger knows.
                let at_the_door = why.status.is_some_and(|status| (400..500).contains(&status));
                paid.unknown += usize::from(!at_the_door);
                Ok(Asked::Nothing(why))
            }
        }
    }
}

enum Asked {
    /// The answer, and whether it was known.
    Got(Box<Answer>, bool),
    Spent,
    Nothing(Unanswered),
}

fn nothing(case: &Case, result: Outcome, why: &str) -> CaseResult {
    CaseResult {
        id: case.id.clone(),
        result,
        why: vec![why.to_owned()],
        answer: None,
        answered_by: None,
        reason: None,
        finish: None,
        cost_usd: None,
        judge_cost_usd: Money::ZERO,
        input_tokens: None,
        output_tokens: None,
        ms: None,
        cached: false,
        request_id: None,
    }
}

impl Case {
    /// Criteria with the models that judge them.
    fn judges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().filter_map(|check| match check {
            Check::Judge { criterion, model } => Some((criterion.as_str(), model.as_str())),
            _ => None,
        })
    }
}
