//! Checks on an answer as it arrives.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use regex::Regex;
use tollgate_router::{Check, Gate, HoldBack, How, Route, Until, Verdict};

fn route(after: Vec<Check>) -> Route {
    let hold_back = if after.iter().any(Check::is_whole) { HoldBack::WHOLE } else { HoldBack::PREFIX };
    Route {
        name: "auto".to_owned(),
        before: Vec::new(),
        after,
        how: How::Fresh,
        hold_back,
        check_tool_turns: false,
    }
}

fn regex(pattern: &str) -> Check {
    Check::Regex(Regex::new(pattern).unwrap())
}

fn escalate(check: &str) -> Verdict {
    Verdict::Escalate(check.to_owned())
}

/// The verdict on a whole text, fed at once.
fn verdict(route: &Route, to_end: bool, text: &str, finish: Option<&str>) -> Verdict {
    let mut gate = Gate::new(route, to_end, None);
    match gate.text(text) {
        Verdict::Hold => gate.end(finish),
        decided => decided,
    }
}

fn prefix(after: Vec<Check>, text: &str) -> Verdict {
    verdict(&route(after), false, text, Some("stop"))
}

#[test]
fn an_empty_answer_escalates_and_any_content_passes() {
    assert_eq!(prefix(vec![Check::Empty], ""), escalate("empty"));
    assert_eq!(prefix(vec![Check::Empty], " \n"), escalate("empty"));
    let route = route(vec![Check::Empty]);
    assert_eq!(Gate::new(&route, false, None).text(" H"), Verdict::Release);
    assert_eq!(Gate::new(&route, false, None).tool_call(0, ""), Verdict::Release);
    assert_eq!(Gate::new(&route, false, None).refusal("no"), Verdict::Release);
}

#[test]
fn refusals_are_recognised_at_the_start() {
    for text in [
        "I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I'm sorry, I cannot provide instructions for that.",
        "Unfortunately, I am unable to generate that content.",
        "As an AI language model, I cannot create",
        "I understand your frustration",
        "Sorry — I won't be able to help you",
        "I must decline.",
        "I'm sorry, but I can't.",
        "Sorry, I cannot!",
        "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
        "Je suis désolé, mais je ne peux pas répondre à cette question.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Mi dispiace, ma non posso aiutarti con questo.",
        "Sinto muito, mas não posso ajudar com isso.",
        "Het spijt me, maar ik kan je daar niet bij helpen.",
        "很抱歉，我无法提供帮助。",
        "申し訳ありませんが、そのご要望にはお応えできません。",
        "죄송하지만, 그 요청은 도와드릴 수 없습니다.",
    ] {
        let expected = if text.starts_with("I understand") { Verdict::Release } else { escalate("refusal") };
        assert_eq!(prefix(vec![Check::Refusal], text), expected, "{text}");
    }
}

#[test]
fn ordinary_answers_are_not_refusals() {
    for text in [
        "I can help with that.",
        "I can't help but notice the pattern here.",
        "I'm sorry to hear that. Here is what you can do:",
        "The word is \"I can't assist with that\".",
        "Dabei kann ich gerne helfen.",
        "Sure! I cannot recommend it enough.",
        "I cannot tell a lie, said George.",
        "As an AI enthusiast you will like this.",
        "That said, yes.",
        "I'm sorry.",
        "Unfortunately",
    ] {
        assert_eq!(prefix(vec![Check::Refusal], text), Verdict::Release, "{text}");
    }
}

#[test]
fn an_answer_that_cannot_be_a_refusal_is_released_at_once() {
    let route = route(vec![Check::Empty, Check::Refusal]);
    let mut gate = Gate::new(&route, false, None);
    assert_eq!(gate.text("I"), Verdict::Hold);
    assert_eq!(gate.text("f "), Verdict::Release);
}

#[test]
fn the_vendors_own_words_for_a_refusal_count() {
    let r = route(vec![Check::Refusal]);
    assert_eq!(Gate::new(&r, false, None).refusal("I will not"), escalate("refusal"));
    assert_eq!(Gate::new(&r, false, None).end(Some("content_filter")), escalate("refusal"));
    assert_eq!(Gate::new(&r, false, None).end(Some("stop")), Verdict::Release);
}

