//! The stacks: a model at a vendor, GPUs of one's own, or two of those with an escalation.

use serde_json::Value;

use crate::inputs::Bounds;
use crate::reader::{Kind, Quantity, Reader, kind_of};

/// A stack by name.
#[derive(Clone, Debug)]
pub(crate) struct StackSpec {
    pub name: String,
    pub path: String,
    pub spec: Spec,
    /// Share of outcomes that need no person.
    pub accept: Option<Quantity>,
}

/// What a stack is.
#[derive(Clone, Debug)]
pub(crate) enum Spec {
    Api(Box<ApiSpec>),
    Own(Box<OwnSpec>),
    Hybrid(Box<HybridSpec>),
}

/// A model at a vendor.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiSpec {
    /// `provider/model`.
    pub model: String,
    /// `closed` or `serverless`, where the scenario says so.
    pub kind: Option<&'static str>,
    pub tier: Option<&'static str>,
    pub region: Option<String>,
    pub input: Option<Quantity>,
    pub cached: Option<Quantity>,
    pub written: Option<Quantity>,
    pub output: Option<Quantity>,
    /// Off the list, as a share.
    pub discount: Option<Quantity>,
    /// Dollars a month at list above which the share is taken off, ascending.
    pub volume_discounts: Vec<(f64, f64)>,
    pub committed: Option<Committed>,
    pub stacking: Stacking,
    /// Share of requests that are sent, and billed, a second time.
    pub retry_share: Option<Quantity>,
}

/// A minimum that is paid, used or not, for a discount.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub usd_per_month: f64,
    pub discount: f64,
}

/// How several discounts combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stacking {
    /// Each on what the one before left.
    #[default]
    Multiply,
    /// All on the list price.
    Add,
    /// Only the largest.
    Best,
}

/// GPUs of one's own, rented or bought.
#[derive(Clone, Debug)]
pub(crate) struct OwnSpec {
    pub model: String,
    pub gpu: String,
    pub gpus_per_replica: usize,
    pub precision: String,
    pub engine: Option<String>,
    pub rent: Rent,
    pub on_demand: Option<Quantity>,
    pub spot: Option<Quantity>,
    pub reserved: Option<Quantity>,
    /// The same prices for a whole replica.
    pub per_replica: bool,
    pub spares: usize,
    /// Zones over which replicas are spread; the loss of one is survived.
    pub zones: usize,
    pub scaling: Scaling,
    pub cold_start_minutes: Option<Quantity>,
    /// Spot replicas taken away a day.
    pub interruptions_per_day: Option<Quantity>,
    /// Stated capacity instead of a modelled one.
    pub capacity: Option<Capacity>,
    /// Share of the capacity at the SLO that the busiest hour may use.
    pub max_utilisation: Option<Quantity>,
    pub capex_usd_per_gpu: Option<Quantity>,
    pub years: Option<f64>,
    pub interest: Option<Quantity>,
    pub watts_per_gpu: Option<Quantity>,
    pub pue: Option<Quantity>,
    pub usd_per_kwh: Option<Quantity>,
    pub hosting_usd_per_month: Option<Quantity>,
    pub storage_gb: Option<Quantity>,
    pub storage_usd_per_gb_month: Option<Quantity>,
    pub egress_usd_per_gb: Option<Quantity>,
    pub licence_usd_per_gpu_year: Option<Quantity>,
    pub migration_usd: Option<Quantity>,
    pub exit_usd: Option<Quantity>,
}

/// A stated capacity of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    pub output_tok_s: Quantity,
}

/// Terms of rent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    OnDemand,
    Spot,
    Reserved1y,
    Reserved3y,
    Owned,
}

impl Term {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Reserved1y => "reserved-1y",
            Self::Reserved3y => "reserved-3y",
            Self::Owned => "owned",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::OnDemand, Self::Spot, Self::Reserved1y, Self::Reserved3y, Self::Owned]
            .into_iter()
            .find(|term| term.as_str() == text)
    }
}

/// How machines are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rent {
    /// All on one term.
    One(Term),
    /// A base for the whole time, the rest by the hour; the best base unless stated.
    Mix { base: Term, burst: Term, base_count: Option<usize> },
}

/// How the number of replicas follows the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// As many as the busiest hour needs, always.
    Always,
    /// As many as each hour needs, at least one.
    Autoscale,
    /// As many as each hour needs, none when there is no traffic.
    ToZero,
}

