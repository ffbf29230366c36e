//! Why there is no break-even.

use super::{OutputPrice, OutputTokensPerDay};

/// Why a break-even does not exist. Always given, never an empty field.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NoneBecause {
    /// c ≥ p: each further token costs at least as much on own GPUs, so no volume pays for the overhead.
    UnitCostAtLeastPrice {
        /// c, the fleet's own cost of a million output tokens.
        unit_cost: OutputPrice,
        /// p, that of the other stack.
        price: OutputPrice,
    },
    /// The overhead alone is at least the other stack's whole bill at this volume: free GPUs would not win.
    OverheadAboveBill {
        /// O in USD per day.
        overhead_usd_per_day: f64,
        /// The other stack's bill for the same tokens, in USD per day, without what both sides pay elsewhere.
        bill_usd_per_day: f64,
        /// From here on the bill is above the overhead: `V_min = O / p`; `None` when p is 0.
        v_min: Option<OutputTokensPerDay>,
    },
    /// A full replica is still too dear: the break-even utilisation is above 1.
    UtilisationAboveOne {
        /// The utilisation that it would take.
        needed: f64,
    },
    /// No batch size meets the SLO on this hardware, so there is no capacity to price.
    SloUnreachable {
        /// What fails, with figures.
        why: String,
    },
    /// The weights do not fit into the replica's memory.
    DoesNotFit {
        /// Missing gigabytes (10⁹ bytes).
        short_by_gb: f64,
    },
}

impl NoneBecause {
    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnitCostAtLeastPrice { .. } => "unit_cost_at_least_price",
            Self::OverheadAboveBill { .. } => "overhead_above_bill",
            Self::UtilisationAboveOne { .. } => "utilisation_above_one",
            Self::SloUnreachable { .. } => "slo_unreachable",
            Self::DoesNotFit { .. } => "does_not_fit",
        }
    }
}

impl std::fmt::Display for NoneBecause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnitCostAtLeastPrice { unit_cost, price } => write!(
                f,
                "c ≥ p: a million output tokens cost ${:.4} on own GPUs and ${:.4} elsewhere",
                unit_cost.usd_per_million(),
                price.usd_per_million()
            ),
            Self::OverheadAboveBill { overhead_usd_per_day, bill_usd_per_day, v_min } => {
                write!(
                    f,
                    "overhead above the bill: ${overhead_usd_per_day:.2} a day against ${bill_usd_per_day:.2}"
                )?;
                match v_min {
                    Some(v_min) => write!(f, "; with free GPUs it takes {v_min}"),
                    None => Ok(()),
                }
            }
            Self::UtilisationAboveOne { needed } => {
                write!(
                    f,
                    "even a full replica is too dear: it would take a utilisation of {:.1} %",
                    needed * 100.0
                )
            }
            Self::SloUnreachable { why } => write!(f, "SLO unreachable: {why}"),
            Self::DoesNotFit { short_by_gb } => write!(f, "does not fit: {short_by_gb:.1} GB short"),
        }
    }
}
