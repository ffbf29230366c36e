//! Training data as text: prompts with what many models scored on them, pairs of models, and weak answers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line of `train/NAME.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct PromptRow {
    /// Its id.
    pub id: String,
    /// Which dataset it is from.
    pub dataset: String,
    /// Near-duplicates share a group.
    pub group: String,
    /// The text.
    pub prompt: String,
    /// What each model scored, 0 to 1.
    pub scores: BTreeMap<String, f64>,
}

/// A line of `cascade/NAME.jsonl`: a weak model's answer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerRow {
    /// The id of its prompt.
    pub id: String,
    /// Which dataset it is from.
    pub dataset: String,
    /// The text of the prompt.
    pub prompt: String,
    /// Who answered.
    pub weak_model: String,
    /// The answer.
    pub response: String,
    /// What the answer scored.
    pub weak_score: f64,
    /// What the strong model's answer scored.
    pub strong_score: f64,
}

/// An entry of `pairs.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Pair {
    /// For which dataset.
    pub dataset: String,
    /// The weak model.
    pub weak: String,
    /// The strong one.
    pub strong: String,
    /// The pair to report.
    pub default: bool,
}

/// Everything that is learned from.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Prompts.
    pub prompts: Vec<PromptRow>,
    /// Weak answers; may be empty.
    pub answers: Vec<AnswerRow>,
    /// The pairs to report, by dataset.
    pub pairs: BTreeMap<String, Pair>,
}

/// What is wrong with the data.
#[derive(Debug, thiserror::Error)]
pub enum BadData {
    /// A line or file that is no JSON of the expected shape.
    #[error("{file}, line {line}: {why}")]
    Line {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// The parser's words.
        why: String,
    },
    /// Too little to learn from.
    #[error("{0}")]
    Little(String),
}

impl Data {
    /// Adds the lines of a prompt file.
    pub fn add_prompts(&mut self, file: &str, text: &str) -> Result<(), BadData> {
        lines(file, text, &mut self.prompts)
    }

    /// Adds the lines of an answer file.
    pub fn add_answers(&mut self, file: &str, text: &str) -> Result<(), BadData> {
        lines(file, text, &mut self.answers)
    }

    /// Takes the default pairs of `pairs.json`.
    pub fn set_pairs(&mut self, file: &str, text: &str) -> Result<(), BadData> {
        let pairs: Vec<Pair> = serde_json::from_str(text).map_err(|e| bad(file, e.line(), &e))?;
        self.pairs = pairs.into_iter().filter(|p| p.default).map(|p| (p.dataset.clone(), p)).collect();
        Ok(())
    }

    /// Each dataset must have a pair, and enough prompts that both models of the pair answered.
    pub fn check(&self) -> Result<(), BadData> {
        if self.prompts.is_empty() {
            return Err(BadData::Little("there are no prompts".to_owned()));
        }
        for dataset in super::names(self.prompts.iter().map(|p| p.dataset.as_str())) {
            if !self.pairs.contains_key(dataset) {
                return Err(BadData::Little(format!("`{dataset}` has no default pair in pairs.json")));
            }
            let scored = |p: &&PromptRow| p.dataset == dataset && self.outcome(p).is_some();
            let n = self.prompts.iter().filter(scored).count();
            if n < LEAST {
                return Err(BadData::Little(format!(
                    "`{dataset}` has {n} prompts that both models of its pair answered; it takes {LEAST}"
                )));
            }
        }
        Ok(())
    }

    /// What the pair of its dataset scored on a prompt: weak, strong.
    pub(super) fn outcome(&self, prompt: &PromptRow) -> Option<(f64, f64)> {
        let pair = self.pairs.get(&prompt.dataset)?;
        Some((*prompt.scores.get(&pair.weak)?, *prompt.scores.get(&pair.strong)?))
    }
}

/// Prompts of a dataset below which nothing can be held out.
const LEAST: usize = 20;

fn lines<T: for<'a> Deserialize<'a>>(file: &str, text: &str, into: &mut Vec<T>) -> Result<(), BadData> {
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        into.push(serde_json::from_str(line).map_err(|e| bad(file, at + 1, &e))?);
    }
    Ok(())
}

fn bad(file: &str, line: usize, why: &serde_json::Error) -> BadData {
    BadData::Line { file: file.to_owned(), line, why: why.to_string() }
}
