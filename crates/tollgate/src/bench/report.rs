//! The result of a run: JSON with stable keys, and a table of at most 100 columns.

use std::fmt::Write as _;

use serde::Serialize;

use super::point::Point;
use super::stats::Spread;
use super::{Load, Slo};
use crate::render::thousands;

/// What was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The base URL as it was understood.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// `chat` or `completion`.
    pub endpoint: String,
    /// Input tokens wanted.
    pub input_tokens: u64,
    /// Output tokens wanted.
    pub output_tokens: u64,
    /// Share of the prompts that is the same in all; 0: cold.
    pub warm_share: f64,
    /// Of arrivals and words.
    pub seed: u64,
    /// What each prompt of this run begins with.
    pub run: String,
    /// The objective.
    pub slo: Slo,
    /// The server took `ignore_eos` and `min_tokens`.
    pub full_length: bool,
    /// The length of the input rests on the server's own count.
    pub input_calibrated: bool,
    /// Requests before the first point; they are in no figure.
    pub probes: usize,
    /// Dollars per hour of the whole endpoint, as stated.
    pub usd_per_hour: Option<f64>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this shape.
    pub version: u32,
    /// What the times mean.
    pub definitions: [(&'static str, &'static str); 4],
    /// What was asked.
    pub settings: Settings,
    /// The points, in order.
    pub points: Vec<Point>,
    /// The last point of the list that was measured was not the last of the list, and why.
    pub ended_early: Option<String>,
}

const DEFINITIONS: [(&str, &str); 4] = [
    ("ttft", "from the intended send time to the first event with content"),
    ("tpot", "from the first to the last token, over the output tokens less one: the first is not in it"),
    ("window", "from the first request's end to the last one's start; tokens are cut by their own times"),
    ("goodput", "requests per second that met both bounds; failed requests count as not met"),
];

impl Report {
    /// A run that has no points yet.
    pub fn new(settings: Settings) -> Self {
        Self { version: 1, definitions: DEFINITIONS, settings, points: Vec::new(), ended_early: None }
    }

    /// The point with the most goodput among those within the objective.
    pub fn best(&self) -> Option<&Point> {
        let within = self.points.iter().filter(|point| point.slo_share >= self.settings.slo.share);
        within.max_by(|a, b| a.goodput_per_s.total_cmp(&b.goodput_per_s))
    }

    /// For people.
    pub fn table(&self) -> String {
        let set = &self.settings;
        let mut text = format!(
            "{} at {}: {} tokens in, {} out, {}\n",
            set.model,
            set.url,
            thousands(set.input_tokens),
            thousands(set.output_tokens),
            if set.warm_share > 0.0 {
                format!("{}% of each prompt in common", number(set.warm_share * 100.0))
            } else {
                "distinct prompts".to_owned()
            }
        );
        let rows = self.points.iter().map(row);
        text.push_str(&crate::render::table(&HEAD, rows));
        text.push_str("\n\n");
        text.push_str(&self.verdict());
        for (what, meaning) in self.definitions {
            let _ = writeln!(text, "{what}: {meaning}");
        }
        for note in self.notes() {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    fn verdict(&self) -> String {
        let Slo { ttft_ms, tpot_ms, share } = self.settings.slo;
        let slo = format!("TTFT ≤ {} ms and TPOT ≤ {} ms", number(ttft_ms), number(tpot_ms));
        let Some(best) = self.best() else {
            return format!("No point had {}% of its requests within {slo}.\n", number(share * 100.0));
        };
        let mut text = format!(
            "Within {slo} for {}% of requests:\n  most goodput at {}: {} requests/s, {} output tokens/s",
            number(best.slo_share * 100.0),
            best.load,
            number(best.goodput_per_s),
            number(best.output_tok_s),
        );
        if let Some(usd) = best.usd_per_million_output {
            let _ = write!(text, ",\n  ${usd:.4} per million output tokens (measured pace, stated price)");
        }
        text.push_str(".\n");
        text
    }

    /// What the table does not say by itself.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for point in &self.points {
            let load = point.load;
            let mut say = |text: String| notes.push(format!("{load}: {text}"));
            if !point.window.steady {
                say("too short for a steady window; the figures are of the whole point".to_owned());
            }
            if let Some(why) = &point.stopped {
                say(format!("stopped, {why}"));
            }
            if point.resent > 0 {
                say(format!(
                    "{} times a kept connection was closed and a request went out again",
                    point.resent
                ));
            }
            for (why, count) in &point.failures {
                say(format!("{count} × {why}"));
            }
            tokens(self, point, &mut say);
            server(point, &mut say);
        }
        notes.extend(client(&self.points));
        if !self.settings.full_length {
            notes.push("the server takes no ignore_eos and min_tokens: answers may end early".to_owned());
        }
        if !self.settings.input_calibrated {
            notes.push("the server counts no tokens: the length of the input is assumed".to_owned());
        }
        if let Some(why) = &self.ended_early {
            notes.push(format!("sweep ended: {why} (--keep-going goes on)"));
        }
        notes
    }
}

