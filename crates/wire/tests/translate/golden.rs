//! Golden files: whole conversations, written by us, with the expected result beside each.
//!
//! `golden/DIALECT/request/*.json`: an OpenAI body and its target in, the vendor's body out.
//! `golden/DIALECT/whole/*.json`: a vendor's answer in, our reading out.
//! `golden/DIALECT/stream/*.sse`: a vendor's events in, our pieces out; replayed cut at every byte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{To, encode, reply, whole};
use crate::wire::{Chunk, Content, Dialect, Ending, Part, UpstreamError, sse};

fn folder(dialect: Dialect) -> PathBuf {
    let name = match dialect {
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
        Dialect::OpenAi => "openai",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Each case of a kind, with the snapshot of what `run` makes of it.
fn cases(dialect: Dialect, kind: &str, run: impl Fn(&[u8]) -> String) {
    let folder = folder(dialect).join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json" || ext == "sse"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in paths {
            let name = path.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(name, run(&std::fs::read(&path).unwrap()));
        }
    });
}

#[derive(Deserialize)]
struct Case {
    model: String,
    #[serde(default)]
    max_output: Option<u64>,
    #[serde(default)]
    moved: bool,
    body: Value,
}

fn requests(dialect: Dialect) {
    cases(dialect, "request", |file| {
        let Case { model, max_output, moved, body } = serde_json::from_slice(file).unwrap();
        let to = To { model, max_output, moved };
        match encode(dialect, &to, &body) {
            Ok((body, dropped)) => format!("dropped: {dropped:?}\n{body:#}"),
            Err(refused) => format!("refused: {refused}"),
        }
    });
}

fn answers(dialect: Dialect) {
    cases(dialect, "whole", |file| {
        let body: Value = serde_json::from_slice(file).unwrap();
        match whole(dialect, "m", &body) {
            Ok(answer) => {
                let mut out = String::new();
                if let Content::Choices(choices) = answer.content {
                    for choice in choices {
                        writeln!(out, "{choice:#?}").unwrap();
                    }
                }
                out + &ended(&answer.ending)
            }
            Err(error) => failed(&error),
        }
    });
}

fn streams(dialect: Dialect) {
    cases(dialect, "stream", |file| replay(dialect, &frames(file)));
}

fn frames(file: &[u8]) -> Vec<sse::Frame> {
    let text = std::str::from_utf8(file).unwrap();
    let data = |event: &str| {
        let lines: Vec<_> =
            event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let events = text.split("\n\n").filter_map(data);
    events.map(|data| sse::Frame { event: Bytes::new(), data: data.into() }).collect()
}

fn replay(dialect: Dialect, frames: &[sse::Frame]) -> String {
    let mut reply = reply(dialect, "m");
    let mut out = String::new();
    for frame in frames {
        let mut chunks = Vec::new();
        let result = reply.frame(frame.clone(), &mut chunks);
        for chunk in &chunks {
            show(chunk, &mut out);
        }
        if let Err(error) = result {
            out += &failed(&error);
            break;
        }
    }
    out + &ended(&reply.end())
}

fn show(chunk: &Chunk, out: &mut String) {
    if chunk.pieces.is_empty() {
        writeln!(out, "-").unwrap();
    }
    for piece in &chunk.pieces {
        let choice = piece.choice;
        let mark = if chunk.content { "*" } else { " " };
        let part = match &piece.part {
            Part::Text(text) => format!("text {text:?}"),
            Part::Reasoning(text) => format!("reasoning {text:?}"),
            Part::ReasoningDetail(detail) => format!("detail {detail}"),
            Part::Refusal(text) => format!("refusal {text:?}"),
            Part::ToolCall(call) => {
                format!("call {} id={:?} name={:?} {:?}", call.index, call.id, call.name, call.arguments)
            }
            Part::Finish(finish) => format!("finish {}", finish.as_str()),
        };
        writeln!(out, "{choice}{mark} {part}").unwrap();
    }
}

fn ended(ending: &Ending) -> String {
    format!("{ending:#?}")
}

fn failed(error: &UpstreamError) -> String {
    format!("error: {error:#?}\n")
}

#[test]
fn anthropic_requests() {
    requests(Dialect::Anthropic);
}

#[test]
fn anthropic_answers() {
    answers(Dialect::Anthropic);
}

#[test]
fn anthropic_streams() {
    streams(Dialect::Anthropic);
}
