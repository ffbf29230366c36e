//! `LiteLLM`'s price map → snapshot: prices of hosts that the first source lacks, capabilities, retirement dates.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::value::RawValue;

use super::{ImportError, Imported, decimal};
use crate::snapshot::{Entry, EntryFacts, LadderText, PriceRow, Snapshot};
use crate::{Ability, Bucket, Tier};

type Result<T> = std::result::Result<T, ImportError>;

/// Hosts: our id, theirs, the beginning of their keys that is no part of the model's id.
const HOSTS: [(&str, &str, &str); 16] = [
    ("anthropic", "anthropic", ""),
    ("anyscale", "anyscale", "anyscale/"),
    ("cerebras", "cerebras", "cerebras/"),
    ("deepinfra", "deepinfra", "deepinfra/"),
    ("deepseek", "deepseek", "deepseek/"),
    ("fireworks", "fireworks_ai", "fireworks_ai/"),
    ("gemini", "gemini", "gemini/"),
    ("groq", "groq", "groq/"),
    ("mistral", "mistral", "mistral/"),
    ("openai", "openai", ""),
    ("openai", "text-completion-openai", ""),
    ("openrouter", "openrouter", "openrouter/"),
    ("replicate", "replicate", "replicate/"),
    ("sambanova", "sambanova", "sambanova/"),
    ("together", "together_ai", "together_ai/"),
    ("xai", "xai", "xai/"),
];

/// What we count, by their field.
const BUCKETS: [(&str, Bucket); 11] = [
    ("input_cost_per_token", Bucket::Input),
    ("cache_read_input_token_cost", Bucket::CacheRead),
    ("cache_creation_input_token_cost", Bucket::CacheWrite5m),
    ("cache_creation_input_token_cost_above_1hr", Bucket::CacheWrite1h),
    ("input_cost_per_audio_token", Bucket::InputAudio),
    ("cache_read_input_audio_token_cost", Bucket::CacheReadAudio),
    ("input_cost_per_image_token", Bucket::InputImage),
    ("output_cost_per_token", Bucket::Output),
    ("output_cost_per_reasoning_token", Bucket::Reasoning),
    ("output_cost_per_audio_token", Bucket::OutputAudio),
    ("output_cost_per_image_token", Bucket::OutputImage),
];

/// Their flags for our abilities.
const FLAGS: [(&str, &str); 6] = [
    ("supports_vision", "images"),
    ("supports_audio_input", "audio"),
    ("supports_pdf_input", "files"),
    ("supports_function_calling", "tools"),
    ("supports_parallel_function_calling", "parallel_tools"),
    ("supports_response_schema", "json_schema"),
];

/// The fields of one model. Values stay text until one is asked for.
struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    /// Some counts are written as numbers with a fraction or as text; those are not used.
    fn count(&self, key: &str) -> Option<u64> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }
}

/// Keeps the hosts that we know, and of their models those that take text.
pub(super) fn snapshot(text: &str, version: &str, date: Date) -> Result<Imported> {
    let models: BTreeMap<String, BTreeMap<String, Box<RawValue>>> = serde_json::from_str(text)?;
    let mut providers: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut rounded = 0;
    for (key, fields) in models {
        let fields = Fields(fields);
        let provider = fields.text("litellm_provider");
        let host = HOSTS.iter().find(|(_, theirs, _)| provider.as_deref() == Some(theirs));
        let Some((ours, _, prefix)) = host else { continue };
        let Some(id) = id(&key, prefix) else { continue };
        let Some(mode) = fields
            .text("mode")
            .filter(|m| ["chat", "responses", "completion", "embedding"].contains(&m.as_str()))
        else {
            continue;
        };
        let entry = entry(id, &mode, &fields, &mut rounded).map_err(|e| e.within(key.clone()))?;
        let entries = providers.entry((*ours).to_owned()).or_default();
        // Some models are listed with and without the host's name: the first, without it, has the host's own id.
        if !entries.iter().any(|known| known.id == entry.id) {
            entries.push(entry);
        }
    }
    let snapshot = Snapshot {
        source: "litellm".into(),
        version: version.into(),
        url: "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json".into(),
        licence: "MIT".into(),
        date,
        providers,
    };
    Ok(Imported { snapshot, rounded })
}

