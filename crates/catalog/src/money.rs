//! Exact money. The obvious alternatives are `f64`, which cannot hold $0.1, and a decimal type with a
//! floating scale, which rounds where nobody looks. Here one unit is one pico-dollar (10⁻¹² USD), so every
//! published token price is an integer and a bill is a sum of integers: no rounding after load (LAW 2).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PICO_PER_USD: i128 = 1_000_000_000_000;
const PICO_PER_MICRO: i128 = 1_000_000;
/// Largest magnitude that is accepted from text: ten billion dollars, far above any bill and far below overflow.
const MAX_PICO: i128 = 10_000_000_000 * PICO_PER_USD;

/// An exact amount of US dollars in pico-dollars. May be negative (a saving that was a loss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i128);

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal such as `2.50`.
    #[error("`{0}` is not a decimal amount such as \"2.50\"")]
    Malformed(String),
    /// More digits than a pico-dollar can hold, or above ten billion dollars.
    #[error("`{0}` does not fit: at most 12 decimals and 10 billion dollars")]
    OutOfRange(String),
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount of pico-dollars (10⁻¹² USD).
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// The amount in pico-dollars.
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// Reads a decimal amount of dollars, e.g. `0.01875`. Errors when it is no plain decimal or does not fit.
    pub fn parse_usd(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, 12).map(Self)
    }

    /// The two integers that the ledger stores: whole micro-dollars (rounded down) and the pico-dollars left
    /// over, `0..1_000_000`. Saturates at the range of `i64` micro-dollars (nine trillion dollars).
    pub fn to_columns(self) -> (i64, i64) {
        let micro = self.0.div_euclid(PICO_PER_MICRO);
        let rest = self.0.rem_euclid(PICO_PER_MICRO);
        let micro = i64::try_from(micro).unwrap_or(if micro < 0 { i64::MIN } else { i64::MAX });
        (micro, i64::try_from(rest).unwrap_or(0))
    }

    /// The inverse of [`Money::to_columns`]; also correct for sums of columns.
    pub fn from_columns(micro: i128, rest: i128) -> Self {
        Self(micro.saturating_mul(PICO_PER_MICRO).saturating_add(rest))
    }

    /// For charts and modelled figures only: never feeds back into the ledger.
    #[expect(clippy::cast_precision_loss, reason = "display only")]
    pub fn to_f64_usd(self) -> f64 {
        self.0 as f64 / PICO_PER_USD as f64
    }
}

/// Parses a decimal into an integer of 10^-`decimals`, exactly.
fn parse_scaled(text: &str, decimals: u32) -> Result<i128, MoneyError> {
    let malformed = || MoneyError::Malformed(text.chars().take(40).collect());
    let out_of_range = || MoneyError::OutOfRange(text.chars().take(40).collect());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || digits.ends_with('.') {
        return Err(malformed());
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = decimals.checked_sub(u32::try_from(fraction.len()).map_err(|_| out_of_range())?);
    let scale = scale.ok_or_else(out_of_range)?;
    let joined: String = [whole, fraction].concat();
    let joined = joined.trim_start_matches('0');
    let value: i128 = if joined.is_empty() { 0 } else { joined.parse().map_err(|_| out_of_range())? };
    let value = value.checked_mul(10_i128.pow(scale)).filter(|v| *v <= MAX_PICO).ok_or_else(out_of_range)?;
    Ok(if negative { -value } else { value })
}

impl fmt::Display for Money {
    /// The exact decimal in dollars with at least two decimals and no trailing zeros after them: `0.00`, `1.50`, `0.000123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.unsigned_abs() / PICO_PER_USD.unsigned_abs();
        let fraction = self.0.unsigned_abs() % PICO_PER_USD.unsigned_abs();
        // At most 39 digits, a sign and a point; written from the end, without a `String` for each part.
        let mut text = [b'0'; 48];
        let mut at = text.len();
        let mut put = |byte: u8| {
            at = at.saturating_sub(1);
            if let Some(place) = text.get_mut(at) {
                *place = byte;
            }
        };
        let (mut fraction, mut decimals) = (u64::try_from(fraction).unwrap_or(0), 12);
        while decimals > 2 && fraction % 10 == 0 {
            (fraction, decimals) = (fraction / 10, decimals - 1);
        }
        for _ in 0..decimals {
            put(digit(fraction));
            fraction /= 10;
        }
        put(b'.');
        let mut whole = whole;
        loop {
            put(digit(u64::try_from(whole % 10).unwrap_or(0)));
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        if self.0 < 0 {
            put(b'-');
        }
        let text = text.get(at..).and_then(|text| std::str::from_utf8(text).ok());
        f.pad(text.unwrap_or_default())
    }
}

/// The last decimal digit of a number.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_usd(&text).map_err(serde::de::Error::custom)
    }
}