/// Two stacks with an escalation.
#[derive(Clone, Debug)]
pub(crate) struct HybridSpec {
    /// A stack of the scenario or `provider/model`.
    pub default: String,
    pub escalate: String,
    pub mechanism: Mechanism,
    /// The first answer goes along with the second request.
    pub reconsider: bool,
    /// Share of requests that a rule sends to the stronger model.
    pub routed: Option<Share>,
    /// Share of first answers that are turned down.
    pub turned_down: Option<Share>,
    /// Lengths of escalated requests over the mean.
    pub input_factor: Option<Quantity>,
    pub output_factor: Option<Quantity>,
    pub classifier_usd_per_request: Option<Quantity>,
    pub judge: Option<Judge>,
    /// Share of cached input tokens that routing makes cold.
    pub cache_loss: Option<Quantity>,
}

/// An LLM that judges first answers.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub model: String,
    pub output_tokens: Quantity,
}

/// A share of requests, the same for all classes or one for each.
#[derive(Clone, Debug)]
pub(crate) enum Share {
    All(Quantity),
    /// Class and its share; the others escalate nothing.
    ByClass(Vec<(String, Quantity)>),
}

/// How requests reach the stronger model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Decided before the call.
    Route,
    /// Decided on the cheap answer: prompt and cheap answer are billed again.
    SecondPass,
    /// A rule first, then a second pass on what it kept.
    Both,
}

impl Mechanism {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::SecondPass => "second-pass",
            Self::Both => "both",
        }
    }
}

/// Configurations of the source article: name, GPU, GPUs, precision.
pub(crate) const PRESETS: [(&str, &str, usize, &str); 5] = [
    ("2xH100-FP8", "H100-SXM-80GB", 2, "fp8"),
    ("8xH100-FP8", "H100-SXM-80GB", 8, "fp8"),
    ("1xH100-INT4", "H100-SXM-80GB", 1, "int4"),
    ("2xA100", "A100-SXM-80GB", 2, "fp8"),
    ("8xL40S", "L40S-48GB", 8, "fp8"),
];

pub(super) fn read(root: &Reader<'_>) -> Vec<StackSpec> {
    if !root.has("stacks") {
        root.value("stacks");
        root.problem("stacks", "is missing", "[stacks.closed] model = \"openai/gpt-5.4\", for instance");
        return Vec::new();
    }
    let Some(table) = root.table("stacks") else { return Vec::new() };
    let mut stacks = Vec::new();
    for name in table.keys() {
        let Some(entry) = table.named(name).and_then(|value| table.table_of(name, value)) else { continue };
        stacks.extend(read_stack(name, &entry));
        entry.finish();
    }
    if stacks.is_empty() && table.keys().next().is_none() {
        root.problem("stacks", "is empty", "at least one stack");
    }
    stacks
}

fn read_stack(name: &str, table: &Reader<'_>) -> Option<StackSpec> {
    let accept = table.quantity("accept", Kind::SHARE);
    let is_own = table.has("gpu") || table.has("preset");
    let is_hybrid = table.has("default") || table.has("escalate");
    let spec = match (is_own, is_hybrid) {
        (true, false) => Spec::Own(Box::new(read_own(table)?)),
        (false, true) => Spec::Hybrid(Box::new(read_hybrid(table)?)),
        (false, false) => Spec::Api(Box::new(read_api(table)?)),
        (true, true) => {
            let hint = "name the machines as a stack of their own, and that stack as the hybrid's default";
            table.problem("", "has both a gpu and an escalation", hint);
            return None;
        }
    };
    Some(StackSpec { name: name.to_owned(), path: table.path(""), spec, accept })
}

fn required<'a>(table: &Reader<'a>, key: &'static str, hint: &str) -> Option<&'a str> {
    if !table.has(key) {
        table.value(key);
        table.problem(key, "is missing", hint);
    }
    table.text(key)
}

fn read_api(table: &Reader<'_>) -> Option<ApiSpec> {
    let model =
        required(table, "model", "\"provider/model\"; a stack of GPUs also has `gpu`, a hybrid `default`");
    let price = |key: &'static str| table.quantity(key, Kind::USD_PER_MILLION);
    let stacking = match table.word("stacking", &["multiply", "add", "best"]) {
        Some("add") => Stacking::Add,
        Some("best") => Stacking::Best,
        _ => Stacking::Multiply,
    };
    let committed = table.table("committed").and_then(|entry| {
        let usd_per_month = entry.number("usd_per_month", Kind::USD);
        let discount = entry.number("discount", Kind::SHARE);
        entry.finish();
        Some(Committed { usd_per_month: usd_per_month?, discount: discount? })
    });
    let spec = ApiSpec {
        model: model.unwrap_or_default().to_owned(),
        kind: table.word("kind", &["closed", "serverless"]),
        tier: table.word("tier", &["standard", "batch", "flex", "priority"]),
        region: table.text("region").map(ToOwned::to_owned),
        input: price("input_usd_per_million"),
        cached: price("cached_usd_per_million"),
        written: price("cache_write_usd_per_million"),
        output: price("output_usd_per_million"),
        discount: table.quantity("discount", Kind::SHARE),
        volume_discounts: read_steps(table),
        committed,
        stacking,
        retry_share: table.quantity("retry_share", Kind::SHARE),
    };
    model.map(|_| spec)
}

