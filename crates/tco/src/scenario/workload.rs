//! The traffic: kinds of request, how many, and when.

use serde_json::Value;

use crate::reader::{Kind, Quantity, Reader, numbers};

/// The traffic.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// `scenario`, or what it was learned from.
    pub source: String,
    pub classes: Vec<Class>,
    pub volume: Volume,
    pub shape: Shape,
    /// Growth of requests from one month to the next.
    pub growth: Option<Quantity>,
    /// Months over which costs are averaged.
    pub horizon_months: usize,
}

/// A kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub name: String,
    pub path: String,
    /// Share of all requests.
    pub share: Quantity,
    pub input_tokens: Quantity,
    pub output_tokens: Quantity,
    /// Share of input tokens that the vendor's prompt cache serves.
    pub cached_share: Option<Quantity>,
    /// Share of input tokens that are written into it, where the vendor bills that.
    pub cache_write_share: Option<Quantity>,
    /// Share of output tokens that nobody sees.
    pub reasoning_share: Option<Quantity>,
    /// Share of requests that can wait a day.
    pub batchable_share: Option<Quantity>,
}

/// How much of it.
#[derive(Clone, Debug)]
pub(crate) enum Volume {
    /// Requests a day.
    Requests(Quantity),
    /// Output tokens a day; requests follow from the mean length.
    Output(Quantity),
    /// Input and output tokens a day.
    Total(Quantity),
}

/// When it comes.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Busiest hour over mean hour; the curve between is ours and assumed.
    PeakToMean(Quantity),
    /// Relative traffic of each hour of the week from Monday midnight, mean 1.
    Week(Vec<f64>),
    /// Relative traffic of each hour of a longer time, mean 1.
    Hours(Vec<f64>),
}

/// Days in a month: 365/12, so that twelve months are a year.
pub(crate) const DAYS: f64 = 365.0 / 12.0;
/// Hours in a month: 730.
pub(crate) const HOURS: f64 = 730.0;

pub(super) fn read(root: &Reader<'_>) -> Option<Workload> {
    if !root.has("workload") {
        root.problem("workload", "is missing", "requests_per_day, input_tokens and output_tokens, at least");
        root.value("workload");
        return None;
    }
    let table = root.table("workload")?;
    let source = table.text("source").unwrap_or("scenario").to_owned();
    let classes = read_classes(&table);
    let volume = read_volume(&table);
    let shape = read_shape(&table);
    let growth = table.quantity("growth_per_month", Kind { absurd: 2.0, ..Kind::CHANGE });
    let horizon_months = table.whole("horizon_months", 1, 120).unwrap_or(12);
    if table.has("trace") {
        table.value("trace");
        table.problem("trace", "names a file", "traces are read by `tollgate tco`, not here");
    }
    table.finish();
    Some(Workload { source, classes, volume: volume?, shape: shape?, growth, horizon_months })
}

fn read_volume(table: &Reader<'_>) -> Option<Volume> {
    bare_tokens(table);
    let kind = |unit| Kind::VOLUME.unit(unit);
    let day = |key: &'static str, unit| table.quantity(key, kind(unit));
    // A month is 365/12 days.
    let month = |key: &'static str, unit| {
        let mut quantity = table.quantity(key, kind(unit))?;
        quantity.base /= DAYS;
        quantity.dist = quantity.dist.map(|dist| dist.scaled(1.0 / DAYS));
        Some(quantity)
    };
    let candidates = [
        ("requests_per_day", day("requests_per_day", "requests/day").map(Volume::Requests)),
        ("requests_per_month", month("requests_per_month", "requests/month").map(Volume::Requests)),
        ("output_tokens_per_day", day("output_tokens_per_day", "output tokens/day").map(Volume::Output)),
        (
            "output_tokens_per_month",
            month("output_tokens_per_month", "output tokens/month").map(Volume::Output),
        ),
        ("total_tokens_per_day", day("total_tokens_per_day", "tokens/day").map(Volume::Total)),
        ("total_tokens_per_month", month("total_tokens_per_month", "tokens/month").map(Volume::Total)),
    ];
    let names: Vec<&str> = candidates.iter().map(|(name, _)| *name).collect();
    let stated: Vec<&str> = names.iter().copied().filter(|name| table.has(name)).collect();
    match stated.as_slice() {
        [] => {
            if !table.has("tokens_per_day") && !table.has("tokens_per_month") {
                table.problem("", "states no volume", format!("one of {}", names.join(", ")));
            }
            None
        }
        [_] => candidates.into_iter().find_map(|(_, volume)| volume),
        many => {
            let message = format!("states its volume {} times: {}", many.len(), many.join(", "));
            table.problem("", message, "keep one; they may contradict each other");
            None
        }
    }
}

/// "Tokens per day" without saying which tokens is the slip that the article's figures suffer from.
fn bare_tokens(table: &Reader<'_>) {
    for (key, hint) in [
        ("tokens_per_day", "say which: output_tokens_per_day or total_tokens_per_day"),
        ("tokens_per_month", "say which: output_tokens_per_month or total_tokens_per_month"),
    ] {
        if table.value(key).is_some() {
            table.problem(key, "does not say which tokens", hint);
        }
    }
}

