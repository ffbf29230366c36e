//! From the ledger to a scenario of `tco`: classes, hit rates, the hourly curve and the shares that escalated, without a
//! number typed.
//!
//! What was measured says so (`basis = "measured"`), what had to be assumed says that. Tokens belong to attempts, requests to
//! answers, so a request's length is the mean over attempts that got an answer: a second pass is not taken for a longer
//! request.

mod hours;
mod places;
mod stacks;
mod tokenizers;

use catalog::Catalogue;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{BadQuery, By, Filter, Period, ReadError, Reader, SamePrompts, SpendQuery, Totals};
use serde_json::{Map, Value, json};

use hours::Hours;
pub use places::{Place, Places};

/// From when on the ledger is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Since(Timestamp);

impl Since {
    /// `7d`, `24h`, a date or RFC 3339; dates are UTC.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, BadQuery> {
        ledger::moment(text, now, &TimeZone::UTC).map(Self)
    }
}

/// Why no scenario could be made.
#[derive(Debug, thiserror::Error)]
pub enum NoScenario {
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing to decide on.
    #[error("the ledger holds no answered request with output tokens in that time")]
    NoTraffic,
}

/// What was read.
#[derive(Clone, Debug, Default)]
struct Measured {
    hours: Vec<(Timestamp, u64)>,
    /// By route; no name: pinned to a model.
    routes: Vec<(String, Totals)>,
    /// By `provider/model`.
    targets: Vec<(String, Totals)>,
    total: Totals,
    same_prompts: Vec<SamePrompts>,
}

/// A class fewer than this share of requests is not worth a line of its own.
const SMALLEST_CLASS: f64 = 0.005;

/// The scenario of the traffic since then, as the tree that `tco::Scenario` reads.
pub fn scenario(reader: &Reader, since: Since, catalogue: &Catalogue) -> Result<Value, NoScenario> {
    let period = Period { since: Some(since.0), until: None };
    let called = format!("since {}", TimeZone::UTC.to_datetime(since.0).date());
    let spend = |by: Vec<By>| {
        reader.spend(&SpendQuery { by, period, filter: Filter::new(), ..SpendQuery::default() })
    };
    let hours = spend(vec![By::Hour])?;
    let named = |rows: Vec<ledger::SpendRow>, none: &str| {
        let name =
            |key: Vec<Option<String>>| key.into_iter().next().flatten().unwrap_or_else(|| none.to_owned());
        rows.into_iter().map(|row| (name(row.key), row.totals)).collect::<Vec<_>>()
    };
    let at = |row: &ledger::SpendRow| row.key.first()?.as_deref()?.parse::<Timestamp>().ok();
    let measured = Measured {
        hours: hours.rows.iter().filter_map(|row| Some((at(row)?, row.totals.requests))).collect(),
        routes: named(spend(vec![By::Route])?.rows, "pinned"),
        targets: named(spend(vec![By::Target])?.rows, ""),
        total: hours.total,
        same_prompts: reader.same_prompts(period)?,
    };
    from_measured(&measured, &called, catalogue)
}

fn from_measured(measured: &Measured, called: &str, catalogue: &Catalogue) -> Result<Value, NoScenario> {
    let hours = Hours::of(&measured.hours).ok_or(NoScenario::NoTraffic)?;
    let source = format!("ledger, {called}");
    let stamp = Stamp { source: &source, as_of: hours.last_day() };
    let kept = kept(&measured.routes);
    let requests: u64 = kept.iter().map(|(_, totals)| totals.requests).sum();
    if requests == 0 {
        return Err(NoScenario::NoTraffic);
    }
    let mut notes = hours.notes();
    notes.extend(bill_note(&measured.total, hours.count()));
    let mut workload = Map::new();
    workload.insert("source".into(), json!(source));
    workload.insert("classes".into(), Value::Array(classes(&kept, requests, &stamp)));
    let per_day = float(requests) / float(hours.count()) * 24.0;
    workload.insert("requests_per_day".into(), stamp.measured(per_day));
    hours.shape_into(&mut workload, &stamp);
    let made = stacks::of(measured, requests, catalogue, &stamp);
    notes.extend(made.notes);
    let (ratios, note) = tokenizers::ratios(measured, &stamp);
    notes.extend(note);
    Ok(json!({
        "workload": workload,
        "slo": {"ttft_ms": 1_000, "tpot_ms": 50},
        "stacks": made.stacks,
        "overhead": "article",
        "token_ratio": ratios,
        "notes": notes,
    }))
}

/// Where a measured number comes from.
struct Stamp<'a> {
    source: &'a str,
    as_of: String,
}

impl Stamp<'_> {
    /// A number with its provenance, as a scenario states it.
    fn measured(&self, value: f64) -> Value {
        json!({"value": value, "basis": "measured", "source": self.source, "as_of": self.as_of})
    }
}

/// Exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "no ledger counts so far")]
fn float(count: u64) -> f64 {
    count as f64
}

/// A part of a whole that may be empty.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (float(part) / float(whole)).clamp(0.0, 1.0) }
}

/// Calls that were answered.
fn answered(totals: &Totals) -> u64 {
    totals.attempts.saturating_sub(totals.failed_attempts)
}

/// The routes that become classes. Those that produce no tokens (embeddings) and the smallest ones are left out.
fn kept(routes: &[(String, Totals)]) -> Vec<&(String, Totals)> {
    let speaks = |(_, totals): &&(String, Totals)| totals.output_tokens > 0 && answered(totals) > 0;
    let all: u64 = routes.iter().filter(speaks).map(|(_, totals)| totals.requests).sum();
    let large = |route: &&(String, Totals)| share(route.1.requests, all) >= SMALLEST_CLASS;
    routes.iter().filter(speaks).filter(large).collect()
}

