//! Requests: what is read of them, what is refused, and what goes upstream.

use crate::wire::{self, BadRequest, Dialect, Endpoint, Op, Request, door, wire};
use bytes::Bytes;
use catalog::{Facts, Quirks};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(op: Op, body: &str) -> Result<Request, BadRequest> {
    door(Dialect::OpenAi).unwrap().read(op, Bytes::copy_from_slice(body.as_bytes()))
}

fn chat(body: &str) -> Request {
    read(Op::Chat, body).unwrap()
}

fn sent_with(request: &Request, quirks: &Quirks, moved: bool) -> (String, Vec<String>) {
    let facts = Facts::default();
    let to = Endpoint { model: "vendor/model-1", quirks, facts: &facts, read_text: false, moved };
    let sent = wire(Dialect::OpenAi).unwrap().begin(request, &to).unwrap();
    (String::from_utf8(sent.outbound.body.concat()).unwrap(), sent.dropped)
}

fn sent(body: &str) -> String {
    sent_with(&chat(body), &Quirks::default(), false).0
}

#[test]
fn every_other_byte_passes_as_it_came() {
    let body = "{ \"zeta\" : 1.50e+01,\t\"model\":\"auto\" ,\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\\/\"}],\r\n \"temperature\":0.70,\"x_new\":{\"b\":[1,2.0],\"a\":null}}\n";
    assert_eq!(sent(body), body.replace("\"auto\"", "\"vendor/model-1\""));
}

#[test]
fn a_large_body_is_sliced_and_not_copied() {
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{}"}}],"model":"auto","stream":true}}"#,
        "x".repeat(20_000)
    );
    let request = chat(&body);
    let (quirks, facts) = (Quirks::default(), Facts::default());
    let to = Endpoint { model: "m", quirks: &quirks, facts: &facts, read_text: false, moved: false };
    let pieces = wire(Dialect::OpenAi).unwrap().begin(&request, &to).unwrap().outbound.body;
    assert_eq!(pieces[0].as_ptr(), request.raw.as_ptr());
    assert_eq!(
        String::from_utf8(pieces.concat()).unwrap(),
        body.replace("\"auto\"", r#""m","stream_options":{"include_usage":true}"#)
    );
}

