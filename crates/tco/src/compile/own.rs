//! Machines: which model on which GPU, what it can serve, what it costs.

use catalog::hardware;

use super::{Candidate, Compiler, Infeasible};
use crate::capacity::{self, DoesNotFit, Lengths, Precision, Setup, Unreachable};
use crate::dist::{Dist, normal};
use crate::engine::own::{Bought, Extras, Own, Power, Prices};
use crate::engine::{Component, Traffic};
use crate::inputs::{Basis, Bounds, Input, Provenance, Var};
use crate::num::short;
use crate::reader::Quantity;
use crate::scenario::{Class, OwnSpec, PriceList, Rent, StackSpec, Term};

/// How a capacity was found.
#[derive(Clone, Debug)]
pub(crate) struct CapacityNote {
    pub basis: Basis,
    pub how: String,
    /// Ends of a 90 % band over the value.
    pub band: (f64, f64),
}

/// A class's capacity and who spoke.
struct Found {
    output_tok_s: Quantity,
    /// Ends of a 90 % band over the value; 1, 1 where the scenario states the capacity.
    band: (f64, f64),
    places: Option<f64>,
    how: String,
}

/// Default minutes until a started replica serves: loading weights and warming up (the article: 4 to 8).
const COLD_MINUTES: (f64, f64) = (4.0, 8.0);