/// One class a route.
fn classes(kept: &[&(String, Totals)], requests: u64, stamp: &Stamp<'_>) -> Vec<Value> {
    let class = |(name, totals): &&(String, Totals)| {
        let each = |tokens: u64| stamp.measured(float(tokens) / float(answered(totals)));
        json!({
            "name": name,
            "share": stamp.measured(share(totals.requests, requests)),
            "input_tokens": each(totals.input_tokens),
            "output_tokens": each(totals.output_tokens),
            "cached_share": stamp.measured(share(totals.cached_tokens, totals.input_tokens)),
            "cache_write_share": stamp.measured(share(totals.cache_write_tokens, totals.input_tokens)),
            "reasoning_share": stamp.measured(share(totals.reasoning_tokens, totals.output_tokens)),
        })
    };
    kept.iter().map(class).collect()
}

/// What the same traffic was billed.
fn bill_note(total: &Totals, hours: u64) -> Option<String> {
    const HOURS_PER_MONTH: f64 = 730.0;
    let billed = total.cost_usd.to_f64_usd();
    let monthly = billed / float(hours) * HOURS_PER_MONTH;
    let unknown = match total.unknown_cost {
        0 => String::new(),
        n => format!("; {n} attempts of unknown cost are not in it"),
    };
    (total.attempts > 0).then(|| {
        format!("measured: the ledger was billed ${billed:.6} for this traffic, ${monthly:.2} a month at that rate{unknown}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Money;

    fn totals(requests: u64, input: u64, output: u64) -> Totals {
        Totals {
            requests,
            attempts: requests,
            input_tokens: input,
            cached_tokens: input / 4,
            output_tokens: output,
            cost_usd: Money::parse_usd("1.5").unwrap(),
            ..Totals::default()
        }
    }

    fn measured(hours: i64) -> Measured {
        let start: Timestamp = "2026-11-16T00:00:00Z".parse().unwrap();
        let hour =
            |at: i64| (start + jiff::SignedDuration::from_hours(at), if at % 24 == 12 { 30 } else { 10 });
        let hours: Vec<(Timestamp, u64)> = (0..hours).map(hour).collect();
        let requests: u64 = hours.iter().map(|(_, n)| n).sum();
        let route = totals(requests, requests * 1_200, requests * 400);
        let escalated = requests / 5;
        let cheap = Totals { escalated, ..totals(requests - escalated, requests * 1_000, requests * 300) };
        let strong = Totals {
            cost_usd: Money::parse_usd("30").unwrap(),
            ..totals(escalated, escalated * 1_000, escalated * 500)
        };
        Measured {
            hours,
            total: route.clone(),
            routes: vec![("auto".into(), route), ("embed".into(), totals(50, 5_000, 0))],
            targets: vec![
                ("deepinfra/meta-llama/Llama-3.3-70B-Instruct".into(), cheap),
                ("anthropic/claude-opus-4-7".into(), strong),
            ],
            same_prompts: Vec::new(),
        }
    }

    #[test]
    fn a_week_gives_classes_hit_rates_and_the_curve() {
        let scenario = from_measured(&measured(168), "7d", &Catalogue::builtin()).unwrap();
        let workload = &scenario["workload"];
        assert_eq!(workload["classes"].as_array().unwrap().len(), 1, "embeddings produce no tokens");
        assert_eq!(workload["classes"][0]["input_tokens"]["value"], 1_200.0);
        assert_eq!(workload["classes"][0]["cached_share"]["value"], 0.25);
        assert_eq!(workload["classes"][0]["cached_share"]["basis"], "measured");
        assert_eq!(workload["hours"].as_array().unwrap().len(), 168);
        assert_eq!(workload["requests_per_day"]["value"], 260.0);
        let hybrid = &scenario["stacks"]["as-routed"];
        assert_eq!(hybrid["mechanism"], "second-pass");
        assert_eq!(hybrid["default"], "cheap");
        let share = hybrid["share_of_requests"]["value"].as_f64().unwrap();
        assert!((share - 0.2).abs() < 0.001, "{share}");
        assert_eq!(scenario["stacks"]["flagship"]["model"], "anthropic/claude-opus-4-7");
    }

    #[test]
    fn little_traffic_says_what_was_assumed() {
        let scenario = from_measured(&measured(1), "7d", &Catalogue::builtin()).unwrap();
        assert_eq!(scenario["workload"]["peak_to_mean"]["basis"], "assumed");
        let notes = scenario["notes"].to_string();
        assert!(notes.contains("1 hour"), "{notes}");
        let day = from_measured(&measured(30), "7d", &Catalogue::builtin()).unwrap();
        assert_eq!(day["workload"]["profile"].as_array().unwrap().len(), 24);
        assert!(matches!(
            from_measured(&Measured::default(), "7d", &Catalogue::builtin()),
            Err(NoScenario::NoTraffic)
        ));
    }

    #[test]
    fn models_that_no_list_knows_are_replaced_and_that_is_said() {
        let mut measured = measured(168);
        measured.targets[0].0 = "sim-north/small-1".into();
        let scenario = from_measured(&measured, "7d", &Catalogue::builtin()).unwrap();
        let notes = scenario["notes"].to_string();
        assert!(notes.contains("sim-north/small-1") && notes.contains("stands for it"), "{notes}");
    }
}
