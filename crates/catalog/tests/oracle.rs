//! Our exact sums against the genai-prices crate, which does its own in `f64` on the same data: every model that it
//! and we know, at several times, in every tier, for usages that touch every bucket.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use genai_prices::{Calculator, ErrorKind, PriceRequest, UsageKey};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate_catalog::{Bucket, Catalogue, Context, Cost, Offer, Tier, UnknownPrice, Usage};

/// Hosts: our id, theirs.
const HOSTS: [(&str, &str); 11] = [
    ("anthropic", "anthropic"),
    ("cerebras", "cerebras"),
    ("deepseek", "deepseek"),
    ("fireworks", "fireworks"),
    ("gemini", "google"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("openai", "openai"),
    ("openrouter", "openrouter"),
    ("together", "together"),
    ("xai", "x-ai"),
];

/// Before and after the dated changes; off-peak, peak, and the day after the last announced change.
const TIMES: [&str; 5] = [
    "2025-12-31T23:59:59Z",
    "2026-10-14T12:00:00Z",
    "2026-11-24T12:00:00Z",
    "2026-11-24T02:30:00Z",
    "2027-01-02T08:00:00Z",
];

fn usages() -> Vec<Usage> {
    let base = Usage { input: 1_234, output: 567, ..Usage::default() };
    vec![
        base,
        Usage { input: 250_001, output: 4_096, ..Usage::default() },
        Usage { input: 1, cache_read: 271_999, output: 1, ..Usage::default() },
        Usage { input: 1, cache_read: 272_000, output: 1, ..Usage::default() },
        Usage { cache_read: 10_000, cache_write_5m: 3_000, cache_write_1h: 2_000, reasoning: 900, ..base },
        Usage { cache_write_5m: 150_000, web_search: 3, ..base },
        Usage { input_audio: 777, cache_read_audio: 33, output_audio: 55, ..base },
        Usage { input_image: 4_000, output_image: 1_290, ..base },
        Usage::default(),
    ]
}

/// Their usage counts overlap: the total, and what of it is cached, audio and so on.
fn theirs(usage: &Usage) -> genai_prices::Usage {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let count = |n: u64| n as f64;
    let all = [
        (UsageKey::from("input_tokens"), usage.total_input()),
        (UsageKey::from("output_tokens"), usage.total_output()),
        (UsageKey::from("cache_read_tokens"), usage.cache_read + usage.cache_read_audio),
        (UsageKey::from("cache_write_tokens"), usage.cache_write_5m + usage.cache_write_1h),
        (UsageKey::from("cache_write_5m_tokens"), usage.cache_write_5m),
        (UsageKey::from("cache_write_1h_tokens"), usage.cache_write_1h),
        (UsageKey::from("input_audio_tokens"), usage.input_audio + usage.cache_read_audio),
        (UsageKey::from("cache_audio_read_tokens"), usage.cache_read_audio),
        (UsageKey::from("input_image_tokens"), usage.input_image),
        (UsageKey::from("output_reasoning_tokens"), usage.reasoning),
        (UsageKey::from("output_audio_tokens"), usage.output_audio),
        (UsageKey::from("output_image_tokens"), usage.output_image),
        (UsageKey::from("web_searches"), usage.web_search),
    ];
    all.into_iter().map(|(key, n)| (key, count(n))).collect()
}

/// Where we differ on purpose: the peak hours of `DeepSeek`. There a daily window holds at all times; here it starts
/// with the change that introduced it, and not at weekends (their issue 582).
fn exempt(host: &str, context: &Context) -> bool {
    let introduced: Timestamp = "2026-09-10T00:00:00Z".parse().expect("a time");
    let weekend = TimeZone::UTC.to_datetime(context.at).weekday().to_monday_zero_offset() >= 5;
    host == "deepseek" && (context.at < introduced || weekend)
}

/// Prices such as 0.0833333333333333 a million have no exact number of pico-dollars; the snapshot has them rounded.
fn tolerance(host: &str) -> f64 {
    if host == "openrouter" { 1e-5 } else { 1e-9 }
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_second().try_into().expect("after 1970"))
}

