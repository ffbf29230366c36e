//! `[providers.NAME]`: vendors that the catalogue knows, and servers of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use catalog::{Auth, Catalogue, Provider, Quirks};
use serde::Deserialize as _;
use wire::Dialect;

use super::base_url::{self, BaseUrl};
use super::doc::Section;
use super::nearest::nearest;
use super::source::{Secrets, usable};
use super::{Host, Secret};
use crate::keys::is_key_name;

/// What the section says, as far as it can be read.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) hosts: BTreeMap<String, Arc<Host>>,
    /// Named in the file, sound or not: a target there is not a second mistake.
    pub(super) declared: BTreeSet<String>,
}

/// Reads every provider.
pub(super) fn read(section: &Section<'_>, catalogue: &Catalogue, secrets: &mut Secrets<'_>) -> Providers {
    let mut all = Providers::default();
    for (id, place, value) in section.named() {
        all.declared.insert(id.to_owned());
        let Some(section) = section.as_section(id, place.clone(), value) else { continue };
        if !is_key_name(id) {
            let message = format!("`{id}` is no name for a provider: letters, digits, `.`, `_` and `-`");
            section.doc.error(place, message, None);
            continue;
        }
        if let Some(host) = one(id, &section, catalogue, secrets) {
            all.hosts.insert(id.to_owned(), Arc::new(host));
        }
        section.finish();
    }
    all
}

fn one(id: &str, section: &Section<'_>, catalogue: &Catalogue, secrets: &mut Secrets<'_>) -> Option<Host> {
    section.refuse("residency", "residency rules");
    section.refuse("cost", "the cost of servers of one's own");
    let known = catalogue.provider(id);
    let stranger = known.is_none() && section.get("base_url").is_none();
    if stranger {
        unknown(id, section, catalogue);
    }
    // Taken, so that it is no unknown key on top.
    section.get("wire");
    let dialect = if stranger { None } else { dialect(section, known) };
    let url = if stranger { None } else { url(section, known) };
    let allow_private = section.flag("allow_private");
    let keys = api_key(section, secrets);
    let auth = auth(section, known, dialect, keys.is_some());
    let quirks = quirks(section).or_else(|| known.map(|k| k.quirks.clone())).unwrap_or_default();
    let endpoints = endpoints(section).or_else(|| known.map(|k| k.endpoints.clone())).unwrap_or_default();
    let keys = match (keys, &auth) {
        (Some(_), Auth::None) => {
            let hint = "take out `auth = \"none\"` or `api_key`".to_owned();
            section.doc.error(
                section.place("api_key"),
                "`api_key` is never sent with `auth = \"none\"`",
                Some(hint),
            );
            None
        }
        (Some(keys), _) => Some(keys),
        (None, Auth::None) => Some(Vec::new()),
        (None, _) if stranger => None,
        (None, _) => usual_key(id, section, known, secrets).map(|key| vec![key]),
    };
    let (BaseUrl { https, host, port, path }, local) = url?;
    Some(Host {
        id: id.to_owned(),
        dialect: dialect?,
        https,
        host,
        port,
        base_path: path,
        auth,
        keys: keys?,
        quirks,
        endpoints,
        allow_private: allow_private || local,
    })
}

/// Neither in the catalogue nor described.
fn unknown(id: &str, section: &Section<'_>, catalogue: &Catalogue) {
    let ids = catalogue.providers().iter().map(|p| p.id.as_str());
    let hint = match nearest(id, ids, 1).first() {
        Some(near) => {
            format!("did you mean `[providers.{near}]`? A server of your own needs `wire` and `base_url`")
        }
        None => "a server of your own needs `wire` and `base_url`".to_owned(),
    };
    section.doc.error(section.span.clone(), format!("the catalogue knows no provider `{id}`"), Some(hint));
}

pub(super) fn dialect_named(word: &str) -> Option<Dialect> {
    match word {
        "openai" => Some(Dialect::OpenAi),
        "anthropic" => Some(Dialect::Anthropic),
        "gemini" => Some(Dialect::Gemini),
        _ => None,
    }
}

fn dialect(section: &Section<'_>, known: Option<&Provider>) -> Option<Dialect> {
    let words = "one of openai, anthropic, gemini";
    match (section.string("wire"), known) {
        (Some((word, span)), _) => dialect_named(word).or_else(|| {
            section.doc.error(span, format!("`wire` = \"{word}\" is not {words}"), None);
            None
        }),
        (None, Some(known)) => dialect_named(&known.wire),
        (None, None) => {
            let message = format!("{} needs `wire`: {words}", section.name);
            section.doc.error(section.span.clone(), message, None);
            None
        }
    }
}

