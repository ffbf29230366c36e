//! The tightest bounds of a formula whose inputs are ranges.
//!
//! Interval arithmetic alone is safe but wide where an input stands twice in a formula (`x − x` is not 0 to it). Here the
//! ranges are cut in halves until the bounds are tight: branch and bound. A value outside them is proven impossible.

use std::collections::BTreeSet;

use super::eval::{Evaluation, Meaning, Names, Truth, Value, corners};
use super::interval::Interval;
use super::parse::{Expr, FormulaError, Operator, Order};

/// Boxes that are tried before the bounds are given as wide as they are then.
const MOST_BOXES: usize = 1_000;
/// Bounds are tight when the box that may reach further reaches so little further, in relation to their size and to the
/// first, wide ones.
const TIGHT: f64 = 1e-7;
/// Corners of a box double with each range; more ranges than this are bounded by intervals alone.
const MOST_RANGES: usize = 8;

/// What a formula comes to, with tight bounds where inputs are ranges, and why something in it does not exist.
pub(crate) fn bounded(expr: &Expr, names: &Names) -> Result<(Value, Vec<String>), FormulaError> {
    let ranges = ranges(expr, names);
    let evaluation = Evaluation::new(names, &[]);
    let wide = evaluation.value(expr)?;
    let reasons = evaluation.reasons.into_inner();
    if ranges.is_empty() || ranges.len() > MOST_RANGES {
        return Ok((wide, reasons));
    }
    let value = match (expr, wide) {
        (Expr::List(items), Value::List(_)) => {
            let tight = items.iter().map(|item| tight(item, names, &ranges));
            Value::List(tight.collect::<Result<_, _>>()?)
        }
        (_, Value::Number(_)) => Value::Number(tight(expr, names, &ranges)?),
        (Expr::Compare { order, left, right }, Value::Truth(Truth::Sometimes)) => {
            Value::Truth(decided(*order, left, right, names, &ranges)?)
        }
        (_, other) => other,
    };
    Ok((value, reasons))
}

/// The names with a range that a formula rests on, directly or through other inputs.
pub(crate) fn ranges<'n>(expr: &'n Expr, names: &'n Names) -> Vec<(&'n str, Interval)> {
    let mut found = Vec::new();
    for name in reached(expr, names) {
        if let Some(Meaning::Bounds(bounds)) = names.get(name)
            && !bounds.is_point()
        {
            found.push((name, *bounds));
        }
    }
    found
}

/// Every name that a formula rests on.
pub(crate) fn reached<'n>(expr: &'n Expr, names: &'n Names) -> BTreeSet<&'n str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![expr]);
    while let Some(expr) = open.pop() {
        expr.names(&mut |name, _| {
            if seen.insert(name)
                && let Some(Meaning::Formula(inner)) = names.get(name)
            {
                open.push(inner);
            }
        });
    }
    seen
}

/// Compares by the bounds of the difference, in which an input that stands on both sides is one.
fn decided(
    order: Order,
    left: &Expr,
    right: &Expr,
    names: &Names,
    ranges: &[(&str, Interval)],
) -> Result<Truth, FormulaError> {
    let (left, right) = (Box::new(left.clone()), Box::new(right.clone()));
    let difference = Expr::Binary { operator: Operator::Minus, left, right, at: 0 };
    let Interval { low, high } = tight(&difference, names, ranges)?;
    let (always, never) = match order {
        Order::Less => (high < 0.0, low >= 0.0),
        Order::AtMost => (high <= 0.0, low > 0.0),
        Order::Greater => (low > 0.0, high <= 0.0),
        Order::AtLeast => (low >= 0.0, high < 0.0),
        Order::Equal => (false, low > 0.0 || high < 0.0),
    };
    Ok(match (always, never) {
        (true, _) => Truth::Always,
        (_, true) => Truth::Never,
        _ => Truth::Sometimes,
    })
}

fn tight(expr: &Expr, names: &Names, ranges: &[(&str, Interval)]) -> Result<Interval, FormulaError> {
    let whole: Vec<Interval> = ranges.iter().map(|(_, bounds)| *bounds).collect();
    let over = |bounds: &[Interval]| {
        let pinned: Vec<(&str, Interval)> =
            ranges.iter().map(|(name, _)| *name).zip(bounds.iter().copied()).collect();
        Evaluation::new(names, &pinned).number(expr)
    };
    let low = lowest(&over, &whole, 1.0)?;
    let high = -lowest(&over, &whole, -1.0)?;
    Ok(Interval::new(low, high))
}