fn read_steps(table: &Reader<'_>) -> Vec<(f64, f64)> {
    let Some(value) = table.value("volume_discounts") else { return Vec::new() };
    let Value::Array(items) = value else {
        let hint = "[{ above_usd_per_month = 10_000, discount = 0.1 }, …]";
        table.problem("volume_discounts", format!("is {}, not a list", kind_of(value)), hint);
        return Vec::new();
    };
    let mut steps = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(entry) = table.table_of(&format!("volume_discounts[{at}]"), item) else { continue };
        let above = entry.number("above_usd_per_month", Kind::USD);
        let discount = entry.number("discount", Kind::SHARE);
        entry.finish();
        steps.extend(above.zip(discount));
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    steps
}

fn read_own(table: &Reader<'_>) -> Option<OwnSpec> {
    let preset = table.text("preset").and_then(|name| {
        let found = PRESETS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        if found.is_none() {
            let names: Vec<&str> = PRESETS.iter().map(|(name, ..)| *name).collect();
            table.problem("preset", format!("`{name}` is not known"), format!("one of {}", names.join(", ")));
        }
        found
    });
    let model = required(table, "model", "what runs on it, e.g. \"llama-3.3-70b\"");
    let gpu = table.text("gpu").or(preset.map(|(_, gpu, ..)| *gpu));
    let count = table.whole("gpus_per_replica", 1, 1_024).or(preset.map(|(_, _, count, _)| *count));
    let precision = table.text("precision").or(preset.map(|(.., precision)| *precision)).unwrap_or("fp8");
    let rent = read_rent(table);
    let per_replica = table.has("usd_per_replica_hour");
    if per_replica && table.has("usd_per_gpu_hour") {
        table.problem("usd_per_replica_hour", "contradicts usd_per_gpu_hour", "keep one");
    }
    // One price for a stack on one term; a mix states each.
    let stated = if per_replica {
        table.quantity("usd_per_replica_hour", Kind::USD_PER_HOUR)
    } else {
        table.quantity("usd_per_gpu_hour", Kind::USD_PER_HOUR)
    };
    let hourly = |key: &'static str| table.quantity(key, Kind::USD_PER_HOUR);
    let (mut on_demand, mut spot, mut reserved) = (
        hourly("on_demand_usd_per_gpu_hour"),
        hourly("spot_usd_per_gpu_hour"),
        hourly("reserved_usd_per_gpu_hour"),
    );
    match rent {
        Rent::One(Term::OnDemand) => on_demand = stated.or(on_demand),
        Rent::One(Term::Spot) => spot = stated.or(spot),
        Rent::One(Term::Reserved1y | Term::Reserved3y) => reserved = stated.or(reserved),
        Rent::One(Term::Owned) | Rent::Mix { .. } if stated.is_some() => {
            let hint = "owned: capex_usd_per_gpu; mix: on_demand_, spot_ and reserved_usd_per_gpu_hour";
            table.problem("usd_per_gpu_hour", "does not say for which term", hint);
        }
        _ => {}
    }
    let scaling = match table.word("scaling", &["always-on", "autoscale", "to-zero"]) {
        Some("autoscale") => Scaling::Autoscale,
        Some("to-zero") => Scaling::ToZero,
        _ => Scaling::Always,
    };
    if scaling != Scaling::Always && !matches!(rent, Rent::One(Term::OnDemand | Term::Spot)) {
        let hint =
            "only what is rented by the hour can be given back: rent = \"on-demand\" or \"spot\", or a mix";
        table.problem("scaling", "saves nothing on this rent", hint);
    }
    let capacity = read_capacity(table);
    let money = |key: &'static str, unit| table.quantity(key, Kind::USD.unit(unit));
    let amount = |key: &'static str, unit| table.quantity(key, Kind::AMOUNT.unit(unit));
    let spec = OwnSpec {
        model: model.unwrap_or_default().to_owned(),
        gpu: gpu.unwrap_or_default().to_owned(),
        gpus_per_replica: count.unwrap_or(1),
        precision: precision.to_owned(),
        engine: table.text("engine").map(ToOwned::to_owned),
        rent,
        on_demand,
        spot,
        reserved,
        per_replica,
        spares: table.whole("spares", 0, 10_000).unwrap_or(0),
        zones: table.whole("zones", 1, 100).unwrap_or(1),
        scaling,
        cold_start_minutes: amount("cold_start_minutes", "minutes"),
        interruptions_per_day: amount("interruptions_per_day", "per replica and day"),
        capacity,
        max_utilisation: table
            .quantity("max_utilisation", Kind { bounds: Bounds { min: 0.01, max: 1.0 }, ..Kind::SHARE }),
        capex_usd_per_gpu: money("capex_usd_per_gpu", "$/GPU"),
        years: table.number("years", Kind { absurd: 20.0, ..Kind::FACTOR }),
        interest: table.quantity("interest_per_year", Kind { absurd: 1.0, ..Kind::SHARE }),
        watts_per_gpu: amount("watts_per_gpu", "W"),
        pue: table.quantity("pue", Kind { absurd: 5.0, ..Kind::AT_LEAST_ONE }),
        usd_per_kwh: table.quantity("usd_per_kwh", Kind { absurd: 10.0, ..Kind::USD }.unit("$/kWh")),
        hosting_usd_per_month: money("hosting_usd_per_month", "$/month"),
        storage_gb: amount("storage_gb", "GB"),
        storage_usd_per_gb_month: money("storage_usd_per_gb_month", "$/GB and month"),
        egress_usd_per_gb: money("egress_usd_per_gb", "$/GB"),
        licence_usd_per_gpu_year: money("licence_usd_per_gpu_year", "$/GPU and year"),
        migration_usd: money("migration_usd", "$"),
        exit_usd: money("exit_usd", "$"),
    };
    if rent == Rent::One(Term::Owned) && spec.capex_usd_per_gpu.is_none() {
        table.problem("capex_usd_per_gpu", "is missing", "owned machines have a price");
    }
    (model.is_some() && gpu.is_some()).then_some(spec)
}