// Sums saturate instead of wrapping: with amounts bounded by `MAX_PICO` and u64 units neither can happen in
// practice, and a saturated total is visibly absurd where a wrapped one would look like a credit.
impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}
impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// A price: pico-dollars per unit (a token, a request, an image).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i64);

impl Rate {
    /// A rate in pico-dollars per unit.
    pub const fn from_pico(pico_per_unit: i64) -> Self {
        Self(pico_per_unit)
    }

    /// The rate in pico-dollars per unit.
    pub const fn pico(self) -> i64 {
        self.0
    }

    /// Reads dollars per million units, the way vendors print token prices: `0.01875` is 18,750 pico-dollars a token.
    /// Errors when a millionth of it is no whole pico-dollar.
    pub fn per_million(text: &str) -> Result<Self, MoneyError> {
        let pico = parse_scaled(text, 6)?;
        i64::try_from(pico).map(Self).map_err(|_| MoneyError::OutOfRange(text.chars().take(40).collect()))
    }

    /// Reads dollars per unit.
    pub fn per_unit(text: &str) -> Result<Self, MoneyError> {
        let pico = parse_scaled(text, 12)?;
        i64::try_from(pico).map(Self).map_err(|_| MoneyError::OutOfRange(text.chars().take(40).collect()))
    }

    /// `units × rate`, exactly.
    pub fn times(self, units: u64) -> Money {
        Money(i128::from(self.0).saturating_mul(i128::from(units)))
    }

    /// The price as vendors print it: dollars per million units.
    pub fn usd_per_million(self) -> Money {
        self.times(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_published_price_is_exact() {
        assert_eq!(Rate::per_million("0.01875").unwrap().pico(), 18_750);
        assert_eq!(Rate::per_million("15").unwrap().times(3), Money::from_pico(45_000_000));
        assert_eq!(
            Money::parse_usd("0.1").unwrap() + Money::parse_usd("0.2").unwrap(),
            Money::parse_usd("0.3").unwrap()
        );
    }

    #[test]
    fn text_that_is_no_amount_is_refused() {
        for bad in ["", ".", "1.", ".5", "1e3", "NaN", "inf", "+1", "1,0", " 1", "0x1", "--1"] {
            assert!(Money::parse_usd(bad).is_err(), "{bad}");
        }
        assert!(matches!(Money::parse_usd("0.0000000000001"), Err(MoneyError::OutOfRange(_))));
        assert!(matches!(Money::parse_usd(&"9".repeat(60)), Err(MoneyError::OutOfRange(_))));
    }

    #[test]
    fn display_keeps_cents_and_drops_trailing_zeros() {
        let shown =
            ["0", "1.5", "0.000123", "-0.01", "12.345"].map(|t| Money::parse_usd(t).unwrap().to_string());
        assert_eq!(shown, ["0.00", "1.50", "0.000123", "-0.01", "12.345"]);
    }

    proptest! {
        #[test]
        fn text_round_trips(pico in -MAX_PICO..=MAX_PICO) {
            let money = Money::from_pico(pico);
            prop_assert_eq!(Money::parse_usd(&money.to_string()).unwrap(), money);
        }

        #[test]
        fn columns_round_trip_and_add(a in -MAX_PICO..=MAX_PICO, b in -MAX_PICO..=MAX_PICO) {
            let (am, ar) = Money::from_pico(a).to_columns();
            let (bm, br) = Money::from_pico(b).to_columns();
            prop_assert_eq!(Money::from_columns(am.into(), ar.into()), Money::from_pico(a));
            let sum = Money::from_columns(i128::from(am) + i128::from(bm), i128::from(ar) + i128::from(br));
            prop_assert_eq!(sum, Money::from_pico(a) + Money::from_pico(b));
        }
    }
}
