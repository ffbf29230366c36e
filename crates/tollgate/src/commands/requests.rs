//! `tollgate requests`: recent requests, or one with every attempt, its bill and its decision.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use ledger::{AttemptDetail, Page, Reader, RequestDetail, RequestId, RequestQuery, RequestRow};

use super::spend::{self, Which, dollars, plain, printable};
use crate::cli::Global;

/// Flags of `requests`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Everything about this one: our id (`x-request-id`), or the id that the client sent
    id: Option<String>,
    /// How many, newest first (at most 1000)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those before this one: the last id of the page before
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Prints the requests.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let period = args.which.period()?;
    let cursor = args.before.as_deref().map(ledger::cursor).transpose().context("--before")?;
    let reader = spend::open(global)?;
    if let Some(id) = &args.id {
        let detail = find(&reader, id)?;
        let text = if global.json { serde_json::to_string_pretty(&detail)? } else { told(&detail) };
        crate::print(format_args!("{text}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let query = RequestQuery { limit: args.limit, cursor, period, filter: args.which.filter };
    let page = reader.requests(&query)?;
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&page)?))?;
    } else {
        crate::print(format_args!("{}\n", list(&page)))?;
        if let Some(next) = page.next {
            crate::say(format_args!("more: --before {next}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(reader: &Reader, id: &str) -> anyhow::Result<RequestDetail> {
    if let Ok(ours) = RequestId::from_string(id)
        && let Some(detail) = reader.request(ours)?
    {
        return Ok(detail);
    }
    let named = reader.by_client_id(id)?;
    match named[..] {
        [] => {
            anyhow::bail!("no request has the id `{}`\nhint: `tollgate requests` lists them", printable(id))
        }
        [one] => reader.request(one)?.context("the request is gone"),
        _ => {
            let ids: Vec<String> = named.iter().map(ToString::to_string).collect();
            anyhow::bail!(
                "a client sent `{}` more than once\nhint: choose one of {}",
                printable(id),
                ids.join(", ")
            )
        }
    }
}

fn list(page: &Page) -> String {
    let header = [
        "id",
        "started",
        "key",
        "route",
        "answered by",
        "reason",
        "status",
        "attempts",
        "input",
        "output",
        "ms",
        "cost $",
    ];
    let mut table = plain(&header, 6);
    for request in &page.requests {
        table.add_row(line(request));
    }
    table.trim_fmt()
}

fn line(request: &RequestRow) -> [String; 12] {
    let head = &request.head;
    let answered = head.provider.as_ref().zip(head.model.as_ref());
    [
        head.id.to_string(),
        head.started_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        head.key.as_deref().map_or("–".to_owned(), printable),
        head.route.as_deref().map_or("(pinned)".to_owned(), printable),
        answered.map_or("–".to_owned(), |(provider, model)| printable(&format!("{provider}/{model}"))),
        printable(&head.reason),
        status(head.status),
        request.attempts.len().to_string(),
        head.usage.input_tokens.to_string(),
        head.usage.output_tokens.to_string(),
        milliseconds(head.duration_ms),
        head.cost_usd.map_or("unknown".to_owned(), dollars),
    ]
}

fn status(status: i64) -> String {
    if status == 0 { "–".to_owned() } else { status.to_string() }
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or("–".to_owned(), |ms| format!("{ms:.0}"))
}

fn told(request: &RequestDetail) -> String {
    let head = &request.head;
    let mut out = String::new();
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<12} {}", printable(value));
    };
    say("request", &head.id.to_string());
    if let Some(id) = &head.client_request_id {
        say("client's id", id);
    }
    say("started", &head.started_at.to_string());
    say("key", head.key.as_deref().unwrap_or("–"));
    say(
        "model",
        &format!("{} ({}{})", head.requested_model, head.op, if head.stream { ", streamed" } else { "" }),
    );
    say("route", head.route.as_deref().unwrap_or("(pinned)"));
    say("reason", &head.reason);
    say("status", &status(head.status));
    for (name, value) in &head.tags {
        say("tag", &format!("{name}={value}"));
    }
    say(
        "time",
        &format!("{} ms, first byte after {} ms", milliseconds(head.duration_ms), milliseconds(head.ttft_ms)),
    );
    let cost = head.cost_usd.map_or("unknown".to_owned(), |cost| format!("${cost}"));
    say("cost", &format!("{cost} ({})", head.cost_basis));
    if let (Some(saving), Some(baseline), Some(target)) =
        (head.saving_usd, request.baseline_usd, &request.baseline_target)
    {
        say("saved", &format!("${saving} against {target} at ${baseline} (an estimate)"));
    }
    for attempt in &request.attempts {
        told_attempt(&mut out, attempt);
    }
    if let Some(decision) = &request.decision {
        let pretty = serde_json::from_str::<serde_json::Value>(decision.get())
            .and_then(|value| serde_json::to_string_pretty(&value));
        let _ = write!(out, "\ndecision {}", pretty.unwrap_or_default());
    }
    out
}

fn told_attempt(out: &mut String, attempt: &AttemptDetail) {
    let row = &attempt.row;
    let status = row.status.map_or(String::new(), |status| format!(" {status}"));
    let _ = writeln!(out, "\nattempt {} {}: {}{status}", attempt.seq, printable(&row.target), row.outcome);
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<10} {}", printable(value));
    };
    say("id", &row.id.to_string());
    if let Some(error) = &row.error {
        say("error", &format!("{error}: {}", attempt.excerpt.as_deref().unwrap_or_default()));
    }
    if let Some(served) = &attempt.served_model {
        say("served by", served);
    }
    say(
        "time",
        &format!(
            "{} ms, first content after {} ms",
            milliseconds(row.duration_ms),
            milliseconds(row.ttft_ms)
        ),
    );
    let cost = row.cost_usd.map_or("unknown".to_owned(), |cost| format!("${cost}"));
    let why = attempt.cost_unknown.as_ref().map_or(String::new(), |why| format!(": {why}"));
    say("cost", &format!("{cost} ({}{why})", row.cost_basis));
    if !attempt.catalogue_version.is_empty() {
        say("priced by", &attempt.catalogue_version);
    }
    if let Some(vendor) = attempt.vendor_cost_usd {
        say("vendor says", &format!("${vendor}"));
    }
    for line in &attempt.price_lines {
        say(
            &line.bucket,
            &format!("{} × ${} per million = ${}", line.units, line.usd_per_million, line.amount_usd),
        );
    }
    for later in &attempt.adjustments {
        say("later", &format!("{} {}", later.kind, later.note.as_deref().unwrap_or_default()));
    }
}
