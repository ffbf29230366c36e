//! The fit, and its errors by cross-validation.
//!
//! What is scored is always out of sample, and by group: single points of curves whose other points are known, whole
//! curves, whole accelerators. Splitting rows at random would score a look-up in a table. The folds follow from the
//! rows' identifiers, so the same file gives the same figures anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::calibration::{Bands, Calibration, Coefficients, GroupError, Nearness, Widths};
use super::least_squares;
use super::load::{Arrivals, Load};
use super::model::{Part, Sample};
use super::physics::{self, Constants, FirstToken};
use super::points::Point;
use super::roofline;

/// Residuals of the time per token and of the time to the first token are measured in these units.
const TPOT_UNIT: f64 = 0.1;
const TTFT_UNIT: f64 = 0.3;
const FOLDS: u64 = 5;
/// Accelerators less alike than this to any measured one set the width of the band for unknown ones.
const STRANGER: f64 = 0.5;
/// A fold with fewer samples than this cannot be fitted.
const LEAST: usize = 8;

/// What is left out, and what the errors are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    Points,
    Curves,
    Gpus,
}

impl LeftOut {
    /// The fold that a sample is predicted in; None if it is never left out.
    fn fold(self, sample: &Sample, known: &BTreeMap<u64, Curve>) -> Option<u64> {
        let curve = known.get(&sample.load.circles.curve)?;
        match self {
            // What is left of a curve must still be a curve.
            Self::Points => (curve.points >= 3).then(|| digits(&sample.id) % FOLDS),
            Self::Curves => Some(curve.first % FOLDS),
            Self::Gpus => Some(sample.load.circles.gpu),
        }
    }
}

/// A curve's number of points, and the least of their identifiers.
struct Curve {
    points: usize,
    first: u64,
}

/// The first hexadecimal digits of a row's identifier, as a number.
fn digits(id: &str) -> u64 {
    u64::from_str_radix(id.get(..8).unwrap_or(id), 16).unwrap_or_else(|_| id.bytes().map(u64::from).sum())
}

/// One prediction of a left-out sample.
struct Outcome {
    quantity: Quantity,
    measured: f64,
    predicted: f64,
    roofline: f64,
    deviation: f64,
    /// How like the nearest measured accelerator is, 0 to 1.
    likeness: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Quantity {
    Tpot,
    Ttft,
    Throughput,
    Offline,
}

impl Quantity {
    const ALL: [Self; 4] = [Self::Tpot, Self::Ttft, Self::Throughput, Self::Offline];

    fn name(self) -> &'static str {
        match self {
            Self::Tpot => "tpot",
            Self::Ttft => "ttft",
            Self::Throughput => "throughput",
            Self::Offline => "offline throughput",
        }
    }
}

impl Outcome {
    fn error(&self) -> f64 {
        (self.predicted / self.measured - 1.0).abs()
    }

    /// Error in standard deviations of the smoother, in logarithms.
    fn deviations(&self) -> f64 {
        (self.measured / self.predicted).ln().abs() / self.deviation
    }
}

