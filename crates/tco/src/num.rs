//! Conversions between counts and modelled numbers, in one place with their bounds.

/// A count as a number; exact below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub(crate) const fn float(n: usize) -> f64 {
    n as f64
}

/// The smallest whole number of replicas that carries `load` replicas' worth of work. A load that is above a whole
/// number by rounding alone does not cost a replica more.
pub(crate) fn whole(load: f64) -> f64 {
    (load - load.abs() * 1e-12).ceil().max(0.0)
}

/// A whole number that fits: `None` for fractions, negatives, and what is above 10⁹.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=10^9")]
pub(crate) fn index(value: f64) -> Option<usize> {
    (value.fract() == 0.0 && (0.0..=1e9).contains(&value)).then_some(value as usize)
}

/// `1234567.8` → `1,234,567.80` with `digits` decimals.
pub fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut out = String::with_capacity(text.len() + text.len() / 3 + 1);
    if value < 0.0 && text.bytes().any(|b| b.is_ascii_digit() && b != b'0') {
        out.push('-');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// A number with as many digits as it needs, six significant ones at most: `0.85`, `1,644`, `0.000012`.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value.is_finite() { "0".to_owned() } else { "unknown".to_owned() };
    }
    let magnitude = value.abs().log10().floor();
    let digits = index((5.0 - magnitude).clamp(0.0, 12.0)).unwrap_or(0);
    let text = grouped(value, digits);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Tokens for people: `60M`, `1.64B`, `12,000`.
pub(crate) fn tokens(value: f64) -> String {
    let scaled = |by: f64, unit: &str| {
        let digits = if value / by >= 100.0 { 1 } else { 3 };
        let text = format!("{:.digits$}", value / by);
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{unit}")
    };
    match value.abs() {
        v if v >= 1e12 => scaled(1e12, "T"),
        v if v >= 1e9 => scaled(1e9, "B"),
        v if v >= 1e6 => scaled(1e6, "M"),
        _ => grouped(value, 0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [grouped(1_234_567.891, 2), grouped(-0.001, 2), grouped(999.0, 0)],
            ["1,234,567.89", "0.00", "999"]
        );
        assert_eq!(
            [short(0.85), short(1643.8356), short(0.000_012), short(7.0)],
            ["0.85", "1,643.84", "0.000012", "7"]
        );
        assert_eq!([tokens(60e6), tokens(1.643_836e9), tokens(12_000.0)], ["60M", "1.644B", "12,000"]);
    }

    #[test]
    fn rounding_alone_buys_no_replica() {
        assert_eq!([whole(3.0 + 1e-13), whole(3.001), whole(0.0), whole(0.2)], [3.0, 4.0, 0.0, 1.0]);
        assert_eq!([index(3.0), index(3.5), index(-1.0)], [Some(3), None, None]);
    }
}
