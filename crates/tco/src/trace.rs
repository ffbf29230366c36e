//! Traffic from a trace: CSV of one's own, the Azure LLM inference trace, or `BurstGPT`.
//!
//! A mean and a guess at the peak are what calculators ask for; a trace has lengths, classes and hours. It is read whole
//! and strictly: a row that cannot be read, or a hole in time, is an error or a repair that the report states.

mod rows;

use serde_json::{Map, Value, json};

use crate::num::{float, index, short};
use crate::problem::Problem;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `timestamp` (RFC 3339 or seconds), `input_tokens`, `output_tokens`; optional `cached_tokens`, `reasoning_tokens`, `class`.
    Csv,
    /// `TIMESTAMP, ContextTokens, GeneratedTokens`.
    Azure,
    /// `Timestamp, Model, Request tokens, Response tokens, Total tokens, Log Type`.
    BurstGpt,
}

impl Format {
    /// As on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "azure" => Some(Self::Azure),
            "burstgpt" => Some(Self::BurstGpt),
            _ => None,
        }
    }
}

/// What to do about holes: stretches of at least an hour without a request where there should be many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repair {
    /// Refuse.
    #[default]
    Refuse,
    /// They were quiet: no request came.
    Quiet,
    /// Nothing is known of them: they are cut out of the time.
    Cut,
}

/// One request of a trace.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// Seconds from any origin.
    at: f64,
    class: String,
    input: f64,
    output: f64,
    cached: f64,
    reasoning: f64,
}

/// A trace that has been read.
#[derive(Clone, Debug)]
pub struct Trace {
    rows: Vec<Row>,
    /// Seconds are since 1970.
    dated: bool,
    /// Rows without an answer, which are left out.
    failed: usize,
    /// Hours without a request where there should be some, as hours since the first row.
    holes: Vec<(usize, usize)>,
    repair: Repair,
}

const HOUR: f64 = 3_600.0;
/// Requests that an hour must be expected to have before their absence is a hole: chance leaves e⁻²⁰ of such hours empty.
const EXPECTED: f64 = 20.0;

/// Reads a trace. Errors with every kind of mistake, the first lines of each.
pub fn read(bytes: &[u8], format: Format, repair: Repair) -> Result<Trace, Vec<Problem>> {
    let (mut rows, dated, failed) = rows::read(bytes, format)?;
    rows.sort_by(|a, b| a.at.total_cmp(&b.at));
    if rows.is_empty() {
        return Err(vec![Problem::new("trace", "has no answered request", "is it the right file?")]);
    }
    let mut trace = Trace { rows, dated, failed, holes: Vec::new(), repair };
    trace.holes = trace.find_holes();
    if repair == Repair::Refuse && !trace.holes.is_empty() {
        let (from, to) = trace.holes.first().copied().unwrap_or_default();
        let hours: usize = trace.holes.iter().map(|(from, to)| to - from).sum();
        let message = format!(
            "has {} hole(s), {hours} hours together; the first is {} hours long, from hour {from}",
            trace.holes.len(),
            to - from
        );
        let hint = "say what they are: `quiet` (no request came) or `cut` (nothing is known of them)";
        return Err(vec![Problem::new("trace", message, hint)]);
    }
    Ok(trace)
}

