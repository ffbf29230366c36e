//! The body of a question: a scenario, or a scenario with what is asked of it. Read whole, so that every problem is said
//! at once, and bounded: what a decision costs grows with its stacks, classes, hours and draws.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tco::capacity::Point;
use tco::{Options, Problem};

use crate::config::nearest;
use crate::decision::Since;

/// Names of the envelope. A body without the first two is a scenario itself.
const KNOWN: [&str; 10] =
    ["scenario", "from_ledger", "patch", "prices", "risk", "seed", "draws", "bench", "format", "title"];
const MOST_DRAWS: usize = 100_000;
/// Each draw bills every stack.
const MOST_BILLS: usize = 1_000_000;
const MOST_STACKS: usize = 24;
const MOST_CLASSES: usize = 64;
/// Hours of a leap year.
const MOST_HOURS: usize = 8_784;
/// Stacks that follow the hours × all stacks × hours: each pair has its break-even, over every hour.
const MOST_HOURLY: usize = 100_000;
/// Stacks that follow the hours × hours × draws.
const MOST_HOURLY_DRAWS: usize = 20_000_000;
/// Hours of a week, the shape of traffic that states none.
const WEEK: usize = 168;
const TITLE_BYTES: usize = 200;
/// Draws where nobody says how many, as in the engine.
const USUAL_DRAWS: usize = 10_000;

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Html,
}

/// What is asked.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub scenario: Option<Value>,
    pub since: Option<Since>,
    /// A merge patch over both.
    pub patch: Option<Value>,
    /// As in a scenario.
    pub prices: Option<Value>,
    /// The risk scenarios of `--risk default`.
    pub risk: bool,
    pub options: Options,
    pub bench: Option<Vec<Point>>,
    pub format: Format,
    pub title: Option<String>,
}

impl Ask {
    /// Reads a body. Errors with every problem of the envelope; those of the scenario come when it is read.
    pub fn read(body: &[u8]) -> Result<Self, Vec<Problem>> {
        let tree: Value = serde_json::from_slice(body)
            .map_err(|error| vec![Problem::new("", error.to_string(), "the body is JSON")])?;
        let Value::Object(map) = tree else {
            let hint = "a scenario, or {\"scenario\": …}; see docs/tco.md";
            return Err(vec![Problem::new("", "is not an object", hint)]);
        };
        if !map.contains_key("scenario") && !map.contains_key("from_ledger") {
            return Ok(Self { scenario: Some(Value::Object(map)), ..Self::default() });
        }
        let mut envelope = Envelope { map: &map, problems: Vec::new() };
        envelope.names();
        let ask = Self {
            since: envelope.since(),
            patch: envelope.patch(),
            prices: envelope.stated("prices").cloned(),
            risk: envelope.risk(),
            options: Options { seed: envelope.seed(), draws: envelope.draws() },
            bench: envelope.bench(),
            format: envelope.format(),
            title: envelope.title(),
            scenario: envelope.scenario(),
        };
        if envelope.problems.is_empty() { Ok(ask) } else { Err(envelope.problems) }
    }

    /// Whether `tree` is small enough to be worked out here. Errors with every bound that it breaks.
    pub fn within_bounds(&self, tree: &Value) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let mut bound = |path: &str, found: usize, most: usize, of: &str| {
            if found > most {
                let hint = "ask for less, or use `tollgate tco`, which has no such bound";
                problems.push(Problem::new(path, format!("{found} {of}: at most {most} here"), hint));
            }
        };
        let at = |path: &str| tree.pointer(path);
        let list = |path: &str| at(path).and_then(Value::as_array).map_or(0, Vec::len);
        let stacks = at("/stacks").and_then(Value::as_object).map_or(0, Map::len);
        let draws = self.options.draws.or_else(|| at("/risk/draws").and_then(count)).unwrap_or(USUAL_DRAWS);
        bound("stacks", stacks, MOST_STACKS, "stacks");
        bound("workload.classes", list("/workload/classes"), MOST_CLASSES, "classes");
        bound("workload.hours", list("/workload/hours"), MOST_HOURS, "hours");
        bound("risk.draws", draws, MOST_DRAWS, "draws");
        bound("draws", draws.saturating_mul(stacks), MOST_BILLS, "bills (draws × stacks)");
        let hours = list("/workload/hours").max(WEEK);
        let hourly = following(tree).saturating_mul(hours);
        bound(
            "stacks",
            hourly.saturating_mul(stacks),
            MOST_HOURLY,
            "bills (stacks that scale × stacks × hours)",
        );
        bound(
            "draws",
            hourly.saturating_mul(draws),
            MOST_HOURLY_DRAWS,
            "bills (stacks that scale × hours × draws)",
        );
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// The body, and what is wrong with it. `null` is as good as nothing.
struct Envelope<'a> {
    map: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Envelope<'a> {
    fn stated(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        self.problems.push(Problem::new(key, message, hint));
    }

