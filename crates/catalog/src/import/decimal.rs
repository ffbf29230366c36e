//! Shifting the point of a decimal number as text. A price never passes through `f64`, which would turn
//! `1.1e-06` a token into `1.1000000000000001` a million.

use super::ImportError;

/// Most decimals that a price per million tokens may have: beyond them lies less than a pico-dollar a token.
const DECIMALS: usize = 6;

/// `number × 10^shift` as a plain decimal, and whether digits beyond `decimals` were rounded (half-even) away.
/// `number` is a JSON number.
pub(super) fn shifted(number: &str, shift: i32, decimals: usize) -> Result<(String, bool), ImportError> {
    shift_text(number, shift, decimals).ok_or_else(|| ImportError::Price(number.chars().take(40).collect()))
}

fn shift_text(number: &str, shift: i32, decimals: usize) -> Option<(String, bool)> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.trim_start_matches('+').parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Digits after the point, once it has moved; below zero there are zeros to add instead.
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.checked_sub(shift)?;
    if places.unsigned_abs() > 60 {
        return None;
    }
    let zeros = usize::try_from(places.checked_neg()?.max(0)).ok()?;
    let places = usize::try_from(places.max(0)).ok()?;
    // All digits, with at least one before the point.
    let digits = format!("{digits:0>width$}{}", "0".repeat(zeros), width = places + 1);
    let (digits, places, rounded) = rounded(digits, places, decimals)?;
    let (whole, fraction) = digits.split_at_checked(digits.len().checked_sub(places)?)?;
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some((if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }, rounded))
}

/// Cuts `digits` (with `places` after the point) to `decimals` places, half-even.
fn rounded(digits: String, places: usize, decimals: usize) -> Option<(String, usize, bool)> {
    if places <= decimals {
        return Some((digits, places, false));
    }
    let (kept, cut) = digits.split_at_checked(digits.len().checked_sub(places - decimals)?)?;
    if cut.bytes().all(|b| b == b'0') {
        return Some((kept.to_owned(), decimals, false));
    }
    let value: u128 = kept.parse().ok()?;
    let half = format!("5{}", "0".repeat(cut.len() - 1));
    let up = cut > half.as_str() || (cut == half && value % 2 == 1);
    let value = (value + u128::from(up)).to_string();
    Some((format!("{value:0>width$}", width = decimals + 1), decimals, true))
}

/// Dollars per million tokens, from a price per `10^exponent` tokens.
pub(super) fn per_million(number: &str, exponent: i32) -> Result<(String, bool), ImportError> {
    shifted(number, 6 - exponent, DECIMALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_moves_and_no_digit_changes() {
        let per_token = |text| per_million(text, 0).unwrap().0;
        assert_eq!(per_token("2.5e-06"), "2.5");
        assert_eq!(per_token("1e-05"), "10");
        assert_eq!(per_token("0.00000125"), "1.25");
        assert_eq!(per_token("1.1e-07"), "0.11");
        assert_eq!(per_token("2"), "2000000");
        assert_eq!(per_million("0.003625", 6).unwrap().0, "0.003625");
        assert_eq!(shifted("10", -3, 12).unwrap().0, "0.01");
        assert_eq!(per_token("0.0"), "0");
    }

    #[test]
    fn noise_of_f64_in_a_source_is_rounded_half_even_and_told() {
        assert_eq!(per_million("7.999999999999999e-07", 0).unwrap(), ("0.8".into(), true));
        assert_eq!(per_million("2.0000000000000002e-07", 0).unwrap(), ("0.2".into(), true));
        assert_eq!(shifted("0.5", 0, 0).unwrap(), ("0".into(), true));
        assert_eq!(shifted("1.5", 0, 0).unwrap(), ("2".into(), true));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for bad in ["-1", "", "null", "1e99", "\"1\"", "1e-99"] {
            assert!(per_million(bad, 0).is_err(), "{bad}");
        }
    }
}