impl Trace {
    /// Requests in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: an empty trace is refused.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn start(&self) -> f64 {
        self.rows.first().map_or(0.0, |row| row.at)
    }

    fn seconds(&self) -> f64 {
        let last = self.rows.last().map_or(0.0, |row| row.at);
        let all = last - self.start();
        let cut = if self.repair == Repair::Cut { self.hole_hours() * HOUR } else { 0.0 };
        // One request lasts no time; a trace of one is taken as an hour.
        if all > 0.0 { (all - cut).max(1.0) } else { HOUR }
    }

    fn hole_hours(&self) -> f64 {
        float(self.holes.iter().map(|(from, to)| to - from).sum())
    }

    /// Requests of each bin of so many seconds from the first one on.
    fn bins(&self, width: f64) -> Vec<f64> {
        let place = |row: &Row| index(((row.at - self.start()) / width).floor()).unwrap_or(0);
        let last = self.rows.last().map_or(0, place);
        let mut bins = vec![0.0; last + 1];
        for row in &self.rows {
            if let Some(bin) = bins.get_mut(place(row)) {
                *bin += 1.0;
            }
        }
        bins
    }

    fn find_holes(&self) -> Vec<(usize, usize)> {
        let bins = self.bins(HOUR);
        let mut busy: Vec<f64> = bins.iter().copied().filter(|count| *count > 0.0).collect();
        busy.sort_by(f64::total_cmp);
        // The quietest tenth of the hours that have any is what an hour may be expected to have.
        let usual = busy.get(busy.len() / 10).copied().unwrap_or(0.0);
        let mut holes: Vec<(usize, usize)> = Vec::new();
        for (at, _) in bins.iter().enumerate().filter(|(_, count)| usual >= EXPECTED && **count == 0.0) {
            match holes.last_mut() {
                Some((_, to)) if *to == at => *to = at + 1,
                _ => holes.push((at, at + 1)),
            }
        }
        holes
    }

    /// Hours that are known of, each with its requests, and its place in the week or the day.
    fn hours(&self) -> Vec<(usize, f64)> {
        let hole = |at: usize| self.holes.iter().any(|(from, to)| (*from..*to).contains(&at));
        // 1970-01-01 was a Thursday: three days after a Monday.
        let first = if self.dated { (self.start() / HOUR).floor() + 72.0 } else { 0.0 };
        let first = index(first.rem_euclid(168.0)).unwrap_or(0);
        let bins = self.bins(HOUR).into_iter().enumerate();
        let kept = bins.filter(|(at, _)| self.repair != Repair::Cut || !hole(*at));
        kept.map(|(at, count)| ((first + at) % 168, count)).collect()
    }

    /// The workload as a scenario states it, measured, under that name.
    pub fn workload(&self, name: &str) -> Value {
        let measured =
            |value: f64| json!({"value": value, "basis": "measured", "source": format!("trace {name}")});
        let mut workload = Map::new();
        workload.insert("source".into(), json!(format!("trace {name}")));
        workload
            .insert("requests_per_day".into(), measured(float(self.rows.len()) / self.seconds() * 86_400.0));
        workload.insert("classes".into(), Value::Array(self.classes(&measured)));
        let hours = self.hours();
        let folded = |period: usize| -> Vec<f64> {
            let (mut sums, mut seen) = (vec![0.0; period], vec![0.0_f64; period]);
            for (place, count) in &hours {
                if let (Some(sum), Some(times)) = (sums.get_mut(place % period), seen.get_mut(place % period))
                {
                    *sum += count;
                    *times += 1.0;
                }
            }
            sums.iter().zip(&seen).map(|(sum, times): (&f64, &f64)| sum / times.max(1.0)).collect()
        };
        if hours.len() >= 168 {
            workload.insert("hours".into(), json!(folded(168)));
        } else if hours.len() >= 24 {
            workload.insert("profile".into(), json!(folded(24)));
        } else {
            workload.insert("peak_to_mean".into(), measured(self.peak()));
        }
        Value::Object(workload)
    }

    /// Busiest five minutes over the mean, for a trace that is too short to have a day.
    fn peak(&self) -> f64 {
        let mut bins = self.bins(300.0);
        // The last bin is rarely whole.
        if bins.len() > 1 {
            bins.pop();
        }
        let mean = bins.iter().sum::<f64>() / float(bins.len().max(1));
        let most = bins.iter().copied().fold(0.0, f64::max);
        if mean > 0.0 { (most / mean).max(1.0) } else { 1.0 }
    }

    fn classes(&self, measured: &dyn Fn(f64) -> Value) -> Vec<Value> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.class.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let class = |name: &str| {
            let rows = || self.rows.iter().filter(|row| row.class == name);
            let count = float(rows().count());
            let sum = |of: fn(&Row) -> f64| rows().map(of).sum::<f64>();
            let (input, output) = (sum(|row| row.input), sum(|row| row.output));
            let part = |part: f64, whole: f64| measured(if whole > 0.0 { part / whole } else { 0.0 });
            json!({
                "name": name,
                "share": measured(count / float(self.rows.len())),
                "input_tokens": measured(input / count),
                "output_tokens": measured(output / count),
                "cached_share": part(sum(|row| row.cached), input),
                "reasoning_share": part(sum(|row| row.reasoning), output),
            })
        };
        names.into_iter().map(class).collect()
    }

    /// What a reader must know of it.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let days = self.seconds() / 86_400.0;
        if days < 1.0 {
            notes.push(format!(
                "the trace covers {} hours: a day is taken to be like them, its peak that of five minutes",
                short(days * 24.0)
            ));
        }
        let quantile = |of: fn(&Row) -> f64, share: f64| {
            let mut values: Vec<f64> = self.rows.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let place = index((share * float(values.len().saturating_sub(1))).round()).unwrap_or(0);
            values.get(place).copied().unwrap_or(0.0)
        };
        notes.push(format!(
            "trace of {} requests: costs take mean lengths; input p50 {}, p95 {}, output p50 {}, p95 {} tokens",
            self.rows.len(),
            short(quantile(|row| row.input, 0.5)),
            short(quantile(|row| row.input, 0.95)),
            short(quantile(|row| row.output, 0.5)),
            short(quantile(|row| row.output, 0.95)),
        ));
        if self.failed > 0 {
            notes.push(format!("{} rows of the trace have no output and are left out", self.failed));
        }
        if !self.holes.is_empty() {
            let verb = if self.repair == Repair::Cut { "cut out" } else { "taken as quiet" };
            notes.push(format!("holes of {} hours in the trace were {verb}", short(self.hole_hours())));
        }
        notes
    }
}

#[cfg(test)]
mod tests;
