//! Works out a formula over intervals.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::functions::{FUNCTIONS, Function, Trouble, VARIADIC};
use super::interval::Interval;
use super::parse::{Argument, Expr, FormulaError, Operator, Order};

/// What a formula comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(Interval),
    List(Vec<Interval>),
    Truth(Truth),
    /// Named costs, from `cheapest`.
    Costs(Vec<(String, Interval)>),
}

/// Whether a comparison holds for every value within the bounds, for none, or for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Always,
    Never,
    Sometimes,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// A number or a range.
    Bounds(Interval),
    /// Several numbers.
    Several(Vec<Interval>),
    /// Worked out from other names; no name leads back to itself.
    Formula(Expr),
    /// Needed, and given nowhere.
    Unstated,
}

/// All names of a claims file: inputs, and claims as the figures that they state.
pub(crate) type Names = BTreeMap<String, Meaning>;

/// One evaluation: names, with some of them pinned.
pub(crate) struct Evaluation<'n> {
    names: &'n Names,
    pinned: &'n [(&'n str, Interval)],
    /// Why something does not exist, as the functions said it.
    pub reasons: RefCell<Vec<String>>,
}

impl<'n> Evaluation<'n> {
    pub fn new(names: &'n Names, pinned: &'n [(&'n str, Interval)]) -> Self {
        Self { names, pinned, reasons: RefCell::default() }
    }

    /// Errors where the arithmetic has no answer.
    pub fn value(&self, expr: &Expr) -> Result<Value, FormulaError> {
        match expr {
            Expr::Number(number) => Ok(Value::Number(Interval::point(*number))),
            Expr::Name { name, at } => self.name(name, *at),
            Expr::Call { name, arguments, at } => self.call(name, arguments, *at),
            Expr::Negative(inner) => Ok(Value::Number(self.number(inner)?.negated())),
            Expr::Binary { operator, left, right, at } => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                binary(*operator, left, right, *at).map(Value::Number)
            }
            Expr::Compare { order, left, right } => {
                Ok(Value::Truth(compare(*order, self.number(left)?, self.number(right)?)))
            }
            Expr::List(items) => {
                items.iter().map(|item| self.number(item)).collect::<Result<_, _>>().map(Value::List)
            }
        }
    }

    /// A formula that must be one number.
    pub fn number(&self, expr: &Expr) -> Result<Interval, FormulaError> {
        match self.value(expr)? {
            Value::Number(number) => Ok(number),
            other => Err(FormulaError::new(
                position(expr),
                format!("{} stands where a number should", kind(&other)),
            )),
        }
    }

    fn name(&self, name: &str, at: usize) -> Result<Value, FormulaError> {
        if let Some((_, pinned)) = self.pinned.iter().find(|(pinned, _)| *pinned == name) {
            return Ok(Value::Number(*pinned));
        }
        match self.names.get(name) {
            Some(Meaning::Bounds(bounds)) => Ok(Value::Number(*bounds)),
            Some(Meaning::Several(several)) => Ok(Value::List(several.clone())),
            Some(Meaning::Formula(formula)) => self
                .value(formula)
                .map_err(|error| FormulaError::new(at, format!("in `{name}`: {}", error.message))),
            Some(Meaning::Unstated) => Err(FormulaError::new(at, format!("`{name}` has no value"))
                .with_hint("give it one or a range in [inputs]")),
            None => Err(FormulaError::new(at, format!("`{name}` is neither an input nor a claim"))),
        }
    }

    fn call(&self, name: &str, arguments: &[Argument], at: usize) -> Result<Value, FormulaError> {
        if name == "cheapest" {
            return self.cheapest(arguments, at);
        }
        if let Some(odd) = arguments.iter().find_map(|argument| argument.name.as_ref()) {
            return Err(FormulaError::new(at, format!("`{name}` takes no argument by name (`{odd} =`)")));
        }
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
            return self.apply(function, arguments, at).map(Value::Number);
        }
        if !VARIADIC.contains(&name) {
            let known = FUNCTIONS.iter().map(|function| function.name).chain(VARIADIC);
            let near = catalog::nearest(name, known, 3).join("`, `");
            let error = FormulaError::new(at, format!("`{name}` is no function"));
            return Err(if near.is_empty() {
                error
            } else {
                error.with_hint(format!("the nearest are `{near}`"))
            });
        }
        let numbers = self.flattened(arguments)?;
        let none = || FormulaError::new(at, format!("`{name}` needs something to choose from"));
        let number = match name {
            "min" => {
                numbers.iter().copied().reduce(|a, b| Interval::new(a.low.min(b.low), a.high.min(b.high)))
            }
            "max" => {
                numbers.iter().copied().reduce(|a, b| Interval::new(a.low.max(b.low), a.high.max(b.high)))
            }
            "sum" => numbers.iter().copied().reduce(Interval::plus),
            _ => return nth(&numbers, at).map(Value::Number),
        };
        number.map(Value::Number).ok_or_else(none)
    }

    /// Lists among the arguments count as their items.
    fn flattened(&self, arguments: &[Argument]) -> Result<Vec<Interval>, FormulaError> {
        let mut all = Vec::new();
        for argument in arguments {
            match self.value(&argument.value)? {
                Value::Number(number) => all.push(number),
                Value::List(list) => all.extend(list),
                other => {
                    let message = format!("{} stands where a number should", kind(&other));
                    return Err(FormulaError::new(position(&argument.value), message));
                }
            }
        }
        Ok(all)
    }

