//! GPUs of one's own: whole replicas, spares, the hourly curve, and what runs along.

mod running;

use super::{Bill, Draft, Flow, World};
use crate::fleet::{Mix, Rates, best_mix};
use crate::inputs::{Provenance, Values, Var};
use crate::num::{float, grouped, index, short, whole};
use crate::report::Group;
use crate::scenario::{HOURS, Rent, Scaling, Term};

/// Square-root staffing (Halfin and Whitt, 1981): m = a + β·√a places for a load of a requests leave about 5 % of them
/// waiting. β solves 0.05 = 1 / (1 + β·Φ(β)/φ(β)).
const BETA: f64 = 1.743;

/// A stack of GPUs.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub gpu: String,
    pub gpus: usize,
    /// Output tokens a second of one full replica at the SLO, for each class.
    pub capacity: Vec<Var>,
    /// What the capacity may turn out over its estimate.
    pub band: Option<Var>,
    /// Requests in flight on a full replica; with it, random arrivals are staffed for.
    pub places: Option<f64>,
    /// Share of the capacity that the busiest hour may use, where no queue decides.
    pub max_utilisation: Option<Var>,
    /// Tokens of this model's tokenizer per reference token.
    pub ratio: Var,
    pub rent: Rent,
    /// Dollars a GPU-hour.
    pub prices: Prices,
    pub spares: usize,
    pub zones: usize,
    pub scaling: Scaling,
    pub cold_minutes: Var,
    pub interruptions: Option<Var>,
    pub shortage: Option<(Var, Var)>,
    /// Relative change of hourly rents, and in how many months.
    pub drift: Option<(Var, f64)>,
    pub bought: Option<Bought>,
    pub power: Power,
    pub extras: Extras,
}

/// Rents, dollars a GPU-hour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices {
    pub on_demand: Option<Var>,
    pub spot: Option<Var>,
    pub reserved: Option<Var>,
}

/// Machines that are owned.
#[derive(Clone, Debug)]
pub(crate) struct Bought {
    pub usd_per_gpu: Var,
    pub years: f64,
    pub interest: Option<Var>,
}

/// Electricity.
#[derive(Clone, Debug)]
pub(crate) struct Power {
    /// It is paid apart, not with the rent.
    pub billed: bool,
    pub watts: Var,
    pub pue: Var,
    pub usd_per_kwh: Var,
}

fn is_by_hour(term: Term) -> bool {
    matches!(term, Term::OnDemand | Term::Spot)
}

/// What runs along.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    pub hosting: Option<Var>,
    pub storage: Option<(Var, Var)>,
    pub egress: Option<Var>,
    pub licence: Option<Var>,
    pub migration: Option<Var>,
    pub exit: Option<Var>,
}

/// Machines of one month.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Month {
    /// Replicas that the busiest hour needs.
    pub needed: f64,
    /// Spares and zone reserve.
    pub waiting: f64,
    /// Replicas paid on average, spares included.
    pub paid: f64,
    /// Full replicas' worth of work, mean hour.
    pub load: f64,
    pub mix: Option<Mix>,
}

impl Own {
    /// Work in full replicas: of the busy hours' kind, and of the kind that can wait and is spread evenly.
    fn load(&self, world: &World<'_>, flows: &[Flow]) -> (f64, f64) {
        let x = world.x;
        let band = self.band.map_or(1.0, |var| x.at(var));
        let seconds = HOURS * 3_600.0;
        let (mut busy, mut even) = (0.0, 0.0);
        for (flow, capacity) in flows.iter().zip(&self.capacity) {
            let replicas = flow.output * x.at(self.ratio) / (seconds * x.at(*capacity) * band);
            busy += replicas * (1.0 - flow.batch);
            even += replicas * flow.batch;
        }
        (busy, even)
    }

    /// Whole replicas that carry a load.
    fn replicas(&self, load: f64, x: Values<'_>) -> f64 {
        if let Some(share) = self.max_utilisation {
            return whole(load / x.at(share));
        }
        match self.places {
            Some(places) => {
                let in_flight = load * places;
                whole((in_flight + BETA * in_flight.sqrt()) / places)
            }
            None => whole(load),
        }
    }

    /// Share of the capacity that so many replicas may use in the busiest hour.
    pub fn usable(&self, replicas: f64, x: Values<'_>) -> f64 {
        if let Some(share) = self.max_utilisation {
            return x.at(share);
        }
        let Some(places) = self.places else { return 1.0 };
        let m = replicas.max(1.0) * places;
        // a + β·√a = m
        let root = f64::midpoint(-BETA, (BETA * BETA + 4.0 * m).sqrt());
        root * root / m
    }