fn read_classes(table: &Reader<'_>) -> Vec<Class> {
    let Some(value) = table.value("classes") else {
        return read_class(table, "all", None).into_iter().collect();
    };
    for key in ["input_tokens", "output_tokens", "cached_share", "reasoning_share", "batchable_share"] {
        if table.has(key) {
            table.problem(key, "stands beside `classes`", "put it into each class");
        }
    }
    let Value::Array(items) = value else {
        table.problem("classes", "is not a list", "write [[workload.classes]] for each");
        return Vec::new();
    };
    let mut classes = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(entry) = table.table_of(&format!("classes[{at}]"), item) else { continue };
        let name = entry.text("name").map_or_else(|| format!("class {}", at + 1), ToOwned::to_owned);
        let share = entry.quantity("share", Kind::SHARE);
        if share.is_none() && !entry.has("share") {
            entry.problem("share", "is missing", "this class's share of all requests");
        }
        classes.extend(read_class(&entry, &name, share));
        entry.finish();
    }
    check_classes(table, &classes);
    classes
}

fn check_classes(table: &Reader<'_>, classes: &[Class]) {
    if classes.is_empty() {
        table.problem("classes", "is empty", "at least one");
        return;
    }
    let sum: f64 = classes.iter().map(|class| class.share.base).sum();
    if (sum - 1.0).abs() > 0.005 {
        table.problem(
            "classes",
            format!("the shares sum to {sum:.3}"),
            "they are shares of all requests: 1 together",
        );
    }
    for (at, class) in classes.iter().enumerate() {
        if classes.iter().skip(at + 1).any(|other| other.name == class.name) {
            table.problem("classes", format!("`{}` stands there twice", class.name), "");
        }
    }
}

fn read_class(table: &Reader<'_>, name: &str, share: Option<Quantity>) -> Option<Class> {
    let tokens = |key: &'static str, kind: Kind| {
        if !table.has(key) {
            table.problem(
                key,
                "is missing",
                "tokens per request; a price per token says nothing without both lengths",
            );
        }
        table.quantity(key, kind)
    };
    let input_tokens = tokens("input_tokens", Kind::TOKENS);
    let output_tokens =
        tokens("output_tokens", Kind { bounds: crate::inputs::Bounds::POSITIVE, ..Kind::TOKENS });
    let cached_share = table.quantity("cached_share", Kind::SHARE);
    let cache_write_share = table.quantity("cache_write_share", Kind::SHARE);
    let reasoning_share = table.quantity("reasoning_share", Kind::SHARE);
    let batchable_share = table.quantity("batchable_share", Kind::SHARE);
    let base = |q: &Option<Quantity>| q.as_ref().map_or(0.0, |q| q.base);
    if base(&cached_share) + base(&cache_write_share) > 1.0 {
        let hint = "cached and written tokens are different parts of the input";
        table.problem("cache_write_share", "and cached_share are above 1 together", hint);
    }
    let whole = Quantity { base: 1.0, dist: None, from: crate::inputs::Provenance::default("one class") };
    Some(Class {
        name: name.to_owned(),
        path: table.path(""),
        share: share.unwrap_or(whole),
        input_tokens: input_tokens?,
        output_tokens: output_tokens?,
        cached_share,
        cache_write_share,
        reasoning_share,
        batchable_share,
    })
}

fn read_shape(table: &Reader<'_>) -> Option<Shape> {
    let peak = table.quantity("peak_to_mean", Kind::AT_LEAST_ONE);
    let profile = read_list(table, "profile", |n| n == 24, "24 numbers, one an hour from midnight");
    let week = read_list(table, "week", |n| n == 7, "7 numbers, Monday first");
    let hours =
        read_list(table, "hours", |n| n >= 24, "at least 24 numbers, one an hour from Monday midnight");
    let stated = [table.has("peak_to_mean"), table.has("profile"), table.has("hours")];
    if stated.iter().filter(|stated| **stated).count() > 1 {
        let hint = "peak_to_mean, profile (with week) and hours say the same thing: keep one";
        table.problem("peak_to_mean", "contradicts another statement of the same", hint);
        return None;
    }
    if let Some(hours) = hours {
        let mean = hours.iter().sum::<f64>() / crate::num::float(hours.len());
        return Some(Shape::Hours(hours.into_iter().map(|hour| hour / mean).collect()));
    }
    if profile.is_some() || week.is_some() {
        let (profile, week) =
            (profile.unwrap_or_else(|| vec![1.0; 24]), week.unwrap_or_else(|| vec![1.0; 7]));
        let all: Vec<f64> = week.iter().flat_map(|day| profile.iter().map(move |hour| day * hour)).collect();
        let mean = all.iter().sum::<f64>() / crate::num::float(all.len());
        return Some(Shape::Week(all.into_iter().map(|hour| hour / mean).collect()));
    }
    if peak.is_none() && !table.has("peak_to_mean") {
        let hint = "machines are rented for the peak: peak_to_mean = 3.0, a profile of 24 hours, or a trace";
        table.problem("peak_to_mean", "is missing", hint);
    }
    Some(Shape::PeakToMean(peak?))
}

fn read_list(
    table: &Reader<'_>,
    key: &'static str,
    right: fn(usize) -> bool,
    hint: &str,
) -> Option<Vec<f64>> {
    let value = table.value(key)?;
    let list = value.as_array().map_or(Err("is not a list".to_owned()), |items| numbers(items));
    let problem = match &list {
        Err(message) => message.clone(),
        Ok(list) if !right(list.len()) => format!("has {} numbers", list.len()),
        Ok(list) if list.iter().any(|n| *n < 0.0) => "has a negative number".to_owned(),
        Ok(list) if list.iter().sum::<f64>() <= 0.0 => "is zero everywhere".to_owned(),
        Ok(_) => return list.ok(),
    };
    table.problem(key, problem, hint);
    None
}
