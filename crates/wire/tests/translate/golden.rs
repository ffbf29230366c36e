//! Golden files: whole conversations, written by us, with the expected result beside each.
//!
//! `golden/DIALECT/request/*.json`: an OpenAI body and its target in, the vendor's body out.
//! `golden/DIALECT/whole/*.json`: a vendor's answer in, our reading out.
//! `golden/DIALECT/stream/*.sse`: a vendor's events in, the client's events out; replayed cut at every byte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use catalog::Bucket;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{To, encode, reply, whole};
use crate::wire::{Content, Dialect, Ending, ErrorKind, Op, UpstreamError, door, sse};

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
    cases(dialect, "stream", |file| {
        let plain = replay(dialect, [file]);
        for cut in 1..file.len() {
            let (head, tail) = file.split_at(cut);
            assert_eq!(replay(dialect, [head, tail]), plain, "cut after byte {cut}");
        }
        assert_eq!(replay(dialect, file.chunks(1)), plain, "byte by byte");
        plain
    });
}

/// What the client gets, and how it ended.
fn replay<'a>(dialect: Dialect, reads: impl IntoIterator<Item = &'a [u8]>) -> String {
    let question = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hi"}],
    });
    let door = door(Dialect::OpenAi).unwrap();
    let mut writer = door.writer(&door.read(Op::Chat, question.to_string().into()).unwrap());
    let mut reply = reply(dialect, "m");
    let mut splitter = sse::Splitter::new(1 << 20);
    let mut out = BytesMut::new();
    let mut error = None;
    let mut marks = String::new();
    let mut take = |frame: sse::Frame, out: &mut BytesMut| {
        let mut chunks = Vec::new();
        if error.is_none() {
            error = reply.frame(frame, &mut chunks).err();
        }
        for chunk in chunks {
            marks.push(if chunk.content { '*' } else { '.' });
            writer.chunk(chunk, out);
        }
    };
    for read in reads {
        splitter.push(Bytes::copy_from_slice(read));
        for frame in splitter.by_ref() {
            take(frame.unwrap(), &mut out);
        }
    }
    if let Some(frame) = splitter.finish() {
        take(frame, &mut out);
    }
    let ending = reply.end();
    match &error {
        Some(error) => writer.error(error, &mut out),
        None if ending.complete => writer.end(&ending, &mut out),
        None => writer.error(&UpstreamError::new(ErrorKind::Truncated, Some(200), "cut"), &mut out),
    }
    let out = stable(std::str::from_utf8(&out).unwrap());
    let error = error.as_ref().map(failed).unwrap_or_default();
    format!("chunks: {marks}\n{error}{}\n{out}", ended(&ending))
}

/// Each payload with the id and time that the writer chose left out.
fn stable(events: &str) -> String {
    let mut out = String::new();
    for data in events.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        match serde_json::from_str::<Value>(data) {
            Ok(Value::Object(mut event)) => {
                event.shift_remove("id");
                event.shift_remove("created");
                writeln!(out, "{}", Value::Object(event)).unwrap();
            }
            _ => writeln!(out, "{data}").unwrap(),
        }
    }
    out
}

fn ended(ending: &Ending) -> String {
    let mut out = format!(
        "complete: {}, finish: {:?}, id: {:?}, served: {:?}, tier: {:?}, bytes: {}+{}",
        ending.complete,
        ending.finish,
        ending.id,
        ending.served_model,
        ending.tier,
        ending.output_bytes,
        ending.reasoning_bytes,
    );
    if let Some(usage) = &ending.usage {
        write!(out, "\n{:?}:", usage.basis).unwrap();
        for bucket in Bucket::ALL.into_iter().filter(|bucket| usage.get(*bucket) > 0) {
            write!(out, " {} {}", bucket.as_str(), usage.get(bucket)).unwrap();
        }
    }
    out
}

fn failed(error: &UpstreamError) -> String {
    format!("error: {:?} {:?} {:?} {:?}\n", error.kind, error.status, error.code, error.excerpt)
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

#[test]
fn gemini_requests() {
    requests(Dialect::Gemini);
}

#[test]
fn gemini_answers() {
    answers(Dialect::Gemini);
}

#[test]
fn gemini_streams() {
    streams(Dialect::Gemini);
}
