//! What a run found, as data: saved as JSON, compared later, printed as a table, written as JUnit.

use std::fmt::Write as _;

use catalog::Money;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::paired;

/// The version of the file format.
pub const FORMAT: u32 = 1;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every check held.
    Pass,
    /// A check did not hold.
    Fail,
    /// There is no answer, or no verdict: neither a pass nor a failure.
    Unanswered,
    /// Not asked: the run could not pass any more, or its budget was spent.
    Skipped,
}

/// One case of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub id: String,
    /// What became of it.
    pub result: Outcome,
    /// Why it is no pass.
    pub why: Vec<String>,
    /// What was said.
    pub answer: Option<String>,
    /// `provider/model` that answered.
    pub answered_by: Option<String>,
    /// `x-tollgate-reason`.
    pub reason: Option<String>,
    /// Why the answer ended.
    pub finish: Option<String>,
    /// What the answer cost when it was asked for; `None` when unknown.
    pub cost_usd: Option<Money>,
    /// What its judges cost.
    pub judge_cost_usd: Money,
    /// Input tokens of the attempt that answered.
    pub input_tokens: Option<u64>,
    /// Its output tokens.
    pub output_tokens: Option<u64>,
    /// Milliseconds.
    pub ms: Option<u64>,
    /// The answer was there from an earlier run.
    pub cached: bool,
    /// Our id of the request.
    pub request_id: Option<String>,
}

/// A suite against one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The model or route.
    pub model: String,
    /// `passed / total ≥ min_pass`.
    pub pass: bool,
    /// Cases by outcome.
    pub passed: usize,
    /// The same.
    pub failed: usize,
    /// The same.
    pub unanswered: usize,
    /// The same.
    pub skipped: usize,
    /// All cases of the suite.
    pub total: usize,
    /// Wilson's 95 % interval of the share that passes.
    pub share_interval: [f64; 2],
    /// What the answers cost when they were asked for, exact.
    pub cost_usd: Money,
    /// What the judges cost, exact.
    pub judge_cost_usd: Money,
    /// Answers whose cost is unknown; they are not in `cost_usd`, and not free.
    pub cost_unknown: usize,
    /// Answers from an earlier run.
    pub cached: usize,
    /// In the order of the suite.
    pub cases: Vec<CaseResult>,
}

/// A suite against some models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// The suite's name.
    pub suite: String,
    /// Its hash.
    pub suite_sha256: String,
    /// Share of the cases that must pass.
    pub min_pass: f64,
    /// When it began.
    pub started_at: Timestamp,
    /// What was paid in this run, exact where every cost is known.
    pub paid_usd: Money,
    /// Calls of this run whose cost is unknown.
    pub paid_unknown: usize,
    /// What was estimated beforehand; `None` when unknown.
    pub estimated_usd: Option<Money>,
    /// One a model.
    pub runs: Vec<Run>,
}

impl Run {
    /// Adds up the cases.
    pub fn new(model: &str, min_pass: f64, cases: Vec<CaseResult>) -> Self {
        let count = |outcome| cases.iter().filter(|case| case.result == outcome).count();
        let (passed, total) = (count(Outcome::Pass), cases.len());
        let answered = |case: &&CaseResult| case.answer.is_some();
        Self {
            model: model.to_owned(),
            pass: passed >= needed(min_pass, total),
            passed,
            failed: count(Outcome::Fail),
            unanswered: count(Outcome::Unanswered),
            skipped: count(Outcome::Skipped),
            total,
            share_interval: paired::wilson(passed, total),
            cost_usd: cases.iter().filter_map(|case| case.cost_usd).sum(),
            judge_cost_usd: cases.iter().map(|case| case.judge_cost_usd).sum(),
            cost_unknown: cases.iter().filter(answered).filter(|case| case.cost_usd.is_none()).count(),
            cached: cases.iter().filter(|case| case.cached).count(),
            cases,
        }
    }

    /// Could it pass if all that has no answer yet passed?
    pub fn may_pass(&self, min_pass: f64) -> bool {
        self.passed + self.unanswered >= needed(min_pass, self.total)
    }

