//! The decision matrix: which stack to take at which volume, under which condition. Every cell is computed, none is an opinion.

use crate::compile::{Infeasible, Model};
use crate::engine::World;
use crate::report::{Cell, Matrix, MatrixRow, Rounded};
use crate::scenario::{DAYS, Scenario};

/// Output tokens a day of the columns.
const VOLUMES: [f64; 6] = [1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// Volumes across, conditions down.
pub(super) fn matrix(scenario: &Scenario, model: &Model, base: &[f64], world: &World<'_>) -> Matrix {
    let now = world.flows.iter().map(|flow| flow.output).sum::<f64>() / DAYS;
    let mut values = base.to_vec();
    let columns: Vec<Vec<Option<f64>>> = VOLUMES
        .iter()
        .map(|volume| {
            model.traffic.scale.set(&mut values, volume / now);
            let world = model.traffic.world(model.inputs.with(&values));
            // A stack below the floor still has a price, for the row without a floor.
            model
                .stacks
                .iter()
                .map(|candidate| candidate.stack.as_ref().map(|stack| stack.total(&world)))
                .collect()
        })
        .collect();
    let kind = |at: usize| model.stacks.get(at).map_or("", |candidate| candidate.kind);
    let below_floor = |at: usize| {
        let why = model.stacks.get(at).and_then(|candidate| candidate.infeasible.as_ref());
        matches!(why, Some(Infeasible::BelowFloor { .. }))
    };
    let mut rows = vec![
        row("any stack", &columns, model, |_| true),
        row("nothing to run yourself", &columns, model, |at| {
            let stack = model.stacks.get(at).and_then(|candidate| candidate.stack.as_ref());
            stack.is_some_and(|stack| stack.own(world).is_none())
        }),
        row("data in your own hands", &columns, model, |at| kind(at) == "self-hosted"),
    ];
    if let Some(floor) = scenario.quality.floor {
        let condition = format!("accepts at least {}%", crate::num::short(floor * 100.0));
        rows.push(row(&condition, &columns, model, |at| !below_floor(at)));
    }
    Matrix { output_tokens_per_day: VOLUMES.into_iter().map(Rounded).collect(), rows }
}

fn row(
    condition: &str,
    columns: &[Vec<Option<f64>>],
    model: &Model,
    allowed: impl Fn(usize) -> bool,
) -> MatrixRow {
    let cell = |costs: &Vec<Option<f64>>| {
        let known = costs.iter().enumerate().filter_map(|(at, cost)| Some((at, (*cost)?)));
        let best = known.filter(|(at, _)| allowed(*at)).min_by(|a, b| a.1.total_cmp(&b.1));
        Cell {
            stack: best.and_then(|(at, _)| model.stacks.get(at)).map(|candidate| candidate.name.clone()),
            monthly_usd: best.map(|(_, cost)| Rounded(cost)),
        }
    };
    MatrixRow { condition: condition.to_owned(), cells: columns.iter().map(cell).collect() }
}
