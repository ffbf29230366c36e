//! `[models.NAME]`: one job, several vendors.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use catalog::{Catalogue, Offer};
use jiff::civil::Date;
use router::Pick;

use super::doc::{Doc, Section};
use super::nearest::nearest;
use super::providers::Providers;
use super::{Group, Target};
use crate::retirement::NOTICE_DAYS;

/// Longest name of a model or route.
const NAME_BYTES: usize = 128;

/// What targets are made from.
pub(super) struct Targets<'a> {
    pub(super) providers: &'a Providers,
    pub(super) catalogue: &'a Catalogue,
    pub(super) today: Date,
}

/// Aliases, as far as they can be read.
#[derive(Default)]
pub(super) struct Models {
    pub(super) groups: BTreeMap<String, Arc<Group>>,
    /// Named in the file, sound or not.
    pub(super) declared: BTreeSet<String>,
}

/// Reads every alias.
pub(super) fn read(section: &Section<'_>, targets: &Targets<'_>) -> Models {
    let declared = section.named().map(|(name, ..)| name.to_owned()).collect();
    let mut models = Models { groups: BTreeMap::new(), declared };
    for (name, place, value) in section.named() {
        let Some(section) = section.as_section(name, place.clone(), value) else { continue };
        check_name(section.doc, "model", name, place);
        if let Some(group) = one(name, &section, targets, &models.declared) {
            models.groups.insert(name.to_owned(), Arc::new(group));
        }
        section.finish();
    }
    models
}

pub(super) fn check_name(doc: &Doc<'_>, kind: &str, name: &str, place: Range<usize>) {
    let bad = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > NAME_BYTES || name.contains(bad) {
        let message = format!("the name of a {kind} has 1 to {NAME_BYTES} bytes and no spaces");
        doc.error(place, message, None);
    }
}

fn one(
    name: &str,
    section: &Section<'_>,
    targets: &Targets<'_>,
    aliases: &BTreeSet<String>,
) -> Option<Group> {
    let pick = pick(section);
    let weights = weights(section, pick);
    let Some(listed) = section.strings("targets") else {
        if section.get("targets").is_none() {
            let hint = "e.g. targets = [\"openai/gpt-5.4\"]".to_owned();
            section.doc.error(section.span.clone(), format!("{} needs `targets`", section.name), Some(hint));
        }
        return None;
    };
    if listed.is_empty() {
        section.doc.error(section.place("targets"), "`targets` is empty", None);
    }
    let mut group = Group { name: name.to_owned(), pick, targets: Vec::new() };
    let mut seen = BTreeSet::new();
    for (text, span) in listed {
        if !seen.insert(text) {
            section.doc.error(span, format!("`{text}` is listed twice"), None);
            continue;
        }
        let weight = weights.as_ref().map_or(1, |w| w.get(text).map_or(0, |(weight, _)| *weight));
        group.targets.extend(targets.one(section.doc, text, span, weight, aliases));
    }
    for (text, (_, span)) in weights.iter().flatten() {
        if !seen.contains(text) {
            section.doc.error(span.clone(), format!("`weights`: `{text}` is not one of the targets"), None);
        }
    }
    (!group.targets.is_empty()).then_some(group)
}

fn pick(section: &Section<'_>) -> Pick {
    let Some((word, span)) = section.string("pick") else { return explored(section, Pick::Order) };
    let pick = match word {
        "order" => Pick::Order,
        "weighted" => Pick::Weighted,
        "cheapest" => Pick::Cheapest,
        "fastest" => Pick::Fastest,
        "adaptive" => Pick::ADAPTIVE,
        _ => {
            let hint = "one of order, weighted, cheapest, fastest, adaptive".to_owned();
            section.doc.error(span, format!("`pick` = \"{word}\" is none that we know"), Some(hint));
            Pick::Order
        }
    };
    explored(section, pick)
}

