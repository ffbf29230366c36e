//! `tollgate tco capacity`: what one replica holds and delivers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use catalog::{ModelFacts, architecture, hardware};
use serde_json::{Value, json};
use tco::capacity::{
    self, Capacity, Estimate, Lengths, Points, Precision, Room, Setup, Slo, Speed, Unreachable,
};

use super::measured;
use crate::cli::Global;
use crate::render;

/// Flags of `capacity`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// An open model, e.g. `llama-3.3-70b`
    #[arg(long)]
    model: String,
    /// An accelerator, e.g. `H100-SXM-80GB`
    #[arg(long)]
    gpu: String,
    /// Accelerators of one replica
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    n: u32,
    /// Format of the weights: bf16, fp8, int8, fp4, int4
    #[arg(long, default_value = "fp8")]
    precision: String,
    /// Engine, with or without its version
    #[arg(long, default_value = "vllm")]
    framework: String,
    /// Tokens of a mean prompt
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    isl: u32,
    /// Tokens of a mean answer
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    osl: u32,
    /// Share of the prompt that the prefix cache holds, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    cached_share: f64,
    /// Most milliseconds to the first token
    #[arg(long, value_name = "MS", value_parser = positive)]
    ttft: Option<f64>,
    /// Most milliseconds per output token after the first
    #[arg(long, value_name = "MS", value_parser = positive)]
    tpot: Option<f64>,
    /// Requests per second at the peak: how many replicas they need
    #[arg(long, value_name = "RATE", value_parser = positive)]
    peak: Option<f64>,
    /// Share of the requests at the peak that may wait for a place, 0 to 1
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    may_wait: f64,
    /// Your own measurements; they outrank the shipped ones
    #[arg(long, value_name = "FILE.csv")]
    bench: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("not between 0 and 1".to_owned()) }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("not above 0".to_owned()) }
}

/// All that the command tells.
struct Answer<'a> {
    setup: Setup<'a>,
    lengths: Lengths,
    room: Room,
    by_load: Vec<(f64, Speed)>,
    full: Option<Speed>,
    at_slo: Result<Capacity, Unreachable>,
    replicas: Option<u32>,
}

/// Prints fit, speed by load, and the capacity within the limits. Exit code 1 if it does not fit or keep them.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(hosted) = hardware::sold_per_token(&args.gpu) {
        bail!(
            "{} is sold per token ({}); see `tollgate prices` for {}",
            hosted.id,
            hosted.note,
            hosted.provider
        );
    }
    let model = model(&args.model)?;
    let gpu = hardware::find(&args.gpu)?;
    let precision = Precision::named(&args.precision)
        .ok_or_else(|| anyhow!("no precision is named `{}`; bf16, fp8, int8, fp4, int4", args.precision))?;
    let setup = Setup { model, gpu, n_gpu: args.n, precision, framework: &args.framework };
    let lengths =
        Lengths { input: f64::from(args.isl), output: f64::from(args.osl), cached_share: args.cached_share };
    let room = match capacity::fits(&setup, &lengths) {
        Ok(room) => room,
        Err(why) => return does_not_fit(&setup, why, global),
    };
    let points = measured::points(args.bench.as_deref())?;
    let slo =
        Slo { ttft_ms: args.ttft.unwrap_or(f64::INFINITY), tpot_ms: args.tpot.unwrap_or(f64::INFINITY) };
    let at_slo = capacity::at_slo(&setup, &lengths, &slo, &points);
    let replicas = args.peak.zip(at_slo.as_ref().ok());
    let replicas = replicas.map(|(peak, one)| capacity::replicas_for_peak(peak, one, args.may_wait));
    let answer = Answer {
        setup,
        lengths,
        room,
        by_load: by_load(&setup, &lengths, room.max_batch, &points),
        full: capacity::saturated(&setup, &lengths, &points),
        at_slo,
        replicas,
    };
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&answer.json())?))?;
    } else {
        crate::print(format_args!("{}\n", answer.told(args)))?;
    }
    Ok(if answer.at_slo.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn model(name: &str) -> anyhow::Result<&'static ModelFacts> {
    let found = architecture::find(name)?;
    if let Some(warning) = found.warning {
        crate::say(format_args!("warning: {warning}\n"));
    }
    Ok(found.model)
}

