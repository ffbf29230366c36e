//! From a scenario and a market to numbers: names are looked up, prices and capacities become inputs.

mod own;
mod risk;

use std::cell::RefCell;

use crate::engine::api::{Api, Ladder, Tariff};
use crate::engine::hybrid::Hybrid;
use crate::engine::stack::OverheadVar;
use crate::engine::{Body, ClassVars, Component, Stack, Traffic, VolumeUnit, traffic};
use crate::inputs::{Bounds, Input, Inputs, Provenance, Var};
use crate::market::{self, Listing, Market};
use crate::problem::Problem;
use crate::reader::Quantity;
use crate::scenario::{
    ApiSpec, Class, HybridSpec, PriceList, Scenario, Shape, Share, Spec, StackSpec, Volume, Workload,
};

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

    /// A model at a vendor; `None` after a problem.
    fn api(&mut self, path: &str, spec: &ApiSpec) -> Option<Api> {
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
    fn ratio(&mut self, target: &str) -> Var {
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

    /// A side of a hybrid: a stack of the scenario, or a model by name.
    fn side(&mut self, path: &str, name: &str, traffic: &Traffic) -> Result<Component, Option<Infeasible>> {
        let scenario = self.scenario;
        if let Some(known) = scenario.stacks.iter().find(|stack| stack.name == name) {
            return match &known.spec {
                Spec::Api(api) => {
                    self.api(&known.path, api).map(|api| Component::Api(Box::new(api))).ok_or(None)
                }
                Spec::Own(own) => {
                    self.own(&known.path, own, traffic).map(|(own, _)| Component::Own(Box::new(own)))
                }
                Spec::Hybrid(_) => {
                    self.problem(path, format!("`{name}` is itself a hybrid"), "one escalation at a time");
                    Err(None)
                }
            };
        }
        if !name.contains('/') {
            let names = scenario.stacks.iter().map(|stack| stack.name.as_str());
            let near = catalog::nearest(name, names, 3).join(", ");
            self.problem(
                path,
                format!("`{name}` is neither a stack nor provider/model"),
                format!("stacks: {near}"),
            );
            return Err(None);
        }
        let spec = ApiSpec { model: name.to_owned(), ..ApiSpec::default() };
        self.api(path, &spec).map(|api| Component::Api(Box::new(api))).ok_or(None)
    }

    fn hybrid(&mut self, spec: &StackSpec, hybrid: &HybridSpec, traffic: &Traffic) -> Option<Candidate> {
        let path = spec.path.as_str();
        let default = self.side(&format!("{path}.default"), &hybrid.default, traffic);
        let escalate = self.side(&format!("{path}.escalate"), &hybrid.escalate, traffic);
        let what = format!("{} → {}", hybrid.default, hybrid.escalate);
        let (default, escalate) = match (default, escalate) {
            (Ok(default), Ok(escalate)) => (default, escalate),
            (Err(None), _) | (_, Err(None)) => return None,
            (Err(why), _) | (_, Err(why)) => {
                let name = spec.name.clone();
                return Some(Candidate {
                    name,
                    kind: "hybrid",
                    what,
                    stack: None,
                    infeasible: why,
                    capacity: None,
                });
            }
        };
        let judge = match &hybrid.judge {
            Some(judge) => {
                let api = ApiSpec { model: judge.model.clone(), ..ApiSpec::default() };
                let api = self.api(&format!("{path}.judge"), &api)?;
                let name = format!("{path}.judge.output_tokens");
                Some((api, self.add(&name, "tokens", Bounds::NONNEGATIVE, &judge.output_tokens)))
            }
            None => None,
        };
        let factor = |this: &mut Self, key: &str, quantity: Option<&Quantity>, bounds| {
            this.option(&format!("{path}.{key}"), "×", bounds, quantity)
        };
        let body = Hybrid {
            routed: self.shares(path, "share_of_requests", hybrid.routed.as_ref()),
            turned_down: self.shares(path, "second_pass_share", hybrid.turned_down.as_ref()),
            input_factor: factor(
                self,
                "escalated_input_factor",
                hybrid.input_factor.as_ref(),
                Bounds::POSITIVE,
            ),
            output_factor: factor(
                self,
                "escalated_output_factor",
                hybrid.output_factor.as_ref(),
                Bounds::POSITIVE,
            ),
            classifier: self.option(
                &format!("{path}.classifier_usd_per_request"),
                "$/request",
                Bounds::NONNEGATIVE,
                hybrid.classifier_usd_per_request.as_ref(),
            ),
            cache_loss: self.option(
                &format!("{path}.cache_loss"),
                "share",
                Bounds::SHARE,
                hybrid.cache_loss.as_ref(),
            ),
            default,
            escalate,
            mechanism: hybrid.mechanism,
            reconsider: hybrid.reconsider,
            judge,
        };
        let machines = body.default.own().is_some() || body.escalate.own().is_some();
        let overhead = if machines { self.overhead() } else { Vec::new() };
        let stack = Stack {
            name: spec.name.clone(),
            what: what.clone(),
            body: Body::Hybrid(Box::new(body)),
            overhead,
            marginal: self.scenario.overhead.marginal,
            accept: None,
            human: None,
        };
        let name = spec.name.clone();
        Some(Candidate { name, kind: "hybrid", what, stack: Some(stack), infeasible: None, capacity: None })
    }

    fn shares(&mut self, path: &str, key: &str, share: Option<&Share>) -> Vec<Option<Var>> {
        let classes: Vec<String> =
            self.scenario.workload.classes.iter().map(|class| class.name.clone()).collect();
        match share {
            None => vec![None; classes.len()],
            Some(Share::All(quantity)) => {
                let var = self.add(&format!("{path}.{key}"), "share of requests", Bounds::SHARE, quantity);
                vec![Some(var); classes.len()]
            }
            Some(Share::ByClass(of)) => {
                for (name, _) in of.iter().filter(|(name, _)| !classes.contains(name)) {
                    let near = catalog::nearest(name, classes.iter().map(String::as_str), 3).join(", ");
                    self.problem(&format!("{path}.{key}.{name}"), "is no class of the workload", near);
                }
                let mut var = |class: &String| {
                    let (name, quantity) = of.iter().find(|(name, _)| name == class)?;
                    let name = format!("{path}.{key}.{name}");
                    Some(self.add(&name, "share of requests", Bounds::SHARE, quantity))
                };
                classes.iter().map(&mut var).collect()
            }
        }
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
