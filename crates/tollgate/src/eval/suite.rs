//! A suite: prompts with checks, as a TOML file, more cases as JSON lines beside it. Read whole: every mistake comes
//! back at once, with the case that it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::check::{Check, RawCheck};

/// Longest id of a case, name of a suite.
const NAME_BYTES: usize = 100;

/// A validated suite.
#[derive(Debug)]
pub struct Suite {
    /// Its name: a tag on its requests, and part of file names.
    pub name: String,
    /// SHA-256 of its file and of its cases' file: results of different suites are not compared.
    pub sha256: String,
    /// Share of the cases that must pass.
    pub min_pass: f64,
    /// In the order of the files.
    pub cases: Vec<Case>,
}

/// One prompt with what its answer must be.
#[derive(Debug)]
pub struct Case {
    /// Unique in the suite.
    pub id: String,
    /// The request without its model.
    pub body: Map<String, Value>,
    /// All must hold.
    pub checks: Vec<Check>,
}

impl Suite {
    /// Some case runs code that a model wrote.
    pub fn runs_code(&self) -> bool {
        self.cases.iter().flat_map(|case| &case.checks).any(Check::runs_code)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    min_pass: Option<f64>,
    /// Said before every prompt.
    system: Option<String>,
    /// Sent with every request: `temperature`, `max_tokens`, …
    #[serde(default)]
    params: Map<String, Value>,
    /// A file of further cases, one JSON object a line.
    cases: Option<PathBuf>,
    #[serde(default)]
    case: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: String,
    prompt: Option<String>,
    messages: Option<Vec<Value>>,
    system: Option<String>,
    #[serde(default)]
    params: Map<String, Value>,
    check: Value,
}

/// One check or a list. The obvious alternative, an untagged enum, would say only that nothing matched.
fn checks(value: Value) -> Result<Vec<RawCheck>, String> {
    let one = |value| serde_json::from_value(value).map_err(|e| format!("`check`: {e}"));
    match value {
        Value::Array(list) if list.is_empty() => Err("without a check it could never fail".to_owned()),
        Value::Array(list) => list.into_iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

/// Reads a suite. Errors with every mistake, a line each.
pub fn read(path: &Path) -> Result<Suite, Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| vec![format!("{shown}: {e}")])?;
    let mut file: File =
        toml::from_str(&text).map_err(|e| vec![format!("{shown}: {}", e.to_string().trim_end())])?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut hashed = text;
    let mut mistakes = Vec::new();
    if let Some(more) = &file.cases {
        let more = folder.join(more);
        match std::fs::read_to_string(&more) {
            Ok(lines) => {
                file.case.extend(read_lines(&more, &lines, &mut mistakes));
                hashed.push('\0');
                hashed.push_str(&lines);
            }
            Err(e) => mistakes.push(format!("{}: {e}", more.display())),
        }
    }
    let stem = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = file.name.take().unwrap_or_else(stem);
    let sha256 = super::sha256(hashed.as_bytes());
    let empty = file.case.is_empty() && mistakes.is_empty();
    let (suite, wrong) = validate(file, name, sha256, folder);
    mistakes.extend(wrong.into_iter().map(|wrong| format!("{shown}: {wrong}")));
    if empty {
        mistakes.push(format!("{shown}: no case: add `[[case]]` tables, or `cases = \"FILE.jsonl\"`"));
    }
    if mistakes.is_empty() { Ok(suite) } else { Err(mistakes) }
}

fn read_lines(file: &Path, lines: &str, mistakes: &mut Vec<String>) -> Vec<RawCase> {
    let mut cases = Vec::new();
    for (number, line) in (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(case) => cases.push(case),
            Err(e) => mistakes.push(format!("{} line {number}: {e}", file.display())),
        }
    }
    cases
}

fn validate(file: File, name: String, sha256: String, folder: &Path) -> (Suite, Vec<String>) {
    let mut mistakes = Vec::new();
    if !is_name(&name) {
        mistakes
            .push(format!("`name` = \"{name}\": letters, digits, `-`, `_` and `.`, at most {NAME_BYTES}"));
    }
    let min_pass = file.min_pass.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&min_pass) {
        mistakes.push(format!("`min_pass` = {min_pass}: a share from 0 to 1"));
    }
    let shared = Shared { system: file.system, params: file.params, folder };
    let mut ids = BTreeSet::new();
    let mut cases = Vec::with_capacity(file.case.len());
    for raw in file.case {
        if !ids.insert(raw.id.clone()) {
            mistakes.push(format!("case `{}` is there twice", raw.id));
        }
        match shared.case(raw) {
            Ok(case) => cases.push(case),
            Err(more) => mistakes.extend(more),
        }
    }
    (Suite { name, sha256, min_pass, cases }, mistakes)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= NAME_BYTES && !name.starts_with('.') && name.bytes().all(plain)
}

