//! What runs along with machines: power, licences, storage, egress, hosting, moving in and out.

use super::{Own, Power};
use crate::engine::{Bill, Draft, Flow, World};
use crate::inputs::{Values, Var};
use crate::num::{float, short, tokens};
use crate::report::Group;
use crate::scenario::HOURS;

/// Bytes that leave per output token: about four characters, framed as events.
const EGRESS_BYTES_PER_TOKEN: f64 = 100.0;

impl Own {
    /// Power, licences, storage, egress, hosting, moving in and out.
    pub(super) fn running<B: Bill>(
        &self,
        world: &World<'_>,
        flows: &[Flow],
        paid: f64,
        prefix: &str,
        out: &mut B,
    ) {
        let x = world.x;
        let gpus = paid * float(self.gpus);
        let draft = |label: &str, how: String, group: Group, var: Var| Draft {
            label: format!("{prefix}{label}"),
            how,
            group,
            from: x.from(var),
        };
        let power = &self.power;
        if power.billed {
            let kwh = gpus * x.at(power.watts) * x.at(power.pue) * HOURS / 1_000.0;
            out.add(kwh * x.at(power.usd_per_kwh), || {
                let (watts, pue, price) = (x.at(power.watts), x.at(power.pue), x.at(power.usd_per_kwh));
                let how = format!(
                    "{} GPUs × {} W × PUE {} × 730 h × ${}/kWh",
                    short(gpus),
                    short(watts),
                    short(pue),
                    short(price)
                );
                draft("Power", how, Group::Running, power.usd_per_kwh)
            });
        }
        let mut monthly =
            |label: &str, var: Option<Var>, factor: f64, group: Group, how: &dyn Fn(f64) -> String| {
                if let Some(var) = var {
                    out.add(x.at(var) * factor, || draft(label, how(x.at(var)), group, var));
                }
            };
        let horizon = float(world.traffic.horizon);
        let extras = &self.extras;
        monthly("Licences", extras.licence, gpus / 12.0, Group::Running, &|usd| {
            format!("{} GPUs × ${}/year / 12", short(gpus), short(usd))
        });
        monthly("Hosting", extras.hosting, 1.0, Group::Running, &|usd| format!("${} a month", short(usd)));
        if let Some((size, price)) = extras.storage {
            let gb = x.at(size);
            monthly("Storage", Some(price), gb, Group::Running, &|usd| {
                format!("{} GB × ${}", short(gb), short(usd))
            });
        }
        let out_tokens = flows.iter().map(|flow| flow.output).sum::<f64>() * world.mean_growth;
        let gb = out_tokens * EGRESS_BYTES_PER_TOKEN / 1e9;
        monthly("Egress", extras.egress, gb, Group::Running, &|usd| {
            format!(
                "{} output tokens × {EGRESS_BYTES_PER_TOKEN} bytes × ${}/GB",
                tokens(out_tokens),
                short(usd)
            )
        });
        for (label, var) in [("Migration", extras.migration), ("Exit", extras.exit)] {
            monthly(label, var, 1.0 / horizon, Group::Moving, &|usd| {
                format!("${} once / {} months", short(usd), short(horizon))
            });
        }
    }

    /// What one more million output tokens take while a paid replica has room: the power of a full one, whoever pays it.
    pub fn marginal_per_million(&self, flows: &[Flow], x: Values<'_>) -> f64 {
        self.power_per_hour(x) / (self.blended_capacity(flows, x) * 3_600.0) * 1e6
    }

    /// How that came about.
    pub fn marginal_how(&self, x: Values<'_>) -> String {
        let Power { watts, pue, usd_per_kwh, billed } = &self.power;
        let who = if *billed { "" } else { "; contained in the rent" };
        format!(
            "power of a full replica: {} GPUs × {} W × PUE {} × ${}/kWh{who}",
            self.gpus,
            short(x.at(*watts)),
            short(x.at(*pue)),
            short(x.at(*usd_per_kwh))
        )
    }

    /// Dollars of power an hour of a replica.
    fn power_per_hour(&self, x: Values<'_>) -> f64 {
        let Power { watts, pue, usd_per_kwh, .. } = &self.power;
        x.at(*watts) * x.at(*pue) * float(self.gpus) / 1_000.0 * x.at(*usd_per_kwh)
    }

    /// Power and licences that are paid apart, dollars an hour of a replica.
    pub fn along_per_hour(&self, x: Values<'_>) -> f64 {
        let power = if self.power.billed { self.power_per_hour(x) } else { 0.0 };
        let licence = self.extras.licence.map_or(0.0, |var| x.at(var) * float(self.gpus) / 12.0 / HOURS);
        power + licence
    }

    /// What does not depend on traffic: storage, hosting, moving in and out; dollars a month.
    pub fn fixed_per_month(&self, world: &World<'_>) -> f64 {
        let x = world.x;
        let at = |var: Option<Var>| var.map_or(0.0, |var| x.at(var));
        let storage = self.extras.storage.map_or(0.0, |(size, price)| x.at(size) * x.at(price));
        let moving = at(self.extras.migration) + at(self.extras.exit);
        at(self.extras.hosting) + storage + moving / float(world.traffic.horizon)
    }

    /// What each output token costs beside machines, dollars a million.
    pub fn egress_per_million(&self, x: Values<'_>) -> f64 {
        self.extras.egress.map_or(0.0, |var| x.at(var) * EGRESS_BYTES_PER_TOKEN / 1e3)
    }
}
