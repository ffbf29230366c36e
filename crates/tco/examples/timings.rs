//! How long a decision takes, on one core: `cargo run --release -p tollgate-tco --example timings`.
//!
//! Bars: 100,000 draws of a five-stack scenario in 2 s, a 60 × 60 grid in 1 s, the best fleet mix over 8,760 hours in
//! 100 ms. Exits 1 when one is missed. Each figure is the median of five runs, with least and most.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark program: it prints, and fails where it stands"
)]

use std::process::ExitCode;
use std::time::Instant;

use tollgate_tco::capacity::Points;
use tollgate_tco::fleet::{Rates, best_mix};
use tollgate_tco::{GridRequest, Market, Options, Scenario, decide, grid};

const SCENARIO: &str = r#"
[workload]
requests_per_day = [800_000, 1_200_000]
input_tokens = 1_200
output_tokens = 800
cached_share = [0.2, 0.5]
peak_to_mean = { p10 = 2.0, p50 = 3.0, p90 = 4.0 }
[slo]
ttft_ms = 1_000
tpot_ms = 50
[stacks.closed]
model = "openai/gpt-5.4"
discount = "0.40"
[stacks.serverless]
model = "deepinfra/meta-llama/Llama-3.3-70B-Instruct"
[stacks.hybrid]
default = "serverless"
escalate = "anthropic/claude-opus-4-7"
share_of_requests = [0.1, 0.3]
mechanism = "both"
second_pass_share = 0.15
[stacks.own]
preset = "2xH100-FP8"
model = "llama-3.3-70b"
rent = "reserved-3y"
spares = 1
[stacks.mix]
preset = "2xH100-FP8"
model = "llama-3.3-70b"
rent = "mix"
[overhead]
preset = "article"
[risk]
gpu_shortage = { price_factor = 2.0, weeks = [6, 10], per_24_months = 2 }
price_drift = { closed = [-0.4, 0.4], serverless = [-0.4, 0.4], gpu = [-0.3, 0.38], months = 18 }
model_retired = {}
vendor_outage = {}
"#;

fn median(name: &str, bar_ms: f64, mut run: impl FnMut()) -> bool {
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |i: usize| times.get(i).copied().unwrap_or(f64::NAN);
    let holds = at(2) <= bar_ms;
    let word = if holds { "holds" } else { "MISSED" };
    println!("| {name} | {:.2} ({:.2}–{:.2}) | {bar_ms} | {word} |", at(2), at(0), at(4));
    holds
}

fn main() -> ExitCode {
    let scenario = Scenario::from_toml(SCENARIO).expect("the scenario is valid");
    let catalogue = catalog::Catalogue::builtin();
    let points = Points::default();
    let market = Market {
        catalogue: &catalogue,
        at: "2026-11-24T12:00:00Z".parse().expect("a time"),
        points: &points,
    };
    let run = |draws: usize| {
        let options = Options { seed: Some(7), draws: Some(draws) };
        decide(&scenario, &market, &options).expect("it decides")
    };
    // The catalogue parses a vendor's prices when they are first asked for.
    let report = run(100);
    println!("| what | ms, median (least–most) of 5 | bar, ms | |\n|---|--:|--:|---|");
    let mut all =
        median(&format!("100,000 draws, {} stacks, whole report", report.stacks.len()), 2_000.0, || {
            run(100_000);
        });
    all &= median("one decision of 10,000 draws, whole report", 500.0, || {
        run(10_000);
    });
    let request = GridRequest {
        x: "workload.requests_per_day".into(),
        x_ends: None,
        y: "workload.peak_to_mean".into(),
        y_ends: None,
        n: 60,
    };
    all &= median("60 × 60 grid, five stacks", 1_000.0, || {
        grid(&scenario, &market, &request).expect("a grid");
    });
    // A year with days, weeks and a season, up to 400 replicas.
    let needs: Vec<usize> = (0..8_760_u32)
        .map(|hour| {
            let wave = |period: f64| (f64::from(hour) / period * std::f64::consts::TAU).sin();
            let need = 200.0 + 120.0 * wave(24.0) + 40.0 * wave(168.0) + 40.0 * wave(8_760.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 400")]
            let need = need.round() as usize;
            need
        })
        .collect();
    let rates = Rates { kept: 2.8, burst: 6.0, start_hours: 0.1 };
    all &= median("fleet mix over 8,760 hours, to 400 replicas", 100.0, || {
        std::hint::black_box(best_mix(std::hint::black_box(&needs), rates, None));
    });
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
