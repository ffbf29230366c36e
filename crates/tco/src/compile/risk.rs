//! The risk scenarios as inputs that only draws move: at their base nothing happens.

use super::Compiler;
use crate::dist::{Dist, Spells};
use crate::engine::api::{Events, OutageVars, RetirementVars};
use crate::inputs::{Bounds, Input, Provenance, Var};
use crate::market::Kind;
use crate::num::float;
use crate::reader::Quantity;

/// What all stacks share.
#[derive(Clone, Debug, Default)]
pub(super) struct RiskVars {
    /// Share of the horizon in a shortage, and the factor on rents by the hour.
    pub shortage: Option<(Var, Var)>,
    pub closed: Option<(Var, f64)>,
    pub serverless: Option<(Var, f64)>,
    pub gpu: Option<(Var, f64)>,
}

/// A week in months of 365/12 days.
const WEEK: f64 = 7.0 * 12.0 / 365.0;

impl Compiler<'_> {
    pub(super) fn risk_vars(&mut self) -> RiskVars {
        let risk = self.scenario.risk.clone();
        let horizon = float(self.scenario.workload.horizon_months);
        let shortage = risk.shortage.map(|shortage| {
            let (least, most) = shortage.weeks;
            let spells = Spells {
                months: (least * WEEK, most * WEEK),
                // A longer look goes round the same two years again.
                window: 24.0,
                count: shortage.per_24_months,
                horizon: horizon.min(24.0),
            };
            let from = Provenance::default("GPU shortage, share of the horizon");
            let share =
                self.event("risk.gpu_shortage share of time", Dist::Spells(spells), Bounds::SHARE, from);
            let name = "risk.gpu_shortage.price_factor";
            (share, self.add(name, "×", Bounds::POSITIVE, &shortage.price_factor))
        });
        let Some(drift) = risk.drift else { return RiskVars { shortage, ..RiskVars::default() } };
        let mut of = |name: &str, quantity: Option<Quantity>| {
            let Quantity { base, dist, from } = quantity?;
            let dist = dist.unwrap_or(Dist::Uniform(base, base));
            Some((self.event(name, dist, Bounds::CHANGE, from), drift.months))
        };
        RiskVars {
            shortage,
            closed: of("risk.price_drift.closed", drift.closed.clone()),
            serverless: of("risk.price_drift.serverless", drift.serverless.clone()),
            gpu: of("risk.price_drift.gpu", drift.gpu.clone()),
        }
    }

    /// An input whose base is that nothing happens.
    fn event(&mut self, name: &str, dist: Dist, bounds: Bounds, from: Provenance) -> Var {
        let base = if matches!(dist, Dist::FirstEvent(_)) { 1.0 } else { 0.0 };
        let unit = match dist {
            Dist::Spells(_) => "share of time",
            Dist::FirstEvent(_) => "share of the horizon",
            _ => "relative change",
        };
        self.inputs.add(Input { name: name.to_owned(), unit, base, dist: Some(dist), bounds, from })
    }

    /// What may happen to a model at a vendor. A model that several stacks use meets one fate.
    pub(super) fn events(&mut self, target: &str, kind: Kind) -> Events {
        let drift = match kind {
            Kind::Closed => self.risk.closed,
            Kind::Serverless => self.risk.serverless,
        };
        let risk = self.scenario.risk.clone();
        let horizon = float(self.scenario.workload.horizon_months);
        let retirement = risk.retirement.map(|retirement| {
            let dist = Dist::FirstEvent(retirement.per_year * horizon / 12.0);
            let from = Provenance::default("model retired with 30 days' notice");
            RetirementVars {
                at: self.event(&format!("risk {target} retired at"), dist, Bounds::SHARE, from),
                usd: self.add("risk.model_retired.usd", "$", Bounds::NONNEGATIVE, &retirement.usd),
                factor: self.add(
                    "risk.model_retired.price_factor",
                    "×",
                    Bounds::POSITIVE,
                    &retirement.price_factor,
                ),
            }
        });
        let outage = risk.outage.map(|outage| {
            let Quantity { base, dist, from } = outage.hours_per_year.clone();
            let dist = dist.unwrap_or(Dist::Uniform(base, base));
            let (name, bounds) = (format!("risk {target} down"), Bounds { min: 0.0, max: 8_760.0 });
            let input = Input { name, unit: "hours/year", base: 0.0, dist: Some(dist), bounds, from };
            let usd = outage.usd_per_hour.as_ref();
            OutageVars {
                hours: self.inputs.add(input),
                factor: self.add(
                    "risk.vendor_outage.price_factor",
                    "×",
                    Bounds::POSITIVE,
                    &outage.price_factor,
                ),
                usd_per_hour: self.option("risk.vendor_outage.usd_per_hour", "$/h", Bounds::NONNEGATIVE, usd),
            }
        });
        Events { drift, retirement, outage }
    }
}
