//! `tollgate explain`: what would be decided for a request, and why. No call is made, and no running server is asked: the
//! config and the catalogue are read as `serve` would read them, with every breaker closed.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::Table;
use gateway::config::store::Origin;
use gateway::explain::Explained;
use gateway::health::Health;
use jiff::Timestamp;

use crate::cli::Global;
use crate::{catalogue, place};

/// Flags of `explain`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A chat request as JSON; `-` reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// The model to name (with PROMPT)
    #[arg(long, default_value = "auto", conflicts_with = "file")]
    model: String,
    /// The user's message
    #[arg(required_unless_present = "file")]
    prompt: Option<String>,
}

/// Prints the decision; exit 1 when the request would be refused.
#[expect(clippy::needless_pass_by_value, reason = "all commands have one signature")]
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let prices = data_dir.clone();
    let origin =
        Origin::reading(file, Some(data_dir))?.with_catalogue(move || catalogue::with_updates(&prices));
    let config = match origin.load(1, Timestamp::now()) {
        Ok(config) => config,
        Err(errors) => anyhow::bail!("{errors}"),
    };
    let body = body(&args)?;
    match gateway::explain::explain(&config, &Health::default(), body.into()) {
        Ok(explained) => {
            let text = if global.json { serde_json::to_string_pretty(&explained)? } else { told(&explained) };
            crate::print(format_args!("{text}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            crate::say(format_args!("refused with {}: {refusal}\n", refusal.status().as_u16()));
            Ok(ExitCode::from(1))
        }
    }
}

fn body(args: &Args) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    match (&args.file, &args.prompt) {
        (Some(path), _) if path.as_os_str() == "-" => {
            std::io::stdin().read_to_end(&mut body).context("standard input cannot be read")?;
        }
        (Some(path), _) => {
            body = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        }
        (None, prompt) => {
            let message = serde_json::json!({"role": "user", "content": prompt});
            body = serde_json::to_vec(&serde_json::json!({"model": args.model, "messages": [message]}))?;
        }
    }
    Ok(body)
}

fn told(explained: &Explained) -> String {
    let decision = &explained.decision;
    let mut lines =
        vec![format!("{} → {}", explained.model, explained.first.first().map_or("–", String::as_str))];
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    lines.push(format!("  reason      {}", decision.reason));
    lines.push(format!("  input       about {} tokens", decision.input_tokens));
    lines.push(format!("  needs       {}", list(&decision.needs)));
    for rule in &decision.rules {
        lines.push(format!("  rule        {rule}"));
    }
    lines.extend(decision.difficulty.iter().flat_map(difficulty));
    lines.push(format!("  first       {}", explained.first.join(" → ")));
    if !explained.escalation.is_empty() {
        lines.push(format!("  escalation  {} ({})", explained.escalation.join(" → "), decision.how));
    }
    if !explained.last_resort.is_empty() {
        lines.push(format!("  last resort {}", explained.last_resort.join(" → ")));
    }
    lines.push(format!("  checks      {}", list(&decision.checks)));
    if !decision.hold.is_empty() {
        lines.push(format!("  held back   {}", decision.hold));
    }
    for note in &decision.notes {
        lines.push(format!("  note        {note}"));
    }
    lines.push(candidates(explained).to_string());
    for excluded in &decision.excluded {
        lines.push(format!("  excluded    {}: {}", excluded.target, excluded.why));
    }
    lines.join("\n")
}

/// The learned score of the prompt, and what of it has a name.
fn difficulty(judged: &router::Judged) -> [String; 2] {
    let features: Vec<String> =
        judged.features.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
    [
        format!(
            "  difficulty  {:.2}, threshold {}; gain on benchmarks {:+.2}; {} ({:.0} % of its word pairs); {}",
            judged.score,
            judged.over,
            judged.benchmark_gain,
            judged.domain,
            judged.coverage * 100.0,
            judged.weights
        ),
        format!("  features    {}", features.join(", ")),
    ]
}

fn candidates(explained: &Explained) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["  candidate", "of", "picked by", "breaker", "price of this request", "unsure"]);
    for kept in &explained.decision.candidates {
        let price = kept.price_usd.map_or("unknown".to_owned(), |price| format!("${price}"));
        table.add_row([
            format!("  {}", kept.target),
            kept.model.clone(),
            kept.pick.to_owned(),
            format!("{:?}", kept.up).to_lowercase(),
            price,
            kept.unsure.clone().unwrap_or_default(),
        ]);
    }
    table
}
