//! Break-evens of each stack with machines against each stack without, like for like: where the other side escalates a
//! share of requests, so does ours, and that part cancels (audit F17).

use crate::Invalid;
use crate::breakeven::{
    Fleet, NoneBecause, OutputPrice, OutputTokensPerDay, VolumeEdges, gpu_hour_price, overhead, token_price,
    utilisation, volume_edges,
};
use crate::compile::{Infeasible, Model};
use crate::engine::hybrid::Hybrid;
use crate::engine::own::Own;
use crate::engine::{Bill, Body, Flow, Stack, Sum, World};
use crate::num::short;
use crate::report::{BreakEven, Rounded};
use crate::scenario::{DAYS, Rent, Scaling};

/// Every pair.
pub(super) fn break_even(model: &Model, world: &World<'_>) -> Vec<BreakEven> {
    let mut found = Vec::new();
    for ours in
        model.stacks.iter().filter(|candidate| candidate.kind != "closed" && candidate.kind != "serverless")
    {
        let machines = ours.stack.as_ref().is_some_and(|stack| stack.own(world).is_some());
        if ours.kind == "hybrid" && !machines {
            continue;
        }
        for theirs in &model.stacks {
            let Some(other) = theirs.stack.as_ref().filter(|stack| stack.own(world).is_none()) else {
                continue;
            };
            let edge = match (&ours.stack, &ours.infeasible) {
                (Some(stack), None) => pair(stack, other, world),
                (_, why) => never(&ours.name, &theirs.name, world, why.as_ref()),
            };
            found.push(edge);
        }
    }
    found
}

fn output_per_day(world: &World<'_>) -> f64 {
    world.flows.iter().map(|flow| flow.output).sum::<f64>() / DAYS
}

fn empty(ours: &str, theirs: &str, world: &World<'_>) -> BreakEven {
    BreakEven {
        stack: ours.to_owned(),
        against: theirs.to_owned(),
        like_for_like: None,
        output_tokens_per_day: None,
        total_tokens_per_month: None,
        v_min: None,
        first_win: None,
        last_loss: None,
        volume_now: Rounded(output_per_day(world)),
        wins_now: false,
        now_because: String::new(),
        peak_utilisation: None,
        utilisation: None,
        usd_per_gpu_hour: None,
        usd_per_million_output: None,
        overhead_usd_per_month: None,
        none_because: None,
    }
}

fn never(ours: &str, theirs: &str, world: &World<'_>, why: Option<&Infeasible>) -> BreakEven {
    let reason = why.map(|why| match why {
        Infeasible::DoesNotFit { short_by_gb, .. } => {
            NoneBecause::DoesNotFit { short_by_gb: *short_by_gb }.to_string()
        }
        other => other.why().to_owned(),
    });
    let because = reason.unwrap_or_else(|| "not feasible".to_owned());
    BreakEven { none_because: Some(because.clone()), now_because: because, ..empty(ours, theirs, world) }
}

/// Two bills as a break-even sees them, in dollars per million output tokens of the workload.
struct Sides {
    own: Own,
    flows: Vec<Flow>,
    /// All of the other stack.
    price: f64,
    /// What ours pays outside its machines.
    outside: f64,
    like_for_like: Option<String>,
}

fn sides(ours: &Stack, theirs: &Stack, world: &World<'_>) -> Option<Sides> {
    let per_million = |usd: f64| usd / world.output * 1e6;
    let bill = |of: &dyn Fn(&mut Sum)| {
        let mut sum = Sum::default();
        of(&mut sum);
        sum.total()
    };
    let price = per_million(bill(&|sum| {
        theirs.technical(world, sum);
        theirs.mending(world, sum);
    }));
    let (own, flows) = ours.own(world)?;
    let mending = per_million(bill(&|sum| ours.mending(world, sum)));
    let machines = |flows: &[Flow]| bill(&|sum| own.bill(world, flows, "", sum));
    // Where only the other side is a hybrid, ours takes the place of its default.
    if let (Body::One(_), Body::Hybrid(hybrid)) = (&ours.body, &theirs.body) {
        let first = hybrid.split(world, 1.0).first;
        let default = bill(&|sum| hybrid.default.bill(world, &first, "", sum));
        let all = bill(&|sum| theirs.technical(world, sum));
        let outside = per_million(all - default) + mending;
        let like_for_like = Some(said(hybrid, world));
        return Some(Sides { own: own.clone(), flows: first, price, outside, like_for_like });
    }
    let technical = bill(&|sum| ours.technical(world, sum));
    let outside = per_million(technical - machines(&flows)) + mending;
    Some(Sides { own: own.clone(), outside, flows, price, like_for_like: None })
}

