//! The check on answers can fail: each schema takes what OpenAI sends and refuses what it would not.

use serde_json::{Value, json};
use tollgate_tests::spec;

fn chat() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": "Hi", "refusal": null},
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

fn chunk() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": null,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null, "logprobs": null}],
    })
}

#[test]
fn what_openai_sends_is_valid() {
    spec::check(spec::CHAT, &chat());
    spec::check(spec::CHUNK, &chunk());
    spec::check(spec::ERROR, &json!({"error": {"message": "m", "type": "t", "param": null, "code": null}}));
    let model = json!({"id": "m", "object": "model", "created": 1, "owned_by": "o"});
    spec::check(spec::MODEL, &model);
    spec::check(spec::MODELS, &json!({"object": "list", "data": [model]}));
}

#[test]
fn a_field_that_is_missing_or_of_another_kind_is_not() {
    type Spoil = fn(&mut Value);
    let spoiled: [(&'static str, Value, Spoil); 6] = [
        (spec::CHAT, chat(), |v| v["choices"][0]["finish_reason"] = json!("end_turn")),
        (spec::CHAT, chat(), |v| v["usage"]["prompt_tokens"] = json!("1")),
        (spec::CHAT, chat(), |v| drop(v["choices"][0]["message"].as_object_mut().unwrap().remove("refusal"))),
        (spec::CHUNK, chunk(), |v| v["choices"][0]["delta"]["content"] = json!(["a"])),
        (spec::CHUNK, chunk(), |v| v["object"] = json!("chat.completion")),
        (spec::CHUNK, chunk(), |v| v["usage"] = json!({"total_tokens": 1})),
    ];
    for (schema, mut value, spoil) in spoiled {
        spoil(&mut value);
        assert!(!spec::violations(schema, &value).is_empty(), "{value:#}");
    }
}