/// The id that the host wants to hear; `None` for size classes and fine-tunes, which are no models.
fn id(key: &str, prefix: &str) -> Option<String> {
    let id = key.strip_prefix(prefix).unwrap_or(key);
    let class = id.starts_with("together-ai-") || id.starts_with("fireworks-ai-");
    (!class && !id.starts_with("ft:")).then(|| id.to_owned())
}

fn entry(id: String, mode: &str, fields: &Fields, rounded: &mut usize) -> Result<Entry> {
    let mut entry = Entry {
        id,
        prices: rows(fields, rounded)?,
        regions: regions(fields),
        page: fields.text("source").filter(|page| page.starts_with("https://")),
        last_day: fields.text("deprecation_date").and_then(|date| date.parse().ok()),
        ..Entry::default()
    };
    entry.facts = EntryFacts {
        context: fields.count("max_input_tokens"),
        max_output: fields.count("max_output_tokens"),
        reasoning: fields.flag("supports_reasoning"),
        can: abilities(mode, fields),
    };
    Ok(entry)
}

fn abilities(mode: &str, fields: &Fields) -> BTreeMap<String, Ability> {
    let ability = |yes| if yes { Ability::Yes } else { Ability::No };
    let mut can = BTreeMap::new();
    let mut set = |name: &str, yes| can.insert(name.to_owned(), ability(yes));
    set("chat", mode == "chat");
    if mode != "responses" {
        set("embeddings", mode == "embedding");
    }
    if mode == "completion" {
        set("completions", true);
    }
    // What a list of modalities leaves out is missing; a flag that is absent says nothing.
    if let Some(modalities) = fields.list("supported_modalities") {
        for (modality, name) in [("image", "images"), ("audio", "audio")] {
            set(name, modalities.iter().any(|known| known == modality));
        }
    }
    for (flag, name) in FLAGS {
        if let Some(yes) = fields.flag(flag) {
            set(name, yes);
        }
    }
    if fields.flag("supports_response_schema") == Some(true) {
        set("json_mode", true);
    }
    can
}

fn regions(fields: &Fields) -> BTreeMap<String, String> {
    let mut regions = BTreeMap::new();
    let factor = |raw: &RawValue| decimal::shifted(raw.get(), 0, 6).ok().map(|(text, _)| text);
    let own = fields.0.get("provider_specific_entry");
    let own: Option<BTreeMap<String, Box<RawValue>>> =
        own.and_then(|raw| serde_json::from_str(raw.get()).ok());
    for region in ["eu", "us"] {
        let uplift = fields.0.get(&format!("regional_processing_uplift_multiplier_{region}"));
        let uplift = uplift.or_else(|| own.as_ref()?.get(region));
        if let Some(text) = uplift.and_then(|raw| factor(raw)) {
            regions.insert(region.to_owned(), text);
        }
    }
    regions
}

/// A price field taken apart: `cache_read_input_token_cost_above_272k_tokens_flex`.
struct PriceKey {
    bucket: Bucket,
    tier: Tier,
    above: u64,
}

impl PriceKey {
    fn parse(key: &str) -> Option<Self> {
        let tiers = [("_batches", Tier::Batch), ("_flex", Tier::Flex), ("_priority", Tier::Priority)];
        let (key, tier) = tiers
            .iter()
            .find_map(|(ending, tier)| Some((key.strip_suffix(ending)?, *tier)))
            .unwrap_or((key, Tier::Standard));
        let (name, above) = match key.strip_suffix("k_tokens").and_then(|key| key.rsplit_once("_above_")) {
            Some((name, thousands)) => (name, thousands.parse::<u64>().ok()?.checked_mul(1_000)?),
            None => (key, 0),
        };
        let (_, bucket) = BUCKETS.iter().find(|(known, _)| *known == name)?;
        Some(Self { bucket: *bucket, tier, above })
    }
}

