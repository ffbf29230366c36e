//! The answer: one value that the table, JSON, CSV, the HTML report and the dashboard are made from.
//!
//! Modelled money is `f64` inside and rounded here, where it leaves: totals to cents, prices per unit to six decimals.
//! What is not finite is `null`. Every figure names its unit in its key.

mod what_if;

use serde::{Serialize, Serializer};

pub use what_if::{Bar, Cell, Curve, Flip, Grid, Matrix, MatrixRow, SawTeeth, Series};

use crate::inputs::Basis;

/// A number that is rounded to `D` decimals when it leaves as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rounded<const D: i32>(pub f64);

/// Dollars, to the cent.
pub type Usd = Rounded<2>;
/// Dollars per unit, shares and factors, to six decimals.
pub type Unit = Rounded<6>;
/// Tokens, requests: whole.
pub type Count = Rounded<0>;

impl<const D: i32> Rounded<D> {
    /// The number as it is printed.
    pub fn value(self) -> f64 {
        let scale = 10f64.powi(D);
        let rounded = (self.0 * scale).round() / scale;
        // No negative zero, and no rounding of what is already beyond its digits.
        if rounded.is_finite() { rounded + 0.0 } else { self.0 }
    }
}

impl<const D: i32> Serialize for Rounded<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.value();
        if value.is_finite() { serializer.serialize_f64(value) } else { serializer.serialize_none() }
    }
}

/// What a scenario comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which prices were used.
    pub prices: PricesUsed,
    /// The traffic.
    pub workload: WorkloadReport,
    /// The promised latency; absent parts are not promised.
    pub slo: SloReport,
    /// In the order of the scenario.
    pub stacks: Vec<StackReport>,
    /// The cheapest feasible stack.
    pub winner: Winner,
    /// Each own stack against each other stack.
    pub break_even: Vec<BreakEven>,
    /// Cost against volume, each stack.
    pub curve: Curve,
    /// The saw-tooth of whole replicas near the break-evens.
    pub saw_teeth: Vec<SawTeeth>,
    /// The cheapest stack by volume and condition.
    pub matrix: Matrix,
    /// What moves the decision most, strongest first.
    pub tornado: Vec<Bar>,
    /// Values of one input at which the order of two stacks turns over.
    pub flips: Vec<Flip>,
    /// How the draws were made; `null` when nothing is uncertain.
    pub risk: Option<RiskReport>,
    /// The same scenario at other prices.
    pub also: Vec<OtherPrices>,
    /// Each number that the scenario uses, with its source.
    pub inputs: Vec<InputReport>,
    /// What a reader must know before he believes the table.
    pub warnings: Vec<String>,
}

/// Which prices were used.
#[derive(Clone, Debug, Serialize)]
pub struct PricesUsed {
    /// `catalogue` or `article`.
    pub kind: &'static str,
    /// The day for which prices were looked up.
    pub at: String,
    /// The catalogue's version, or the list's date.
    pub version: String,
}

/// The traffic, as means over the horizon.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadReport {
    /// Where it comes from: `scenario`, a trace's name, or the ledger's period.
    pub source: String,
    /// Requests a day in the first month.
    pub requests_per_day: Unit,
    /// Input tokens a day in the first month, cached or not.
    pub input_tokens_per_day: Count,
    /// Output tokens a day in the first month, visible or not.
    pub output_tokens_per_day: Count,
    /// Input and output tokens a month (365/12 days) in the first month.
    pub total_tokens_per_month: Count,
    /// Share of input tokens that a prompt cache serves.
    pub cached_share: Unit,
    /// Busiest hour over mean hour.
    pub peak_to_mean: Unit,
    /// Growth of requests from one month to the next.
    pub growth_per_month: Unit,
    /// Months over which costs are averaged.
    pub horizon_months: usize,
    /// The kinds of request.
    pub classes: Vec<ClassReport>,
    /// Relative traffic of each hour of a week from Monday midnight; the mean is 1.
    pub hours: Vec<Unit>,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Requests a day in the first month.
    pub requests_per_day: Unit,
    /// Input tokens of a request.
    pub input_tokens: Unit,
    /// Output tokens of a request.
    pub output_tokens: Unit,
}

/// The promised latency.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SloReport {
    /// Milliseconds to the first token.
    pub ttft_ms: Option<Unit>,
    /// Milliseconds per further token.
    pub tpot_ms: Option<Unit>,
}