fn does_not_fit(setup: &Setup<'_>, why: capacity::DoesNotFit, global: &Global) -> anyhow::Result<ExitCode> {
    if global.json {
        let answer = json!({"fits": false, "needed_gb": why.needed_gb, "usable_gb": why.usable_gb, "short_gb": why.short_gb});
        crate::print(format_args!("{answer}\n"))?;
    } else {
        crate::print(format_args!("{}: {why}\n", named(setup)))?;
    }
    Ok(ExitCode::from(1))
}

/// 1, 2, 4 … requests in flight, up to what fits.
fn by_load(setup: &Setup<'_>, lengths: &Lengths, most: f64, points: &Points) -> Vec<(f64, Speed)> {
    let loads = std::iter::successors(Some(1.0), |load| Some(load * 2.0))
        .take_while(|load| *load <= most.min(4_096.0));
    loads.filter_map(|load| Some((load, capacity::speed(setup, lengths, load, points)?))).collect()
}

fn named(setup: &Setup<'_>) -> String {
    format!(
        "{} at {} on {}×{} with {}",
        setup.model.id,
        setup.precision.name(),
        setup.n_gpu,
        setup.gpu.id,
        setup.framework
    )
}

/// A value and its band, e.g. `28.8 (27.3–30.3)`.
fn banded(estimate: Estimate) -> String {
    let short = |value: f64| match value {
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    };
    format!("{} ({}–{})", short(estimate.value), short(estimate.low), short(estimate.high))
}

impl Answer<'_> {
    fn told(&self, args: &Args) -> String {
        let row = |(load, speed): &(f64, Speed)| {
            vec![
                format!("{load:.0}"),
                banded(speed.ttft_ms),
                banded(speed.tpot_ms),
                banded(speed.output_tok_s),
                speed.basis.name().to_owned(),
            ]
        };
        let head = ["in flight", "TTFT ms", "TPOT ms", "output tok/s", "basis"];
        let mut parts = vec![
            format!(
                "{}, {} in and {} out\nweights {:.1} GB of {:.1} GB usable, {:.1} GB for keys and values: {:.0} requests",
                named(&self.setup),
                self.lengths.input,
                self.lengths.output,
                self.room.weights_gb,
                self.room.usable_gb,
                self.room.kv_gb,
                self.room.max_batch
            ),
            render::table(&head, self.by_load.iter().map(row)),
        ];
        if let Some(full) = self.full {
            parts.push(format!(
                "everything queued at once: {} output tok/s ({})",
                banded(full.output_tok_s),
                full.basis.name()
            ));
        }
        let limits = [("TTFT", args.ttft), ("TPOT", args.tpot)];
        let limits: Vec<String> =
            limits.iter().filter_map(|(name, ms)| Some(format!("{name} ≤ {} ms", (*ms)?))).collect();
        let limits = if limits.is_empty() { "no limit on latency".to_owned() } else { limits.join(", ") };
        parts.push(match &self.at_slo {
            Ok(c) => format!(
                "{limits}: {:.0} in flight, {} output tok/s ({})",
                c.concurrency,
                banded(c.output_tok_s),
                c.basis.name()
            ),
            Err(why) => format!("{limits}: {why}"),
        });
        if let Some((replicas, peak)) = self.replicas.zip(args.peak) {
            parts.push(format!(
                "{peak} requests/s at the peak: {replicas} replicas, so that at most {} % find no place (Erlang C)",
                args.may_wait * 100.0
            ));
        }
        parts.push("values with 90 % bands; TTFT is a band, not a promise".to_owned());
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        let by_load: Vec<Value> =
            self.by_load.iter().map(|(load, speed)| json!({"concurrency": load, "speed": speed})).collect();
        let at_slo = match &self.at_slo {
            Ok(c) => json!({
                "concurrency": c.concurrency,
                "output_tok_s": c.output_tok_s,
                "ttft_ms": c.ttft_ms,
                "tpot_ms": c.tpot_ms,
                "basis": c.basis,
            }),
            Err(why) => json!({"unreachable": why.to_string()}),
        };
        json!({
            "model": self.setup.model.id,
            "gpu": self.setup.gpu.id,
            "n_gpu": self.setup.n_gpu,
            "precision": self.setup.precision.name(),
            "framework": self.setup.framework,
            "isl": self.lengths.input,
            "osl": self.lengths.output,
            "fits": true,
            "weights_gb": self.room.weights_gb,
            "usable_gb": self.room.usable_gb,
            "kv_gb": self.room.kv_gb,
            "max_batch": self.room.max_batch,
            "by_load": by_load,
            "saturated": self.full,
            "at_slo": at_slo,
            "replicas": self.replicas,
        })
    }
}
