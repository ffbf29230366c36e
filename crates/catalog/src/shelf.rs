//! One host's offers, joined from sources, our facts and overlays. Built when the host is first asked for.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;

use crate::draft::Draft;
use crate::facts::{Listing, Origin};
use crate::family::Families;
use crate::host::HostFile;
use crate::names::is_version_of;
use crate::overlay::{Overlay, Target};
use crate::rates::Factor;
use crate::schedule::{OURS, SOURCE, Schedule};
use crate::snapshot::{Entry, EntryFacts};
use crate::{Facts, Offer, Retirement};

/// What one snapshot says of one host.
pub(crate) struct Section {
    pub(crate) source: String,
    pub(crate) date: Date,
    pub(crate) entries: Vec<Entry>,
}

/// One host's offers by name.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    offers: Vec<Arc<Offer>>,
    by_name: HashMap<String, Arc<Offer>>,
    /// Longest first, so that the most specific one decides.
    stems: Vec<(String, Arc<Offer>)>,
}

impl Shelf {
    /// One offer a model, under the id that the sources list first.
    pub(crate) fn offers(&self) -> &[Arc<Offer>] {
        &self.offers
    }

    /// By id, alias, or a dated version of one; the offer's `model` is what the host is to be asked for.
    pub(crate) fn offer(&self, name: &str) -> Option<Arc<Offer>> {
        if let Some(offer) = self.by_name.get(name) {
            return Some(Arc::clone(offer));
        }
        let (_, offer) = self.stems.iter().find(|(stem, _)| is_version_of(name, stem))?;
        Some(Arc::new(Offer { model: name.to_owned(), ..offer.as_ref().clone() }))
    }
}

/// Finds the offer that a model is priced as.
pub(crate) type Resolve<'a> = &'a dyn Fn(&Target) -> Option<Arc<Offer>>;

