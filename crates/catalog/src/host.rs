//! Hosts as data: `data/providers/*.toml`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::{Ability, Auth, Provider, Quirks, embedded};

/// A file of `data/providers`; its name is the host's id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostFile {
    name: String,
    wire: String,
    base_url: String,
    auth: Auth,
    #[serde(default)]
    key_env: Vec<String>,
    endpoints: Vec<String>,
    #[serde(default)]
    quirks: Quirks,
    /// Beginnings of the ids of models that this host made itself.
    #[serde(default)]
    pub(crate) makes: Vec<String>,
    /// Its price page says that audio input costs what text costs, unless it is listed apart.
    #[serde(default)]
    pub(crate) bills_as_text: bool,
    /// The last day of its public endpoint, if that is closed.
    #[serde(default)]
    pub(crate) ended: Option<Date>,
    /// What all of its models can or cannot do, where no source says otherwise of one.
    #[serde(default)]
    pub(crate) can: BTreeMap<String, Ability>,
    /// The vendor's pages that this file follows.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    pub(crate) source: Vec<String>,
    /// When they were read.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people who check the file"))]
    pub(crate) as_of: Date,
}

impl HostFile {
    pub(crate) fn made(&self, model: &str) -> bool {
        self.makes.iter().any(|beginning| model.starts_with(beginning.as_str()))
    }
}

/// Reads the embedded file of a host.
pub(crate) fn read(id: &str) -> Option<HostFile> {
    let (_, text) = embedded::PROVIDERS.iter().find(|(name, _)| *name == id)?;
    // A file that does not parse fails `every_host_file_is_valid`; at run time that host is simply unknown.
    toml::from_str(text).ok()
}

/// Every host that we know.
pub(crate) fn all() -> Vec<Provider> {
    embedded::PROVIDERS.iter().filter_map(|(id, _)| Some(provider(id, read(id)?))).collect()
}

fn provider(id: &str, file: HostFile) -> Provider {
    Provider {
        id: id.to_owned(),
        name: file.name,
        wire: file.wire,
        base_url: file.base_url,
        auth: file.auth,
        key_env: file.key_env,
        quirks: file.quirks,
        endpoints: file.endpoints,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_file_is_valid() {
        for (id, text) in embedded::PROVIDERS {
            let file: HostFile = toml::from_str(text).unwrap_or_else(|e| panic!("{id}.toml: {e}"));
            let known = ["openai", "anthropic", "gemini"];
            assert!(known.contains(&file.wire.as_str()), "{id}: wire {}", file.wire);
            let local = file.auth == Auth::None;
            let url = &file.base_url;
            assert!(
                url.is_empty()
                    || url.starts_with("https://")
                    || local && url.starts_with("http://127.0.0.1:"),
                "{id}"
            );
            assert!(!url.ends_with('/'), "{id}: {url}");
            assert_eq!(file.key_env.is_empty(), local, "{id}: key variables");
            assert!(
                !file.source.is_empty() && file.source.iter().all(|page| page.starts_with("https://")),
                "{id}"
            );
            assert!(file.as_of.year() >= 2026, "{id}: read lately");
            for endpoint in &file.endpoints {
                assert!(["chat", "completion", "embedding"].contains(&endpoint.as_str()), "{id}: {endpoint}");
            }
        }
    }

    #[test]
    fn the_hosts_of_the_issue_are_there() {
        let ids: Vec<String> = all().into_iter().map(|p| p.id).collect();
        for id in [
            "openai",
            "anthropic",
            "gemini",
            "together",
            "fireworks",
            "deepinfra",
            "anyscale",
            "replicate",
            "groq",
            "cerebras",
            "sambanova",
            "mistral",
            "deepseek",
            "xai",
            "openrouter",
            "railwail",
            "vllm",
            "sglang",
            "tensorrt-llm",
            "llamacpp",
            "ollama",
        ] {
            assert!(ids.iter().any(|known| known == id), "{id}");
        }
    }
}
