//! A replica under a load, with everything that the model needs of it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use catalog::{Hardware, ModelFacts};

use super::memory::{RESERVED, TAKEN, kv_bytes, weight_bytes};
use super::{Lengths, Precision, Setup};

/// The scenario of a question, and of most measurements.
const CLOSED_LOOP: &str = "closed-loop";

/// Engines whose schedulers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Engine {
    TensorRt,
    Vllm,
    Sglang,
}

impl Engine {
    /// An engine that we have not measured is taken for vLLM.
    pub(super) fn of(framework: &str) -> Self {
        let name = framework.to_ascii_lowercase();
        if name.starts_with("trt") || name.starts_with("tensorrt") || name.starts_with("nim") {
            Self::TensorRt
        } else if name.contains("sglang") {
            Self::Sglang
        } else {
            Self::Vllm
        }
    }
}

/// How the load is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Arrivals {
    /// A fixed number of requests in flight.
    Closed,
    /// Everything queued at once: the most that the replica delivers.
    Offline,
    /// `MLPerf`'s server scenarios: Poisson arrivals within limits on the 99th percentile.
    Server,
}

/// How a model is cut over accelerators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    /// Copies of the attention part, each with its own requests.
    pub copies: f64,
    /// Stages of a pipeline.
    pub stages: f64,
}

/// Which measurements speak of the same thing, from the widest circle to the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circles {
    pub engine: u64,
    pub model: u64,
    pub gpu: u64,
    pub set: u64,
    pub version: u64,
    pub layout: u64,
    pub curve: u64,
    /// The replica, whatever runs on it: what one's own bench speaks of.
    pub place: u64,
}

/// The load of one measurement or question.
#[derive(Clone, Debug)]
pub(super) struct Load<'a> {
    pub model: &'a ModelFacts,
    pub gpu: &'a Hardware,
    pub precision: Precision,
    pub engine: Engine,
    pub arrivals: Arrivals,
    pub n_gpu: f64,
    pub layout: Layout,
    /// Requests in flight over the whole replica; infinite when everything is queued.
    pub concurrency: f64,
    pub isl: f64,
    pub osl: f64,
    /// Tokens of an answer as stated; `osl` is their mean where the statement is a maximum.
    pub stated_osl: f64,
    /// Tokens of a prompt that no cache holds.
    pub fresh: f64,
    pub circles: Circles,
}

/// What names a load, as the measurements spell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Names<'a> {
    pub model: &'a str,
    pub gpu: &'a str,
    pub precision: &'a str,
    pub framework: &'a str,
    pub parallel: &'a str,
    pub scenario: &'a str,
    pub n_gpu: u32,
    pub isl: Option<f64>,
    pub osl: Option<f64>,
    pub concurrency: Option<f64>,
    /// Lengths were drawn from 0.8 to 1.0 of the nominal ones (`InferenceX`): their mean is 0.9.
    pub nominal: bool,
}

