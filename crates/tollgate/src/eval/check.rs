//! What an answer must be. Every check but the judge is a function of the answer alone, so that a stored answer can be
//! checked again without paying; the judge asks a model through the gate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::code;

/// Characters of an answer that a reason quotes.
const QUOTED: usize = 80;

/// A check as a file spells it: one kind, with what belongs to it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCheck {
    exact: Option<String>,
    contains: Option<OneOrMany>,
    lacks: Option<OneOrMany>,
    ignore_case: bool,
    numeric: Option<f64>,
    tolerance: Option<f64>,
    regex: Option<String>,
    json_schema: Option<Value>,
    judge: Option<String>,
    model: Option<String>,
    code: Option<String>,
    run: Option<Vec<String>>,
    seconds: Option<u64>,
    memory_mb: Option<u64>,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// A check that can run.
#[derive(Debug)]
pub enum Check {
    /// The answer, without white space around it, is this text.
    Exact {
        /// The text.
        text: String,
        /// `A` is `a`.
        ignore_case: bool,
    },
    /// All of these texts are in the answer.
    Contains {
        /// The texts.
        texts: Vec<String>,
        /// `A` is `a`.
        ignore_case: bool,
    },
    /// None of these texts is in the answer.
    Lacks {
        /// The texts.
        texts: Vec<String>,
        /// `A` is `a`.
        ignore_case: bool,
    },
    /// The last number of the answer is this one.
    Numeric {
        /// The number.
        value: f64,
        /// Most that it may differ, absolutely.
        tolerance: f64,
    },
    /// The pattern is found.
    Regex(Regex),
    /// The answer (or its one fenced block) is JSON that the schema accepts.
    JsonSchema(Box<jsonschema::Validator>),
    /// A model says that the answer meets the criterion.
    Judge {
        /// What the answer must be.
        criterion: String,
        /// The judge: a model of the gate.
        model: String,
    },
    /// The answer's code, followed by these tests, ends with status 0. Only with `--allow-code`.
    Code(code::Program),
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not, and why.
    Fail(String),
}

impl RawCheck {
    /// Makes it runnable. `folder`: what a schema's path is relative to. Errors with what is wrong.
    pub fn compile(self, folder: &Path) -> Result<Check, String> {
        let kinds = [
            ("exact", self.exact.is_some()),
            ("contains", self.contains.is_some()),
            ("lacks", self.lacks.is_some()),
            ("numeric", self.numeric.is_some()),
            ("regex", self.regex.is_some()),
            ("json_schema", self.json_schema.is_some()),
            ("judge", self.judge.is_some()),
            ("code", self.code.is_some()),
        ];
        let named: Vec<&str> = kinds.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
        let [kind] = named[..] else {
            let all = kinds.map(|(name, _)| name).join(", ");
            return Err(format!("a check has exactly one of {all}, not {}", named.len()));
        };
        self.no_stray(kind)?;
        let ignore_case = self.ignore_case;
        Ok(match (kind, self) {
            ("exact", Self { exact: Some(text), .. }) => {
                Check::Exact { text: text.trim().to_owned(), ignore_case }
            }
            ("contains", Self { contains: Some(texts), .. }) => {
                Check::Contains { texts: some(texts.into_vec(), kind)?, ignore_case }
            }
            ("lacks", Self { lacks: Some(texts), .. }) => {
                Check::Lacks { texts: some(texts.into_vec(), kind)?, ignore_case }
            }
            ("numeric", Self { numeric: Some(value), tolerance, .. }) => numeric(value, tolerance)?,
            ("regex", Self { regex: Some(pattern), .. }) => {
                let regex = Regex::new(&pattern).map_err(|e| {
                    // the lines before the last draw the pattern
                    let why = e.to_string();
                    format!("`regex` is not a regex: {}", why.lines().last().unwrap_or_default().trim())
                })?;
                if regex.is_match("") {
                    return Err("`regex` matches the empty answer, so it could never fail".to_owned());
                }
                Check::Regex(regex)
            }
            ("json_schema", Self { json_schema: Some(schema), .. }) => schema_check(schema, folder)?,
            ("judge", Self { judge: Some(criterion), model, .. }) => {
                let model = model.ok_or("`judge` needs `model`, the model that judges")?;
                if criterion.trim().is_empty() {
                    return Err("`judge` is the criterion in words, and is empty".to_owned());
                }
                Check::Judge { criterion, model }
            }
            (_, Self { code: Some(tests), run, seconds, memory_mb, .. }) => {
                let run = run.ok_or("`code` needs `run`, e.g. run = [\"python3\", \"-I\", \"-\"]")?;
                if run.first().is_none_or(String::is_empty) {
                    return Err("`run` names no program".to_owned());
                }
                let seconds = Duration::from_secs(seconds.unwrap_or(10).clamp(1, 600));
                Check::Code(code::Program {
                    tests,
                    run,
                    seconds,
                    memory_mb: memory_mb.unwrap_or(512).max(16),
                })
            }
            _ => return Err(format!("`{kind}` has no value")),
        })
    }

