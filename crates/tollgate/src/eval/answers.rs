//! Answers that were paid for, kept so that nothing is paid twice: a run that was killed goes on where it was, and a
//! second run of the same suite costs nothing while the answers are young enough.
//!
//! One JSON object a line in `DATA_DIR/eval/answers.jsonl`, found by a hash of model, messages and parameters. Each line
//! is one `write(2)`, made as soon as the answer is there: kill -9 costs at most the answers that were under way.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use catalog::Money;
use jiff::Timestamp;
use ledger::DirLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Folder in the data directory.
pub const FOLDER: &str = "eval";
const FILE: &str = "answers.jsonl";

/// An answer with what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// [`key`] of what was asked.
    pub key: String,
    /// When it came.
    pub at: Timestamp,
    /// What was asked for: a model or a route.
    pub model: String,
    /// `provider/model` that answered.
    pub answered_by: Option<String>,
    /// `x-tollgate-reason`.
    pub reason: Option<String>,
    /// Calls that it took.
    pub attempts: u64,
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish: Option<String>,
    /// As the answer reports them, of the attempt that answered.
    pub input_tokens: Option<u64>,
    /// The same.
    pub output_tokens: Option<u64>,
    /// Exact, over all attempts; `None` when unknown.
    pub cost_usd: Option<Money>,
    /// Our id of the request, to find it in the ledger.
    pub request_id: Option<String>,
    /// Milliseconds until it was whole.
    pub ms: u64,
}

/// What a question is found by: SHA-256 over model, messages and parameters, whatever the order of their keys.
pub fn key(model: &str, body: &Value) -> String {
    let mut text = String::new();
    canonical(&serde_json::json!([model, body]), &mut text);
    super::sha256(text.as_bytes())
}

/// JSON with sorted keys and no white space.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in fields {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// The answers of a data directory, and the right to add to them.
#[derive(Debug)]
pub struct Answers {
    state: Mutex<State>,
    path: PathBuf,
    _lock: DirLock,
}

#[derive(Debug)]
struct State {
    file: File,
    known: HashMap<String, Answer>,
}

impl Answers {
    /// Opens the answers in `data_dir`; those before `since` are not known. Errors when another `eval` is at work there,
    /// or the file cannot be read.
    pub fn open(data_dir: &Path, since: Timestamp) -> anyhow::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let lock = DirLock::take(&folder).context("another `tollgate eval` is running here")?;
        let path = folder.join(FILE);
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600);
        let shown = || format!("{}", path.display());
        let mut file = options.open(&path).with_context(shown)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(shown)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // The rest of a line that a kill or a full disk cut; the next one must not be glued to it.
            file.write_all(b"\n").with_context(shown)?;
        }
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Answer>(line).ok());
        let young = lines.filter(|answer| answer.at >= since);
        let known = young.map(|answer| (answer.key.clone(), answer)).collect();
        Ok(Self { state: Mutex::new(State { file, known }), path, _lock: lock })
    }

    /// The answer to a question, if it is known.
    pub fn get(&self, key: &str) -> Option<Answer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).known.get(key).cloned()
    }

    /// Keeps an answer. Errors when it cannot be written: going on would pay for it again.
    pub fn put(&self, answer: &Answer) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file.write_all(&line).with_context(|| format!("{}", self.path.display()))?;
        state.known.insert(answer.key.clone(), answer.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(key: &str, at: i64) -> Answer {
        Answer {
            key: key.to_owned(),
            at: Timestamp::from_second(at).unwrap(),
            model: "m".to_owned(),
            answered_by: None,
            reason: None,
            attempts: 1,
            text: "t".to_owned(),
            finish: None,
            input_tokens: None,
            output_tokens: None,
            cost_usd: Some(Money::from_pico(1)),
            request_id: None,
            ms: 1,
        }
    }

    #[test]
    fn the_key_is_of_the_content() {
        let a = json!({"messages": [{"role": "user", "content": "x"}], "temperature": 0});
        let b = json!({"temperature": 0, "messages": [{"content": "x", "role": "user"}]});
        assert_eq!(key("m", &a), key("m", &b));
        assert_ne!(key("m", &a), key("n", &a));
        assert_ne!(key("m", &a), key("m", &json!({"messages": a["messages"], "temperature": 1})));
        // an array of arrays is not the flat one
        assert_ne!(key("m", &json!([[1], 2])), key("m", &json!([[1, 2]])));
    }

    #[test]
    fn answers_outlive_a_torn_line_and_grow_old() {
        let dir = tempfile::tempdir().unwrap();
        let open = |since| Answers::open(dir.path(), Timestamp::from_second(since).unwrap());
        {
            let answers = open(0).unwrap();
            answers.put(&answer("a", 10)).unwrap();
            answers.put(&answer("b", 20)).unwrap();
            assert!(open(0).is_err(), "one at a time");
        }
        let path = dir.path().join(FOLDER).join(FILE);
        let mut torn = std::fs::read(&path).unwrap();
        torn.truncate(torn.len() - 9);
        std::fs::write(&path, torn).unwrap();
        {
            let answers = open(0).unwrap();
            assert!(answers.get("a").is_some() && answers.get("b").is_none());
            answers.put(&answer("c", 30)).unwrap();
        }
        let answers = open(15).unwrap();
        assert!(answers.get("a").is_none() && answers.get("c").is_some());
    }
}
