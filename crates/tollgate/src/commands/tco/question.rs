//! The question: a scenario from a file and flags. Flags change the tree that the file holds, so a value is checked in one
//! place wherever it comes from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tco::trace::{Format, Repair};
use tco::{Problem, Scenario};

/// Flags that state or change a scenario.
#[derive(clap::Args, Debug, Clone)]
pub struct Flags {
    /// Scenario (TOML, or JSON if it ends so)
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which prices decide; several with commas, the others are shown beside
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = ["catalogue", "article"])]
    pub prices: Vec<String>,
    /// `default`: GPU shortage, price drift, model retired, vendor outage, capacity band
    #[arg(long, value_name = "WHICH", value_parser = ["default"])]
    pub risk: Option<String>,
    /// Requests a day
    #[arg(long, value_name = "N")]
    pub requests_per_day: Option<f64>,
    /// Input tokens of a request
    #[arg(long, value_name = "N")]
    pub input_tokens: Option<f64>,
    /// Output tokens of a request
    #[arg(long, value_name = "N")]
    pub output_tokens: Option<f64>,
    /// Share of input tokens that a prompt cache serves, 0 to 1
    #[arg(long, value_name = "SHARE")]
    pub cached_share: Option<f64>,
    /// Busiest hour over mean hour
    #[arg(long, value_name = "FACTOR")]
    pub peak_to_mean: Option<f64>,
    /// Growth of requests a month, e.g. 0.05
    #[arg(long, value_name = "SHARE")]
    pub growth_per_month: Option<f64>,
    /// Milliseconds to the first token
    #[arg(long, value_name = "MS")]
    pub ttft_ms: Option<f64>,
    /// Milliseconds per further token
    #[arg(long, value_name = "MS")]
    pub tpot_ms: Option<f64>,
    /// Traffic from a trace
    #[arg(long, value_name = "CSV")]
    pub trace: Option<PathBuf>,
    /// What the trace is: csv, azure or burstgpt; the columns are in docs/tco.md
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = ["csv", "azure", "burstgpt"])]
    pub trace_format: String,
    /// Hours without a request where there should be many: `quiet` (none came) or `cut` (nothing is known of them)
    #[arg(long, value_name = "HOW", value_parser = ["quiet", "cut"])]
    pub trace_holes: Option<String>,
    /// Any value of the scenario: `--set stacks.own.spares=2`, `--set 'overhead="article"'`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be read at all.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
    /// It is wrong: every problem at once.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The tree of a file.
pub fn read(file: &Path) -> Result<Value, Refused> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if file.extension().is_some_and(|end| end == "json") {
        return serde_json::from_str(&text).map_err(|error| {
            Refused::Problems(vec![Problem::new("", error.to_string(), "this is not JSON")])
        });
    }
    tco::toml_value(&text).map_err(Refused::Problems)
}

impl Flags {
    /// The scenario: `base` (of a file or a ledger) with the flags over it. When it is wrong, `names` adds what is unknown
    /// in it.
    pub fn scenario(
        &self,
        mut base: Value,
        names: impl FnOnce(&Value) -> Result<Vec<Problem>, Refused>,
    ) -> Result<Scenario, Refused> {
        let mut problems = Vec::new();
        self.take_trace(&mut base, &mut problems)?;
        self.apply(&mut base, &mut problems);
        match Scenario::from_json(&base) {
            Ok(scenario) if problems.is_empty() => {
                Ok(if self.risk.is_some() { scenario.with_default_risk() } else { scenario })
            }
            Ok(_) => Err(Refused::Problems(problems)),
            Err(more) => {
                problems.extend(more);
                problems.extend(names(&base)?);
                Err(Refused::Problems(problems))
            }
        }
    }

