//! What would change the decision: one input at a time (tornado), the value at which the order turns over (flip points), and
//! two inputs at once (grid).

use crate::compile::Model;
use crate::engine::Stack;
use crate::inputs::{Input, Var};
use crate::num::{float, short};
use crate::problem::Problem;
use crate::report::{Bar, Flip, Grid, Rounded};

/// Rows of a tornado that are kept.
const BARS: usize = 16;
/// How far a flip point may lie, as a factor; what is further is no lever.
const FAR: f64 = 100.0;
/// What a certain input is moved by.
const SWING: f64 = 0.2;

/// The cheapest stack at one set of values.
pub(crate) struct Best {
    /// Its place.
    pub at: usize,
    /// How much cheaper than the next, if there is one.
    pub margin: Option<f64>,
}

impl Model {
    /// The feasible stacks with their place.
    pub(crate) fn feasible(&self) -> impl Iterator<Item = (usize, &Stack)> {
        let of = |(at, candidate): (usize, &'_ crate::compile::Candidate)| {
            candidate.infeasible.is_none().then_some(at)
        };
        let places: Vec<usize> = self.stacks.iter().enumerate().filter_map(of).collect();
        places.into_iter().filter_map(|at| Some((at, self.stacks.get(at)?.stack.as_ref()?)))
    }

    /// Cost a month of each feasible stack at one set of values.
    pub(crate) fn costs(&self, values: &[f64]) -> Vec<(usize, f64)> {
        let world = self.traffic.world(self.inputs.with(values));
        self.feasible().map(|(at, stack)| (at, stack.total(&world))).collect()
    }

    /// The cheapest, and by how much.
    pub(crate) fn best(&self, values: &[f64]) -> Option<Best> {
        let mut costs = self.costs(values);
        costs.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (at, cost) = costs.first().copied()?;
        Some(Best { at, margin: costs.get(1).map(|(_, next)| next - cost) })
    }

    /// Inputs whose name ends so, for people who type: the whole name wins.
    pub(crate) fn find(&self, name: &str) -> Result<Var, Problem> {
        let exact = self.inputs.iter().find(|(_, input)| input.name == name);
        let ending = || self.inputs.iter().find(|(_, input)| input.name.ends_with(name));
        if let Some((var, _)) = exact.or_else(ending) {
            return Ok(var);
        }
        let names = self.inputs.iter().map(|(_, input)| input.name.as_str());
        let near = catalog::nearest(name, names, 3).join(", ");
        Err(Problem::new(
            "",
            format!("`{name}` is no input of this scenario"),
            format!("the nearest are {near}"),
        ))
    }
}

fn margin(model: &Model, values: &[f64], winner: usize) -> (f64, f64, usize) {
    let costs = model.costs(values);
    let own = costs.iter().find(|(at, _)| *at == winner).map_or(f64::NAN, |(_, cost)| *cost);
    let others = costs.iter().filter(|(at, _)| *at != winner);
    let next = others.map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
    let best = costs.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(winner, |(at, _)| *at);
    (next - own, own, best)
}

/// Low and high of an input, and what they are.
fn ends(input: &Input) -> Option<(f64, f64, &'static str)> {
    let clamp = |value: f64| value.clamp(input.bounds.min, input.bounds.max);
    if let Some(dist) = &input.dist {
        return Some((clamp(dist.quantile(0.1)), clamp(dist.quantile(0.9)), "p10 to p90"));
    }
    if input.base == 0.0 {
        return None;
    }
    Some((clamp(input.base * (1.0 - SWING)), clamp(input.base * (1.0 + SWING)), "±20%"))
}

/// What each input does to the winner's margin, strongest first.
pub(crate) fn tornado(model: &Model, winner: usize) -> Vec<Bar> {
    let base = model.inputs.base();
    let mut values = base.clone();
    let mut bars: Vec<(f64, Bar)> = Vec::new();
    for (var, input) in model.inputs.iter().filter(|(var, _)| *var != model.traffic.scale) {
        let Some((low, high, swing)) = ends(input) else { continue };
        var.set(&mut values, low);
        let (margin_low, cost_low, best_low) = margin(model, &values, winner);
        var.set(&mut values, high);
        let (margin_high, cost_high, best_high) = margin(model, &values, winner);
        var.set(&mut values, input.base);
        let moved = (margin_high - margin_low).abs().max((cost_high - cost_low).abs());
        if moved.is_nan() || moved < 0.005 {
            continue;
        }
        let bar = Bar {
            input: input.name.clone(),
            unit: input.unit,
            low: Rounded(low),
            high: Rounded(high),
            swing,
            margin_low_usd: Rounded(margin_low),
            margin_high_usd: Rounded(margin_high),
            winner_low_usd: Rounded(cost_low),
            winner_high_usd: Rounded(cost_high),
            flips: best_low != winner || best_high != winner,
        };
        bars.push((if margin_high.is_finite() { (margin_high - margin_low).abs() } else { moved }, bar));
    }
    bars.sort_by(|a, b| b.0.total_cmp(&a.0));
    bars.into_iter().take(BARS).map(|(_, bar)| bar).collect()
}

