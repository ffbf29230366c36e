//! Formula, measurements and bands put together: the answer for a load.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Hardware;

use super::calibration::{Bands, Calibration, Coefficients, Nearness, Widths};
use super::estimate::{Basis, Estimate, Speed, closed_loop};
use super::load::{Arrivals, Load};
use super::physics::{self, Terms};
use super::points::Point;
use super::smooth::{Leftover, Place, Smoother, ignorance, likeness, outliers};

/// Variances of the offline rows are larger: they come from many more shapes, and the batch is not stated.
const OFFLINE_SCALE: f64 = 9.0;
/// An accelerator with fewer rows than this says little about its likes.
const WELL_MEASURED: usize = 100;
/// A time per token further off than this (in logarithms) is a run that something else slowed down: it must not teach
/// other accelerators more than so much. One's own bench is believed whole.
const WORST_TPOT: f64 = 0.5;
/// A time to the first token further off than this (in logarithms) is a queue that the formula does not know.
const WORST_TTFT: f64 = 2.5;

/// A measurement that can be learned from.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub load: Load<'static>,
    pub ttft_ms: Option<f64>,
    pub tpot_ms: Option<f64>,
    pub output_tok_s: Option<f64>,
    /// From one's own bench.
    pub own: bool,
    /// Extra variance, if it is a known outlier.
    pub extra: f64,
    pub id: String,
}

impl Sample {
    pub(super) fn of(point: &Point, own: bool) -> Result<Self, Vec<String>> {
        Ok(Self {
            load: point.row.load()?,
            ttft_ms: point.ttft_ms.filter(|v| *v > 0.0),
            tpot_ms: point.tpot_ms.filter(|v| *v > 0.0),
            output_tok_s: point.output_tok_s.filter(|v| *v > 0.0),
            own,
            extra: 0.0,
            id: point.row.id.clone(),
        })
    }

    /// Has a fixed load and a latency per token.
    pub(super) fn is_loaded(&self) -> bool {
        self.load.arrivals != Arrivals::Offline && self.tpot_ms.is_some()
    }

    /// Everything was queued at once.
    pub(super) fn is_offline(&self) -> bool {
        self.load.arrivals == Arrivals::Offline && self.output_tok_s.is_some()
    }
}

/// What is known of one kind of model.
#[derive(Clone, Debug)]
pub(super) struct Part {
    coefficients: Coefficients,
    bands: Nearness,
    loaded: Option<Smoother>,
    offline: Option<Smoother>,
    samples: Vec<Sample>,
    curves: BTreeSet<u64>,
    gpus: BTreeMap<u64, (&'static Hardware, usize)>,
    /// Replicas that one's own bench measured.
    own: BTreeSet<u64>,
}

/// The answer for one load, before it is turned into bands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub tpot_ms: f64,
    pub ttft_ms: f64,
    pub output_tok_s: f64,
    /// Deviation of the logarithm of the time per token, or of the throughput when everything is queued.
    pub deviation: f64,
    pub widths: Widths,
    pub basis: Basis,
}