    /// Settings that belong to another kind would be accepted silently.
    fn no_stray(&self, kind: &str) -> Result<(), String> {
        let settings = [
            ("ignore_case", self.ignore_case, &["exact", "contains", "lacks"][..]),
            ("tolerance", self.tolerance.is_some(), &["numeric"]),
            ("model", self.model.is_some(), &["judge"]),
            ("run", self.run.is_some(), &["code"]),
            ("seconds", self.seconds.is_some(), &["code"]),
            ("memory_mb", self.memory_mb.is_some(), &["code"]),
        ];
        match settings.into_iter().find(|(_, there, of)| *there && !of.contains(&kind)) {
            Some((name, ..)) => Err(format!("`{name}` means nothing to `{kind}`")),
            None => Ok(()),
        }
    }
}

fn some(texts: Vec<String>, kind: &str) -> Result<Vec<String>, String> {
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(format!("`{kind}` needs at least one text, and none that is empty"));
    }
    Ok(texts)
}

fn numeric(value: f64, tolerance: Option<f64>) -> Result<Check, String> {
    let tolerance = tolerance.unwrap_or(0.0);
    if !value.is_finite() || !tolerance.is_finite() || tolerance < 0.0 {
        return Err("`numeric` and `tolerance` are finite, the tolerance not negative".to_owned());
    }
    Ok(Check::Numeric { value, tolerance })
}

/// A schema in place, or the path of one.
fn schema_check(schema: Value, folder: &Path) -> Result<Check, String> {
    let schema = match schema {
        Value::String(path) => {
            let path: PathBuf = folder.join(path);
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?
        }
        schema => schema,
    };
    let validator = jsonschema::validator_for(&schema).map_err(|e| format!("`json_schema`: {e}"))?;
    Ok(Check::JsonSchema(Box::new(validator)))
}

impl Check {
    /// Runs code that a model wrote.
    pub const fn runs_code(&self) -> bool {
        matches!(self, Self::Code(_))
    }

    /// Judges an answer by itself. `None` for a judge, which needs the gate. Code runs here and blocks for its seconds.
    pub fn run(&self, answer: &str) -> Option<Verdict> {
        let answer = answer.trim();
        let held = match self {
            Self::Exact { text, ignore_case } => {
                let same = if *ignore_case { fold(answer) == fold(text) } else { answer == text };
                verdict(same, || format!("is not \"{text}\": {}", quoted(answer)))
            }
            Self::Contains { texts, ignore_case } => {
                let missing = texts.iter().find(|text| !holds(answer, text, *ignore_case));
                verdict(missing.is_none(), || {
                    format!("lacks \"{}\": {}", missing.map_or("", |m| m), quoted(answer))
                })
            }
            Self::Lacks { texts, ignore_case } => {
                let found = texts.iter().find(|text| holds(answer, text, *ignore_case));
                verdict(found.is_none(), || {
                    format!("holds \"{}\": {}", found.map_or("", |f| f), quoted(answer))
                })
            }
            Self::Numeric { value, tolerance } => match last_number(answer) {
                Some(number) => verdict((number - value).abs() <= *tolerance, || {
                    format!("its last number is {number}, not {value}: {}", quoted(answer))
                }),
                None => Verdict::Fail(format!("holds no number: {}", quoted(answer))),
            },
            Self::Regex(regex) => {
                verdict(regex.is_match(answer), || format!("does not match /{regex}/: {}", quoted(answer)))
            }
            Self::JsonSchema(validator) => schema_verdict(validator, answer),
            Self::Code(program) => program.run(answer),
            Self::Judge { .. } => return None,
        };
        Some(held)
    }
}