    fn names(&mut self) {
        for key in self.map.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            let near = nearest(key, KNOWN, 1);
            let hint = near.first().map_or_else(
                || format!("known here: {}", KNOWN.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.problems.push(Problem::new(key, "is not known", hint));
        }
    }

    fn scenario(&mut self) -> Option<Value> {
        match self.stated("scenario") {
            Some(Value::String(toml)) => match tco::toml_value(toml) {
                Ok(tree) => return Some(tree),
                Err(more) => {
                    self.problems
                        .extend(more.into_iter().map(|one| Problem { path: "scenario".into(), ..one }));
                }
            },
            Some(tree @ Value::Object(_)) => return Some(tree.clone()),
            Some(_) => self.wrong("scenario", "is neither a table nor text", "an object, or TOML as text"),
            None if self.stated("from_ledger").is_none() => {
                self.wrong("scenario", "is missing", "a scenario, or \"from_ledger\": \"7d\"");
            }
            None => {}
        }
        None
    }

    fn since(&mut self) -> Option<Since> {
        const HINT: &str = "7d, 24h, or a date";
        let value = self.stated("from_ledger")?;
        match value.as_str().map(|text| Since::parse(text, Timestamp::now())) {
            Some(Ok(since)) => return Some(since),
            Some(Err(error)) => self.wrong("from_ledger", error.to_string(), HINT),
            None => self.wrong("from_ledger", format!("{value} is no time"), HINT),
        }
        None
    }

    fn patch(&mut self) -> Option<Value> {
        let value = self.stated("patch")?;
        if value.is_object() {
            return Some(value.clone());
        }
        let hint = "{\"workload\": {\"requests_per_day\": 5000}}, for instance";
        self.wrong("patch", "is not a table", hint);
        None
    }

    fn risk(&mut self) -> bool {
        match self.stated("risk") {
            None => false,
            Some(Value::String(word)) if word == "default" => true,
            Some(other) => {
                let hint = "\"default\"; other risks stand in the scenario";
                self.wrong("risk", format!("{other} is not known"), hint);
                false
            }
        }
    }

    fn seed(&mut self) -> Option<u64> {
        let value = self.stated("seed")?;
        let seed = value.as_u64();
        if seed.is_none() {
            self.wrong("seed", format!("is {value}"), "a whole number");
        }
        seed
    }

    fn draws(&mut self) -> Option<usize> {
        let value = self.stated("draws")?;
        let draws = count(value).filter(|n| (100..=MOST_DRAWS).contains(n));
        if draws.is_none() {
            let hint = "a whole number, 100 to 100,000; `tollgate tco --draws` takes more";
            self.wrong("draws", format!("is {value}"), hint);
        }
        draws
    }

    fn bench(&mut self) -> Option<Vec<Point>> {
        let Some(csv) = self.stated("bench")?.as_str() else {
            self.wrong("bench", "is not text", BENCH_HINT);
            return None;
        };
        let points = tco::capacity::read_points(csv);
        points.map_err(|lines| self.problems.extend(of_bench(lines))).ok()
    }

    fn format(&mut self) -> Format {
        match self.stated("format").map(Value::as_str) {
            None | Some(Some("json")) => Format::Json,
            Some(Some("html")) => Format::Html,
            Some(_) => {
                self.wrong("format", "is not known", "\"json\" or \"html\"");
                Format::Json
            }
        }
    }

    fn title(&mut self) -> Option<String> {
        let title = self.stated("title")?.as_str().filter(|title| title.len() <= TITLE_BYTES);
        if title.is_none() {
            self.wrong("title", "is no short text", "at most 200 bytes");
        }
        title.map(ToOwned::to_owned)
    }
}

/// How many stacks are billed hour by hour: machines that scale or mix terms, and hybrids, which may stand on them.
fn following(tree: &Value) -> usize {
    let Some(stacks) = tree.get("stacks").and_then(Value::as_object) else { return 0 };
    let scales = |stack: &&Value| {
        let word = |key: &str| stack.get(key).and_then(Value::as_str);
        stack.get("rent").is_some_and(Value::is_object)
            || word("rent") == Some("mix")
            || word("scaling").is_some_and(|how| how != "always-on")
    };
    let hybrid = |stack: &&Value| stack.get("escalate").is_some();
    match stacks.values().filter(scales).count() {
        0 => 0,
        some => some + stacks.values().filter(hybrid).count(),
    }
}

const BENCH_HINT: &str = "CSV as text, columns as in `tollgate tco predict`";

/// What is wrong with measurements, a line each.
pub(super) fn of_bench(lines: Vec<String>) -> Vec<Problem> {
    lines.into_iter().map(|line| Problem::new("bench", line, BENCH_HINT)).collect()
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Ask, Vec<Problem>> {
        Ask::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_body_is_a_scenario_or_holds_one() {
        let tree = json!({"workload": {"requests_per_day": 1}});
        assert_eq!(read(&tree).unwrap().scenario, Some(tree.clone()));
        assert_eq!(read(&json!({"scenario": tree, "seed": 7})).unwrap().scenario, Some(tree.clone()));
        let toml = json!({"scenario": "workload.requests_per_day = 1", "format": "html"});
        let ask = read(&toml).unwrap();
        assert_eq!((ask.scenario, ask.format), (Some(tree), Format::Html));
        assert!(read(&json!({"from_ledger": "7d"})).unwrap().since.is_some());
    }

    #[test]
    fn all_problems_of_the_envelope_come_at_once() {
        let body = json!({
            "scenario": 5, "patches": {}, "risk": "much", "draws": 100_001, "seed": -1, "bench": 3,
            "format": "pdf", "title": "x".repeat(201), "patch": [], "from_ledger": "never",
        });
        let problems = read(&body).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        for path in [
            "scenario",
            "patches",
            "risk",
            "draws",
            "seed",
            "bench",
            "format",
            "title",
            "patch",
            "from_ledger",
        ] {
            assert!(paths.contains(&path), "{path} in {paths:?}");
        }
        assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:?}");
        let said = problems.iter().find(|problem| problem.path == "patches").unwrap();
        assert!(said.hint.contains("`patch`"), "{said}");
        assert_eq!(Ask::read(b"{").unwrap_err().len(), 1);
        assert_eq!(Ask::read(b"[]").unwrap_err().len(), 1);
    }

    #[test]
    fn what_a_decision_may_cost_is_bounded() {
        let stacks: Map<String, Value> = (0..25).map(|n| (format!("s{n}"), json!({}))).collect();
        let tree = json!({
            "stacks": stacks, "risk": {"draws": 200_000},
            "workload": {"classes": vec![0; 65], "hours": vec![1; 8_785]},
        });
        let problems = Ask::default().within_bounds(&tree).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(Ask::default().within_bounds(&json!({"stacks": {"a": {}}})).is_ok());
        // a year of hours for machines that scale, with a few stacks beside them, and not with many
        let year = |others: usize| {
            let mut stacks: Map<String, Value> = (0..others).map(|n| (format!("s{n}"), json!({}))).collect();
            stacks.insert("own".into(), json!({"rent": "mix"}));
            json!({"stacks": stacks, "workload": {"hours": vec![1; 8_760]}})
        };
        let few = Ask { options: Options { draws: Some(1_000), ..Options::default() }, ..Ask::default() };
        assert!(few.within_bounds(&year(5)).is_ok());
        assert_eq!(few.within_bounds(&year(20)).unwrap_err().len(), 1);
        assert_eq!(Ask::default().within_bounds(&year(5)).unwrap_err().len(), 1, "10,000 draws over a year");
    }
}