fn key(parts: &[&str]) -> u64 {
    // Keys are compared within one run only, so the hash need not be stable over versions.
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// Mean lengths of `MLPerf`'s data sets, which its results do not print.
fn mlperf_lengths(model: &ModelFacts) -> (f64, f64) {
    match model.id.as_str() {
        "llama-2-70b" => (294.0, 294.0),
        "mixtral-8x7b" => (380.0, 145.0),
        "llama-3.1-405b" => (9_428.0, 684.0),
        "llama-3.1-8b" => (778.0, 73.0),
        "deepseek-v3" => (800.0, 3_880.0),
        _ => (1_000.0, 500.0),
    }
}

/// The number behind `word` in a layout such as `tp4,pp2` or `tp2dp2-moe_tp1ep4`.
fn count(layout: &str, word: &str) -> Option<f64> {
    let attention = layout.split('-').next().unwrap_or(layout);
    let digits = attention.split(word).nth(1)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

impl Circles {
    fn of(
        model: &ModelFacts,
        gpu: &Hardware,
        precision: Precision,
        arrivals: Arrivals,
        names: &Names<'_>,
        (isl, osl): (f64, f64),
    ) -> Self {
        let engine = format!("{:?}", Engine::of(names.framework));
        let kind = format!("{arrivals:?}");
        let (m, g, p, version) = (&model.id, &gpu.id, precision.name(), names.framework);
        let n = names.n_gpu.to_string();
        // Not the accelerator: what a recipe leaves over on one carries over to its like.
        let recipe = [version, m, p, &n, names.parallel, names.scenario];
        Self {
            engine: key(&[&engine, &kind]),
            model: key(&[m]),
            gpu: key(&[g]),
            set: key(&[&engine, m, p, &kind]),
            version: key(&[version, m, p, &kind]),
            layout: key(&recipe),
            curve: key(&[&recipe[..], &[g, &isl.to_string(), &osl.to_string()]].concat()),
            place: key(&[m, g, p, &n]),
        }
    }
}

impl Layout {
    fn of(parallel: &str, n: f64, mlperf: bool, gpu: &Hardware, weights: f64) -> Self {
        let stages = count(parallel, "pp").unwrap_or(1.0);
        let copies = if mlperf && parallel.is_empty() {
            // Submitters run as many small copies as the node holds.
            let one = gpu.memory_bytes() * TAKEN - RESERVED;
            let least = (weights * 1.15 / one).log2().ceil().max(0.0).exp2();
            (n / least).max(1.0)
        } else if parallel.starts_with("dep") {
            n / stages
        } else {
            count(parallel, "dp").unwrap_or(1.0)
        };
        Self { copies, stages }
    }
}

impl Load<'static> {
    /// The load that `names` describe, or what is wrong with each of them.
    pub(super) fn named(names: &Names<'_>) -> Result<Self, Vec<String>> {
        let model = catalog::architecture::find(names.model).map_err(|e| e.to_string());
        let gpu = catalog::hardware::find(names.gpu).map_err(|e| e.to_string());
        let precision = Precision::named(names.precision).ok_or_else(|| {
            format!("no precision is named `{}`; bf16, fp8, int8, fp4, int4", names.precision)
        });
        match (model, gpu, precision) {
            (Ok(model), Ok(gpu), Ok(precision)) => {
                Self::of(model.model, gpu, precision, names).map_err(|e| vec![e])
            }
            (model, gpu, precision) => {
                Err([model.err(), gpu.err(), precision.err()].into_iter().flatten().collect())
            }
        }
    }
}

impl<'a> Load<'a> {
    /// The load of a question.
    pub(super) fn asked(
        setup: &Setup<'a>,
        lengths: &Lengths,
        concurrency: Option<f64>,
    ) -> Result<Self, String> {
        let parallel = usual_layout(setup.model, setup.n_gpu);
        let names = Names {
            framework: setup.framework,
            parallel: &parallel,
            scenario: CLOSED_LOOP,
            n_gpu: setup.n_gpu,
            isl: Some(lengths.input),
            osl: Some(lengths.output),
            concurrency,
            ..Names::default()
        };
        let mut load = Self::of(setup.model, setup.gpu, setup.precision, &names)?;
        load.fresh = lengths.input * (1.0 - lengths.cached_share.clamp(0.0, 1.0));
        Ok(load)
    }

    fn of(
        model: &'a ModelFacts,
        gpu: &'a Hardware,
        precision: Precision,
        names: &Names<'_>,
    ) -> Result<Self, String> {
        let mlperf = names.scenario.starts_with("MLPerf");
        let (isl, osl) = match (names.isl, names.osl, mlperf) {
            (Some(isl), Some(osl), _) => (isl, osl),
            (isl, osl, true) => {
                let usual = mlperf_lengths(model);
                (isl.unwrap_or(usual.0), osl.unwrap_or(usual.1))
            }
            _ => return Err("isl and osl are needed".to_owned()),
        };
        let concurrency = names.concurrency.unwrap_or(f64::INFINITY);
        let positive = |value: f64| value.is_finite() && value >= 1.0;
        if !positive(isl) || !positive(osl) || concurrency.is_nan() || concurrency <= 0.0 || names.n_gpu == 0
        {
            return Err("isl, osl, concurrency and n_gpu must be positive".to_owned());
        }
        let arrivals = match names.concurrency {
            None => Arrivals::Offline,
            Some(_) if mlperf => Arrivals::Server,
            Some(_) => Arrivals::Closed,
        };
        let shrink = if names.nominal { 0.9 } else { 1.0 };
        let n = f64::from(names.n_gpu);
        let weights = weight_bytes(model, precision);
        Ok(Self {
            model,
            gpu,
            precision,
            engine: Engine::of(names.framework),
            arrivals,
            n_gpu: n,
            layout: Layout::of(names.parallel, n, mlperf, gpu, weights),
            concurrency,
            isl: isl * shrink,
            osl: osl * shrink,
            stated_osl: osl,
            fresh: isl * shrink,
            circles: Circles::of(model, gpu, precision, arrivals, names, (isl, osl)),
        })
    }

    /// Accelerators that hold one copy of the attention part.
    pub(super) fn group(&self) -> f64 {
        (self.n_gpu / self.layout.copies).max(1.0)
    }

    /// Accelerators that must wait for each other in every layer.
    pub(super) fn ring(&self) -> f64 {
        (self.group() / self.layout.stages).max(1.0)
    }

    /// Requests in flight for one copy of the attention part.
    pub(super) fn batch(&self) -> f64 {
        self.concurrency / self.layout.copies
    }

    /// Bytes of a cached value.
    pub(super) fn kv_bytes(&self) -> f64 {
        kv_bytes(self.gpu, self.precision)
    }
}

/// The layout that measurements of a replica on one node mostly have.
pub(super) fn usual_layout(model: &ModelFacts, n: u32) -> String {
    if model.is_dense() { format!("tp{n}") } else { format!("tp{n}-moe_tp{n}ep1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_read_as_the_measurements_write_them() {
        assert_eq!(count("tp4,pp2", "pp"), Some(2.0));
        assert_eq!(count("tp2dp2-moe_tp1ep4", "dp"), Some(2.0));
        assert_eq!(count("tp8-moe_tp8ep1", "dp"), None);
        let gpu = catalog::hardware::find("B200").unwrap();
        assert_eq!(Layout::of("dep8,pp1", 8.0, false, gpu, 1.0), Layout { copies: 8.0, stages: 1.0 });
        // 405 GB at four bits need two B200, so a node of eight runs four copies.
        assert_eq!(Layout::of("", 8.0, true, gpu, 230e9), Layout { copies: 4.0, stages: 1.0 });
    }

    #[test]
    fn every_wrong_name_is_told() {
        let wrong = Load::named(&Names { model: "lama", gpu: "H1", precision: "fp7", ..Names::default() });
        assert_eq!(wrong.unwrap_err().len(), 3);
    }
}
