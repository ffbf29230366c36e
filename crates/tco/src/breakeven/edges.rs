//! Break-even by volume: divisible replicas, and both edges of the saw-tooth that whole replicas make.
//!
//! With whole replicas the fleet's bill jumps at each replica, so it may win, lose again and win for good. Between two
//! jumps, `k` replicas are needed for volumes in `((k−1)·q, k·q]`, and the fleet wins there above
//! `t(k) = ((k + r)·D + O) / p`, where D is a replica's day and q the tokens that it carries. Both edges follow:
//! the first `k` with `t(k) < k·q` holds the first win, the last `k` with `t(k) ≥ (k−1)·q + 1` the last loss.

use super::{Fleet, HOURS_PER_DAY, MILLION, NoneBecause, OutputPrice, OutputTokensPerDay, SECONDS_PER_HOUR};
use crate::Invalid;

/// Pico-dollars in a dollar.
const PICO: f64 = 1e12;
/// Prices are kept per million tokens, so that a pico-dollar there is fine enough for exact edges.
const PER_MILLION: i128 = 1_000_000;
/// Amounts beyond this are refused: far above any bill, and no product of two overflows.
const LARGEST_USD: f64 = 1e12;
/// A replica that carries more tokens a day than this is refused.
const LARGEST_TOKENS: f64 = 1e18;

/// Break-even volumes of a fleet against one other stack, in output tokens per day.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct VolumeEdges {
    /// c: the fleet's cost of a further million output tokens.
    pub unit_cost: OutputPrice,
    /// p: the other stack's.
    pub price: OutputPrice,
    /// `V_min = O / p`: below it not even free GPUs win. `None` when the other stack costs nothing beyond what both
    /// sides pay.
    pub v_min: Option<f64>,
    /// `V* = O / (p − c)` with divisible replicas; spares count as overhead.
    pub divisible: Result<f64, NoneBecause>,
    /// The edges with whole replicas.
    pub whole: Result<SawTooth, NoneBecause>,
}

/// Both edges with whole replicas. Between them the fleet wins and loses by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SawTooth {
    /// The smallest volume at which the fleet is cheaper.
    pub first_win: OutputTokensPerDay,
    /// The largest volume at which it is not; above it the fleet always wins. `None` when it wins from the first token.
    pub last_loss: Option<OutputTokensPerDay>,
}

/// The volumes at which `fleet` becomes cheaper than a stack at `price`. A tie is not a win.
///
/// Errors when a number is out of its range.
pub fn volume_edges(fleet: &Fleet, price: OutputPrice) -> Result<VolumeEdges, Invalid> {
    let exact = Exact::of(fleet)?;
    let p = usd_to_pico("price", price.usd_per_million())?;
    let unit_cost = fleet.unit_cost();
    // What both sides pay for the escalated share cancels.
    let net = price.usd_per_million() - fleet.other.usd_per_million();
    let v_min = (net > 0.0).then(|| fleet.overhead_usd_per_day / net * MILLION);
    let never = || NoneBecause::UnitCostAtLeastPrice { unit_cost, price };
    let gap = price.usd_per_million() - unit_cost.usd_per_million();
    let fixed =
        fleet.overhead_usd_per_day + f64::from(fleet.spares) * fleet.replica_usd_per_hour * HOURS_PER_DAY;
    let divisible = if gap > 0.0 { Ok(fixed / gap * MILLION) } else { Err(never()) };
    let whole = exact.saw_tooth(p).ok_or_else(never);
    Ok(VolumeEdges { unit_cost, price, v_min, divisible, whole })
}

/// A fleet in whole pico-dollars and whole tokens.
pub(super) struct Exact {
    /// D: one replica's day.
    replica_day: i128,
    /// O: one day's overhead.
    overhead_day: i128,
    /// Per million output tokens of the workload.
    other: i128,
    /// q: output tokens of the workload that one replica carries a day; a part of a token is none.
    carries: i128,
    spares: i128,
}

