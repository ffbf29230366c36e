//! Which stacks to compare for measured traffic: the models that it used, the escalation that it had, and machines.

use catalog::Catalogue;
use ledger::Totals;
use serde_json::{Map, Value, json};

use super::{Measured, Stamp, float, share};

/// Stacks of a scenario and what had to be assumed.
pub(super) struct Made {
    pub stacks: Map<String, Value>,
    pub notes: Vec<String>,
}

/// How much dearer a token must be at one target than at another to call it the flagship.
const DEARER: f64 = 2.0;

/// Dollars a million tokens, both ways; `None` without tokens.
fn paid(totals: &Totals) -> Option<f64> {
    let tokens = totals.input_tokens.saturating_add(totals.output_tokens);
    (tokens > 0).then(|| totals.cost_usd.to_f64_usd() / float(tokens) * 1e6)
}

/// `requests` are those of the classes.
pub(super) fn of(measured: &Measured, requests: u64, catalogue: &Catalogue, stamp: &Stamp<'_>) -> Made {
    let used: Vec<&(String, Totals)> = measured
        .targets
        .iter()
        .filter(|(name, totals)| !name.is_empty() && totals.output_tokens > 0)
        .collect();
    let cheap = used.iter().max_by_key(|(_, totals)| totals.attempts).copied();
    let cheap_price = cheap.and_then(|(_, totals)| paid(totals)).unwrap_or(0.0);
    let dearest = used.iter().max_by(|a, b| paid(&a.1).unwrap_or(0.0).total_cmp(&paid(&b.1).unwrap_or(0.0)));
    let strong = dearest.copied().filter(|(_, totals)| paid(totals).unwrap_or(0.0) > cheap_price * DEARER);
    let mut made = Made { stacks: Map::new(), notes: Vec::new() };
    let auto = catalogue.auto();
    let flagship = made.model(strong.map(|(name, _)| name.as_str()), &auto.flagship, catalogue, "flagship");
    let default = made.model(cheap.map(|(name, _)| name.as_str()), &auto.cheap, catalogue, "cheap model");
    if let Some(model) = flagship {
        made.stacks.insert("flagship".into(), json!({"model": model}));
    }
    if let Some(model) = default {
        made.stacks.insert("cheap".into(), json!({"model": model}));
    }
    made.stacks.insert(
        "own".into(),
        json!({"preset": "2xH100-FP8", "model": "llama-3.3-70b", "rent": "reserved-3y", "spares": 1}),
    );
    made.notes.push(
        "assumed: own GPUs are 2xH100-FP8 with llama-3.3-70b and one spare, run at the source article's overhead; \
         state [stacks.own] and [overhead] in a scenario file to change them"
            .to_owned(),
    );
    made.escalation(measured, requests, strong, stamp);
    made
}

impl Made {
    /// The model itself when a list prices it, else the first of `instead` that is priced.
    fn model(
        &mut self,
        used: Option<&str>,
        instead: &[String],
        catalogue: &Catalogue,
        role: &str,
    ) -> Option<String> {
        let priced = |name: &str| {
            let (provider, model) = name.split_once('/')?;
            catalogue.offer(provider, model).filter(|offer| offer.has_price()).map(|offer| offer.target())
        };
        if let Some(found) = used.and_then(priced) {
            return Some(found);
        }
        let other = instead.iter().find_map(|name| priced(name))?;
        self.notes.push(match used {
            Some(used) => format!("`{used}` is in no price list here: {other} stands for it"),
            None => format!("the traffic shows no {role}: {other} is taken"),
        });
        Some(other)
    }

    /// The escalation that was measured, with the cheap model and with machines below it.
    fn escalation(
        &mut self,
        measured: &Measured,
        requests: u64,
        strong: Option<&(String, Totals)>,
        stamp: &Stamp<'_>,
    ) {
        let turned_down: u64 = measured.targets.iter().map(|(_, totals)| totals.escalated).sum();
        let at_strong = strong.map_or(0, |(_, totals)| totals.requests);
        let routed = at_strong.saturating_sub(turned_down);
        if !self.stacks.contains_key("cheap") || !self.stacks.contains_key("flagship") {
            return;
        }
        let mut hybrid = json!({"default": "cheap", "escalate": "flagship"});
        let shares = match (routed, turned_down) {
            (0, 0) => {
                self.notes.push("nothing escalated in this time: no hybrid to compare".to_owned());
                return;
            }
            (routed, 0) => {
                json!({"mechanism": "route", "share_of_requests": stamp.measured(share(routed, requests))})
            }
            (0, down) => {
                json!({"mechanism": "second-pass", "share_of_requests": stamp.measured(share(down, requests))})
            }
            (routed, down) => json!({
                "mechanism": "both",
                "share_of_requests": stamp.measured(share(routed, requests)),
                "second_pass_share": stamp.measured(share(down, requests.saturating_sub(routed))),
            }),
        };
        if let (Some(hybrid), Value::Object(shares)) = (hybrid.as_object_mut(), shares) {
            hybrid.extend(shares);
            let mut own = hybrid.clone();
            own.insert("default".into(), json!("own"));
            self.stacks.insert("own-routed".into(), Value::Object(own));
        }
        self.stacks.insert("as-routed".into(), hybrid);
    }
}
