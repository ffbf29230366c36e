//! Uncertain numbers. Each distribution is sampled by its inverse, so that one uniform number makes one draw and a
//! quantile (for tornado and band) is the same function.

use crate::rng::Rng;

/// How a number may turn out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Dist {
    /// Anywhere between two bounds alike.
    Uniform(f64, f64),
    /// Mean and standard deviation.
    Normal(f64, f64),
    /// Median, and standard deviation of the logarithm.
    LogNormal(f64, f64),
    /// Least, most likely, greatest.
    Triangular(f64, f64, f64),
    /// 10 %, 50 % and 90 % quantiles; two half-normals (in logarithms when all are positive) that meet in the median.
    Quantiles(f64, f64, f64),
    /// Share of a period that lies in one of several events; see [`Spells`].
    Spells(Spells),
    /// When within the period, from 0 to 1, an event of that many expected occurrences first happens; 1: not in it.
    FirstEvent(f64),
}

/// Events such as a GPU shortage: how many there are in a window of time, and how long each lasts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spells {
    /// Shortest and longest, in months.
    pub months: (f64, f64),
    /// The window, in months; it is cut into as many equal parts as there are events, with one event in each.
    pub window: f64,
    /// Events in the window.
    pub count: usize,
    /// Months that are looked at, from the start of the window.
    pub horizon: f64,
}

impl Dist {
    /// The value that stands for it where one number is needed.
    pub fn center(&self) -> f64 {
        match self {
            Self::Uniform(low, high) => f64::midpoint(*low, *high),
            Self::Normal(mean, _) => *mean,
            Self::LogNormal(median, _) => *median,
            Self::Triangular(_, mode, _) => *mode,
            Self::Quantiles(_, p50, _) => *p50,
            Self::Spells(_) => 0.0,
            Self::FirstEvent(_) => 1.0,
        }
    }

    /// The value below which a share `u` of the draws lies, 0 < u < 1.
    pub fn quantile(&self, u: f64) -> f64 {
        match self {
            Self::Uniform(low, high) => low + (high - low) * u,
            Self::Normal(mean, sd) => mean + sd * normal(u),
            Self::LogNormal(median, sigma) => median * (sigma * normal(u)).exp(),
            Self::Triangular(low, mode, high) => triangular(*low, *mode, *high, u),
            Self::Quantiles(p10, p50, p90) => halves(*p10, *p50, *p90, u),
            Self::Spells(spells) => spells.least() + (spells.most() - spells.least()) * u,
            Self::FirstEvent(expected) => first(*expected, u),
        }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Spells(spells) => spells.sample(rng),
            // The smallest u is the earliest event, as in `quantile`.
            _ => self.quantile(rng.uniform()),
        }
    }

    /// The same, seen through `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Uniform(a, b) => Self::Uniform(a * factor, b * factor),
            Self::Normal(a, b) => Self::Normal(a * factor, b * factor),
            Self::LogNormal(a, b) => Self::LogNormal(a * factor, *b),
            Self::Triangular(a, b, c) => Self::Triangular(a * factor, b * factor, c * factor),
            Self::Quantiles(a, b, c) => Self::Quantiles(a * factor, b * factor, c * factor),
            other => other.clone(),
        }
    }
}

impl Spells {
    fn least(&self) -> f64 {
        (crate::num::float(self.count) * self.months.0 / self.window).min(1.0)
    }

    fn most(&self) -> f64 {
        (crate::num::float(self.count) * self.months.1 / self.window).min(1.0)
    }

    fn sample(&self, rng: &mut Rng) -> f64 {
        let part = self.window / crate::num::float(self.count.max(1));
        let mut inside = 0.0;
        for at in 0..self.count {
            let length = (self.months.0 + (self.months.1 - self.months.0) * rng.uniform()).min(part);
            let start = part * crate::num::float(at) + (part - length) * rng.uniform();
            inside += (self.horizon.min(start + length) - start).max(0.0);
        }
        if self.horizon > 0.0 { (inside / self.horizon).min(1.0) } else { 0.0 }
    }
}

