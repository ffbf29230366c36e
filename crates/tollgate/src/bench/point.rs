//! One point of a sweep: from records to figures.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Serialize;

use super::cost::Cost;
use super::drive::Held;
use super::record::{Outcome, Record};
use super::scrape::Counters;
use super::stats::{Spread, len, real, rounded, share};
use super::window::{Shown, Window};
use super::{Load, Slo};

/// The figures of one point. Those of the window come first; `whole_run` is the same over everything.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// What was held.
    pub load: Load,
    /// Requests that went out: ok + error + incomplete.
    pub sent: usize,
    /// Answered to their end.
    pub ok: usize,
    /// Refused, or failed before a token came.
    pub error: usize,
    /// Began and did not end.
    pub incomplete: usize,
    /// Times that a request went out again on a new connection: see [`Record::resent`]. The lost time is in the figures.
    pub resent: u32,
    /// Why requests failed.
    pub failures: BTreeMap<String, usize>,
    /// Why the point ended before its bounds.
    pub stopped: Option<String>,
    /// The time that the figures below are of.
    pub window: Shown,
    /// Mean requests under way.
    pub in_flight: f64,
    /// Requests answered per second.
    pub requests_per_s: f64,
    /// Output tokens per second of the whole endpoint.
    pub output_tok_s: f64,
    /// Time to first token, milliseconds, from the intended send time.
    pub ttft_ms: Option<Spread>,
    /// Time per output token without the first, milliseconds.
    pub tpot_ms: Option<Spread>,
    /// Between two events of a stream, milliseconds.
    pub itl_ms: Option<Spread>,
    /// To the end of the answer, milliseconds, from the intended send time.
    pub latency_ms: Option<Spread>,
    /// How late requests went out, milliseconds (open loop).
    pub send_lag_ms: Option<Spread>,
    /// Requests per second that met the objective.
    pub goodput_per_s: f64,
    /// Share of all requests that ended in the window, failed ones too, that met it.
    pub slo_share: f64,
    /// Tokens of all requests that were answered.
    pub tokens: TokenSums,
    /// What the client cost.
    pub client: Cost,
    /// What the server counted in the same time; `None` where it does not tell.
    pub server: Option<Counters>,
    /// The same over the whole point, under the names of vLLM's benchmark.
    pub whole_run: WholeRun,
    /// Dollars per million output tokens at this point, where the price of the hour was given. Throughput measured,
    /// price stated.
    pub usd_per_million_output: Option<f64>,
}

/// Tokens of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TokenSums {
    /// All input.
    pub input: u64,
    /// Of it, from the prefix cache.
    pub cached: u64,
    /// All output.
    pub output: u64,
    /// Mean input of a request.
    pub mean_input: f64,
    /// Mean output of a request: what was produced, not what was asked for.
    pub mean_output: f64,
    /// Share of the input that came from the cache.
    pub cached_share: f64,
    /// Answers shorter than asked for.
    pub short: usize,
    /// Answers whose tokens the server did not count: one was taken for each event.
    pub uncounted: usize,
    /// Tokens that an event of a stream stands for on average.
    pub per_event: f64,
}

/// Figures over all of a point, named and defined as in the result file of vLLM's `bench serve`.
#[derive(Clone, Debug, Serialize)]
pub struct WholeRun {
    pub duration: f64,
    pub completed: usize,
    pub failed: usize,
    pub total_input_tokens: u64,
    pub total_output_tokens: u64,
    pub request_throughput: f64,
    pub request_goodput: f64,
    pub output_throughput: f64,
    pub total_token_throughput: f64,
    pub mean_ttft_ms: Option<f64>,
    pub median_ttft_ms: Option<f64>,
    pub p99_ttft_ms: Option<f64>,
    pub mean_tpot_ms: Option<f64>,
    pub median_tpot_ms: Option<f64>,
    pub p99_tpot_ms: Option<f64>,
    pub mean_itl_ms: Option<f64>,
    pub median_itl_ms: Option<f64>,
    pub p99_itl_ms: Option<f64>,
    pub mean_e2el_ms: Option<f64>,
    pub median_e2el_ms: Option<f64>,
    pub p99_e2el_ms: Option<f64>,
    /// Not vLLM's: guidellm's time per output token, which has the first token in it.
    pub median_guidellm_tpot_ms: Option<f64>,
}

