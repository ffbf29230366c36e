//! From a scenario to the report.

mod edges;
mod matrix;
mod teeth;

use crate::checklist::Question;
use crate::compile::{Candidate, Model, compile};
use crate::engine::hybrid::{requests_of, tokens_of};
use crate::engine::{Bill, Body, Lines, Stack, Sum, World};
use crate::market::Market;
use crate::num::{float, short};
use crate::problem::Problem;
use crate::report::{
    ClassReport, Curve, FleetReport, Flip, Grid, Group, HybridReport, InputReport, OtherPrices, OwnPrices,
    PricesUsed, QualityReport, Report, RiskReport, Rounded, Series, Share, SloReport, Spread, StackReport,
    Usd, Winner, WorkloadReport,
};
use crate::scenario::{DAYS, PriceList, Scenario};
use crate::simulate::{Outcome, Spreads, simulate};
use crate::{market, sensitivity};

/// How to decide, apart from what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Of the draws; the scenario's, else 1.
    pub seed: Option<u64>,
    /// How many; the scenario's, else 10,000.
    pub draws: Option<usize>,
}

const DRAWS: usize = 10_000;
const POINTS: usize = 61;

/// Decides. Errors with every name and price that is not known.
pub fn decide(scenario: &Scenario, market: &Market<'_>, options: &Options) -> Result<Report, Vec<Problem>> {
    let list = scenario.price_list();
    let model = compile(scenario, market, list)?;
    let base = model.inputs.base();
    let world = model.traffic.world(model.inputs.with(&base));
    let outcome = model.inputs.is_uncertain().then(|| {
        let draws = options.draws.or(scenario.risk.draws).unwrap_or(DRAWS);
        simulate(&model, draws, options.seed.or(scenario.risk.seed).unwrap_or(1))
    });
    let stacks: Vec<StackReport> = model
        .stacks
        .iter()
        .enumerate()
        .map(|(at, candidate)| {
            let spreads =
                outcome.as_ref().and_then(|outcome| outcome.stacks.get(at)).cloned().unwrap_or_default();
            stack_report(candidate, &world, &spreads)
        })
        .collect();
    let winner = winner(&stacks);
    let winner_at = stacks.iter().position(|stack| Some(&stack.name) == winner.name.as_ref());
    let break_even = edges::break_even(&model, &world);
    let mut warnings = model.warnings.clone();
    warnings.extend(scale_warnings(&model, &world));
    warnings.extend(quality_warning(&stacks));
    Ok(Report {
        prices: prices_used(market, list),
        workload: workload_report(scenario, &model, &world),
        slo: SloReport {
            ttft_ms: scenario.slo.ttft_ms.map(Rounded),
            tpot_ms: scenario.slo.tpot_ms.map(Rounded),
        },
        curve: curve(&model, &base, &break_even),
        saw_teeth: teeth::saw_teeth(&model, &base, &break_even),
        matrix: matrix::matrix(scenario, &model, &base, &world),
        tornado: winner_at.map(|at| sensitivity::tornado(&model, at)).unwrap_or_default(),
        flips: winner_at.map(|at| flips(&model, at)).unwrap_or_default(),
        risk: outcome.map(|outcome| risk_report(scenario, &model, &outcome)),
        also: also(scenario, market),
        inputs: model.inputs.iter().map(|(_, input)| input_report(input)).collect(),
        stacks,
        winner,
        break_even,
        warnings,
    })
}

/// The eight questions before machines are rented, with the report that answers them. Errors as [`decide`].
pub fn checklist(
    scenario: &Scenario,
    market: &Market<'_>,
    options: &Options,
) -> Result<(Vec<Question>, Report), Vec<Problem>> {
    let report = decide(scenario, market, options)?;
    let items = scenario.overhead.items.len();
    let asked = crate::checklist::questions(&report, &scenario.stated, items, report.risk.is_some());
    Ok((asked, report))
}

/// Which two inputs a grid moves, and between what.
#[derive(Clone, Debug)]
pub struct GridRequest {
    /// Name of the input along a row, or the end of its name.
    pub x: String,
    /// Its ends; a third to three times its value when absent.
    pub x_ends: Option<(f64, f64)>,
    /// Name of the input along a column.
    pub y: String,
    /// Its ends.
    pub y_ends: Option<(f64, f64)>,
    /// Values of each, 2 to 200.
    pub n: usize,
}

