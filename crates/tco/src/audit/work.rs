//! One claim worked out: its formula, or the hidden input that the stated figure implies.

use super::bounds::{self, bounded};
use super::claim::Claim;
use super::eval::{Evaluation, Meaning, Names, Value};
use super::interval::Interval;
use super::parse::FormulaError;

/// Where a hidden input is looked for when the file gives no range: any positive number.
const ANY: Interval = Interval::new(1e-9, 1e15);
/// Steps in which a range is searched for a change of sign, before bisection.
const STEPS: u32 = 512;
/// Bisections: more than a double has bits.
const HALVINGS: u32 = 200;

/// What came out.
#[derive(Debug)]
pub(crate) struct Worked {
    pub outcome: Outcome,
    /// Why something does not exist, as the break-even says it.
    pub reasons: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The formula has a value.
    Value(Value),
    /// The stated figure follows if this hidden input has this value.
    Implied { name: String, value: f64 },
    /// No value of the hidden input gives the stated figure; `admissible` when the file bounds it.
    NoSuchInput { name: String, admissible: bool, attainable: Option<Interval> },
}

impl Outcome {
    /// The figures in it.
    pub fn figures(&self) -> Vec<Interval> {
        match self {
            Self::Value(Value::Number(number)) => vec![*number],
            Self::Value(Value::List(list)) => list.clone(),
            Self::Implied { value, .. } => vec![Interval::point(*value)],
            Self::NoSuchInput { attainable, .. } => attainable.iter().copied().collect(),
            Self::Value(Value::Truth(_) | Value::Costs(_)) => Vec::new(),
        }
    }
}

/// Works a claim out. Errors where the arithmetic has no answer.
pub(crate) fn work(claim: &Claim, names: &Names) -> Result<Worked, FormulaError> {
    let expr = &claim.formula.expr;
    let reached = bounds::reached(expr, names);
    let open: Vec<(&str, Option<Interval>)> = claim
        .needs
        .iter()
        .filter(|need| reached.contains(need.as_str()))
        .filter_map(|need| match names.get(need.as_str()) {
            Some(Meaning::Unstated) => Some((need.as_str(), None)),
            Some(Meaning::Bounds(bounds)) if !bounds.is_point() => Some((need.as_str(), Some(*bounds))),
            _ => None,
        })
        .collect();
    let stated = claim.stated.figures();
    let [(name, range)] = open.as_slice() else {
        return whole(claim, names);
    };
    let Some(target) = stated.first() else {
        return whole(claim, names);
    };
    let first = |x: f64| -> Option<Vec<Interval>> {
        let pinned = [(*name, Interval::point(x))];
        Evaluation::new(names, &pinned).value(expr).ok().map(|value| Outcome::Value(value).figures())
    };
    let distance = |x: f64| first(x).and_then(|figures| Some(figures.first()?.middle() - target.value));
    let found = root(&distance, range.unwrap_or(ANY), range.is_none());
    // A row of figures needs one input for all of them.
    let fits = |x: &f64| {
        first(*x).is_some_and(|figures| {
            stated.len() != figures.len()
                || stated
                    .iter()
                    .zip(&figures)
                    .all(|(figure, one)| figure.against(one.middle()) != super::figure::Match::Off)
        })
    };
    let outcome = if let Some(value) = found.filter(fits) {
        Outcome::Implied { name: (*name).to_owned(), value }
    } else {
        let attainable = match range.map(|_| bounded(expr, names)).transpose()? {
            Some((Value::Number(number), _)) => Some(number),
            _ => None,
        };
        Outcome::NoSuchInput { name: (*name).to_owned(), admissible: range.is_some(), attainable }
    };
    Ok(Worked { outcome, reasons: Vec::new() })
}

fn whole(claim: &Claim, names: &Names) -> Result<Worked, FormulaError> {
    let (value, reasons) = bounded(&claim.formula.expr, names)?;
    Ok(Worked { outcome: Outcome::Value(value), reasons })
}

/// Where `f` is 0 within `range`, found by a change of sign; steps grow geometrically when `wide`.
fn root(f: &dyn Fn(f64) -> Option<f64>, range: Interval, wide: bool) -> Option<f64> {
    let at = |step: u32| {
        let share = f64::from(step) / f64::from(STEPS);
        if wide {
            range.low * (range.high / range.low).powf(share)
        } else {
            range.low + range.width() * share
        }
    };
    let mut before: Option<(f64, f64)> = None;
    for step in 0..=STEPS {
        let x = at(step);
        let Some(y) = f(x).filter(|y| !y.is_nan()) else {
            before = None;
            continue;
        };
        if y == 0.0 {
            return Some(x);
        }
        if let Some((low, y_low)) = before
            && y_low.signum() * y.signum() < 0.0
        {
            return bisect(f, (low, y_low), x);
        }
        before = Some((x, y));
    }
    None
}

/// `None` at a jump: the sign changes there, but no value is 0.
fn bisect(f: &dyn Fn(f64) -> Option<f64>, (mut low, y_low): (f64, f64), mut high: f64) -> Option<f64> {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        match f(middle)? {
            0.0 => return Some(middle),
            y if y.signum() * y_low.signum() > 0.0 => low = middle,
            _ => high = middle,
        }
    }
    let (y, other) = (f(low)?.abs(), f(high)?.abs());
    (y.min(other) <= y_low.abs() * 1e-6).then_some(if y < other { low } else { high })
}