/// What a point is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The objective.
    pub slo: Slo,
    /// Output tokens asked for.
    pub output_tokens: u64,
    /// Cut off at the start at least, microseconds.
    pub warm_up: u32,
    /// Dollars per hour of the whole endpoint.
    pub usd_per_hour: Option<f64>,
}

impl Slo {
    /// Was this request fast enough? One token has no pace and is judged by its first token alone.
    fn met(&self, record: &Record) -> bool {
        let first = record.ttft().is_some_and(|ttft| f64::from(ttft) / 1e3 <= self.ttft_ms);
        record.is_ok() && first && record.tpot().is_none_or(|tpot| tpot / 1e3 <= self.tpot_ms)
    }
}

/// Makes the figures. Errors when requests went out of which nothing came back: the bench itself is then at fault, and
/// no figure of it may be believed.
pub fn measure(
    load: Load,
    held: Held,
    terms: &Terms,
    client: Cost,
    server: Option<Counters>,
) -> anyhow::Result<Point> {
    let Held { records, sent, load_end, stopped } = held;
    let count = |is: fn(&Outcome) -> bool| records.iter().filter(|record| is(&record.outcome)).count();
    let (ok, error, incomplete) = (
        count(|outcome| *outcome == Outcome::Ok),
        count(|outcome| matches!(outcome, Outcome::Error(_))),
        count(|outcome| matches!(outcome, Outcome::Incomplete(_))),
    );
    ensure!(
        sent == ok + error + incomplete,
        "{load}: {sent} requests went out, but {ok} ok + {error} error + {incomplete} incomplete came back"
    );
    let mut failures = BTreeMap::new();
    for record in &records {
        if let Outcome::Error(why) | Outcome::Incomplete(why) = &record.outcome {
            *failures.entry(why.clone()).or_default() += 1;
        }
    }
    let window = Window::of(&records, load_end, terms.warm_up);
    let seconds = window.seconds();
    let ended: Vec<&Record> = records.iter().filter(|record| window.holds(record.end)).collect();
    let good = len(ended.iter().filter(|record| terms.slo.met(record)).count());
    let output_tok_s = share(records.iter().map(|record| window.tokens(record)).sum(), seconds);
    let open = matches!(load, Load::Open { .. });
    Ok(Point {
        load,
        sent,
        ok,
        error,
        incomplete,
        resent: records.iter().map(|record| record.resent).sum(),
        failures,
        stopped,
        window: window.shown(),
        in_flight: rounded(share(records.iter().map(|record| window.under_way(record)).sum(), seconds), 2),
        requests_per_s: rounded(share(len(ended.iter().filter(|r| r.is_ok()).count()), seconds), 4),
        output_tok_s: rounded(output_tok_s, 3),
        ttft_ms: spread(records.iter().filter(|r| first_in(r, &window)).filter_map(Record::ttft)),
        tpot_ms: Spread::of(records.iter().filter_map(|r| window.tpot(r)).map(|us| us / 1e3).collect()),
        itl_ms: spread(records.iter().flat_map(|record| gaps(window.part(record)))),
        latency_ms: spread(ended.iter().filter(|r| r.is_ok()).map(|r| r.end.saturating_sub(r.intended))),
        send_lag_ms: if open {
            spread(records.iter().map(|r| r.sent.saturating_sub(r.intended)))
        } else {
            None
        },
        goodput_per_s: rounded(share(good, seconds), 4),
        slo_share: rounded(share(good, len(ended.len())), 4),
        tokens: sums(&records, terms.output_tokens),
        client,
        server,
        whole_run: whole_run(&records, &terms.slo),
        usd_per_million_output: terms
            .usd_per_hour
            .filter(|_| output_tok_s > 0.0)
            .map(|usd| rounded(usd / (output_tok_s * 3_600.0) * 1e6, 6)),
    })
}

fn first_in(record: &Record, window: &Window) -> bool {
    record.events.first().is_some_and(|first| window.holds(*first))
}

