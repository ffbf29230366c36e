//! A model at a vendor: its prices become inputs, once each.

use super::Compiler;
use crate::engine::api::{Api, Ladder, Tariff};
use crate::inputs::{Bounds, Provenance, Var};
use crate::market::{self, Listing};
use crate::reader::Quantity;
use crate::scenario::ApiSpec;

impl Compiler<'_> {
    /// A model at a vendor; `None` after a problem.
    pub(super) fn api(&mut self, path: &str, spec: &ApiSpec) -> Option<Api> {
        let stated = spec.input.is_some() && spec.output.is_some();
        let found = market::listing(self.market, self.list, &spec.model, spec.tier, spec.region.as_deref());
        let listing = match found {
            Ok(listing) => listing,
            // A model that no list has can still be priced by hand.
            Err(_) if stated => Self::unlisted(spec),
            Err(unpriced) => {
                self.problem(&format!("{path}.model"), unpriced.message, unpriced.hint);
                return None;
            }
        };
        let kind = match spec.kind {
            Some("closed") => market::Kind::Closed,
            Some(_) => market::Kind::Serverless,
            None => listing.kind,
        };
        self.warnings.extend(listing.warnings.iter().cloned());
        self.warn_of_writes(&listing);
        let standard = self.tariff(path, &listing, &listing.standard, Some(spec), "")?;
        let batch = match &listing.batch {
            Some(batch) if self.has_batchable() => self.tariff(path, &listing, batch, None, "batch "),
            _ => None,
        };
        if listing.batch.is_none() && self.has_batchable() {
            self.warnings
                .push(format!("{}: no batch price is listed; all of it at the usual one", listing.target));
        }
        Some(Api {
            ratio: self.ratio(&listing.target),
            discount: self.option(
                &format!("{path}.discount"),
                "share",
                Bounds::SHARE,
                spec.discount.as_ref(),
            ),
            volume_discounts: spec.volume_discounts.clone(),
            committed: spec.committed,
            stacking: spec.stacking,
            retry: self.option(
                &format!("{path}.retry_share"),
                "share",
                Bounds::SHARE,
                spec.retry_share.as_ref(),
            ),
            events: self.events(&listing.target, kind),
            target: listing.target,
            kind,
            standard,
            batch,
        })
    }

    fn has_batchable(&self) -> bool {
        self.scenario.workload.classes.iter().any(|class| class.batchable_share.is_some())
    }

    fn warn_of_writes(&mut self, listing: &Listing) {
        let classes = &self.scenario.workload.classes;
        let cached = classes.iter().any(|c| c.cached_share.as_ref().is_some_and(|share| share.base > 0.0));
        let written = classes.iter().any(|c| c.cache_write_share.is_some());
        if cached && !written && listing.standard.bills_writes {
            self.warnings.push(format!(
                "{} bills writes to its prompt cache: workload.cache_write_share is not stated and taken as 0",
                listing.target
            ));
        }
    }

    fn unlisted(spec: &ApiSpec) -> Listing {
        Listing {
            target: spec.model.clone(),
            kind: market::Kind::Serverless,
            standard: market::Tariff::default(),
            batch: None,
            from: Provenance::default("no list has this model"),
            warnings: vec![format!("no list has `{}`: its prices are the scenario's own", spec.model)],
        }
    }

    fn tariff(
        &mut self,
        path: &str,
        listing: &Listing,
        tariff: &market::Tariff,
        spec: Option<&ApiSpec>,
        tier: &str,
    ) -> Option<Tariff> {
        let stated = |of: fn(&ApiSpec) -> Option<&Quantity>| spec.and_then(of);
        let input =
            self.ladder(path, listing, (tier, "input"), tariff.input.as_ref(), stated(|s| s.input.as_ref()));
        let output = self.ladder(
            path,
            listing,
            (tier, "output"),
            tariff.output.as_ref(),
            stated(|s| s.output.as_ref()),
        );
        let (Some(input), Some(output)) = (input, output) else {
            let missing = if tariff.input.is_none() { "input" } else { "output" };
            let message = format!("`{}` has no price for {missing} tokens in this list", listing.target);
            self.problem(&format!("{path}.model"), message, format!("state {missing}_usd_per_million"));
            return None;
        };
        // What has no price of its own costs what plain tokens cost, never nothing.
        let or = |own: Option<&market::Ladder>,
                  usual: &Ladder,
                  this: &mut Self,
                  name: &str,
                  q: Option<&Quantity>| {
            this.ladder(path, listing, (tier, name), own, q).unwrap_or_else(|| usual.clone())
        };
        let overridden = spec.is_some_and(|spec| spec.input.is_some());
        let listed = |ladder: &'_ Option<market::Ladder>| if overridden { None } else { ladder.clone() };
        let (cached, written) = (listed(&tariff.cached), listed(&tariff.written));
        let cached = or(cached.as_ref(), &input, self, "cached", stated(|s| s.cached.as_ref()));
        let written = or(written.as_ref(), &input, self, "cache_write", stated(|s| s.written.as_ref()));
        let reasoning = tariff.reasoning.clone().filter(|_| spec.is_none_or(|spec| spec.output.is_none()));
        let reasoning = or(reasoning.as_ref(), &output, self, "reasoning", None);
        let request = tariff.request.filter(|fee| *fee > 0.0).map(|fee| {
            self.certain(
                &format!("{} fee per request", listing.target),
                "$/request",
                fee,
                listing.from.clone(),
            )
        });
        Some(Tariff { input, cached, written, output, reasoning, request })
    }

    fn ladder(
        &mut self,
        path: &str,
        listing: &Listing,
        (tier, name): (&str, &str),
        listed: Option<&market::Ladder>,
        stated: Option<&Quantity>,
    ) -> Option<Ladder> {
        const UNIT: &str = "$/M tokens";
        if let Some(stated) = stated {
            let base = self.add(&format!("{path}.{name}_usd_per_million"), UNIT, Bounds::NONNEGATIVE, stated);
            return Some(Ladder { base, above: Vec::new(), excess: false });
        }
        let listed = listed?;
        let what = format!("{} {tier}{name}", listing.target);
        let mut price = |name: &str, usd: f64| self.certain(name, UNIT, usd, listing.from.clone());
        let base = price(&what, listed.base);
        let above = listed.above.iter();
        let above =
            above.map(|(bound, usd)| (*bound, price(&format!("{what} above {bound}"), *usd))).collect();
        Some(Ladder { base, above, excess: listed.excess })
    }

    /// Tokens of that model's tokenizer per reference token: the first pattern that fits decides.
    pub(super) fn ratio(&mut self, target: &str) -> Var {
        let name = format!("token_ratio {target}");
        let stated = self.scenario.token_ratios.iter().find(|(pattern, _)| fits(pattern, target));
        let quantity = stated.map_or_else(
            || Quantity {
                base: 1.0,
                dist: None,
                from: Provenance::default("the same count in every tokenizer"),
            },
            |(_, quantity)| quantity.clone(),
        );
        self.add(&name, "tokens per reference token", Bounds::POSITIVE, &quantity)
    }
}

/// `anthropic/*` fits `anthropic/claude-opus-4-7`; without a star the whole name must be the same.
fn fits(pattern: &str, target: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == target,
        Some((head, tail)) => {
            target.len() >= head.len() + tail.len() && target.starts_with(head) && target.ends_with(tail)
        }
    }
}