fn said(hybrid: &Hybrid, world: &World<'_>) -> String {
    let split = hybrid.split(world, 1.0);
    let share = crate::engine::hybrid::requests_of(&split.strong())
        / crate::engine::hybrid::requests_of(&world.flows);
    format!(
        "both escalate {}% of requests ({})",
        short((share * 1000.0).round() / 10.0),
        hybrid.mechanism.as_str()
    )
}

/// The machines as a fleet that uses `usable` of its capacity in the busiest hour.
fn fleet(sides: &Sides, ours: &Stack, world: &World<'_>, usable: f64) -> Fleet {
    let Sides { own, flows, outside, .. } = sides;
    let x = world.x;
    let all: f64 = world.flows.iter().map(|flow| flow.output).sum();
    let served = flows.iter().map(|flow| flow.output).sum::<f64>() / all;
    let peak = own.peak_of(world, flows);
    let mut people = Sum::default();
    ours.people(world, ours.marginal, &mut people);
    // With z zones, one of which may fail, (z − 1) of z carry the peak.
    let zones = crate::num::float(own.zones);
    let spread = if own.zones > 1 { (zones - 1.0) / zones } else { 1.0 };
    let spares = if own.zones > 1 { 0 } else { u32::try_from(own.spares).unwrap_or(u32::MAX) };
    Fleet {
        replica_usd_per_hour: rate(own, world, flows) + own.along_per_hour(x),
        output_tok_s: own.blended_capacity(flows, x),
        utilisation: (usable * spread / peak).min(1.0),
        spares,
        overhead_usd_per_day: (people.total() + own.fixed_per_month(world)) / DAYS,
        served_share: served.min(1.0),
        other: OutputPrice::new((outside + own.egress_per_million(x) * served).max(0.0)),
    }
}

/// Dollars an hour of a replica of the busiest hour: the rent, or with a number that follows the hours, what that comes to
/// at a large scale, where whole numbers do not matter.
fn rate(own: &Own, world: &World<'_>, flows: &[Flow]) -> f64 {
    const LARGE: f64 = 300.0;
    if !follows_the_hours(own) {
        return own.steady_rate(world.x);
    }
    let now = own.month(world, flows, 1.0);
    let scale = LARGE / now.needed.max(1.0);
    let large = own.month(world, flows, scale.max(1.0));
    let hours = crate::num::float(world.traffic.deviation.len()).max(1.0);
    large.mix.map_or(f64::NAN, |mix| mix.usd() / hours / large.needed)
}

fn follows_the_hours(own: &Own) -> bool {
    own.scaling != Scaling::Always || matches!(own.rent, Rent::Mix { .. })
}

