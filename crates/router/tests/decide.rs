//! Decisions: needs, rules, picks, stickiness, explanations.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use catalog::{Ability, Capabilities, Facts, Money, Needs};
use proptest::prelude::*;
use regex::Regex;
use tollgate_router::{
    Candidate, Check, Group, HoldBack, How, Pick, Plan, Prompt, Reason, Role, Route, Rule, Until, Up, decide,
};

/// The source article's rule with the word boundaries that it lacks (seed audit H1).
const HARD: &str = r"(?i)\b(multi-step|prove|derive|optimi[sz]e|architect)\b";

fn facts(images: Ability) -> Facts {
    use Ability::Yes;
    let can = Capabilities {
        images,
        audio: Ability::No,
        files: Ability::No,
        tools: Yes,
        parallel_tools: Yes,
        json_mode: Yes,
        json_schema: Yes,
        logprobs: Ability::No,
        n: Yes,
        chat: Yes,
        embeddings: Ability::No,
        completions: Ability::No,
    };
    Facts { context: Some(128_000), max_output: Some(16_000), can, reasoning: false }
}

fn candidate<'a>(target: &'a str, facts: &'a Facts) -> Candidate<'a> {
    Candidate {
        target,
        facts,
        endpoints: &[],
        up: Up::Closed,
        ttft_ms: None,
        price: None,
        cache: None,
        warm: false,
        measured: None,
        weight: 1,
        retired: false,
    }
}

fn group<'a>(name: &'a str, pick: Pick, candidates: Vec<Candidate<'a>>) -> Group<'a> {
    Group { name, pick, candidates }
}

fn prompt(last_user: &str) -> Prompt<'_> {
    Prompt {
        op: "chat",
        last_user,
        input_tokens: 20,
        max_output_tokens: None,
        stream: false,
        needs: Needs::default(),
        tool_turn: false,
        session: 7,
        draw: None,
        bound_to: None,
    }
}

fn route() -> Route {
    Route {
        name: "auto".to_owned(),
        before: vec![Rule::Matches(Regex::new(HARD).unwrap().into()), Rule::InputTokensOver(30_000)],
        after: vec![Check::Empty, Check::Refusal, Check::Repetition],
        how: How::Fresh,
        hold_back: HoldBack::PREFIX,
        check_tool_turns: false,
    }
}

/// `auto`: a text-only cheap model at two vendors, a flagship that sees.
fn decided(route: &Route, prompt: &Prompt<'_>) -> Plan {
    let (text, sees) = (facts(Ability::No), facts(Ability::Yes));
    let cheap = group(
        "cheap",
        Pick::Order,
        vec![candidate("together/qwen", &text), candidate("deepinfra/qwen", &text)],
    );
    let flagship = group("flagship", Pick::Order, vec![candidate("anthropic/opus", &sees)]);
    decide(Some(route), prompt, &cheap, Some(&flagship)).unwrap()
}

#[test]
fn seed_audit_h1_improve_and_approve_are_not_prove() {
    for text in ["Please improve this paragraph", "Did they approve it?", "the improvement", "architecture"] {
        let plan = decided(&route(), &prompt(text));
        assert_eq!((plan.reason, plan.first.model.as_str()), (Reason::Default, "cheap"), "{text}");
    }
    let plan = decided(&route(), &prompt("Now Prove that the square root of 2 is irrational"));
    assert_eq!(plan.reason.to_string(), "matched:prove");
    assert_eq!(plan.first.model, "flagship");
    assert!(!plan.gated && plan.escalation.is_none());
}

#[test]
fn a_long_input_goes_to_the_flagship() {
    let long = Prompt { input_tokens: 30_001, ..prompt("sum this up") };
    assert_eq!(decided(&route(), &long).reason.to_string(), "long-input");
    let limit = Prompt { input_tokens: 30_000, ..prompt("sum this up") };
    assert_eq!(decided(&route(), &limit).reason.to_string(), "default");
}

