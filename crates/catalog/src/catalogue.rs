//! The catalogue: providers, models and prices joined, with the user's overlay on top.
//!
//! The obvious alternative is to parse everything at start. Here a host's part of each snapshot is found by its byte
//! range and parsed when that host is first asked for: a gateway with two vendors pays for two.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::family::Families;
use crate::names::nearest;
use crate::overlay::{Overlay, Target};
use crate::schedule::{OURS, USER};
use crate::shelf::{Builder, Resolve, Section, Shelf};
use crate::snapshot::{Entry, Snapshot};
use crate::{Offer, Provider, embedded, host};

/// Sources by precedence; a source that is not here comes last.
const SOURCES: [&str; 2] = ["genai-prices", "litellm"];

/// Everything that is known of hosts, models and prices. Prices are parsed per provider when first asked for, so that
/// a start with two vendors does not pay for forty.
pub struct Catalogue {
    snapshots: Vec<File>,
    overlays: Vec<Overlay>,
    /// Hosts before models that are priced as others: what those are resolved against.
    listed: BTreeMap<String, OnceLock<Shelf>>,
    shelves: BTreeMap<String, OnceLock<Shelf>>,
    version: String,
    /// Our own overlay stays out: one source's bare word.
    bare: bool,
}

/// A snapshot file and where each host's models lie in it.
struct File {
    source: String,
    date: Date,
    text: std::borrow::Cow<'static, str>,
    ranges: OnceLock<HashMap<String, Range<usize>>>,
}

/// Why catalogue data was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct LoadError {
    /// Which file.
    pub file: String,
    /// 1-based line; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong, with a hint.
    pub message: String,
}

/// The dated list that `auto` is made from, best first; entries are `provider/model`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoList {
    /// Cheap models that are good enough for most.
    pub cheap: Vec<String>,
    /// Flagships.
    pub flagship: Vec<String>,
    /// When the list was drawn up.
    pub as_of: Option<Date>,
}

/// A model found by name.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The offer.
    pub offer: Arc<Offer>,
    /// The host is the model's maker.
    pub maker: bool,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What was parsed is parsed again when it is asked for: copies are rare, and mostly get another overlay.
impl Clone for Catalogue {
    fn clone(&self) -> Self {
        let snapshots = self.snapshots.iter().map(File::again).collect();
        let copy = Self::new(snapshots, self.overlays.clone(), &self.overlay_names(None));
        Self { bare: self.bare, ..copy }
    }
}

impl Catalogue {
    /// The data in this binary.
    pub fn builtin() -> Self {
        let snapshots =
            embedded::SNAPSHOTS.iter().filter_map(|(stem, text)| File::named(stem, text)).collect();
        Self::new(snapshots, Vec::new(), &[])
    }

    fn new(mut snapshots: Vec<File>, overlays: Vec<Overlay>, overlay_names: &[String]) -> Self {
        snapshots.sort_by_key(|file| (file.rank(), file.source.clone(), file.date));
        let known = embedded::PROVIDERS.iter().map(|(id, _)| (*id).to_owned());
        let hosts: Vec<String> = known.chain(overlays.iter().flat_map(Overlay::hosts)).collect();
        let cells = || hosts.iter().map(|id| (id.clone(), OnceLock::new())).collect();
        let dated = |file: &File| format!("{}-{}", file.source, file.date);
        let mut names: Vec<String> = snapshots.iter().map(dated).collect();
        names.push(format!("ours-{:08x}", digest(embedded::OVERLAY)));
        names.extend_from_slice(overlay_names);
        Self { listed: cells(), shelves: cells(), version: names.join("+"), snapshots, overlays, bare: false }
    }

    /// Puts a user's overlay (TOML text of `file`) on top. Returns all errors at once. Of several overlays the one
    /// that comes last wins.
    pub fn with_overlay(mut self, file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        self.overlays.push(Overlay::parse(file, text)?);
        let names = self.overlay_names(Some(format!("overlay-{:08x}", digest(text))));
        let catalogue = Self::new(self.snapshots, self.overlays, &names);
        let errors = catalogue.dangling();
        if errors.is_empty() { Ok(catalogue) } else { Err(errors) }
    }