fn pair(ours: &Stack, theirs: &Stack, world: &World<'_>) -> BreakEven {
    let blank = empty(&ours.name, &theirs.name, world);
    let Some(sides) = sides(ours, theirs, world) else { return blank };
    let price = OutputPrice::new(sides.price);
    let now = sides.own.month(world, &sides.flows, 1.0);
    let usable_now = sides.own.usable(now.needed, world.x);
    let at_now = fleet(&sides, ours, world, usable_now);
    let (edges, usable) = match settle(&sides, ours, world, price) {
        Ok(found) => found,
        Err(invalid) => {
            let because = Some(invalid.to_string());
            return BreakEven { none_because: because, ..blank };
        }
    };
    let volume = whole_tokens(output_per_day(world));
    let mix = world.input / world.output;
    let total = |output: f64| output * (1.0 + mix) * DAYS;
    let divisible = edges.divisible.as_ref().ok().copied();
    // A saw-tooth has two edges; a number of machines that follows the hours has many, which are not whole replicas'.
    let tooth = edges.whole.as_ref().ok().filter(|_| !follows_the_hours(&sides.own));
    let gpus = u32::try_from(sides.own.gpus).unwrap_or(u32::MAX);
    let along = sides.own.along_per_hour(world.x) / f64::from(gpus.max(1));
    let gpu_hour = gpu_hour_price(&at_now, gpus, price, volume).ok().and_then(Result::ok);
    let (wins_now, now_because) = verdict(&at_now, price, volume);
    BreakEven {
        like_for_like: sides.like_for_like.clone(),
        output_tokens_per_day: divisible.map(Rounded),
        total_tokens_per_month: divisible.map(|output| Rounded(total(output))),
        v_min: edges.v_min.map(Rounded),
        first_win: tooth.map(|tooth| Rounded(tooth.first_win.as_f64())),
        last_loss: tooth.and_then(|tooth| tooth.last_loss).map(|last| Rounded(last.as_f64())),
        wins_now,
        now_because,
        peak_utilisation: Some(Rounded(usable)),
        utilisation: utilisation(&at_now, price, None).ok().and_then(Result::ok).map(Rounded),
        usd_per_gpu_hour: gpu_hour.map(|usd| usd - along).filter(|usd| *usd > 0.0).map(Rounded),
        usd_per_million_output: token_price(&at_now, volume)
            .ok()
            .map(|price| Rounded(price.usd_per_million())),
        overhead_usd_per_month: overhead(&at_now, price, volume)
            .ok()
            .and_then(Result::ok)
            .map(|usd| Rounded(usd * DAYS)),
        none_because: edges.divisible.as_ref().err().map(ToString::to_string),
        ..blank
    }
}

fn whole_tokens(tokens: f64) -> OutputTokensPerDay {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; a cast saturates"
    )]
    let whole = tokens.round().max(1.0) as u64;
    OutputTokensPerDay(whole)
}

/// Larger fleets may run fuller, because chance evens out: the edges are taken at the share that a fleet of their own
/// size may use. That there is none is said only when a fleet without such a margin would not win either.
fn settle(
    sides: &Sides,
    ours: &Stack,
    world: &World<'_>,
    price: OutputPrice,
) -> Result<(VolumeEdges, f64), Invalid> {
    let full = sides.own.usable(f64::MAX.sqrt(), world.x);
    let mut usable = full;
    let mut edges = volume_edges(&fleet(sides, ours, world, usable), price)?;
    for _ in 0..8 {
        let Ok(volume) = edges.divisible else { break };
        let fleet_now = fleet(sides, ours, world, usable);
        let per_replica = fleet_now.output_tok_s * fleet_now.utilisation * 86_400.0 / fleet_now.served_share;
        let replicas = crate::num::whole(volume / per_replica);
        let next = sides.own.usable(replicas, world.x);
        if (next - usable).abs() < 1e-9 {
            break;
        }
        let found = volume_edges(&fleet(sides, ours, world, next), price)?;
        if found.divisible.is_err() {
            break;
        }
        (usable, edges) = (next, found);
    }
    Ok((edges, usable))
}

fn verdict(fleet: &Fleet, price: OutputPrice, volume: OutputTokensPerDay) -> (bool, String) {
    let other = price.usd_per_million() * volume.as_f64() / 1e6 * DAYS;
    let Ok(own) = fleet.usd_per_day(volume).map(|usd| usd * DAYS) else { return (false, String::new()) };
    let per_month = |usd: f64| format!("${}", crate::num::grouped(usd, 2));
    if own < other {
        return (true, format!("wins by {} a month", per_month(other - own)));
    }
    let reason = overhead_reason(fleet, price, volume).unwrap_or_default();
    (false, format!("loses by {} a month{reason}", per_month(own - other)))
}

fn overhead_reason(fleet: &Fleet, price: OutputPrice, volume: OutputTokensPerDay) -> Option<String> {
    let bill = (price.usd_per_million() - fleet.other.usd_per_million()) * volume.as_f64() / 1e6;
    let per_month = |usd: f64| crate::num::grouped(usd * DAYS, 2);
    (fleet.overhead_usd_per_day > bill).then(|| {
        let other = if bill < 0.0 {
            format!("and what it buys elsewhere costs ${} more than the other bill", per_month(-bill))
        } else {
            format!("the other bill ${}", per_month(bill))
        };
        format!(": overhead alone is ${} a month, {other}", per_month(fleet.overhead_usd_per_day))
    })
}