impl Compiler<'_> {
    pub(super) fn own_candidate(
        &mut self,
        spec: &StackSpec,
        own: &OwnSpec,
        traffic: &Traffic,
    ) -> Option<Candidate> {
        let what = format!("{} on {} × {} ({})", own.model, own.gpus_per_replica, own.gpu, own.precision);
        match self.own(&spec.path, own, traffic) {
            Ok((own, note)) => {
                let mut candidate = self.simple(spec, "self-hosted", what, Component::Own(Box::new(own)));
                candidate.capacity = Some(note);
                Some(candidate)
            }
            Err(None) => None,
            Err(why) => Some(Candidate {
                name: spec.name.clone(),
                kind: "self-hosted",
                what,
                stack: None,
                infeasible: why,
                capacity: None,
            }),
        }
    }

    /// The machines; `Err(None)` after a problem, `Err(Some(why))` when they cannot do it.
    pub(super) fn own(
        &mut self,
        path: &str,
        spec: &OwnSpec,
        traffic: &Traffic,
    ) -> Result<(Own, CapacityNote), Option<Infeasible>> {
        let gpu = self.gpu(path, spec);
        let model = self.architecture(path, spec);
        let precision = Precision::named(&spec.precision);
        if precision.is_none() {
            let hint = "bf16, fp8, int8, fp4 or int4";
            self.problem(&format!("{path}.precision"), format!("`{}` is not known", spec.precision), hint);
        }
        let prices = gpu.map(|gpu| self.prices(path, spec, gpu));
        let (Some(gpu), Some(model), Some(precision), Some(prices)) = (gpu, model, precision, prices) else {
            return Err(None);
        };
        let prices = prices.ok_or(None)?;
        if precision == Precision::Fp8 && gpu.tflops.fp8.is_none() {
            self.warnings.push(format!(
                "{path}: {} computes no FP8: the weights take 8 bits, the arithmetic runs at 16 (audit G9)",
                gpu.id
            ));
        }
        let n_gpu = u32::try_from(spec.gpus_per_replica).unwrap_or(u32::MAX);
        let setup =
            Setup { model, gpu, n_gpu, precision, framework: spec.engine.as_deref().unwrap_or("vllm") };
        let classes = self.scenario.workload.classes.clone();
        let mut found = Vec::new();
        for class in &classes {
            found.push(self.class_capacity(path, spec, &setup, class).map_err(Some)?);
        }
        let note = note_of(&found);
        let capacity = found.iter().zip(&classes).map(|(found, class)| {
            let of = if classes.len() > 1 { format!(" ({})", class.name) } else { String::new() };
            let name = format!("{path} capacity{of}");
            self.add(&name, "output tokens/s", Bounds::POSITIVE, &found.output_tok_s)
        });
        let capacity: Vec<Var> = capacity.collect();
        let band = self.band(path, &note);
        let places = found.iter().filter_map(|found| found.places).reduce(f64::min);
        let own = Own {
            gpu: gpu.id.clone(),
            gpus: spec.gpus_per_replica,
            capacity,
            band,
            places,
            max_utilisation: self.stated(
                path,
                "max_utilisation",
                "share",
                Bounds::SHARE,
                spec.max_utilisation.as_ref(),
            ),
            ratio: self.ratio(&spec.model),
            rent: spec.rent,
            prices,
            spares: spec.spares,
            zones: spec.zones,
            scaling: spec.scaling,
            cold_minutes: self.cold_minutes(path, spec),
            interruptions: self.stated(
                path,
                "interruptions_per_day",
                "per replica and day",
                Bounds::NONNEGATIVE,
                spec.interruptions_per_day.as_ref(),
            ),
            shortage: self.risk.shortage,
            drift: self.risk.gpu,
            bought: self.bought(path, spec),
            power: self.power(path, spec, gpu),
            extras: self.extras(path, spec),
        };
        let _ = traffic;
        Ok((own, note))
    }

    fn gpu(&self, path: &str, spec: &OwnSpec) -> Option<&'static hardware::Hardware> {
        if let Some(hosted) =
            hardware::hosted().iter().find(|h| h.id == spec.gpu || h.names.contains(&spec.gpu))
        {
            let message = format!("{} is not rented by the hour: {}", hosted.id, hosted.note);
            let hint = format!("it sells tokens: model = \"{}/…\" without a gpu", hosted.provider);
            self.problem(&format!("{path}.gpu"), message, hint);
            return None;
        }
        match hardware::find(&spec.gpu) {
            Ok(gpu) => Some(gpu),
            Err(unknown) => {
                let message = format!("`{}` is not known", spec.gpu);
                self.problem(
                    &format!("{path}.gpu"),
                    message,
                    format!("the nearest are {}", unknown.nearest.join(", ")),
                );
                None
            }
        }
    }

    fn architecture(&mut self, path: &str, spec: &OwnSpec) -> Option<&'static catalog::ModelFacts> {
        match catalog::architecture::find(&spec.model) {
            Ok(found) => {
                if let Some(warning) = found.warning {
                    self.warnings.push(format!("{path}.model: {warning}"));
                }
                Some(found.model)
            }
            Err(unknown) => {
                let message = format!("no open model is named `{}`", spec.model);
                self.problem(
                    &format!("{path}.model"),
                    message,
                    format!("the nearest are {}", unknown.nearest.join(", ")),
                );
                None
            }
        }
    }

    fn class_capacity(
        &self,
        path: &str,
        spec: &OwnSpec,
        setup: &Setup<'_>,
        class: &Class,
    ) -> Result<Found, Infeasible> {
        let base = |quantity: &Option<Quantity>| quantity.as_ref().map_or(0.0, |q| q.base);
        let lengths = Lengths {
            input: class.input_tokens.base,
            output: class.output_tokens.base,
            cached_share: base(&class.cached_share),
        };
        capacity::fits(setup, &lengths).map_err(|why| does_not_fit(setup, &why))?;
        if let Some(stated) = &spec.capacity {
            let how = format!("stated: {} output tokens/s", short(stated.output_tok_s.base));
            return Ok(Found {
                output_tok_s: stated.output_tok_s.clone(),
                band: (1.0, 1.0),
                places: None,
                how,
            });
        }
        let slo = capacity::Slo {
            ttft_ms: self.scenario.slo.ttft_ms.unwrap_or(f64::INFINITY),
            tpot_ms: self.scenario.slo.tpot_ms.unwrap_or(f64::INFINITY),
        };
        let found = capacity::at_slo(setup, &lengths, &slo, self.market.points);
        let found = found.map_err(|why| match why {
            Unreachable::DoesNotFit(why) => does_not_fit(setup, &why),
            other => Infeasible::SloUnreachable { why: format!("SLO unreachable at {path}: {other}") },
        })?;
        let rate = found.output_tok_s;
        let how = format!(
            "{} requests in flight keep TTFT at {:.0} ms and TPOT at {:.1} ms ({} in, {} out): {} output tokens/s, \
             90 % band {} to {}",
            short(found.concurrency),
            found.ttft_ms.value,
            found.tpot_ms.value,
            short(lengths.input),
            short(lengths.output),
            short(rate.value),
            short(rate.low),
            short(rate.high),
        );
        let (basis, source) = spoken(found.basis);
        let from = Provenance { basis, source: source.to_owned(), as_of: None };
        Ok(Found {
            output_tok_s: Quantity { base: rate.value, dist: None, from },
            band: (rate.low / rate.value, rate.high / rate.value),
            places: Some(found.concurrency),
            how,
        })
    }

    /// One factor for all classes: the model errs alike on all of them.
    fn band(&mut self, path: &str, note: &CapacityNote) -> Option<Var> {
        let (low, high) = note.band;
        if !self.scenario.risk.capacity_band || (high - low).abs() < 1e-12 {
            return None;
        }
        // The ends of a 90 % band are the 5 % and 95 % quantiles; the draw wants those of 10 % and 90 %.
        let inner = normal(0.9) / normal(0.95);
        let dist = Dist::Quantiles(low.powf(inner), 1.0, high.powf(inner));
        let from =
            Provenance { basis: note.basis, source: "error band of the capacity".to_owned(), as_of: None };
        let name = format!("{path} capacity over its estimate");
        let bounds = Bounds { min: 0.02, max: 50.0 };
        Some(self.inputs.add(Input { name, unit: "×", base: 1.0, dist: Some(dist), bounds, from }))
    }

    /// Rents: the scenario's, else the list's. `None` after a problem.
    fn prices(&mut self, path: &str, spec: &OwnSpec, gpu: &hardware::Hardware) -> Option<Prices> {
        let terms: Vec<Term> = match spec.rent {
            Rent::One(term) => vec![term],
            Rent::Mix { base, burst, .. } => vec![base, burst],
        };
        let mut prices = Prices::default();
        for term in terms {
            let (stated, key) = match term {
                Term::OnDemand => (&spec.on_demand, "on_demand_usd_per_gpu_hour"),
                Term::Spot => (&spec.spot, "spot_usd_per_gpu_hour"),
                Term::Reserved1y | Term::Reserved3y => (&spec.reserved, "reserved_usd_per_gpu_hour"),
                Term::Owned => continue,
            };
            let quantity = match stated {
                Some(stated) if spec.per_replica => per_gpu(stated, spec.gpus_per_replica),
                Some(stated) => stated.clone(),
                None => self.listed_rent(path, gpu, term, key)?,
            };
            let name = format!("{path} {} {}", gpu.id, term.as_str());
            let var = self.add(&name, "$/GPU-hour", Bounds::NONNEGATIVE, &quantity);
            match term {
                Term::OnDemand => prices.on_demand = Some(var),
                Term::Spot => prices.spot = Some(var),
                _ => prices.reserved = Some(var),
            }
        }
        Some(prices)
    }

    fn listed_rent(&self, path: &str, gpu: &hardware::Hardware, term: Term, key: &str) -> Option<Quantity> {
        let wanted = match term {
            Term::OnDemand => hardware::Term::OnDemand,
            Term::Spot => hardware::Term::Spot,
            Term::Reserved1y => hardware::Term::Reserved1y,
            Term::Reserved3y | Term::Owned => hardware::Term::Reserved3y,
        };
        let of_article = |rent: &&hardware::Rent| rent.source.starts_with("article-");
        let rent = match self.list {
            PriceList::Article => gpu.rent.iter().filter(of_article).find(|rent| rent.term == wanted),
            PriceList::Catalogue => gpu.rent_at(wanted),
        };
        let Some(rent) = rent else {
            let message = format!(
                "no {} price of {} is known in the {} list",
                term.as_str(),
                gpu.id,
                self.list.as_str()
            );
            self.problem(path, message, format!("state {key}"));
            return None;
        };
        let note = rent.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let from = Provenance {
            basis: Basis::List,
            source: format!("{}: {}{note}", rent.by, rent.source),
            as_of: Some(rent.as_of.to_string()),
        };
        Some(Quantity { base: rent.usd_per_gpu_hour, dist: None, from })
    }

    fn stated(
        &mut self,
        path: &str,
        key: &str,
        unit: &'static str,
        bounds: Bounds,
        quantity: Option<&Quantity>,
    ) -> Option<Var> {
        let name = format!("{path}.{key}");
        quantity.map(|quantity| self.add(&name, unit, bounds, quantity))
    }

    fn cold_minutes(&mut self, path: &str, spec: &OwnSpec) -> Var {
        let usual = || {
            let dist = Dist::Uniform(COLD_MINUTES.0, COLD_MINUTES.1);
            let from = Provenance::default("4 to 8 minutes until a started replica serves");
            Quantity { base: dist.center(), dist: self.scenario.risk.is_on().then_some(dist), from }
        };
        let quantity = spec.cold_start_minutes.clone().unwrap_or_else(usual);
        let name = format!("{path}.cold_start_minutes");
        self.add(&name, "minutes", Bounds::NONNEGATIVE, &quantity)
    }

    fn bought(&mut self, path: &str, spec: &OwnSpec) -> Option<Bought> {
        let usd_per_gpu = self.stated(
            path,
            "capex_usd_per_gpu",
            "$/GPU",
            Bounds::NONNEGATIVE,
            spec.capex_usd_per_gpu.as_ref(),
        )?;
        let interest =
            self.stated(path, "interest_per_year", "per year", Bounds::SHARE, spec.interest.as_ref());
        Some(Bought { usd_per_gpu, years: spec.years.unwrap_or(3.0), interest })
    }

    fn power(&mut self, path: &str, spec: &OwnSpec, gpu: &hardware::Hardware) -> Power {
        let default = |base: f64, from: Provenance| Quantity { base, dist: None, from };
        let price = default(0.12, Provenance::default("electricity at $0.12/kWh"));
        let rated = Provenance {
            basis: Basis::List,
            source: format!("rated power of {}", gpu.id),
            as_of: Some(gpu.as_of.to_string()),
        };
        let usual = default(1.3, Provenance::default("power usage effectiveness 1.3"));
        let watts = spec.watts_per_gpu.clone().unwrap_or_else(|| default(gpu.power_w, rated));
        let pue = spec.pue.clone().unwrap_or(usual);
        let usd_per_kwh = spec.usd_per_kwh.clone().unwrap_or(price);
        let name = |key: &str| format!("{path}.{key}");
        Power {
            billed: spec.usd_per_kwh.is_some(),
            watts: self.add(&name("watts_per_gpu"), "W", Bounds::NONNEGATIVE, &watts),
            pue: self.add(&name("pue"), "×", Bounds::AT_LEAST_ONE, &pue),
            usd_per_kwh: self.add(&name("usd_per_kwh"), "$/kWh", Bounds::NONNEGATIVE, &usd_per_kwh),
        }
    }

    fn extras(&mut self, path: &str, spec: &OwnSpec) -> Extras {
        let mut stated = |key: &str, unit: &'static str, quantity: Option<&Quantity>| {
            self.stated(path, key, unit, Bounds::NONNEGATIVE, quantity)
        };
        let size = stated("storage_gb", "GB", spec.storage_gb.as_ref());
        let price = stated("storage_usd_per_gb_month", "$/GB", spec.storage_usd_per_gb_month.as_ref());
        Extras {
            hosting: stated("hosting_usd_per_month", "$/month", spec.hosting_usd_per_month.as_ref()),
            storage: size.zip(price),
            egress: stated("egress_usd_per_gb", "$/GB", spec.egress_usd_per_gb.as_ref()),
            licence: stated("licence_usd_per_gpu_year", "$/GPU-year", spec.licence_usd_per_gpu_year.as_ref()),
            migration: stated("migration_usd", "$", spec.migration_usd.as_ref()),
            exit: stated("exit_usd", "$", spec.exit_usd.as_ref()),
        }
    }
}

