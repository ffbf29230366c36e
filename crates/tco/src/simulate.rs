//! Seeded draws: how often each stack is the cheapest, how its cost spreads, what choosing it may cost.

use crate::compile::Model;
use crate::num::{float, index};
use crate::report::{Rounded, Spread};
use crate::rng::Rng;

/// What the draws say.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub draws: usize,
    pub seed: u64,
    /// One for each stack of the model.
    pub stacks: Vec<Spreads>,
}

/// A stack over the draws; nothing for one that is not feasible.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spreads {
    pub cost: Option<Spread>,
    pub regret: Option<Spread>,
    pub cheapest: Option<f64>,
}

/// Draws `draws` worlds and computes every feasible stack in each. The same seed gives the same numbers.
pub(crate) fn simulate(model: &Model, draws: usize, seed: u64) -> Outcome {
    let mut rng = Rng::new(seed);
    let mut values = model.inputs.base();
    let feasible: Vec<Option<&crate::engine::Stack>> = model
        .stacks
        .iter()
        .map(|candidate| candidate.stack.as_ref().filter(|_| candidate.infeasible.is_none()))
        .collect();
    let mut costs: Vec<Vec<f64>> = feasible
        .iter()
        .map(|stack| if stack.is_some() { Vec::with_capacity(draws) } else { Vec::new() })
        .collect();
    let mut wins = vec![0usize; feasible.len()];
    let mut least = Vec::with_capacity(draws);
    for _ in 0..draws {
        model.inputs.draw(&mut rng, &mut values);
        let world = model.traffic.world(model.inputs.with(&values));
        let (mut best, mut best_at) = (f64::INFINITY, None);
        for (at, (stack, costs)) in feasible.iter().zip(&mut costs).enumerate() {
            let Some(stack) = stack else { continue };
            let cost = stack.total(&world);
            if cost < best {
                (best, best_at) = (cost, Some(at));
            }
            costs.push(cost);
        }
        if let Some(win) = best_at.and_then(|at| wins.get_mut(at)) {
            *win += 1;
        }
        least.push(best);
    }
    let base = model.inputs.base();
    let world = model.traffic.world(model.inputs.with(&base));
    let points: Vec<Option<f64>> =
        feasible.iter().map(|stack| stack.map(|stack| stack.total(&world))).collect();
    let best_point = points.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let stacks = costs.iter_mut().zip(&points).zip(&wins).map(|((costs, point), wins)| {
        let Some(point) = point else { return Spreads::default() };
        let mut regrets: Vec<f64> = costs.iter().zip(&least).map(|(cost, least)| cost - least).collect();
        Spreads {
            cost: Some(spread(costs, *point)),
            regret: Some(spread(&mut regrets, point - best_point)),
            cheapest: Some(float(*wins) / float(draws.max(1))),
        }
    });
    Outcome { draws, seed, stacks: stacks.collect() }
}

fn spread(draws: &mut [f64], point: f64) -> Spread {
    let mean = draws.iter().sum::<f64>() / float(draws.len().max(1));
    draws.sort_unstable_by(f64::total_cmp);
    // Type 7 of Hyndman and Fan: linear between the two nearest draws.
    let quantile = |u: f64| {
        let place = u * float(draws.len().saturating_sub(1));
        let low = index(place.floor()).unwrap_or(0);
        let at = |i: usize| draws.get(i.min(draws.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
        at(low) + (at(low + 1) - at(low)) * (place - place.floor())
    };
    Spread {
        mean: Rounded(mean),
        p10: Rounded(quantile(0.1)),
        p50: Rounded(quantile(0.5)),
        p90: Rounded(quantile(0.9)),
        point: Rounded(point),
    }
}
