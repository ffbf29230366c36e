//! What would be decided for a request, and why; no call is made. The gate decides with the same function.

use bytes::Bytes;
use router::{Explanation, Plan};
use serde::Serialize;
use wire::{Dialect, Op};

use crate::config::{Config, Resolved};
use crate::health::Health;
use crate::meter::estimate_tokens;
use crate::plan;
use crate::respond::Refusal;

/// A decision, told.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The model that the request names.
    pub model: String,
    /// Candidates, rules, needs and the reason.
    pub decision: Explanation,
    /// Targets of the first step, in the order in which they are tried.
    pub first: Vec<String>,
    /// Targets of the escalation; empty when there is none.
    pub escalation: Vec<String>,
    /// Targets when all else is down; empty when none is declared.
    pub last_resort: Vec<String>,
    /// `none`, `prefix` or `end`: what is held back while checks decide.
    pub hold_back: &'static str,
}

/// Explains a chat request given as its JSON body. Errors as the gate would refuse it.
pub fn explain(config: &Config, health: &Health, body: Bytes) -> Result<Explained, Refusal> {
    let door = wire::door(Dialect::OpenAi).ok_or_else(|| {
        Refusal::door(http::StatusCode::NOT_IMPLEMENTED, "dialect", "this dialect is not in this build")
    })?;
    let request = door.read(Op::Chat, body)?;
    let resolved = config.resolve(&request.view.model)?;
    let input_tokens = estimate_tokens(request.view.text_bytes);
    // No draw: a spread choice is told as its shares, the largest first.
    let inputs = plan::Inputs {
        request: &request,
        session: 0,
        draw: None,
        bound_to: None,
        affinity: None,
        input_tokens,
    };
    let plan = plan::decide(health, &resolved, &inputs)?;
    Ok(told(request.view.model, plan, &resolved))
}

fn told(model: String, plan: Plan, resolved: &Resolved) -> Explained {
    let last_resort = match resolved {
        Resolved::Route(route) => {
            route.last_resort.as_ref().map(|g| g.targets.iter().map(|t| t.id.clone()).collect())
        }
        Resolved::Group(_) => None,
    };
    Explained {
        model,
        first: plan.first.targets,
        escalation: plan.escalation.map(|step| step.targets).unwrap_or_default(),
        last_resort: last_resort.unwrap_or_default(),
        hold_back: match (plan.gated, plan.hold_to_end) {
            (false, _) => "none",
            (true, true) => "end",
            (true, false) => "prefix",
        },
        decision: plan.explanation,
    }
}
