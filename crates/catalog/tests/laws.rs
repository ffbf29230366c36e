//! What holds for every price, whatever the model and the usage.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use proptest::prelude::*;
use tollgate_catalog::{Basis, Bucket, Catalogue, Context, Cost, Money, Offer, PriceLine, Tier, Usage};

/// Every listed offer of a few hosts, with one that prices the excess only.
static OFFERS: LazyLock<Vec<Arc<Offer>>> = LazyLock::new(|| {
    let excess = "[[price]]\ntarget = \"gpu/m\"\ninput = 1\ncache_read = 1\noutput = 2\ncache_write_5m = 3\ninput_audio = 4\nexcess = true\nabove = [{ tokens = 1000, input = 2, cache_read = 2 }, { tokens = 5000, input = 3, cache_read = 3 }]\n";
    let catalogue = Catalogue::builtin().with_overlay("x", excess).expect("valid");
    ["openai", "anthropic", "gemini", "deepseek", "mistral", "together", "gpu"]
        .iter()
        .flat_map(|provider| catalogue.offers(provider))
        .collect()
});

fn offers() -> impl Strategy<Value = Arc<Offer>> {
    (0..OFFERS.len()).prop_map(|at| Arc::clone(&OFFERS[at]))
}

fn contexts() -> impl Strategy<Value = Context> {
    let tiers = prop_oneof![
        6 => Just(Tier::Standard),
        1 => Just(Tier::Batch),
        1 => Just(Tier::Flex),
        1 => Just(Tier::Priority)
    ];
    // 2025 to 2028.
    (tiers, 1_735_689_600_i64..1_830_297_600).prop_map(|(tier, second)| Context {
        tier,
        region: None,
        at: Timestamp::from_second(second).expect("in range"),
    })
}

/// Text mostly, so that most prices are known; sometimes everything, sometimes enormous.
fn usages(most: u64) -> impl Strategy<Value = Usage> {
    let n = || prop_oneof![2 => Just(0), 3 => 0..2_000_u64, 1 => 0..=most];
    let rare = || prop_oneof![9 => Just(0), 1 => 0..=most];
    let text = (n(), n(), n(), n(), n(), n());
    let other = (rare(), rare(), rare(), rare(), rare(), rare());
    (text, other).prop_map(|(text, other)| Usage {
        input: text.0,
        cache_read: text.1,
        cache_write_5m: text.2,
        cache_write_1h: text.3,
        output: text.4,
        reasoning: text.5,
        input_audio: other.0,
        cache_read_audio: other.1,
        input_image: other.2,
        output_audio: other.3,
        output_image: other.4,
        web_search: other.5,
        basis: Basis::Reported,
    })
}

fn with(mut usage: Usage, bucket: Bucket, units: u64) -> Usage {
    let field = match bucket {
        Bucket::Input => &mut usage.input,
        Bucket::CacheRead => &mut usage.cache_read,
        Bucket::CacheWrite5m => &mut usage.cache_write_5m,
        Bucket::CacheWrite1h => &mut usage.cache_write_1h,
        Bucket::InputAudio => &mut usage.input_audio,
        Bucket::CacheReadAudio => &mut usage.cache_read_audio,
        Bucket::InputImage => &mut usage.input_image,
        Bucket::Output => &mut usage.output,
        Bucket::Reasoning => &mut usage.reasoning,
        Bucket::OutputAudio => &mut usage.output_audio,
        Bucket::OutputImage => &mut usage.output_image,
        Bucket::WebSearch => &mut usage.web_search,
        Bucket::Request => panic!("always one"),
    };
    *field = units;
    usage
}

/// 10^5 unless `PROPTEST_CASES` says otherwise (`just soak` raises it).
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// LAW 2: the total is the sum of its lines, a line is units × rate, and every unit is on exactly one line.
    #[test]
    fn every_unit_is_billed_once_and_the_sum_is_exact(offer in offers(), context in contexts(), usage in usages(3_000_000)) {
        let cost = offer.price(&usage, &context);
        let Cost::Known(lines) = &cost else { return Ok(()) };
        let by_hand: i128 = lines.iter().map(|line| i128::from(line.pico_per_unit) * i128::from(line.units)).sum();
        prop_assert_eq!(cost.total(), Some(Money::from_pico(by_hand)));
        for bucket in Bucket::ALL {
            let billed: u64 = lines.iter().filter(|line| line.bucket == bucket).map(|line| line.units).sum();
            if bucket == Bucket::Request {
                prop_assert!(billed <= 1);
            } else {
                prop_assert_eq!(billed, usage.get(bucket));
            }
        }
        prop_assert!(lines.iter().all(|line| line.units > 0 && line.pico_per_unit >= 0));
    }

    /// Field notes §1.1: who counted and how the answer was sent does not change the price.
    #[test]
    fn fn1_01_twins_cost_the_same(offer in offers(), context in contexts(), usage in usages(3_000_000)) {
        let twin = Usage { basis: Basis::Estimated, ..usage };
        prop_assert_eq!(offer.price(&usage, &context), offer.price(&twin, &context));
    }

    /// More units never cost less, and make nothing known that was not.
    #[test]
    fn more_never_costs_less(offer in offers(), context in contexts(), usage in usages(3_000_000), which in 0..12_usize, more in 1..500_000_u64) {
        let bucket = Bucket::ALL[which];
        let larger = with(usage, bucket, usage.get(bucket) + more);
        let (less, more) = (offer.price(&usage, &context).total(), offer.price(&larger, &context).total());
        prop_assert!(more.is_none() || less.is_some());
        if let (Some(less), Some(more)) = (less, more) {
            prop_assert!(more >= less, "{} {:?}: {} then {}", offer.target(), bucket, less, more);
        }
    }

    /// Absurd counts give an absurd total: nothing wraps, nothing turns negative, nothing panics.
    #[test]
    fn huge_usage_saturates_and_never_wraps(offer in offers(), context in contexts(), usage in usages(u64::MAX)) {
        let cost = offer.price(&usage, &context);
        if let Some(total) = cost.total() {
            prop_assert!(total >= Money::ZERO);
            for line in cost.lines() {
                prop_assert!(line.amount() >= Money::ZERO && line.amount() <= total);
            }
        }
    }

    /// Field notes §1.4: a cost is known only if every unit of it has a price.
    #[test]
    fn fn1_04_a_used_bucket_without_a_price_makes_the_whole_unknown(offer in offers(), context in contexts(), usage in usages(1_000)) {
        if let Cost::Unknown(tollgate_catalog::UnknownPrice::Bucket(bucket)) = offer.price(&usage, &context) {
            prop_assert!(usage.get(bucket) > 0);
            let without = with(usage, bucket, 0);
            prop_assert_ne!(offer.price(&without, &context), offer.price(&usage, &context));
        }
    }
}

#[test]
fn the_largest_possible_bill_is_visibly_absurd() {
    let dearest = PriceLine { bucket: Bucket::Input, units: u64::MAX, pico_per_unit: i64::MAX };
    assert!(dearest.amount() > Money::parse_usd("9999999999").expect("fits"));
    let total = Cost::Known(vec![dearest; 8]).total().expect("known");
    assert!(total >= dearest.amount());
}