/// One stack.
#[derive(Clone, Debug, Serialize)]
pub struct StackReport {
    /// As in the scenario.
    pub name: String,
    /// `closed`, `serverless`, `hybrid` or `self-hosted`.
    pub kind: &'static str,
    /// What runs: a model at a vendor, or a model on GPUs.
    pub what: String,
    /// Dollars a month, mean over the horizon; `null` when infeasible.
    pub monthly_usd: Option<Spread>,
    /// Dollars per million output tokens, everything included.
    pub usd_per_million_output: Option<Unit>,
    /// Dollars per million tokens, input and output, everything included.
    pub usd_per_million_total: Option<Unit>,
    /// The bill: its sum is `monthly_usd.point`.
    pub lines: Vec<Line>,
    /// The bill by kind of cost.
    pub money: Vec<Share>,
    /// It fits, meets the latency, and meets the quality floor.
    pub feasible: bool,
    /// Why not, or what it rests on.
    pub why: String,
    /// Share of draws in which it is the cheapest feasible stack; `null` when nothing is uncertain.
    pub probability_cheapest: Option<Unit>,
    /// What choosing it costs above the best choice, over the draws.
    pub regret_usd: Option<Spread>,
    /// Dollars a month without the overhead that is paid anyway; equals the point where there is none.
    pub marginal_monthly_usd: Option<Usd>,
    /// Its machines.
    pub fleet: Option<FleetReport>,
    /// Its mechanism, if it is a hybrid.
    pub hybrid: Option<HybridReport>,
    /// Its quality in money, where the scenario states it.
    pub quality: Option<QualityReport>,
}

/// How a figure may turn out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Mean over the draws; the point when nothing is uncertain.
    pub mean: Usd,
    /// One draw in ten is lower.
    pub p10: Usd,
    /// Half the draws are lower.
    pub p50: Usd,
    /// One draw in ten is higher.
    pub p90: Usd,
    /// With every input at its stated or middle value and no event of the risk scenarios.
    pub point: Usd,
}

impl Spread {
    /// A certain figure.
    pub fn certain(usd: f64) -> Self {
        let usd = Rounded(usd);
        Self { mean: usd, p10: usd, p50: usd, p90: usd, point: usd }
    }
}

/// A line of a bill.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it is for.
    pub label: String,
    /// Dollars a month; negative for a discount.
    pub usd: Usd,
    /// The formula with numbers put in.
    pub how: String,
    /// Where the figures come from.
    pub source: String,
    /// The day that the source describes.
    pub as_of: Option<String>,
    /// What it rests on.
    pub basis: Basis,
    /// The kind of cost.
    pub group: Group,
}

/// Kinds of cost: where the money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Input tokens bought.
    Input,
    /// Output tokens bought.
    Output,
    /// Discounts, minimum commitments, token ratios: what changes a price list's sum.
    Terms,
    /// Classifier, judge, lost cache, second answers.
    Routing,
    /// GPUs that carry traffic.
    Gpus,
    /// GPUs that wait: spares, zones, cold starts.
    Reserve,
    /// Power, storage, egress, licences.
    Running,
    /// Moving in and out.
    Moving,
    /// People and services that run it.
    Overhead,
    /// People who mend what a model got wrong.
    Human,
    /// Retirements and outages.
    Events,
}

impl Group {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Terms => "terms",
            Self::Routing => "routing",
            Self::Gpus => "gpus",
            Self::Reserve => "reserve",
            Self::Running => "running",
            Self::Moving => "moving",
            Self::Overhead => "overhead",
            Self::Human => "human",
            Self::Events => "events",
        }
    }
}

/// A part of a bill.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// The kind of cost.
    pub group: Group,
    /// Dollars a month.
    pub usd: Usd,
}

/// An own stack's machines, in the first month.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReport {
    /// The GPU's id.
    pub gpu: String,
    /// GPUs of one replica.
    pub gpus_per_replica: usize,
    /// Replicas that the busiest hour needs.
    pub replicas: Count,
    /// Replicas that wait: spares and zone reserve.
    pub spares: Count,
    /// Replicas rented for the whole time, where they are mixed.
    pub reserved: Option<Count>,
    /// Output tokens a second of one replica at the SLO, at the scenario's lengths.
    pub output_tok_s: Unit,
    /// Lower end of a 90 % band.
    pub output_tok_s_low: Unit,
    /// Upper end of it.
    pub output_tok_s_high: Unit,
    /// Delivered over possible output tokens a second, mean over the week, paid replicas. Never above 1.
    pub utilisation: Unit,
    /// Which source spoke for the capacity.
    pub basis: Basis,
    /// How the capacity was found.
    pub how: String,
    /// Three prices of a million output tokens of compute: as used, at full use, and one more.
    pub usd_per_million_output: OwnPrices,
}

/// What a million self-hosted output tokens cost, compute only.
#[derive(Clone, Debug, Serialize)]
pub struct OwnPrices {
    /// At the utilisation of the report.
    pub as_used: Unit,
    /// At 100 % utilisation.
    pub at_full_use: Unit,
    /// A million more while a paid replica has room: the power that they take.
    pub marginal: Unit,
    /// How the last one came about.
    pub marginal_how: String,
}

