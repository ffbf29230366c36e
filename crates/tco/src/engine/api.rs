//! A model that is bought by the token.

use super::{Bill, Draft, Flow, World};
use crate::inputs::{Basis, Provenance, Values, Var};
use crate::market::Kind;
use crate::num::{short, tokens};
use crate::report::Group;
use crate::scenario::{Committed, HOURS, Stacking};

/// Dollars per million tokens by input length of a request.
#[derive(Clone, Debug)]
pub(crate) struct Ladder {
    pub base: Var,
    pub above: Vec<(f64, Var)>,
    pub excess: bool,
}

/// The prices of one tier.
#[derive(Clone, Debug)]
pub(crate) struct Tariff {
    pub input: Ladder,
    pub cached: Ladder,
    pub written: Ladder,
    pub output: Ladder,
    pub reasoning: Ladder,
    /// Dollars per request.
    pub request: Option<Var>,
}

/// What may happen to a vendor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    /// Relative change of the price, and in how many months.
    pub drift: Option<(Var, f64)>,
    pub retirement: Option<RetirementVars>,
    pub outage: Option<OutageVars>,
}

/// The model retires: when (0 to 1 of the horizon, 1: it does not), what moving costs, what the successor's price is.
#[derive(Clone, Debug)]
pub(crate) struct RetirementVars {
    pub at: Var,
    pub usd: Var,
    pub factor: Var,
}

/// The vendor is down: hours a year, what the others cost, what an hour costs beside.
#[derive(Clone, Debug)]
pub(crate) struct OutageVars {
    pub hours: Var,
    pub factor: Var,
    pub usd_per_hour: Option<Var>,
}

/// A model at a vendor.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub target: String,
    pub kind: Kind,
    pub standard: Tariff,
    pub batch: Option<Tariff>,
    /// Tokens of this model's tokenizer per reference token.
    pub ratio: Var,
    pub discount: Option<Var>,
    pub volume_discounts: Vec<(f64, f64)>,
    pub committed: Option<Committed>,
    pub stacking: Stacking,
    pub retry: Option<Var>,
    pub events: Events,
}

impl Ladder {
    /// The price of tokens of a request of that length.
    fn at(&self, length: f64, x: Values<'_>) -> f64 {
        let base = x.at(self.base);
        if self.above.is_empty() {
            return base;
        }
        if !self.excess {
            return self
                .above
                .iter()
                .rev()
                .find(|(bound, _)| length > *bound)
                .map_or(base, |(_, var)| x.at(*var));
        }
        // The mean over the request's tokens, bracket by bracket.
        let (mut paid, mut start, mut rate) = (0.0, 0.0, base);
        for (bound, var) in &self.above {
            paid += (length.min(*bound) - start).max(0.0) * rate;
            (start, rate) = (*bound, x.at(*var));
        }
        paid += (length - start).max(0.0) * rate;
        if length > 0.0 { paid / length } else { base }
    }
}

/// A token's cost of one kind.
struct Part<'a> {
    name: &'static str,
    group: Group,
    tokens: f64,
    ladder: &'a Ladder,
}

impl Api {
    /// Adds the bill of a month, mean over the horizon.
    pub fn bill<B: Bill>(&self, world: &World<'_>, flows: &[Flow], prefix: &str, out: &mut B) {
        let x = world.x;
        let before = out.total();
        for (at, flow) in flows.iter().enumerate() {
            let class =
                world.traffic.classes.get(at).filter(|_| flows.len() > 1).map(|class| class.name.as_str());
            let later = if self.batch.is_some() { flow.batch } else { 0.0 };
            self.class_bill(world, flow, &self.standard, 1.0 - later, ("", class, prefix), out);
            if let Some(batch) = self.batch.as_ref().filter(|_| later > 0.0) {
                self.class_bill(world, flow, batch, later, (" in batch", class, prefix), out);
            }
        }
        let list = out.total() - before;
        let ratio = x.at(self.ratio);
        out.add(list * (ratio - 1.0), || Draft {
            label: format!("{prefix}Token ratio {}", self.target),
            how: format!("×{} on ${list:.2}: tokens of this model per reference token", short(ratio)),
            group: Group::Terms,
            from: x.from(self.ratio),
        });
        if let Some(retry) = self.retry {
            out.add(list * ratio * x.at(retry), || Draft {
                label: format!("{prefix}Retries"),
                how: format!("{} of requests billed twice", percent(x.at(retry))),
                group: Group::Terms,
                from: x.from(retry),
            });
        }
        self.discounts(world, before, prefix, out);
        self.events(world, before, prefix, out);
    }

    fn class_bill<B: Bill>(
        &self,
        world: &World<'_>,
        flow: &Flow,
        tariff: &Tariff,
        share: f64,
        (tier, class, prefix): (&str, Option<&str>, &str),
        out: &mut B,
    ) {
        let x = world.x;
        let scale = share * world.mean_growth;
        let (input, output) = (flow.input * scale, flow.output * scale);
        let length = flow.length() * x.at(self.ratio);
        let part = |name, group, tokens, ladder| Part { name, group, tokens, ladder };
        let parts = [
            part("input", Group::Input, input * (1.0 - flow.cached - flow.written), &tariff.input),
            part("cached input", Group::Input, input * flow.cached, &tariff.cached),
            part("cache writes", Group::Input, input * flow.written, &tariff.written),
            part("output", Group::Output, output * (1.0 - flow.reasoning), &tariff.output),
            part("reasoning", Group::Output, output * flow.reasoning, &tariff.reasoning),
        ];
        for Part { name, group, tokens: count, ladder } in parts {
            if count <= 0.0 {
                continue;
            }
            let price = ladder.at(length, x);
            out.add(count * price * 1e-6, || {
                let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
                Draft {
                    label: format!("{prefix}{} {name}{tier}{class}", self.target),
                    how: format!("{} tokens × ${}/M", tokens(count), short(price)),
                    group,
                    from: x.from(ladder.base),
                }
            });
        }
        if let Some(fee) = tariff.request.filter(|fee| x.at(*fee) > 0.0) {
            let requests = flow.requests * scale;
            out.add(requests * x.at(fee), || Draft {
                label: format!("{prefix}{} fee per request", self.target),
                how: format!("{} requests × ${}", short(requests), short(x.at(fee))),
                group: Group::Input,
                from: x.from(fee),
            });
        }
    }

