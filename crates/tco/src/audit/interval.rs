//! Numbers of which only bounds are known: the value of an input that is a range, and all that follows from it.
//!
//! A number that is known is an interval without width, so one evaluator serves both.

/// All numbers from `low` to `high`; either may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    pub const fn point(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// The smallest interval that holds all of `values`; `None` without one, or with one that is no number.
    pub fn hull(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values.into_iter().try_fold(None, |hull: Option<Self>, value| match hull {
            _ if value.is_nan() => None,
            Some(hull) => Some(Some(Self::new(hull.low.min(value), hull.high.max(value)))),
            None => Some(Some(Self::point(value))),
        })?
    }

    #[expect(clippy::float_cmp, reason = "an interval without width has one number twice")]
    pub fn is_point(self) -> bool {
        self.low == self.high
    }

    pub fn width(self) -> f64 {
        self.high - self.low
    }

    pub fn middle(self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    pub fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    pub fn meets(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    pub fn negated(self) -> Self {
        Self::new(-self.high, -self.low)
    }

    pub fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    pub fn times(self, other: Self) -> Self {
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let ends = [
            product(self.low, other.low),
            product(self.low, other.high),
            product(self.high, other.low),
            product(self.high, other.high),
        ];
        Self::new(
            ends.into_iter().fold(f64::INFINITY, f64::min),
            ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    /// `None` when the divisor is 0, or can be on either side of it.
    pub fn over(self, divisor: Self) -> Option<Self> {
        let Self { low, high } = divisor;
        if (low == 0.0 && high == 0.0) || (low < 0.0 && high > 0.0) {
            return None;
        }
        let inverse = match () {
            () if low == 0.0 => Self::new(1.0 / high, f64::INFINITY),
            () if high == 0.0 => Self::new(f64::NEG_INFINITY, 1.0 / low),
            () => Self::new(1.0 / high, 1.0 / low),
        };
        // A point is divided once, not multiplied by a rounded inverse.
        if self.is_point() && divisor.is_point() {
            return Some(Self::point(self.low / divisor.low));
        }
        Some(self.times(inverse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_follow_the_signs() {
        let a = Interval::new(-1.0, 2.0);
        let b = Interval::new(3.0, 4.0);
        assert_eq!(a.times(b), Interval::new(-4.0, 8.0));
        assert_eq!(b.plus(a.negated()), Interval::new(1.0, 5.0));
        assert_eq!(a.over(b), Some(Interval::new(-1.0 / 3.0, 2.0 / 3.0)));
        assert_eq!(b.over(a), None);
        assert_eq!(b.over(Interval::new(0.0, 2.0)), Some(Interval::new(1.5, f64::INFINITY)));
        assert_eq!(Interval::hull([1.0, f64::NAN]), None);
        assert_eq!(Interval::hull([2.0, 1.0]), Some(Interval::new(1.0, 2.0)));
    }
}
