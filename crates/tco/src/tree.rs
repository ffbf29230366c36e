//! Changes to a scenario before it is read: the tree that TOML and JSON share.
//!
//! A change is made to the tree and not to the scenario, so that a value is checked in one place wherever it comes from: a
//! file, a flag, a slider.

use serde_json::{Map, Value};

/// Other ways to say the same of a workload: they give way when one of them is changed.
const RIVALS: [&[&str]; 2] = [
    &[
        "requests_per_day",
        "requests_per_month",
        "output_tokens_per_day",
        "output_tokens_per_month",
        "total_tokens_per_day",
        "total_tokens_per_month",
    ],
    &["peak_to_mean", "profile", "week", "hours"],
];

/// Puts `patch` over `tree` as a JSON merge patch (RFC 7396): tables are merged, anything else replaces what stood there,
/// `null` takes it out. What `patch` says of the volume or the shape of the workload replaces whatever said it before.
pub fn patch(tree: &mut Value, patch: &Value) {
    if let (Some(workload), Some(changes)) = (
        tree.get_mut("workload").and_then(Value::as_object_mut),
        patch.get("workload").and_then(Value::as_object),
    ) {
        for names in RIVALS {
            if names.iter().any(|name| changes.contains_key(*name)) {
                workload.retain(|name, _| !names.contains(&name.as_str()));
            }
        }
    }
    merge(tree, patch);
}

fn merge(tree: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        tree.clone_from(patch);
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    let Some(map) = tree.as_object_mut() else { return };
    for (key, change) in changes {
        if change.is_null() {
            map.shift_remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// The traffic of `measured` (a scenario that a ledger gave) under everything else that `stated` says.
#[must_use]
pub fn on_traffic_of(mut measured: Value, stated: Value) -> Value {
    if let (Some(base), Value::Object(stated)) = (measured.as_object_mut(), stated) {
        base.extend(stated.into_iter().filter(|(key, _)| key != "workload"));
    }
    measured
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_replaces_and_takes_out() {
        let mut tree =
            json!({"overhead": "article", "stacks": {"own": {"spares": 1, "model": "m"}, "b": {}}});
        patch(&mut tree, &json!({"overhead": {"people": 5}, "stacks": {"own": {"spares": 2}, "b": null}}));
        assert_eq!(tree, json!({"overhead": {"people": 5}, "stacks": {"own": {"spares": 2, "model": "m"}}}));
    }

    #[test]
    fn what_says_the_same_gives_way() {
        let measured = json!({"value": 3, "basis": "measured"});
        let mut tree =
            json!({"workload": {"requests_per_month": 1, "profile": [1], "week": [2], "growth": measured}});
        patch(&mut tree, &json!({"workload": {"requests_per_day": 7, "peak_to_mean": 2}}));
        assert_eq!(tree, json!({"workload": {"growth": measured, "requests_per_day": 7, "peak_to_mean": 2}}));
        patch(&mut tree, &json!({"workload": {"growth": 0.1}}));
        assert_eq!(tree["workload"]["requests_per_day"], 7, "no rival of growth");
        assert_eq!(tree["workload"]["growth"], 0.1, "a number replaces a number with its source");
    }

    #[test]
    fn a_file_keeps_its_word_except_on_traffic() {
        let measured = json!({"workload": 1, "slo": 1, "notes": ["n"]});
        let stated = json!({"workload": 2, "slo": 2, "stacks": 2});
        let both = on_traffic_of(measured, stated);
        assert_eq!(both, json!({"workload": 1, "slo": 2, "notes": ["n"], "stacks": 2}));
    }
}
