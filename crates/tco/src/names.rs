//! Names in a scenario that cannot be read whole.
//!
//! Names are looked up when a sound scenario becomes numbers. A user who has mistyped a share and a GPU should hear of
//! both at once, so the stacks of an unsound one are looked up here, each by itself and over a workload of ours.

use serde_json::{Value, json};

use crate::compile::compile;
use crate::{Market, Problem, Scenario};

/// What the market does not know in the stacks of `tree`: models, accelerators, prices. Stacks whose own form is wrong,
/// and hybrids, which lean on others, are left out.
pub fn unknown_names(tree: &Value, market: &Market<'_>) -> Vec<Problem> {
    let Some(stacks) = tree.get("stacks").and_then(Value::as_object) else { return Vec::new() };
    let alone = |(name, stack): (&String, &Value)| {
        stack.get("model")?;
        let tree = json!({
            "prices": tree.get("prices").unwrap_or(&json!("catalogue")),
            "workload": {"requests_per_day": 1, "input_tokens": 1, "output_tokens": 1, "peak_to_mean": 1},
            "stacks": {name: stack},
        });
        let scenario = Scenario::from_json(&tree).ok()?;
        compile(&scenario, market, scenario.price_list()).err()
    };
    stacks.iter().filter_map(alone).flatten().collect()
}
