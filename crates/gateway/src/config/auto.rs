//! Zero config and the implied route `auto`.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{AutoList, Catalogue};
use regex::Regex;
use router::{Check, HoldBack, How, Pick, Route, Rule};

use super::base_url;
use super::providers::{dialect_named, env_key};
use super::{Group, Host, RouteConfig, Target};

/// The name of the implied route.
pub(super) const AUTO: &str = "auto";
/// Words that ask for thought: the source article's list, with the word boundaries that it lacks.
const HARD: &str = r"(?i)\b(multi-step|prove|derive|optimi[sz]e|architect)\b";
/// Input tokens that a cheap model loses the thread of.
const LONG_INPUT: u64 = 30_000;

/// Vendors whose usual environment variable is set, with a line on each for the start.
pub(super) fn from_environment(
    catalogue: &Catalogue,
    env: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, Arc<Host>>, Vec<String>) {
    let mut hosts = BTreeMap::new();
    let mut found = Vec::new();
    for known in catalogue.providers() {
        let Some((name, secret)) = env_key(&known.key_env, env) else { continue };
        let (Ok(url), Some(dialect)) = (base_url::parse(&known.base_url, false), dialect_named(&known.wire))
        else {
            continue;
        };
        found.push(format!("{}: key from {name}", known.name));
        let host = Host {
            id: known.id.clone(),
            dialect,
            https: url.https,
            host: url.host,
            port: url.port,
            base_path: url.path,
            auth: known.auth.clone(),
            keys: vec![secret],
            quirks: known.quirks.clone(),
            endpoints: known.endpoints.clone(),
            allow_private: false,
        };
        hosts.insert(known.id.clone(), Arc::new(host));
    }
    (hosts, found)
}

/// The route `auto` from the catalogue's list, as far as its vendors are configured, and what to say about it.
pub(super) fn route(
    hosts: &BTreeMap<String, Arc<Host>>,
    catalogue: &Catalogue,
) -> (Option<RouteConfig>, String) {
    let AutoList { cheap, flagship, as_of } = catalogue.auto();
    let group = |name: &str, list: &[String]| {
        let target = |entry: &String| {
            let (host, model) = entry.split_once('/')?;
            let (host, offer) = (hosts.get(host)?, catalogue.offer(host, model)?);
            Some(Arc::new(Target { id: offer.target(), host: Arc::clone(host), offer, weight: 1 }))
        };
        let targets: Vec<_> = list.iter().filter_map(target).collect();
        let name = format!("{AUTO}:{name}");
        (!targets.is_empty()).then(|| Arc::new(Group { name, pick: Pick::Order, targets }))
    };
    let first = |group: &Group| group.targets.first().map(|t| t.id.clone()).unwrap_or_default();
    let dated = as_of.map(|date| format!(" (list of {date})")).unwrap_or_default();
    match (group("cheap", cheap), group("flagship", flagship)) {
        (Some(cheap), Some(flagship)) => {
            let said = format!("`auto` asks {} and escalates to {}{dated}", first(&cheap), first(&flagship));
            (Some(implied(cheap, Some(flagship))), said)
        }
        (Some(only), None) | (None, Some(only)) => {
            let said = format!(
                "`auto` asks {} alone{dated}: with one tier of models there is no escalation",
                first(&only)
            );
            (Some(implied(only, None)), said)
        }
        (None, None) => (
            None,
            format!(
                "there is no `auto`: none of its models{dated} is at these vendors; name a `provider/model`"
            ),
        ),
    }
}

fn implied(default: Arc<Group>, escalate: Option<Arc<Group>>) -> RouteConfig {
    let checked = escalate.is_some();
    let hard = Regex::new(HARD).ok().map(|hard| Rule::Matches(hard.into()));
    let rules = hard.into_iter().chain([Rule::InputTokensOver(LONG_INPUT)]);
    let route = Route {
        name: AUTO.to_owned(),
        before: rules.filter(|_| checked).collect(),
        after: if checked { vec![Check::Empty, Check::Refusal, Check::Repetition] } else { Vec::new() },
        how: How::Fresh,
        hold_back: HoldBack::PREFIX,
        check_tool_turns: false,
    };
    RouteConfig { route, default, escalate, last_resort: None, early_headers: false, shadow: None }
}