impl Exact {
    /// Errors when a number is out of its range.
    pub fn of(fleet: &Fleet) -> Result<Self, Invalid> {
        fleet.checked()?;
        let per_day = fleet.output_tok_s * fleet.utilisation * SECONDS_PER_HOUR * HOURS_PER_DAY;
        // C and u are real numbers whose product is often meant to be whole: 288,000,000 and not one token less.
        let carries = whole_tokens(per_day / fleet.served_share);
        let wanted = "such that a replica carries from 1 to 10^18 tokens a day";
        Invalid::unless(
            (1.0..=LARGEST_TOKENS).contains(&carries),
            "output_tok_s",
            fleet.output_tok_s,
            wanted,
        )?;
        Ok(Self {
            replica_day: usd_to_pico("replica_usd_per_hour", fleet.replica_usd_per_hour * HOURS_PER_DAY)?,
            overhead_day: usd_to_pico("overhead_usd_per_day", fleet.overhead_usd_per_day)?,
            other: usd_to_pico("other", fleet.other.usd_per_million())?,
            carries: to_i128(carries),
            spares: i128::from(fleet.spares),
        })
    }

    /// `ceil(V / q) + r`.
    pub fn replicas(&self, volume: OutputTokensPerDay) -> i128 {
        ceil_div(i128::from(volume.0), self.carries) + self.spares
    }

    pub fn replicas_f64(&self, volume: OutputTokensPerDay) -> f64 {
        to_f64(self.replicas(volume))
    }

    pub fn usd_per_day(&self, volume: OutputTokensPerDay) -> f64 {
        let fixed = self.replicas(volume) * self.replica_day + self.overhead_day;
        to_f64(fixed) / PICO + to_f64(self.other) / PICO * volume.as_f64() / MILLION
    }

    /// The edges against `price` pico-dollars per million output tokens; `None` when c ≥ p.
    fn saw_tooth(&self, price: i128) -> Option<SawTooth> {
        // All in pico-dollars · 10⁻⁶, so that the price of one token is whole.
        let p = price - self.other;
        let replica = self.replica_day * PER_MILLION;
        let fixed = (self.overhead_day + self.spares * self.replica_day) * PER_MILLION;
        let gain = p * self.carries - replica;
        if gain <= 0 {
            return None;
        }
        // Volumes up to this lose while k replicas serve.
        let threshold = |k: i128| (k * replica + fixed).div_euclid(p);
        let k = fixed.div_euclid(gain) + 1;
        let first = threshold(k).max((k - 1) * self.carries) + 1;
        let k = (fixed + p * self.carries - p).div_euclid(gain);
        let last = threshold(k).min(k * self.carries);
        Some(SawTooth { first_win: tokens(first), last_loss: (last > 0).then(|| tokens(last)) })
    }
}

/// Downwards, but a number that rounding has put just below a whole one is that one.
fn whole_tokens(tokens: f64) -> f64 {
    let nearest = tokens.round();
    if (tokens - nearest).abs() <= nearest * 1e-12 { nearest } else { tokens.floor() }
}

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) > 0)
}

/// A volume above what a day can hold is shown as the largest.
fn tokens(volume: i128) -> OutputTokensPerDay {
    OutputTokensPerDay(u64::try_from(volume).unwrap_or(u64::MAX))
}

/// Errors above 10¹² USD.
fn usd_to_pico(name: &'static str, usd: f64) -> Result<i128, Invalid> {
    Invalid::unless((0.0..=LARGEST_USD).contains(&usd), name, usd, "from 0 to 10^12 USD")?;
    Ok(to_i128((usd * PICO).round()))
}

#[expect(clippy::cast_possible_truncation, reason = "callers bound the value by 10^24")]
fn to_i128(value: f64) -> i128 {
    value as i128
}

#[expect(clippy::cast_precision_loss, reason = "a bill for people: 15 digits are enough")]
fn to_f64(value: i128) -> f64 {
    value as f64
}
