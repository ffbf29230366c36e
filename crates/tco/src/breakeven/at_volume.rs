//! Break-even at a given volume: which utilisation, token price, GPU price or overhead makes both bills equal.

use super::edges::Exact;
use super::{
    Fleet, HOURS_PER_DAY, MILLION, NoneBecause, OutputPrice, OutputTokensPerDay, SECONDS_PER_HOUR, within_one,
};
use crate::Invalid;

/// The bill of a stack at `price`, less what the fleet pays outside its replicas, in USD per day.
fn bill(fleet: &Fleet, price: OutputPrice, volume: OutputTokensPerDay) -> f64 {
    (price.usd_per_million() - fleet.other.usd_per_million()) * volume.as_f64() / MILLION
}

/// What is left of the other stack's bill when the overhead is paid, in USD per day; the reason when nothing is.
fn left_for_gpus(fleet: &Fleet, price: OutputPrice, volume: OutputTokensPerDay) -> Result<f64, NoneBecause> {
    let bill = bill(fleet, price, volume);
    let left = bill - fleet.overhead_usd_per_day;
    if left > 0.0 {
        return Ok(left);
    }
    let net = price.usd_per_million() - fleet.other.usd_per_million();
    let v_min = (net > 0.0).then(|| fleet.overhead_usd_per_day / net * MILLION);
    Err(NoneBecause::OverheadAboveBill {
        overhead_usd_per_day: fleet.overhead_usd_per_day,
        bill_usd_per_day: bill,
        v_min: v_min.map(at_least),
    })
}

/// The first whole token count that is not below.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; a cast saturates")]
fn at_least(tokens: f64) -> OutputTokensPerDay {
    OutputTokensPerDay(tokens.ceil() as u64)
}

/// The utilisation from which divisible replicas win.
///
/// Without a volume, the overhead is left out: `u* = s · R / ((p − w) · 10⁻⁶ · C · 3600)`, with s the share served and
/// w what is paid elsewhere. At a volume V, the overhead is paid first: `u* = s · V · R / (C · 3600 · (bill − O))`.
/// The fleet's own utilisation is not used. Errors when a number is out of its range; the inner error is why there is none.
pub fn utilisation(
    fleet: &Fleet,
    price: OutputPrice,
    volume: Option<OutputTokensPerDay>,
) -> Result<Result<f64, NoneBecause>, Invalid> {
    fleet.checked()?;
    Invalid::unless(price.usd_per_million() >= 0.0, "price", price.usd_per_million(), "0 or more")?;
    let full = OutputPrice::new(super::unit_cost(fleet.replica_usd_per_hour, fleet.output_tok_s, 1.0));
    let (usd, tokens) = match volume {
        None => (price.usd_per_million() - fleet.other.usd_per_million(), MILLION),
        Some(volume) => match left_for_gpus(fleet, price, volume) {
            Ok(left) => (left, volume.as_f64()),
            Err(none) => return Ok(Err(none)),
        },
    };
    let needed = fleet.served_share * tokens * fleet.replica_usd_per_hour
        / (fleet.output_tok_s * SECONDS_PER_HOUR * usd);
    Ok(if usd <= 0.0 {
        Err(NoneBecause::UnitCostAtLeastPrice { unit_cost: full, price })
    } else if within_one(needed) || needed == 0.0 {
        Ok(needed)
    } else {
        Err(NoneBecause::UtilisationAboveOne { needed })
    })
}

/// The price per million output tokens above which the fleet, in whole replicas, wins at this volume: its bill over
/// the volume. Errors when a number is out of its range or the volume is 0.
pub fn token_price(fleet: &Fleet, volume: OutputTokensPerDay) -> Result<OutputPrice, Invalid> {
    Invalid::unless(volume.0 > 0, "volume", volume.as_f64(), "above 0")?;
    Ok(OutputPrice::new(fleet.usd_per_day(volume)? / volume.as_f64() * MILLION))
}

/// The price of a GPU-hour below which the fleet, in whole replicas with spares, wins at this volume:
/// `(bill − O) / (24 · replicas · GPUs)`. The fleet's own price is not used.
///
/// Errors when a number is out of its range; the inner error is why there is none.
pub fn gpu_hour_price(
    fleet: &Fleet,
    gpus_per_replica: u32,
    price: OutputPrice,
    volume: OutputTokensPerDay,
) -> Result<Result<f64, NoneBecause>, Invalid> {
    Invalid::unless(volume.0 > 0, "volume", volume.as_f64(), "above 0")?;
    Invalid::unless(gpus_per_replica > 0, "gpus_per_replica", f64::from(gpus_per_replica), "above 0")?;
    let gpus = Exact::of(fleet)?.replicas_f64(volume) * f64::from(gpus_per_replica);
    Ok(left_for_gpus(fleet, price, volume).map(|left| left / (HOURS_PER_DAY * gpus)))
}

/// The overhead in USD per day below which the fleet, in whole replicas with spares, wins at this volume: the other
/// bill less the replicas. The fleet's own overhead is not used.
///
/// Errors when a number is out of its range; the inner error is why there is none (the GPUs alone cost more).
pub fn overhead(
    fleet: &Fleet,
    price: OutputPrice,
    volume: OutputTokensPerDay,
) -> Result<Result<f64, NoneBecause>, Invalid> {
    Invalid::unless(volume.0 > 0, "volume", volume.as_f64(), "above 0")?;
    let bare = Fleet { overhead_usd_per_day: 0.0, ..*fleet };
    let gpus = bare.usd_per_day(volume)?;
    let left = price.usd_per_million() * volume.as_f64() / MILLION - gpus;
    let unit_cost = OutputPrice::new(gpus / volume.as_f64() * MILLION);
    Ok(if left > 0.0 { Ok(left) } else { Err(NoneBecause::UnitCostAtLeastPrice { unit_cost, price }) })
}