/// How a hybrid works.
#[derive(Clone, Debug, Serialize)]
pub struct HybridReport {
    /// `route`, `second-pass` or `both`.
    pub mechanism: &'static str,
    /// Who answers first.
    pub default: String,
    /// Who gets the rest.
    pub escalate: String,
    /// Share of requests that the stronger model sees.
    pub share_of_requests: Unit,
    /// Share of all tokens billed that are billed by the stronger model.
    pub share_of_tokens: Unit,
    /// Against sending everything to the stronger model; may be negative.
    pub saving_usd: Usd,
    /// The same, relative.
    pub saving_share: Unit,
}

/// Quality in money.
#[derive(Clone, Debug, Serialize)]
pub struct QualityReport {
    /// Share of outcomes that need no person.
    pub accept: Unit,
    /// Where that share comes from.
    pub source: String,
    /// Dollars a month of the people who mend the rest; 0 when the scenario prices none.
    pub human_usd: Usd,
    /// Dollars of the stack per accepted outcome, people not counted.
    pub usd_per_accepted: Unit,
    /// Dollars per outcome when people mend the rest: all of them end accepted.
    pub usd_per_outcome_mended: Unit,
}

/// The cheapest feasible stack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Winner {
    /// `null` when no stack is feasible.
    pub name: Option<String>,
    /// P(cheapest) over the draws; `null` when nothing is uncertain.
    pub probability: Option<Unit>,
    /// How much cheaper a month than the next; `null` without a next one.
    pub margin_usd: Option<Usd>,
    /// The next.
    pub runner_up: Option<String>,
}

/// Where one stack begins to beat another.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEven {
    /// The own stack.
    pub stack: String,
    /// The comparator.
    pub against: String,
    /// What both sides escalate alike, if they do.
    pub like_for_like: Option<String>,
    /// With divisible replicas, in output tokens a day of the whole workload; `null`: see `none_because`.
    pub output_tokens_per_day: Option<Count>,
    /// The same as input and output tokens a month.
    pub total_tokens_per_month: Option<Count>,
    /// Overhead over price: below it nothing can win, GPUs free.
    pub v_min: Option<Count>,
    /// Whole replicas and spares: the least volume that wins.
    pub first_win: Option<Count>,
    /// Whole replicas and spares: above it every volume wins.
    pub last_loss: Option<Count>,
    /// Output tokens a day of this scenario.
    pub volume_now: Count,
    /// The own stack is the cheaper of the two at this volume.
    pub wins_now: bool,
    /// By how much, and what stands in the way.
    pub now_because: String,
    /// Share of the capacity that the busiest hour of a fleet of that size may use.
    pub peak_utilisation: Option<Unit>,
    /// Utilisation of the paid replicas at which it breaks even at full scale, overhead not counted; above 1: never.
    pub utilisation: Option<Unit>,
    /// Price per GPU-hour below which it wins at this volume.
    pub usd_per_gpu_hour: Option<Unit>,
    /// Comparator's dollars per million output tokens (input included) above which it wins at this volume.
    pub usd_per_million_output: Option<Unit>,
    /// Overhead a month below which it wins at this volume.
    pub overhead_usd_per_month: Option<Usd>,
    /// Why there is none.
    pub none_because: Option<String>,
}

/// How the draws were made.
#[derive(Clone, Debug, Serialize)]
pub struct RiskReport {
    /// The seed: the same seed gives the same bytes.
    pub seed: u64,
    /// How many.
    pub draws: usize,
    /// The scenarios that took part, each with its parameters.
    pub scenarios: Vec<String>,
    /// Inputs that vary.
    pub uncertain: Vec<String>,
}

/// The same scenario at other prices.
#[derive(Clone, Debug, Serialize)]
pub struct OtherPrices {
    /// Which.
    pub prices: PricesUsed,
    /// Point cost a month, each stack; `null` when infeasible.
    pub monthly_usd: Vec<(String, Option<Usd>)>,
    /// The cheapest there.
    pub winner: Winner,
    /// Why it could not be computed.
    pub problems: Vec<String>,
}

/// One number that the scenario uses.
#[derive(Clone, Debug, Serialize)]
pub struct InputReport {
    /// As in the scenario.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// The stated or middle value.
    pub value: Unit,
    /// 10 % quantile; `null` when certain.
    pub p10: Option<Unit>,
    /// 90 % quantile.
    pub p90: Option<Unit>,
    /// What it rests on.
    pub basis: Basis,
    /// Where it comes from.
    pub source: String,
    /// The day that the source describes.
    pub as_of: Option<String>,
}
