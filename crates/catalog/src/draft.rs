//! One offer in the making: what sources and overlays say of a model, in the order in which they win.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use crate::facts::Origin;
use crate::overlay::{Model, Price};
use crate::rates::Factor;
use crate::schedule::{LAYERS, Layer};
use crate::snapshot::{Entry, EntryFacts};
use crate::{Capabilities, Offer};

/// An offer in the making.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) names: Vec<String>,
    pub(crate) stems: Vec<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) layers: [Layer; LAYERS],
    pub(crate) regions: Vec<(String, Factor)>,
    pub(crate) origin: Option<Origin>,
    pub(crate) facts: EntryFacts,
    /// Facts of a lower source are of this very id, not of one of its versions.
    pub(crate) exact: bool,
    /// Facts of names that are served under the same price.
    pub(crate) of_name: HashMap<String, (EntryFacts, Option<Date>)>,
    pub(crate) last_day: Option<Date>,
    pub(crate) successor: Option<String>,
    /// Another offer whose prices stand for this one's.
    pub(crate) priced_as: Option<Arc<Offer>>,
}

impl Draft {
    /// The next snapshot of the source that this draft is from.
    pub(crate) fn renew(&mut self, entry: Entry, origin: Origin, date: Date) {
        let [.., layer] = &mut self.layers;
        // An amount that cannot be read leaves the model unpriced: unknown, never zero. Built-in files are
        // checked by `every_snapshot_is_valid`, others when they are put on top.
        let _ = layer.push(date, &entry.prices, entry.free);
        self.names = entry.names;
        self.stems = entry.stems;
        self.aliases = entry.aliases;
        self.regions = factors(&entry.regions);
        self.facts = entry.facts;
        self.last_day = entry.last_day;
        self.origin = Some(origin);
    }

    /// What a source of lower rank says of the same model, or of a version of it.
    pub(crate) fn learn(&mut self, entry: Entry) {
        // An alias is another word for it: the host is asked for the id all the same.
        let exact = entry.id == self.id || self.aliases.contains(&entry.id);
        if !exact {
            self.of_name.insert(entry.id, (entry.facts.clone(), entry.last_day));
        }
        if exact || !self.exact_facts() {
            let context = self.facts.context;
            self.facts = entry.facts;
            self.facts.context = context.or(self.facts.context);
            self.last_day = if exact { entry.last_day } else { self.last_day };
            self.regions = factors(&entry.regions);
            self.exact = exact;
        }
    }

    /// What an overlay says of the model.
    pub(crate) fn correct(&mut self, model: &Model, stands_for: Option<Arc<Offer>>) {
        let ours = &model.facts;
        self.facts.context = ours.context.or(self.facts.context);
        self.facts.max_output = ours.max_output.or(self.facts.max_output);
        self.facts.reasoning = ours.reasoning.or(self.facts.reasoning);
        self.facts.can.extend(ours.can.iter().map(|(name, ability)| (name.clone(), *ability)));
        self.aliases.extend(model.aliases.iter().cloned());
        self.last_day = model.last_day.or(self.last_day);
        self.successor = model.successor.clone().or(self.successor.take());
        if let Some(offer) = stands_for {
            self.inherit(&offer);
            self.priced_as = Some(offer);
        }
    }

    /// A model that is priced like another one is, as far as nothing else is said, that model.
    fn inherit(&mut self, offer: &Offer) {
        self.facts.context = self.facts.context.or(offer.facts.context);
        self.facts.max_output = self.facts.max_output.or(offer.facts.max_output);
        self.facts.reasoning = self.facts.reasoning.or(Some(offer.facts.reasoning));
        for name in Capabilities::NAMES {
            let known = offer.facts.can.get(name).unwrap_or_default();
            self.facts.can.entry(name.to_owned()).or_insert(known);
        }
        self.origin =
            offer.origin().cloned().map(|origin| Origin { priced_as: Some(offer.target()), ..origin });
    }

    /// An overlay's prices, in the layer `level`.
    pub(crate) fn agree(&mut self, price: &Price, level: usize, file: &str) {
        if let Some(layer) = self.layers.get_mut(level) {
            // Checked when the overlay was read.
            let _ = layer.amend(&price.row, price.free);
        }
        self.origin = Some(Origin {
            source: price.source.clone().unwrap_or_else(|| file.to_owned()),
            as_of: price.as_of,
            page: None,
            priced_as: None,
        });
    }

    fn exact_facts(&self) -> bool {
        self.exact && !self.facts.can.is_empty()
    }
}

fn factors(regions: &BTreeMap<String, String>) -> Vec<(String, Factor)> {
    regions.iter().filter_map(|(name, text)| Some((name.clone(), Factor::parse(text).ok()?))).collect()
}