    /// Cases that are no pass, with why.
    pub fn not_passed(&self) -> impl Iterator<Item = &CaseResult> {
        self.cases.iter().filter(|case| !matches!(case.result, Outcome::Pass | Outcome::Skipped))
    }
}

/// Cases that must pass.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share in 0..=1 of a count of cases"
)]
pub fn needed(min_pass: f64, total: usize) -> usize {
    // 0.95 × 20 is a hair above 19 in binary
    (min_pass * total as f64 - 1e-9).ceil() as usize
}

/// The results as JUnit XML: a test suite for each model, for the CI systems that show it.
pub fn junit(results: &Results) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for run in &results.runs {
        let name = xml(&format!("{} {}", results.suite, run.model));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" timestamp=\"{}\">",
            run.total, run.failed, run.unanswered, run.skipped, results.started_at
        );
        for case in &run.cases {
            let (id, class) = (xml(&case.id), xml(&run.model));
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of one call")]
            let seconds = case.ms.unwrap_or_default() as f64 / 1000.0;
            let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{id}\" time=\"{seconds:.3}\"");
            let why = xml(&case.why.join("; "));
            let _ = match case.result {
                Outcome::Pass => writeln!(out, "/>"),
                Outcome::Fail => writeln!(out, "><failure message=\"{why}\"/></testcase>"),
                Outcome::Unanswered => writeln!(out, "><error message=\"{why}\"/></testcase>"),
                Outcome::Skipped => writeln!(out, "><skipped message=\"{why}\"/></testcase>"),
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text inside an attribute. What XML 1.0 cannot hold at all becomes `?`.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A case with a result.
    pub fn case(id: &str, result: Outcome) -> CaseResult {
        CaseResult {
            id: id.to_owned(),
            result,
            why: if result == Outcome::Pass { Vec::new() } else { vec!["<a> & \"b\"\u{1}".to_owned()] },
            answer: Some("a".to_owned()),
            answered_by: None,
            reason: None,
            finish: None,
            cost_usd: Some(Money::from_pico(3)),
            judge_cost_usd: Money::ZERO,
            input_tokens: None,
            output_tokens: None,
            ms: Some(1_500),
            cached: false,
            request_id: None,
        }
    }

    #[test]
    fn shares_are_not_rounded_against_the_user() {
        assert_eq!(needed(0.95, 20), 19);
        assert_eq!(needed(1.0, 7), 7);
        assert_eq!(needed(0.0, 7), 0);
        assert_eq!(needed(0.9, 7), 7, "6 of 7 are 86 %");
    }

    #[test]
    fn a_run_adds_up() {
        let mut unknown = case("d", Outcome::Fail);
        unknown.cost_usd = None;
        let cases =
            vec![case("a", Outcome::Pass), case("b", Outcome::Unanswered), case("c", Outcome::Pass), unknown];
        let run = Run::new("m", 0.75, cases);
        assert_eq!((run.passed, run.failed, run.unanswered, run.pass), (2, 1, 1, false));
        assert!(run.may_pass(0.75) && !run.may_pass(1.0));
        assert_eq!((run.cost_usd, run.cost_unknown), (Money::from_pico(9), 1));
    }

    #[test]
    fn junit_is_well_formed() {
        let run = Run::new("m", 1.0, vec![case("a<b", Outcome::Fail), case("c", Outcome::Unanswered)]);
        let results = Results {
            format: FORMAT,
            suite: "s".to_owned(),
            suite_sha256: String::new(),
            min_pass: 1.0,
            started_at: Timestamp::UNIX_EPOCH,
            paid_usd: Money::ZERO,
            paid_unknown: 0,
            estimated_usd: None,
            runs: vec![run],
        };
        insta::assert_snapshot!(junit(&results), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="s m" tests="2" failures="1" errors="1" skipped="0" timestamp="1970-01-01T00:00:00Z">
            <testcase classname="m" name="a&lt;b" time="1.500"><failure message="&lt;a&gt; &amp; &quot;b&quot;?"/></testcase>
            <testcase classname="m" name="c" time="1.500"><error message="&lt;a&gt; &amp; &quot;b&quot;?"/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