/// The base URL, and whether it is the usual one of a local server, which is private by nature.
fn url(section: &Section<'_>, known: Option<&Provider>) -> Option<(BaseUrl, bool)> {
    let allow_private = section.flag("allow_private");
    if let Some((text, span)) = section.string("base_url") {
        return match base_url::parse(text, allow_private) {
            Ok(url) => Some((url, false)),
            Err((message, hint)) => {
                section.doc.error(span, format!("`base_url` {message}"), hint);
                None
            }
        };
    }
    if let Some(usual) = known.map(|k| k.base_url.as_str()).filter(|url| !url.is_empty()) {
        let local = usual.starts_with("http://127.0.0.1");
        return base_url::parse(usual, allow_private || local).ok().map(|url| (url, local));
    }
    if section.get("base_url").is_none() {
        let hint = "write it as base_url = \"https://host/v1\", with the version path".to_owned();
        section.doc.error(section.span.clone(), format!("{} needs `base_url`", section.name), Some(hint));
    }
    None
}

fn auth(section: &Section<'_>, known: Option<&Provider>, dialect: Option<Dialect>, has_key: bool) -> Auth {
    let usual = match known.map(|k| &k.auth) {
        Some(Auth::None) | None if has_key => usual_auth(dialect),
        Some(auth) => auth.clone(),
        None => Auth::None,
    };
    let Some(value) = section.get("auth") else { return usual };
    let place = value.span();
    if let Some(word) = value.get_ref().as_str() {
        return match word {
            "bearer" => Auth::Bearer,
            "none" => Auth::None,
            _ => {
                let hint = "\"bearer\", \"none\" or { header = \"api-key\" }".to_owned();
                section.doc.error(place, "`auth` is none that we know", Some(hint));
                usual
            }
        };
    }
    let Some(table) = section.as_section("auth", place, value) else { return usual };
    let header = table.string("header");
    let auth = match header {
        Some((name, _)) if name.parse::<http::HeaderName>().is_ok() => {
            Auth::Header(name.to_ascii_lowercase())
        }
        Some((_, span)) => {
            table.doc.error(span, "`header` is no name of a header", None);
            usual
        }
        None => usual,
    };
    table.finish();
    auth
}

/// How the makers of the dialects take a key. Servers that imitate them do the same.
fn usual_auth(dialect: Option<Dialect>) -> Auth {
    match dialect {
        Some(Dialect::Anthropic) => Auth::Header("x-api-key".to_owned()),
        Some(Dialect::Gemini) => Auth::Header("x-goog-api-key".to_owned()),
        Some(Dialect::OpenAi) | None => Auth::Bearer,
    }
}

/// `api_key`: one secret or several. `None`: the key is absent; what is present and wrong counts as present.
fn api_key(section: &Section<'_>, secrets: &mut Secrets<'_>) -> Option<Vec<Secret>> {
    let value = section.get("api_key")?;
    let texts: Vec<(&str, Range<usize>)> = match value.get_ref().as_str() {
        Some(text) => vec![(text, value.span())],
        None => section.strings("api_key")?,
    };
    if texts.is_empty() {
        section.doc.error(value.span(), "`api_key` is empty", None);
    }
    let read = |(text, span)| secrets.read(section.doc, "api_key", text, span);
    Some(texts.into_iter().filter_map(read).collect())
}

/// The key from the vendor's usual environment variable.
fn usual_key(
    id: &str,
    section: &Section<'_>,
    known: Option<&Provider>,
    secrets: &Secrets<'_>,
) -> Option<Secret> {
    let names = known.map(|k| k.key_env.as_slice()).unwrap_or_default();
    if let Some((_, secret)) = env_key(names, secrets.sources.env) {
        return Some(secret);
    }
    let name = names
        .first()
        .cloned()
        .unwrap_or_else(|| format!("{}_API_KEY", id.to_uppercase().replace(['-', '.'], "_")));
    let hint = format!("export {name}=…, or write api_key = \"env:{name}\"");
    section.doc.error(section.span.clone(), format!("{} has no `api_key`", section.name), Some(hint));
    None
}

/// The first of `names` that is set to something usable, with its name.
pub(super) fn env_key<'n>(
    names: &'n [String],
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(&'n str, Secret)> {
    names.iter().find_map(|name| {
        let value = env(name)?;
        let value = value.trim();
        usable(value).ok()?;
        Some((name.as_str(), Secret::new(value.to_owned())))
    })
}

fn quirks(section: &Section<'_>) -> Option<Quirks> {
    let value = section.get("quirks")?;
    match Quirks::deserialize(toml::de::ValueDeserializer::from(value.clone())) {
        Ok(quirks) => Some(quirks),
        Err(e) => {
            section.doc.error(e.span().unwrap_or(value.span()), format!("`quirks`: {}", e.message()), None);
            None
        }
    }
}

fn endpoints(section: &Section<'_>) -> Option<Vec<String>> {
    let all = section.strings("endpoints")?;
    let mut good = Vec::new();
    for (word, span) in all {
        if matches!(word, "chat" | "completion" | "embedding") {
            good.push(word.to_owned());
        } else {
            let message = format!("`endpoints`: \"{word}\" is not one of chat, completion, embedding");
            section.doc.error(span, message, None);
        }
    }
    Some(good)
}
