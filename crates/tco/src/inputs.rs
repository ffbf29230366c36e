//! Every number that a decision rests on, in one flat table: name, value, how it may vary, and where it comes from.
//!
//! The obvious alternative, numbers in the structures that use them, would have to be copied for each draw of a
//! simulation. Here a draw is one slice of numbers, and a stack's cost is a function of that slice.

use serde::Serialize;

use crate::dist::Dist;
use crate::rng::Rng;

/// What a figure rests on. The order is from the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Somebody measured it: the ledger, a benchmark of one's own, a shipped measurement.
    Measured,
    /// A vendor's list says so.
    List,
    /// A model of ours computed it.
    Modelled,
    /// The scenario says so, or it is a default.
    Assumed,
}

/// Where a number comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub basis: Basis,
    pub source: String,
    pub as_of: Option<String>,
}

impl Provenance {
    /// The scenario's own word.
    pub fn scenario(path: &str) -> Self {
        Self { basis: Basis::Assumed, source: format!("scenario: {path}"), as_of: None }
    }

    /// A default of ours.
    pub fn default(why: &str) -> Self {
        Self { basis: Basis::Assumed, source: format!("default: {why}"), as_of: None }
    }
}

/// The bounds within which a number makes sense; a draw outside is moved to the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub min: f64,
    pub max: f64,
}

impl Bounds {
    pub const SHARE: Self = Self { min: 0.0, max: 1.0 };
    pub const POSITIVE: Self = Self { min: 1e-12, max: f64::MAX };
    pub const NONNEGATIVE: Self = Self { min: 0.0, max: f64::MAX };
    /// A relative change: a price cannot lose more than all of itself.
    pub const CHANGE: Self = Self { min: -0.99, max: 100.0 };
    pub const AT_LEAST_ONE: Self = Self { min: 1.0, max: f64::MAX };
}

/// One number.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// As in the scenario: `stacks.own.usd_per_gpu_hour`.
    pub name: String,
    pub unit: &'static str,
    pub base: f64,
    pub dist: Option<Dist>,
    pub bounds: Bounds,
    pub from: Provenance,
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Var(usize);

/// The table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs(Vec<Input>);

/// One set of values: the base, a draw, or a what-if.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    values: &'a [f64],
    inputs: &'a Inputs,
}

impl Inputs {
    /// The place of the input of that name: a number that two stacks share is one number, and one draw.
    pub fn add(&mut self, input: Input) -> Var {
        if let Some(known) = self.0.iter().position(|known| known.name == input.name) {
            return Var(known);
        }
        self.0.push(input);
        Var(self.0.len() - 1)
    }

    pub fn get(&self, var: Var) -> Option<&Input> {
        self.0.get(var.0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Var, &Input)> {
        self.0.iter().enumerate().map(|(at, input)| (Var(at), input))
    }

    /// The values that stand for each input where one number is needed.
    pub fn base(&self) -> Vec<f64> {
        self.0.iter().map(|input| input.base).collect()
    }

    pub fn is_uncertain(&self) -> bool {
        self.0.iter().any(|input| input.dist.is_some())
    }

    /// Writes one draw over `values`, which hold the base or an earlier draw.
    pub fn draw(&self, rng: &mut Rng, values: &mut [f64]) {
        for (input, value) in self.0.iter().zip(values) {
            if let Some(dist) = &input.dist {
                *value = dist.sample(rng).clamp(input.bounds.min, input.bounds.max);
            }
        }
    }

    pub fn with<'a>(&'a self, values: &'a [f64]) -> Values<'a> {
        Values { values, inputs: self }
    }
}

impl Var {
    /// Overwrites this input's value.
    pub fn set(self, values: &mut [f64], to: f64) {
        if let Some(value) = values.get_mut(self.0) {
            *value = to;
        }
    }
}

impl Values<'_> {
    /// The value; NaN, which no total survives unseen, for a place that is not in the table.
    #[inline]
    pub fn at(&self, var: Var) -> f64 {
        self.values.get(var.0).copied().unwrap_or(f64::NAN)
    }

    pub fn from(&self, var: Var) -> Provenance {
        self.inputs.get(var).map_or_else(|| Provenance::default("none"), |input| input.from.clone())
    }
}