#[test]
fn an_image_never_goes_to_a_text_only_model() {
    let image = Prompt { needs: Needs { images: true, ..Needs::default() }, ..prompt("what is this?") };
    let plan = decided(&route(), &image);
    assert_eq!(plan.first.targets, ["anthropic/opus"]);
    assert_eq!(plan.reason.to_string(), "needs:images");
    assert_eq!(plan.explanation.excluded.len(), 2);
    assert_eq!(plan.explanation.excluded[0].why, "takes no images");

    let text = facts(Ability::No);
    let cheap = group("cheap", Pick::Order, vec![candidate("together/qwen", &text)]);
    let refused = decide(None, &image, &cheap, None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no configured model can serve this request: together/qwen takes no images"
    );
}

#[test]
fn the_escalation_target_is_filtered_too() {
    let (sees, text) = (facts(Ability::Yes), facts(Ability::No));
    let cheap = group("cheap", Pick::Order, vec![candidate("together/vl", &sees)]);
    let flagship = group("flagship", Pick::Order, vec![candidate("openai/text", &text)]);
    let image = Prompt { needs: Needs { images: true, ..Needs::default() }, ..prompt("prove what you see") };
    let plan = decide(Some(&route()), &image, &cheap, Some(&flagship)).unwrap();
    assert_eq!((plan.reason, plan.first.model.as_str()), (Reason::Default, "cheap"));
    assert!(plan.escalation.is_none() && !plan.gated);
    assert_eq!(plan.explanation.notes, ["no model of `flagship` can serve this request: no escalation"]);
}

#[test]
fn every_need_excludes_a_model_that_lacks_it() {
    let nothing = Facts {
        can: Capabilities {
            images: Ability::No,
            audio: Ability::No,
            files: Ability::No,
            tools: Ability::No,
            parallel_tools: Ability::No,
            json_mode: Ability::No,
            json_schema: Ability::No,
            logprobs: Ability::No,
            n: Ability::No,
            ..Capabilities::default()
        },
        ..Facts::default()
    };
    let none = Needs::default();
    let needs = [
        (Needs { images: true, ..none }, "takes no images"),
        (Needs { audio: true, ..none }, "takes no audio"),
        (Needs { files: true, ..none }, "takes no files"),
        (Needs { tools: true, ..none }, "calls no tools"),
        (Needs { parallel_tools: true, ..none }, "calls no tools in parallel"),
        (Needs { json_mode: true, ..none }, "has no JSON mode"),
        (Needs { json_schema: true, ..none }, "holds to no JSON schema"),
        (Needs { logprobs: true, ..none }, "gives no logprobs"),
        (Needs { many_choices: true, ..none }, "gives one choice only (n > 1)"),
    ];
    for (needs, why) in needs {
        let only = group("m", Pick::Order, vec![candidate("a/m", &nothing)]);
        let error = decide(None, &Prompt { needs, ..prompt("x") }, &only, None).unwrap_err();
        assert_eq!(error.excluded[0].why, why);
    }
    let plain = group("m", Pick::Order, vec![candidate("a/m", &nothing)]);
    assert!(decide(None, &prompt("x"), &plain, None).is_ok());
}

#[test]
fn the_context_window_counts_the_output_and_forgives_the_estimate() {
    let small = Facts { context: Some(8_192), ..facts(Ability::No) };
    let big = facts(Ability::No);
    let order = |input_tokens, max_output_tokens| {
        let both = group("m", Pick::Order, vec![candidate("a/small", &small), candidate("b/big", &big)]);
        decide(None, &Prompt { input_tokens, max_output_tokens, ..prompt("x") }, &both, None).unwrap()
    };
    assert_eq!(order(4_000, Some(4_000)).first.targets, ["a/small", "b/big"]);
    assert_eq!(order(4_000, Some(4_300)).first.targets, ["b/big", "a/small"], "may not fit: tried last");
    assert_eq!(order(4_000, Some(8_000)).first.targets, ["b/big"]);
    let plan = order(30_000, None);
    assert_eq!(plan.explanation.excluded[0].why, "context 8192 < 30001 tokens");
}

