//! `pick = "adaptive"` against fixed order, random, cheapest and always-the-best, in a simulated world where the cheapest
//! vendor slows down eightfold for a while. Prints the numbers and, with `--out DIR`, writes them and the plot there:
//!
//! `cargo run --release -p tollgate-router --example adaptive -- --out docs/adaptive`
//!
//! What it is not: a measurement of real vendors. Their times, prices and faults are declared in `world.rs`.

#![expect(clippy::print_stdout, reason = "a program that prints its result")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a broken simulation should stop")]

mod plot;
mod world;

use std::fmt::Write as _;
use std::path::PathBuf;

use world::{Policy, Scenario, Served, Trouble, means, run, settles, share, swing, vendors};

/// The slow vendor: the cheapest.
const NORTH: usize = 0;
/// Seconds of the run, and of the trouble in it.
const LENGTH: f64 = 2_400.0;
const SLOW: (f64, f64) = (800.0, 1_600.0);
/// What came before is warming up.
const WARM: f64 = 300.0;
const SEEDS: u64 = 5;

struct Case {
    name: &'static str,
    gateways: usize,
    rate: f64,
    slower: f64,
}

const CASES: [Case; 3] = [
    Case { name: "busy", gateways: 4, rate: 20.0, slower: 8.0 },
    Case { name: "quiet", gateways: 4, rate: 2.0, slower: 8.0 },
    Case { name: "crowded", gateways: 8, rate: 40.0, slower: 1.0 },
];

impl Case {
    fn scenario(&self, seed: u64) -> Scenario {
        let trouble = Trouble { vendor: NORTH, from: SLOW.0, to: SLOW.1, slower: self.slower, failing: 0.0 };
        Scenario {
            gateways: self.gateways,
            rate: self.rate,
            length: LENGTH,
            vendors: vendors(),
            troubles: vec![trouble],
            seed,
        }
    }
}

fn main() -> std::io::Result<()> {
    let out = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => None,
        [flag, dir] if flag == "--out" => Some(PathBuf::from(dir)),
        _ => return Err(std::io::Error::other("usage: adaptive [--out DIR]")),
    };
    let mut report = head();
    for case in &CASES {
        table(case, &mut report);
    }
    println!("{report}");
    if let Some(dir) = out {
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("numbers.md"), &report)?;
        let runs = Policy::ALL.map(|policy| (policy.name(), run(&CASES[0].scenario(1), policy)));
        std::fs::write(dir.join("busy.svg"), plot::draw(&runs, NORTH, LENGTH, SLOW))?;
    }
    Ok(())
}

fn head() -> String {
    let mut text = String::from(
        "# Adaptive choice, simulated\n\n\
         Written by `cargo run --release -p tollgate-router --example adaptive -- --out docs/adaptive`. Nothing here was\n\
         measured on real vendors: their prices, times and faults are declared in the program, and none of the policies has\n\
         a circuit breaker here. A call that takes 30 s has failed; then the next vendor is asked.\n\n\
         | vendor | $ per 1,000 answers | first token | tokens per second | calls at which all takes twice as long |\n\
         |---|---|---|---|---|\n",
    );
    for v in vendors() {
        let usd: f64 = 1_000.0 * v.usd.parse::<f64>().expect("a number");
        let _ =
            writeln!(text, "| {} | {usd:.2} | {} s | {} | {} |", v.name, v.ttft, v.tokens_per_second, v.room);
    }
    let _ = write!(
        text,
        "\nAnswers have about 150 tokens. *Left* is the time from the slow-down until north's share, over ten seconds, is below a\n\
         tenth and stays there for ten more; *back* is the time from the recovery until it is above four fifths of its share\n\
         before. Median and worst of {SEEDS} seeds. *Swing* is the standard deviation of north's share over windows of ten seconds\n\
         before the trouble: what herding makes large. All other columns: seed 1.\n"
    );
    text
}

fn table(case: &Case, report: &mut String) {
    let Case { name, gateways, rate, slower } = case;
    let what = if *slower > 1.0 {
        format!("north is {slower} times slower from {} to {} s", SLOW.0, SLOW.1)
    } else {
        "no trouble: more traffic than the best vendor can take".to_owned()
    };
    let _ = write!(report, "\n## {name}: {gateways} gateways, {rate} requests a second; {what}\n\n");
    report.push_str(
        "| policy | mean s before | p95 | $/1,000 | mean s during | p95 | $/1,000 | unanswered | mean s after | swing | left | back |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for policy in Policy::ALL {
        let served = run(&case.scenario(1), policy);
        let before = means(&served, WARM, SLOW.0);
        let during = means(&served, SLOW.0, SLOW.1);
        let after = means(&served, SLOW.1, LENGTH);
        let (left, back) = settling(case, policy);
        let _ = writeln!(
            report,
            "| {} | {:.2} | {:.2} | {:.3} | {:.2} | {:.2} | {:.3} | {:.1} % | {:.2} | {:.3} | {left} | {back} |",
            policy.name(),
            before.seconds,
            before.p95,
            before.usd_per_thousand,
            during.seconds,
            during.p95,
            during.usd_per_thousand,
            100.0 * during.unanswered,
            after.seconds,
            swing(&served, NORTH, WARM, SLOW.0),
        );
    }
}

/// Times to leave the slow vendor and to come back to it, over the seeds.
fn settling(case: &Case, policy: Policy) -> (String, String) {
    if case.slower <= 1.0 || matches!(policy, Policy::Order | Policy::Cheapest | Policy::Random) {
        return ("–".to_owned(), "–".to_owned());
    }
    let runs: Vec<Vec<Served>> = (1..=SEEDS).map(|seed| run(&case.scenario(seed), policy)).collect();
    let left = runs.iter().map(|r| settles(r, NORTH, SLOW.0, SLOW.1, |share| share < 0.1));
    let back = runs.iter().map(|r| {
        let usual = share(r, NORTH, WARM, SLOW.0);
        settles(r, NORTH, SLOW.1, LENGTH, |share| share > 0.8 * usual)
    });
    (spread(left.collect()), spread(back.collect()))
}

/// Median and worst; a run that never settled is the worst.
fn spread(mut times: Vec<Option<f64>>) -> String {
    let told = |time: Option<f64>| time.map_or("never".to_owned(), |s| format!("{s:.0} s"));
    times.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    format!("{}, {}", told(times[times.len() / 2]), told(times[times.len() - 1]))
}
