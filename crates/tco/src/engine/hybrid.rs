//! Two stacks with an escalation: by a rule before the call, by a second pass after the cheap answer, or both in a row.
//!
//! Rivals average two prices. Here each side bills the tokens that it sees: a share of requests is not that share of tokens,
//! a second pass bills the prompt again and the cheap answer as input, and a saving may be negative.

use super::api::{Api, percent};
use super::stack::Component;
use super::{Bill, Draft, Flow, Sum, World};
use crate::inputs::Var;
use crate::num::short;
use crate::report::Group;
use crate::scenario::Mechanism;

/// Two stacks and how requests move between them.
#[derive(Clone, Debug)]
pub(crate) struct Hybrid {
    pub default: Component,
    pub escalate: Component,
    pub mechanism: Mechanism,
    /// The first answer goes along with the second request.
    pub reconsider: bool,
    /// For each class: share that a rule sends up.
    pub routed: Vec<Option<Var>>,
    /// For each class: share of first answers that are turned down.
    pub turned_down: Vec<Option<Var>>,
    pub input_factor: Option<Var>,
    pub output_factor: Option<Var>,
    pub classifier: Option<Var>,
    pub judge: Option<(Api, Var)>,
    pub cache_loss: Option<Var>,
}

/// Who sees which tokens.
pub(crate) struct Split {
    /// First answers of the default.
    pub first: Vec<Flow>,
    /// Sent straight to the stronger model.
    pub routed: Vec<Flow>,
    /// Sent there after a first answer.
    pub second: Vec<Flow>,
}

impl Split {
    /// What the stronger model sees, class by class.
    pub fn strong(&self) -> Vec<Flow> {
        self.routed.iter().zip(&self.second).map(|(a, b)| join(a, b)).collect()
    }
}

/// Two flows of one class as one.
fn join(a: &Flow, b: &Flow) -> Flow {
    let input = a.input + b.input;
    let mean = |x: f64, y: f64| if input > 0.0 { (x * a.input + y * b.input) / input } else { x };
    Flow {
        requests: a.requests + b.requests,
        input,
        output: a.output + b.output,
        cached: mean(a.cached, b.cached),
        written: mean(a.written, b.written),
        reasoning: a.reasoning,
        batch: a.batch,
    }
}

/// Tokens of some flows, input and output.
pub(crate) fn tokens_of(flows: &[Flow]) -> f64 {
    flows.iter().map(|flow| flow.input + flow.output).sum()
}

pub(crate) fn requests_of(flows: &[Flow]) -> f64 {
    flows.iter().map(|flow| flow.requests).sum()
}

impl Hybrid {
    /// Moves the requests. `keep` is the share of cached input that stays cached.
    pub fn split(&self, world: &World<'_>, keep: f64) -> Split {
        let x = world.x;
        let factor = |var: Option<Var>| var.map_or(1.0, |var| x.at(var));
        let (long, wordy) = (factor(self.input_factor), factor(self.output_factor));
        let share = |shares: &[Option<Var>], at: usize| {
            shares.get(at).copied().flatten().map_or(0.0, |var| x.at(var))
        };
        let mut split = Split { first: Vec::new(), routed: Vec::new(), second: Vec::new() };
        for (at, flow) in world.flows.iter().enumerate() {
            let flow = Flow { cached: flow.cached * keep, ..*flow };
            let up = share(&self.routed, at);
            // What is escalated cannot hold more tokens than there are.
            let (up_in, up_out) = ((up * long).min(1.0), (up * wordy).min(1.0));
            let first = flow.part(1.0 - up, 1.0 - up_in, 1.0 - up_out);
            let down = share(&self.turned_down, at);
            let (down_in, down_out) = ((down * long).min(1.0), (down * wordy).min(1.0));
            let again = first.part(down, down_in, down_out);
            let again = if self.reconsider { again.with_fresh_input(again.output) } else { again };
            split.first.push(first);
            split.routed.push(flow.part(up, up_in, up_out));
            split.second.push(again);
        }
        split
    }

    /// Adds the bill of a month, mean over the horizon.
    pub fn bill<B: Bill>(&self, world: &World<'_>, out: &mut B) {
        let x = world.x;
        let split = self.split(world, 1.0);
        self.sides(world, &split, out);
        if let Some(loss) = self.cache_loss {
            let colder = self.split(world, 1.0 - x.at(loss));
            let (mut warm, mut cold) = (Sum::default(), Sum::default());
            self.sides(world, &split, &mut warm);
            self.sides(world, &colder, &mut cold);
            out.add(cold.total() - warm.total(), || Draft {
                label: "Prompt cache lost by routing".to_owned(),
                how: format!("{} of cached input tokens billed as fresh ones", percent(x.at(loss))),
                group: Group::Routing,
                from: x.from(loss),
            });
        }
        if let Some(classifier) = self.classifier {
            let requests = world.requests;
            out.add(requests * x.at(classifier), || Draft {
                label: "Classifier".to_owned(),
                how: format!("{} requests × ${}", short(requests), short(x.at(classifier))),
                group: Group::Routing,
                from: x.from(classifier),
            });
        }
        if let Some((judge, verdict)) = &self.judge {
            Self::judged(world, &split, judge, *verdict, out);
        }
    }

    fn sides<B: Bill>(&self, world: &World<'_>, split: &Split, out: &mut B) {
        self.default.bill(world, &split.first, "", out);
        // Shares of zero buy nothing, but a stack of machines as the stronger side would keep one.
        if requests_of(&split.routed) + requests_of(&split.second) <= 0.0 {
            return;
        }
        match (&self.escalate, self.mechanism) {
            (Component::Api(api), Mechanism::Both) => {
                api.bill(world, &split.routed, "Escalated: ", out);
                api.bill(world, &split.second, "Second pass: ", out);
            }
            (side, Mechanism::SecondPass) => side.bill(world, &split.strong(), "Second pass: ", out),
            (side, _) => side.bill(world, &split.strong(), "Escalated: ", out),
        }
    }

    /// The judge reads prompt and answer of every first answer.
    fn judged<B: Bill>(world: &World<'_>, split: &Split, judge: &Api, verdict: Var, out: &mut B) {
        let verdict = world.x.at(verdict);
        let read = |flow: &Flow| {
            let asked = flow.with_fresh_input(flow.output);
            Flow { output: flow.requests * verdict, cached: 0.0, written: 0.0, reasoning: 0.0, ..asked }
        };
        let flows: Vec<Flow> = split.first.iter().map(read).collect();
        let mut sum = Sum::default();
        judge.bill(world, &flows, "", &mut sum);
        out.add(sum.total(), || Draft {
            label: format!("Judge {}", judge.target),
            how: format!(
                "{} first answers: prompt and answer as input, {} output tokens each",
                short(requests_of(&split.first) * world.mean_growth),
                short(verdict)
            ),
            group: Group::Routing,
            from: judge.from(world.x),
        });
    }
}