/// Fits constants, bands and errors to measurements. `source` and `made_by` go into the file as they are.
///
/// Says which rows cannot be used. Deterministic; takes some minutes of one core for two thousand rows.
pub fn calibrate(points: &[Point], source: &str, made_by: &str) -> Result<Calibration, Vec<String>> {
    let (mut samples, mut wrong) = (Vec::new(), Vec::new());
    for (at, point) in points.iter().enumerate() {
        match Sample::of(point, false) {
            Ok(sample) if sample.is_loaded() || sample.is_offline() => samples.push(sample),
            Ok(_) => {}
            Err(why) => wrong.extend(why.iter().map(|why| format!("row {}: {why}", at + 1))),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let (dense, moe): (Vec<Sample>, Vec<Sample>) = samples.into_iter().partition(|s| s.load.model.is_dense());
    if dense.len() < LEAST || moe.len() < LEAST {
        return Err(vec![format!(
            "{} rows of dense models and {} of mixtures are too few to fit",
            dense.len(),
            moe.len()
        )]);
    }
    let mut errors = Vec::new();
    let mut outliers = BTreeMap::new();
    let (dense, dense_bands) = kind(&dense, "dense", &mut errors, &mut outliers);
    let (moe, moe_bands) = kind(&moe, "moe", &mut errors, &mut outliers);
    Ok(Calibration {
        version: 1,
        made_by: made_by.to_owned(),
        source: source.to_owned(),
        dense,
        moe,
        bands: Bands { dense: dense_bands, moe: moe_bands },
        errors,
        outliers,
    })
}

/// Everything of one kind of model.
fn kind(
    samples: &[Sample],
    name: &str,
    errors: &mut Vec<GroupError>,
    outliers: &mut BTreeMap<String, f64>,
) -> (Coefficients, Nearness) {
    let coefficients = fit(samples);
    let whole = Part::learn(coefficients, Nearness::WIDE, samples.to_vec(), true);
    for sample in whole.samples().iter().filter(|s| s.extra > 0.0) {
        outliers.insert(sample.id.clone(), (sample.extra * 1e6).round() / 1e6);
    }
    let points = validated(whole.samples(), LeftOut::Points);
    let curves = validated(whole.samples(), LeftOut::Curves);
    let gpus = validated(whole.samples(), LeftOut::Gpus);
    let bench = benched(whole.samples(), coefficients);
    let bands = Nearness {
        known_curve: widths(&points),
        unseen_curve: widths(&curves),
        unseen_gpu: widths(gpus.iter().filter(|o| o.likeness < STRANGER)),
        own_bench: widths(&bench),
    };
    let mut told = |outcomes: &[Outcome], left_out: &str, widths: &dyn Fn(&Outcome) -> Widths| {
        errors.extend(Quantity::ALL.iter().filter_map(|q| group_error(outcomes, name, left_out, *q, widths)));
    };
    told(&points, "points", &|_| bands.known_curve);
    told(&curves, "curves", &|_| bands.unseen_curve);
    told(&gpus, "gpus", &|o| bands.stranger(o.likeness));
    told(&bench, "bench", &|_| bands.own_bench);
    (coefficients, bands)
}

/// The constants that fit best.
fn fit(samples: &[Sample]) -> Coefficients {
    let loaded: Vec<(&Load<'static>, &Sample)> =
        samples.iter().filter(|s| s.is_loaded()).map(|s| (&s.load, s)).collect();
    let step = least_squares::fit(&Constants::START, &Constants::SPREAD, |theta| {
        let c = Constants::from_array(*theta);
        let residual = |(load, s): &(&Load<'static>, &Sample)| {
            let measured = s.tpot_ms.unwrap_or(1.0);
            (physics::terms(&c, load).tpot / measured).ln() / TPOT_UNIT
        };
        loaded.iter().map(residual).collect()
    });
    let step = Constants::from_array(step);
    let timed: Vec<_> = loaded
        .iter()
        .filter_map(|(load, s)| Some((*load, physics::terms(&step, load), s.ttft_ms?)))
        .collect();
    let first = least_squares::fit(&FirstToken::START, &FirstToken::SPREAD, |theta| {
        let c = FirstToken::from_array(*theta);
        let residual = |(load, terms, measured): &(&Load<'static>, physics::Terms, f64)| {
            (physics::ttft_ms(&c, load, terms) / measured).ln() / TTFT_UNIT
        };
        timed.iter().map(residual).collect()
    });
    let mut ratios: Vec<f64> = samples
        .iter()
        .filter(|s| s.is_offline())
        .filter_map(|s| {
            let terms = physics::terms(&step, &s.load);
            Some(s.output_tok_s? / physics::saturated_tok_s(&s.load, &terms))
        })
        .collect();
    let offline = quantile(&mut ratios, 0.5).unwrap_or(1.0);
    Coefficients { offline, step, first_token: FirstToken::from_array(first) }
}

/// Predictions of every sample by a model that has not seen its group.
fn validated(samples: &[Sample], left_out: LeftOut) -> Vec<Outcome> {
    let mut known: BTreeMap<u64, Curve> = BTreeMap::new();
    for sample in samples {
        let curve = known.entry(sample.load.circles.curve).or_insert(Curve { points: 0, first: u64::MAX });
        curve.points += 1;
        curve.first = curve.first.min(digits(&sample.id));
    }
    let fold = |sample: &Sample| left_out.fold(sample, &known);
    let folds: BTreeSet<u64> = samples.iter().filter_map(fold).collect();
    let mut outcomes = Vec::new();
    for this in folds {
        let (tests, training): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| fold(sample) == Some(this));
        if training.iter().filter(|s| s.is_loaded()).count() < LEAST {
            continue;
        }
        let training: Vec<Sample> = training.into_iter().cloned().collect();
        let part = Part::learn(fit(&training), Nearness::WIDE, training, true);
        for test in tests {
            outcomes.extend(compare(&part, test));
        }
    }
    outcomes
}

/// For each curve of at least four points: all else is known, and of the curve three points of one's own bench.
fn benched(samples: &[Sample], coefficients: Coefficients) -> Vec<Outcome> {
    let mut curves: BTreeMap<u64, Vec<&Sample>> = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.is_loaded()) {
        curves.entry(sample.load.circles.curve).or_default().push(sample);
    }
    let mut outcomes = Vec::new();
    for (curve, mut points) in curves {
        points.sort_by(|a, b| a.load.concurrency.total_cmp(&b.load.concurrency));
        if points.len() < 4 {
            continue;
        }
        let kept = [0, (points.len() - 1) / 2, points.len() - 1];
        let (mut own, mut tests) = (Vec::new(), Vec::new());
        for (at, point) in points.into_iter().enumerate() {
            if kept.contains(&at) {
                own.push(Sample { own: true, extra: 0.0, ..point.clone() });
            } else {
                tests.push(point);
            }
        }
        let others = samples.iter().filter(|s| s.is_loaded() && s.load.circles.curve != curve).cloned();
        let part = Part::learn(coefficients, Nearness::WIDE, own.into_iter().chain(others).collect(), false);
        for test in tests {
            outcomes.extend(compare(&part, test));
        }
    }
    outcomes
}

/// What a sample measured beside what was predicted.
fn compare(part: &Part, test: &Sample) -> Vec<Outcome> {
    let load = &test.load;
    let guess = part.guess(load);
    let outcome = |quantity, measured, predicted, roofline| Outcome {
        quantity,
        measured,
        predicted,
        roofline,
        deviation: guess.deviation,
        likeness: part.likeness(load),
    };
    if load.arrivals == Arrivals::Offline {
        let Some(measured) = test.output_tok_s else { return Vec::new() };
        // The roofline has no limit of its own, so it gets the batch that the memory allows.
        let batch = guess.tpot_ms * guess.output_tok_s / 1e3;
        let plain = Load { concurrency: batch, ..load.clone() };
        let rate = batch / roofline::tpot_ms(&plain) * 1e3;
        return vec![outcome(Quantity::Offline, measured, guess.output_tok_s, rate)];
    }
    let closed = |ttft, tpot| super::estimate::closed_loop(load.concurrency, load.stated_osl, ttft, tpot);
    let (ttft, tpot) = (roofline::ttft_ms(load), roofline::tpot_ms(load));
    let mut outcomes = Vec::new();
    if let Some(measured) = test.tpot_ms {
        outcomes.push(outcome(Quantity::Tpot, measured, guess.tpot_ms, tpot));
    }
    if let Some(measured) = test.ttft_ms {
        outcomes.push(outcome(Quantity::Ttft, measured, guess.ttft_ms, ttft));
    }
    // Where the throughput was not measured it follows from both latencies and the fixed load.
    let follows = || Some(closed(test.ttft_ms?, test.tpot_ms?));
    if let Some(measured) = test.output_tok_s.or_else(follows) {
        outcomes.push(outcome(Quantity::Throughput, measured, guess.output_tok_s, closed(ttft, tpot)));
    }
    outcomes
}

fn widths<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Widths {
    let mut by_quantity: BTreeMap<Quantity, Vec<f64>> = BTreeMap::new();
    for outcome in outcomes {
        by_quantity.entry(outcome.quantity).or_default().push(outcome.deviations());
    }
    let mut width = |quantity| {
        let deviations = by_quantity.get_mut(&quantity);
        let width = deviations.and_then(|deviations| quantile(deviations, 0.9)).unwrap_or(2.5);
        (width * 1e4).round() / 1e4
    };
    Widths {
        tpot: width(Quantity::Tpot),
        ttft: width(Quantity::Ttft),
        throughput: width(Quantity::Throughput),
        offline: width(Quantity::Offline),
    }
}

impl Widths {
    fn of(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Tpot => self.tpot,
            Quantity::Ttft => self.ttft,
            Quantity::Throughput => self.throughput,
            Quantity::Offline => self.offline,
        }
    }
}