/// A lower bound of `sign` times the formula, as near to the least value as the effort allows.
fn lowest(
    over: &dyn Fn(&[Interval]) -> Result<Interval, FormulaError>,
    whole: &[Interval],
    sign: f64,
) -> Result<f64, FormulaError> {
    let floor =
        |bounds: &[Interval]| over(bounds).map(|value| if sign > 0.0 { value.low } else { -value.high });
    // The least value seen at a corner or in a middle. A point where the formula has no value says nothing.
    let seen = |bounds: &[Interval]| {
        let middle: Vec<f64> = bounds.iter().map(|bound| bound.middle()).collect();
        let points = corners(bounds).into_iter().chain([middle]);
        let values = points.filter_map(|point| {
            let point: Vec<Interval> = point.into_iter().map(Interval::point).collect();
            over(&point).ok().map(|value| sign * value.low)
        });
        values.fold(f64::INFINITY, f64::min)
    };
    let mut best = seen(whole);
    let first = floor(whole)?;
    let enough = TIGHT * (best.abs() + (best - first).abs());
    // Those that may reach furthest stand last.
    let mut boxes = vec![(first, whole.to_vec())];
    for _ in 0..MOST_BOXES {
        let Some((reach, bounds)) = boxes.pop() else { break };
        if best - reach <= enough || !reach.is_finite() {
            return Ok(reach);
        }
        for half in halves(&bounds) {
            best = best.min(seen(&half));
            let reach = floor(&half)?.max(reach);
            let at = boxes.partition_point(|(other, _)| *other > reach);
            boxes.insert(at, (reach, half));
        }
    }
    Ok(boxes.last().map_or(best, |(reach, _)| reach.min(best)))
}

/// Cuts the widest side.
fn halves(bounds: &[Interval]) -> [Vec<Interval>; 2] {
    let widest =
        bounds.iter().enumerate().max_by(|a, b| a.1.width().total_cmp(&b.1.width())).map_or(0, |(at, _)| at);
    let cut = |upper: bool| {
        let side = |(at, bound): (usize, &Interval)| match (at == widest, upper) {
            (false, _) => *bound,
            (true, true) => Interval::new(bound.middle(), bound.high),
            (true, false) => Interval::new(bound.low, bound.middle()),
        };
        bounds.iter().enumerate().map(side).collect()
    };
    [cut(false), cut(true)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(inputs: &[(&str, f64, f64)]) -> Names {
        inputs
            .iter()
            .map(|(name, low, high)| ((*name).to_owned(), Meaning::Bounds(Interval::new(*low, *high))))
            .collect()
    }

    fn number(text: &str, names: &Names) -> Interval {
        match bounded(&Expr::parse(text).unwrap(), names).unwrap().0 {
            Value::Number(number) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_input_that_stands_twice_is_one_input() {
        let names = names(&[("a", 0.3, 0.5), ("b", 0.2, 0.4), ("x", 0.0, 1.0)]);
        assert!(number("x - x", &names).width() < 0.01);
        let both = number("a + b - a * b", &names);
        assert!((both.low - 0.44).abs() < 1e-6 && (both.high - 0.7).abs() < 1e-6, "{both:?}");
        // The greatest value lies inside, at x = 1/2.
        let hill = number("x * (1 - x)", &names);
        assert!(hill.low.abs() < 1e-6 && (hill.high - 0.25).abs() < 1e-4, "{hill:?}");
    }

    #[test]
    fn comparisons_see_that_both_sides_move_together() {
        let names = names(&[("x", 1.0, 2.0)]);
        let truth = |text| bounded(&Expr::parse(text).unwrap(), &names).unwrap().0;
        assert_eq!(truth("x < x + 0.1"), Value::Truth(Truth::Always));
        assert_eq!(truth("x > 2 * x"), Value::Truth(Truth::Never));
        assert_eq!(truth("x >= 1.5"), Value::Truth(Truth::Sometimes));
    }

    proptest! {
        #[test]
        fn bounds_hold_every_value_within_the_ranges(
            low in 0.1_f64..2.0, width in 0.0_f64..3.0, at in 0.0_f64..1.0, pick in 0_usize..5,
        ) {
            let text = ["x*x - 3*x", "1/x + x", "unit_cost(2.8, 1000, x / 10)", "break_even(1000, 6, x)", "ceil(x) - x"][pick];
            let names = names(&[("x", low, low + width)]);
            let bounds = number(text, &names);
            let x = Interval::point((low + at * width).min(low + width));
            let value = Evaluation::new(&names, &[("x", x)]).number(&Expr::parse(text).unwrap()).unwrap();
            let slack = 1e-9 * value.low.abs().max(1.0);
            prop_assert!(bounds.low - slack <= value.low && value.low <= bounds.high + slack, "{bounds:?} {value:?}");
        }
    }
}
