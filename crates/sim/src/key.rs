//! The answer key: prompts whose answers are written down, a strong and perhaps a weak one.

use std::collections::HashMap;

/// Known prompts with their answers. An answer may hold directives (crate docs).
#[derive(Clone, Debug, Default)]
pub struct AnswerKey {
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    strong: String,
    weak: Option<String>,
}

impl AnswerKey {
    /// Writes down a prompt. `weak` is what models that are not [`crate::ModelSpec::strong`] say; `None`: the same.
    pub fn insert(&mut self, prompt: &str, strong: &str, weak: Option<&str>) {
        let entry = Entry { strong: strong.to_owned(), weak: weak.map(str::to_owned) };
        self.entries.insert(prompt.trim().to_owned(), entry);
    }

    /// Number of prompts.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No prompts.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a model says to the newest of `asked` that is known.
    pub(crate) fn get(&self, asked: &[String], strong: bool) -> Option<&str> {
        let entry = asked.iter().rev().find_map(|text| self.entries.get(text.trim()))?;
        match &entry.weak {
            Some(weak) if !strong => Some(weak),
            _ => Some(&entry.strong),
        }
    }
}
