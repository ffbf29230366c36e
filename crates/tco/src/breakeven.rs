//! Where self-hosting begins to win, in closed form: by volume, utilisation, token price, GPU price and overhead.
//!
//! It differs from a search over volumes in that each edge is a formula, exact to the token at any volume, and in that
//! a break-even which does not exist says why. Money is counted in whole pico-dollars and tokens in whole tokens, so
//! a tie is a tie and not a rounding. One side is always a [`Fleet`]; the other is any stack whose bill grows in
//! proportion to volume, and is known here by its [`OutputPrice`]. Where both sides escalate the same share, the
//! escalated part stands in both prices and cancels.
//!
//! Symbols of the formulas: R = USD per replica-hour, C = output tokens per second of one replica when full, u =
//! utilisation, V = output tokens per day, O = overhead in USD per day, p = USD per million output tokens elsewhere,
//! c = the fleet's own USD per million output tokens, r = spare replicas.

mod at_volume;
mod edges;
mod reason;
mod unit;

pub use at_volume::{gpu_hour_price, overhead, token_price, utilisation};
pub use edges::{SawTooth, VolumeEdges, volume_edges};
pub use reason::NoneBecause;
pub use unit::{OutputPrice, OutputTokensPerDay, TokenKind, TokenMix};

use crate::Invalid;
use edges::Exact;

const SECONDS_PER_HOUR: f64 = 3_600.0;
const HOURS_PER_DAY: f64 = 24.0;
const MILLION: f64 = 1e6;

/// Cost of a million output tokens on one replica, `c = R / (C · u · 3600) · 10⁶`, in USD.
///
/// `usd_per_hour` is for the whole replica, not a GPU; `output_tok_s` is its capacity when full; `utilisation` is the
/// share of it that is delivered, in (0, 1].
pub fn unit_cost(usd_per_hour: f64, output_tok_s: f64, utilisation: f64) -> f64 {
    usd_per_hour / (output_tok_s * utilisation * SECONDS_PER_HOUR) * MILLION
}

/// A self-hosted stack as a break-even sees it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Fleet {
    /// USD per hour of one replica (all its GPUs).
    pub replica_usd_per_hour: f64,
    /// Output tokens per second of one replica when full, for this workload and SLO.
    pub output_tok_s: f64,
    /// Share of that capacity that is delivered on average, in (0, 1].
    pub utilisation: f64,
    /// Replicas that run beside those that the volume needs.
    pub spares: u32,
    /// Everything that does not grow with volume, in USD per day.
    pub overhead_usd_per_day: f64,
    /// Share of the workload's output tokens that the fleet itself serves, in (0, 1]; below 1 when it escalates.
    pub served_share: f64,
    /// What a million output tokens of the *workload* cost outside the replicas (the escalated share, egress), in USD.
    pub other: OutputPrice,
}

impl Fleet {
    /// A fleet that serves everything itself, without spares.
    pub fn new(
        replica_usd_per_hour: f64,
        output_tok_s: f64,
        utilisation: f64,
        overhead_usd_per_day: f64,
    ) -> Self {
        Self {
            replica_usd_per_hour,
            output_tok_s,
            utilisation,
            spares: 0,
            overhead_usd_per_day,
            served_share: 1.0,
            other: OutputPrice::new(0.0),
        }
    }

    /// The same with so many spare replicas.
    #[must_use]
    pub fn with_spares(mut self, spares: u32) -> Self {
        self.spares = spares;
        self
    }

    /// The same where a part of the output tokens is served elsewhere: the fleet serves `served_share`, and every
    /// million output tokens of the workload cost `other` outside it.
    #[must_use]
    pub fn with_escalation(mut self, served_share: f64, other: OutputPrice) -> Self {
        self.served_share = served_share;
        self.other = other;
        self
    }

    /// USD per million output tokens of the workload without overhead and spares: what the replicas take, plus what is
    /// served elsewhere.
    pub fn unit_cost(&self) -> OutputPrice {
        let own = unit_cost(self.replica_usd_per_hour, self.output_tok_s, self.utilisation);
        OutputPrice::new(own * self.served_share + self.other.usd_per_million())
    }

    /// USD of a day with this volume: whole replicas, spares, overhead and what is served elsewhere.
    pub fn usd_per_day(&self, volume: OutputTokensPerDay) -> Result<f64, Invalid> {
        Ok(Exact::of(self)?.usd_per_day(volume))
    }

    /// Whole replicas for this volume, with the spares.
    pub fn replicas(&self, volume: OutputTokensPerDay) -> Result<u64, Invalid> {
        let replicas = Exact::of(self)?.replicas(volume);
        u64::try_from(replicas).map_err(|_| Invalid::new("volume", volume.as_f64(), "at most 10^18 a day"))
    }

    /// Every field in its range. Errors with the first that is not.
    fn checked(&self) -> Result<&Self, Invalid> {
        let Self { replica_usd_per_hour, output_tok_s, utilisation, overhead_usd_per_day, .. } = *self;
        Invalid::unless(
            replica_usd_per_hour >= 0.0,
            "replica_usd_per_hour",
            replica_usd_per_hour,
            "0 or more",
        )?;
        Invalid::unless(output_tok_s > 0.0, "output_tok_s", output_tok_s, "above 0")?;
        Invalid::unless(within_one(utilisation), "utilisation", utilisation, "above 0 and at most 1")?;
        Invalid::unless(
            overhead_usd_per_day >= 0.0,
            "overhead_usd_per_day",
            overhead_usd_per_day,
            "0 or more",
        )?;
        Invalid::unless(
            within_one(self.served_share),
            "served_share",
            self.served_share,
            "above 0 and at most 1",
        )?;
        let other = self.other.usd_per_million();
        Invalid::unless(other >= 0.0, "other", other, "0 or more")?;
        Ok(self)
    }
}

fn within_one(share: f64) -> bool {
    share > 0.0 && share <= 1.0
}

#[cfg(test)]
mod tests;
