//! Reads two stacks with an escalation.

use serde_json::Value;

use super::{HybridSpec, Judge, Mechanism, Share, required};
use crate::reader::{Kind, Reader};

pub(super) fn read(table: &Reader<'_>) -> Option<HybridSpec> {
    let default = required(table, "default", "who answers first: a stack of this file or \"provider/model\"");
    let escalate =
        required(table, "escalate", "who gets the rest: a stack of this file or \"provider/model\"");
    let mechanism = match table.word("mechanism", &["route", "second-pass", "both"]) {
        Some("second-pass") => Mechanism::SecondPass,
        Some("both") => Mechanism::Both,
        Some(_) => Mechanism::Route,
        None => {
            if !table.has("mechanism") {
                let hint = "\"route\", \"second-pass\" (the prompt is billed again) or \"both\": they cost differently";
                table.problem("mechanism", "is missing", hint);
            }
            Mechanism::Route
        }
    };
    let first = read_share(table, "share_of_requests");
    let second = read_share(table, "second_pass_share");
    let (routed, turned_down) = match mechanism {
        Mechanism::Route => (first, None),
        // With one mechanism there is one share.
        Mechanism::SecondPass => (None, second.clone().or(first)),
        Mechanism::Both => (first, second.clone()),
    };
    let missing = if mechanism == Mechanism::Both {
        turned_down.is_none() || routed.is_none()
    } else {
        routed.is_none() && turned_down.is_none()
    };
    if missing && !table.has("share_of_requests") {
        table.problem("share_of_requests", "is missing", "the share of requests that escalates, e.g. 0.20");
    } else if missing && mechanism == Mechanism::Both && !table.has("second_pass_share") {
        table.problem(
            "second_pass_share",
            "is missing",
            "the share of kept requests whose first answer is turned down",
        );
    }
    if mechanism == Mechanism::Route && table.has("second_pass_share") {
        table.problem(
            "second_pass_share",
            "has no meaning by routing",
            "mechanism = \"second-pass\" or \"both\"",
        );
    }
    let classifier_usd_per_request =
        table.quantity("classifier_usd_per_request", Kind { absurd: 100.0, ..Kind::USD }.unit("$/request"));
    let judge = table.table("judge").and_then(|entry| {
        let model = required(&entry, "model", "\"provider/model\"");
        let output_tokens = entry.quantity("output_tokens", Kind::TOKENS);
        if output_tokens.is_none() && !entry.has("output_tokens") {
            entry.problem("output_tokens", "is missing", "tokens of one verdict");
        }
        entry.finish();
        Some(Judge { model: model?.to_owned(), output_tokens: output_tokens? })
    });
    if judge.is_some() && mechanism == Mechanism::Route {
        table.problem(
            "judge",
            "has no answer to judge by routing",
            "mechanism = \"second-pass\" or \"both\"",
        );
    }
    let factor = |key: &'static str| table.quantity(key, Kind { absurd: 1_000.0, ..Kind::FACTOR });
    let spec = HybridSpec {
        default: default.unwrap_or_default().to_owned(),
        escalate: escalate.unwrap_or_default().to_owned(),
        mechanism,
        reconsider: table.word("how", &["fresh", "reconsider"]) != Some("fresh"),
        routed,
        turned_down,
        input_factor: factor("escalated_input_factor"),
        output_factor: factor("escalated_output_factor"),
        classifier_usd_per_request,
        judge,
        cache_loss: table.quantity("cache_loss", Kind::SHARE),
    };
    (default.is_some() && escalate.is_some()).then_some(spec)
}

fn read_share(table: &Reader<'_>, key: &'static str) -> Option<Share> {
    let value = table.value(key)?;
    let is_distribution = |map: &serde_json::Map<String, Value>| {
        map.contains_key("value") || map.contains_key("p10") || map.values().all(Value::is_array)
    };
    match value {
        Value::Object(map) if !is_distribution(map) => {
            let entry = table.table_of(key, value)?;
            let of = |class: &str| {
                Some((class.to_owned(), entry.quantity_of(class, entry.named(class)?, Kind::SHARE)?))
            };
            Some(Share::ByClass(entry.keys().filter_map(of).collect()))
        }
        _ => table.quantity_of(key, value, Kind::SHARE).map(Share::All),
    }
}
