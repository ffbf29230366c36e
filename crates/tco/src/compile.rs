//! From a scenario and a market to numbers: names are looked up, prices and capacities become inputs.

mod api;
mod hybrid;
mod own;
mod risk;

use std::cell::RefCell;

use crate::engine::stack::OverheadVar;
use crate::engine::{Body, ClassVars, Component, Stack, Traffic, VolumeUnit, traffic};
use crate::inputs::{Bounds, Input, Inputs, Provenance, Var};
use crate::market::Market;
use crate::problem::Problem;
use crate::reader::Quantity;
use crate::scenario::{Class, PriceList, Scenario, Shape, Spec, StackSpec, Volume, Workload};

/// A scenario in numbers.
pub(crate) struct Model {
    pub inputs: Inputs,
    pub traffic: Traffic,
    /// In the order of the scenario.
    pub stacks: Vec<Candidate>,
    pub warnings: Vec<String>,
}

/// A stack, or why there is none.
pub(crate) struct Candidate {
    pub name: String,
    pub kind: &'static str,
    pub what: String,
    /// `None` when the machines cannot do it.
    pub stack: Option<Stack>,
    /// Why it is not feasible; `None` when it is.
    pub infeasible: Option<Infeasible>,
    /// How the capacity was found, if there are machines.
    pub capacity: Option<own::CapacityNote>,
}

/// Why a stack is not feasible.
#[derive(Clone, Debug)]
pub(crate) enum Infeasible {
    DoesNotFit { short_by_gb: f64, why: String },
    SloUnreachable { why: String },
    BelowFloor { why: String },
}

impl Infeasible {
    pub fn why(&self) -> &str {
        match self {
            Self::DoesNotFit { why, .. } | Self::SloUnreachable { why } | Self::BelowFloor { why } => why,
        }
    }
}

/// Compiles a scenario at one list of prices. Errors with every name and price that is not known.
pub(crate) fn compile(
    scenario: &Scenario,
    market: &Market<'_>,
    list: PriceList,
) -> Result<Model, Vec<Problem>> {
    let mut compiler = Compiler {
        scenario,
        market,
        list,
        inputs: Inputs::default(),
        problems: RefCell::default(),
        warnings: scenario.warnings.clone(),
        risk: risk::RiskVars::default(),
    };
    compiler.risk = compiler.risk_vars();
    let traffic = compiler.traffic(&scenario.workload);
    let stacks: Vec<Candidate> =
        scenario.stacks.iter().filter_map(|spec| compiler.candidate(spec, &traffic)).collect();
    let Compiler { inputs, problems, mut warnings, .. } = compiler;
    let problems = problems.into_inner();
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut seen = std::collections::BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    Ok(Model { inputs, traffic, stacks, warnings })
}

struct Compiler<'a> {
    scenario: &'a Scenario,
    market: &'a Market<'a>,
    list: PriceList,
    inputs: Inputs,
    problems: RefCell<Vec<Problem>>,
    warnings: Vec<String>,
    risk: risk::RiskVars,
}