/// Where the order of `stack` and `against` turns over when only `var` moves, if it does between a hundredth and a hundred
/// times its value. The costs may have steps, so it is found by bisection of the sign, on a scan that is fine
/// enough for one crossing.
pub(crate) fn flip(model: &Model, var: Var, stack: usize, against: usize) -> Option<Flip> {
    let input = model.inputs.get(var)?;
    let mut values = model.inputs.base();
    let names = (&model.stacks.get(stack)?.name, &model.stacks.get(against)?.name);
    let (first, second) =
        (model.stacks.get(stack)?.stack.as_ref()?, model.stacks.get(against)?.stack.as_ref()?);
    let mut wins = |value: f64| {
        var.set(&mut values, value);
        let world = model.traffic.world(model.inputs.with(&values));
        first.total(&world) < second.total(&world)
    };
    let now = input.base;
    let won = wins(now);
    let (low, high) = (input.bounds.min.max(now / FAR), input.bounds.max.min(now * FAR));
    if now <= 0.0 || low >= high {
        return None;
    }
    let steps = 120;
    let crossing = |up: bool, wins: &mut dyn FnMut(f64) -> bool| {
        let end = if up { high } else { low };
        let ratio = (end / now).powf(1.0 / f64::from(steps));
        let mut at = now;
        for _ in 0..steps {
            let next = at * ratio;
            if wins(next) != won {
                return Some((at, next));
            }
            at = next;
        }
        None
    };
    let below = crossing(false, &mut wins);
    let above = crossing(true, &mut wins);
    // The nearer one, by ratio.
    let far = |(_, b): &(f64, f64)| (b / now).ln().abs();
    let (mut same, mut other) = match (below, above) {
        (Some(a), Some(b)) => {
            if far(&a) <= far(&b) {
                a
            } else {
                b
            }
        }
        (one, other) => one.or(other)?,
    };
    for _ in 0..80 {
        let middle = f64::midpoint(same, other);
        if wins(middle) == won { same = middle } else { other = middle }
    }
    // `stack` wins on the side where it wins: below when it wins now and loses above, or loses now and wins below.
    let side = if (other > same) == won { "below" } else { "above" };
    let says =
        format!("{} beats {} {side} {} {} ({})", names.0, names.1, short(other), input.unit, input.name);
    Some(Flip {
        stack: names.0.clone(),
        against: names.1.clone(),
        input: input.name.clone(),
        unit: input.unit,
        now: Rounded(now),
        at: Rounded(other),
        side,
        says,
    })
}

/// Who is the cheapest when two inputs move at once: `n` × `n` values between the given ends, evenly by ratio where the
/// ends are positive.
pub(crate) fn grid(model: &Model, x: (Var, f64, f64), y: (Var, f64, f64), n: usize) -> Option<Grid> {
    let (x_input, y_input) = (model.inputs.get(x.0)?, model.inputs.get(y.0)?);
    let (xs, ys) = (spaced(x.1, x.2, n), spaced(y.1, y.2, n));
    let mut values = model.inputs.base();
    let (mut winners, mut margins) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for y_value in &ys {
        y.0.set(&mut values, *y_value);
        let (mut row, mut row_margin) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for x_value in &xs {
            x.0.set(&mut values, *x_value);
            let best = model.best(&values);
            row.push(best.as_ref().map(|best| best.at));
            row_margin.push(Rounded(best.and_then(|best| best.margin).unwrap_or(f64::NAN)));
        }
        winners.push(row);
        margins.push(row_margin);
    }
    Some(Grid {
        x: x_input.name.clone(),
        x_unit: x_input.unit,
        xs: xs.into_iter().map(Rounded).collect(),
        y: y_input.name.clone(),
        y_unit: y_input.unit,
        ys: ys.into_iter().map(Rounded).collect(),
        winner: winners,
        margin_usd: margins,
        stacks: model.stacks.iter().map(|candidate| candidate.name.clone()).collect(),
    })
}

/// `n` values from `low` to `high`.
pub(crate) fn spaced(low: f64, high: f64, n: usize) -> Vec<f64> {
    let last = float(n.saturating_sub(1).max(1));
    let by_ratio = low > 0.0 && high > 0.0;
    let value = |at: usize| {
        let share = float(at) / last;
        if by_ratio { low * (high / low).powf(share) } else { low + (high - low) * share }
    };
    (0..n).map(value).collect()
}