#[test]
fn loops_are_found_and_lists_are_not() {
    let whole = |text: &str| verdict(&route(vec![Check::Repetition]), true, text, Some("stop"));
    // 64 different words: the longest run that is looked for.
    let paragraph =
        (0..64_u8).map(|i| format!("{}{} ", (b'a' + i % 26) as char, "x".repeat(usize::from(i / 26))));
    let paragraph = paragraph.collect::<Vec<_>>().concat();
    assert_eq!(whole(&paragraph.repeat(4)), Verdict::Release);
    for text in [
        paragraph.repeat(5),
        "the ".repeat(24),
        "and so it is, ".repeat(10),
        format!("Fine so far. {}", "This sentence has exactly seven words. ".repeat(5)),
        "!".repeat(200),
        "我不知道".repeat(10),
        format!("{{\"a\":{}", " ".repeat(200)),
    ] {
        assert_eq!(whole(&text), escalate("repetition"), "{text}");
    }
    let list = (0..200).map(|i| format!("- item {i}: done")).collect::<Vec<_>>().join("\n");
    for text in [
        "0, ".repeat(100),
        "| --- ".repeat(40),
        "=".repeat(100),
        "very very very very good".to_owned(),
        list,
        "no no no no no, no. Yes yes yes.".to_owned(),
    ] {
        assert_eq!(whole(&text), Verdict::Release, "{text}");
    }
}

#[test]
fn a_loop_is_cut_off_early() {
    let route = route(vec![Check::Repetition]);
    let mut gate = Gate::new(&route, true, None);
    let fed = (1..20).find(|_| gate.text("round and round ") != Verdict::Hold);
    assert_eq!((fed, gate.text("x")), (Some(8), escalate("repetition")));
}

#[test]
fn a_regex_matches_across_chunks_and_only_the_whole_prefix() {
    let r = route(vec![regex(r"(?i)\bi am not sure\b")]);
    let mut gate = Gate::new(&r, false, None);
    for piece in ["Well, I am", " not su", "re. It may "] {
        assert_eq!(gate.text(piece), Verdict::Hold);
    }
    assert_eq!(gate.text(&"be ".repeat(100)), escalate("regex"));

    let mut gate = Gate::new(&r, false, None);
    assert_eq!(gate.text("I am not sure"), Verdict::Hold);
    assert_eq!(gate.text("ly mad"), Verdict::Hold);
    assert_eq!(gate.end(Some("stop")), Verdict::Release);

    let cut = format!("{} I am not surely", "x".repeat(256 - 14));
    assert_eq!(prefix(vec![regex(r"\bI am not sure\b")], &cut), Verdict::Release, "a word cut in half");
    let late = format!("{} i am not sure", "x ".repeat(200));
    assert_eq!(prefix(vec![regex("i am not sure")], &late), Verdict::Release, "after the prefix");
    assert_eq!(verdict(&r, true, &late, Some("stop")), escalate("regex"));
}

#[test]
fn a_truncated_answer_escalates() {
    let r = route(vec![Check::Truncated]);
    assert_eq!(verdict(&r, true, "half", Some("length")), escalate("truncated"));
    assert_eq!(verdict(&r, true, "whole", Some("stop")), Verdict::Release);
}

const SCHEMA: &str = r#"{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":
    {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}"#;

fn json(format: Option<&str>, text: &str) -> Verdict {
    let r = route(vec![Check::BrokenJson]);
    let mut gate = Gate::new(&r, true, format);
    assert_eq!(gate.text(text), Verdict::Hold);
    gate.end(Some("stop"))
}