    fn cheapest(&self, arguments: &[Argument], at: usize) -> Result<Value, FormulaError> {
        let costs: Vec<(String, Interval)> = arguments
            .iter()
            .map(|argument| {
                let name = argument.name.clone().ok_or_else(|| {
                    FormulaError::new(position(&argument.value), "`cheapest` needs a name for each cost")
                        .with_hint("cheapest(serverless = 22, self_hosted = 67.2)")
                })?;
                Ok((name, self.number(&argument.value)?))
            })
            .collect::<Result<_, FormulaError>>()?;
        match costs.len() {
            0 | 1 => Err(FormulaError::new(at, "`cheapest` needs at least two costs")),
            _ => Ok(Value::Costs(costs)),
        }
    }

    /// Bounds of a function over bounds of its arguments: it is monotone in each, so they lie at the corners.
    fn apply(
        &self,
        function: &Function,
        arguments: &[Argument],
        at: usize,
    ) -> Result<Interval, FormulaError> {
        let (most, name) = (function.parameters.len(), function.name);
        let least = most - function.optional;
        if arguments.len() < least || arguments.len() > most {
            let message = format!("`{name}` takes {least} arguments, not {}", arguments.len());
            return Err(FormulaError::new(at, message)
                .with_hint(format!("{name}({})", function.parameters.join(", "))));
        }
        let mut bounds: Vec<Interval> =
            arguments.iter().map(|argument| self.number(&argument.value)).collect::<Result<_, _>>()?;
        bounds.resize(most, Interval::point(0.0));
        let mut ends = Vec::new();
        for corner in corners(&bounds) {
            match (function.apply)(&corner) {
                Ok(value) => ends.push(value),
                Err(Trouble::Never(why)) => {
                    self.reasons.borrow_mut().push(why);
                    ends.push(f64::INFINITY);
                }
                Err(Trouble::Bad(why)) => return Err(FormulaError::new(at, why)),
            }
        }
        Interval::hull(ends).ok_or_else(|| FormulaError::new(at, format!("`{name}` has no value here")))
    }
}

/// All combinations of ends; known numbers have one end.
pub(crate) fn corners(bounds: &[Interval]) -> Vec<Vec<f64>> {
    bounds.iter().fold(vec![Vec::new()], |corners, bound| {
        let ends: &[f64] = if bound.is_point() { &[bound.low] } else { &[bound.low, bound.high] };
        corners
            .iter()
            .flat_map(|corner| ends.iter().map(|end| [corner.as_slice(), &[*end]].concat()))
            .collect()
    })
}

/// `nth(list, k)`: the numbers with k behind them; the first is 1.
fn nth(numbers: &[Interval], at: usize) -> Result<Interval, FormulaError> {
    let error = || {
        FormulaError::new(at, "`nth` needs a list and a place in it")
            .with_hint("nth(B1, 2) is the second figure of B1")
    };
    let (place, list) = numbers.split_last().ok_or_else(error)?;
    let found = list.iter().zip(1_u32..).find(|(_, k)| place.is_point() && place.holds(f64::from(*k)));
    found.map(|(number, _)| *number).ok_or_else(error)
}

fn binary(operator: Operator, left: Interval, right: Interval, at: usize) -> Result<Interval, FormulaError> {
    let result = match operator {
        Operator::Plus => Some(left.plus(right)),
        Operator::Minus => Some(left.plus(right.negated())),
        Operator::Times => Some(left.times(right)),
        Operator::Over => {
            return left.over(right).ok_or_else(|| FormulaError::new(at, "division by zero"));
        }
        // A power of a positive base is monotone in each.
        Operator::Power if left.low > 0.0 || (left.is_point() && right.is_point()) => {
            Interval::hull(corners(&[left, right]).iter().filter_map(|c| Some(c.first()?.powf(*c.get(1)?))))
        }
        Operator::Power => None,
    };
    let sound = result.filter(|value| !value.low.is_nan() && !value.high.is_nan());
    sound.ok_or_else(|| FormulaError::new(at, "this has no value"))
}

/// The wider of the two roundings below which numbers count as equal.
fn slack(left: Interval, right: Interval) -> f64 {
    let largest = [left.low, left.high, right.low, right.high].into_iter().map(f64::abs);
    largest.filter(|x| x.is_finite()).fold(0.0, f64::max) * 1e-12
}

fn compare(order: Order, left: Interval, right: Interval) -> Truth {
    let slack = slack(left, right);
    let less = |a: Interval, b: Interval| match () {
        () if a.high < b.low - slack => Truth::Always,
        () if a.low >= b.high - slack => Truth::Never,
        () => Truth::Sometimes,
    };
    let at_most = |a: Interval, b: Interval| match less(b, a) {
        Truth::Always => Truth::Never,
        Truth::Never => Truth::Always,
        Truth::Sometimes => Truth::Sometimes,
    };
    match order {
        Order::Less => less(left, right),
        Order::Greater => less(right, left),
        Order::AtMost => at_most(left, right),
        Order::AtLeast => at_most(right, left),
        Order::Equal if less(left, right) == Truth::Always || less(right, left) == Truth::Always => {
            Truth::Never
        }
        Order::Equal if left.is_point() && right.is_point() => Truth::Always,
        Order::Equal => Truth::Sometimes,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "a number",
        Value::List(_) => "a list",
        Value::Truth(_) => "a comparison",
        Value::Costs(_) => "a choice",
    }
}

/// Where to point at.
fn position(expr: &Expr) -> usize {
    match expr {
        Expr::Name { at, .. } | Expr::Call { at, .. } | Expr::Binary { at, .. } => *at,
        Expr::Negative(inner) => position(inner),
        Expr::Compare { left, .. } => position(left),
        Expr::Number(_) | Expr::List(_) => 0,
    }
}