    /// Volume discount, then contract discount, then commitment, combined as the scenario says.
    fn discounts<B: Bill>(&self, world: &World<'_>, before: f64, prefix: &str, out: &mut B) {
        let x = world.x;
        let list = out.total() - before;
        let volume =
            self.volume_discounts.iter().rev().find(|(above, _)| list > *above).map_or(0.0, |(_, d)| *d);
        let contract = self.discount.map_or(0.0, |var| x.at(var));
        let commitment = self.committed.map_or(0.0, |committed| committed.discount);
        let combined = match self.stacking {
            Stacking::Multiply => 1.0 - (1.0 - volume) * (1.0 - contract) * (1.0 - commitment),
            Stacking::Add => (volume + contract + commitment).min(1.0),
            Stacking::Best => volume.max(contract).max(commitment),
        };
        if combined > 0.0 {
            out.add(-list * combined, || {
                let parts = [("volume", volume), ("contract", contract), ("commitment", commitment)];
                let stated = parts.iter().filter(|(_, part)| *part > 0.0);
                let stated: Vec<String> =
                    stated.map(|(name, part)| format!("{name} {}", percent(*part))).collect();
                let rule = match (self.stacking, stated.len()) {
                    (_, 1) => "",
                    (Stacking::Multiply, _) => ", each on what the one before left",
                    (Stacking::Add, _) => ", all on the list price",
                    (Stacking::Best, _) => ", only the largest",
                };
                let from = self.discount.map_or_else(|| scenario_terms(&self.target), |var| x.from(var));
                Draft {
                    label: format!("{prefix}Discount {}", self.target),
                    how: format!("{} off ${list:.2}: {}{rule}", percent(combined), stated.join(", ")),
                    group: Group::Terms,
                    from,
                }
            });
        }
        if let Some(committed) = self.committed {
            let paid = out.total() - before;
            if committed.usd_per_month > paid {
                out.add(committed.usd_per_month - paid, || Draft {
                    label: format!("{prefix}Unused commitment {}", self.target),
                    how: format!("${} committed, ${paid:.2} used", short(committed.usd_per_month)),
                    group: Group::Terms,
                    from: scenario_terms(&self.target),
                });
            }
        }
    }

    fn events<B: Bill>(&self, world: &World<'_>, before: f64, prefix: &str, out: &mut B) {
        let x = world.x;
        let target = &self.target;
        if let Some((drift, months)) = self.events.drift {
            let change = x.at(drift);
            let factor = world.drifting(change, months) / world.mean_growth - 1.0;
            let bill = out.total() - before;
            add_event(out, bill * factor, || Draft {
                label: format!("{prefix}Price drift {target}"),
                how: format!(
                    "{} in {} months, mean over the horizon {}",
                    percent(change),
                    short(months),
                    percent(factor)
                ),
                group: Group::Events,
                from: x.from(drift),
            });
        }
        if let Some(retirement) = &self.events.retirement {
            let left = 1.0 - x.at(retirement.at);
            if left > 0.0 {
                let bill = out.total() - before;
                let moving = x.at(retirement.usd) / crate::num::float(world.traffic.horizon);
                let dearer = bill * (x.at(retirement.factor) - 1.0) * left;
                add_event(out, moving + dearer, || Draft {
                    label: format!("{prefix}Model retired {target}"),
                    how: format!(
                        "${moving:.2} to move, price ×{} for {} of the horizon",
                        short(x.at(retirement.factor)),
                        percent(left)
                    ),
                    group: Group::Events,
                    from: x.from(retirement.at),
                });
            }
        }
        if let Some(outage) = &self.events.outage {
            let hours = x.at(outage.hours) / 12.0;
            let bill = out.total() - before;
            let dearer = bill * hours / HOURS * (x.at(outage.factor) - 1.0);
            let lost = hours * outage.usd_per_hour.map_or(0.0, |var| x.at(var));
            add_event(out, dearer + lost, || Draft {
                label: format!("{prefix}Outages {target}"),
                how: format!("{} hours a month elsewhere at ×{}", short(hours), short(x.at(outage.factor))),
                group: Group::Events,
                from: x.from(outage.hours),
            });
        }
    }

    /// The provenance of its prices.
    pub fn from(&self, x: Values<'_>) -> Provenance {
        x.from(self.standard.output.base)
    }
}

/// An event that does not happen has no line.
fn add_event<B: Bill>(out: &mut B, usd: f64, line: impl FnOnce() -> Draft) {
    if usd != 0.0 {
        out.add(usd, line);
    }
}

fn scenario_terms(target: &str) -> Provenance {
    Provenance { basis: Basis::Assumed, source: format!("scenario: terms of {target}"), as_of: None }
}

/// `0.125` → `12.5%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{}%", short(share * 100.0))
}
