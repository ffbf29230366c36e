//! Prices per bucket, with brackets by input length, as integers.

use crate::snapshot::LadderText;
use crate::{Bucket, MoneyError, Rate};

/// Input buckets as they lie in a prompt: what is cached comes first. With excess pricing the first tokens fill the
/// lower bracket.
pub(crate) const INPUTS_IN_PROMPT_ORDER: [Bucket; 7] = [
    Bucket::CacheRead,
    Bucket::CacheReadAudio,
    Bucket::CacheWrite1h,
    Bucket::CacheWrite5m,
    Bucket::Input,
    Bucket::InputAudio,
    Bucket::InputImage,
];

/// The price of one bucket: a base, and others above some input length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ladder {
    base: Rate,
    /// Ascending by bound.
    steps: Box<[(u64, Rate)]>,
    /// Only the tokens above a bound cost its price.
    excess: bool,
}

impl Ladder {
    pub(crate) fn flat(rate: Rate) -> Self {
        Self { base: rate, steps: Box::default(), excess: false }
    }

    /// Reads the text of a snapshot. Errors on an amount that is no whole number of pico-dollars, or negative.
    pub(crate) fn parse(bucket: Bucket, text: &LadderText) -> Result<Self, MoneyError> {
        match text {
            LadderText::Flat(price) => Ok(Self::flat(parse_rate(bucket, price)?)),
            LadderText::Steps { base, above, excess } => {
                // The tokens above a bound are input tokens: which output they belong to, nobody can say.
                if *excess && !INPUTS_IN_PROMPT_ORDER.contains(&bucket) {
                    return Err(MoneyError::Malformed("excess brackets apply to input only".into()));
                }
                let mut steps = above
                    .iter()
                    .map(|(bound, price)| Ok((*bound, parse_rate(bucket, price)?)))
                    .collect::<Result<Vec<_>, MoneyError>>()?;
                steps.sort_by_key(|(bound, _)| *bound);
                Ok(Self { base: parse_rate(bucket, base)?, steps: steps.into(), excess: *excess })
            }
        }
    }

    /// Nothing is charged at any length.
    pub(crate) fn is_zero(&self) -> bool {
        self.base.pico() == 0 && self.steps.iter().all(|(_, rate)| rate.pico() == 0)
    }

    /// Every rate times `factor`, rounded half-even once.
    pub(crate) fn scaled(&self, factor: Factor) -> Self {
        let steps = self.steps.iter().map(|(bound, rate)| (*bound, factor.of(*rate))).collect();
        Self { base: factor.of(self.base), steps, excess: self.excess }
    }

    /// The rate of every token of a request with that many input tokens.
    fn whole(&self, total_input: u64) -> Rate {
        self.steps.iter().rev().find(|(bound, _)| total_input > *bound).map_or(self.base, |(_, rate)| *rate)
    }

    /// Calls `line` for each part of `units` that has one rate. `before` is how many input tokens come earlier in
    /// the prompt: with excess pricing it decides which of these lie above a bound.
    pub(crate) fn split(&self, units: u64, before: u64, total_input: u64, mut line: impl FnMut(u64, Rate)) {
        if !self.excess {
            return line(units, self.whole(total_input));
        }
        let end = before.saturating_add(units);
        let mut start = before;
        let mut rate = self.base;
        for (bound, next) in &self.steps {
            let upto = end.min(*bound);
            if upto > start {
                line(upto.saturating_sub(start), rate);
                start = upto;
            }
            rate = *next;
        }
        if end > start {
            line(end.saturating_sub(start), rate);
        }
    }

    /// Base and steps, for display: `(0, base)` first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (u64, Rate)> {
        std::iter::once((0, self.base)).chain(self.steps.iter().copied())
    }

    pub(crate) fn is_excess(&self) -> bool {
        self.excess
    }
}