/// The pick with `explore`, which only the adaptive one reads.
fn explored(section: &Section<'_>, pick: Pick) -> Pick {
    let Some(share) = section.exploration("explore") else { return pick };
    if pick != Pick::ADAPTIVE {
        let hint = "add `pick = \"adaptive\"`, or take it out".to_owned();
        let place = section.place("explore");
        section.doc.error(place, "`explore` is read with `pick = \"adaptive\"` only", Some(hint));
        return pick;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 200")]
    let explored = (share * 1_000.0).round() as u16;
    Pick::Adaptive { explored }
}

type Weights<'t> = BTreeMap<&'t str, (u32, Range<usize>)>;

fn weights<'t>(section: &Section<'t>, pick: Pick) -> Option<Weights<'t>> {
    let table = section.section("weights")?;
    if pick != Pick::Weighted {
        let hint = "add `pick = \"weighted\"`, or take them out".to_owned();
        section.doc.error(
            table.span.clone(),
            "`weights` are read with `pick = \"weighted\"` only",
            Some(hint),
        );
    }
    let mut weights = Weights::new();
    for (target, place, value) in table.named() {
        let number = value.get_ref().as_integer().filter(|i| i.radix() == 10);
        match number.and_then(|i| i.as_str().parse().ok()).filter(|n| *n <= 1_000_000) {
            Some(weight) => {
                weights.insert(target, (weight, place));
            }
            None => section.doc.error(value.span(), "a weight is a whole number from 0 to 1000000", None),
        }
    }
    if weights.values().all(|(weight, _)| *weight == 0) {
        section.doc.error(table.span.clone(), "`weights` are all zero", None);
    }
    Some(weights)
}

impl Targets<'_> {
    /// The target that `text` (`provider/model`) names.
    pub(super) fn one(
        &self,
        doc: &Doc<'_>,
        text: &str,
        span: Range<usize>,
        weight: u32,
        aliases: &BTreeSet<String>,
    ) -> Option<Arc<Target>> {
        let split =
            text.split_once('/').filter(|(provider, model)| !provider.is_empty() && !model.is_empty());
        let Some((provider, model)) = split else {
            let hint = if aliases.contains(text) {
                format!("`{text}` is a model of this file; list its targets here")
            } else {
                self.guess(text)
            };
            doc.error(span, format!("`{text}` is no `provider/model`"), Some(hint));
            return None;
        };
        let Some(host) = self.providers.hosts.get(provider) else {
            if !self.providers.declared.contains(provider) {
                let hint = self.how_to_configure(provider);
                doc.error(span, format!("`{text}`: the provider `{provider}` is not configured"), Some(hint));
            }
            return None;
        };
        let offer = self.catalogue.offer(provider, model).unwrap_or_else(|| {
            let hint = format!("its price is unknown; {}", self.guess(text));
            doc.warn(span.clone(), format!("no source lists `{model}` at {provider}"), Some(hint));
            Arc::new(Offer::unlisted(provider, model))
        });
        self.say_if_it_retires(doc, &offer, span);
        Some(Arc::new(Target { id: offer.target(), host: Arc::clone(host), offer, weight }))
    }

    fn say_if_it_retires(&self, doc: &Doc<'_>, offer: &Offer, span: Range<usize>) {
        let Some(end) = &offer.retires else { return };
        let left = self.today.until(end.last_day).map_or(0, |left| left.get_days());
        if left <= NOTICE_DAYS {
            let verb = if left < 0 { "was retired after" } else { "retires after" };
            let named = end.successor.as_ref().map(|s| format!("its vendor names `{s}` instead; "));
            let find = format!("`tollgate eval replace {} --suite FILE` finds a replacement", offer.target());
            let hint = Some(format!("{}{find}", named.unwrap_or_default()));
            doc.warn(span, format!("`{}` {verb} {}", offer.target(), end.last_day), hint);
        }
    }

    fn how_to_configure(&self, provider: &str) -> String {
        if let Some(known) = self.catalogue.provider(provider) {
            let key = known
                .key_env
                .first()
                .map(|name| format!(" with api_key = \"env:{name}\""))
                .unwrap_or_default();
            return format!("add [providers.{provider}]{key}");
        }
        let known = self.catalogue.providers().iter().map(|p| p.id.as_str());
        let names = self.providers.declared.iter().map(String::as_str).chain(known);
        match nearest(provider, names, 1).first() {
            Some(near) => format!("did you mean `{near}/…`?"),
            None => format!("add [providers.{provider}] with `wire` and `base_url`"),
        }
    }

    /// Names near `text` among the offers of configured providers.
    fn guess(&self, text: &str) -> String {
        let offers: Vec<String> = self.names().collect();
        match nearest(text, offers.iter().map(String::as_str), 1).first() {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a target as `provider/model`".to_owned(),
        }
    }

    /// `provider/model` of everything that is listed at configured providers.
    fn names(&self) -> impl Iterator<Item = String> + '_ {
        let hosts = self.providers.hosts.keys();
        hosts.flat_map(|host| self.catalogue.offers(host)).map(|offer| offer.target())
    }
}