#[test]
fn json_is_checked_against_what_was_asked_for() {
    let object = Some(r#"{"type":"json_object"}"#);
    assert_eq!(json(object, r#" {"a": 1} "#), Verdict::Release);
    for broken in ["{\"a\": 1", "[1]", "```json\n{}\n```", ""] {
        assert_eq!(json(object, broken), escalate("broken_json"), "{broken}");
    }
    assert_eq!(json(Some(SCHEMA), r#"{"a": 1}"#), Verdict::Release);
    for broken in [r#"{"a": "1"}"#, r#"{"a": 1, "b": 2}"#, "{}", "1"] {
        assert_eq!(json(Some(SCHEMA), broken), escalate("broken_json"), "{broken}");
    }
    assert_eq!(json(None, "not json"), Verdict::Release);
    assert_eq!(json(Some(r#"{"type":"text"}"#), "not json"), Verdict::Release);
}

#[test]
fn a_hostile_schema_neither_hangs_nor_crashes() {
    let format =
        |schema: &str| format!(r#"{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}"#);
    let backtracking = format(r#"{"type":"string","pattern":"^(a+)+$"}"#);
    assert_eq!(json(Some(&backtracking), &format!("\"{}b\"", "a".repeat(5_000))), escalate("broken_json"));
    for schema in [
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}"##,
        r#"{"$ref":"http://127.0.0.1:1/x"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r#"{"type":"nonsense"}"#,
        "7",
    ] {
        json(Some(&format(schema)), "{}");
    }
}

#[test]
fn tool_arguments_must_be_objects() {
    let r = route(vec![Check::BrokenJson]);
    let end = |fragments: &[(u32, &str)]| {
        let mut gate = Gate::new(&r, true, Some(SCHEMA));
        for (index, arguments) in fragments {
            assert_eq!(gate.tool_call(*index, arguments), Verdict::Hold);
        }
        gate.end(Some("tool_calls"))
    };
    assert_eq!(end(&[(0, "{\"q\""), (1, "{}"), (0, ":1}")]), Verdict::Release);
    assert_eq!(end(&[(0, "{\"q\":"), (1, "{}")]), escalate("broken_json"));
    assert_eq!(end(&[(0, "[]")]), escalate("broken_json"));
    assert_eq!(end(&[(0, "")]), escalate("broken_json"));
}

#[test]
fn what_is_held_is_bounded() {
    let hold_back = HoldBack { until: Until::End { bytes: 1_000 }, ms: 1_000 };
    let r = Route { hold_back, ..route(vec![Check::Empty, Check::BrokenJson]) };
    assert_eq!(Gate::new(&r, true, None).text(&"x".repeat(1_000_000)), Verdict::Undecided);
    assert_eq!(Gate::new(&r, true, None).tool_call(0, &"x".repeat(1_000_000)), Verdict::Undecided);
    let mut gate = Gate::new(&r, true, None);
    for index in 0..1_000 {
        gate.tool_call(index, "");
    }
    assert_eq!(gate.end(Some("tool_calls")), escalate("broken_json"));
}

#[test]
fn when_time_runs_out_the_answer_is_released_undecided() {
    let r = route(vec![Check::Repetition]);
    let mut gate = Gate::new(&r, false, None);
    gate.text("Once");
    assert_eq!(gate.expired(), Verdict::Undecided);
    assert_eq!(gate.end(Some("stop")), Verdict::Undecided, "done is done");

    let r = route(vec![regex("not sure")]);
    let mut gate = Gate::new(&r, false, None);
    gate.text("I am not sure what ");
    assert_eq!(gate.expired(), escalate("regex"), "what has failed already escalates");
}

#[test]
fn the_prefix_ends_at_its_tokens() {
    let r = route(vec![Check::Repetition]);
    let mut gate = Gate::new(&r, false, None);
    let text = (0..).map(|i| format!("w{i} ")).take(100).collect::<String>();
    assert_eq!(gate.text(&text[..255]), Verdict::Hold);
    assert_eq!(gate.text(&text[255..256]), Verdict::Release);
}

/// Texts that come near every check: refusals, loops, JSON, other scripts.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("I'm sorry, but ".to_owned()),
        Just("I can’t ".to_owned()),
        Just("help with that. ".to_owned()),
        Just("很抱歉，我无法".to_owned()),
        Just("I am not sure".to_owned()),
        Just("{\"a\":1}".to_owned()),
        ("[a-c ]{1,6}", 1_usize..40).prop_map(|(s, n)| s.repeat(n)),
        "\\PC{0,30}",
        Just(" \n".to_owned()),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    /// The network's cuts do not change the verdict.
    #[test]
    fn the_verdict_is_independent_of_chunking(
        text in any_text(),
        whole: bool,
        tokens in 1_u32..80,
        finish in prop_oneof![Just(Some("stop")), Just(Some("length")), Just(None)],
    ) {
        let mut checks = vec![Check::Empty, Check::Refusal, Check::Repetition, regex(r"(?i)\bi am not sure\b")];
        if whole {
            checks.extend([Check::Truncated, Check::BrokenJson]);
        }
        let until = if whole { Until::End { bytes: 2_000 } } else { Until::Prefix { tokens } };
        let r = Route { hold_back: HoldBack { until, ms: 1_000 }, ..route(checks) };
        let format = Some(r#"{"type":"json_object"}"#);
        let run = |pieces: &[&str]| {
            let mut gate = Gate::new(&r, whole, format);
            let decided = pieces.iter().map(|p| gate.text(p)).find(|v| *v != Verdict::Hold);
            decided.unwrap_or_else(|| gate.end(finish))
        };
        let at_once = run(&[&text]);
        prop_assert_ne!(&at_once, &Verdict::Hold);
        let boundaries: Vec<usize> = (0..=text.len()).filter(|i| text.is_char_boundary(*i)).collect();
        for at in &boundaries {
            prop_assert_eq!(&run(&[&text[..*at], &text[*at..]]), &at_once);
        }
        let single: Vec<&str> = boundaries.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        prop_assert_eq!(&run(&single), &at_once);
    }
}