/// Reads a price in the unit of its bucket (see [`PriceRow::usd`](crate::snapshot::PriceRow::usd)).
fn parse_rate(bucket: Bucket, text: &str) -> Result<Rate, MoneyError> {
    let rate = match bucket {
        Bucket::WebSearch | Bucket::Request => Rate::per_unit(text)?,
        _ => Rate::per_million(text)?,
    };
    if rate.pico() < 0 {
        return Err(MoneyError::Malformed(text.chars().take(40).collect()));
    }
    Ok(rate)
}

/// Ladders of the buckets that have a price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates([Option<Ladder>; Bucket::ALL.len()]);

impl Rates {
    pub(crate) fn get(&self, bucket: Bucket) -> Option<&Ladder> {
        self.0.get(bucket as usize)?.as_ref()
    }

    pub(crate) fn set(&mut self, bucket: Bucket, ladder: Ladder) {
        if let Some(slot) = self.0.get_mut(bucket as usize) {
            *slot = Some(ladder);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(crate) fn scaled(&self, factor: Factor) -> Self {
        let mut scaled = self.clone();
        for ladder in scaled.0.iter_mut().flatten() {
            *ladder = ladder.scaled(factor);
        }
        scaled
    }
}

/// A factor on prices, exact to a millionth: what a discount leaves, or a region's uplift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor {
    millionths: i128,
}

impl Factor {
    const ONE: i128 = 1_000_000;

    /// Reads a factor such as `1.1`.
    pub(crate) fn parse(text: &str) -> Result<Self, MoneyError> {
        let rate = Rate::per_million(text)?;
        if rate.pico() < 0 {
            return Err(MoneyError::Malformed(text.chars().take(40).collect()));
        }
        Ok(Self { millionths: i128::from(rate.pico()) })
    }

    /// What a discount such as `0.15` leaves. Errors above 1.
    pub(crate) fn after_discount(text: &str) -> Result<Self, MoneyError> {
        let discount = Self::parse(text)?.millionths;
        if discount > Self::ONE {
            return Err(MoneyError::OutOfRange(text.chars().take(40).collect()));
        }
        Ok(Self { millionths: Self::ONE.saturating_sub(discount) })
    }

    /// `rate × factor`, rounded half-even to a pico-dollar, saturating.
    fn of(self, rate: Rate) -> Rate {
        let product = i128::from(rate.pico()).saturating_mul(self.millionths);
        let (whole, rest) = (product.div_euclid(Self::ONE), product.rem_euclid(Self::ONE));
        let up = rest * 2 > Self::ONE || (rest * 2 == Self::ONE && whole % 2 != 0);
        Rate::from_pico(i64::try_from(whole + i128::from(up)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_rounds_half_even_once() {
        let half = Factor::parse("0.5").unwrap();
        let scaled = [1, 2, 3, 5, 7].map(|pico| half.of(Rate::from_pico(pico)).pico());
        assert_eq!(scaled, [0, 1, 2, 2, 4]);
        assert_eq!(Factor::after_discount("0.15").unwrap(), Factor::parse("0.85").unwrap());
        assert!(Factor::after_discount("1.5").is_err());
    }

    #[test]
    fn excess_pricing_splits_at_the_bound() {
        let text = LadderText::Steps { base: "1".into(), above: vec![(100, "2".into())], excess: true };
        let ladder = Ladder::parse(Bucket::Input, &text).unwrap();
        let split = |units, before| {
            let mut parts = Vec::new();
            ladder.split(units, before, units + before, |n, rate| parts.push((n, rate.pico())));
            parts
        };
        assert_eq!(split(100, 0), [(100, 1_000_000)]);
        assert_eq!(split(150, 0), [(100, 1_000_000), (50, 2_000_000)]);
        assert_eq!(split(50, 80), [(20, 1_000_000), (30, 2_000_000)]);
        assert_eq!(split(50, 100), [(50, 2_000_000)]);
    }
}
