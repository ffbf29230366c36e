//! `tollgate bench`: what an endpoint can carry at an objective for latency.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::civil::Date;
use wire::Op;

use crate::bench::{self, Load, Plan, Slo, Stand};
use crate::cli::Global;
use crate::place;
use crate::render::thousands;

/// Most token events that are kept of a point: 4 bytes each.
const MOST_EVENTS: u64 = 20_000_000;

/// Flags of `bench`.
#[derive(clap::Args, Debug)]
pub struct Args {
    // boxed: it is much larger than the flags of other commands
    #[command(flatten)]
    flags: Box<Flags>,
}

#[derive(clap::Args, Debug)]
struct Flags {
    /// Base URL with the version path, e.g. <http://127.0.0.1:8000/v1>
    url: String,
    /// The model's name at the endpoint
    #[arg(long)]
    model: String,
    /// Closed loop: so many requests under way at once; several points with commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1,2,4,8,16,32,64",
        conflicts_with = "rate"
    )]
    concurrency: Vec<u32>,
    /// Open loop: Poisson arrivals at so many requests per second; several points with commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    rate: Vec<f64>,
    /// Input tokens of a request
    #[arg(long, value_name = "N", default_value_t = 512)]
    input_tokens: u64,
    /// Output tokens of a request
    #[arg(long, value_name = "N", default_value_t = 128)]
    output_tokens: u64,
    /// Objective: time to first token, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000.0)]
    ttft: f64,
    /// Objective: time per output token without the first, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    tpot: f64,
    /// Share of requests that must meet the objective
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    slo_share: f64,
    /// Requests of a point (else 8 for each slot of a closed loop)
    #[arg(long, value_name = "N")]
    requests: Option<usize>,
    /// Longest time that requests go out in a point, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    duration: u64,
    /// Cut off at the start of a point, seconds, at least until a first request has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    warm_up: f64,
    /// Longest time of a request, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Prompts share this part of their text, which the server's prefix cache then holds (else none)
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_value_t = 0.0, default_missing_value = "0.9")]
    warm: f64,
    /// Of arrival times and words
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// chat or completion
    #[arg(long, value_name = "KIND", default_value = "chat", value_parser = endpoint)]
    endpoint: Op,
    /// The endpoint's key, as `env:NAME` or `file:PATH`
    #[arg(long, value_name = "SECRET")]
    api_key: Option<String>,
    /// The server's Prometheus page, or `none` (else /metrics of the same server)
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Open loop: a server with so many requests under way counts as saturated
    #[arg(long, value_name = "N", default_value_t = 1024)]
    in_flight: usize,
    /// Goes on when a point cannot be held or the objective is out of reach
    #[arg(long)]
    keep_going: bool,
    /// What the endpoint costs per hour, for dollars per million output tokens
    #[arg(long, value_name = "USD")]
    usd_per_hour: Option<f64>,
    /// Keeps the points under this name, for `tollgate tco --bench`
    #[arg(long, value_name = "NAME", value_parser = bench::save_name, requires_all = ["gpu", "precision", "engine"])]
    save: Option<String>,
    /// With --save: accelerator, e.g. H100-SXM-80GB
    #[arg(long, value_name = "ID")]
    gpu: Option<String>,
    /// With --save: accelerators of the endpoint
    #[arg(long, value_name = "N", default_value_t = 1)]
    gpus: u32,
    /// With --save: precision of the weights, e.g. fp8
    #[arg(long, value_name = "WORD")]
    precision: Option<String>,
    /// With --save: engine and version, e.g. "vllm 0.11.0"
    #[arg(long, value_name = "TEXT")]
    engine: Option<String>,
    /// With --save: the checkpoint, where the endpoint calls it otherwise
    #[arg(long, value_name = "NAME")]
    checkpoint: Option<String>,
    /// With --save: parallelism, e.g. tp2
    #[arg(long, value_name = "WORD", default_value = "")]
    parallel: String,
    /// With --save: the day of the measurement (else today)
    #[arg(long, value_name = "DAY", value_parser = bench::date)]
    date: Option<Date>,
}

fn endpoint(word: &str) -> Result<Op, String> {
    match word {
        "chat" => Ok(Op::Chat),
        "completion" | "completions" => Ok(Op::Completion),
        _ => Err("it is `chat` or `completion`".to_owned()),
    }
}

