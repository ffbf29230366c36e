//! The catalogue: providers, models and prices joined, with the user's overlay on top.

use std::sync::Arc;

use jiff::civil::Date;

use crate::{Offer, Provider};

/// Everything that is known of hosts, models and prices. Prices are parsed per provider when first asked for, so that
/// a start with two vendors does not pay for forty.
#[derive(Debug, Default)]
pub struct Catalogue {}

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
#[derive(Debug, Clone, Default)]
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

impl Catalogue {
    /// The data in this binary.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Puts a user's overlay (TOML text of `file`) on top. Returns all errors at once.
    pub fn with_overlay(self, file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let (_, _) = (file, text);
        Ok(self)
    }

    /// Puts a newer snapshot (JSON, as `cargo xtask prices` and `prices update` write it) on top of the built-in ones.
    pub fn with_snapshot(self, file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let (_, _) = (file, text);
        Ok(self)
    }

    /// Names the data: snapshot dates and a hash of the overlay. Stored with every cost.
    pub fn version(&self) -> &str {
        ""
    }

    /// All hosts that the catalogue knows, by id.
    pub fn providers(&self) -> &[Provider] {
        &[]
    }

    /// A host by id.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers().iter().find(|p| p.id == id)
    }

    /// A model at a host, by the host's id for it or an alias. A model that no source lists gives `None`; the
    /// gateway then calls it with [`Offer::unlisted`].
    pub fn offer(&self, provider: &str, model: &str) -> Option<Arc<Offer>> {
        let (_, _) = (provider, model);
        None
    }

    /// Every offer among `providers` whose id or alias is `name`: the maker first, then the cheapest.
    pub fn find(&self, name: &str, providers: &[&str]) -> Vec<Hit> {
        let (_, _) = (name, providers);
        Vec::new()
    }

    /// All offers of a host.
    pub fn offers(&self, provider: &str) -> Vec<Arc<Offer>> {
        let _ = provider;
        Vec::new()
    }

    /// What `auto` is made from.
    pub fn auto(&self) -> &AutoList {
        static EMPTY: AutoList = AutoList { cheap: Vec::new(), flagship: Vec::new(), as_of: None };
        &EMPTY
    }
}