/// What came of the comparison.
#[derive(Default)]
struct Tally {
    compared: u32,
    different: Vec<String>,
    /// Why we name no price, and how often.
    unknown: BTreeMap<String, u32>,
    /// Ids that their own rule does not match.
    strangers: BTreeSet<String>,
}

impl Tally {
    fn compare(&mut self, (host, their_host): (&str, &str), offer: &Offer, context: &Context, usage: &Usage) {
        let price = match offer.price(usage, context) {
            Cost::Unknown(why) => {
                *self.unknown.entry(format!("{why:?}")).or_default() += 1;
                return;
            }
            known @ Cost::Known(_) => known.total().expect("known").to_f64_usd(),
        };
        let counts = theirs(usage);
        let request = PriceRequest::new(&offer.model, &counts)
            .with_provider_id(their_host)
            .with_timestamp(system_time(context.at));
        let request = match context.tier {
            Tier::Standard => request,
            Tier::Batch => request.with_price_context("processing", "batch"),
            Tier::Flex => request.with_price_context("service_tier", "flex"),
            Tier::Priority => request.with_price_context("service_tier", "priority"),
        };
        let there = match Calculator::bundled().calculate(&request) {
            Ok(there) => there.total_price,
            Err(error) if error.kind() == ErrorKind::ModelNotFound => {
                self.strangers.insert(offer.target());
                return;
            }
            Err(error) => panic!("{}: {error}", offer.target()),
        };
        if exempt(host, context) {
            return;
        }
        self.compared += 1;
        if (price - there).abs() > tolerance(host) * there.abs() {
            let (target, tier, at) = (offer.target(), context.tier, context.at);
            self.different.push(format!("{target} {tier:?} {at} {usage:?}: {price} here, {there} there"));
        }
    }
}

fn contexts() -> Vec<Context> {
    let tiers = [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority];
    let at = |time: &str, tier| Context { tier, region: None, at: time.parse().expect("a time") };
    TIMES.iter().flat_map(|time| tiers.map(|tier| at(time, tier))).collect()
}

#[test]
fn our_sums_agree_with_the_oracle() {
    let ours = Catalogue::builtin();
    let mut tally = Tally::default();
    for (host, their_host) in HOSTS {
        let provider = Calculator::bundled().find_provider(Some(their_host), None).unwrap().unwrap();
        for model in provider.models() {
            let Some(offer) = ours.offer(host, model.id()) else {
                assert!(
                    host == "gemini" && model.id().contains("claude"),
                    "{host}/{} is not listed",
                    model.id()
                );
                continue;
            };
            for (context, usage) in contexts().iter().flat_map(|c| usages().into_iter().map(move |u| (c, u)))
            {
                tally.compare((host, their_host), &offer, context, &usage);
            }
        }
    }
    let Tally { compared, different, unknown, strangers } = tally;
    assert!(
        different.is_empty(),
        "{} differ:\n{}",
        different.len(),
        different[..different.len().min(12)].join("\n")
    );
    assert!(compared > 30_000, "only {compared} prices were compared");
    assert!(strangers.len() <= 3, "{strangers:?}");
    // What we refuse to price, there is priced as standard or as text.
    let buckets = [
        Bucket::CacheWrite5m,
        Bucket::CacheWrite1h,
        Bucket::InputAudio,
        Bucket::Output,
        Bucket::OutputAudio,
        Bucket::OutputImage,
        Bucket::WebSearch,
    ];
    let refused: BTreeSet<String> = [UnknownPrice::Tier, UnknownPrice::Time, UnknownPrice::Model]
        .into_iter()
        .chain(buckets.map(UnknownPrice::Bucket))
        .map(|why| format!("{why:?}"))
        .collect();
    assert!(unknown.keys().all(|why| refused.contains(why)), "{unknown:?}");
}