/// Who wins when two inputs move at once. Errors with names that are not known.
pub fn grid(scenario: &Scenario, market: &Market<'_>, request: &GridRequest) -> Result<Grid, Vec<Problem>> {
    let model = compile(scenario, market, scenario.price_list())?;
    let found = (model.find(&request.x), model.find(&request.y));
    let (x, y) = match found {
        (Ok(x), Ok(y)) => (x, y),
        (x, y) => return Err([x.err(), y.err()].into_iter().flatten().collect()),
    };
    let ends = |var, stated: Option<(f64, f64)>| {
        let base = model.inputs.get(var).map_or(1.0, |input: &crate::inputs::Input| input.base);
        let (low, high) = stated.unwrap_or((base / 3.0, base * 3.0));
        (var, low, high)
    };
    let n = request.n.clamp(2, 200);
    let made = sensitivity::grid(&model, ends(x, request.x_ends), ends(y, request.y_ends), n);
    made.ok_or_else(|| vec![Problem::new("", "the grid has no inputs", "name two inputs of the scenario")])
}

fn prices_used(market: &Market<'_>, list: PriceList) -> PricesUsed {
    let version = match list {
        PriceList::Catalogue => market.catalogue.version().to_owned(),
        PriceList::Article => market::ARTICLE_DATE.to_owned(),
    };
    PricesUsed { kind: list.as_str(), at: market.day().to_string(), version }
}

fn stack_report(candidate: &Candidate, world: &World<'_>, spreads: &Spreads) -> StackReport {
    let empty = StackReport {
        name: candidate.name.clone(),
        kind: candidate.kind,
        what: candidate.what.clone(),
        monthly_usd: None,
        usd_per_million_output: None,
        usd_per_million_total: None,
        lines: Vec::new(),
        money: Vec::new(),
        feasible: candidate.infeasible.is_none(),
        why: candidate.infeasible.as_ref().map(|why| why.why().to_owned()).unwrap_or_default(),
        probability_cheapest: spreads.cheapest.map(Rounded),
        regret_usd: spreads.regret,
        marginal_monthly_usd: None,
        fleet: None,
        hybrid: None,
        quality: None,
    };
    let Some(stack) = &candidate.stack else { return empty };
    let mut lines = Lines::default();
    stack.bill(world, &mut lines);
    let point = stack.total(world);
    let fleet = fleet_report(candidate, stack, world);
    let why = match (&candidate.infeasible, &candidate.capacity) {
        (Some(why), _) => why.why().to_owned(),
        (None, Some(note)) => note.how.clone(),
        (None, None) => String::new(),
    };
    StackReport {
        monthly_usd: Some(spreads.cost.unwrap_or_else(|| Spread::certain(point))),
        usd_per_million_output: Some(Rounded(point / world.output * 1e6)),
        usd_per_million_total: Some(Rounded(point / (world.output + world.input) * 1e6)),
        money: by_group(&lines),
        why,
        marginal_monthly_usd: Some(Rounded(stack.marginal_total(world))),
        fleet,
        hybrid: hybrid_report(stack, world),
        quality: quality_report(stack, world),
        lines: lines.0,
        ..empty
    }
}

fn by_group(lines: &Lines) -> Vec<Share> {
    let mut groups: std::collections::BTreeMap<Group, f64> = std::collections::BTreeMap::new();
    for line in &lines.0 {
        *groups.entry(line.group).or_default() += line.usd.0;
    }
    groups
        .into_iter()
        .filter(|(_, usd)| *usd != 0.0)
        .map(|(group, usd)| Share { group, usd: Rounded(usd) })
        .collect()
}