    fn overlay_names(&self, more: Option<String>) -> Vec<String> {
        let known =
            self.version.split('+').filter(|name| name.starts_with("overlay-")).map(ToOwned::to_owned);
        known.chain(more).collect()
    }

    /// Models of the newest overlay that are priced as one that has no price.
    fn dangling(&self) -> Vec<LoadError> {
        let Some(overlay) = self.overlays.last() else { return Vec::new() };
        let mut errors = Vec::new();
        for model in &overlay.models {
            let Some(target) = &model.priced_as else { continue };
            if self.listed(target).is_some_and(|offer| offer.has_price()) {
                continue;
            }
            let offers = self.listed_shelf(&target.host).map(Shelf::offers).unwrap_or_default();
            let names = offers.iter().filter(|offer| offer.has_price()).map(|offer| offer.model.as_str());
            let hint = match nearest(&target.model, names, 3).as_slice() {
                [] => format!("no model of `{}` has a price", target.host),
                near => format!("the nearest there are {}", near.join(", ")),
            };
            let message = format!("priced_as = \"{}/{}\" has no price; {hint}", target.host, target.model);
            errors.push(LoadError { file: overlay.file.clone(), line: model.line, message });
        }
        errors
    }

    /// Puts a newer snapshot (JSON, as `cargo xtask prices` and `prices update` write it) on top of the built-in ones.
    pub fn with_snapshot(mut self, file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let snapshot = Snapshot::read(file, text)?;
        self.snapshots.retain(|known| (&known.source, known.date) != (&snapshot.source, snapshot.date));
        self.snapshots.push(File {
            source: snapshot.source,
            date: snapshot.date,
            text: text.to_owned().into(),
            ranges: OnceLock::new(),
        });
        let names = self.overlay_names(None);
        Ok(Self::new(self.snapshots, self.overlays, &names))
    }

    /// Names the data: snapshot dates and a hash of the overlay. Stored with every cost.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The snapshots in use, oldest first within a source.
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, Date)> {
        self.snapshots.iter().map(|file| (file.source.as_str(), file.date))
    }

    /// What one source says, without overlays, ours included.
    #[must_use]
    pub fn only(&self, source: &str) -> Self {
        let of_source = |file: &&File| file.source == source;
        let snapshots = self.snapshots.iter().filter(of_source).map(File::again).collect();
        Self { bare: true, ..Self::new(snapshots, Vec::new(), &[]) }
    }

    /// Ids of all hosts that may have offers, also those that only an overlay names.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.listed.keys().map(String::as_str)
    }

    /// All hosts that the catalogue knows, by id.
    pub fn providers(&self) -> &[Provider] {
        static HOSTS: OnceLock<Vec<Provider>> = OnceLock::new();
        HOSTS.get_or_init(host::all)
    }

    /// A host by id.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers().iter().find(|p| p.id == id)
    }

    fn shelf(&self, host: &str) -> Option<&Shelf> {
        let priced_as =
            |overlay: &Overlay| overlay.models.iter().any(|m| m.target.host == host && m.priced_as.is_some());
        if !self.overlays.iter().any(priced_as) {
            return self.listed_shelf(host);
        }
        Some(self.shelves.get(host)?.get_or_init(|| self.build(host, Some(&|target| self.listed(target)))))
    }

    fn listed_shelf(&self, host: &str) -> Option<&Shelf> {
        Some(self.listed.get(host)?.get_or_init(|| self.build(host, None)))
    }

    /// An offer with its own prices.
    fn listed(&self, target: &Target) -> Option<Arc<Offer>> {
        self.listed_shelf(&target.host)?.offer(&target.model)
    }

    fn build(&self, host: &str, resolve: Option<Resolve<'_>>) -> Shelf {
        static FAMILIES: OnceLock<Families> = OnceLock::new();
        static OURS_PARSED: OnceLock<Overlay> = OnceLock::new();
        let file = host::read(host);
        let mut builder = Builder::new(host, file.as_ref(), FAMILIES.get_or_init(Families::builtin));
        for snapshot in &self.snapshots {
            builder.add(snapshot.section(host));
        }
        // An overlay of ours that does not parse fails `our_overlay_is_valid_and_names_its_sources`.
        let ours = || Overlay::parse("data/prices/overlay.toml", embedded::OVERLAY).unwrap_or_default();
        if !self.bare {
            builder.overlay(OURS_PARSED.get_or_init(ours), OURS, None);
        }
        for overlay in &self.overlays {
            builder.overlay(overlay, USER, resolve);
        }
        builder.finish()
    }

    /// A model at a host, by the host's id for it or an alias. A model that no source lists gives `None`; the
    /// gateway then calls it with [`Offer::unlisted`].
    pub fn offer(&self, provider: &str, model: &str) -> Option<Arc<Offer>> {
        self.shelf(provider)?.offer(model)
    }

    /// Every offer among `providers` whose id or alias is `name`: the maker first, then the cheapest.
    pub fn find(&self, name: &str, providers: &[&str]) -> Vec<Hit> {
        let offers = providers.iter().filter_map(|provider| self.offer(provider, name));
        let mut hits: Vec<Hit> = offers.map(|offer| Hit { maker: offer.maker, offer }).collect();
        hits.sort_by_cached_key(|hit| (!hit.maker, hit.offer.blended(), hit.offer.provider.clone()));
        hits
    }

    /// All offers of a host.
    pub fn offers(&self, provider: &str) -> Vec<Arc<Offer>> {
        self.shelf(provider).map(|shelf| shelf.offers().to_vec()).unwrap_or_default()
    }

    /// What `auto` is made from.
    pub fn auto(&self) -> &AutoList {
        static AUTO: OnceLock<AutoList> = OnceLock::new();
        // A list that does not parse fails `the_auto_list_is_in_the_data`.
        AUTO.get_or_init(|| toml::from_str(embedded::AUTO).unwrap_or_default())
    }
}

