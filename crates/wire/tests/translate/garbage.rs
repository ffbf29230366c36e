//! Bad bytes from either side: an error or an answer, never a panic, never a clean end that was not one.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{begin, reply, to};
use crate::wire::{Dialect, Op, sse};

const DIALECTS: [(Dialect, &str); 2] =
    [(Dialect::Anthropic, "claude-sonnet-4-5"), (Dialect::Gemini, "gemini-3-flash-preview")];

/// Every golden file of a kind, of both dialects.
fn goldens(kind: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for dialect in ["anthropic", "gemini"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect).join(kind);
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ext| ext == "json" || ext == "sse"));
        paths.sort();
        out.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    out
}

/// A golden file with some stretches taken out or overwritten.
fn damaged(kind: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, any::<Vec<u8>>()), 0..4);
    (prop::sample::select(goldens(kind)), edits).prop_map(|(mut file, edits)| {
        for (at, length, bytes) in edits {
            let start = at.index(file.len() + 1);
            let end = (start + length).min(file.len());
            file.splice(start..end, bytes.into_iter().take(6));
        }
        file
    })
}

proptest! {
    #[test]
    fn fn1_24_damaged_streams_never_panic(file in damaged("stream"), cut in any::<prop::sample::Index>()) {
        for (dialect, model) in DIALECTS {
            let mut reply = reply(dialect, model);
            let mut splitter = sse::Splitter::new(1 << 16);
            let (head, tail) = file.split_at(cut.index(file.len() + 1));
            for read in [head, tail] {
                splitter.push(Bytes::copy_from_slice(read));
                for frame in splitter.by_ref() {
                    let _ = frame.map(|frame| reply.frame(frame, &mut Vec::new()));
                }
            }
            let ending = reply.end();
            prop_assert!(!ending.complete || ending.finish.is_some());
        }
    }

    #[test]
    fn fn1_24_damaged_answers_never_panic(file in damaged("whole"), status in 400u16..600) {
        for (dialect, model) in DIALECTS {
            let mut reply = reply(dialect, model);
            let _ = reply.whole(&HeaderMap::new(), Bytes::from(file.clone()));
            let _ = reply.end();
            let error = reply.refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &file);
            prop_assert!(error.excerpt.chars().count() <= 300);
        }
    }

    #[test]
    fn fn1_24_damaged_requests_never_panic(file in damaged("request")) {
        let door = crate::wire::door(Dialect::OpenAi).unwrap();
        // The case around the body has a `messages`-less shape; take the body out if it still can be read.
        let Ok(case) = serde_json::from_slice::<serde_json::Value>(&file) else { return Ok(()) };
        let body = case.get("body").cloned().unwrap_or_else(|| json!({}));
        if door.read(Op::Chat, Bytes::from(body.to_string())).is_err() {
            return Ok(());
        }
        for (dialect, model) in DIALECTS {
            if let Ok(sent) = begin(dialect, Op::Chat, &to(model), &body) {
                let bytes: Vec<u8> = sent.outbound.body.concat();
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }
    }

    #[test]
    fn fn1_24_any_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        for (dialect, model) in DIALECTS {
            let mut reply = reply(dialect, model);
            let frame = sse::Frame { event: Bytes::new(), data: Bytes::from(bytes.clone()) };
            let _ = reply.frame(frame, &mut Vec::new());
            let _ = reply.whole(&HeaderMap::new(), Bytes::from(bytes.clone()));
            prop_assert!(!reply.end().complete);
        }
    }
}