/// Joins what all sources say. `sections` come by source, the preferred source first, oldest first within one.
pub(crate) struct Builder<'a> {
    host: &'a str,
    file: Option<&'a HostFile>,
    families: &'a Families,
    drafts: Vec<Draft>,
    /// Model or `*`, and what is left of its list price.
    discounts: Vec<(String, Factor)>,
    /// Ids, names and aliases → draft.
    index: HashMap<String, usize>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(host: &'a str, file: Option<&'a HostFile>, families: &'a Families) -> Self {
        Self { host, file, families, drafts: Vec::new(), discounts: Vec::new(), index: HashMap::new() }
    }

    /// Takes one snapshot's word. A source that comes later only adds what the earlier ones leave open.
    pub(crate) fn add(&mut self, section: Section) {
        let origin = |entry: &Entry| Origin {
            source: section.source.clone(),
            as_of: Some(section.date),
            page: entry.page.clone(),
            priced_as: None,
        };
        let mut fresh = Vec::new();
        for entry in section.entries {
            let found = self.find(&entry.id);
            let origin = origin(&entry);
            let same =
                |draft: &Draft| draft.origin.as_ref().is_none_or(|known| known.source == origin.source);
            match found.and_then(|at| self.drafts.get_mut(at)) {
                Some(draft) if draft.id == entry.id && same(draft) => {
                    draft.renew(entry, origin, section.date);
                }
                Some(draft) => draft.learn(entry),
                None => {
                    let mut draft = Draft { id: entry.id.clone(), exact: true, ..Draft::default() };
                    draft.renew(entry, origin, section.date);
                    fresh.push(draft);
                }
            }
        }
        // Not before the end: a model of this source must not be taken for a version of another one of it.
        for draft in fresh {
            self.insert(draft);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied().or_else(|| {
            let fits = |draft: &Draft| draft.stems.iter().any(|stem| is_version_of(name, stem));
            self.drafts.iter().position(fits)
        })
    }

    fn insert(&mut self, draft: Draft) {
        let at = self.drafts.len();
        self.index.insert(draft.id.clone(), at);
        for name in draft.names.iter().chain(&draft.aliases) {
            self.index.entry(name.clone()).or_insert(at);
        }
        self.drafts.push(draft);
    }

    /// Takes an overlay's word, which wins over that of sources. `level` is the layer of its prices. `resolve` finds
    /// the offer that a model is priced as; `None` while those are not looked up.
    pub(crate) fn overlay(&mut self, overlay: &Overlay, level: usize, resolve: Option<Resolve<'_>>) {
        let host = self.host;
        for model in overlay.models.iter().filter(|model| model.target.host == host) {
            let stands_for =
                model.priced_as.as_ref().zip(resolve).and_then(|(target, resolve)| resolve(target));
            self.edit(&model.target.model, |draft| draft.correct(model, stands_for));
        }
        for price in overlay.prices.iter().filter(|price| price.target.host == host) {
            self.edit(&price.target.model, |draft| draft.agree(price, level, &overlay.file));
        }
        for discount in &overlay.discounts {
            if discount.target.host == host {
                self.discounts.retain(|(model, _)| *model != discount.target.model);
                self.discounts.push((discount.target.model.clone(), discount.leaves));
            }
        }
    }

    /// Changes the draft with that name; a new one if there is none.
    fn edit(&mut self, name: &str, change: impl FnOnce(&mut Draft)) {
        if !self.index.contains_key(name) {
            self.insert(Draft { id: name.to_owned(), ..Draft::default() });
        }
        if let Some(draft) = self.index.get(name).and_then(|at| self.drafts.get_mut(*at)) {
            change(draft);
        }
    }

    pub(crate) fn finish(mut self) -> Shelf {
        self.apply_our_facts();
        let mut made = Shelf::default();
        let drafts = std::mem::take(&mut self.drafts);
        for draft in drafts {
            self.shelve(draft, &mut made);
        }
        made.stems.sort_by_key(|(stem, _)| std::cmp::Reverse(stem.len()));
        made
    }

    fn apply_our_facts(&mut self) {
        for (name, id) in self.families.aliases(self.host) {
            if let Some(draft) = self.index.get(id).and_then(|at| self.drafts.get_mut(*at)) {
                draft.aliases.push(name.to_owned());
            }
        }
        for (id, fact) in self.families.facts(self.host) {
            let Some(draft) = self.index.get(id).and_then(|at| self.drafts.get_mut(*at)) else { continue };
            draft.facts.context = fact.context.or(draft.facts.context);
            draft.facts.max_output = fact.max_output.or(draft.facts.max_output);
            draft.facts.reasoning = fact.reasoning.or(draft.facts.reasoning);
            draft.facts.can.extend(fact.can.iter().map(|(name, ability)| (name.clone(), *ability)));
            draft.last_day = fact.last_day.or(draft.last_day);
            draft.successor = fact.successor.clone().or(draft.successor.take());
        }
    }

    fn shelve(&self, draft: Draft, made: &mut Shelf) {
        let Draft {
            id,
            names,
            stems,
            mut aliases,
            layers,
            regions,
            origin,
            facts,
            of_name,
            last_day,
            successor,
            priced_as,
            ..
        } = draft;
        if let Some((_, short)) = id.rsplit_once('/') {
            aliases.push(short.to_owned());
        }
        aliases.retain(|alias| *alias != id);
        let bills_as_text = self.file.is_some_and(|file| file.bills_as_text);
        let mut layers = layers.map(|layer| (!layer.is_empty()).then(|| Arc::new(layer)));
        if let Some(offer) = &priced_as {
            for (at, layer) in layers.iter_mut().enumerate() {
                *layer = layer.take().or_else(|| offer.listing.schedule.layer(at).cloned());
            }
        }
        let mut schedule = Schedule::new(layers, bills_as_text);
        // The discount on this very model, else the one on all models of the host.
        let discount = |name: &str| self.discounts.iter().find(|(model, _)| model == name);
        if let Some((_, leaves)) = discount(&id).or_else(|| discount("*")) {
            schedule = schedule.scaled(*leaves, OURS);
        }
        // A region's uplift is on the list price, not on what was agreed on otherwise.
        let regions =
            regions.into_iter().map(|(name, factor)| (name, schedule.scaled(factor, SOURCE))).collect();
        let origin = origin.filter(|_| !schedule.is_empty());
        let listing = Arc::new(Listing { schedule, regions, origin });
        let offered = |model: &str, facts: &EntryFacts, last_day: Option<Date>| {
            let last_day = last_day.or(self.file.and_then(|file| file.ended));
            Arc::new(Offer {
                provider: self.host.to_owned(),
                model: model.to_owned(),
                facts: self.facts(model, facts),
                retires: last_day.map(|last_day| Retirement { last_day, successor: successor.clone() }),
                aliases: aliases.clone(),
                maker: self.file.is_some_and(|file| file.made(model)),
                listing: Arc::clone(&listing),
            })
        };
        let offer = offered(&id, &facts, last_day);
        for name in names {
            let offer = match of_name.get(&name) {
                Some((facts, last_day)) => offered(&name, facts, *last_day),
                None => offered(&name, &facts, last_day),
            };
            made.by_name.entry(name).or_insert(offer);
        }
        for (name, (facts, last_day)) in &of_name {
            made.by_name.entry(name.clone()).or_insert_with(|| offered(name, facts, *last_day));
        }
        for alias in &aliases {
            made.by_name.entry(alias.clone()).or_insert_with(|| Arc::clone(&offer));
        }
        made.stems.extend(stems.into_iter().map(|stem| (stem, Arc::clone(&offer))));
        made.by_name.insert(id, Arc::clone(&offer));
        made.offers.push(offer);
    }

    fn facts(&self, model: &str, from: &EntryFacts) -> Facts {
        let mut facts = Facts { context: from.context, max_output: from.max_output, ..Facts::default() };
        facts.can.fill(&from.can);
        let mut reasoning = from.reasoning;
        self.families.fill(model, &mut facts, &mut reasoning);
        facts.reasoning = reasoning.unwrap_or(false);
        if let Some(file) = self.file {
            facts.can.fill(&file.can);
        }
        facts
    }
}
