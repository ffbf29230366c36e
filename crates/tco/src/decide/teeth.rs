//! The saw-tooth near a break-even: what a million output tokens cost at each volume, in whole replicas.

use super::DAYS;
use crate::compile::Model;
use crate::num::float;
use crate::report::{BreakEven, Rounded, SawTeeth};

/// Points of one picture.
const POINTS: usize = 201;
/// Pictures: a report for people, not an atlas.
const MOST: usize = 4;

/// A picture for each break-even in whole replicas that compares stacks as they are.
pub(super) fn saw_teeth(model: &Model, base: &[f64], break_even: &[BreakEven]) -> Vec<SawTeeth> {
    let pictures = break_even.iter().filter(|edge| edge.like_for_like.is_none());
    pictures.filter_map(|edge| picture(model, base, edge)).take(MOST).collect()
}

fn picture(model: &Model, base: &[f64], edge: &BreakEven) -> Option<SawTeeth> {
    let (first, last) = (edge.first_win?.0, edge.last_loss.or(edge.first_win)?.0);
    let world = model.traffic.world(model.inputs.with(base));
    let now = world.flows.iter().map(|flow| flow.output).sum::<f64>() / DAYS;
    let place = |name: &str| model.feasible().position(|(_, stack)| stack.name == name);
    let (own, other) = (place(&edge.stack)?, place(&edge.against)?);
    let mut values = base.to_vec();
    let mut teeth = SawTeeth {
        stack: edge.stack.clone(),
        against: edge.against.clone(),
        first_win: Rounded(first),
        last_loss: edge.last_loss,
        output_tokens_per_day: Vec::new(),
        stack_usd_per_million_output: Vec::new(),
        against_usd_per_million_output: Vec::new(),
    };
    for volume in volumes(first, last) {
        model.traffic.scale.set(&mut values, volume / now);
        let costs = model.costs(&values);
        let per_million = |at: usize| costs.get(at).map(|(_, cost)| Rounded(cost / (volume * DAYS) * 1e6));
        teeth.output_tokens_per_day.push(Rounded(volume));
        teeth.stack_usd_per_million_output.push(per_million(own)?);
        teeth.against_usd_per_million_output.push(per_million(other)?);
    }
    Some(teeth)
}

/// Evenly over both edges and their surroundings, and the edges themselves.
fn volumes(first: f64, last: f64) -> Vec<f64> {
    let (low, high) = ((first.min(last) * 0.6).max(1.0), first.max(last) * 1.3);
    let even = (0..POINTS).map(|at| low + (high - low) * float(at) / float(POINTS - 1));
    let mut all: Vec<f64> =
        even.chain([first - 1.0, first, last, last + 1.0]).filter(|v| *v >= 1.0).collect();
    all.sort_by(f64::total_cmp);
    all
}