fn fleet_report(candidate: &Candidate, stack: &Stack, world: &World<'_>) -> Option<FleetReport> {
    let (own, flows) = stack.own(world)?;
    let x = world.x;
    let month = own.month(world, &flows, 1.0);
    let capacity = own.blended_capacity(&flows, x);
    let note = candidate.capacity.as_ref();
    let (low, high) = note.map_or((1.0, 1.0), |note| note.band);
    let rate = own.steady_rate(x);
    let full = rate / (capacity * 3_600.0) * 1e6;
    let utilisation = if month.paid > 0.0 { month.load / month.paid } else { 0.0 };
    let mut machines = Lines::default();
    own.bill(world, &flows, "", &mut machines);
    let compute: f64 = machines
        .0
        .iter()
        .filter(|line| matches!(line.group, Group::Gpus | Group::Reserve))
        .map(|line| line.usd.0)
        .sum();
    let served = flows.iter().map(|flow| flow.output).sum::<f64>() * world.mean_growth;
    Some(FleetReport {
        gpu: own.gpu.clone(),
        gpus_per_replica: own.gpus,
        replicas: Rounded(month.needed),
        spares: Rounded(month.waiting),
        reserved: month
            .mix
            .filter(|_| matches!(own.rent, crate::scenario::Rent::Mix { .. }))
            .map(|mix| Rounded(float(mix.kept))),
        output_tok_s: Rounded(capacity),
        output_tok_s_low: Rounded(capacity * low),
        output_tok_s_high: Rounded(capacity * high),
        utilisation: Rounded(utilisation),
        basis: note.map_or(crate::Basis::Assumed, |note| note.basis),
        how: note.map(|note| note.how.clone()).unwrap_or_default(),
        usd_per_million_output: OwnPrices {
            as_used: Rounded(compute / served * 1e6),
            at_full_use: Rounded(full),
            marginal: Rounded(own.marginal_per_million(&flows, x)),
            marginal_how: own.marginal_how(x),
        },
    })
}

fn hybrid_report(stack: &Stack, world: &World<'_>) -> Option<HybridReport> {
    let Body::Hybrid(hybrid) = &stack.body else { return None };
    let split = hybrid.split(world, 1.0);
    let (weak, strong) = (tokens_of(&split.first), tokens_of(&split.strong()));
    let mut all_strong = Sum::default();
    hybrid.escalate.bill(world, &world.flows, "", &mut all_strong);
    let mut cost = Sum::default();
    stack.technical(world, &mut cost);
    stack.people(world, stack.marginal, &mut cost);
    let saving = all_strong.total() - cost.total();
    let (default, escalate) = stack.what.split_once(" → ").unwrap_or((&stack.what, ""));
    Some(HybridReport {
        mechanism: hybrid.mechanism.as_str(),
        default: default.to_owned(),
        escalate: escalate.to_owned(),
        share_of_requests: Rounded(requests_of(&split.strong()) / requests_of(&world.flows)),
        share_of_tokens: Rounded(strong / (weak + strong)),
        saving_usd: Rounded(saving),
        saving_share: Rounded(saving / all_strong.total()),
    })
}

fn quality_report(stack: &Stack, world: &World<'_>) -> Option<QualityReport> {
    let accept = stack.accept?;
    let x = world.x;
    let share = x.at(accept);
    let (mut bought, mut mended) = (Sum::default(), Sum::default());
    stack.technical(world, &mut bought);
    stack.people(world, stack.marginal, &mut bought);
    stack.mending(world, &mut mended);
    Some(QualityReport {
        accept: Rounded(share),
        source: x.from(accept).source,
        human_usd: Rounded(mended.total()),
        usd_per_accepted: Rounded(bought.total() / (world.requests * share)),
        usd_per_outcome_mended: Rounded((bought.total() + mended.total()) / world.requests),
    })
}