/// Runs the sweep and prints it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let args = *args.flags;
    let wrong = mistakes(&args);
    if !wrong.is_empty() {
        crate::say(format_args!("error: {}\n", wrong.join("\n       ")));
        return Ok(ExitCode::from(2));
    }
    let stand = stand(&args);
    let data_dir = match &stand {
        Some(_) => Some(place::data_dir(global, place::config_file(global).as_deref())?),
        None => None,
    };
    let key = args.api_key.as_deref().map(bench::secret).transpose()?;
    let address = bench::Address::read(&args.url, key, args.metrics.as_deref())?;
    let plan = plan(args)?;
    announce(&plan);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(bench::run(address, plan))?;
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        crate::print(format_args!("{}", report.table()))?;
    }
    if let Some((stand, dir)) = stand.zip(data_dir) {
        let path = bench::save(&report, &stand, &dir)?;
        crate::say(format_args!("kept as {}\n", path.display()));
    }
    if report.points.iter().all(|point| point.ok == 0) {
        bail!("no request was answered");
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is wrong with the flags, at once.
fn mistakes(args: &Flags) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |fine: bool, message: &str| {
        if !fine {
            wrong.push(message.to_owned());
        }
    };
    let share = |value: f64| (0.0..=1.0).contains(&value);
    check(args.concurrency.iter().all(|n| (1..=10_000).contains(n)), "--concurrency lies in 1 to 10000");
    check(
        args.rate.iter().all(|rate| *rate > 0.0 && *rate <= 10_000.0),
        "--rate lies above 0 and at most at 10000 requests per second",
    );
    check((1..=10_000_000).contains(&args.input_tokens), "--input-tokens lies in 1 to 10000000");
    check((1..=1_000_000).contains(&args.output_tokens), "--output-tokens lies in 1 to 1000000");
    check(args.ttft > 0.0 && args.ttft.is_finite(), "--ttft is a positive number of milliseconds");
    check(args.tpot > 0.0 && args.tpot.is_finite(), "--tpot is a positive number of milliseconds");
    check(share(args.slo_share) && args.slo_share > 0.0, "--slo-share lies above 0 and at most at 1");
    check(share(args.warm), "--warm is a share between 0 and 1");
    check(args.requests != Some(0), "--requests is at least 1");
    check((1..=3_000).contains(&args.duration), "--duration lies in 1 to 3000 seconds");
    check((1..=1_000).contains(&args.timeout), "--timeout lies in 1 to 1000 seconds");
    check((0.0..=3_000.0).contains(&args.warm_up), "--warm-up lies in 0 to 3000 seconds");
    check((1..=100_000).contains(&args.in_flight), "--in-flight lies in 1 to 100000");
    check(args.gpus > 0, "--gpus is at least 1");
    check(
        args.usd_per_hour.is_none_or(|usd| usd > 0.0 && usd.is_finite()),
        "--usd-per-hour is a positive amount",
    );
    let named = args.gpu.is_some() || args.precision.is_some() || args.engine.is_some();
    check(
        args.save.is_some() || !named,
        "--gpu, --precision and --engine describe a measurement: give --save, too",
    );
    wrong
}

fn stand(args: &Flags) -> Option<Stand> {
    let today = || jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    Some(Stand {
        name: args.save.clone()?,
        checkpoint: args.checkpoint.clone(),
        gpu: args.gpu.clone()?,
        gpus: args.gpus,
        precision: args.precision.clone()?,
        engine: args.engine.clone()?,
        parallel: args.parallel.clone(),
        date: args.date.unwrap_or_else(today),
    })
}

fn plan(args: Flags) -> anyhow::Result<Plan> {
    let loads: Vec<Load> = if args.rate.is_empty() {
        args.concurrency.iter().map(|n| Load::Closed { concurrency: *n as usize }).collect()
    } else {
        args.rate.iter().map(|rate| Load::Open { rate: *rate }).collect()
    };
    let run = gateway::app::new_id().to_string();
    let plan = Plan {
        model: args.model,
        op: args.endpoint,
        loads,
        requests: args.requests,
        duration: Duration::from_secs(args.duration),
        warm_up: Duration::from_secs_f64(args.warm_up),
        timeout: Duration::from_secs(args.timeout),
        input_tokens: args.input_tokens,
        output_tokens: args.output_tokens,
        warm: args.warm,
        seed: args.seed,
        // the random end of it is enough, and few tokens
        run: run.get(run.len().saturating_sub(8)..).unwrap_or(&run).to_lowercase(),
        in_flight: args.in_flight,
        stop_early: !args.keep_going,
        slo: Slo { ttft_ms: args.ttft, tpot_ms: args.tpot, share: args.slo_share },
        usd_per_hour: args.usd_per_hour,
    };
    for load in &plan.loads {
        let events = (plan.requests_of(*load) as u64).checked_mul(plan.output_tokens);
        events.filter(|events| *events <= MOST_EVENTS).with_context(|| {
            format!(
                "{load}: {} requests of {} output tokens are more than {} token events, which would not fit in \
                 memory\nhint: fewer --requests, or a shorter --duration",
                thousands(plan.requests_of(*load) as u64),
                thousands(plan.output_tokens),
                thousands(MOST_EVENTS)
            )
        })?;
    }
    Ok(plan)
}

/// What is about to be sent, since it may cost money.
fn announce(plan: &Plan) {
    let requests: u64 = plan.loads.iter().map(|load| plan.requests_of(*load) as u64).sum();
    let tokens = requests.saturating_mul(plan.input_tokens + plan.output_tokens);
    crate::say(format_args!(
        "{} points, at most {} requests with {} tokens in all\n",
        plan.loads.len(),
        thousands(requests),
        thousands(tokens)
    ));
}
