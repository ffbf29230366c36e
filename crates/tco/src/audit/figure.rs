//! Figures as they are printed: how many digits, in which unit, and whether another number would be printed alike.

/// A printed number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub value: f64,
    /// What its last printed digit counts.
    pub unit: f64,
}

/// How a number is printed: `$` before it, a scale, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Style {
    pub prefix: String,
    /// What a letter or a percent sign behind the number means.
    pub scale: Option<f64>,
    pub suffix: String,
}

/// How well a printed figure agrees with the one that is worked out. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    /// Equal after rounding or truncation to the printed digits.
    Printed,
    /// Off by less than 5 %.
    Near,
    /// Off by more.
    Off,
}

/// Above this share, a difference is no rounding.
const NEAR: f64 = 0.05;

impl Figure {
    /// A number that is known to all its digits.
    pub fn exact(value: f64) -> Self {
        Self { value, unit: 0.0 }
    }

    /// How well it agrees with `computed`.
    pub fn against(self, computed: f64) -> Match {
        let steps = computed / self.unit;
        self.matched(computed, &[steps.round(), steps.trunc()])
    }

    /// The same without truncation: an end of a range covers what rounds to it.
    pub fn rounds_to(self, computed: f64) -> Match {
        self.matched(computed, &[(computed / self.unit).round()])
    }

    fn matched(self, computed: f64, steps: &[f64]) -> Match {
        let (printed, unit) = (self.value, self.unit);
        if printed.is_infinite() || computed.is_infinite() {
            return if printed.is_infinite() == computed.is_infinite() { Match::Printed } else { Match::Off };
        }
        let off = (printed - computed).abs();
        // A computed number that floating point has put just beside a whole step is that step.
        let same = off <= 1e-9 * printed.abs().max(computed.abs());
        if same || (unit > 0.0 && steps.iter().any(|step| (step * unit - printed).abs() <= unit * 1e-6)) {
            return Match::Printed;
        }
        if off < NEAR * computed.abs() { Match::Near } else { Match::Off }
    }
}

impl Style {
    /// No unit.
    pub fn plain() -> Self {
        Self { prefix: String::new(), scale: None, suffix: String::new() }
    }

    /// From a unit as it stands beside a number: `$`, `$/M`, `%`, `M/day`, `tok/s`.
    pub fn from_unit(unit: &str) -> Self {
        let (prefix, rest) = match unit.strip_prefix('$') {
            Some(rest) => ("$", rest),
            None => ("", unit),
        };
        let (scale, shown, rest) = scale(rest);
        let gap = if shown.is_empty() && prefix.is_empty() && rest.starts_with(char::is_alphanumeric) {
            " "
        } else {
            ""
        };
        Self { prefix: prefix.to_owned(), scale, suffix: format!("{shown}{gap}{rest}") }
    }

    /// Without what follows the number, for the first end of a range.
    pub fn bare(&self) -> Self {
        Self { suffix: String::new(), ..self.clone() }
    }

    /// The number in this style, with as many digits as tell it from its neighbours on a page.
    pub fn shown(&self, value: f64) -> String {
        if value == f64::INFINITY {
            return "∞".to_owned();
        }
        let scaled = value / self.scale.unwrap_or(1.0);
        let money = self.prefix == "$" && self.scale.is_none();
        let digits = match scaled.abs() {
            x if x >= 1_000.0 && money => 2,
            x if x >= 1_000.0 => 1,
            x if x >= 100.0 && money => 2,
            x if x >= 100.0 => 1,
            x if x >= 10.0 => 2,
            x if x >= 1.0 => 3,
            _ => 4,
        };
        let text = crate::num::grouped(scaled, digits);
        let text = match text.split_once('.') {
            Some((whole, rest)) => {
                let rest = rest.trim_end_matches('0');
                // Cents come in pairs.
                let rest = if money && rest.len() == 1 { format!("{rest}0") } else { rest.to_owned() };
                if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
            }
            None => text,
        };
        let sign = if text.starts_with('-') { "-" } else { "" };
        format!("{sign}{}{}{}", self.prefix, text.trim_start_matches('-'), self.suffix)
    }
}

/// The scale that a letter or a percent sign behind a number means, how it is shown, and what follows it.
fn scale(rest: &str) -> (Option<f64>, &str, &str) {
    let bare = rest.trim_start();
    if bare.starts_with('%') {
        let shown = rest.len() - bare.len() + 1;
        return (Some(0.01), rest.get(..shown).unwrap_or_default(), rest.get(shown..).unwrap_or_default());
    }
    let mut letters = rest.chars();
    let factor = match letters.next() {
        Some('k' | 'K') => 1e3,
        Some('M') => 1e6,
        Some('B') => 1e9,
        Some('T') => 1e12,
        _ => return (None, "", rest),
    };
    match letters.next() {
        Some(next) if next.is_alphanumeric() => (None, "", rest),
        _ => (Some(factor), rest.get(..1).unwrap_or_default(), rest.get(1..).unwrap_or_default()),
    }
}

/// One or two printed numbers: `$0.50/M`, `~25M`, `80–160×`, `6×+` (from 6 upwards).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Printed {
    pub low: Figure,
    /// The other end of a range.
    pub high: Option<Figure>,
    pub style: Style,
}

