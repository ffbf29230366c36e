//! Answers: chunks, tool calls, endings, and errors wherever they hide.

use bytes::Bytes;
use catalog::{Quirks, Tier};
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{chunk, reply_of, stream, whole};
use crate::wire::{Chunk, Content, Dialect, ErrorKind, Op, Part, Reply, door, sse::Frame};

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