impl Part {
    /// Learns from samples of one kind of model. With `find_outliers` those that the others contradict are found;
    /// else the samples say themselves.
    pub(super) fn learn(
        coefficients: Coefficients,
        bands: Nearness,
        mut samples: Vec<Sample>,
        find_outliers: bool,
    ) -> Self {
        let own: BTreeSet<u64> = samples.iter().filter(|s| s.own).map(|s| s.load.circles.place).collect();
        let terms = |s: &Sample| physics::terms(&coefficients.step, &s.load);
        let place = |s: &Sample| Place::of(&s.load, &terms(s), s.own);
        let (loaded, rest): (Vec<Sample>, Vec<Sample>) = samples.drain(..).partition(Sample::is_loaded);
        let mut loaded = loaded;
        let offline: Vec<Sample> = rest.into_iter().filter(Sample::is_offline).collect();

        let places: Vec<Place> = loaded.iter().map(place).collect();
        let log = |measured: Option<f64>, modelled: f64| measured.map_or(0.0, |m| (m / modelled).ln());
        let tpot: Vec<f64> = loaded
            .iter()
            .map(|s| {
                let worst = if s.own { f64::INFINITY } else { WORST_TPOT };
                log(s.tpot_ms, terms(s).tpot).clamp(-worst, worst)
            })
            .collect();
        let ttft: Vec<f64> = loaded
            .iter()
            .map(|s| {
                let modelled = physics::ttft_ms(&coefficients.first_token, &s.load, &terms(s));
                log(s.ttft_ms, modelled).clamp(-WORST_TTFT, WORST_TTFT)
            })
            .collect();
        if find_outliers {
            let extra = outliers(&places, &tpot, 1.0);
            for (sample, extra) in loaded.iter_mut().zip(extra) {
                sample.extra = if sample.own { 0.0 } else { extra };
            }
        }
        let extra: Vec<f64> = loaded.iter().map(|s| s.extra).collect();
        let loaded_smoother = Smoother::learn(places, &extra, &[tpot, ttft], 1.0);

        let places: Vec<Place> = offline.iter().map(place).collect();
        let rates: Vec<f64> = offline
            .iter()
            .map(|s| log(s.output_tok_s, physics::saturated_tok_s(&s.load, &terms(s)) * coefficients.offline))
            .collect();
        let offline_smoother = Smoother::learn(places, &vec![0.0; rates.len()], &[rates], OFFLINE_SCALE);

        loaded.extend(offline);
        let mut gpus = BTreeMap::new();
        for sample in &loaded {
            gpus.entry(sample.load.circles.gpu).or_insert((sample.load.gpu, 0)).1 += 1;
        }
        let circle = |pick: fn(&Sample) -> u64| -> BTreeSet<u64> { loaded.iter().map(pick).collect() };
        Self {
            coefficients,
            bands,
            loaded: loaded_smoother,
            offline: offline_smoother,
            curves: circle(|s| s.load.circles.curve),
            gpus,
            own,
            samples: loaded,
        }
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How like the nearest well-measured accelerator is, 0 to 1.
    pub(super) fn likeness(&self, load: &Load<'_>) -> f64 {
        if self.gpus.contains_key(&load.circles.gpu) {
            return 1.0;
        }
        let well = self.gpus.values().filter(|(_, rows)| *rows >= WELL_MEASURED);
        well.map(|(known, _)| likeness(known, load.gpu)).fold(0.0, f64::max)
    }

    fn widths(&self, load: &Load<'_>, basis: Basis) -> Widths {
        if basis == Basis::OwnBench {
            self.bands.own_bench
        } else if self.curves.contains(&load.circles.curve) {
            self.bands.known_curve
        } else {
            self.bands.stranger(self.likeness(load))
        }
    }

    /// Who can speak of this load, and the measurement if it is the very same.
    fn basis(&self, load: &Load<'_>) -> (Basis, Option<&Sample>) {
        let same = |s: &&Sample| s.load.circles.curve == load.circles.curve;
        let mut own = self.samples.iter().filter(|s| s.own && s.load.circles.place == load.circles.place);
        if own.next().is_some() {
            let mut own = self.samples.iter().filter(|s| s.own).filter(same);
            return (Basis::OwnBench, own.find(|s| s.load.concurrency.total_cmp(&load.concurrency).is_eq()));
        }
        let curve: Vec<&Sample> = self.samples.iter().filter(same).collect();
        let exact =
            curve.iter().find(|s| s.load.concurrency.total_cmp(&load.concurrency).is_eq() && s.extra <= 0.0);
        if let Some(exact) = exact {
            return (Basis::Measured, Some(exact));
        }
        let at = |s: &&Sample| s.load.concurrency;
        let least = curve.iter().map(at).fold(f64::INFINITY, f64::min);
        let most = curve.iter().map(at).fold(0.0, f64::max);
        let inside = curve.len() > 1 && (least / 2.0..=most * 2.0).contains(&load.concurrency);
        (if inside { Basis::Interpolated } else { Basis::Modelled }, None)
    }

    /// The answer for a load.
    pub(super) fn guess(&self, load: &Load<'_>) -> Guess {
        let terms = physics::terms(&self.coefficients.step, load);
        let place = Place::of(load, &terms, self.own.contains(&load.circles.place));
        if load.arrivals == Arrivals::Offline {
            return self.guess_offline(load, &terms, &place);
        }
        let unknown = || Leftover { means: vec![0.0, 0.0], deviation: ignorance(&place, 1.0) };
        let leftover = self.loaded.as_ref().map_or_else(unknown, |smoother| smoother.at(&place));
        let (basis, exact) = self.basis(load);
        let mean = |at: usize| leftover.means.get(at).copied().unwrap_or(0.0).exp();
        let modelled = physics::ttft_ms(&self.coefficients.first_token, load, &terms);
        let tpot_ms = exact.and_then(|s| s.tpot_ms).unwrap_or(terms.tpot * mean(0));
        let ttft_ms = exact.and_then(|s| s.ttft_ms).unwrap_or(modelled * mean(1));
        let closed = closed_loop(load.concurrency, load.stated_osl, ttft_ms, tpot_ms);
        Guess {
            tpot_ms,
            ttft_ms,
            output_tok_s: exact.and_then(|s| s.output_tok_s).unwrap_or(closed),
            deviation: leftover.deviation,
            widths: self.widths(load, basis),
            basis,
        }
    }

    fn guess_offline(&self, load: &Load<'_>, terms: &Terms, place: &Place) -> Guess {
        let modelled = physics::saturated_tok_s(load, terms) * self.coefficients.offline;
        let unknown = || Leftover { means: vec![0.0], deviation: ignorance(place, OFFLINE_SCALE) };
        let leftover = self.offline.as_ref().map_or_else(unknown, |smoother| smoother.at(place));
        let (basis, exact) = self.basis(load);
        let rate = modelled * leftover.means.first().copied().unwrap_or(0.0).exp();
        let output_tok_s = exact.and_then(|s| s.output_tok_s).unwrap_or(rate);
        Guess {
            tpot_ms: terms.batch * load.layout.copies / output_tok_s * 1e3,
            ttft_ms: physics::ttft_ms(&self.coefficients.first_token, load, terms),
            output_tok_s,
            deviation: leftover.deviation,
            widths: self.widths(load, basis),
            basis,
        }
    }
}

impl Guess {
    /// With bands.
    pub(super) fn speed(&self, load: &Load<'_>) -> Speed {
        let band = |value: f64, width: f64| {
            let factor = (self.deviation * width).exp();
            Estimate { value, low: value / factor, high: value * factor }
        };
        let offline = load.arrivals == Arrivals::Offline;
        let rate = if offline { self.widths.offline } else { self.widths.throughput };
        Speed {
            ttft_ms: band(self.ttft_ms, self.widths.ttft),
            tpot_ms: band(self.tpot_ms, if offline { rate } else { self.widths.tpot }),
            output_tok_s: band(self.output_tok_s, rate),
            basis: self.basis,
        }
    }
}

/// Both kinds of models.
#[derive(Clone, Debug)]
pub(super) struct Model {
    dense: Part,
    moe: Part,
}

impl Model {
    /// Learns from samples under a calibration.
    pub(super) fn learn(calibration: &Calibration, samples: Vec<Sample>) -> Self {
        let mut samples = samples;
        for sample in &mut samples {
            sample.extra = calibration.outliers.get(&sample.id).copied().unwrap_or(0.0);
        }
        let (dense, moe): (Vec<Sample>, Vec<Sample>) =
            samples.into_iter().partition(|s| s.load.model.is_dense());
        let Bands { dense: dense_bands, moe: moe_bands } = calibration.bands;
        Self {
            dense: Part::learn(calibration.dense, dense_bands, dense, false),
            moe: Part::learn(calibration.moe, moe_bands, moe, false),
        }
    }

    /// The samples behind it.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.dense.samples().iter().chain(self.moe.samples())
    }

    /// The speed under a load.
    pub(super) fn speed(&self, load: &Load<'_>) -> Speed {
        let part = if load.model.is_dense() { &self.dense } else { &self.moe };
        part.guess(load).speed(load)
    }
}