fn tokens(report: &Report, point: &Point, say: &mut dyn FnMut(String)) {
    let tokens = &point.tokens;
    if tokens.short > 0 {
        say(format!(
            "{} of {} answers were shorter than asked: {} output tokens on average, not {}",
            tokens.short,
            point.ok,
            number(tokens.mean_output),
            report.settings.output_tokens
        ));
    }
    if tokens.uncounted > 0 {
        say(format!("{} answers came without usage: one token an event was taken", tokens.uncounted));
    }
    let asked = super::stats::real(report.settings.input_tokens);
    if point.ok > tokens.uncounted && (tokens.mean_input / asked - 1.0).abs() > 0.1 {
        say(format!(
            "{} input tokens on average, not {}",
            number(tokens.mean_input),
            report.settings.input_tokens
        ));
    }
    if tokens.cached > 0 {
        say(format!(
            "{}% of the input came from the prefix cache, by usage",
            number(tokens.cached_share * 100.0)
        ));
    }
}

fn server(point: &Point, say: &mut dyn FnMut(String)) {
    let Some(server) = &point.server else { return };
    if let Some(preemptions) = server.preemptions.filter(|count| *count > 0.0) {
        say(format!("{} preemptions, by the server's counter", number(preemptions)));
    }
    if let Some(hit) = server.cache_hit_share.filter(|share| *share > 0.0) {
        say(format!("{}% prefix-cache hits, by the server's counter", number(hit * 100.0)));
    }
    let ours = super::stats::real(point.tokens.output);
    if let Some(theirs) = server.output_tokens.filter(|theirs| (theirs - ours).abs() > 0.5) {
        say(format!(
            "the server counted {} output tokens, its answers {}: cut answers, or others use it, too",
            number(theirs),
            number(ours)
        ));
    }
}

/// The client at its busiest.
fn client(points: &[Point]) -> Option<String> {
    let most = |values: &mut dyn Iterator<Item = f64>| values.max_by(f64::total_cmp);
    let lag = most(&mut points.iter().filter_map(|point| Some(point.client.lag_ms?.p99)))?;
    let cpu = most(&mut points.iter().filter_map(|point| point.client.cpu_share))?;
    let slow = if lag > 20.0 { ": it was slow itself, and times may be too long" } else { "" };
    Some(format!(
        "client: at most {}% of a core, event loop at most {} ms late (p99){slow}",
        number(cpu * 100.0),
        number(lag)
    ))
}

const HEAD: [&str; 13] = [
    "load", "sent", "ok", "err", "inc", "req/s", "tok/s", "TTFT p50", "p99", "TPOT p50", "p99", "in SLO",
    "goodput",
];

fn row(point: &Point) -> Vec<String> {
    let ms = |spread: Option<Spread>, value: fn(&Spread) -> f64| {
        spread.map_or_else(|| "–".to_owned(), |spread| number(value(&spread)))
    };
    vec![
        match point.load {
            Load::Open { rate } => format!("{}/s", number(rate)),
            closed @ Load::Closed { .. } => closed.to_string(),
        },
        point.sent.to_string(),
        point.ok.to_string(),
        point.error.to_string(),
        point.incomplete.to_string(),
        number(point.requests_per_s),
        number(point.output_tok_s),
        ms(point.ttft_ms, |s| s.p50),
        ms(point.ttft_ms, |s| s.p99),
        ms(point.tpot_ms, |s| s.p50),
        ms(point.tpot_ms, |s| s.p99),
        format!("{}%", number(point.slo_share * 100.0)),
        number(point.goodput_per_s),
    ]
}

/// Three significant digits or all whole ones: what a bench can know.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 || v.fract() <= 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let Some((whole, part)) = text.split_once('.') else {
        return text.parse().map_or(text.clone(), |whole: u64| thousands(whole));
    };
    format!("{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_precise_as_a_bench() {
        let said = [0.0, 3.0, 0.456, 9.871, 48.26, 99.99, 1_234.5, 12_345_678.9].map(number);
        assert_eq!(said, ["0", "3", "0.46", "9.87", "48.3", "100.0", "1,234", "12,345,679"]);
    }
}