fn rows(fields: &Fields, rounded: &mut usize) -> Result<Vec<PriceRow>> {
    let mut found: BTreeMap<(u8, Bucket), Vec<(u64, String)>> = BTreeMap::new();
    for (key, raw) in &fields.0 {
        let Some(key) = PriceKey::parse(key) else { continue };
        if raw.get() == "null" {
            continue;
        }
        let (text, cut) = decimal::per_million(raw.get(), 0)?;
        *rounded += usize::from(cut);
        // Zero there means unknown more often than free (91 chat models have a zero output price).
        if text != "0" {
            found.entry((key.tier as u8, key.bucket)).or_default().push((key.above, text));
        }
    }
    if let Some(search) = fields.0.get("search_context_cost_per_query") {
        let by_size: BTreeMap<String, Box<RawValue>> = serde_json::from_str(search.get())?;
        if let Some(medium) = by_size.get("search_context_size_medium") {
            let (text, _) = decimal::shifted(medium.get(), 0, 12)?;
            if text != "0" {
                found.insert((Tier::Standard as u8, Bucket::WebSearch), vec![(0, text)]);
            }
        }
    }
    let row = |tier: Tier| {
        let usd = Bucket::ALL.into_iter().filter_map(|bucket| {
            let mut steps = found.get(&(tier as u8, bucket))?.clone();
            steps.sort();
            let base = steps.first().filter(|(above, _)| *above == 0)?.1.clone();
            let above = steps.split_off(1);
            let ladder = if above.is_empty() {
                LadderText::Flat(base)
            } else {
                LadderText::Steps { base, above, excess: false }
            };
            Some((bucket, ladder))
        });
        PriceRow { tier, usd: usd.collect(), ..PriceRow::default() }
    };
    let tiers = [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority];
    Ok(tiers.into_iter().map(row).filter(|row| !row.usd.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Entry {
        let text = format!(r#"{{"deepinfra/m":{{"litellm_provider":"deepinfra","mode":"chat",{fields}}}}}"#);
        let snapshot = snapshot(&text, "1", jiff::civil::date(2026, 11, 4)).unwrap().snapshot;
        snapshot.providers.get("deepinfra").unwrap().first().unwrap().clone()
    }

    #[test]
    fn prices_per_token_become_prices_per_million() {
        let entry = read(
            r#""input_cost_per_token":9e-08,"input_cost_per_token_above_200k_tokens":1.8e-07,"output_cost_per_token_batches":2.5e-06"#,
        );
        let steps =
            LadderText::Steps { base: "0.09".into(), above: vec![(200_000, "0.18".into())], excess: false };
        assert_eq!(entry.prices[0].usd.get(&Bucket::Input), Some(&steps));
        assert_eq!(entry.prices[1].tier, Tier::Batch);
        assert_eq!(entry.prices[1].usd.get(&Bucket::Output), Some(&LadderText::Flat("2.5".into())));
    }

    #[test]
    fn fn1_04_a_zero_price_is_no_price() {
        let entry = read(r#""input_cost_per_token":0.0,"output_cost_per_token":0"#);
        assert!(entry.prices.is_empty());
    }

    #[test]
    fn a_flag_that_is_absent_says_nothing() {
        let entry = read(
            r#""supports_vision":false,"supports_function_calling":true,"deprecation_date":"2026-12-31""#,
        );
        assert_eq!(entry.facts.can.get("images"), Some(&Ability::No));
        assert_eq!(entry.facts.can.get("tools"), Some(&Ability::Yes));
        assert_eq!(entry.facts.can.get("json_schema"), None);
        assert_eq!(entry.last_day, Some(jiff::civil::date(2026, 12, 31)));
    }

    #[test]
    fn field_names_are_taken_apart() {
        let key = PriceKey::parse("cache_creation_input_token_cost_above_1hr_above_100k_tokens").unwrap();
        assert_eq!((key.bucket, key.above, key.tier), (Bucket::CacheWrite1h, 100_000, Tier::Standard));
        assert!(PriceKey::parse("cache_creation_input_token_cost_above_12hr").is_none());
        assert!(PriceKey::parse("output_cost_per_token_ultrafast").is_none());
    }
}