    /// Replicas beside those that are needed: spares, or what the loss of a zone takes.
    fn waiting(&self, needed: f64) -> f64 {
        let zones = float(self.zones);
        let reserve = if self.zones > 1 { zones * whole(needed / (zones - 1.0)) - needed } else { 0.0 };
        if needed > 0.0 { reserve.max(float(self.spares)) } else { 0.0 }
    }

    fn hourly(&self, term: Term, x: Values<'_>) -> f64 {
        let price = match term {
            Term::OnDemand => self.prices.on_demand,
            Term::Spot => self.prices.spot,
            Term::Reserved1y | Term::Reserved3y => self.prices.reserved,
            Term::Owned => return self.bought_per_hour(x),
        };
        price.map_or(f64::NAN, |var| x.at(var)) * float(self.gpus)
    }

    /// Dollars an hour of a replica that is owned: an annuity, hour by hour.
    fn bought_per_hour(&self, x: Values<'_>) -> f64 {
        let Some(bought) = &self.bought else { return f64::NAN };
        let months = bought.years * 12.0;
        let monthly = bought.interest.map_or(0.0, |var| x.at(var)) / 12.0;
        let share =
            if monthly > 1e-9 { monthly / (1.0 - (1.0 + monthly).powf(-months)) } else { 1.0 / months };
        x.at(bought.usd_per_gpu) * float(self.gpus) * share / HOURS
    }

    /// Machines of the month whose traffic is `growth` times the first month's.
    pub fn month(&self, world: &World<'_>, flows: &[Flow], growth: f64) -> Month {
        let x = world.x;
        let (busy, even) = self.load(world, flows);
        let (busy, even) = (busy * growth, even * growth);
        let peak = world.traffic.peak(x);
        let at_least = if busy + even > 0.0 { 1.0 } else { 0.0 };
        let needed = self.replicas(busy * peak + even, x).max(at_least);
        let waiting = self.waiting(needed);
        let Some(rates) = self.hourly_rates(x) else {
            return Month { needed, waiting, paid: needed + waiting, load: busy + even, mix: None };
        };
        let floor = if self.scaling == Scaling::ToZero { 0.0 } else { at_least };
        let needs: Vec<usize> = world
            .traffic
            .deviation
            .iter()
            .map(|deviation| {
                let load = busy * super::Traffic::hour(peak, *deviation) + even;
                index(self.replicas(load, x).max(floor)).unwrap_or(usize::MAX >> 40)
            })
            .collect();
        let kept = match self.rent {
            Rent::Mix { base_count, .. } => base_count,
            Rent::One(_) => Some(0),
        };
        let mix = best_mix(&needs, rates, kept);
        let hours = float(needs.len()).max(1.0);
        let burst = mix.burst_hours + mix.starts * rates.start_hours;
        let paid = float(mix.kept) + burst / hours + waiting;
        Month { needed, waiting, paid, load: busy + even, mix: Some(mix) }
    }

    /// Rates where the number of machines follows the hours; `None` where it does not.
    fn hourly_rates(&self, x: Values<'_>) -> Option<Rates> {
        let start_hours = x.at(self.cold_minutes) / 60.0;
        match self.rent {
            Rent::Mix { base, burst, .. } => {
                Some(Rates { kept: self.hourly(base, x), burst: self.burst_rate(burst, x), start_hours })
            }
            Rent::One(term) if self.scaling != Scaling::Always => {
                let burst = self.burst_rate(term, x);
                Some(Rates { kept: burst, burst, start_hours })
            }
            Rent::One(_) => None,
        }
    }

    /// A spot replica that is taken away is started again, and paid for meanwhile.
    fn burst_rate(&self, term: Term, x: Values<'_>) -> f64 {
        let lost = match (term, self.interruptions) {
            (Term::Spot, Some(var)) => x.at(var) * x.at(self.cold_minutes) / (24.0 * 60.0),
            _ => 0.0,
        };
        self.hourly(term, x) * (1.0 + lost)
    }

    /// The term of the machines that run the whole time.
    fn steady_term(&self) -> Term {
        match self.rent {
            Rent::One(term) | Rent::Mix { base: term, .. } => term,
        }
    }

    fn price_of(&self, term: Term) -> Option<Var> {
        match term {
            Term::OnDemand => self.prices.on_demand,
            Term::Spot => self.prices.spot,
            Term::Reserved1y | Term::Reserved3y => self.prices.reserved,
            Term::Owned => self.bought.as_ref().map(|bought| bought.usd_per_gpu),
        }
    }