#[test]
fn fn2_04_usage_is_asked_for_on_streams() {
    let with = |options: &str| {
        sent(&format!(
            r#"{{"model":"a","messages":[{{"role":"user","content":"hi"}}],"stream":true{options}}}"#
        ))
    };
    let wanted = |model: &str, options: &str| {
        format!(r#"{{"model":{model},"messages":[{{"role":"user","content":"hi"}}],"stream":true{options}}}"#)
    };
    let plain = "\"vendor/model-1\"";
    let asked = r#""vendor/model-1","stream_options":{"include_usage":true}"#;
    assert_eq!(with(""), wanted(asked, ""));
    for (given, sent) in [
        (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{}"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{ "x":1}"#, r#","stream_options":{"include_usage":true, "x":1}"#),
        (r#","stream_options":{"include_usage": false}"#, r#","stream_options":{"include_usage": true}"#),
        (r#","stream_options":{"include_usage":null}"#, r#","stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":{"include_usage":true,"y":0}"#,
            r#","stream_options":{"include_usage":true,"y":0}"#,
        ),
    ] {
        assert_eq!(with(given), wanted(plain, sent), "{given}");
    }
}

#[test]
fn usage_is_not_asked_for_where_it_is_not_wanted() {
    let body = r#"{"model":"a","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let quirks = Quirks { no_stream_options: true, ..Quirks::default() };
    assert!(!sent_with(&chat(body), &quirks, false).0.contains("stream_options"));
    assert!(!sent(&body.replace("true", "false")).contains("stream_options"));
}

#[test]
fn fn2_17_max_tokens_is_renamed_only_where_the_host_wants_it() {
    let quirks = Quirks { max_completion_tokens: true, ..Quirks::default() };
    let body = r#"{"model":"a","max_tokens":5,"messages":[{"role":"user","content":"max_tokens"}]}"#;
    let renamed = sent_with(&chat(body), &quirks, false).0;
    assert_eq!(
        renamed,
        body.replace("\"a\"", "\"vendor/model-1\"").replace("\"max_tokens\":", "\"max_completion_tokens\":")
    );
    assert!(sent(body).contains("\"max_tokens\":5"));
    let both = body.replace("{\"model\"", "{\"max_completion_tokens\":6,\"model\"");
    assert!(sent_with(&chat(&both), &quirks, false).0.contains("\"max_tokens\":5"));
}

#[test]
fn fn2_18_developer_becomes_system_only_where_the_host_wants_it() {
    let quirks = Quirks { no_developer_role: true, ..Quirks::default() };
    let body = r#"{"model":"a","messages":[{"role":"developer","content":"developer"},{"content":"x","role" : "dev\u0065loper"},{"role":"user","content":"hi"}]}"#;
    let mapped = sent_with(&chat(body), &quirks, false).0;
    assert!(
        mapped.contains(r#"[{"role":"system","content":"developer"},{"content":"x","role" : "system"},{"#)
    );
    assert!(sent(body).contains(r#""role":"developer""#));
}

#[test]
fn fn2_13_signatures_stay_home_when_the_conversation_moves() {
    let body = r#"{"model":"a","messages":[
        {"role":"user","content":"hi"},
        {"reasoning_details":[{"type":"x","signature":"s"}],"role":"assistant","reasoning_content":"hm","content":null,"tool_calls":[{"id":"1","extra_content":{"google":{}},"type":"function","function":{"name":"f","arguments":"{}"}},{"extra_content":1,"thinking_blocks":[]}]},
        {"role":"tool","tool_call_id":"1","content":"reasoning_details"},
        {"extra_content":{},"role":"assistant","content":"x","thinking_blocks":[], "reasoning":"y"}]}"#;
    let request = chat(body);
    assert!(request.view.bound);
    let (moved, dropped) = sent_with(&request, &Quirks::default(), true);
    assert_eq!(
        moved,
        r#"{"model":"vendor/model-1","messages":[
        {"role":"user","content":"hi"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{}]},
        {"role":"tool","tool_call_id":"1","content":"reasoning_details"},
        {"role":"assistant","content":"x"}]}"#
    );
    assert_eq!(
        dropped,
        [
            "messages[1].reasoning_details",
            "messages[1].reasoning_content",
            "messages[1].tool_calls[0].extra_content",
            "messages[1].tool_calls[1].extra_content",
            "messages[1].tool_calls[1].thinking_blocks",
            "messages[3].extra_content",
            "messages[3].thinking_blocks",
            "messages[3].reasoning",
        ]
    );
    assert_eq!(sent_with(&request, &Quirks::default(), false).1, Vec::<String>::new());
}

#[test]
fn fn2_13_a_signature_in_an_id_does_not_reach_another_vendor() {
    let id = format!("call_1__thought__{}", "QUJD".repeat(40));
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"4.50"}}]}}"#
    );
    let request = chat(&body);
    // Not only when it is known to have moved: a restart forgets where a conversation began.
    for moved in [false, true] {
        let (sent, dropped) = sent_with(&request, &Quirks::default(), moved);
        assert_eq!(
            sent,
            body.replace(&id, "call_1").replace(r#""model":"m""#, r#""model":"vendor/model-1""#)
        );
        assert_eq!(dropped, ["messages[1].tool_calls[0].thought_signature"]);
    }
    // An id that only looks like ours passes as it came.
    let body = body.replace(&id, "a__thought__???");
    let (sent, dropped) = sent_with(&chat(&body), &Quirks::default(), true);
    assert_eq!(sent, body.replace(r#""model":"m""#, r#""model":"vendor/model-1""#));
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn another_dialect_is_refused_and_named() {
    let mut request = chat(r#"{"model":"a","messages":[{"role":"user","content":"hi"}]}"#);
    request.dialect = Dialect::Anthropic;
    let (quirks, facts) = (Quirks::default(), Facts::default());
    let to = Endpoint { model: "m", quirks: &quirks, facts: &facts, read_text: false, moved: false };
    let Err(error) = wire(Dialect::OpenAi).unwrap().begin(&request, &to) else { panic!("accepted") };
    assert_eq!(error.field, "model");
}

#[test]
fn paths_follow_the_operation() {
    let (quirks, facts) = (Quirks::default(), Facts::default());
    let to = Endpoint { model: "m", quirks: &quirks, facts: &facts, read_text: false, moved: false };
    for (op, body, path) in [
        (Op::Chat, r#"{"model":"a","messages":[{"role":"user","content":"hi"}]}"#, "/chat/completions"),
        (Op::Completion, r#"{"model":"a","prompt":"hi"}"#, "/completions"),
        (Op::Embedding, r#"{"model":"a","input":["hi"]}"#, "/embeddings"),
    ] {
        let sent = wire(Dialect::OpenAi).unwrap().begin(&read(op, body).unwrap(), &to).unwrap();
        assert_eq!(sent.outbound.path, path);
        assert_eq!(sent.outbound.body.concat(), body.replace("\"a\"", "\"m\"").as_bytes());
    }
}

#[test]
fn the_view_holds_what_routing_needs() {
    let request = chat(
        r#"{"model":"auto","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"max_completion_tokens":7,"n":2,
        "tools":[{"type":"function"}],"parallel_tool_calls":true,"logprobs":true,"response_format":{"type":"json_schema","json_schema":{}},
        "prompt_cache_key":"k","service_tier":"flex","metadata":{"team":"search","a\u0062":"c"},
        "messages":[
            {"role":"developer","content":"be brief"},
            {"role":"user","content":"fir\u0073t"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},
            {"role":"tool","tool_call_id":"1","content":"42"},
            {"role":"user","content":[{"type":"text","text":"la"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"st"}]}
        ]}"#,
    );
    let view = &request.view;
    assert_eq!((view.model.as_str(), view.stream, view.include_usage), ("auto", true, true));
    assert_eq!((view.max_output_tokens, view.n, view.messages), (Some(7), 2, 5));
    assert_eq!((view.bound, view.tool_turn), (true, false));
    let needs = view.needs;
    assert!(
        needs.images
            && needs.tools
            && needs.parallel_tools
            && needs.logprobs
            && needs.json_schema
            && needs.many_choices
    );
    assert!(!needs.audio && !needs.files && !needs.json_mode);
    assert_eq!(view.prompt_cache_key.as_deref(), Some("k"));
    assert_eq!(view.service_tier.as_deref(), Some("flex"));
    assert_eq!(view.metadata, [("team".into(), "search".into()), ("ab".into(), "c".into())]);
    assert_eq!(request.system_text(), "be brief");
    assert_eq!(request.first_user_text(), "first");
    assert_eq!(request.last_user_text(), "la\nst");
    assert_eq!(request.response_format(), Some(r#"{"type":"json_schema","json_schema":{}}"#));
    let text = "be brief".len() + "first".len() + r#"[{"id":"1"}]"#.len() + "42".len() + "last".len();
    let rest = r#"[{"type":"function"}]"#.len() + r#"{"type":"json_schema","json_schema":{}}"#.len();
    assert_eq!(view.text_bytes, (text + rest) as u64);
}

#[test]
fn a_tool_result_at_the_end_is_a_tool_turn() {
    let request = chat(
        r#"{"model":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{}]},{"role":"tool","content":"r"}]}"#,
    );
    assert!(request.view.tool_turn && request.view.bound);
    assert_eq!(request.last_user_text(), "q");
}

#[test]
fn images_do_not_count_as_text_and_audio_and_files_are_needs() {
    let request = chat(&format!(
        r#"{{"model":"a","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:{}"}}}},{{"type":"input_audio","input_audio":{{}}}},{{"type":"file","file":{{}}}}]}}]}}"#,
        "A".repeat(100_000)
    ));
    assert_eq!(request.view.text_bytes, 0);
    assert!(request.view.needs.images && request.view.needs.audio && request.view.needs.files);
}

#[test]
fn completions_and_embeddings_have_their_own_input() {
    let completion = read(Op::Completion, r#"{"prompt":["ab","c\n"],"model":"m","logprobs":0}"#).unwrap();
    assert_eq!((completion.last_user_text(), completion.view.text_bytes), ("ab\nc\n".into(), 4));
    assert!(completion.view.needs.logprobs);
    let tokens = read(Op::Embedding, r#"{"input":[[1,2],[3]],"model":"m"}"#).unwrap();
    assert_eq!(wire::estimate_tokens(tokens.view.text_bytes), 3);
    let text = read(Op::Embedding, r#"{"input":"hello","model":"m"}"#).unwrap();
    assert_eq!((text.last_user_text(), text.view.messages), ("hello".into(), 0));
}

#[test]
fn tokens_are_estimated_at_four_bytes_each() {
    assert_eq!([0, 1, 4, 5].map(wire::estimate_tokens), [0, 1, 1, 2]);
}

fn refused(op: Op, body: &str) -> (Option<String>, String) {
    let error = read(op, body).expect_err(body);
    (error.param, error.message)
}

#[test]
fn a_wrong_body_is_refused_with_the_field_named() {
    let message =
        |member: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{member}]}}"#);
    let with =
        |member: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{member}}}"#);
    let cases = [
        (r#"{"messages":[{"role":"user","content":"a"}]}"#.to_owned(), "model"),
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (r#"{"model":"","messages":[]}"#.to_owned(), "model"),
        (r#"{"model":7,"messages":[]}"#.to_owned(), "model"),
        (format!(r#"{{"model":"{}"}}"#, "m".repeat(257)), "model"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":{}}"#.to_owned(), "messages"),
        (message("5"), "messages[1]"),
        (message("{}"), "messages[1].role"),
        (message(r#"{"role":null}"#), "messages[1].role"),
        (message(r#"{"role":"user"}"#), "messages[1].content"),
        (message(r#"{"role":"user","content":null}"#), "messages[1].content"),
        (message(r#"{"role":"user","content":{}}"#), "messages[1].content"),
        (message(r#"{"role":"user","content":[1]}"#), "messages[1].content[0]"),
        (
            message(r#"{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"}]}"#),
            "messages[1].content[1].type",
        ),
        (message(r#"{"role":"user","content":[{"type":"text","text":5}]}"#), "messages[1].content[0].text"),
        (message(r#"{"role":"assistant","tool_calls":{}}"#), "messages[1].tool_calls"),
        (with(r#""stream":"yes""#), "stream"),
        (with(r#""stream_options":[]"#), "stream_options"),
        (with(r#""stream_options":{"include_usage":1}"#), "stream_options.include_usage"),
        (with(r#""max_tokens":-1"#), "max_tokens"),
        (with(r#""max_tokens":1e99"#), "max_tokens"),
        (with(r#""max_completion_tokens":"many""#), "max_completion_tokens"),
        (with(r#""n":0"#), "n"),
        (with(r#""n":129"#), "n"),
        (with(r#""tools":{}"#), "tools"),
        (with(r#""response_format":"json""#), "response_format"),
        (with(r#""response_format":{}"#), "response_format.type"),
        (with(r#""metadata":{"a":1}"#), "metadata.a"),
        (with(r#""metadata":[]"#), "metadata"),
        (with(r#""service_tier":1"#), "service_tier"),
    ];
    for (body, param) in cases {
        let (named, message) = refused(Op::Chat, &body);
        assert_eq!(named.as_deref(), Some(param), "{body}");
        assert!(message.contains(param), "{message}");
    }
    assert_eq!(refused(Op::Completion, r#"{"model":"m","messages":[]}"#).0.as_deref(), Some("prompt"));
    assert_eq!(refused(Op::Embedding, r#"{"model":"m","input":[]}"#).0.as_deref(), Some("input"));
    assert_eq!(
        refused(Op::Embedding, r#"{"model":"m","input":[[1],[-1]]}"#).0.as_deref(),
        Some("input[1][0]")
    );
    assert_eq!(refused(Op::Embedding, r#"{"model":"m","input":[true]}"#).0.as_deref(), Some("input[0]"));
}

#[test]
fn null_means_not_given() {
    let request = chat(
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"stream":null,"stream_options":null,"max_tokens":null,"n":null,"tools":null,"response_format":null,"metadata":null,"prompt_cache_key":null,"service_tier":null,"logprobs":null,"parallel_tool_calls":null}"#,
    );
    assert_eq!(request.view.needs, catalog::Needs::default());
    assert_eq!((request.view.stream, request.view.n, request.response_format()), (false, 1, None));
}

#[test]
fn a_field_that_decides_something_must_not_come_twice() {
    let base = r#"{"model":"cheap","messages":[{"role":"user","content":"a"}],"#;
    for (twice, param) in [
        (r#""model":"dear"}"#, "model"),
        (r#""mod\u0065l":"dear"}"#, "model"),
        (r#""Model":"dear"}"#, "Model"),
        (r#""messages":[]}"#, "messages"),
        (r#""stream":true,"stream":false}"#, "stream"),
        (r#""n":1,"n":128}"#, "n"),
        (r#""max_tokens":1,"max_tokens":100000}"#, "max_tokens"),
    ] {
        assert_eq!(refused(Op::Chat, &format!("{base}{twice}")).0.as_deref(), Some(param), "{twice}");
    }
    let inner = |message: &str| format!(r#"{{"model":"m","messages":[{message}]}}"#);
    for (message, param) in [
        (r#"{"role":"user","role":"system","content":"a"}"#, "messages[0].role"),
        (r#"{"role":"user","content":"a","content":"b"}"#, "messages[0].content"),
        (
            r#"{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}"#,
            "messages[0].content[0].text",
        ),
        (r#"{"role":"user","content":[{"type":"text","type":"image_url"}]}"#, "messages[0].content[0].type"),
    ] {
        assert_eq!(refused(Op::Chat, &inner(message)).0.as_deref(), Some(param), "{message}");
    }
    assert!(read(Op::Chat, &format!(r#"{base}"x":1,"x":2}}"#)).is_ok());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (body, place) in [
        ("", "byte 0"),
        ("{", "byte 1"),
        ("[]", "object"),
        ("\u{feff}{}", "byte 0"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}]} x"#, "byte 57"),
        (r#"{"model":"m",}"#, "byte 13"),
        ("{\"model\":\"a\nb\"}", "control character"),
    ] {
        let (param, message) = refused(Op::Chat, body);
        assert_eq!(param, None, "{body}");
        assert!(message.contains(place), "{body}: {message}");
    }
    let invalid = door(Dialect::OpenAi).unwrap().read(Op::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}"));
    assert!(invalid.unwrap_err().message.contains("UTF-8 at byte 10"));
}

#[test]
fn deep_nesting_and_a_million_messages_do_no_harm() {
    let deep = format!(r#"{{"model":"m","x":{}"#, "[".repeat(100_000));
    assert!(refused(Op::Chat, &deep).1.contains("nested too deeply"));
    let many = format!(
        r#"{{"model":"m","messages":[{}{{"role":"user","content":"z"}}]}}"#,
        r#"{"role":"user","content":"a"},"#.repeat(1_000_000)
    );
    let request = chat(&many);
    assert_eq!((request.view.messages, request.view.text_bytes), (1_000_001, 1_000_001));
}

/// Members of an object in some order, as JSON text with white space around.
fn members(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value =
        prop::sample::select(vec![r#""v""#, "1.50", "null", "[]", r#"{"content":1}"#, r#"[{"a":"\"}"}]"#]);
    let member = (prop::sample::select(names), value, prop::sample::select(vec!["", " ", "\n\t"]));
    prop::collection::vec(member, 0..6).prop_map(|members| {
        let mut seen = Vec::new();
        let members = members.into_iter().filter(|(name, ..)| {
            let new = !seen.contains(name);
            seen.push(*name);
            new
        });
        members
            .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{value}{space}"))
            .collect::<Vec<_>>()
            .join(",")
    })
}

/// The same by way of a tree.
fn strip(value: &mut Value, names: &[&str]) {
    let object = value.as_object_mut().unwrap();
    object.retain(|key, _| !names.contains(&key.as_str()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Splicing gives the document that editing the tree gives, wherever the members stand.
    #[test]
    fn splicing_equals_editing_the_tree(
        assistant in members(&["content", "reasoning_details", "extra_content", "thinking_blocks", "reasoning", "name", "x"]),
        call in members(&["id", "extra_content", "thinking_blocks", "type"]),
        stream in any::<bool>(), moved in any::<bool>(), developer in any::<bool>(), pad in prop::sample::select(vec![0, 20_000]),
    ) {
        // `content` of an assistant must be text, an array of parts or null.
        let assistant = assistant.replace(r#""content":1"#, r#""c":1"#);
        prop_assume!(!assistant.contains("\"content\"") || assistant.contains("\"content\":\"v\"") || assistant.contains("\"content\":null"));
        let comma = if assistant.is_empty() { "" } else { "," };
        let role = if developer { "developer" } else { "user" };
        let body = format!(
            r#"{{"pad":"{}","max_tokens":5,"messages":[{{"role":"{role}","content":"q"}},{{{assistant}{comma}"role":"assistant","tool_calls":[{{{call}}}]}}],"model":"auto","stream":{stream}}}"#,
            "p".repeat(pad)
        );
        let quirks = Quirks { max_completion_tokens: true, no_developer_role: true, ..Quirks::default() };
        let (sent, dropped) = sent_with(&chat(&body), &quirks, moved);
        let mut wanted: Value = serde_json::from_str(&body).unwrap();
        let before = wanted.clone();
        if moved {
            let message = &mut wanted["messages"][1];
            strip(message, &["reasoning_details", "extra_content", "thinking_blocks", "reasoning"]);
            strip(&mut message["tool_calls"][0], &["extra_content", "thinking_blocks"]);
        }
        prop_assert_eq!(dropped.is_empty(), wanted == before);
        wanted["model"] = json!("vendor/model-1");
        if stream {
            wanted["stream_options"] = json!({"include_usage": true});
        }
        if developer {
            wanted["messages"][0]["role"] = json!("system");
        }
        let limit = wanted.as_object_mut().unwrap().shift_remove("max_tokens").unwrap();
        wanted["max_completion_tokens"] = limit;
        prop_assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), wanted, "{}", sent);
    }
}
