//! Reasoning, sampling and the output limit: they constrain each other.

use catalog::Facts;
use serde_json::{Map, Value, json};

use super::model::{Thinking, Traits};
use crate::Unsupported;
use crate::chat::{Assistant, Chat, Effort, Turn, refuse};

/// Least budget that the vendor accepts.
const LEAST_BUDGET: u64 = 1_024;
/// Output limit when neither caller nor catalogue names one: the vendor demands a number.
const DEFAULT_OUTPUT: u64 = 4_096;

/// What was decided.
pub(super) struct Plan {
    pub max_tokens: u64,
    /// The value of `thinking`.
    pub thinking: Option<Value>,
    /// The value of `output_config.effort`.
    pub effort: Option<&'static str>,
}

/// Decides how to reason. A forced `tool_choice` excludes reasoning and wins: the caller's code relies on the call.
pub(super) fn plan(chat: &mut Chat, traits: Traits, facts: &Facts) -> Result<Plan, Unsupported> {
    let forced = chat.tool_choice.forced();
    if forced && traits.no_forced_tools {
        return Err(refuse("tool_choice", "this model refuses to be forced to call a tool"));
    }
    let wanted = chat.effort.filter(|effort| *effort != Effort::None);
    let limit = chat.max_output;
    let default = facts.max_output.unwrap_or(DEFAULT_OUTPUT);
    let mut plan = Plan { max_tokens: limit.unwrap_or(default), thinking: None, effort: None };
    match traits.thinking {
        Thinking::No => {
            if wanted.is_some() {
                chat.dropped.note("reasoning_effort");
            }
        }
        Thinking::Budget => budget(chat, wanted.filter(|_| !forced), facts, &mut plan),
        Thinking::OnRequest | Thinking::Default | Thinking::BetweenTools | Thinking::Always => {
            adaptive(chat, traits, wanted, &mut plan);
        }
    }
    if forced && wanted.is_some() {
        chat.dropped.note("reasoning_effort");
    }
    Ok(plan)
}

fn budget(chat: &mut Chat, wanted: Option<Effort>, facts: &Facts, plan: &mut Plan) {
    let Some(effort) = wanted else { return };
    let mut budget = effort.budget();
    if chat.max_output.is_none() && facts.max_output.is_none() {
        plan.max_tokens = budget + DEFAULT_OUTPUT;
    }
    // The budget lies inside `max_tokens`; a fifth is left for the answer, unless that is already plenty.
    budget = budget.min(plan.max_tokens - (plan.max_tokens / 5).min(DEFAULT_OUTPUT));
    if budget < LEAST_BUDGET || breaks_tool_loop(&chat.turns) {
        chat.dropped.note("reasoning_effort");
        return;
    }
    plan.thinking = Some(json!({"type": "enabled", "budget_tokens": budget}));
}

fn adaptive(chat: &mut Chat, traits: Traits, wanted: Option<Effort>, plan: &mut Plan) {
    let forced = chat.tool_choice.forced();
    if let Some(effort) = wanted.filter(|_| !forced) {
        let mut thinking = json!({"type": "adaptive"});
        if traits.hides_reasoning
            && let Some(thinking) = thinking.as_object_mut()
        {
            thinking.insert("display".to_owned(), json!("summarized"));
        }
        plan.thinking = Some(thinking);
        plan.effort = Some(match effort {
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::Xhigh if traits.high_efforts => "xhigh",
            Effort::Max if traits.high_efforts => "max",
            Effort::High => "high",
            Effort::Xhigh | Effort::Max => {
                chat.dropped.note("reasoning_effort");
                "high"
            }
        });
        return;
    }
    if chat.effort != Some(Effort::None) && !forced {
        return;
    }
    plan.thinking = match traits.thinking {
        Thinking::Default => Some(json!({"type": "disabled"})),
        Thinking::BetweenTools => Some(json!({"type": "between_tools"})),
        Thinking::Always => {
            if chat.effort == Some(Effort::None) {
                chat.dropped.note("reasoning_effort");
                plan.effort = Some("low");
            }
            None
        }
        Thinking::No | Thinking::Budget | Thinking::OnRequest => None,
    };
}

/// With a budget, the model's turn in a running tool loop must begin with its reasoning. A client that lost it
/// cannot go on reasoning in this loop; without reasoning the vendor accepts the turn.
fn breaks_tool_loop(turns: &[Turn]) -> bool {
    let last = turns.iter().rev().find(|turn| !matches!(turn, Turn::Tool(_)));
    let in_loop = matches!(turns.last(), Some(Turn::Tool(_)));
    in_loop && matches!(last, Some(Turn::Assistant(Assistant { thoughts, .. })) if thoughts.is_empty())
}

/// Writes what may be said about sampling, and notes what may not.
pub(super) fn sampling(chat: &mut Chat, traits: Traits, plan: &Plan, body: &mut Map<String, Value>) {
    let reasons = plan.thinking.as_ref().is_some_and(|thinking| thinking["type"] != "disabled");
    let fixed = traits.fixed_sampling || reasons;
    let mut temperature = chat.temperature.filter(|t| !fixed || differs(*t));
    let mut top_p = chat.top_p.filter(|p| differs(*p));
    let mut top_k = chat.top_k;
    if fixed {
        for (field, set) in [
            ("temperature", temperature.take().is_some()),
            ("top_p", top_p.take().is_some()),
            ("top_k", top_k.take().is_some()),
        ] {
            if set {
                chat.dropped.note(field);
            }
        }
    }
    if let Some(value) = temperature {
        // OpenAI's scale ends at 2, the vendor's at 1.
        if value > 1.0 {
            chat.dropped.note("temperature");
        }
        body.insert("temperature".to_owned(), json!(value.clamp(0.0, 1.0)));
    }
    if let Some(value) = top_p {
        if traits.one_sampler && temperature.is_some() {
            chat.dropped.note("top_p");
        } else {
            body.insert("top_p".to_owned(), json!(value));
        }
    }
    if let Some(value) = top_k {
        body.insert("top_k".to_owned(), json!(value));
    }
}

/// 1 is the default of both `temperature` and `top_p`.
fn differs(value: f64) -> bool {
    (value - 1.0).abs() > f64::EPSILON
}