impl Printed {
    /// Reads a printed figure or range; `None` where there is no number.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (low, rest) = number(text)?;
        let (factor, _, suffix) = scale(rest);
        let second = ["–", " to ", "-"].iter().find_map(|dash| {
            let behind = rest.split_once(dash).filter(|(before, _)| before.chars().count() <= 4)?.1;
            number(behind)
        });
        let prefix = if text.contains('$') { "$" } else { "" };
        let at_scale = |figure: Figure, factor: Option<f64>| {
            let factor = factor.unwrap_or(1.0);
            Figure { value: figure.value * factor, unit: figure.unit * factor }
        };
        let Some((high, rest)) = second else {
            let (_, shown, _) = scale(rest);
            let open = suffix.ends_with('+');
            let suffix = suffix.trim_end_matches('+');
            let style =
                Style { prefix: prefix.to_owned(), scale: factor, suffix: format!("{shown}{suffix}") };
            let high = open.then_some(Figure::exact(f64::INFINITY));
            return Some(Self { low: at_scale(low, factor), high, style });
        };
        let (high_factor, shown, suffix) = scale(rest);
        // `80–160 %`: the scale behind the second number is that of both, unless the first has its own.
        let low_factor = factor.or(high_factor);
        let style =
            Style { prefix: prefix.to_owned(), scale: high_factor, suffix: format!("{shown}{suffix}") };
        Some(Self { low: at_scale(low, low_factor), high: Some(at_scale(high, high_factor)), style })
    }
}

/// The first number of a text with the value of its last printed digit, and what follows it.
fn number(text: &str) -> Option<(Figure, &str)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let before = text.get(..start)?;
    // Nothing but signs may stand before it: the 4 of "GPT-4" is no figure.
    if before.chars().any(char::is_alphanumeric) {
        return None;
    }
    let negative = before.trim_end_matches('$').ends_with(['-', '−']);
    let rest = text.get(start..)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '.' | '_')).unwrap_or(rest.len());
    // A comma or point at the end belongs to the sentence.
    let digits = rest.get(..end)?.trim_end_matches([',', '.']);
    let clean = digits.replace([',', '_'], "");
    let value: f64 = clean.parse().ok()?;
    let unit = match clean.split_once('.') {
        Some((_, decimals)) => 0.1_f64.powi(i32::try_from(decimals.len()).ok()?),
        None => thousands(&clean),
    };
    let value = if negative { -value } else { value };
    Some((Figure { value, unit }, rest.get(digits.len()..)?))
}

/// A whole number that ends in groups of three zeros is printed in thousands; two digits always count.
fn thousands(digits: &str) -> f64 {
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let most = digits.len().saturating_sub(2);
    let insignificant = (zeros / 3 * 3).min(most);
    10_f64.powi(i32::try_from(insignificant).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (f64, Option<f64>, f64, String) {
        let printed = Printed::read(text).expect(text);
        let near = |x: f64| (x * 1e9).round() / 1e9;
        let (high, unit) = (printed.high.map(|high| near(high.value)), near(printed.low.unit));
        (near(printed.low.value), high, unit, printed.style.shown(printed.low.value))
    }

    #[test]
    fn printed_figures_are_read_with_their_digits() {
        for (text, low, high, unit, shown) in [
            ("0.50", 0.50, None, 0.01, "0.5"),
            ("$0.50/M", 0.50, None, 0.01, "$0.50/M"),
            ("35×", 35.0, None, 1.0, "35×"),
            ("10 %", 0.1, None, 0.01, "10 %"),
            ("~25M/day", 25e6, None, 1e6, "25M/day"),
            ("$400k", 400e3, None, 1e3, "$400k"),
            ("$55,333", 55_333.0, None, 1.0, "$55,333"),
            ("$253,000", 253_000.0, None, 1_000.0, "$253,000"),
            ("1,000", 1_000.0, None, 100.0, "1,000"),
            ("80–160×", 80.0, Some(160.0), 1.0, "80×"),
            ("30-50 %", 0.3, Some(0.5), 0.01, "30 %"),
            ("$0.50–$1.20", 0.5, Some(1.2), 0.01, "$0.50"),
            ("80–100M", 80e6, Some(100e6), 1e6, "80M"),
            ("6×+", 6.0, Some(f64::INFINITY), 1.0, "6×"),
            ("−7 points", -7.0, None, 1.0, "-7 points"),
        ] {
            assert_eq!(read(text), (low, high, unit, shown.to_owned()), "{text}");
        }
        assert_eq!(Printed::read("GPT-5.4"), None);
        assert_eq!(Printed::read("many"), None);
    }

    #[test]
    fn rounding_and_truncation_are_forgiven_to_the_printed_digit() {
        let against = |printed: &str, computed: f64| Printed::read(printed).unwrap().low.against(computed);
        for (printed, computed, expected) in [
            ("0.23", 0.233_333, Match::Printed),
            ("7", 7.64, Match::Printed),
            ("8", 7.64, Match::Printed),
            ("13", 13.35, Match::Printed),
            ("$67", 67.20, Match::Printed),
            ("670", 672.0, Match::Near),
            ("253,000", 253_333.0, Match::Printed),
            ("35", 36.36, Match::Near),
            ("80", 76.36, Match::Near),
            ("80", 75.0, Match::Off),
            ("1.18", 1.166_7, Match::Near),
            ("0.3", 0.1 + 0.2, Match::Printed),
            ("-7", -7.9, Match::Printed),
        ] {
            assert_eq!(against(printed, computed), expected, "{printed} {computed}");
        }
    }

    #[test]
    fn units_are_styles() {
        for (unit, value, shown) in [
            ("$", 1_041.095_89, "$1,041.10"),
            ("$/M", 0.233_333, "$0.2333/M"),
            ("%", 0.245_454, "24.55%"),
            (" %", 0.245_454, "24.55 %"),
            ("tok/s", 4_761.904_76, "4,761.9 tok/s"),
            ("M/day", 1.183_063e9, "1,183.1M/day"),
            ("×", 35.9, "35.9×"),
            ("", f64::INFINITY, "∞"),
            ("$", -0.001, "-$0.001"),
        ] {
            assert_eq!(Style::from_unit(unit).shown(value), shown);
        }
    }
}