fn first(expected: f64, u: f64) -> f64 {
    if expected <= 0.0 {
        return 1.0;
    }
    // P(T ≤ t) = 1 − exp(−expected · t) on [0, 1).
    (-(1.0 - u).ln() / expected).min(1.0)
}

fn triangular(low: f64, mode: f64, high: f64, u: f64) -> f64 {
    let width = high - low;
    if width <= 0.0 {
        return mode;
    }
    let split = (mode - low) / width;
    if u < split {
        low + (u * width * (mode - low)).sqrt()
    } else {
        high - ((1.0 - u) * width * (high - mode)).sqrt()
    }
}

/// z of the 90 % quantile.
const Z90: f64 = 1.281_551_565_544_600_4;

fn halves(p10: f64, p50: f64, p90: f64, u: f64) -> f64 {
    let z = normal(u) / Z90;
    let positive = p10 > 0.0 && p50 > 0.0 && p90 > 0.0;
    if positive {
        let step = if z < 0.0 { p50 / p10 } else { p90 / p50 };
        return p50 * step.powf(z);
    }
    p50 + z * if z < 0.0 { p50 - p10 } else { p90 - p50 }
}

/// The inverse of the standard normal distribution, relative error below 1.2e-9: the rational approximation that Peter
/// Acklam published in 2003.
pub(crate) fn normal(u: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    const TAIL: f64 = 0.02425;
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if u < TAIL {
        let q = (-2.0 * u.ln()).sqrt();
        poly(&C, q) / (poly(&D, q) * q + 1.0)
    } else if u <= 1.0 - TAIL {
        let q = u - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    } else {
        let q = (-2.0 * (1.0 - u).ln()).sqrt();
        -poly(&C, q) / (poly(&D, q) * q + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn quantiles_are_those_that_were_stated() {
        close(normal(0.5), 0.0);
        close(normal(0.975), 1.959_963_985);
        close(normal(0.001), -3.090_232_306);
        for dist in [Dist::Quantiles(1.0, 2.0, 5.0), Dist::Quantiles(-1.0, 2.0, 5.0)] {
            close(dist.quantile(0.5), 2.0);
            close(dist.quantile(0.9), 5.0);
        }
        close(Dist::Quantiles(1.0, 2.0, 5.0).quantile(0.1), 1.0);
        close(Dist::Uniform(2.0, 4.0).quantile(0.25), 2.5);
        close(Dist::Triangular(0.0, 1.0, 2.0).quantile(0.5), 1.0);
        close(Dist::LogNormal(3.0, 0.2).quantile(0.5), 3.0);
    }

    #[test]
    fn shortages_cover_the_share_of_time_that_the_article_says() {
        // Audit G5: two crunches of 6 to 10 weeks in 24 months are 11.5 to 19.2 % of the time.
        let weeks = 7.0 / (365.0 / 12.0);
        let spells = Spells { months: (6.0 * weeks, 10.0 * weeks), window: 24.0, count: 2, horizon: 24.0 };
        let dist = Dist::Spells(spells.clone());
        let mut rng = Rng::new(1);
        let draws: Vec<f64> = (0..10_000).map(|_| dist.sample(&mut rng)).collect();
        let least = draws.iter().copied().fold(f64::INFINITY, f64::min);
        let most = draws.iter().copied().fold(0.0, f64::max);
        assert!(least >= 0.1148 && most <= 0.1920, "{least} {most}");
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.1533).abs() < 0.001, "{mean}");
        // Over the first year alone the share varies more, and its mean is the same.
        let year = Dist::Spells(Spells { horizon: 12.0, ..spells });
        let mean = (0..10_000).map(|_| year.sample(&mut rng)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.1533).abs() < 0.003, "{mean}");
    }

    #[test]
    fn an_event_happens_as_often_as_expected() {
        let dist = Dist::FirstEvent(0.5);
        let mut rng = Rng::new(3);
        let happened = (0..20_000).filter(|_| dist.sample(&mut rng) < 1.0).count();
        let share = crate::num::float(happened) / 20_000.0;
        assert!((share - (1.0 - (-0.5f64).exp())).abs() < 0.01, "{share}");
    }
}