impl Compiler<'_> {
    fn problem(&self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(path, message, hint));
    }

    fn add(&mut self, name: &str, unit: &'static str, bounds: Bounds, quantity: &Quantity) -> Var {
        self.inputs.add(Input {
            name: name.to_owned(),
            unit,
            base: quantity.base,
            dist: quantity.dist.clone(),
            bounds,
            from: quantity.from.clone(),
        })
    }

    fn option(
        &mut self,
        name: &str,
        unit: &'static str,
        bounds: Bounds,
        quantity: Option<&Quantity>,
    ) -> Option<Var> {
        quantity.map(|quantity| self.add(name, unit, bounds, quantity))
    }

    fn certain(&mut self, name: &str, unit: &'static str, base: f64, from: Provenance) -> Var {
        let quantity = Quantity { base, dist: None, from };
        self.add(name, unit, Bounds::NONNEGATIVE, &quantity)
    }

    fn traffic(&mut self, workload: &Workload) -> Traffic {
        let (name, unit, quantity, kind) = match &workload.volume {
            Volume::Requests(q) => ("workload.requests_per_day", "requests/day", q, VolumeUnit::Requests),
            Volume::Output(q) => {
                ("workload.output_tokens_per_day", "output tokens/day", q, VolumeUnit::OutputTokens)
            }
            Volume::Total(q) => ("workload.total_tokens_per_day", "tokens/day", q, VolumeUnit::TotalTokens),
        };
        let volume = self.add(name, unit, Bounds::POSITIVE, quantity);
        let scale = self.certain("volume factor", "×", 1.0, Provenance::default("the stated volume"));
        let classes = workload.classes.iter().map(|class| self.class(class)).collect();
        let (deviation, stated_peak) = traffic::deviations(&workload.shape);
        let peak = match &workload.shape {
            Shape::PeakToMean(quantity) => Some(self.add(
                "workload.peak_to_mean",
                "busiest hour / mean hour",
                Bounds::AT_LEAST_ONE,
                quantity,
            )),
            Shape::Week(_) | Shape::Hours(_) => None,
        };
        let growth =
            self.option("workload.growth_per_month", "per month", Bounds::CHANGE, workload.growth.as_ref());
        Traffic {
            classes,
            volume,
            unit: kind,
            scale,
            growth,
            horizon: workload.horizon_months,
            peak,
            deviation,
            stated_peak,
        }
    }

    fn class(&mut self, class: &Class) -> ClassVars {
        let name = |key: &str| format!("{}.{key}", class.path);
        let share = |this: &mut Self, key: &str, quantity: Option<&Quantity>| {
            this.option(&name(key), "share", Bounds::SHARE, quantity)
        };
        ClassVars {
            name: class.name.clone(),
            share: self.add(&name("share"), "share of requests", Bounds::SHARE, &class.share),
            input: self.add(
                &name("input_tokens"),
                "tokens/request",
                Bounds::NONNEGATIVE,
                &class.input_tokens,
            ),
            output: self.add(
                &name("output_tokens"),
                "tokens/request",
                Bounds::POSITIVE,
                &class.output_tokens,
            ),
            cached: share(self, "cached_share", class.cached_share.as_ref()),
            written: share(self, "cache_write_share", class.cache_write_share.as_ref()),
            reasoning: share(self, "reasoning_share", class.reasoning_share.as_ref()),
            batch: share(self, "batchable_share", class.batchable_share.as_ref()),
        }
    }

    fn candidate(&mut self, spec: &StackSpec, traffic: &Traffic) -> Option<Candidate> {
        let accept =
            self.option(&format!("{}.accept", spec.path), "share", Bounds::SHARE, spec.accept.as_ref());
        let mut candidate = match &spec.spec {
            Spec::Api(api) => {
                let api = self.api(&spec.path, api)?;
                let (kind, what) = (api.kind.as_str(), api.target.clone());
                self.simple(spec, kind, what, Component::Api(Box::new(api)))
            }
            Spec::Own(own) => self.own_candidate(spec, own, traffic)?,
            Spec::Hybrid(hybrid) => self.hybrid(spec, hybrid, traffic)?,
        };
        if let Some(stack) = &mut candidate.stack {
            stack.accept = accept;
        }
        self.judge_quality(spec, &mut candidate);
        Some(candidate)
    }

    /// A stack below the floor, or of unknown quality where there is one, is not feasible.
    fn judge_quality(&mut self, spec: &StackSpec, candidate: &mut Candidate) {
        let quality = &self.scenario.quality;
        if let Some(human) = &quality.human_usd_per_failure
            && let Some(stack) = &mut candidate.stack
        {
            if stack.accept.is_some() {
                let quantity = human.clone();
                stack.human = Some(self.add(
                    "quality.human_usd_per_failure",
                    "$/outcome",
                    Bounds::NONNEGATIVE,
                    &quantity,
                ));
            } else {
                let hint = "state the share of outcomes that need no person, measured on your own tasks";
                self.problem(
                    &format!("{}.accept", spec.path),
                    "is missing while people's work is priced",
                    hint,
                );
            }
        }
        let Some(floor) = quality.floor.filter(|_| candidate.infeasible.is_none()) else { return };
        let accept = spec.accept.as_ref().map(|accept| accept.base);
        let why = match accept {
            Some(accept) if accept >= floor => return,
            Some(accept) => format!("accepts {accept} of outcomes, the floor is {floor}"),
            None => format!("its share of accepted outcomes is not known, and the floor is {floor}"),
        };
        candidate.infeasible = Some(Infeasible::BelowFloor { why });
    }

    fn simple(&mut self, spec: &StackSpec, kind: &'static str, what: String, one: Component) -> Candidate {
        let overhead = if one.own().is_some() { self.overhead() } else { Vec::new() };
        let stack = Stack {
            name: spec.name.clone(),
            what: what.clone(),
            body: Body::One(one),
            overhead,
            marginal: self.scenario.overhead.marginal,
            accept: None,
            human: None,
        };
        Candidate {
            name: spec.name.clone(),
            kind,
            what,
            stack: Some(stack),
            infeasible: None,
            capacity: None,
        }
    }

    fn overhead(&mut self) -> Vec<OverheadVar> {
        let items = self.scenario.overhead.items.clone();
        let item = |item: crate::scenario::Item| {
            let name = format!("overhead.{}", item.name);
            let usd_per_year = self.add(&name, "$/year", Bounds::NONNEGATIVE, &item.usd_per_year);
            OverheadVar { name: item.name, usd_per_year, how: item.how, already_paid: item.already_paid }
        };
        items.into_iter().map(item).collect()
    }
}
