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
use crate::shelf::{Builder, Section, Shelf};
use crate::snapshot::{Entry, Snapshot};
use crate::{Offer, Provider, embedded, host};

/// Sources by precedence; a source that is not here comes last.
const SOURCES: [&str; 2] = ["genai-prices", "litellm"];

/// Everything that is known of hosts, models and prices. Prices are parsed per provider when first asked for, so that
/// a start with two vendors does not pay for forty.
pub struct Catalogue {
    snapshots: Vec<File>,
    shelves: BTreeMap<String, OnceLock<Shelf>>,
    version: String,
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

impl Catalogue {
    /// The data in this binary.
    pub fn builtin() -> Self {
        let snapshots =
            embedded::SNAPSHOTS.iter().filter_map(|(stem, text)| File::named(stem, text)).collect();
        Self::new(snapshots)
    }

    fn new(mut snapshots: Vec<File>) -> Self {
        snapshots.sort_by_key(|file| (file.rank(), file.source.clone(), file.date));
        let hosts = embedded::PROVIDERS.iter().map(|(id, _)| ((*id).to_owned(), OnceLock::new()));
        let names: Vec<String> =
            snapshots.iter().map(|file| format!("{}-{}", file.source, file.date)).collect();
        Self { shelves: hosts.collect(), version: names.join("+"), snapshots }
    }

    /// Puts a user's overlay (TOML text of `file`) on top. Returns all errors at once.
    pub fn with_overlay(self, file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let (_, _) = (file, text);
        Ok(self)
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
        Ok(Self::new(self.snapshots))
    }

    /// Names the data: snapshot dates and a hash of the overlay. Stored with every cost.
    pub fn version(&self) -> &str {
        &self.version
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
        Some(self.shelves.get(host)?.get_or_init(|| self.build(host)))
    }

    fn build(&self, host: &str) -> Shelf {
        static FAMILIES: OnceLock<Families> = OnceLock::new();
        let file = host::read(host);
        let mut builder = Builder::new(host, file.as_ref(), FAMILIES.get_or_init(Families::builtin));
        for snapshot in &self.snapshots {
            builder.add(snapshot.section(host));
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

impl File {
    /// `genai-prices-2026-11-04` and its text.
    fn named(stem: &str, text: &'static str) -> Option<Self> {
        let (source, date) = stem.split_at_checked(stem.len().checked_sub("-2026-11-04".len())?)?;
        let date = date.strip_prefix('-')?.parse().ok()?;
        Some(Self { source: source.to_owned(), date, text: text.into(), ranges: OnceLock::new() })
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
    use crate::{Context, Cost, Tier, UnknownPrice, Usage};

    fn at(text: &str) -> Context {
        Context { tier: Tier::Standard, region: None, at: text.parse().unwrap() }
    }

    /// The total as decimal text, or why there is none.
    fn cost(target: &str, usage: &Usage, context: &Context) -> String {
        let (provider, model) = target.split_once('/').unwrap();
        let offer = Catalogue::builtin().offer(provider, model).unwrap_or_else(|| panic!("{target}"));
        match offer.price(usage, context) {
            Cost::Unknown(why) => format!("{why:?}"),
            known @ Cost::Known(_) => known.total().unwrap().to_string(),
        }
    }

    const NOW: &str = "2026-11-24T12:00:00Z";
    const MILLION: u64 = 1_000_000;

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

    #[test]
    fn golden_gpt_5_4() {
        let usage = Usage { input: 100_000, output: MILLION, ..Usage::default() };
        assert_eq!(cost("openai/gpt-5.4", &usage, &at(NOW)), "15.25");
        // 2.50 in and 15 out; above 272,000 tokens of input the whole request costs 5 and 22.50.
        let long = Usage { input: 300_000, output: 1_000, ..Usage::default() };
        assert_eq!(cost("openai/gpt-5.4", &long, &at(NOW)), "1.5225");
    }

    #[test]
    fn an_unlisted_model_has_no_price() {
        let offer = Offer::unlisted("openai", "gpt-99");
        assert_eq!(offer.price(&Usage::default(), &at(NOW)), Cost::Unknown(UnknownPrice::Model));
        assert!(Catalogue::builtin().offer("openai", "gpt-99").is_none());
        assert!(Catalogue::builtin().offer("nowhere", "gpt-5.4").is_none());
    }
}
