//! Answers: usage in disjoint buckets, endings, and errors wherever they hide.

use bytes::Bytes;
use catalog::{Facts, Money, Quirks, Tier, Usage};
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::wire::{
    Answer, Blame, Chunk, Content, Dialect, Ending, Endpoint, ErrorKind, Op, Part, Reply, Retry,
    UpstreamError, door, sse::Frame, wire,
};

fn reply_of(op: Op, quirks: &Quirks, read_text: bool) -> Box<dyn Reply> {
    let body = match op {
        Op::Chat => r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#,
        Op::Completion => r#"{"model":"m","prompt":"a"}"#,
        Op::Embedding => r#"{"model":"m","input":"a"}"#,
    };
    let request = door(Dialect::OpenAi).unwrap().read(op, body.into()).unwrap();
    let facts = Facts::default();
    let to = Endpoint { model: "m", quirks, facts: &facts, read_text, moved: false };
    wire(Dialect::OpenAi).unwrap().begin(&request, &to).unwrap().reply
}

fn whole(body: &Value, quirks: &Quirks) -> Result<Answer, UpstreamError> {
    reply_of(Op::Chat, quirks, true).whole(&HeaderMap::new(), body.to_string().into())
}

/// Feeds payloads as events. Returns the chunks, how it ended, and the error if one came.
fn stream(payloads: &[Value], quirks: &Quirks) -> (Vec<Chunk>, Ending, Option<UpstreamError>) {
    let mut reply = reply_of(Op::Chat, quirks, false);
    let mut chunks = Vec::new();
    let mut error = None;
    for payload in payloads {
        let data = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
        error = reply.frame(Frame { event: Bytes::new(), data: data.into() }, &mut chunks).err();
        if error.is_some() {
            break;
        }
    }
    (chunks, reply.end(), error)
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "c", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

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
fn fn2_06_a_missing_done_is_no_failure_and_an_array_of_errors_is_one() {
    let (_, ending, error) = stream(&[chunk(&json!({"content": "a"}), Some("stop"))], &Quirks::default());
    assert_eq!((ending.complete, error), (true, None));
    let array = json!([{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}]);
    let (_, _, error) = stream(&[array], &Quirks::default());
    assert_eq!(error.unwrap().kind, ErrorKind::RateLimited);
    // An array without an error is not this dialect.
    let (chunks, ending, _) = stream(&[json!([{"choices": []}])], &Quirks::default());
    assert_eq!((chunks.len(), ending.skipped_events), (0, 1));
}

#[test]
fn fn2_09_finish_reasons_of_all_vendors_are_understood() {
    for (word, finish) in [
        ("stop", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("something_new", "stop"),
    ] {
        let (chunks, ending, _) = stream(&[chunk(&json!({}), Some(word))], &Quirks::default());
        assert_eq!(ending.finish.unwrap().as_str(), finish, "{word}");
        assert!(!chunks[0].usage_only);
    }
    assert_eq!(stream(&[chunk(&json!({}), Some(""))], &Quirks::default()).1.finish, None);
}

/// Tool fragments as `(index, id, name, arguments)` through a reply that reads text.
fn tools(fragments: &[Value]) -> Vec<(u32, Option<String>, Option<String>, String)> {
    let mut reply = reply_of(Op::Chat, &Quirks::default(), true);
    let mut chunks = Vec::new();
    for fragment in fragments {
        let event = chunk(&json!({"tool_calls": [fragment]}), None);
        reply.frame(Frame { event: Bytes::new(), data: event.to_string().into() }, &mut chunks).unwrap();
    }
    let pieces = chunks.into_iter().flat_map(|chunk| chunk.pieces);
    let calls = pieces.filter_map(|piece| match piece.part {
        Part::ToolCall(call) => Some((call.index, call.id, call.name, call.arguments)),
        _ => None,
    });
    calls.collect()
}

#[test]
fn fn2_11_tool_fragments_are_merged_whatever_the_vendor_leaves_out() {
    let fragment = |index: Option<u32>, id: Option<&str>, function: Value| {
        let members = [("index", json!(index)), ("id", json!(id)), ("function", function)];
        let given = members.into_iter().filter(|(_, value)| !value.is_null());
        given.map(|(key, value)| (key.to_owned(), value)).collect::<Value>()
    };
    let begin = |index, id, name: &str| fragment(index, id, json!({"name": name, "arguments": "{"}));
    let more = |index, id| fragment(index, id, json!({"arguments": "}"}));
    for (case, fragments) in [
        (
            "by the book",
            [
                begin(Some(0), Some("a"), "f"),
                more(Some(0), None),
                begin(Some(1), Some("b"), "g"),
                more(Some(1), None),
            ],
        ),
        (
            "no index",
            [begin(None, Some("a"), "f"), more(None, None), begin(None, Some("b"), "g"), more(None, None)],
        ),
        (
            "neither index nor id",
            [begin(None, None, "f"), more(None, None), begin(None, None, "g"), more(None, None)],
        ),
        (
            "all at index 0",
            [
                begin(Some(0), Some("a"), "f"),
                more(Some(0), None),
                begin(Some(0), Some("b"), "g"),
                more(Some(0), None),
            ],
        ),
        (
            "a new id each time",
            [
                begin(Some(0), Some("a"), "f"),
                more(Some(0), Some("x")),
                begin(Some(1), Some("b"), "g"),
                more(Some(1), Some("y")),
            ],
        ),
        (
            "id and name repeated",
            [
                begin(Some(0), Some("a"), "f"),
                begin(Some(0), Some("a"), "f"),
                begin(Some(1), Some("b"), "g"),
                begin(Some(1), Some("b"), "g"),
            ],
        ),
        (
            "indices with gaps",
            [
                begin(Some(1), Some("a"), "f"),
                more(Some(1), None),
                begin(Some(3), Some("b"), "g"),
                more(Some(3), None),
            ],
        ),
    ] {
        let read = tools(&fragments);
        let indices: Vec<u32> = read.iter().map(|call| call.0).collect();
        let names: Vec<Option<&str>> = read.iter().map(|call| call.2.as_deref()).collect();
        assert_eq!(indices, [0, 0, 1, 1], "{case}");
        assert_eq!(names, [Some("f"), None, Some("g"), None], "{case}");
        assert!(read[1].1.is_none() && read[3].1.is_none(), "{case}");
    }
}

#[test]
fn tool_calls_without_end_are_bounded() {
    let endless: Vec<Value> =
        (0..2000).map(|id| json!({"id": id.to_string(), "function": {"name": "f"}})).collect();
    assert_eq!(tools(&endless).last().unwrap().0, 511);
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

/// Chunks of a stream: most differ in their text only, some in more, some are broken.
fn text_chunks() -> impl Strategy<Value = Vec<String>> {
    let text = prop::sample::select(vec![
        r#""""#,
        r#""a""#,
        r#""bc""#,
        r#""\u00e9\"""#,
        r#""å""#,
        "null",
        r#""a"#,
        "5",
        r#""a","content":"b""#,
    ]);
    let delta = prop::sample::select(vec![
        r#""content":TEXT"#,
        r#""content":TEXT"#,
        r#""role":"assistant","content":TEXT"#,
        r#""content":TEXT,"refusal":"no""#,
        r#""content":"","refusal":TEXT"#,
        r#""content":TEXT,"reasoning_content":"hm""#,
    ]);
    let rest = prop::sample::select(vec![
        r"}]}",
        r#"}],"obfuscation":"x1"}"#,
        r#"}],"obfuscation":"\"","usage":null}"#,
        r#"}],"obfuscation":7}"#,
        r#","finish_reason":"stop"}]}"#,
        r#"}],"usage":{"prompt_tokens":1}}"#,
        r"}]",
    ]);
    let around = (delta, rest, prop::sample::select(vec![0, 1]));
    let chunks = prop::collection::vec((text, prop::option::weighted(0.2, around.clone())), 1..12);
    (around, chunks).prop_map(|(usual, chunks)| {
        let chunk = |(text, other): (&str, Option<_>)| {
            let (delta, rest, index) = other.unwrap_or(usual);
            let delta = delta.replace("TEXT", text);
            format!(r#"{{"id":"c","choices":[{{"index":{index},"delta":{{{delta}}}{rest}"#)
        };
        chunks.into_iter().map(chunk).collect()
    })
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

    /// The short way through text chunks must say what the long way says.
    #[test]
    fn a_chunk_is_read_the_same_whatever_came_before(
        chunks in text_chunks(), read_text in any::<bool>(),
    ) {
        let mut reply = reply_of(Op::Chat, &Quirks::default(), read_text);
        let mut bytes = 0;
        for data in chunks {
            let run = |reply: &mut dyn Reply| {
                let mut out = Vec::new();
                let data = Bytes::copy_from_slice(data.as_bytes());
                let error = reply.frame(Frame { event: Bytes::new(), data }, &mut out).err();
                let said = |chunk: Chunk| (chunk.content, chunk.pieces, chunk.raw);
                (out.into_iter().map(said).collect::<Vec<_>>(), error.map(|error| error.kind))
            };
            let mut fresh = reply_of(Op::Chat, &Quirks::default(), read_text);
            prop_assert_eq!(run(&mut *reply), run(&mut *fresh), "{}", data);
            bytes += fresh.end().output_bytes;
        }
        prop_assert_eq!(reply.end().output_bytes, bytes);
    }

    #[test]
    fn fn1_24_any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for op in [Op::Chat, Op::Completion, Op::Embedding] {
            let mut reply = reply_of(op, &Quirks::default(), true);
            let data = Bytes::from(bytes.clone());
            let _ = reply.frame(Frame { event: Bytes::new(), data: data.clone() }, &mut Vec::new());
            let _ = reply.refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), &data);
            let _ = reply.whole(&HeaderMap::new(), data.clone());
            let _ = door(Dialect::OpenAi).unwrap().read(op, data);
        }
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

#[test]
fn fn2_31_the_model_that_served_is_reported() {
    let mut switched = chunk(&json!({"content": "b"}), Some("stop"));
    switched["model"] = json!("other");
    let first = json!({"choices": [], "id": "", "model": "", "prompt_filter_results": []});
    let (_, ending, _) =
        stream(&[first, chunk(&json!({"content": "a"}), None), switched], &Quirks::default());
    assert_eq!((ending.served_model.as_deref(), ending.id.as_deref()), (Some("other"), Some("c")));
}

#[test]
fn fn2_33_the_granted_tier_is_reported() {
    let tier = |word: &str| {
        let answer = json!({"service_tier": word, "choices": [{"message": {"content": "x"}}]});
        whole(&answer, &Quirks::default()).unwrap().ending.tier
    };
    assert_eq!(
        ["default", "flex", "priority", "batch"].map(tier),
        [Tier::Standard, Tier::Flex, Tier::Priority, Tier::Batch].map(Some)
    );
    assert_eq!(tier("auto"), None);
}

#[test]
fn fn2_07_frames_without_content_do_not_commit() {
    let frames = [
        json!({"choices": [], "prompt_filter_results": [], "id": "", "model": ""}),
        chunk(&json!({"role": "assistant", "content": "", "refusal": null, "tool_calls": []}), None),
        chunk(&json!({"role": "assistant", "content": null, "reasoning_content": ""}), None),
        json!({"choices": [{"index": 0, "content_filter_results": {}, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "delta": {}, "logprobs": {"content": []}, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "delta": null}]}),
        json!({"choices": null}),
        json!({}),
    ];
    let (chunks, ending, error) = stream(&frames, &Quirks::default());
    assert_eq!((chunks.len(), error), (frames.len(), None));
    assert!(chunks.iter().all(|chunk| !chunk.content));
    assert!(!ending.complete);
    for delta in [
        json!({"content": "x"}),
        json!({"reasoning_content": "x"}),
        json!({"reasoning": "x"}),
        json!({"refusal": "x"}),
        json!({"tool_calls": [{"index": 0}]}),
        json!({"function_call": {"name": "f"}}),
        json!({"audio": {"id": "a"}}),
        json!({"images": [{}]}),
        json!({"content": [{"type": "text", "text": "x"}]}),
    ] {
        assert!(stream(&[chunk(&delta, None)], &Quirks::default()).0[0].content, "{delta}");
    }
    assert!(stream(&[json!({"choices": [{"index": 0, "text": "x"}]})], &Quirks::default()).0[0].content);
}

#[test]
fn fn1_05_an_error_inside_200_is_an_error() {
    let error = |payload: Value| stream(&[payload], &Quirks::default()).2.unwrap();
    let overloaded = error(json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}));
    assert_eq!((overloaded.kind, overloaded.status), (ErrorKind::Overloaded, Some(200)));
    assert_eq!(error(json!({"error": "boom"})).kind, ErrorKind::Server);
    assert_eq!(error(json!([{"error": {"code": 503, "message": "x"}}])).kind, ErrorKind::Overloaded);
    assert_eq!(error(json!({"choices": [{"delta": {}, "finish_reason": "error"}]})).kind, ErrorKind::Server);
    let cut_short =
        json!({"choices": [{"delta": {"content": ""}, "finish_reason": "insufficient_system_resource"}]});
    assert_eq!(error(cut_short).kind, ErrorKind::Overloaded);
    assert_eq!(error(json!({"object": "error", "message": "m", "code": 40301})).kind, ErrorKind::Server);
    for fine in [json!({"error": null, "choices": []}), json!({"error": "", "choices": []})] {
        assert_eq!(stream(&[fine], &Quirks::default()).2, None);
    }
    let mut named = reply_of(Op::Chat, &Quirks::default(), false);
    let event = Frame { event: "error".into(), data: r#"{"message":"slow down","code":"429"}"#.into() };
    let named = named.frame(event, &mut Vec::new()).unwrap_err();
    assert_eq!((named.kind, named.excerpt.as_str()), (ErrorKind::RateLimited, "slow down"));
}

#[test]
fn fn1_18_what_came_before_an_error_may_have_been_billed() {
    let events =
        [chunk(&json!({"content": "a"}), None), json!({"error": {"code": "overloaded", "message": "x"}})];
    let (chunks, ending, error) = stream(&events, &Quirks::default());
    let error = error.unwrap();
    assert_eq!((chunks.len(), ending.output_bytes), (1, 1));
    assert!(error.kind == ErrorKind::Overloaded && error.maybe_billed);
    let (_, _, early) = stream(&events[1..], &Quirks::default());
    assert!(!early.unwrap().maybe_billed);
}

#[test]
fn fn1_20_usage_that_comes_with_an_error_is_kept() {
    let last = json!({"error": {"message": "x"}, "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let (_, ending, error) = stream(&[last], &Quirks::default());
    assert!(error.unwrap().maybe_billed);
    assert_eq!(ending.usage.unwrap().output, 2);
}

#[test]
fn neither_a_finish_nor_done_is_a_truncated_stream() {
    let text = chunk(&json!({"content": "a"}), None);
    let finish = chunk(&json!({}), Some("length"));
    let complete = |events: &[Value]| stream(events, &Quirks::default()).1.complete;
    assert!(!complete(std::slice::from_ref(&text)));
    assert!(complete(&[text.clone(), finish.clone()]));
    assert!(complete(&[text, json!("[DONE]")]));
    assert!(complete(&[finish]));
    assert!(!complete(&[json!("[DONE]")]));
    assert!(!complete(&[]));
}

#[test]
fn fn2_28_a_bad_line_is_skipped_and_counted_and_nothing_but_garbage_is_an_error() {
    let good = chunk(&json!({"content": "a"}), Some("stop"));
    let (chunks, ending, error) = stream(&[json!("{\"choices\":["), good, json!("oops")], &Quirks::default());
    assert_eq!((chunks.len(), ending.skipped_events, ending.complete, error), (1, 2, true, None));
    let garbage = vec![json!("<html>"); 20];
    let (chunks, ending, error) = stream(&garbage, &Quirks::default());
    assert_eq!((chunks.len(), ending.complete), (0, false));
    assert_eq!(error.unwrap().kind, ErrorKind::Garbled);
}

#[test]
fn a_pass_through_reply_decodes_nothing_and_hands_on_the_same_bytes() {
    let data = Bytes::from(r#" {"choices":[{"index":0,"delta":{"content":"a\u00e9"}}],"x":1.0}"#);
    let mut chunks = Vec::new();
    let mut reply = reply_of(Op::Chat, &Quirks::default(), false);
    reply.frame(Frame { event: Bytes::new(), data: data.clone() }, &mut chunks).unwrap();
    let (dialect, raw) = chunks[0].raw.clone().unwrap();
    assert_eq!((dialect, raw.as_ptr(), raw.len()), (Dialect::OpenAi, data.as_ptr(), data.len()));
    assert!(chunks[0].pieces.is_empty());
    assert_eq!(reply.end().output_bytes, 3);
    let body = Bytes::from(r#"{"choices":[{"message":{"content":"a"}}]}"#);
    let answer =
        reply_of(Op::Chat, &Quirks::default(), false).whole(&HeaderMap::new(), body.clone()).unwrap();
    assert_eq!((answer.content, answer.raw.unwrap().1.as_ptr()), (Content::Unread, body.as_ptr()));
}

#[test]
fn a_legacy_function_call_and_a_text_completion_are_read() {
    let called = json!({"choices": [{"message": {"function_call": {"name": "f", "arguments": "{}"}}, "finish_reason": "function_call"}]});
    let Content::Choices(choices) = whole(&called, &Quirks::default()).unwrap().content else { panic!() };
    assert_eq!(
        (choices[0].tool_calls[0].name.as_str(), choices[0].finish.unwrap().as_str()),
        ("f", "tool_calls")
    );
    let text = r#"{"choices":[{"text":"abc","index":0,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let answer =
        reply_of(Op::Completion, &Quirks::default(), true).whole(&HeaderMap::new(), text.into()).unwrap();
    let Content::Choices(choices) = answer.content else { panic!() };
    assert_eq!((choices[0].text.as_deref(), answer.ending.output_bytes), (Some("abc"), 3));
}

fn refused(status: u16, body: &str) -> UpstreamError {
    let reply = reply_of(Op::Chat, &Quirks::default(), false);
    reply.refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
}

#[test]
fn fn2_24_fn2_26_refusals_get_their_kind_from_words_before_status() {
    use ErrorKind as K;
    let error = |code: &str, message: &str| {
        format!(r#"{{"error":{{"message":"{message}","type":"x","param":null,"code":"{code}"}}}}"#)
    };
    let cases = [
        (401, error("invalid_api_key", "bad"), K::Credentials),
        (403, error("", "forbidden"), K::Credentials),
        (400, r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#.to_owned(), K::BadRequest),
        (402, error("", "pay"), K::QuotaExhausted),
        (429, error("rate_limit_exceeded", "slow"), K::RateLimited),
        (429, error("insufficient_quota", "You exceeded your current quota"), K::QuotaExhausted),
        (429, error("", "no code"), K::RateLimited),
        (402, r#"{"error":{"message":"Insufficient Balance"}}"#.to_owned(), K::QuotaExhausted),
        (404, error("model_not_found", "The model `x` does not exist"), K::ModelNotFound),
        (404, "404 page not found".to_owned(), K::ModelNotFound),
        (400, error("model_decommissioned", "gone"), K::ModelNotFound),
        (410, error("", "gone"), K::ModelNotFound),
        (400, error("context_length_exceeded", "This model's maximum context length is 8192 tokens"), K::ContextLength),
        (400, error("", "Your prompt is too long"), K::ContextLength),
        (413, error("", "too big"), K::ContextLength),
        (400, error("content_filter", "The response was filtered"), K::ContentPolicy),
        (400, r#"{"error":{"code":"content_filter","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#.to_owned(), K::ContentPolicy),
        (408, String::new(), K::Timeout),
        (504, "<html>gateway</html>".to_owned(), K::Timeout),
        (500, error("", "boom"), K::Server),
        (502, String::new(), K::Server),
        (503, String::new(), K::Overloaded),
        (529, error("overloaded_error", "Overloaded"), K::Overloaded),
        (498, String::new(), K::Overloaded),
        (400, error("invalid_value", "bad"), K::BadRequest),
        (422, r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#.to_owned(), K::BadRequest),
        (418, "teapot".to_owned(), K::BadRequest),
    ];
    for (status, body, kind) in cases {
        let error = refused(status, &body);
        assert_eq!((error.kind, error.status), (kind, Some(status)), "{status} {body}");
        let billed = matches!(kind, K::Timeout | K::Server);
        assert_eq!(error.maybe_billed, billed, "{status} {body}");
    }
}

#[test]
fn fn2_08_a_filtered_prompt_blames_nobody_and_is_not_retried() {
    let error = refused(400, r#"{"error":{"code":"content_filter","message":"x"}}"#);
    assert_eq!((error.blame, error.retry), (Blame::Request, Retry::Never));
    let unsupported = refused(400, r#"{"error":{"code":"unsupported_value","message":"temperature"}}"#);
    assert_eq!((unsupported.kind, unsupported.retry), (ErrorKind::BadRequest, Retry::OtherVendor));
}

#[test]
fn a_refusal_keeps_the_vendors_words_but_no_key() {
    let error = refused(
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-abcdefgh12345678.","code":"invalid_api_key"}}"#,
    );
    assert_eq!(error.excerpt, "Incorrect API key provided: [redacted]");
    assert_eq!(error.code.as_deref(), Some("invalid_api_key"));
    for (body, excerpt) in [
        ("", "an empty answer"),
        ("<html><body>Bad Gateway</body></html>", "a web page instead of an answer"),
        ("upstream connect error", "upstream connect error"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (r#"{"detail":[{"msg":"field required"},{"msg":"b"}]}"#, "field required"),
        (r#"{"error":"plain"}"#, "plain"),
        (r#"{"message":"top"}"#, "top"),
        (r#"{"error":{"message":"cut he"#, r#"{"error":{"message":"cut he"#),
        (r#"{"error":{"message":"whole","param":"cut he"#, "whole"),
        ("\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(refused(502, body).excerpt, excerpt, "{body}");
    }
}

#[test]
fn fn1_13_a_refusal_keeps_the_longest_wait() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "2".parse().unwrap());
    headers.insert("x-ratelimit-reset-tokens", "6s".parse().unwrap());
    let body = br#"{"error":{"message":"x","details":[{"retryDelay":"9s"}]}}"#;
    let reply = reply_of(Op::Chat, &Quirks::default(), false);
    let wait = |body: &[u8]| {
        reply.refusal(StatusCode::TOO_MANY_REQUESTS, &headers, body).retry_after.unwrap().as_secs()
    };
    assert_eq!((wait(b"{}"), wait(body)), (6, 9));
}