#[test]
fn endpoints_and_retirement_exclude() {
    let all = facts(Ability::No);
    let (chat, embedding) = (["chat".to_owned()], ["embedding".to_owned()]);
    let retired = Candidate { retired: true, ..candidate("a/old", &all) };
    let wrong = Candidate { endpoints: &embedding, ..candidate("b/embeds", &all) };
    let right = Candidate { endpoints: &chat, ..candidate("c/chats", &all) };
    let plan =
        decide(None, &prompt("x"), &group("m", Pick::Order, vec![retired, wrong, right]), None).unwrap();
    assert_eq!(plan.first.targets, ["c/chats"]);
    let why: Vec<_> = plan.explanation.excluded.iter().map(|e| e.why.as_str()).collect();
    assert_eq!(why, ["is retired", "is at a host that serves no chat"]);
}

#[test]
fn an_unknown_ability_is_tried_last() {
    let (sees, unknown) = (facts(Ability::Yes), facts(Ability::Unknown));
    let both = vec![candidate("a/unknown", &unknown), candidate("b/sees", &sees)];
    let image = Prompt { needs: Needs { images: true, ..Needs::default() }, ..prompt("x") };
    let plan = decide(None, &image, &group("m", Pick::Order, both.clone()), None).unwrap();
    assert_eq!(plan.first.targets, ["b/sees", "a/unknown"]);
    assert_eq!(plan.explanation.candidates[1].unsure.as_deref(), Some("images not documented"));
    let text = decide(None, &prompt("x"), &group("m", Pick::Order, both), None).unwrap();
    assert_eq!(text.first.targets, ["a/unknown", "b/sees"], "not needed: the config's order stands");
}

#[test]
fn picks_order_vendors() {
    let can = facts(Ability::No);
    let usd = |text| Money::parse_usd(text).ok();
    let dear = Candidate { price: usd("0.02"), ttft_ms: Some(90.0), ..candidate("a/m", &can) };
    let unknown = Candidate { price: None, ttft_ms: None, ..candidate("b/m", &can) };
    let cheap = Candidate { price: usd("0.01"), ttft_ms: Some(300.0), ..candidate("c/m", &can) };
    let down = Candidate { price: usd("0.001"), ttft_ms: Some(1.0), up: Up::Open, ..candidate("d/m", &can) };
    let probing =
        Candidate { price: usd("0.002"), ttft_ms: Some(2.0), up: Up::HalfOpen, ..candidate("e/m", &can) };
    let order = |pick| {
        let all = vec![dear.clone(), unknown.clone(), cheap.clone(), down.clone(), probing.clone()];
        decide(None, &prompt("x"), &group("m", pick, all), None).unwrap().first.targets.join(" ")
    };
    assert_eq!(order(Pick::Order), "a/m b/m c/m e/m d/m");
    assert_eq!(order(Pick::Cheapest), "e/m c/m a/m b/m d/m");
    assert_eq!(order(Pick::Fastest), "b/m e/m a/m c/m d/m");
}

#[test]
fn weighted_is_sticky_and_follows_the_weights() {
    let f = facts(Ability::No);
    let first = |session, without_a: bool| {
        let mut all = vec![
            Candidate { weight: 3, ..candidate("a/m", &f) },
            Candidate { weight: 1, ..candidate("b/m", &f) },
            Candidate { weight: 0, ..candidate("c/m", &f) },
        ];
        if without_a {
            all.remove(0);
        }
        let p = Prompt { session, ..prompt("x") };
        decide(None, &p, &group("m", Pick::Weighted, all), None).unwrap().first.targets
    };
    let (mut a, mut c) = (0, 0);
    for session in 0..10_000_u64 {
        let session = session.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let targets = first(session, false);
        assert_eq!(targets, first(session, false));
        if targets[0] == "a/m" {
            a += 1;
        } else {
            assert_eq!(
                first(session, true),
                targets.iter().filter(|t| *t != "a/m").cloned().collect::<Vec<_>>()
            );
        }
        c += usize::from(targets[2] == "c/m");
    }
    assert!((7_300..7_700).contains(&a), "{a} of 10000 for weight 3 of 4");
    assert_eq!(c, 10_000, "weight 0 is for failover only");
}