fn verdict(held: bool, why: impl FnOnce() -> String) -> Verdict {
    if held { Verdict::Pass } else { Verdict::Fail(why()) }
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn holds(answer: &str, text: &str, ignore_case: bool) -> bool {
    if ignore_case { fold(answer).contains(&fold(text)) } else { answer.contains(text) }
}

fn schema_verdict(validator: &jsonschema::Validator, answer: &str) -> Verdict {
    let text = fenced(answer).unwrap_or(answer);
    match serde_json::from_str::<Value>(text) {
        Err(e) => Verdict::Fail(format!("is no JSON ({e}): {}", quoted(answer))),
        Ok(value) => match validator.iter_errors(&value).next() {
            Some(error) => Verdict::Fail(format!("breaks the schema at {}: {error}", error.instance_path())),
            None => Verdict::Pass,
        },
    }
}

/// The text of the answer's first fenced block, without its language.
pub fn fenced(answer: &str) -> Option<&str> {
    let (_, after) = answer.split_once("```")?;
    let (_, block) = after.split_once('\n')?;
    Some(block.split_once("```").map_or(block, |(block, _)| block))
}

/// The last number of a text. Thousands may be set apart with commas; a full stop at a sentence's end is none of it.
fn last_number(text: &str) -> Option<f64> {
    static NUMBER: std::sync::LazyLock<Option<Regex>> =
        std::sync::LazyLock::new(|| Regex::new(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?").ok());
    let found = NUMBER.as_ref()?.find_iter(text).last()?;
    // A dash between two things ("3-4", "page-7") is no sign.
    let after_word =
        text.get(..found.start()).and_then(|t| t.chars().last()).is_some_and(char::is_alphanumeric);
    let number = found.as_str().replace(',', "").replace('−', "-");
    let number = if after_word { number.trim_start_matches(['-', '+']) } else { &number };
    number.parse().ok()
}

/// The start of an answer, for a reason, on one line.
pub fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > QUOTED {
        short.push('…');
    }
    format!("\"{short}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(raw: Value) -> Check {
        serde_json::from_value::<RawCheck>(raw).unwrap().compile(Path::new(".")).unwrap()
    }

    fn passes(raw: Value, answer: &str) -> bool {
        check(raw).run(answer) == Some(Verdict::Pass)
    }

    #[test]
    fn each_kind_passes_and_fails() {
        assert!(passes(json!({"exact": " 443 "}), "443\n") && !passes(json!({"exact": "443"}), "443."));
        assert!(passes(json!({"exact": "yes", "ignore_case": true}), "YES"));
        let both = json!({"contains": ["red", "blue"]});
        assert!(passes(both.clone(), "blue, red") && !passes(both, "blue, green"));
        assert!(passes(json!({"lacks": "sorry"}), "Sorry!"));
        assert!(!passes(json!({"lacks": "sorry", "ignore_case": true}), "Sorry!"));
        assert!(passes(json!({"regex": "^\\d+$"}), "12") && !passes(json!({"regex": "^\\d+$"}), "12 a"));
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}});
        let schema = json!({"json_schema": schema});
        assert!(passes(schema.clone(), "{\"a\": 1}"));
        assert!(passes(schema.clone(), "Here:\n```json\n{\"a\": 1}\n```\n"));
        assert!(!passes(schema.clone(), "{\"a\": \"1\"}") && !passes(schema, "a: 1"));
    }

    #[test]
    fn the_last_number_counts() {
        for (text, number) in [
            ("It is 42.", Some(42.0)),
            ("12 + 30 = 42", Some(42.0)),
            ("About 1,234.5 litres", Some(1234.5)),
            ("−7", Some(-7.0)),
            ("pages 3-4", Some(4.0)),
            ("1.5e3", Some(1500.0)),
            ("none", None),
        ] {
            assert_eq!(last_number(text), number, "{text}");
        }
        assert!(passes(json!({"numeric": 2.5, "tolerance": 0.01}), "it is 2.505"));
        assert!(!passes(json!({"numeric": 2.5}), "it is 2.505"));
    }

    #[test]
    fn what_could_never_fail_or_never_pass_is_refused() {
        let refused = |raw: Value| {
            serde_json::from_value::<RawCheck>(raw).unwrap().compile(Path::new(".")).unwrap_err()
        };
        assert!(refused(json!({})).contains("exactly one"));
        assert!(refused(json!({"regex": "a*"})).contains("never fail"));
        assert!(refused(json!({"contains": []})).contains("at least one"));
        assert!(refused(json!({"contains": ""})).contains("at least one"));
        assert!(refused(json!({"exact": "a", "tolerance": 1})).contains("means nothing"));
        assert!(refused(json!({"judge": "polite"})).contains("model"));
        assert!(refused(json!({"code": "assert True"})).contains("run"));
        assert!(refused(json!({"numeric": 1, "tolerance": -1})).contains("not negative"));
        assert!(refused(json!({"json_schema": {"type": 5}})).contains("json_schema"));
        assert!(refused(json!({"json_schema": "nowhere.json"})).contains("nowhere.json"));
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let long = "a\n".repeat(200);
        let Some(Verdict::Fail(why)) = check(json!({"exact": "b"})).run(&long) else { panic!("it fails") };
        assert!(!why.contains('\n') && why.chars().count() < 120, "{why}");
    }
}
