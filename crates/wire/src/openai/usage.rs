//! Reads an OpenAI-shaped `usage` object into disjoint buckets, and writes one.
//!
//! OpenAI's `prompt_tokens` includes cached and audio tokens and its `completion_tokens` includes reasoning; some
//! hosts leave one or the other out (field notes §2.1, §2.16). A host's quirk says so, and `total_tokens` proves it.
//! Counts that cannot be (negative, fractional, astronomic) void the report, so that an estimate takes its place;
//! parts that exceed their whole are cut to it, so that the buckets always add up to what was reported.

use catalog::{Basis, Money, Quirks, Usage};

use crate::json::{Cursor, Kind, Malformed};

/// Larger counts are nonsense: no context comes near ten billion tokens.
const MAX_COUNT: u64 = 10_000_000_000;

/// What a `usage` object said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// `None` when it counted nothing or nonsense.
    pub usage: Option<Usage>,
    /// The vendor's own charge, if above zero.
    pub cost: Option<Money>,
}

/// Counts as they were spelled.
#[derive(Default)]
struct Counts {
    prompt: u64,
    completion: u64,
    total: u64,
    cached: u64,
    written: u64,
    prompt_audio: u64,
    prompt_image: u64,
    reasoning: u64,
    completion_audio: u64,
    completion_image: u64,
    nonsense: bool,
    cost: Option<Money>,
    ticks: Option<u64>,
}

/// Reads the next value, a `usage` object; anything else counts as no report.
pub(super) fn read(value: &mut Cursor<'_>, quirks: &Quirks) -> Result<Report, Malformed> {
    let mut counts = Counts::default();
    if value.kind()? != Kind::Object {
        value.skip()?;
        return Ok(Report::default());
    }
    value.object(|value, key| counts.field(value, &key.decode(), quirks))?;
    Ok(counts.report(quirks))
}

impl Counts {
    fn field(&mut self, value: &mut Cursor<'_>, key: &str, quirks: &Quirks) -> Result<(), Malformed> {
        match key {
            "prompt_tokens" | "input_tokens" => self.whole(value, |counts| &mut counts.prompt),
            "completion_tokens" | "output_tokens" => self.whole(value, |counts| &mut counts.completion),
            "total_tokens" => part(value, &mut self.total),
            "prompt_tokens_details" | "input_tokens_details" => self.details(value, true),
            "completion_tokens_details" | "output_tokens_details" => self.details(value, false),
            // DeepSeek's, Moonshot's and Anthropic's spellings of the same counts.
            "prompt_cache_hit_tokens" | "cached_tokens" | "cache_read_input_tokens" => {
                part(value, &mut self.cached)
            }
            "cache_creation_input_tokens" => part(value, &mut self.written),
            "reasoning_tokens" => part(value, &mut self.reasoning),
            "cost" if quirks.reports_cost => self.cost(value),
            "cost_in_usd_ticks" => {
                let mut ticks = 0;
                part(value, &mut ticks)?;
                self.ticks = Some(ticks);
                Ok(())
            }
            _ => value.skip(),
        }
    }

    /// A count that the report stands or falls with.
    fn whole(&mut self, value: &mut Cursor<'_>, field: fn(&mut Self) -> &mut u64) -> Result<(), Malformed> {
        match value.kind()? {
            Kind::Null => return value.skip(),
            Kind::Number => match count(value.number()?) {
                Some(count) => *field(self) = count,
                None => self.nonsense = true,
            },
            _ => {
                value.skip()?;
                self.nonsense = true;
            }
        }
        Ok(())
    }

    fn details(&mut self, value: &mut Cursor<'_>, of_prompt: bool) -> Result<(), Malformed> {
        if value.kind()? != Kind::Object {
            return value.skip();
        }
        value
            .object(|value, key| match (&*key.decode(), of_prompt) {
                ("cached_tokens", true) => part(value, &mut self.cached),
                ("cache_write_tokens" | "cache_creation_tokens" | "cache_creation_input_tokens", true) => {
                    part(value, &mut self.written)
                }
                ("audio_tokens", true) => part(value, &mut self.prompt_audio),
                ("image_tokens", true) => part(value, &mut self.prompt_image),
                ("reasoning_tokens", false) => part(value, &mut self.reasoning),
                ("audio_tokens", false) => part(value, &mut self.completion_audio),
                ("image_tokens", false) => part(value, &mut self.completion_image),
                _ => value.skip(),
            })
            .map(drop)
    }