#[test]
fn a_bound_conversation_stays_on_its_target() {
    let bound = Prompt { bound_to: Some("deepinfra/qwen"), ..prompt("now prove it") };
    let plan = decided(&route(), &bound);
    assert_eq!(plan.reason, Reason::Sticky);
    assert_eq!(plan.first.targets, ["deepinfra/qwen", "together/qwen"]);

    let flagship = Prompt { bound_to: Some("anthropic/opus"), tool_turn: true, ..prompt("thanks") };
    let plan = decided(&route(), &flagship);
    assert_eq!((plan.reason, plan.first.model.as_str()), (Reason::Sticky, "flagship"));

    let gone = Prompt { bound_to: Some("gone/model"), ..prompt("now prove it") };
    let plan = decided(&route(), &gone);
    assert_eq!(plan.reason.to_string(), "matched:prove");
    assert!(plan.explanation.notes[0].starts_with("`gone/model`, which this conversation is bound to"));
}

#[test]
fn a_bound_target_that_is_down_is_the_last_resort_of_its_own_model() {
    let f = facts(Ability::No);
    let down = Candidate { up: Up::Open, ..candidate("a/m", &f) };
    let plan = decide(
        None,
        &Prompt { bound_to: Some("a/m"), ..prompt("x") },
        &group("m", Pick::Order, vec![down, candidate("b/m", &f)]),
        None,
    )
    .unwrap();
    assert_eq!(plan.first.targets, ["b/m", "a/m"]);
    assert_eq!(plan.explanation.notes, ["`a/m`, which this conversation is bound to, is out of rotation"]);
}

#[test]
fn checks_run_on_the_cheap_answer_but_not_on_tool_turns() {
    let plan = decided(&route(), &prompt("hello"));
    assert!(plan.gated && !plan.hold_to_end);
    assert_eq!(plan.hold, Some(HoldBack::PREFIX));
    assert_eq!(plan.explanation.checks, ["empty", "refusal", "repetition"]);
    assert_eq!(plan.explanation.hold, "the first 64 tokens, at most 1500 ms");

    let tool_turn = Prompt { tool_turn: true, ..prompt("hello") };
    let plan = decided(&route(), &tool_turn);
    assert!(!plan.gated && plan.escalation.is_some());
    assert!(decided(&Route { check_tool_turns: true, ..route() }, &tool_turn).gated);
    assert!(!decided(&Route { after: Vec::new(), ..route() }, &prompt("hello")).gated);
}

#[test]
fn tools_formats_and_whole_checks_hold_to_the_end() {
    let none = Needs::default();
    for needs in [
        Needs { tools: true, ..none },
        Needs { json_mode: true, ..none },
        Needs { json_schema: true, ..none },
    ] {
        let plan = decided(&route(), &Prompt { needs, ..prompt("x") });
        assert!(plan.hold_to_end, "{needs:?}");
        assert_eq!(plan.hold, Some(HoldBack::WHOLE), "a prefix bound would always expire");
    }
    let own = HoldBack { until: Until::End { bytes: 1_000 }, ms: 5_000 };
    let whole = Route { after: vec![Check::Truncated], hold_back: own, ..route() };
    let plan = decided(&whole, &prompt("x"));
    assert!(plan.hold_to_end);
    assert_eq!(plan.hold, Some(own));
}

