//! What a model name stands for (interface §3a).

use std::sync::Arc;

use catalog::Offer;

use super::nearest::nearest;
use super::{Config, Group, RouteConfig, Target};

/// Names that are kept resolved. Clients name few; a client that invents names must not grow the memory.
const CACHED: usize = 1_024;
/// Longest name that is looked up.
const NAME_BYTES: usize = 512;
/// Near names in an error.
const NEAR: usize = 3;

/// What a model name stands for.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A route.
    Route(Arc<RouteConfig>),
    /// An alias or a single target: pinned.
    Group(Arc<Group>),
}

/// No such model: a 404 with the nearest names.
#[derive(Debug, thiserror::Error)]
#[error("no route, model or vendor model is called `{name}`{}", did_you_mean(nearest))]
pub struct UnknownModel {
    /// What was asked for, at most 512 bytes of it.
    pub name: String,
    /// At most three near names.
    pub nearest: Vec<String>,
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(" or ")) }
}

/// Groups that were made for names of vendors' models.
pub(super) struct Cache(quick_cache::sync::Cache<String, Arc<Group>>);

impl Default for Cache {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(CACHED))
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({})", self.0.len())
    }
}

impl Config {
    /// Resolves a model name (interface §3a): route → alias → `provider/model` → catalogue id or alias served by a
    /// configured vendor, its maker first, then the cheapest. Errors with the nearest names. The second time a name is
    /// asked for, only an `Arc` is cloned.
    pub fn resolve(&self, name: &str) -> Result<Resolved, UnknownModel> {
        if let Some(route) = self.routes.get(name) {
            return Ok(Resolved::Route(Arc::clone(route)));
        }
        if let Some(group) = self.models.get(name) {
            return Ok(Resolved::Group(Arc::clone(group)));
        }
        if let Some(group) = self.resolved.0.get(name) {
            return Ok(Resolved::Group(group));
        }
        match self.vendor_model(name) {
            Some(group) => {
                let group = Arc::new(group);
                self.resolved.0.insert(name.to_owned(), Arc::clone(&group));
                Ok(Resolved::Group(group))
            }
            None => Err(self.unknown(name)),
        }
    }

    fn vendor_model(&self, name: &str) -> Option<Group> {
        if name.is_empty() || name.len() > NAME_BYTES {
            return None;
        }
        let mut targets = Vec::new();
        let pinned = name.split_once('/').and_then(|(host, model)| Some((self.hosts.get(host)?, model)));
        if let Some((host, model)) = pinned.filter(|(_, model)| !model.is_empty()) {
            let offer = self.catalogue.offer(&host.id, model);
            let offer = offer.unwrap_or_else(|| Arc::new(Offer::unlisted(&host.id, model)));
            targets.push(Arc::new(Target { id: offer.target(), host: Arc::clone(host), offer, weight: 1 }));
        } else {
            let hosts: Vec<&str> = self.hosts.keys().map(String::as_str).collect();
            for hit in self.catalogue.find(name, &hosts) {
                let Some(host) = self.hosts.get(&hit.offer.provider) else { continue };
                let (id, host) = (hit.offer.target(), Arc::clone(host));
                targets.push(Arc::new(Target { id, host, offer: hit.offer, weight: 1 }));
            }
        }
        let group = Group { name: name.to_owned(), pick: router::Pick::Order, targets };
        (!group.targets.is_empty()).then_some(group)
    }

    fn unknown(&self, name: &str) -> UnknownModel {
        let own = self.routes.keys().chain(self.models.keys()).cloned();
        let offers =
            self.hosts.keys().flat_map(|host| self.catalogue.offers(host)).map(|offer| offer.target());
        let names: Vec<String> = own.chain(offers).collect();
        let near = nearest(name, names.iter().map(String::as_str), NEAR);
        let shown = name.get(..name.floor_char_boundary(NAME_BYTES)).unwrap_or(name);
        UnknownModel { name: shown.to_owned(), nearest: near.into_iter().map(str::to_owned).collect() }
    }
}
