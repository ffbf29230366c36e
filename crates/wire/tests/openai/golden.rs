//! Golden files, written by us, each with the expected result beside it.
//!
//! `golden/openai/request/*.json`: a client's body, and what goes to several kinds of hosts.
//! `golden/openai/whole/*.json`: a vendor's answer, and what we read.
//! `golden/openai/stream/*.sse`: a vendor's bytes, and what we read and write. Each is replayed cut at every byte.

use std::fmt::Write as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use catalog::{Bucket, Facts, Quirks};
use http::HeaderMap;

use crate::wire::{
    Chunk, Content, Dialect, Ending, Endpoint, ErrorKind, Op, Part, Reply, Request, UpstreamError, door, sse,
    wire,
};

/// Each case of a kind, with the snapshot of what `run` makes of it.
fn cases(kind: &str, run: impl Fn(&str, Bytes) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending != "snap"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in paths {
            let name = path.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(name, run(name, std::fs::read(&path).unwrap().into()));
        }
    });
}

fn endpoint<'a>(quirks: &'a Quirks, facts: &'a Facts) -> Endpoint<'a> {
    Endpoint { model: "harbour/mini-2", quirks, facts, read_text: true, moved: false }
}

fn request(op: Op, stream: bool, usage: bool) -> Request {
    let body = match op {
        Op::Embedding => r#"{"model":"auto","input":"hi"}"#.to_owned(),
        _ => format!(
            r#"{{"model":"auto","messages":[{{"role":"user","content":"hi"}}],"stream":{stream},"stream_options":{{"include_usage":{usage}}}}}"#
        ),
    };
    door(Dialect::OpenAi).unwrap().read(op, body.into()).unwrap()
}

fn reply(op: Op) -> Box<dyn Reply> {
    let quirks = Quirks { reports_cost: true, ..Quirks::default() };
    let facts = Facts::default();
    wire(Dialect::OpenAi).unwrap().begin(&request(op, true, true), &endpoint(&quirks, &facts)).unwrap().reply
}

#[test]
fn requests() {
    let hosts = [
        ("plain host", Quirks::default(), false),
        ("no stream_options", Quirks { no_stream_options: true, ..Quirks::default() }, false),
        (
            "max_completion_tokens, no developer role",
            Quirks { max_completion_tokens: true, no_developer_role: true, ..Quirks::default() },
            false,
        ),
        ("moved here", Quirks::default(), true),
    ];
    cases("request", |_, body| {
        let request = door(Dialect::OpenAi).unwrap().read(Op::Chat, body).unwrap();
        let facts = Facts::default();
        let mut out = String::new();
        for (host, quirks, moved) in &hosts {
            let to = Endpoint { moved: *moved, ..endpoint(quirks, &facts) };
            let sent = wire(Dialect::OpenAi).unwrap().begin(&request, &to).unwrap();
            let body = String::from_utf8(sent.outbound.body.concat()).unwrap();
            writeln!(out, "# {host}: {}, dropped {:?}\n{body}", sent.outbound.path, sent.dropped).unwrap();
        }
        out
    });
}

#[test]
fn answers() {
    cases("whole", |name, body| {
        let op = if name.starts_with("embeddings") { Op::Embedding } else { Op::Chat };
        match reply(op).whole(&HeaderMap::new(), body) {
            Err(error) => failed(&error),
            Ok(answer) => {
                let content = match &answer.content {
                    Content::Choices(choices) => format!("{choices:#?}"),
                    other => format!("{other:?}"),
                };
                format!("{content}\n{}", ended(&answer.ending))
            }
        }
    });
}

#[test]
fn streams() {
    cases("stream", |name, body| {
        let whole = replay(&[&body]);
        for cut in 1..body.len() {
            assert_eq!(replay(&[&body[..cut], &body[cut..]]), whole, "{name} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(replay(&bytes), whole, "{name} byte by byte");
        whole
    });
}

/// What the gateway would do with a stream: what is read, and what clients get who want usage or do not.
fn replay(reads: &[&[u8]]) -> String {
    let mut splitter = sse::Splitter::new(1 << 20);
    let mut reply = reply(Op::Chat);
    let mut writers = [true, false].map(|usage| {
        (door(Dialect::OpenAi).unwrap().writer(&request(Op::Chat, true, usage)), BytesMut::new())
    });
    let mut out = String::new();
    let mut error = None;
    let mut frame = |frame, out: &mut String| {
        let mut chunks = Vec::new();
        error = error.take().or(reply.frame(frame, &mut chunks).err());
        for chunk in chunks {
            show(&chunk, out);
            for (writer, sent) in &mut writers {
                writer.chunk(chunk.clone(), sent);
            }
        }
        error.is_none()
    };
    let mut good = true;
    for read in reads {
        splitter.push(Bytes::copy_from_slice(read));
        while good && let Some(event) = splitter.next() {
            good = frame(event.unwrap(), &mut out);
        }
    }
    if good && let Some(last) = splitter.finish() {
        frame(last, &mut out);
    }
    let ending = reply.end();
    if let Some(error) = &error {
        out += &failed(error);
    }
    out += &ended(&ending);
    for ((writer, sent), who) in writers.iter_mut().zip(["usage", "no usage"]) {
        match &error {
            Some(error) => writer.error(error, sent),
            None if ending.complete => writer.end(&ending, sent),
            None => writer.error(&UpstreamError::new(ErrorKind::Truncated, None, ""), sent),
        }
        let sent = std::str::from_utf8(sent).unwrap();
        writeln!(out, "\n# to a client who wants {who}\n{sent}").unwrap();
    }
    out
}

fn show(chunk: &Chunk, out: &mut String) {
    let mark = if chunk.content { "content" } else { "-" };
    let mark = if chunk.usage_only { "usage only" } else { mark };
    writeln!(out, "{mark}").unwrap();
    for piece in &chunk.pieces {
        let part = match &piece.part {
            Part::ToolCall(call) => {
                format!("call {} id={:?} name={:?} {:?}", call.index, call.id, call.name, call.arguments)
            }
            other => format!("{other:?}"),
        };
        writeln!(out, "  {}: {part}", piece.choice).unwrap();
    }
}

fn ended(ending: &Ending) -> String {
    let mut out = format!("complete: {}, finish: {:?}\n", ending.complete, ending.finish);
    let usage = ending.usage.map(|usage| {
        let counts = Bucket::ALL.into_iter().filter(|bucket| *bucket != Bucket::Request);
        let counts =
            counts.map(|bucket| (bucket.as_str(), usage.get(bucket))).filter(|(_, count)| *count > 0);
        counts.collect::<Vec<_>>()
    });
    writeln!(out, "usage: {usage:?}").unwrap();
    let Ending { id, served_model, tier, output_bytes, reasoning_bytes, skipped_events, .. } = ending;
    writeln!(out, "id: {id:?}, served: {served_model:?}, tier: {tier:?}").unwrap();
    let cost = ending.vendor_cost.map(|cost| cost.to_string());
    writeln!(out, "vendor cost: {cost:?}, bytes: {output_bytes} + {reasoning_bytes} reasoning").unwrap();
    writeln!(out, "skipped events: {skipped_events}").unwrap();
    out
}

fn failed(error: &UpstreamError) -> String {
    let UpstreamError { kind, blame, retry, retry_after, status, code, excerpt, maybe_billed } = error;
    format!(
        "error: {} ({blame:?}, retry {retry:?} after {retry_after:?}), status {status:?}, code {code:?}, maybe billed {maybe_billed}\n  {excerpt}\n",
        kind.as_str()
    )
}
