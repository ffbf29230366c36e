//! The figures of a demo run, read from the ledger, the breakers, the vendors' own books and the answer key. Plain data:
//! `--json` prints it, [`super::narrate`] tells it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use catalog::Money;
use gateway::health::TargetHealth;
use ledger::{By, Outcome as Ended, Period, Reader, RequestQuery, RequestRow, SpendQuery, Totals};
use serde::Serialize;
use sim::{BillEnd, Sim};

use super::drive::Outcome;
use super::policies::Policy;
use super::prompts::Prompt;
use super::vendors::{Declared, VENDORS};

/// What must be said wherever a figure of the demo is shown.
pub const SIMULATED: &str = "Vendors, prompts, answers, delays and faults are simulated. Prices are real list prices; routing, ledger and arithmetic are the real ones.";
/// The heading of quality figures.
pub const OWN_KEY: &str = "against our own answer key; the share that the cheap model fails was set by us";
/// What a saving is.
pub const ESTIMATE: &str = "an estimate: the same tokens, one call each, at the flagship's price";

/// Everything that a run shows.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// [`SIMULATED`].
    pub simulated: &'static str,
    /// What was declared beforehand.
    pub vendors: Vec<Declared>,
    /// Names the price data.
    pub catalogue: String,
    pub prompts: usize,
    /// Requests of the client: an agent's loop makes two.
    pub requests: u64,
    pub seconds: f64,
    /// Prompts that were answered.
    pub answered: usize,
    /// What the client was told instead, by message.
    pub errors: BTreeMap<String, u64>,
    pub escalations: Vec<Count>,
    pub failovers: Failovers,
    pub breakers: Vec<TargetHealth>,
    pub routes: Vec<Line>,
    pub targets: Vec<Line>,
    pub total: Totals,
    /// [`ESTIMATE`].
    pub saving_is: &'static str,
    pub quality: Quality,
    /// The same prompts under three policies, without faults; see [`OWN_KEY`].
    pub policies: Vec<Policy>,
    pub books: Books,
    pub data_dir: PathBuf,
    pub dashboard: String,
}

/// How often something happened.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub what: String,
    pub requests: u64,
}

/// Calls that failed without the client noticing.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failovers {
    /// Requests that were answered although a call failed.
    pub survived: u64,
    /// Requests that were not.
    pub lost: u64,
    /// Failed calls by vendor and error.
    pub calls: Vec<FailedCalls>,
}

/// Failed calls of one kind at one vendor.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FailedCalls {
    pub provider: String,
    pub error: String,
    pub calls: u64,
}

/// A row of a spend table.
#[derive(Debug, Serialize)]
pub struct Line {
    pub name: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// Right answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// [`OWN_KEY`].
    pub measured: &'static str,
    pub of: usize,
    /// Through the gate.
    pub right: usize,
    /// What the cheap model alone would have got, by the key.
    pub cheap_alone: usize,
    /// What the flagship alone would have got, by the key: all of them.
    pub flagship_alone: usize,
}

/// The vendors' own count against the ledger's.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Calls that reached a vendor, by its own count.
    pub vendor_calls: u64,
    /// Attempts in the ledger.
    pub ledger_attempts: u64,
    /// Calls that the vendors billed: answered whole, cancelled by us, or broken off by a fault.
    pub billed_whole: usize,
    pub billed_cancelled: usize,
    pub billed_broken: usize,
}

/// What a summary is made from.
pub struct Sources<'a> {
    pub reader: &'a Reader,
    pub prompts: &'a [Prompt],
    pub outcomes: &'a [Outcome],
    pub breakers: Vec<TargetHealth>,
    pub sims: &'a [Sim],
    pub catalogue: String,
    pub elapsed: Duration,
    pub data_dir: PathBuf,
    pub dashboard: String,
    pub policies: Vec<Policy>,
}

/// Reads the figures. Errors when the ledger cannot be read.
pub fn summarise(from: Sources<'_>) -> anyhow::Result<Summary> {
    let rows = requests(from.reader)?;
    let (routes, total) = spend(from.reader, By::Route)?;
    let (targets, _) = spend(from.reader, By::Target)?;
    let mut errors = BTreeMap::new();
    for error in from.outcomes.iter().filter_map(|outcome| outcome.error.clone()) {
        *errors.entry(error).or_insert(0) += 1;
    }
    Ok(Summary {
        simulated: SIMULATED,
        vendors: VENDORS.to_vec(),
        catalogue: from.catalogue,
        prompts: from.prompts.len(),
        requests: from.outcomes.iter().map(|outcome| outcome.requests).sum(),
        seconds: from.elapsed.as_secs_f64(),
        answered: from.outcomes.iter().filter(|outcome| outcome.answered).count(),
        errors,
        escalations: escalations(rows.iter().map(|row| row.head.reason.as_str())),
        failovers: failovers(&rows),
        breakers: from.breakers,
        routes,
        targets,
        books: books(from.sims, total.attempts),
        total,
        saving_is: ESTIMATE,
        quality: quality(from.prompts, from.outcomes),
        policies: from.policies,
        data_dir: from.data_dir,
        dashboard: from.dashboard,
    })
}