#[test]
fn reconsider_becomes_fresh_where_the_cheap_answer_is_not_one_text() {
    let route = Route { how: How::Reconsider, ..route() };
    assert_eq!(decided(&route, &prompt("x")).how, How::Reconsider);
    let none = Needs::default();
    for (needs, why) in [
        (Needs { many_choices: true, ..none }, "n is above 1"),
        (Needs { json_schema: true, ..none }, "a response_format is set"),
        (Needs { tools: true, ..none }, "the cheap answer may be a tool call"),
    ] {
        let plan = decided(&route, &Prompt { needs, ..prompt("x") });
        assert_eq!(plan.how, How::Fresh);
        assert_eq!(plan.explanation.notes, [format!("`reconsider` becomes `fresh`: {why}")]);
    }
}

#[test]
fn the_explanation_says_all_that_mattered() {
    let plan = decided(&route(), &prompt("optimise this"));
    let json = serde_json::to_value(&plan.explanation).unwrap();
    assert_eq!(json["reason"], "matched:optimise");
    assert_eq!(json["rules"][0], format!("matches /{HARD}/: yes, `optimise`"));
    assert_eq!(json["rules"].as_array().unwrap().len(), 1);
    let plan = decided(&route(), &prompt("hello"));
    assert_eq!(plan.explanation.rules[1], "input_tokens_over 30000: no, about 20");
    let roles: Vec<_> = plan.explanation.candidates.iter().map(|c| (c.target.as_str(), c.role)).collect();
    assert_eq!(
        roles,
        [
            ("together/qwen", Role::First),
            ("deepinfra/qwen", Role::First),
            ("anthropic/opus", Role::Escalation)
        ]
    );
}

#[test]
fn matched_text_is_bounded_and_fit_for_a_header() {
    let any = Route { before: vec![Rule::Matches(Regex::new("(?s)PROVE.*").unwrap().into())], ..route() };
    let text = format!("PROVE\r\nx-evil: 1 {}", "a".repeat(100));
    let Reason::Matched(word) = decided(&any, &prompt(&text)).reason else { panic!("no match") };
    assert_eq!(word.chars().count(), 40);
    assert!(word.starts_with("prove  x-evil") && !word.contains(['\r', '\n']));
}

#[test]
fn a_very_long_message_is_read_at_both_ends() {
    let filler = "ü".repeat(200_000);
    let rule = |text: &str| decided(&route(), &prompt(text)).reason.to_string();
    assert_eq!(rule(&format!("prove it: {filler}")), "matched:prove");
    assert_eq!(rule(&format!("{filler} prove it")), "matched:prove");
    assert_eq!(rule(&format!("{filler} prove it {filler}")), "default");
}

fn any_ability() -> impl Strategy<Value = Ability> {
    prop_oneof![Just(Ability::Yes), Just(Ability::No), Just(Ability::Unknown)]
}

type Drawn = (Ability, Ability, Option<u64>, u8, Option<u32>, u32, bool);

fn any_candidate() -> impl Strategy<Value = Drawn> {
    (
        any_ability(),
        any_ability(),
        proptest::option::of(1_u64..50_000),
        0_u8..3,
        proptest::option::of(0_u32..100),
        0_u32..4,
        any::<bool>(),
    )
}