    /// The input whose price decides: for flip points.
    pub fn deciding_price(&self) -> Option<Var> {
        self.price_of(self.steady_term())
    }

    /// Adds the bill of a month, mean over the horizon.
    pub fn bill<B: Bill>(&self, world: &World<'_>, flows: &[Flow], prefix: &str, out: &mut B) {
        let months: Vec<Month> = if world.growth == 0.0 {
            vec![self.month(world, flows, 1.0)]
        } else {
            let of = |m: usize| self.month(world, flows, (1.0 + world.growth).powf(float(m)));
            (0..world.traffic.horizon).map(of).collect()
        };
        let hourly_usd = self.machines(world, &months, prefix, out);
        self.rent_events(world, hourly_usd, prefix, out);
        let paid = months.iter().map(|month| month.paid).sum::<f64>() / float(months.len().max(1));
        self.running(world, flows, paid, prefix, out);
    }

    /// Adds the machines; gives back what of it is rented by the hour.
    fn machines<B: Bill>(&self, world: &World<'_>, months: &[Month], prefix: &str, out: &mut B) -> f64 {
        let x = world.x;
        let mean =
            |of: &dyn Fn(&Month) -> f64| months.iter().map(of).sum::<f64>() / float(months.len().max(1));
        let term = self.steady_term();
        let steady = self.hourly(term, x);
        let waiting = mean(&|month| month.waiting);
        let mut by_hour = if is_by_hour(term) { waiting * steady * HOURS } else { 0.0 };
        if let Some(rates) = self.hourly_rates(x) {
            by_hour += self.following(world, months, rates, prefix, out);
        } else {
            let needed = mean(&|month| month.needed);
            if is_by_hour(term) {
                by_hour += needed * steady * HOURS;
            }
            out.add(needed * steady * HOURS, || Draft {
                label: format!("{prefix}GPUs, {}", term.as_str()),
                how: self.count_how(world, months, needed, steady),
                group: Group::Gpus,
                from: self.machine_source(x, term),
            });
        }
        if waiting > 0.0 {
            out.add(waiting * steady * HOURS, || Draft {
                label: format!("{prefix}Spares{}", if self.zones > 1 { " and zone reserve" } else { "" }),
                how: format!("{} × 730 h", self.machines_how(&short(waiting), "replicas", steady)),
                group: Group::Reserve,
                from: self.machine_source(x, term),
            });
        }
        by_hour
    }

    /// Adds machines whose number follows the hours; gives back what of it is rented by the hour.
    fn following<B: Bill>(
        &self,
        world: &World<'_>,
        months: &[Month],
        rates: Rates,
        prefix: &str,
        out: &mut B,
    ) -> f64 {
        let x = world.x;
        let hours = float(world.traffic.deviation.len()).max(1.0);
        let of = |pick: fn(&Mix) -> f64| {
            let sum = months.iter().map(|month| month.mix.as_ref().map_or(0.0, pick)).sum::<f64>();
            sum / float(months.len().max(1))
        };
        let kept = of(|mix| float(mix.kept));
        let (burst, starts) =
            (of(|mix| mix.burst_hours) / hours * HOURS, of(|mix| mix.starts) / hours * HOURS);
        let term = self.steady_term();
        if kept > 0.0 {
            out.add(kept * rates.kept * HOURS, || Draft {
                label: format!("{prefix}GPUs, {}", term.as_str()),
                how: format!("{} × 730 h", self.machines_how(&short(kept), "replicas", rates.kept)),
                group: Group::Gpus,
                from: self.machine_source(x, term),
            });
        }
        let burst_term = match self.rent {
            Rent::Mix { burst, .. } => burst,
            Rent::One(term) => term,
        };
        out.add(burst * rates.burst, || Draft {
            label: format!("{prefix}GPUs, {} by the hour", burst_term.as_str()),
            how: self.machines_how(&grouped(burst, 0), "replica-hours", rates.burst),
            group: Group::Gpus,
            from: self.machine_source(x, burst_term),
        });
        let cold = starts * rates.start_hours;
        out.add(cold * rates.burst, || Draft {
            label: format!("{prefix}Cold starts"),
            how: format!(
                "{} starts × {} min: {}",
                grouped(starts, 0),
                short(x.at(self.cold_minutes)),
                self.machines_how(&short(cold), "replica-hours", rates.burst)
            ),
            group: Group::Reserve,
            from: x.from(self.cold_minutes),
        });
        (burst + cold) * rates.burst
    }

