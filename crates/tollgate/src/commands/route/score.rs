//! `route score`: JSON lines in, JSON lines out, so that anyone can measure the scores on prompts of their own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use router::{Doubt, Extent, Learned, Question};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line that is read.
const LINE_BYTES: u64 = 64 << 20;
/// Bad lines that are told.
const TOLD: usize = 20;

/// Flags of `route score`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// JSON lines `{"id", "prompt"}`, with --cascade also `"weak_model"` and `"response"`; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    prompts: PathBuf,
    /// Where `{"id", "score"}` goes, a line each in the same order; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Score the weak model's answer (doubt) instead of the prompt alone (difficulty)
    #[arg(long)]
    cascade: bool,
    /// How much of the answer may be read
    #[arg(long, value_enum, default_value = "whole", requires = "cascade")]
    seen: Part,
    /// Weights of your own, made by `route train`
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Part {
    /// The first 64 tokens
    #[value(name = "64")]
    Start,
    /// The first 256 tokens
    #[value(name = "256")]
    Quarter,
    Whole,
}

impl From<Part> for Extent {
    fn from(part: Part) -> Self {
        match part {
            Part::Start => Self::Start,
            Part::Quarter => Self::Quarter,
            Part::Whole => Self::Whole,
        }
    }
}

#[derive(Deserialize)]
struct Ask {
    id: Value,
    prompt: String,
    #[serde(default)]
    weak_model: Option<String>,
    #[serde(default)]
    response: Option<String>,
}

#[derive(Serialize)]
struct Scored {
    id: Value,
    score: f64,
}

/// Scores every line; if any is bad, says which, and writes nothing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let own = args.weights.as_deref().map(super::weights).transpose()?.map(Arc::new);
    let learned = match own {
        Some(own) => own,
        None => Learned::builtin().context("the built-in weights")?,
    };
    let judge = match (args.cascade, &learned.doubt) {
        (false, _) => Judge::Prompt(&learned),
        (true, Some(doubt)) => Judge::Answer(&learned, doubt, args.seen.into()),
        (true, None) => bail!("these weights were trained without answers: they have no doubt score"),
    };
    let (mut scored, mut bad, mut bad_lines) = (Vec::new(), String::new(), 0);
    for (at, line) in lines(&args.prompts)?.enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line).map_err(|e| anyhow!(e)).and_then(|ask| judge.score(ask)) {
            Ok(score) => scored.push(score),
            Err(why) => {
                bad_lines += 1;
                if bad_lines <= TOLD {
                    write!(bad, "\n  line {}: {why}", at + 1)?;
                }
            }
        }
    }
    if bad_lines > 0 {
        bail!("{} has {bad_lines} bad lines; nothing was written{bad}", args.prompts.display());
    }
    write(&args.out, &scored).with_context(|| format!("{} cannot be written", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

enum Judge<'l> {
    Prompt(&'l Learned),
    Answer(&'l Learned, &'l Doubt, Extent),
}

impl Judge<'_> {
    fn score(&self, ask: Ask) -> anyhow::Result<Scored> {
        let score = match self {
            Self::Prompt(learned) => learned.difficulty.score(&ask.prompt),
            Self::Answer(learned, doubt, seen) => {
                let Some(response) = &ask.response else { bail!("`response` is missing (--cascade)") };
                let Some(model) = &ask.weak_model else { bail!("`weak_model` is missing (--cascade)") };
                doubt.score(&Question::new(&learned.difficulty, &ask.prompt), model, response, *seen)
            }
        };
        Ok(Scored { id: ask.id, score: score.value })
    }
}

fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    let shown = path.display().to_string();
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("{shown} cannot be read"))?)
    };
    let mut source = BufReader::new(source);
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match source.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(n) if n as u64 == LINE_BYTES => {
                Some(Err(anyhow!("{shown} has a line of over {LINE_BYTES} bytes")))
            }
            Ok(_) => Some(String::from_utf8(line).with_context(|| format!("{shown} is not UTF-8"))),
            Err(e) => Some(Err(anyhow!(e).context(format!("{shown} cannot be read")))),
        }
    }))
}

fn write(path: &Path, scored: &[Scored]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for line in scored {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    if path.as_os_str() == "-" {
        std::io::stdout().write_all(&text)?;
    } else {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&text)?;
        file.flush()?;
    }
    Ok(())
}
