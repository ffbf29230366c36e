//! The traffic as numbers: tokens of each class in a month, and the shape of the week.

use crate::inputs::{Values, Var};
use crate::scenario::Shape;

/// What a volume counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VolumeUnit {
    Requests,
    OutputTokens,
    TotalTokens,
}

/// A class of requests.
#[derive(Clone, Debug)]
pub(crate) struct ClassVars {
    pub name: String,
    pub share: Var,
    pub input: Var,
    pub output: Var,
    pub cached: Option<Var>,
    pub written: Option<Var>,
    pub reasoning: Option<Var>,
    pub batch: Option<Var>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub classes: Vec<ClassVars>,
    /// A day in the first month.
    pub volume: Var,
    pub unit: VolumeUnit,
    /// A factor on the volume: 1 in the scenario, moved by curves and grids.
    pub scale: Var,
    pub growth: Option<Var>,
    pub horizon: usize,
    /// Busiest hour over mean hour, where the scenario says only that.
    pub peak: Option<Var>,
    /// Deviation of each hour from the mean over that of the busiest: 1 there, negative where it is quiet.
    pub deviation: Vec<f64>,
    /// Peak over mean of the stated hours; 1 + (this − 1) · deviation is the shape.
    pub stated_peak: f64,
}

/// Tokens of one class in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Flow {
    pub requests: f64,
    pub input: f64,
    pub output: f64,
    /// Share of the input that the prompt cache serves.
    pub cached: f64,
    /// Share of the input that is written to it.
    pub written: f64,
    /// Share of the output that nobody sees.
    pub reasoning: f64,
    /// Share of all of it that can wait a day.
    pub batch: f64,
}

impl Flow {
    /// Input tokens of a request: decides a long-context bracket.
    pub fn length(&self) -> f64 {
        if self.requests > 0.0 { self.input / self.requests } else { 0.0 }
    }

    /// A part: shares of requests, input and output.
    #[must_use]
    pub fn part(&self, requests: f64, input: f64, output: f64) -> Self {
        Self {
            requests: self.requests * requests,
            input: self.input * input,
            output: self.output * output,
            ..*self
        }
    }

    /// With that many fresh input tokens more.
    #[must_use]
    pub fn with_fresh_input(&self, more: f64) -> Self {
        let input = self.input + more;
        let kept = if input > 0.0 { self.input / input } else { 0.0 };
        Self { input, cached: self.cached * kept, written: self.written * kept, ..*self }
    }
}

/// One set of values with what every stack needs of them.
pub(crate) struct World<'a> {
    pub x: Values<'a>,
    pub traffic: &'a Traffic,
    /// Of the first month.
    pub flows: Vec<Flow>,
    /// Growth of requests a month.
    pub growth: f64,
    /// Mean over the horizon of the volume over that of the first month.
    pub mean_growth: f64,
    /// Requests a month, mean over the horizon.
    pub requests: f64,
    pub output: f64,
    pub input: f64,
}

impl Traffic {
    /// Everything that follows from one set of values.
    pub fn world<'a>(&'a self, x: Values<'a>) -> World<'a> {
        let at = |var: &Option<Var>| var.map_or(0.0, |var| x.at(var));
        let shares: f64 = self.classes.iter().map(|class| x.at(class.share)).sum();
        let mean = |of: fn(&ClassVars) -> Var| -> f64 {
            self.classes.iter().map(|class| x.at(class.share) * x.at(of(class))).sum::<f64>() / shares
        };
        let volume = x.at(self.volume) * x.at(self.scale);
        let requests_per_day = match self.unit {
            VolumeUnit::Requests => volume,
            VolumeUnit::OutputTokens => volume / mean(|class| class.output),
            VolumeUnit::TotalTokens => volume / (mean(|class| class.input) + mean(|class| class.output)),
        };
        let requests = requests_per_day * crate::scenario::DAYS;
        let flow = |class: &ClassVars| {
            let requests = requests * x.at(class.share) / shares;
            let cached = at(&class.cached).clamp(0.0, 1.0);
            Flow {
                requests,
                input: requests * x.at(class.input),
                output: requests * x.at(class.output),
                cached,
                written: at(&class.written).clamp(0.0, 1.0 - cached),
                reasoning: at(&class.reasoning),
                batch: at(&class.batch),
            }
        };
        let flows: Vec<Flow> = self.classes.iter().map(flow).collect();
        let growth = at(&self.growth);
        let mean_growth = mean_of_powers(1.0 + growth, self.horizon);
        let sum = |of: fn(&Flow) -> f64| flows.iter().map(of).sum::<f64>() * mean_growth;
        World {
            x,
            traffic: self,
            growth,
            mean_growth,
            requests: sum(|flow| flow.requests),
            output: sum(|flow| flow.output),
            input: sum(|flow| flow.input),
            flows,
        }
    }