/// What cases take from their file.
struct Shared<'a> {
    system: Option<String>,
    params: Map<String, Value>,
    folder: &'a Path,
}

/// Keys of a request that a case may not set: the suite's user names the model, and answers are read whole.
const NOT_PARAMS: [&str; 4] = ["model", "messages", "stream", "n"];

impl Shared<'_> {
    fn case(&self, raw: RawCase) -> Result<Case, Vec<String>> {
        let mut mistakes = Vec::new();
        let id = raw.id;
        let mut wrong = |what: String| mistakes.push(format!("case `{id}`: {what}"));
        if id.is_empty() || id.len() > NAME_BYTES || id.chars().any(char::is_control) {
            wrong(format!("an id has 1 to {NAME_BYTES} characters, none of them a control character"));
        }
        let mut messages = match (raw.prompt, raw.messages) {
            (Some(prompt), None) => vec![json!({"role": "user", "content": prompt})],
            (None, Some(messages)) if !messages.is_empty() => messages,
            _ => {
                wrong("needs `prompt` or `messages`, not both".to_owned());
                Vec::new()
            }
        };
        if let Some(system) = raw.system.as_ref().or(self.system.as_ref()) {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        let mut params: BTreeMap<String, Value> = self.params.clone().into_iter().collect();
        params.extend(raw.params);
        for key in NOT_PARAMS.iter().filter(|key| params.contains_key(**key)) {
            wrong(format!("`{key}` is no parameter of a case"));
        }
        let mut body = Map::new();
        body.insert("messages".to_owned(), Value::Array(messages));
        body.extend(params);
        let raw_checks = checks(raw.check).unwrap_or_else(|why| {
            wrong(why);
            Vec::new()
        });
        let mut checks = Vec::with_capacity(raw_checks.len());
        for check in raw_checks {
            match check.compile(self.folder) {
                Ok(check) => checks.push(check),
                Err(why) => wrong(why),
            }
        }
        if mistakes.is_empty() { Ok(Case { id, body, checks }) } else { Err(mistakes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let first = dir.path().join(files[0].0);
        (dir, first)
    }

    #[test]
    fn cases_come_from_both_files_with_shared_parameters() {
        let toml = r#"
            system = "Be brief."
            cases = "more.jsonl"
            [params]
            max_tokens = 50
            temperature = 0
            [[case]]
            id = "port"
            prompt = "Port?"
            params = { max_tokens = 5 }
            check = { exact = "443" }
        "#;
        let lines = "{\"id\":\"two\",\"messages\":[{\"role\":\"user\",\"content\":\"Two?\"}],\"check\":[{\"numeric\":2},{\"contains\":\"2\"}]}\n\n";
        let (_dir, file) = write(&[("small.toml", toml), ("more.jsonl", lines)]);
        let suite = read(&file).unwrap();
        assert_eq!((suite.name.as_str(), suite.cases.len(), suite.cases[1].checks.len()), ("small", 2, 2));
        assert!((suite.min_pass - 1.0).abs() < f64::EPSILON);
        let body = Value::Object(suite.cases[0].body.clone());
        assert_eq!(body["messages"][0]["content"], "Be brief.");
        assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(5), &json!(0)));
        std::fs::write(file.with_file_name("more.jsonl"), lines.replace("Two", "2")).unwrap();
        assert_ne!(read(&file).unwrap().sha256, suite.sha256, "the hash covers both files");
    }

    #[test]
    fn every_mistake_comes_back_at_once() {
        let toml = r#"
            name = "a b"
            min_pass = 2.0
            cases = "more.jsonl"
            [[case]]
            id = "x"
            check = { exact = "a", regex = "b" }
            [[case]]
            id = "x"
            prompt = "p"
            params = { stream = true }
            check = []
            [[case]]
            id = "r"
            prompt = "p"
            check = { regex = "(" }
        "#;
        let (_dir, file) = write(&[("bad.toml", toml), ("more.jsonl", "{\"id\":1}\n")]);
        let said = read(&file).unwrap_err().join("\n");
        for part in [
            "`name`",
            "`min_pass`",
            "more.jsonl line 1",
            "twice",
            "`prompt` or `messages`",
            "exactly one",
            "`stream`",
            "could never fail",
            "not a regex",
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }

    #[test]
    fn an_unknown_key_and_an_empty_suite_are_mistakes() {
        let (_dir, file) = write(&[(
            "a.toml",
            "[[case]]\nid = \"x\"\nprompt = \"p\"\ncheck = { exact = \"a\" }\nweight = 2\n",
        )]);
        assert!(read(&file).unwrap_err()[0].contains("weight"));
        let (_dir, file) = write(&[("a.toml", "name = \"a\"\n")]);
        assert!(read(&file).unwrap_err()[0].contains("no case"));
    }
}
