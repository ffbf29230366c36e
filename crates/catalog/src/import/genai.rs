//! genai-prices' v2 data → snapshot.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ImportError, Imported, decimal};
use crate::snapshot::{Entry, EntryFacts, LadderText, PriceRow, Snapshot};
use crate::{Bucket, Tier};

type Result<T> = std::result::Result<T, ImportError>;

/// Hosts: our id, theirs.
const HOSTS: [(&str, &str); 12] = [
    ("anthropic", "anthropic"),
    ("cerebras", "cerebras"),
    ("deepseek", "deepseek"),
    ("fireworks", "fireworks"),
    ("gemini", "google"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("openai", "openai"),
    ("openrouter", "openrouter"),
    ("sambanova", "sambanova"),
    ("together", "together"),
    ("xai", "x-ai"),
];

/// What we count, by their price key, and the power of ten of units that the price is for.
const BUCKETS: [(&str, Bucket, i32); 14] = [
    ("input_mtok", Bucket::Input, 6),
    ("cache_read_mtok", Bucket::CacheRead, 6),
    ("cache_write_mtok", Bucket::CacheWrite5m, 6),
    ("cache_write_5m_mtok", Bucket::CacheWrite5m, 6),
    ("cache_write_1h_mtok", Bucket::CacheWrite1h, 6),
    ("input_audio_mtok", Bucket::InputAudio, 6),
    ("cache_audio_read_mtok", Bucket::CacheReadAudio, 6),
    ("input_image_mtok", Bucket::InputImage, 6),
    ("output_mtok", Bucket::Output, 6),
    ("output_reasoning_mtok", Bucket::Reasoning, 6),
    ("output_audio_mtok", Bucket::OutputAudio, 6),
    ("output_image_mtok", Bucket::OutputImage, 6),
    ("web_searches_kcount", Bucket::WebSearch, 3),
    ("requests_kcount", Bucket::Request, 3),
];

type Prices = BTreeMap<String, Box<RawValue>>;

#[derive(Deserialize)]
struct Host {
    id: String,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    #[serde(rename = "match")]
    matching: Value,
    context_window: Option<u64>,
    prices: Box<RawValue>,
    #[serde(default)]
    price_variants: Vec<Variant>,
}

#[derive(Deserialize)]
struct Conditional {
    constraint: Option<Constraint>,
    prices: Prices,
}

#[derive(Deserialize)]
struct Variant {
    when: BTreeMap<String, String>,
    constraint: Option<Constraint>,
    prices: Prices,
}

#[derive(Deserialize)]
struct Constraint {
    start_date: Option<Date>,
    start_time: Option<String>,
    end_time: Option<String>,
}

#[derive(Deserialize)]
struct Tiered {
    base: Box<RawValue>,
    tiers: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    start: u64,
    price: Box<RawValue>,
}

/// Keeps the hosts that we know and the units that we count.
pub(super) fn snapshot(text: &str, version: &str, date: Date) -> Result<Imported> {
    let hosts: Vec<Host> = serde_json::from_str(text)?;
    let mut providers = BTreeMap::new();
    let mut rounded = 0;
    for host in hosts {
        let Some((ours, _)) = HOSTS.iter().find(|(_, theirs)| *theirs == host.id) else { continue };
        let mut entries = Vec::new();
        for model in &host.models {
            // Vertex AI sells Claude, not the Gemini API.
            if *ours == "gemini" && model.id.contains("claude") {
                continue;
            }
            entries.push(
                entry(model, &host.id, &mut rounded)
                    .map_err(|e| e.within(format!("{}/{}", host.id, model.id)))?,
            );
        }
        providers.insert((*ours).to_owned(), entries);
    }
    let snapshot = Snapshot {
        source: "genai-prices".into(),
        version: version.into(),
        url: "https://github.com/pydantic/genai-prices".into(),
        licence: "MIT".into(),
        date,
        providers,
    };
    Ok(Imported { snapshot, rounded })
}

fn entry(model: &Model, host: &str, rounded: &mut usize) -> Result<Entry> {
    let mut names = Names::default();
    names.collect(&model.matching)?;
    let mut entry = Entry { id: model.id.clone(), prices: rows(model, rounded)?, ..Entry::default() };
    entry.facts = EntryFacts { context: model.context_window, ..EntryFacts::default() };
    // At some hosts the source's id is only a label, and what the host wants to hear is in the rule.
    if let Some(real) = names.equals.first().filter(|_| !names.matches(&model.id)) {
        entry.aliases.push(std::mem::replace(&mut entry.id, real.clone()));
    }
    // `x-ai/grok-4` and `cerebras:gpt-oss` are a gateway's names for it, not the host's.
    // OpenRouter names the copies so that cost nothing; the source leaves their price out.
    if host == "openrouter" && entry.prices.is_empty() && entry.id.ends_with(":free") {
        let zero = || LadderText::Flat("0".into());
        let usd = [(Bucket::Input, zero()), (Bucket::Output, zero())].into();
        entry.prices.push(PriceRow { usd, ..PriceRow::default() });
        entry.free = true;
    }
    let foreign = |name: &String| name.strip_prefix(host).is_some_and(|rest| rest.starts_with(['/', ':']));
    entry.names = names.equals.into_iter().filter(|name| *name != entry.id && !foreign(name)).collect();
    entry.stems = names.stems.into_iter().filter(|stem| !foreign(stem)).collect();
    Ok(entry)
}

/// The texts in a matching rule.
#[derive(Default)]
struct Names {
    equals: Vec<String>,
    stems: Vec<String>,
    ends: Vec<String>,
    any: bool,
}

impl Names {
    fn collect(&mut self, rule: &Value) -> Result<()> {
        let Some((operation, argument)) = rule.as_object().and_then(|map| map.iter().next()) else {
            return Err(ImportError::Construct(format!("rule {rule}")));
        };
        match (operation.as_str(), argument) {
            ("or" | "and", Value::Array(rules)) => rules.iter().try_for_each(|rule| self.collect(rule))?,
            ("equals", Value::String(text)) => self.equals.push(text.clone()),
            ("starts_with" | "contains", Value::String(text)) => self.stems.push(text.clone()),
            ("ends_with", Value::String(text)) => self.ends.push(text.clone()),
            ("regex", Value::String(text)) => {
                self.any = true;
                self.stems.extend(dated_stem(text));
            }
            _ => return Err(ImportError::Construct(format!("rule {rule}"))),
        }
        Ok(())
    }

    fn matches(&self, id: &str) -> bool {
        self.any
            || self.equals.iter().any(|text| text == id)
            || self.stems.iter().any(|text| id.contains(text.as_str()))
            || self.ends.iter().any(|text| id.ends_with(text.as_str()))
    }
}

/// The stem of a pattern for dated names: `^gpt-6\.1-sol-\d{4}-\d{2}-\d{2}$` → `gpt-6.1-sol`.
fn dated_stem(pattern: &str) -> Option<String> {
    let body = pattern.strip_prefix('^')?;
    let end = [r"-\d{4}-\d{2}-\d{2}$", r"-\d{8}$", r"[-@]\d{8}$"]
        .iter()
        .find_map(|tail| body.strip_suffix(tail))?;
    let stem = end.replace(r"\.", ".");
    stem.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_')).then_some(stem)
}

fn rows(model: &Model, rounded: &mut usize) -> Result<Vec<PriceRow>> {
    let conditional: Vec<Conditional> = if model.prices.get().starts_with('[') {
        serde_json::from_str(model.prices.get())?
    } else {
        vec![Conditional { constraint: None, prices: serde_json::from_str(model.prices.get())? }]
    };
    let mut rows = Vec::new();
    let mut dated = None;
    for part in &conditional {
        let mut row = row(Tier::Standard, part.constraint.as_ref(), &part.prices, rounded)?;
        // A condition there is a date or a time of day, never both: a daily window holds since the last change
        // before it in the list, not since ever (their issue 582).
        match row.from {
            Some(from) => dated = Some(from),
            None => row.from = row.daily.as_ref().and(dated),
        }
        rows.push(row);
    }
    // There the first variant that applies wins, here the last row does.
    for variant in model.price_variants.iter().rev() {
        if let Some(tier) = tier(&variant.when) {
            rows.push(row(tier, variant.constraint.as_ref(), &variant.prices, rounded)?);
        }
    }
    rows.retain(|row| !row.usd.is_empty());
    Ok(rows)
}

/// Only the tiers that we know: `fast` at `OpenAI` costs what `priority` costs, `default` is standard.
fn tier(when: &BTreeMap<String, String>) -> Option<Tier> {
    let mut conditions = when.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    match (conditions.next()?, conditions.next()) {
        (("processing", "batch"), None) => Some(Tier::Batch),
        (("service_tier", "flex"), None) => Some(Tier::Flex),
        (("service_tier", "priority"), None) => Some(Tier::Priority),
        _ => None,
    }
}

fn row(
    tier: Tier,
    constraint: Option<&Constraint>,
    prices: &Prices,
    rounded: &mut usize,
) -> Result<PriceRow> {
    let mut row = PriceRow { tier, ..PriceRow::default() };
    if let Some(constraint) = constraint {
        row.from = constraint.start_date;
        if let (Some(start), Some(end)) = (&constraint.start_time, &constraint.end_time) {
            row.daily = Some(format!("{}-{}", utc_minute(start)?, utc_minute(end)?));
        }
    }
    for (key, bucket, exponent) in BUCKETS {
        if let Some(price) = prices.get(key) {
            row.usd.insert(bucket, ladder(price, exponent, rounded)?);
        }
    }
    Ok(row)
}

fn utc_minute(text: &str) -> Result<&str> {
    text.strip_suffix(":00Z").ok_or_else(|| ImportError::Construct(format!("time of day `{text}`")))
}

fn ladder(price: &RawValue, exponent: i32, rounded: &mut usize) -> Result<LadderText> {
    let mut amount = |number: &RawValue| -> Result<String> {
        let (text, cut) = match exponent {
            6 => decimal::per_million(number.get(), 6)?,
            _ => decimal::shifted(number.get(), -exponent, 12)?,
        };
        *rounded += usize::from(cut);
        Ok(text)
    };
    if !price.get().starts_with('{') {
        return Ok(LadderText::Flat(amount(price)?));
    }
    let tiered: Tiered = serde_json::from_str(price.get())?;
    let above =
        tiered.tiers.iter().map(|step| Ok((step.start, amount(&step.price)?))).collect::<Result<_>>()?;
    Ok(LadderText::Steps { base: amount(&tiered.base)?, above, excess: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(model: &str) -> Entry {
        let text = format!(r#"[{{"id":"openai","models":[{model}]}},{{"id":"unknown-host","models":[]}}]"#);
        let snapshot = snapshot(&text, "1", jiff::civil::date(2026, 11, 4)).unwrap().snapshot;
        snapshot.providers.get("openai").unwrap().first().unwrap().clone()
    }

    #[test]
    fn digits_survive_and_brackets_are_kept() {
        let entry = read(
            r#"{"id":"m","match":{"equals":"m"},"prices":{"input_mtok":{"base":0.1,"tiers":[{"start":200000,"price":0.30}]},"web_searches_kcount":10,"audio_hours":1}}"#,
        );
        let usd = &entry.prices.first().unwrap().usd;
        let steps =
            LadderText::Steps { base: "0.1".into(), above: vec![(200_000, "0.3".into())], excess: false };
        assert_eq!(usd.get(&Bucket::Input), Some(&steps));
        assert_eq!(usd.get(&Bucket::WebSearch), Some(&LadderText::Flat("0.01".into())));
        assert_eq!(usd.len(), 2, "audio hours are not counted here");
    }

    #[test]
    fn a_label_becomes_an_alias_of_the_real_id() {
        let entry = read(r#"{"id":"glm","match":{"equals":"accounts/x/glm"},"prices":{"input_mtok":1}}"#);
        assert_eq!((entry.id.as_str(), entry.aliases), ("accounts/x/glm", vec!["glm".to_owned()]));
    }

    #[test]
    fn fn1_19_a_daily_window_starts_with_the_last_dated_change() {
        let entry = read(
            r#"{"id":"m","match":{"equals":"m"},"prices":[{"prices":{"input_mtok":1}},{"constraint":{"start_date":"2026-08-17"},"prices":{"input_mtok":2}},{"constraint":{"start_time":"01:00:00Z","end_time":"04:00:00Z"},"prices":{"input_mtok":4}}]}"#,
        );
        let peak = entry.prices.last().unwrap();
        assert_eq!(peak.daily.as_deref(), Some("01:00-04:00"));
        assert_eq!(peak.from, Some(jiff::civil::date(2026, 8, 17)));
    }

    #[test]
    fn stems_come_from_patterns_for_dates_only() {
        assert_eq!(dated_stem(r"^gpt-6\.1-sol-\d{4}-\d{2}-\d{2}$").as_deref(), Some("gpt-6.1-sol"));
        assert_eq!(dated_stem(r"^claude-opus-5[-@]\d{8}$").as_deref(), Some("claude-opus-5"));
        assert_eq!(dated_stem(r"^(?!.*-[tT][tT][sS](?:$|-))"), None);
    }
}
