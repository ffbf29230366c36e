//! Every field has a fate, and the table in the module's documentation tells it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Chat, Turn};

#[expect(clippy::needless_pass_by_value, reason = "JSON literals read better by value")]
fn read(extra: Value) -> Result<Chat, crate::Unsupported> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Chat::read(body.to_string().as_bytes())
}

fn dropped(extra: Value) -> Vec<String> {
    read(extra).unwrap().dropped.into_vec()
}

fn refused(extra: Value) -> String {
    read(extra).unwrap_err().field
}

#[test]
fn harmless_fields_are_listed_never_silent() {
    assert_eq!(dropped(json!({"store": true})), ["store"]);
    assert!(dropped(json!({"store": false})).is_empty());
    assert_eq!(dropped(json!({"prediction": {"type": "content", "content": "x"}})), ["prediction"]);
    assert_eq!(dropped(json!({"verbosity": "low"})), ["verbosity"]);
    assert_eq!(dropped(json!({"service_tier": "flex"})), ["service_tier"]);
    assert!(dropped(json!({"service_tier": "auto"})).is_empty());
    assert_eq!(dropped(json!({"prompt_cache_retention": "24h"})), ["prompt_cache_retention"]);
    assert_eq!(dropped(json!({"prompt_cache_options": {}})), ["prompt_cache_options"]);
}

#[test]
fn fields_that_the_gateway_reads_are_not_listed() {
    let own = json!({"stream": true, "stream_options": {"include_usage": true}, "metadata": {"team": "a"},
        "prompt_cache_key": "k"});
    assert!(dropped(own).is_empty());
}

#[test]
fn fields_that_change_the_answer_are_refused_by_name() {
    assert_eq!(refused(json!({"logit_bias": {"50256": -100}})), "logit_bias");
    assert_eq!(refused(json!({"logprobs": true})), "logprobs");
    assert_eq!(refused(json!({"top_logprobs": 3})), "top_logprobs");
    assert_eq!(refused(json!({"modalities": ["text", "audio"]})), "modalities");
    assert_eq!(refused(json!({"audio": {"voice": "x"}})), "audio");
    assert_eq!(refused(json!({"web_search_options": {}})), "web_search_options");
    assert_eq!(refused(json!({"functions": []})), "functions");
    assert_eq!(refused(json!({"moderation": {}})), "moderation");
    assert_eq!(refused(json!({"an_unknown_field": 1})), "an_unknown_field");
    let off = json!({"logit_bias": {}, "logprobs": false, "top_logprobs": 0, "modalities": ["text"], "audio": null});
    assert!(dropped(off).is_empty(), "switched off is not refused");
}

#[test]
fn wrong_types_are_named() {
    assert_eq!(refused(json!({"temperature": "hot"})), "temperature");
    assert_eq!(refused(json!({"max_tokens": -1})), "max_tokens");
    assert_eq!(refused(json!({"stop": [1]})), "stop");
    assert_eq!(refused(json!({"reasoning_effort": "huge"})), "reasoning_effort");
    assert_eq!(refused(json!({"messages": [{"role": "narrator", "content": "x"}]})), "messages[0].role");
    assert_eq!(refused(json!({"messages": [{"role": "user", "content": 5}]})), "messages[0].content");
    let part = json!([{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]);
    assert_eq!(refused(json!({"messages": part})), "messages[0].content[0].type");
    let call = json!([{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [
        {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{broken"}}]}]);
    assert_eq!(refused(json!({"messages": call})), "messages[1].tool_calls[0].function.arguments");
    assert_eq!(refused(json!({"tools": [{"type": "custom", "custom": {}}]})), "tools[0].type");
    assert_eq!(Chat::read(b"[]").unwrap_err().field, "body");
    assert_eq!(Chat::read(b"{").unwrap_err().field, "body");
}

#[test]
fn decoration_on_replayed_answers_is_listed_and_elsewhere_refused() {
    let messages = json!([
        {"role": "user", "content": "q", "name": "ann"},
        {"role": "assistant", "content": "a", "refusal": null, "annotations": [], "function_call": null,
         "reasoning_content": "hm", "provider_specific_fields": {"x": 1}},
        {"role": "user", "content": "q"},
    ]);
    assert_eq!(
        dropped(json!({"messages": messages})),
        ["messages[].name", "messages[].reasoning_content", "messages[].provider_specific_fields"]
    );
    let odd = json!([{"role": "user", "content": "q", "weight": 0}]);
    assert_eq!(refused(json!({"messages": odd})), "messages[0].weight");
}

#[test]
fn fn2_13_signatures_are_taken_out_of_ids() {
    let id = super::thought_id::join("call_1", "c2ln");
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": id, "content": "r"},
    ]);
    let chat = read(json!({"messages": messages})).unwrap();
    let Turn::Assistant(said) = &chat.turns[1] else { panic!("an assistant turn") };
    assert_eq!((said.calls[0].id.as_str(), said.calls[0].signature.as_deref()), ("call_1", Some("c2ln")));
    let Turn::Tool(result) = &chat.turns[2] else { panic!("a tool turn") };
    assert_eq!(result.id, "call_1");
}

#[test]
fn user_before_safety_identifier() {
    let user = |extra| read(extra).unwrap().user;
    assert_eq!(user(json!({"safety_identifier": "s", "user": "u"})).as_deref(), Some("u"));
    assert_eq!(user(json!({"safety_identifier": "s"})).as_deref(), Some("s"));
}

proptest! {
    /// Nothing that is not in the table passes in silence.
    #[test]
    fn a_field_that_nobody_knows_is_refused_by_name(field in "zz_[a-z_]{0,12}", value in 0u32..9) {
        let mut extra = serde_json::Map::new();
        extra.insert(field.clone(), json!(value));
        prop_assert_eq!(refused(Value::Object(extra)), field);
    }
}

#[test]
fn names_in_the_dropped_list_fit_a_header() {
    let messages =
        json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "x\r\ny: é,": 1}]);
    assert_eq!(dropped(json!({"messages": messages})), ["messages[].x??y: ??"]);
}
