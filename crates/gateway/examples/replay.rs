//! How fast the ledger is replayed, and in how much memory.
//!
//! ```text
//! cargo run --release -p tollgate-gateway --example replay -- make DIR 1000000
//! cargo run --release -p tollgate-gateway --example replay -- run DIR
//! ```
//!
//! `make` hands in requests of a made-up service: a cheap model answers, a fifth of its answers is turned down, a tenth
//! goes to the flagship at once. `run` replays them against other prices, then against another policy, and prints time,
//! processor time and the peak of resident memory (each `run` is a process of its own, so that peak is the replay's).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a measuring program"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{Basis, Catalogue, Context, Money, Tier, Usage};
use jiff::Timestamp;
use ledger::{
    AttemptClose, CostBasis, Intent, Ledger, Options, Outcome, Reader, RequestClose, RequestId, RequestOpen,
    TrafficQuery,
};
use tollgate_gateway::config::Config;
use tollgate_gateway::replay::{self, World};

const CHEAP: (&str, &str) = ("together", "openai/gpt-oss-120b");
const FLAGSHIP: (&str, &str) = ("anthropic", "claude-opus-4-7");

/// Another policy for them: another vendor for the cheap model, and long inputs to the flagship at once.
const POLICY: &str = r#"
[providers.groq]
api_key = "env:KEY"
[providers.anthropic]
api_key = "env:KEY"
[routes.auto]
default = "groq/openai/gpt-oss-120b"
escalate = "anthropic/claude-opus-4-7"
escalate_before = [{ input_tokens_over = 1_950 }]
escalate_after = ["empty", "refusal"]
"#;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", dir, requests] => make(Path::new(dir), requests.parse().unwrap()),
        ["run", dir] => run(Path::new(dir)),
        _ => println!("make DIR REQUESTS | run DIR"),
    }
}

fn run(dir: &Path) {
    let catalogue = Arc::new(Catalogue::builtin());
    let policy = Config::from_toml_with(POLICY, &|_| Some("no-key".to_owned()));
    let policy = Arc::new(policy.unwrap());
    for (name, policy) in [("other prices", None), ("another policy", Some(policy))] {
        let world = World {
            catalogue: Arc::clone(&catalogue),
            policy,
            paid_at: Arc::clone(&catalogue),
            at: Timestamp::now(),
            assumed_ratio: None,
        };
        let (wall, cpu) = (Instant::now(), cpu_time());
        let reader = Reader::open(dir).unwrap();
        let report = replay::run(&reader, &TrafficQuery::default(), &world).unwrap();
        let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        let total = &report.total;
        let unknown: u64 = total.unknown.values().sum();
        println!(
            "{name}: {} requests ({} exact, {} estimated, {unknown} unknown) in {wall:.2?}, CPU {cpu:.2?}; peak of memory {}",
            total.requests,
            total.exact_requests,
            total.estimated_requests,
            peak()
        );
        println!(
            "  paid ${}, would cost ${:.2} ({:.2} to {:.2})",
            total.actual.cost_usd, total.replayed_usd.mean, total.replayed_usd.low, total.replayed_usd.high
        );
    }
}

/// `VmHWM` of `/proc/self/status`.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    line.trim().to_owned()
}

/// User and system time of the process from `/proc`, to a hundredth of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>() * 10)
}

fn make(dir: &Path, requests: u64) {
    let (ledger, _) = Ledger::open(dir, Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let prices = Catalogue::builtin();
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..requests {
        runtime.block_on(one(&ledger, &prices, n, &mut random));
        if n % 20_000 == 0 {
            // the writer keeps up, so that nothing is dropped
            ledger.flush().unwrap();
        }
    }
    ledger.flush().unwrap();
    println!("{:?}", ledger.stats());
    ledger.close().unwrap();
}

async fn one(ledger: &Ledger, prices: &Catalogue, n: u64, random: &mut fastrand::Rng) {
    let ms = 1_793_491_200_000 + n * 40;
    let started_at = Timestamp::from_millisecond(ms.cast_signed()).unwrap();
    let open = Arc::new(RequestOpen {
        id: RequestId::from_parts(ms, u128::from(n) << 8),
        client_request_id: None,
        started_at,
        key: Some(format!("key{}", n % 7)),
        route: Some("auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat",
        stream: n.is_multiple_of(2),
        tags: vec![("team".to_owned(), format!("t{}", n % 3))],
        session: n,
        config_version: 1,
    });
    let input = 100 + random.u64(..1_900);
    let (reason, calls): (&str, &[(_, Outcome)]) = match n % 10 {
        0 => ("matched:prove", &[(FLAGSHIP, Outcome::Ok)]),
        1 | 2 => ("check:refusal", &[(CHEAP, Outcome::Rejected), (FLAGSHIP, Outcome::Ok)]),
        _ => ("default", &[(CHEAP, Outcome::Ok)]),
    };
    for (seq, ((provider, model), outcome)) in calls.iter().enumerate() {
        let longer = if *provider == FLAGSHIP.0 { 6 } else { 5 };
        let output = if *outcome == Outcome::Rejected { 20 } else { 50 + random.u64(..900) };
        let usage = Usage { input: input * longer / 5, output, basis: Basis::Reported, ..Usage::default() };
        let offer = prices.offer(provider, model).unwrap();
        let context = Context { tier: Tier::Standard, region: None, at: started_at };
        let cost = offer.price(&usage, &context);
        let intent = Intent {
            id: RequestId::from_parts(ms, u128::from(n) << 8 | (1 + seq as u128)),
            request: Arc::clone(&open),
            seq: seq as u16,
            provider: (*provider).to_owned(),
            model: (*model).to_owned(),
            upstream_key: 0,
            started_at,
            estimate: usage,
            estimated_cost: cost.total().or(Some(Money::ZERO)),
            catalogue_version: prices.version().to_owned(),
        };
        let id = intent.id;
        ledger.intent(intent).await.unwrap();
        ledger.close_attempt(AttemptClose {
            id,
            request: open.id,
            outcome: *outcome,
            status: Some(200),
            error: None,
            excerpt: None,
            ttft_us: Some(250_000),
            duration_us: 900_000,
            usage,
            cost,
            cost_basis: CostBasis::Reported,
            vendor_cost: None,
            served_model: None,
            finish: Some("stop"),
        });
    }
    let (provider, model) = calls.last().unwrap().0;
    let yes = if reason == "matched:prove" { "yes, `prove`" } else { "no" };
    let decision = format!(
        r#"{{"route":"auto","reason":"{reason}","input_tokens":{input},"needs":[],"rules":["matches /prove/: {yes}"],"candidates":[{{"target":"together/openai/gpt-oss-120b","model":"cheap","role":"first","pick":"order","up":"closed","price_usd":"0.00039","ttft_ms":null,"weight":1}},{{"target":"anthropic/claude-opus-4-7","model":"flagship","role":"escalation","pick":"order","up":"closed","price_usd":"0.0141","ttft_ms":null,"weight":1}}],"excluded":[],"checks":["empty","refusal"],"hold":"the first 64 tokens, at most 1500 ms","how":"fresh","notes":[]}}"#
    );
    ledger.close_request(RequestClose {
        open,
        status: 200,
        reason: reason.to_owned(),
        provider: Some(provider.to_owned()),
        model: Some(model.to_owned()),
        duration_us: 901_000,
        ttft_us: Some(251_000),
        attempts: calls.len() as u16,
        saving: None,
        decision,
    });
}