    /// Busiest hour over mean hour.
    pub fn peak(&self, x: Values<'_>) -> f64 {
        self.peak.map_or(self.stated_peak, |peak| x.at(peak))
    }

    /// Traffic of an hour over the mean hour.
    #[inline]
    pub fn hour(peak: f64, deviation: f64) -> f64 {
        let hour = (peak - 1.0).mul_add(deviation, 1.0);
        // A quiet hour is quiet to the last bit: rounding alone starts no machine.
        if hour > 1e-9 { hour } else { 0.0 }
    }
}

impl World<'_> {
    /// Mean over the horizon of volume times price, both over the first month's, when prices change by `drift` in
    /// `months`, continuously compounded; months are priced at their middle.
    pub fn drifting(&self, drift: f64, months: f64) -> f64 {
        if drift == 0.0 {
            return self.mean_growth;
        }
        let monthly = (1.0 + drift).powf(1.0 / months);
        mean_of_powers((1.0 + self.growth) * monthly, self.traffic.horizon) * monthly.sqrt()
    }
}

/// Mean of 1, q, q², … over n terms.
pub(crate) fn mean_of_powers(q: f64, n: usize) -> f64 {
    let n_float = crate::num::float(n.max(1));
    if (q - 1.0).abs() < 1e-9 {
        return 1.0;
    }
    (q.powf(n_float) - 1.0) / (q - 1.0) / n_float
}

/// The shape of the hours: deviations over the busiest one's, and the busiest over the mean.
pub(crate) fn deviations(shape: &Shape) -> (Vec<f64>, f64) {
    let hours = match shape {
        Shape::PeakToMean(peak) => daily_curve(peak.base),
        Shape::Week(hours) | Shape::Hours(hours) => hours.clone(),
    };
    let peak = hours.iter().copied().fold(1.0, f64::max);
    let of = |hour: &f64| if peak > 1.0 + 1e-9 { (hour - 1.0) / (peak - 1.0) } else { 0.0 };
    (hours.iter().map(of).collect(), peak)
}

/// A day whose busiest hour (15:00) is `peak` times the mean: exp(k·cos) with k found by bisection. Real days are neither
/// so smooth nor so symmetric; where only the peak is known, this is the assumption.
fn daily_curve(peak: f64) -> Vec<f64> {
    let day = |k: f64| -> Vec<f64> {
        let angle = |hour: u32| (f64::from(hour) - 15.0) * std::f64::consts::TAU / 24.0;
        let raw: Vec<f64> = (0..24).map(|hour| (k * (angle(hour).cos() - 1.0)).exp()).collect();
        let mean = raw.iter().sum::<f64>() / 24.0;
        raw.into_iter().map(|hour| hour / mean).collect()
    };
    // One hour of 24 cannot be more than 24 times the mean.
    let wanted = peak.clamp(1.01, 23.0);
    let (mut low, mut high) = (0.0, 400.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        let reached = day(middle).into_iter().fold(1.0, f64::max);
        if reached < wanted { low = middle } else { high = middle }
    }
    day(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assumed_day_has_the_peak_that_was_stated() {
        for peak in [1.5, 3.0, 8.0] {
            let day = daily_curve(peak);
            let mean = day.iter().sum::<f64>() / 24.0;
            let most = day.iter().copied().fold(0.0, f64::max);
            assert!((mean - 1.0).abs() < 1e-9 && (most - peak).abs() < 1e-6, "{peak}: {mean} {most}");
        }
    }

    #[test]
    fn growth_is_the_mean_of_its_months() {
        let direct = (0..12).map(|m| 1.05f64.powi(m)).sum::<f64>() / 12.0;
        assert!((mean_of_powers(1.05, 12) - direct).abs() < 1e-12);
        assert!((mean_of_powers(1.0, 12) - 1.0).abs() < f64::EPSILON);
    }
}
