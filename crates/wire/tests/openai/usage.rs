//! Usage: disjoint buckets from every vendor's convention, and the vendor's own charge.

use catalog::{Money, Quirks, Tier, Usage};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{chunk, reply_of, stream, whole};
use crate::wire::Op;

fn usage_of(usage: &Value, quirks: &Quirks) -> Option<Usage> {
    let answer = json!({"choices": [{"message": {"content": "x"}}], "usage": usage});
    whole(&answer, quirks).unwrap().ending.usage
}

fn buckets(usage: &Value, quirks: &Quirks) -> [u64; 5] {
    let usage = usage_of(usage, quirks).unwrap();
    [usage.input, usage.cache_read, usage.cache_write_5m, usage.output, usage.reasoning]
}

#[test]
fn fn1_01_streamed_and_buffered_twins_report_the_same() {
    let usage = json!({"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120, "cost": 0,
        "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 20}});
    let quirks = Quirks { reports_cost: true, ..Quirks::default() };
    let message = json!({"role": "assistant", "content": "två\n", "reasoning_content": "hm"});
    let buffered = json!({"id": "c", "model": "served", "service_tier": "flex", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let buffered = whole(&buffered, &quirks).unwrap().ending;
    let events = [
        chunk(&json!({"role": "assistant", "content": "", "reasoning_content": "h"}), None),
        chunk(&json!({"reasoning_content": "m"}), None),
        chunk(&json!({"content": "två"}), None),
        chunk(&json!({"content": "\n"}), Some("stop")),
        json!({"id": "c", "model": "served", "service_tier": "flex", "choices": [], "usage": usage}),
        json!("[DONE]"),
    ];
    let (_, streamed, error) = stream(&events, &quirks);
    assert_eq!(error, None);
    assert_eq!(format!("{streamed:?}"), format!("{buffered:?}"));
    // `cost: 0` is no statement about the price.
    assert_eq!((streamed.vendor_cost, streamed.tier), (None, Some(Tier::Flex)));
}

#[test]
fn fn1_02_usage_is_taken_from_any_chunk_and_replaced_never_added() {
    let usage = |completion: u64| json!({"prompt_tokens": 7, "completion_tokens": completion});
    let with = |delta: Value, finish, completion| {
        let mut event = chunk(&delta, finish);
        event["usage"] = usage(completion);
        event
    };
    let (chunks, ending, _) = stream(
        &[
            with(json!({"role": "assistant"}), None, 0),
            with(json!({"content": "a"}), None, 1),
            with(json!({}), Some("stop"), 2),
            with(json!({}), None, 3),
            json!({"choices": [], "usage": null}),
            json!({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
        ],
        &Quirks::default(),
    );
    let usage = ending.usage.unwrap();
    assert_eq!((usage.input, usage.output), (7, 3));
    let usage_only: Vec<bool> = chunks.iter().map(|chunk| chunk.usage_only).collect();
    assert_eq!(usage_only, [false, false, false, true, false, false]);
}

#[test]
fn fn2_05_a_usage_chunk_may_have_no_choices_or_an_empty_delta() {
    for choices in [
        json!([]),
        json!([{"delta": {}}]),
        json!([{"index": 0, "delta": {"content": ""}, "finish_reason": null}]),
    ] {
        let last = json!({"choices": choices, "usage": {"prompt_tokens": 4, "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 3}}});
        let (chunks, ending, _) =
            stream(&[chunk(&json!({"content": "a"}), Some("stop")), last], &Quirks::default());
        assert!(chunks[1].usage_only, "{choices}");
        let usage = ending.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (1, 3, 2), "{choices}");
    }
}

#[test]
fn fn1_03_cached_tokens_are_counted_once() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 80}});
    assert_eq!(buckets(&usage, &Quirks::default()), [20, 80, 0, 10, 0]);
}

#[test]
fn fn2_01_hosts_that_leave_cached_tokens_out_are_normalised() {
    let excludes = Quirks { prompt_excludes_cached: true, ..Quirks::default() };
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5}});
    assert_eq!(buckets(&usage, &excludes), [20, 80, 5, 10, 0]);
    // Without the quirk, the total proves the same.
    let mut proven = usage.clone();
    proven["total_tokens"] = json!(115);
    assert_eq!(buckets(&proven, &Quirks::default()), [20, 80, 5, 10, 0]);
    // Written tokens are inside the prompt's at kimi-k2.
    let kimi = json!({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}});
    assert_eq!(buckets(&kimi, &Quirks::default()), [10, 60, 30, 1, 0]);
    for spelling in ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"] {
        let other = json!({"prompt_tokens": 100, "completion_tokens": 1, spelling: 60});
        assert_eq!(buckets(&other, &Quirks::default()), [40, 60, 0, 1, 0], "{spelling}");
    }
}