fn gaps(events: &[u32]) -> impl Iterator<Item = u32> {
    events.iter().zip(events.iter().skip(1)).map(|(before, after)| after.saturating_sub(*before))
}

/// The spread in milliseconds of times in microseconds.
fn spread(times: impl Iterator<Item = u32>) -> Option<Spread> {
    Spread::of(times.map(|us| f64::from(us) / 1e3).collect())
}

fn sums(records: &[Record], asked: u64) -> TokenSums {
    let mut sums = TokenSums::default();
    let answered: Vec<&Record> = records.iter().filter(|record| record.is_ok()).collect();
    for record in &answered {
        let usage = record.usage.unwrap_or_default();
        sums.input += usage.input;
        sums.cached += usage.cached;
        sums.output += record.output();
        sums.short += usize::from(record.output() < asked);
        sums.uncounted += usize::from(record.usage.is_none());
    }
    let events: usize = answered.iter().map(|record| record.events.len()).sum();
    let n = len(answered.len());
    sums.mean_input = rounded(share(real(sums.input), n), 1);
    sums.mean_output = rounded(share(real(sums.output), n), 1);
    sums.cached_share = rounded(share(real(sums.cached), real(sums.input)), 4);
    sums.per_event = rounded(share(real(sums.output), len(events)), 3);
    sums
}