fn group_error(
    outcomes: &[Outcome],
    models: &str,
    left_out: &str,
    quantity: Quantity,
    widths: &dyn Fn(&Outcome) -> Widths,
) -> Option<GroupError> {
    let of: Vec<&Outcome> = outcomes.iter().filter(|o| o.quantity == quantity).collect();
    let mut errors: Vec<f64> = of.iter().map(|o| o.error()).collect();
    let roofline: Vec<f64> = of.iter().map(|o| (o.roofline / o.measured - 1.0).abs()).collect();
    let inside = of.iter().filter(|o| o.deviations() <= widths(o).of(quantity)).count();
    let round = |value: f64| (value * 1e4).round() / 1e4;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count(values.len());
    Some(GroupError {
        models: models.to_owned(),
        left_out: left_out.to_owned(),
        quantity: quantity.name().to_owned(),
        rows: errors.len(),
        mean: round(mean(&errors)),
        roofline_mean: round(mean(&roofline)),
        coverage: round(count(inside) / count(errors.len())),
        median: round(quantile(&mut errors, 0.5)?),
        p90: round(quantile(&mut errors, 0.9)?),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
fn count(n: usize) -> f64 {
    n as f64
}

/// The least value that at least a share `q` of the values do not exceed.
fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the number of values")]
    let at = (count(values.len()) * q).ceil() as usize;
    values.get(at.saturating_sub(1)).copied()
}