proptest! {
    /// Whatever comes, there is a decision, it is the same again, it loses no candidate, and nothing goes to a model
    /// that is documented as unable.
    #[test]
    fn decisions_are_total_deterministic_and_complete(
        cheap in proptest::collection::vec(any_candidate(), 0..4),
        strong in proptest::collection::vec(any_candidate(), 0..4),
        text in "\\PC{0,40}",
        session: u64,
        input_tokens in 0_u64..60_000,
        (images, tools, tool_turn, routed) in any::<(bool, bool, bool, bool)>(),
        pick in 0_usize..4,
        bound in 0_usize..10,
    ) {
        let drawn: Vec<_> = cheap.iter().chain(&strong).collect();
        let names: Vec<String> = (0..drawn.len()).map(|i| format!("v{i}/m")).collect();
        let all: Vec<Facts> = drawn
            .iter()
            .map(|d| Facts {
                context: d.2,
                can: Capabilities { images: d.0, tools: d.1, ..Capabilities::default() },
                ..Facts::default()
            })
            .collect();
        let candidates: Vec<Candidate<'_>> = (0..drawn.len())
            .map(|i| Candidate {
                up: [Up::Closed, Up::HalfOpen, Up::Open][usize::from(drawn[i].3)],
                ttft_ms: drawn[i].4.map(f64::from),
                price: drawn[i].4.map(|p| Money::from_pico(p.into())),
                weight: drawn[i].5,
                retired: drawn[i].6,
                ..candidate(&names[i], &all[i])
            })
            .collect();
        let pick = [Pick::Order, Pick::Weighted, Pick::Cheapest, Pick::Fastest][pick];
        let (first, second) = candidates.split_at(cheap.len());
        let default = group("cheap", pick, first.to_vec());
        let escalate = group("strong", pick, second.to_vec());
        let needs = Needs { images, tools, ..Needs::default() };
        let prompt = Prompt {
            input_tokens, needs, tool_turn, session,
            bound_to: names.get(bound).map(String::as_str),
            ..prompt(&text)
        };
        let route = route();
        let run = || decide(routed.then_some(&route), &prompt, &default, Some(&escalate));
        match (run(), run()) {
            (Ok(plan), Ok(again)) => {
                prop_assert_eq!(&plan.first, &again.first);
                prop_assert_eq!(&plan.escalation, &again.escalation);
                prop_assert!(!plan.first.targets.is_empty());
                let steps = [Some(&plan.first), plan.escalation.as_ref()];
                for target in steps.into_iter().flatten().flat_map(|s| &s.targets) {
                    let at = names.iter().position(|n| n == target).unwrap();
                    prop_assert!(!drawn[at].6);
                    prop_assert!(!(images && drawn[at].0 == Ability::No));
                    prop_assert!(!(tools && drawn[at].1 == Ability::No));
                }
                if !routed {
                    let seen = plan.first.targets.len() + plan.explanation.excluded.len();
                    prop_assert_eq!(seen, cheap.len());
                }
                let up = |t: &String| drawn[names.iter().position(|n| n == t).unwrap()].3 == 2;
                prop_assert!(plan.first.targets.is_sorted_by_key(up), "open breakers come last");
            }
            (Err(error), Err(again)) => {
                prop_assert_eq!(&error, &again);
                prop_assert_eq!(error.excluded.len(), if routed { drawn.len() } else { cheap.len() });
            }
            _ => prop_assert!(false, "two runs differ"),
        }
    }
}

#[test]
fn an_escalated_conversation_stays_while_its_warm_cache_makes_the_flagship_no_dearer() {
    let (text, usd) = (facts(Ability::No), |text| Some(Money::parse_usd(text).unwrap()));
    let decided = |flagship: Candidate<'_>| {
        let cheap = Candidate { price: usd("0.010"), ..candidate("a/cheap", &text) };
        let cheap = group("cheap", Pick::ADAPTIVE, vec![cheap]);
        let flagship = group("flagship", Pick::Cheapest, vec![flagship]);
        decide(Some(&route()), &prompt("And then?"), &cheap, Some(&flagship)).unwrap()
    };
    let warm = Candidate { price: usd("0.009"), warm: true, ..candidate("b/flagship", &text) };
    let plan = decided(warm.clone());
    assert_eq!((plan.reason, plan.first.model.as_str()), (Reason::Sticky, "flagship"));
    assert!(plan.explanation.notes.iter().any(|n| n.contains("prompt cache warm")), "{:?}", plan.explanation);
    for other in [
        Candidate { price: usd("0.011"), ..warm.clone() },
        Candidate { price: None, ..warm.clone() },
        Candidate { warm: false, ..warm.clone() },
        Candidate { up: Up::Open, ..warm },
    ] {
        let plan = decided(other);
        assert_eq!((plan.reason, plan.first.model.as_str()), (Reason::Default, "cheap"));
    }
}