fn whole_run(records: &[Record], slo: &Slo) -> WholeRun {
    let ok: Vec<&Record> = records.iter().filter(|record| record.is_ok()).collect();
    let seconds = Window::whole(records).seconds();
    let tokens = sums(records, 0);
    let per_s = |count: f64| rounded(share(count, seconds), 4);
    let ttft = spread(ok.iter().filter_map(|record| record.ttft()));
    let tpot = Spread::of(ok.iter().filter_map(|record| record.tpot()).map(|us| us / 1e3).collect());
    let itl = spread(ok.iter().flat_map(|record| gaps(&record.events)));
    let e2el = spread(ok.iter().map(|record| record.end.saturating_sub(record.intended)));
    let with_first = ok
        .iter()
        .filter(|record| record.output() > 0)
        .map(|record| f64::from(record.end.saturating_sub(record.intended)) / 1e3 / real(record.output()));
    WholeRun {
        duration: rounded(seconds, 6),
        completed: ok.len(),
        failed: records.len() - ok.len(),
        total_input_tokens: tokens.input,
        total_output_tokens: tokens.output,
        request_throughput: per_s(len(ok.len())),
        request_goodput: per_s(len(ok.iter().filter(|record| slo.met(record)).count())),
        output_throughput: per_s(real(tokens.output)),
        total_token_throughput: per_s(real(tokens.output + tokens.input)),
        mean_ttft_ms: ttft.map(|spread| spread.mean),
        median_ttft_ms: ttft.map(|spread| spread.p50),
        p99_ttft_ms: ttft.map(|spread| spread.p99),
        mean_tpot_ms: tpot.map(|spread| spread.mean),
        median_tpot_ms: tpot.map(|spread| spread.p50),
        p99_tpot_ms: tpot.map(|spread| spread.p99),
        mean_itl_ms: itl.map(|spread| spread.mean),
        median_itl_ms: itl.map(|spread| spread.p50),
        p99_itl_ms: itl.map(|spread| spread.p99),
        mean_e2el_ms: e2el.map(|spread| spread.mean),
        median_e2el_ms: e2el.map(|spread| spread.p50),
        p99_e2el_ms: e2el.map(|spread| spread.p99),
        median_guidellm_tpot_ms: Spread::of(with_first.collect()).map(|spread| spread.p50),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Tokens;
    use super::super::record::tests::answered;
    use super::*;

    const TERMS: Terms = Terms {
        slo: Slo { ttft_ms: 1_000.0, tpot_ms: 50.0, share: 0.9 },
        output_tokens: 20,
        warm_up: 0,
        usd_per_hour: None,
    };
    const COST: Cost = Cost { cpu_s: None, cpu_share: None, lag_ms: None };

    /// A request of 20 tokens, `first` ms to the first, then `gap` ms each.
    fn paced(start_ms: u32, first: u32, gap: u32) -> Record {
        let events: Vec<u32> = (0..20).map(|n| (start_ms + first + n * gap) * 1_000).collect();
        answered(start_ms * 1_000, &events)
    }

    fn measured(records: Vec<Record>, load_end_ms: u32, terms: &Terms) -> Point {
        let held = Held { sent: records.len(), records, load_end: load_end_ms * 1_000, stopped: None };
        measure(Load::Closed { concurrency: 1 }, held, terms, COST, None).unwrap()
    }

    #[test]
    fn goodput_counts_what_met_both_bounds() {
        let fast = paced(0, 100, 10);
        let slow_start = paced(0, 1_001, 10);
        let slow_pace = paced(0, 100, 51);
        let mut failed = paced(0, 100, 10);
        failed.outcome = Outcome::Incomplete("truncated".to_owned());
        let point = measured(vec![fast, slow_start, slow_pace, failed], 0, &TERMS);
        // the slowest ends after 1,191 ms
        assert_eq!((point.ok, point.incomplete, point.slo_share), (3, 1, 0.25));
        assert!((point.goodput_per_s - 1.0 / 1.191).abs() < 1e-3, "{}", point.goodput_per_s);
        assert_eq!(point.failures["truncated"], 1);
    }

    #[test]
    fn throughput_of_the_window_is_not_diluted_by_the_ramps() {
        // one slot, requests back to back: 100 tokens a second while the load is on
        let records: Vec<Record> = (0..10).map(|n| paced(n * 200, 10, 10)).collect();
        let point = measured(records, 1_800, &TERMS);
        assert!(point.window.steady);
        assert!((point.output_tok_s - 100.0).abs() < 1.0, "{}", point.output_tok_s);
        assert!((point.in_flight - 1.0).abs() < 0.01, "{}", point.in_flight);
        assert_eq!((point.tpot_ms.unwrap().p50, point.ttft_ms.unwrap().p50), (10.0, 10.0));
    }

    #[test]
    fn a_lost_request_fails_the_point() {
        let held = Held { records: vec![paced(0, 1, 1)], sent: 2, load_end: 0, stopped: None };
        let said = measure(Load::Open { rate: 1.0 }, held, &TERMS, COST, None).unwrap_err().to_string();
        assert_eq!(said, "1/s: 2 requests went out, but 1 ok + 0 error + 0 incomplete came back");
    }

    #[test]
    fn cached_tokens_are_part_of_the_input_and_short_answers_are_counted() {
        let mut records = vec![paced(0, 1, 1), paced(0, 1, 1)];
        records[0].usage = Some(Tokens { input: 100, cached: 80, output: 20 });
        records[1].usage = Some(Tokens { input: 100, cached: 0, output: 7 });
        let tokens = measured(records, 0, &TERMS).tokens;
        assert_eq!((tokens.input, tokens.cached, tokens.cached_share), (200, 80, 0.4));
        assert_eq!((tokens.output, tokens.mean_output, tokens.short), (27, 13.5, 1));
    }

    #[test]
    fn without_usage_events_are_counted_and_said_to_be() {
        let mut record = paced(0, 1, 1);
        record.usage = None;
        let point = measured(vec![record], 0, &TERMS);
        assert_eq!((point.tokens.output, point.tokens.uncounted), (20, 1));
    }

    #[test]
    fn the_cost_of_a_token_is_the_hour_over_what_it_made() {
        let records: Vec<Record> = (0..10).map(|n| paced(n * 200, 10, 10)).collect();
        let point = measured(records, 1_800, &Terms { usd_per_hour: Some(3.6), ..TERMS });
        // 100 tokens a second are 360,000 an hour: $10 a million
        assert!((point.usd_per_million_output.unwrap() - 10.0).abs() < 0.1);
    }

    #[test]
    fn the_whole_run_keeps_vllms_and_guidellms_definitions_apart() {
        let run = measured(vec![paced(0, 100, 10)], 0, &TERMS).whole_run;
        // 19 gaps of 10 ms over 19 tokens; with the first token 290 ms over 20
        assert_eq!((run.median_tpot_ms, run.median_guidellm_tpot_ms), (Some(10.0), Some(14.5)));
        assert_eq!((run.total_output_tokens, run.median_e2el_ms, run.duration), (20, Some(290.0), 0.29));
    }
}
