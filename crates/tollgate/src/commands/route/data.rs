//! `tollgate route data`: results of one's own regression suite as training data for `route train`.
//!
//! The ledger cannot be trained on: it holds no prompts. A suite does, and its results say what either model made of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::eval::results::{CaseResult, Outcome, Results, Run};
use crate::eval::suite::{self, Case, Suite};

/// Flags of `route data`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The suite
    #[arg(long, value_name = "FILE")]
    suite: PathBuf,
    /// Results of `tollgate eval run` with both models
    #[arg(long, value_name = "FILE")]
    results: PathBuf,
    /// The weak model, as the results name it
    #[arg(long, value_name = "MODEL")]
    weak: String,
    /// The strong one
    #[arg(long, value_name = "MODEL")]
    strong: String,
    /// Where `pairs.json`, `train` and `cascade` go; a folder of its own
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the files.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let suite = suite::read(&args.suite).map_err(|mistakes| anyhow::anyhow!("{}", mistakes.join("\n")))?;
    let shown = args.results.display().to_string();
    let text = std::fs::read_to_string(&args.results).with_context(|| shown.clone())?;
    let results: Results = serde_json::from_str(&text).with_context(|| shown.clone())?;
    if results.suite_sha256 != suite.sha256 {
        bail!(
            "{shown} is of another suite, or of this one before it was changed: run it again (answers are kept)"
        );
    }
    let found = convert(&suite, find(&results, &args.weak)?, find(&results, &args.strong)?);
    if args.out.join("pairs.json").exists() {
        bail!("{} has training data already: name another folder", args.out.display());
    }
    let file = format!("{}.jsonl", file_name(&suite.name));
    write(&args.out.join("train"), &file, &found.train)?;
    write(&args.out.join("cascade"), &file, &found.cascade)?;
    let pairs = json!([{"dataset": suite.name, "weak": args.weak, "strong": args.strong, "default": true}]);
    write(&args.out, "pairs.json", &format!("{pairs}\n"))?;
    crate::say(format_args!(
        "{} prompts in {}; {} of the suite's cases have no verdict of both models or no text prompt\n",
        found.kept,
        args.out.display(),
        suite.cases.len() - found.kept
    ));
    Ok(ExitCode::SUCCESS)
}

fn find<'r>(results: &'r Results, model: &str) -> anyhow::Result<&'r Run> {
    let found = results.runs.iter().find(|run| run.model == model);
    found.with_context(|| {
        let names: Vec<&str> = results.runs.iter().map(|run| run.model.as_str()).collect();
        format!("the results have no run of `{model}`; they have {}", names.join(", "))
    })
}

/// Lines of both files.
#[derive(Default)]
struct Found {
    train: String,
    cascade: String,
    kept: usize,
}

fn convert(suite: &Suite, weak: &Run, strong: &Run) -> Found {
    let mut found = Found::default();
    for case in &suite.cases {
        let result = |run: &Run| run.cases.iter().find(|result| result.id == case.id).cloned();
        let (Some(prompt), Some(by_weak), Some(by_strong)) = (prompt(case), result(weak), result(strong))
        else {
            continue;
        };
        let (Some(weak_score), Some(strong_score)) = (score(&by_weak), score(&by_strong)) else { continue };
        found.kept += 1;
        // Cases count as no near-duplicates of each other: only who wrote the suite knows.
        let line = json!({
            "id": case.id, "dataset": suite.name, "group": case.id, "prompt": prompt,
            "scores": {&weak.model: weak_score, &strong.model: strong_score},
        });
        // Writing to a String cannot fail.
        let _ = writeln!(found.train, "{line}");
        let Some(response) = by_weak.answer else { continue };
        let line = json!({
            "id": case.id, "dataset": suite.name, "prompt": prompt, "weak_model": weak.model,
            "response": response, "weak_score": weak_score, "strong_score": strong_score,
        });
        let _ = writeln!(found.cascade, "{line}");
    }
    found
}

/// 1 for a pass, 0 for a failure; nothing when there was no verdict.
fn score(result: &CaseResult) -> Option<f64> {
    match result.result {
        Outcome::Pass => Some(1.0),
        Outcome::Fail => Some(0.0),
        Outcome::Unanswered | Outcome::Skipped => None,
    }
}

/// The last user message, which the gate's scores read too; `None` when it is no text.
fn prompt(case: &Case) -> Option<&str> {
    let messages = case.body.get("messages")?.as_array()?;
    let last =
        messages.iter().rfind(|message| message.get("role").and_then(Value::as_str) == Some("user"))?;
    last.get("content")?.as_str()
}

/// A name that is a file's, too.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
}

fn write(folder: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let file = folder.join(file);
    std::fs::write(&file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use router::train::data::Data;

    use super::*;
    use crate::eval::results::tests::case;

    #[test]
    fn results_become_data_that_training_reads() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ours.toml");
        let mut cases = String::new();
        for n in 0..30 {
            writeln!(
                cases,
                "[[case]]\nid = \"c{n}\"\nprompt = \"What is {n}?\"\ncheck = {{ exact = \"{n}\" }}"
            )
            .unwrap();
        }
        std::fs::write(&file, cases).unwrap();
        let suite = suite::read(&file).unwrap();
        let results = |passes: &dyn Fn(usize) -> Outcome| {
            (0..30).map(|n| case(&format!("c{n}"), passes(n))).collect::<Vec<_>>()
        };
        let weak = results(&|n| match n % 3 {
            0 => Outcome::Pass,
            1 => Outcome::Fail,
            _ if n == 29 => Outcome::Unanswered,
            _ => Outcome::Fail,
        });
        let (weak, strong) = (Run::new("w", 1.0, weak), Run::new("s", 1.0, results(&|_| Outcome::Pass)));
        let found = convert(&suite, &weak, &strong);
        assert_eq!(found.kept, 29, "what has no verdict is left out");
        let mut data = Data::default();
        data.add_prompts("t", &found.train).unwrap();
        data.add_answers("c", &found.cascade).unwrap();
        data.set_pairs("p", r#"[{"dataset": "ours", "weak": "w", "strong": "s", "default": true}]"#).unwrap();
        data.check().unwrap();
        assert_eq!(data.prompts[1].prompt, "What is 1?");
        assert_eq!((data.answers[0].weak_score, data.answers[1].weak_score), (1.0, 0.0));
        assert_eq!(file_name("a/b c"), "a-b-c");
    }
}
