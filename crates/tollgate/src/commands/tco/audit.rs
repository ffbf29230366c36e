//! `tollgate tco audit`: published claims worked out again. Exit 1 when a claim fails, 3 when the file cannot be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use tco::audit::{ClaimError, Claims, Judged, Verdict};

use crate::cli::Global;
use crate::render;

/// A page.
const WIDTH: u16 = 100;

/// Flags of `tco audit`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The claims file: inputs, and claims with the formulas that connect them (docs/audit.md)
    file: PathBuf,
    /// Say beside each claim what helps to read it: why, and what other inputs would give
    #[arg(long)]
    readings: bool,
}

/// Prints every claim with what is stated, what follows, and the verdict.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let shown = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("{shown} cannot be read"))?;
    let judged = match Claims::read(&text).and_then(|claims| claims.audit()) {
        Ok(judged) => judged,
        Err(errors) => {
            tell(&shown, &errors);
            return Ok(ExitCode::from(3));
        }
    };
    let fails = judged.iter().filter(|claim| claim.verdict.is_some_and(Verdict::fails)).count();
    if global.json {
        let answer = json!({"file": shown, "claims": judged, "failed": fails});
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&answer)?))?;
    } else {
        let rows = judged.iter().map(|claim| row(claim, args.readings));
        let table = render::fitted(&["id", "claim", "stated", "recomputed", "verdict"], rows, WIDTH);
        crate::print(format_args!("{table}\n\n{}\n", summary(&judged, fails)))?;
        if !args.readings {
            crate::say(format_args!("`--readings` says why, and what other inputs would give\n"));
        }
    }
    Ok(if fails == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn row(claim: &Judged, readings: bool) -> Vec<String> {
    let mut text = claim.quote.clone();
    if readings && !claim.reading.is_empty() {
        text = format!("{text}\n[{}]", claim.reading);
    }
    vec![
        claim.id.clone(),
        text,
        claim.stated.clone().unwrap_or_else(|| "–".to_owned()),
        claim.recomputed.clone(),
        claim.verdict.map_or("finding", Verdict::label).to_owned(),
    ]
}

/// `1 ok, 1 wrong` and, on a line of its own, `2 claims, 1 fail`.
fn summary(judged: &[Judged], fails: usize) -> String {
    let mut counts = BTreeMap::new();
    for claim in judged {
        *counts.entry(claim.verdict.map_or((1, "findings"), |verdict| (0, verdict.label()))).or_insert(0) +=
            1;
    }
    let counts: Vec<String> = counts.iter().map(|((_, label), count)| format!("{count} {label}")).collect();
    let plural = if judged.len() == 1 { "" } else { "s" };
    format!("{}\n{} claim{plural}, {fails} fail", counts.join(", "), judged.len())
}

fn tell(file: &str, errors: &[ClaimError]) {
    for error in errors {
        crate::say(format_args!("{file}:{error}\n"));
    }
    let count = errors.len();
    crate::say(format_args!("{count} error{} in {file}\n", if count == 1 { "" } else { "s" }));
}