    /// `usage.cost` in dollars: a number (OpenRouter) or an object with `total_cost` (Perplexity).
    fn cost(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        match value.kind()? {
            Kind::Number => self.cost = dollars(value.number()?),
            Kind::Object => {
                value.object(|value, key| {
                    if key.decode() == "total_cost" && value.kind()? == Kind::Number {
                        self.cost = dollars(value.number()?);
                        return Ok(());
                    }
                    value.skip()
                })?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }

    fn report(self, quirks: &Quirks) -> Report {
        // xAI: ten billion ticks to the dollar, so a tick is a hundred pico-dollars.
        let ticks = self.ticks.map(|ticks| Money::from_pico(i128::from(ticks) * 100));
        let cost = self.cost.or(ticks).filter(|cost| *cost > Money::ZERO);
        let none = self.prompt == 0 && self.completion == 0;
        let usage = (!self.nonsense && !none).then(|| self.buckets(quirks));
        Report { usage, cost }
    }

    fn buckets(&self, quirks: &Quirks) -> Usage {
        let cache = self.cached.saturating_add(self.written);
        let sum = self.prompt.saturating_add(self.completion);
        // A total that only adds up with the part beside its whole proves that the whole leaves it out.
        let proves = |beside: u64| beside > 0 && self.total == sum.saturating_add(beside);
        let cache_beside = quirks.prompt_excludes_cached || proves(cache);
        let reasoning_beside = quirks.completion_excludes_reasoning || proves(self.reasoning);
        let mut prompt = if cache_beside { self.prompt.saturating_add(cache) } else { self.prompt };
        let mut completion = self.completion;
        if reasoning_beside {
            completion = completion.saturating_add(self.reasoning);
        }
        let cache_read = take(&mut prompt, self.cached);
        let cache_write_5m = take(&mut prompt, self.written);
        let input_audio = take(&mut prompt, self.prompt_audio);
        let input_image = take(&mut prompt, self.prompt_image);
        let reasoning = take(&mut completion, self.reasoning);
        let output_audio = take(&mut completion, self.completion_audio);
        let output_image = take(&mut completion, self.completion_image);
        Usage {
            input: prompt,
            cache_read,
            cache_write_5m,
            input_audio,
            input_image,
            output: completion,
            reasoning,
            output_audio,
            output_image,
            basis: Basis::Reported,
            ..Usage::default()
        }
    }
}

/// Moves up to `wanted` out of `whole`.
fn take(whole: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*whole);
    *whole -= taken;
    taken
}

/// A detail: nonsense counts as not said, and the larger of two spellings stands.
fn part(value: &mut Cursor<'_>, into: &mut u64) -> Result<(), Malformed> {
    if value.kind()? != Kind::Number {
        return value.skip();
    }
    *into = count(value.number()?).unwrap_or(0).max(*into);
    Ok(())
}

/// A token count; some vendors spell it `12.0`.
fn count(number: &str) -> Option<u64> {
    let whole = match number.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    };
    whole.parse().ok().filter(|count| *count <= MAX_COUNT)
}

/// A JSON number of dollars in pico-dollars. Vendors print floats with more digits than a pico-dollar holds: what is
/// beyond is rounded half to even. `None` for negative or absurd amounts.
fn dollars(number: &str) -> Option<Money> {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (number.get(..at)?, number.get(at + 1..)?.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // The value is 0.DIGITS × 10^point dollars; the first `kept` digits are whole pico-dollars.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let kept = usize::try_from(point.checked_add(12)?).ok();
    let pico = match kept {
        None => 0,
        Some(kept) if kept > 40 => return digits.bytes().all(|digit| digit == b'0').then_some(Money::ZERO),
        Some(kept) => round(&digits, kept)?,
    };
    // The same bound as `Money`'s own parser: ten billion dollars.
    (pico <= 10_000_000_000 * 1_000_000_000_000).then(|| Money::from_pico(pico))
}

/// The first `kept` digits as a number (zeros appended if there are fewer), rounded half to even by the rest.
fn round(digits: &str, kept: usize) -> Option<i128> {
    let head = digits.get(..kept.min(digits.len()))?;
    let rest = digits.get(kept..).unwrap_or_default().trim_end_matches('0');
    let padded = format!("0{head:0<kept$}");
    let value: i128 = padded.parse().ok()?;
    let up = match rest.as_bytes() {
        [b'5'] => value % 2 == 1,
        [first, ..] => *first >= b'5',
        [] => false,
    };
    Some(value + i128::from(up))
}

/// A `usage` object as OpenAI spells it, cached tokens inside the prompt's and reasoning inside the completion's.
pub(super) fn write(usage: &Usage) -> serde_json::Value {
    let prompt = usage.total_input();
    let completion = usage.total_output();
    let mut value = serde_json::json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read.saturating_add(usage.cache_read_audio),
            "audio_tokens": usage.input_audio.saturating_add(usage.cache_read_audio),
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.output_audio,
        },
    });
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    if written > 0
        && let Some(details) = value.get_mut("prompt_tokens_details")
        && let Some(details) = details.as_object_mut()
    {
        details.insert("cache_write_tokens".to_owned(), written.into());
    }
    value
}
