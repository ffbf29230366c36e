//! Our own facts about models: `data/models/*.toml`. Families say what every host's copy of an open model can do,
//! aliases join the names that hosts give to one model, and single facts correct a source.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::{Ability, Facts, embedded};

/// A file of `data/models`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelFile {
    family: Vec<Family>,
    alias: Vec<Alias>,
    fact: Vec<Fact>,
}

/// Facts of all models whose name has a certain shape, wherever they are served. They fill what sources leave open.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Patterns for the lower-case id; `*` stands for anything.
    ids: Vec<String>,
    /// Patterns for ids that look alike and are something else.
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    context: Option<u64>,
    #[serde(default)]
    reasoning: Option<bool>,
    #[serde(default)]
    can: BTreeMap<String, Ability>,
    /// The page that says so.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    source: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    as_of: Date,
}

/// A name for one model at several hosts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alias {
    name: String,
    /// Host → its id.
    at: BTreeMap<String, String>,
}

/// What we know better of one model at one host.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fact {
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) context: Option<u64>,
    #[serde(default)]
    pub(crate) max_output: Option<u64>,
    #[serde(default)]
    pub(crate) reasoning: Option<bool>,
    #[serde(default)]
    pub(crate) can: BTreeMap<String, Ability>,
    #[serde(default)]
    pub(crate) last_day: Option<Date>,
    #[serde(default)]
    pub(crate) successor: Option<String>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    source: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    as_of: Date,
}

/// All of our facts.
pub(crate) struct Families(Vec<ModelFile>);

impl Families {
    /// Reads the embedded files.
    pub(crate) fn builtin() -> Self {
        // A file that does not parse fails `every_model_file_is_valid`.
        Self(embedded::MODELS.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect())
    }

    /// Fills what is not known of the model with that id.
    pub(crate) fn fill(&self, id: &str, facts: &mut Facts, reasoning: &mut Option<bool>) {
        let id = id.to_ascii_lowercase();
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &id));
        for family in self.0.iter().flat_map(|file| &file.family) {
            if fits(&family.ids) && !fits(&family.except) {
                facts.context = facts.context.or(family.context);
                *reasoning = reasoning.or(family.reasoning);
                facts.can.fill(&family.can);
            }
        }
    }

    /// Names and ids of the models of a host that have one.
    pub(crate) fn aliases<'a>(&'a self, host: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let aliases = self.0.iter().flat_map(|file| &file.alias);
        aliases.filter_map(move |alias| Some((alias.name.as_str(), alias.at.get(host)?.as_str())))
    }

    /// Facts of the models of a host: id, fact.
    pub(crate) fn facts<'a>(&'a self, host: &'a str) -> impl Iterator<Item = (&'a str, &'a Fact)> {
        let facts = self.0.iter().flat_map(|file| &file.fact);
        facts.filter_map(move |fact| Some((fact.target.strip_prefix(host)?.strip_prefix('/')?, fact)))
    }
}

/// `*` stands for any text, also none.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // Taking each part as early as possible leaves the most for those after it.
    for part in middle.split('*') {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capabilities;

    #[test]
    fn every_model_file_is_valid() {
        for (name, text) in embedded::MODELS {
            let file: ModelFile = toml::from_str(text).unwrap_or_else(|e| panic!("{name}.toml: {e}"));
            let cans = file.family.iter().map(|f| &f.can).chain(file.fact.iter().map(|f| &f.can));
            for ability in cans.flat_map(BTreeMap::keys) {
                assert!(Capabilities::default().get_mut(ability).is_some(), "{name}: {ability}");
            }
            let sources = file.family.iter().map(|f| (&f.source, f.as_of));
            for (source, as_of) in sources.chain(file.fact.iter().map(|f| (&f.source, f.as_of))) {
                assert!(source.starts_with("https://") && as_of.year() >= 2025, "{name}: {source} {as_of}");
            }
            for family in &file.family {
                assert!(family.ids.iter().all(|id| *id == id.to_ascii_lowercase()), "{name}: lower case");
            }
        }
    }

    #[test]
    fn patterns() {
        assert!(fits("*qwen3-235b*", "qwen/qwen3-235b-a22b"));
        assert!(fits("gpt-*-mini", "gpt-5-mini") && !fits("gpt-*-mini", "gpt-5-mini-x"));
        assert!(fits("*", "") && !fits("a", "b") && fits("a*b*c", "axbyc") && !fits("a*b*c", "acb"));
        assert!(!fits("ab*ba", "aba"), "no letter twice");
    }
}
