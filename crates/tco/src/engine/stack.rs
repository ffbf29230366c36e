//! A stack: what runs, what people cost, what quality costs.

use super::api::{Api, percent};
use super::hybrid::Hybrid;
use super::own::Own;
use super::{Bill, Draft, Flow, Sum, World};
use crate::inputs::Var;
use crate::num::short;
use crate::report::Group;

/// One side of a stack.
#[derive(Clone, Debug)]
pub(crate) enum Component {
    Api(Box<Api>),
    Own(Box<Own>),
}

/// What runs.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    One(Component),
    Hybrid(Box<Hybrid>),
}

/// An item of overhead: name, dollars a year, how, and the share that is paid anyway.
#[derive(Clone, Debug)]
pub(crate) struct OverheadVar {
    pub name: String,
    pub usd_per_year: Var,
    pub how: String,
    pub already_paid: f64,
}

/// A stack that can be computed.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub name: String,
    pub what: String,
    pub body: Body,
    /// Of stacks with machines.
    pub overhead: Vec<OverheadVar>,
    /// Only what comes on top of what is paid anyway counts.
    pub marginal: bool,
    /// Share of outcomes that need no person, and what a person costs who mends one.
    pub accept: Option<Var>,
    pub human: Option<Var>,
}

impl Component {
    pub fn bill<B: Bill>(&self, world: &World<'_>, flows: &[Flow], prefix: &str, out: &mut B) {
        match self {
            Self::Api(api) => api.bill(world, flows, prefix, out),
            Self::Own(own) => own.bill(world, flows, prefix, out),
        }
    }

    pub fn own(&self) -> Option<&Own> {
        match self {
            Self::Own(own) => Some(own),
            Self::Api(_) => None,
        }
    }
}

impl Stack {
    /// Machines in it, and the flows that they serve.
    pub fn own(&self, world: &World<'_>) -> Option<(&Own, Vec<Flow>)> {
        match &self.body {
            Body::One(one) => one.own().map(|own| (own, world.flows.clone())),
            Body::Hybrid(hybrid) => {
                let split = hybrid.split(world, 1.0);
                let weak = hybrid.default.own().map(|own| (own, split.first.clone()));
                weak.or_else(|| hybrid.escalate.own().map(|own| (own, split.strong())))
            }
        }
    }

    /// Adds the bill of a month, mean over the horizon.
    pub fn bill<B: Bill>(&self, world: &World<'_>, out: &mut B) {
        self.technical(world, out);
        self.people(world, self.marginal, out);
        self.mending(world, out);
    }

    /// Dollars a month.
    pub fn total(&self, world: &World<'_>) -> f64 {
        let mut sum = Sum::default();
        self.bill(world, &mut sum);
        sum.total()
    }

    /// Dollars a month when only overhead counts that is not paid anyway.
    pub fn marginal_total(&self, world: &World<'_>) -> f64 {
        let mut sum = Sum::default();
        self.technical(world, &mut sum);
        self.people(world, true, &mut sum);
        self.mending(world, &mut sum);
        sum.total()
    }

    /// What is bought and rented.
    pub fn technical<B: Bill>(&self, world: &World<'_>, out: &mut B) {
        match &self.body {
            Body::One(one) => one.bill(world, &world.flows, "", out),
            Body::Hybrid(hybrid) => hybrid.bill(world, out),
        }
    }

    /// Overhead.
    pub fn people<B: Bill>(&self, world: &World<'_>, marginal: bool, out: &mut B) {
        let x = world.x;
        for item in &self.overhead {
            let kept = if marginal { 1.0 - item.already_paid } else { 1.0 };
            out.add(x.at(item.usd_per_year) * kept / 12.0, || {
                let left = if kept < 1.0 {
                    format!(", {} of it not paid anyway", percent(kept))
                } else {
                    String::new()
                };
                Draft {
                    label: item.name.clone(),
                    how: format!("{}{left}; ${} a year / 12", item.how, short(x.at(item.usd_per_year))),
                    group: Group::Overhead,
                    from: x.from(item.usd_per_year),
                }
            });
        }
    }

    /// People who mend what the stack got wrong.
    pub fn mending<B: Bill>(&self, world: &World<'_>, out: &mut B) {
        let (Some(accept), Some(human)) = (self.accept, self.human) else { return };
        let x = world.x;
        let failed = world.requests * (1.0 - x.at(accept));
        out.add(failed * x.at(human), || Draft {
            label: "People who mend failed outcomes".to_owned(),
            how: format!(
                "{} outcomes × (1 − {}) × ${}",
                short(world.requests),
                percent(x.at(accept)),
                short(x.at(human))
            ),
            group: Group::Human,
            from: x.from(accept),
        });
    }
}