#[test]
fn fn2_16_reasoning_is_inside_the_completion_or_beside_it() {
    let usage = |total: u64| {
        json!({"prompt_tokens": 5, "completion_tokens": 30, "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": 20}})
    };
    assert_eq!(buckets(&usage(35), &Quirks::default()), [5, 0, 0, 10, 20]);
    assert_eq!(buckets(&usage(55), &Quirks::default()), [5, 0, 0, 30, 20]);
    let excludes = Quirks { completion_excludes_reasoning: true, ..Quirks::default() };
    assert_eq!(buckets(&usage(0), &excludes), [5, 0, 0, 30, 20]);
}

#[test]
fn audio_and_image_tokens_have_buckets_of_their_own() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 30, "image_tokens": 20},
        "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 4}});
    let usage = usage_of(&usage, &Quirks::default()).unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.input_audio, usage.input_image), (40, 10, 30, 20));
    assert_eq!((usage.output, usage.reasoning, usage.output_audio), (6, 4, 40));
    assert_eq!((usage.total_input(), usage.total_output()), (100, 50));
}

#[test]
fn nonsense_counts_void_the_report_or_are_cut_to_their_whole() {
    for void in [
        json!({"prompt_tokens": -1, "completion_tokens": 5}),
        json!({"prompt_tokens": 5, "completion_tokens": 1e308}),
        json!({"prompt_tokens": 5.5, "completion_tokens": 5}),
        json!({"prompt_tokens": "5", "completion_tokens": 5}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": 5}),
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({}),
        json!([1, 2]),
        json!(null),
    ] {
        assert_eq!(usage_of(&void, &Quirks::default()), None, "{void}");
    }
    let cut = json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99},
        "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": -3}});
    assert_eq!(buckets(&cut, &Quirks::default()), [0, 10, 0, 0, 5]);
    let spelled = json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": null});
    let floats = spelled.to_string().replace("10", "10.0");
    assert_eq!(buckets(&serde_json::from_str(&floats).unwrap(), &Quirks::default()), [10, 0, 0, 5, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    /// What is reported is what is billed: the buckets add up, whatever the parts claim.
    #[test]
    fn buckets_always_add_up(
        prompt in 0_u64..1000, completion in 0_u64..1000, cached in 0_u64..2000, written in 0_u64..2000,
        audio in 0_u64..2000, reasoning in 0_u64..2000, total in prop_oneof![Just(0_u64), 0_u64..5000],
        quirks in any::<[bool; 2]>(),
    ) {
        let quirks = Quirks {
            prompt_excludes_cached: quirks[0], completion_excludes_reasoning: quirks[1], ..Quirks::default()
        };
        let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
            "completion_tokens_details": {"reasoning_tokens": reasoning}});
        let Some(usage) = usage_of(&usage, &quirks) else {
            prop_assert_eq!(prompt + completion, 0);
            return Ok(());
        };
        let cache = cached + written;
        let beside = quirks.prompt_excludes_cached || (cache > 0 && total == prompt + completion + cache);
        prop_assert_eq!(usage.total_input(), prompt + if beside { cache } else { 0 });
        let beside = quirks.completion_excludes_reasoning
            || (reasoning > 0 && total == prompt + completion + reasoning);
        prop_assert_eq!(usage.total_output(), completion + if beside { reasoning } else { 0 });
    }
}

#[test]
fn fn2_32_a_vendors_own_charge_is_exact_and_zero_says_nothing() {
    let cost = |usage: &str, quirks: &Quirks| {
        let body =
            format!(r#"{{"choices":[{{}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,{usage}}}}}"#);
        let mut reply = reply_of(Op::Chat, quirks, false);
        reply.whole(&HeaderMap::new(), body.into()).unwrap().ending.vendor_cost.map(Money::pico)
    };
    let reports = Quirks { reports_cost: true, ..Quirks::default() };
    for (usage, pico) in [
        (r#""cost":0.000135"#, Some(135_000_000)),
        (r#""cost":1.35e-4"#, Some(135_000_000)),
        (r#""cost":0.00013499999999999997"#, Some(135_000_000)),
        (r#""cost":0.0000000000015"#, Some(2)),
        (r#""cost":0.0000000000025"#, Some(2)),
        (r#""cost":0.00000000000250000001"#, Some(3)),
        (r#""cost":12"#, Some(12_000_000_000_000)),
        (r#""cost":1E1"#, Some(10_000_000_000_000)),
        (r#""cost":{"input_tokens_cost":1,"total_cost":0.005}"#, Some(5_000_000_000)),
        (r#""cost":0"#, None),
        (r#""cost":0.0e9"#, None),
        (r#""cost":-0.5"#, None),
        (r#""cost":1e308"#, None),
        (r#""cost":1e-99"#, None),
        (r#""cost":1e99999999999"#, None),
        (r#""cost":"1""#, None),
        (r#""cost":null"#, None),
        (r#""cost_in_usd_ticks":37756000"#, Some(3_775_600_000)),
        (r#""cost_in_usd_ticks":0"#, None),
    ] {
        assert_eq!(cost(usage, &reports), pico, "{usage}");
    }
    assert_eq!(cost(r#""cost":0.5"#, &Quirks::default()), None);
}
