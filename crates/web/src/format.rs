//! Figures for people.

use tco::grouped;

/// `1234.5` → `$1,234.50`; below a dollar with as many digits as tell something.
pub(crate) fn usd(value: f64) -> String {
    let digits = match value.abs() {
        x if x >= 1.0 || x == 0.0 => 2,
        x if x >= 0.01 => 4,
        _ => 6,
    };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}${}", grouped(value.abs(), digits))
}

/// `1234567` → `1,234,567`, rounded to whole ones from 1,000 on.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        x if x >= 1_000.0 => 0,
        x if x >= 1.0 => 3,
        _ => 6,
    };
    let text = grouped(value.abs(), digits);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{}{text}", if value < 0.0 { "−" } else { "" })
}

/// Tokens: `1.64B`.
pub(crate) fn tokens(value: f64) -> String {
    let (scaled, unit) = match value {
        x if x >= 1e9 => (x / 1e9, "B"),
        x if x >= 1e6 => (x / 1e6, "M"),
        x => return number(x),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `0.123` → `12.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A name as the part of an address behind `#`.
pub(crate) fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [usd(1_234.5), usd(-2.0), usd(0.34), usd(0.000_12)],
            ["$1,234.50", "−$2.00", "$0.3400", "$0.000120"]
        );
        assert_eq!([tokens(1.64e9), tokens(25e6), tokens(800.0)], ["1.64B", "25M", "800"]);
        assert_eq!([number(1_234.4), number(0.85), number(-3.5)], ["1,234", "0.85", "−3.5"]);
        assert_eq!(slug("own: GPU price"), "own--gpu-price");
    }
}