fn read_capacity(table: &Reader<'_>) -> Option<Capacity> {
    let Some(entry) = table.table("capacity") else {
        return table
            .quantity("output_tok_s", Kind { absurd: 1e7, ..Kind::FACTOR }.unit("output tokens/s"))
            .map(|output_tok_s| Capacity { output_tok_s });
    };
    let output_tok_s =
        entry.quantity("output_tok_s", Kind { absurd: 1e7, ..Kind::FACTOR }.unit("output tokens/s"));
    entry.finish();
    Some(Capacity { output_tok_s: output_tok_s? })
}

fn read_rent(table: &Reader<'_>) -> Rent {
    const WORDS: &str = "\"on-demand\", \"spot\", \"reserved-1y\", \"reserved-3y\", \"owned\", \"mix\", or \
         { base = \"reserved-3y\", burst = \"on-demand\" }";
    let usual = Rent::Mix { base: Term::Reserved3y, burst: Term::OnDemand, base_count: None };
    match table.value("rent") {
        None => Rent::One(Term::OnDemand),
        Some(Value::String(word)) if word == "mix" => usual,
        Some(Value::String(word)) => {
            let term = Term::parse(word);
            if term.is_none() {
                table.problem("rent", format!("`{word}` is not known"), WORDS);
            }
            Rent::One(term.unwrap_or(Term::OnDemand))
        }
        Some(value @ Value::Object(_)) => {
            let Some(entry) = table.table_of("rent", value) else { return usual };
            let term = |key: &'static str, usual: Term| {
                entry.text(key).map_or(usual, |word| {
                    Term::parse(word).unwrap_or_else(|| {
                        entry.problem(key, format!("`{word}` is not known"), WORDS);
                        usual
                    })
                })
            };
            let (base, burst) = (term("base", Term::Reserved3y), term("burst", Term::OnDemand));
            if !matches!(burst, Term::OnDemand | Term::Spot) {
                entry.problem("burst", "cannot be given back by the hour", "\"on-demand\" or \"spot\"");
            }
            let base_count = entry.whole("base_count", 0, 100_000);
            entry.finish();
            Rent::Mix { base, burst, base_count }
        }
        Some(other) => {
            table.problem("rent", format!("is {}", kind_of(other)), WORDS);
            usual
        }
    }
}

fn read_hybrid(table: &Reader<'_>) -> Option<HybridSpec> {
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