fn requests(reader: &Reader) -> anyhow::Result<Vec<RequestRow>> {
    let mut all = Vec::new();
    let mut query = RequestQuery { limit: ledger::MAX_PAGE, ..RequestQuery::default() };
    loop {
        let page = reader.requests(&query)?;
        all.extend(page.requests);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

fn spend(reader: &Reader, by: By) -> anyhow::Result<(Vec<Line>, Totals)> {
    let query = SpendQuery { by: vec![by], period: Period::default(), ..SpendQuery::default() };
    let spend = reader.spend(&query)?;
    let lines = spend.rows.into_iter().map(|row| {
        let name = row.key.into_iter().next().flatten().unwrap_or_else(|| "(none)".to_owned());
        Line { name, totals: row.totals }
    });
    Ok((lines.collect(), spend.total))
}

/// Requests that went to the flagship, by their reason; the most frequent first.
fn escalations<'r>(reasons: impl Iterator<Item = &'r str>) -> Vec<Count> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in reasons {
        let escalated = reason.starts_with("matched:")
            || reason == "long-input"
            || (reason.starts_with("check:") && reason != "check:undecided");
        if escalated {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let mut counts: Vec<Count> =
        counts.into_iter().map(|(what, requests)| Count { what: what.to_owned(), requests }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.requests));
    counts
}

fn failovers(rows: &[RequestRow]) -> Failovers {
    let mut all = Failovers::default();
    let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in rows {
        let broke = |outcome: &str| outcome == Ended::Failed.as_str() || outcome == Ended::Partial.as_str();
        let failed: Vec<_> = row.attempts.iter().filter(|attempt| broke(&attempt.outcome)).collect();
        if failed.is_empty() {
            continue;
        }
        let delivered =
            row.head.status == 200 && row.attempts.iter().any(|a| a.outcome == Ended::Ok.as_str());
        if delivered {
            all.survived += 1;
        } else {
            all.lost += 1;
        }
        for attempt in failed {
            let provider = attempt.target.split('/').next().unwrap_or_default().to_owned();
            let error = attempt.error.clone().unwrap_or_else(|| attempt.outcome.clone());
            *calls.entry((provider, error)).or_default() += 1;
        }
    }
    let each = |((provider, error), calls)| FailedCalls { provider, error, calls };
    all.calls = calls.into_iter().map(each).collect();
    all
}

fn quality(prompts: &[Prompt], outcomes: &[Outcome]) -> Quality {
    Quality {
        measured: OWN_KEY,
        of: prompts.len(),
        right: outcomes.iter().filter(|outcome| outcome.right).count(),
        cheap_alone: prompts.iter().filter(|prompt| prompt.weak.is_none()).count(),
        flagship_alone: prompts.len(),
    }
}

fn books(sims: &[Sim], ledger_attempts: u64) -> Books {
    let bills: Vec<_> = sims.iter().flat_map(Sim::bills).collect();
    let ended = |end: BillEnd| bills.iter().filter(|bill| bill.end == end).count();
    Books {
        vendor_calls: sims.iter().map(|sim| sim.stats().requests).sum(),
        ledger_attempts,
        billed_whole: ended(BillEnd::Complete),
        billed_cancelled: ended(BillEnd::Cancelled),
        billed_broken: ended(BillEnd::Broken),
    }
}

impl Summary {
    /// The saving as a share of the baseline, in percent; `None` when nothing was compared.
    pub fn saved_percent(&self) -> Option<f64> {
        let baseline = self.total.baseline_usd;
        (baseline > Money::ZERO).then(|| 100.0 * self.total.saving_usd.to_f64_usd() / baseline.to_f64_usd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_to_the_flagship_counts_as_escalated() {
        let reasons = [
            "default",
            "matched:prove",
            "check:refusal",
            "check:undecided",
            "failover:503",
            "matched:prove",
            "long-input",
            "pinned",
        ];
        let counts = escalations(reasons.into_iter());
        assert_eq!(counts[0], Count { what: "matched:prove".into(), requests: 2 });
        assert_eq!(counts.iter().map(|count| count.requests).sum::<u64>(), 4);
    }

    #[test]
    fn the_key_says_what_each_model_alone_would_get() {
        let prompts = crate::demo::prompts::load().unwrap();
        let quality = quality(&prompts, &[]);
        assert_eq!((quality.of, quality.right, quality.flagship_alone), (prompts.len(), 0, prompts.len()));
        assert!(quality.cheap_alone > 0 && quality.cheap_alone < prompts.len());
    }
}