fn per_gpu(stated: &Quantity, gpus: usize) -> Quantity {
    let factor = 1.0 / crate::num::float(gpus.max(1));
    Quantity {
        base: stated.base * factor,
        dist: stated.dist.as_ref().map(|dist| dist.scaled(factor)),
        from: stated.from.clone(),
    }
}

fn does_not_fit(setup: &Setup<'_>, why: &DoesNotFit) -> Infeasible {
    let name =
        format!("{} at {} on {} × {}", setup.model.id, setup.precision.name(), setup.n_gpu, setup.gpu.id);
    Infeasible::DoesNotFit { short_by_gb: why.short_gb, why: format!("{name} {why}") }
}

fn spoken(basis: capacity::Basis) -> (Basis, &'static str) {
    match basis {
        capacity::Basis::OwnBench => (Basis::Measured, "your own bench"),
        capacity::Basis::Measured => (Basis::Measured, "a published measurement of this load"),
        capacity::Basis::Interpolated => (Basis::Modelled, "interpolated between published measurements"),
        capacity::Basis::Modelled => (Basis::Modelled, "capacity model"),
    }
}

fn note_of(found: &[Found]) -> CapacityNote {
    let basis = found.iter().map(|found| found.output_tok_s.from.basis).max().unwrap_or(Basis::Assumed);
    let low = found.iter().map(|found| found.band.0).fold(1.0, f64::min);
    let high = found.iter().map(|found| found.band.1).fold(1.0, f64::max);
    let how: Vec<&str> = found.iter().map(|found| found.how.as_str()).collect();
    CapacityNote { basis, how: how.join("; "), band: (low, high) }
}
