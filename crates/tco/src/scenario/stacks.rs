//! The stacks: a model at a vendor, GPUs of one's own, or two of those with an escalation.

mod api;
mod hybrid;
mod own;

use crate::reader::{Kind, Quantity, Reader};

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
        (true, false) => Spec::Own(Box::new(own::read(table)?)),
        (false, true) => Spec::Hybrid(Box::new(hybrid::read(table)?)),
        (false, false) => Spec::Api(Box::new(api::read(table)?)),
        (true, true) => {
            let hint = "name the machines as a stack of their own, and that stack as the hybrid's default";
            table.problem("", "has both a gpu and an escalation", hint);
            return None;
        }
    };
    Some(StackSpec { name: name.to_owned(), path: table.path(""), spec, accept })
}

pub(super) fn required<'a>(table: &Reader<'a>, key: &'static str, hint: &str) -> Option<&'a str> {
    if !table.has(key) {
        table.value(key);
        table.problem(key, "is missing", hint);
    }
    table.text(key)
}