    /// `3 replicas × 2 × H100-SXM-80GB × $1.4/h`.
    fn machines_how(&self, count: &str, unit: &str, usd_per_hour: f64) -> String {
        let each = short(usd_per_hour / float(self.gpus));
        format!("{count} {unit} × {} × {} × ${each}/h", self.gpus, self.gpu)
    }

    /// A rent is a list price, but how many machines it is for is a matter of the capacity.
    fn machine_source(&self, x: Values<'_>, term: Term) -> Provenance {
        let mut from = self.price_of(term).map_or_else(|| Provenance::default("no price"), |var| x.from(var));
        if let Some(capacity) = self.capacity.first() {
            let capacity = x.from(*capacity);
            from.basis = from.basis.max(capacity.basis);
            from.source = format!("{}; capacity: {}", from.source, capacity.source);
        }
        from
    }

    fn count_how(&self, world: &World<'_>, months: &[Month], needed: f64, steady: f64) -> String {
        let x = world.x;
        let money = format!("{} × 730 h", self.machines_how(&short(needed), "replicas", steady));
        let Some(first) = months.first() else { return money };
        let peak = world.traffic.peak(x);
        let usable = self.usable(first.needed, x);
        let last = months.last().filter(|_| months.len() > 1).map(|last| last.needed);
        let growing = last.map(|last| format!("; {} in the last month", short(last))).unwrap_or_default();
        format!(
            "{money}; {} full replicas' work × peak {} / {} usable = {}{growing}",
            short(first.load),
            short(peak),
            super::api::percent(usable),
            short(first.needed)
        )
    }

    fn rent_events<B: Bill>(&self, world: &World<'_>, by_hour: f64, prefix: &str, out: &mut B) {
        let x = world.x;
        if by_hour <= 0.0 {
            return;
        }
        if let Some((share, factor)) = self.shortage {
            let dearer = x.at(share) * (x.at(factor) - 1.0);
            if dearer != 0.0 {
                out.add(by_hour * dearer, || Draft {
                    label: format!("{prefix}GPU shortage"),
                    how: format!(
                        "rents by the hour ×{} in {} of the time",
                        short(x.at(factor)),
                        super::api::percent(x.at(share))
                    ),
                    group: Group::Events,
                    from: x.from(share),
                });
            }
        }
        if let Some((drift, months)) = self.drift {
            let change = x.at(drift);
            if change != 0.0 {
                // Machines follow whole numbers, not the mean growth: only the price's own mean enters.
                let monthly = (1.0 + change).powf(1.0 / months);
                let factor =
                    super::traffic::mean_of_powers(monthly, world.traffic.horizon) * monthly.sqrt() - 1.0;
                out.add(by_hour * factor, || Draft {
                    label: format!("{prefix}GPU price drift"),
                    how: format!(
                        "{} in {} months on rents by the hour",
                        super::api::percent(change),
                        short(months)
                    ),
                    group: Group::Events,
                    from: x.from(drift),
                });
            }
        }
    }

    /// Output tokens a second of one replica for this mix of classes, band at its middle.
    pub fn blended_capacity(&self, flows: &[Flow], x: Values<'_>) -> f64 {
        let output: f64 = flows.iter().map(|flow| flow.output).sum();
        let work: f64 = flows.iter().zip(&self.capacity).map(|(flow, var)| flow.output / x.at(*var)).sum();
        if work > 0.0 { output / (work * x.at(self.ratio)) } else { f64::NAN }
    }

    /// Dollars a replica-hour of the machines that run the whole time.
    pub fn steady_rate(&self, x: Values<'_>) -> f64 {
        self.hourly(self.steady_term(), x)
    }

    /// Busy hours' work over the mean hour's, when what can wait is spread evenly.
    pub fn peak_of(&self, world: &World<'_>, flows: &[Flow]) -> f64 {
        let (busy, even) = self.load(world, flows);
        if busy + even > 0.0 { (busy * world.traffic.peak(world.x) + even) / (busy + even) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::normal;

    #[test]
    fn beta_leaves_five_percent_waiting() {
        // Φ(β) by the inverse that is tested elsewhere: find p with normal(p) = β.
        let (mut low, mut high) = (0.5, 0.999_999);
        for _ in 0..80 {
            let p = f64::midpoint(low, high);
            if normal(p) < BETA { low = p } else { high = p }
        }
        let phi = (-BETA * BETA / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let waiting = 1.0 / (1.0 + BETA * low / phi);
        assert!((waiting - 0.05).abs() < 5e-4, "{waiting}");
    }
}