/// FNV-1a: tells two texts apart in a version, and is the same in every build.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl File {
    /// `genai-prices-2026-11-04` and its text.
    fn named(stem: &str, text: &'static str) -> Option<Self> {
        let (source, date) = stem.split_at_checked(stem.len().checked_sub("-2026-11-04".len())?)?;
        let date = date.strip_prefix('-')?.parse().ok()?;
        Some(Self { source: source.to_owned(), date, text: text.into(), ranges: OnceLock::new() })
    }

    /// The same file, not yet read.
    fn again(&self) -> Self {
        let (source, text) = (self.source.clone(), self.text.clone());
        Self { source, date: self.date, text, ranges: OnceLock::new() }
    }

    fn rank(&self) -> usize {
        SOURCES.iter().position(|source| *source == self.source).unwrap_or(SOURCES.len())
    }

    fn section(&self, host: &str) -> Section {
        let ranges = self.ranges.get_or_init(|| ranges(&self.text).unwrap_or_default());
        let text = ranges.get(host).and_then(|range| self.text.get(range.clone()));
        let entries: Vec<Entry> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Section { source: self.source.clone(), date: self.date, entries }
    }
}

/// Where each host's models lie in the text.
fn ranges(text: &str) -> Option<HashMap<String, Range<usize>>> {
    #[derive(Deserialize)]
    struct Sections<'a> {
        #[serde(borrow)]
        providers: HashMap<String, &'a RawValue>,
    }
    let sections: Sections<'_> = serde_json::from_str(text).ok()?;
    let start = text.as_ptr() as usize;
    let range = |raw: &RawValue| {
        let from = (raw.get().as_ptr() as usize).checked_sub(start)?;
        Some(from..from.checked_add(raw.get().len())?)
    };
    sections.providers.into_iter().map(|(host, raw)| Some((host, range(raw)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_snapshot_is_valid() {
        for (stem, text) in embedded::SNAPSHOTS {
            let file = File::named(stem, text).unwrap();
            let snapshot = Snapshot::read(stem, text).unwrap_or_else(|errors| panic!("{errors:?}"));
            assert_eq!((&snapshot.source, snapshot.date), (&file.source, file.date), "{stem}");
            let hosts: Vec<&str> = embedded::PROVIDERS.iter().map(|(id, _)| *id).collect();
            for host in snapshot.providers.keys() {
                assert!(hosts.contains(&host.as_str()), "{stem}: {host}");
                assert!(!file.section(host).entries.is_empty(), "{stem}: {host}");
            }
            assert!(text.len() < 1_000_000, "{stem}: snapshots stay small");
        }
    }
}