    /// Puts a trace's traffic in the place of the scenario's.
    fn take_trace(&self, base: &mut Value, problems: &mut Vec<Problem>) -> Result<(), Refused> {
        let Some(file) = &self.trace else { return Ok(()) };
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let format = Format::named(&self.trace_format).unwrap_or(Format::Csv);
        let repair = match self.trace_holes.as_deref() {
            Some("quiet") => Repair::Quiet,
            Some(_) => Repair::Cut,
            None => Repair::Refuse,
        };
        match tco::trace::read(&bytes, format, repair) {
            Ok(trace) => {
                let name =
                    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let mut workload = trace.workload(&name);
                // Growth and horizon are plans, which no trace holds.
                for key in ["growth_per_month", "horizon_months"] {
                    let planned = base.get("workload").and_then(|workload| workload.get(key)).cloned();
                    if let (Some(planned), Some(map)) = (planned, workload.as_object_mut()) {
                        map.insert(key.to_owned(), planned);
                    }
                }
                put(base, &["workload"], workload);
                let known = base.get("notes").and_then(Value::as_array).cloned().unwrap_or_default();
                let notes = known.into_iter().chain(trace.notes().into_iter().map(Value::String));
                put(base, &["notes"], Value::Array(notes.collect()));
            }
            Err(more) => {
                let hint = |hint: String| {
                    hint.replace("`quiet`", "--trace-holes quiet").replace("`cut`", "--trace-holes cut")
                };
                problems
                    .extend(more.into_iter().map(|problem| Problem { hint: hint(problem.hint), ..problem }));
            }
        }
        Ok(())
    }

    fn apply(&self, base: &mut Value, problems: &mut Vec<Problem>) {
        if !self.prices.is_empty() {
            put(base, &["prices"], json!(self.prices));
        }
        let numbers = [
            ("requests_per_day", self.requests_per_day),
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("cached_share", self.cached_share),
            ("peak_to_mean", self.peak_to_mean),
            ("growth_per_month", self.growth_per_month),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                tco::tree::patch(base, &json!({"workload": {key: number(value)}}));
            }
        }
        for (key, value) in [("ttft_ms", self.ttft_ms), ("tpot_ms", self.tpot_ms)] {
            if let Some(value) = value {
                put(base, &["slo", key], number(value));
            }
        }
        for text in &self.set {
            match assignment(text) {
                Some((path, value)) => put(base, &path.split('.').collect::<Vec<_>>(), value),
                None => problems.push(Problem::new(
                    "--set",
                    format!("`{text}` is no assignment"),
                    "PATH=VALUE with a TOML value, e.g. stacks.own.spares=2 or 'overhead=\"article\"'",
                )),
            }
        }
    }
}

/// NaN has no JSON: it becomes text, which is refused like any other word.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| json!(value.to_string()), Value::Number)
}

fn assignment(text: &str) -> Option<(&str, Value)> {
    let (path, value) = text.split_once('=')?;
    let parsed =
        tco::toml_value(&format!("value = {value}")).ok().and_then(|tree| tree.get("value").cloned());
    // A bare word is text.
    let word = || json!(value);
    (!path.trim().is_empty()).then(|| (path.trim(), parsed.unwrap_or_else(word)))
}

fn put(tree: &mut Value, path: &[&str], value: Value) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut at = tree;
    for key in tables {
        if !at.is_object() {
            return;
        }
        at = match at.as_object_mut() {
            Some(map) => map.entry((*key).to_owned()).or_insert_with(|| Value::Object(Map::new())),
            None => return,
        };
    }
    if let Some(map) = at.as_object_mut() {
        map.insert((*last).to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_where_they_belong() {
        let mut tree = json!({"workload": {"requests_per_day": 5.0}});
        put(&mut tree, &["stacks", "own", "spares"], json!(2));
        assert_eq!(tree, json!({"workload": {"requests_per_day": 5.0}, "stacks": {"own": {"spares": 2}}}));
    }

    #[test]
    fn an_assignment_holds_any_toml_value() {
        let value = |text| assignment(text).map(|(_, value)| value);
        assert_eq!(value("a.b=[1, 2]"), Some(json!([1, 2])));
        assert_eq!(value("a=\"x\""), Some(json!("x")));
        assert_eq!(value("a=reserved-3y"), Some(json!("reserved-3y")), "a bare word is text");
        assert_eq!(value("a={ p10 = 1, p50 = 2, p90 = 3 }"), Some(json!({"p10": 1, "p50": 2, "p90": 3})));
        assert_eq!(assignment("nonsense"), None);
    }
}