/// The least mean cost among what is feasible.
fn winner(stacks: &[StackReport]) -> Winner {
    let mut ranked: Vec<(&StackReport, f64)> = stacks
        .iter()
        .filter(|stack| stack.feasible)
        .filter_map(|stack| Some((stack, stack.monthly_usd?.mean.0)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some((first, cost)) = ranked.first() else { return Winner::default() };
    let next = ranked.get(1);
    Winner {
        name: Some(first.name.clone()),
        probability: first.probability_cheapest,
        margin_usd: next.map(|(_, other)| Rounded(other - cost)),
        runner_up: next.map(|(stack, _)| stack.name.clone()),
    }
}

fn workload_report(scenario: &Scenario, model: &Model, world: &World<'_>) -> WorkloadReport {
    let per_day = |of: fn(&crate::engine::Flow) -> f64| world.flows.iter().map(of).sum::<f64>() / DAYS;
    let (input, output) = (per_day(|flow| flow.input), per_day(|flow| flow.output));
    let cached = per_day(|flow| flow.input * flow.cached);
    let peak = model.traffic.peak(world.x);
    let classes = model.traffic.classes.iter().zip(&world.flows).map(|(class, flow)| ClassReport {
        name: class.name.clone(),
        requests_per_day: Rounded(flow.requests / DAYS),
        input_tokens: Rounded(flow.length()),
        output_tokens: Rounded(if flow.requests > 0.0 { flow.output / flow.requests } else { 0.0 }),
    });
    let week = model.traffic.deviation.iter().cycle().take(168);
    WorkloadReport {
        source: scenario.workload.source.clone(),
        requests_per_day: Rounded(per_day(|flow| flow.requests)),
        input_tokens_per_day: Rounded(input),
        output_tokens_per_day: Rounded(output),
        total_tokens_per_month: Rounded((input + output) * DAYS),
        cached_share: Rounded(if input > 0.0 { cached / input } else { 0.0 }),
        peak_to_mean: Rounded(peak),
        growth_per_month: Rounded(world.growth),
        horizon_months: model.traffic.horizon,
        classes: classes.collect(),
        hours: week.map(|deviation| Rounded(crate::engine::Traffic::hour(peak, *deviation))).collect(),
    }
}

fn scale_warnings(model: &Model, world: &World<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for candidate in &model.stacks {
        let Some((own, flows)) = candidate.stack.as_ref().and_then(|stack| stack.own(world)) else {
            continue;
        };
        let month = own.month(world, &flows, 1.0);
        let used = if month.paid > 0.0 { month.load / month.paid } else { 0.0 };
        if used < 0.05 {
            said.push(format!(
                "{}: {}% of the paid replicas' capacity is used; the smallest fleet is too large for this traffic",
                candidate.name,
                short((used * 1000.0).round() / 10.0)
            ));
        }
    }
    said
}

/// Different models answer differently well. Where no stack says how well, the sums are of money alone.
fn quality_warning(stacks: &[StackReport]) -> Option<String> {
    let silent = stacks.len() > 1 && stacks.iter().all(|stack| stack.quality.is_none());
    silent.then(|| {
        "these sums are of money alone: no stack states `accept`, the share of outcomes that need no person, so the cheapest may \
         be the one that answers worst; with `accept` and [quality] human_usd_per_failure people's work is on the bill"
            .to_owned()
    })
}

/// Cost against volume: from a hundredth of the traffic, or of the first break-even, to ten times the last.
fn curve(model: &Model, base: &[f64], break_even: &[crate::report::BreakEven]) -> Curve {
    let mut values = base.to_vec();
    let world = model.traffic.world(model.inputs.with(base));
    let now = world.flows.iter().map(|flow| flow.output).sum::<f64>() / DAYS;
    let edges = break_even.iter().filter_map(|edge| edge.output_tokens_per_day).map(|count| count.0);
    let (low, high) = edges.fold((now, now), |(low, high), edge| (low.min(edge), high.max(edge)));
    let volumes = sensitivity::spaced((low / 10.0).max(1.0), high * 10.0, POINTS);
    let mut curve = Curve {
        output_tokens_per_day: volumes.iter().copied().map(Rounded).collect(),
        series: model
            .feasible()
            .map(|(_, stack)| Series { stack: stack.name.clone(), monthly_usd: Vec::new() })
            .collect(),
    };
    for volume in volumes {
        model.traffic.scale.set(&mut values, volume / now);
        for ((_, cost), series) in model.costs(&values).into_iter().zip(&mut curve.series) {
            series.monthly_usd.push(Rounded(cost));
        }
    }
    curve
}

/// For each stack against the winner, or the winner against the next: the inputs by which the order turns over.
fn flips(model: &Model, winner: usize) -> Vec<Flip> {
    let mut found = Vec::new();
    for (at, stack) in model.feasible() {
        if at == winner {
            continue;
        }
        let base = model.inputs.base();
        let world = model.traffic.world(model.inputs.with(&base));
        let rent = stack.own(&world).and_then(|(own, _)| own.deciding_price());
        let others = model.inputs.iter().filter(|(_, input)| is_lever(&input.name)).map(|(var, _)| var);
        for var in rent.into_iter().chain(others) {
            found.extend(sensitivity::flip(model, var, at, winner));
        }
    }
    // One sentence once, the smallest change first.
    found.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|flip| seen.insert(flip.says.clone()));
    found
}

fn distance(flip: &Flip) -> f64 {
    (flip.at.0 / flip.now.0).ln().abs()
}

/// Inputs that people turn when they look for a break-even.
fn is_lever(name: &str) -> bool {
    [
        "workload.requests_per_day",
        "workload.output_tokens_per_day",
        "workload.total_tokens_per_day",
        "workload.peak_to_mean",
    ]
    .contains(&name)
        || name.ends_with("share_of_requests")
        || name.ends_with(" output")
}

fn risk_report(scenario: &Scenario, model: &Model, outcome: &Outcome) -> RiskReport {
    let risk = &scenario.risk;
    let mut scenarios = Vec::new();
    if let Some(shortage) = &risk.shortage {
        let (least, most) = shortage.weeks;
        scenarios.push(format!(
            "GPU shortage: rents by the hour ×{} for {} to {} weeks, {} times in 24 months; reserved and owned ones keep their price",
            short(shortage.price_factor.base),
            short(least),
            short(most),
            shortage.per_24_months
        ));
    }
    if let Some(drift) = &risk.drift {
        scenarios.push(format!("price drift by class over {} months", short(drift.months)));
    }
    if let Some(retirement) = &risk.retirement {
        scenarios
            .push(format!("model retired with 30 days' notice, {} times a year", short(retirement.per_year)));
    }
    if risk.outage.is_some() {
        scenarios.push("vendor outage: traffic goes elsewhere at another price".to_owned());
    }
    if risk.capacity_band {
        scenarios.push("capacity anywhere in its error band".to_owned());
    }
    let uncertain = model.inputs.iter().filter(|(_, input)| input.dist.is_some());
    RiskReport {
        seed: outcome.seed,
        draws: outcome.draws,
        scenarios,
        uncertain: uncertain.map(|(_, input)| input.name.clone()).collect(),
    }
}

fn also(scenario: &Scenario, market: &Market<'_>) -> Vec<OtherPrices> {
    scenario.prices.iter().skip(1).map(|list| other_prices(scenario, market, *list)).collect()
}

fn other_prices(scenario: &Scenario, market: &Market<'_>, list: PriceList) -> OtherPrices {
    let prices = prices_used(market, list);
    match compile(scenario, market, list) {
        Ok(model) => {
            let base = model.inputs.base();
            let world = model.traffic.world(model.inputs.with(&base));
            let stacks: Vec<StackReport> = model
                .stacks
                .iter()
                .map(|candidate| stack_report(candidate, &world, &Spreads::default()))
                .collect();
            let cost =
                |stack: &StackReport| stack.monthly_usd.filter(|_| stack.feasible).map(|usd| usd.point);
            let monthly_usd: Vec<(String, Option<Usd>)> =
                stacks.iter().map(|stack| (stack.name.clone(), cost(stack))).collect();
            OtherPrices { prices, monthly_usd, winner: winner(&stacks), problems: Vec::new() }
        }
        Err(problems) => OtherPrices {
            prices,
            monthly_usd: Vec::new(),
            winner: Winner::default(),
            problems: problems.iter().map(ToString::to_string).collect(),
        },
    }
}

fn input_report(input: &crate::inputs::Input) -> InputReport {
    let quantile = |u: f64| {
        let dist = input.dist.as_ref()?;
        Some(Rounded(dist.quantile(u).clamp(input.bounds.min, input.bounds.max)))
    };
    InputReport {
        name: input.name.clone(),
        unit: input.unit,
        value: Rounded(input.base),
        p10: quantile(0.1),
        p90: quantile(0.9),
        basis: input.from.basis,
        source: input.from.source.clone(),
        as_of: input.from.as_of.clone(),
    }
}
