//! The splitter: what it makes of a stream must not depend on how the bytes were cut into reads.

use crate::wire::sse::{self, Frame, Splitter, TooLong};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// Everything that a stream yields, with the event that `finish` hands out.
fn split(reads: &[&[u8]], limit: usize) -> Vec<Result<Frame, TooLong>> {
    let mut splitter = Splitter::new(limit);
    let mut out = Vec::new();
    for read in reads {
        splitter.push(Bytes::copy_from_slice(read));
        out.extend(splitter.by_ref());
    }
    out.extend(splitter.finish().map(Ok));
    out
}

fn data(stream: &[u8]) -> Vec<String> {
    let frames = split(&[stream], LIMIT);
    frames.into_iter().map(|frame| String::from_utf8_lossy(&frame.unwrap().data).into_owned()).collect()
}

/// Each stream, and the payloads in it.
const CORPUS: &[(&[u8], &[&str])] = &[
    (b"data: a\n\ndata: b\n\n", &["a", "b"]),
    (b"data:a\n\n", &["a"]),
    (b"data:  a\n\n", &[" a"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
    (b"data: a\r\rdata: b\r\r", &["a", "b"]),
    (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", &["a", "b", "c"]),
    (b"data: a\r\n\rdata: b\n\n", &["a", "b"]),
    (b"data: a\ndata: b\n\n", &["a\nb"]),
    (b"data: a\r\ndata:\r\ndata: b\r\n\r\n", &["a\n\nb"]),
    (b"\xef\xbb\xbfdata: a\n\n", &["a"]),
    (b"\xef\xbb\xbf\n\ndata: a\n\n", &["a"]),
    (b"data: \xef\xbb\xbf\n\n", &["\u{feff}"]),
    (b": comment\n\ndata: a\n\n", &["a"]),
    (b": comment\ndata: a\n: another\n\n", &["a"]),
    (b":\n\n:\n\n", &[]),
    (b"id: 7\nretry: 100\n\ndata: a\nid: 8\n\n", &["a"]),
    (b"event: ping\n\ndata: a\n\n", &["a"]),
    (b"data\n\n", &[""]),
    (b"data:\n\n", &[""]),
    (b"\n\n\n\r\r\r\n\r\ndata: a\n\n\n\n", &["a"]),
    (b"data: a\0b\n\n", &["a\0b"]),
    (b"\0data: a\n\ndata: b\n\n", &["b"]),
    (b"data: caf\xc3\xa9 \xf0\x9f\x98\x80\n\n", &["caf\u{e9} \u{1f600}"]),
    (b"data: \xc3\x28\xff\n\n", &["\u{fffd}(\u{fffd}"]),
    (b"date: a\n\nDATA: b\n\n data: c\n\ndata : d\n\n", &[]),
    (b"data: {\"a\":1}", &["{\"a\":1}"]),
    (b"data: {\"a\":1}\n", &["{\"a\":1}"]),
    (b"data: [DONE]", &["[DONE]"]),
    (b"data: x\n\ndata: {\"a\":", &["x"]),
    (b"data: x\n\ndata: {\"a\":1", &["x"]),
    (b"data: 12", &[]),
    (b"data: {\"a\":\ndata: 1}", &["{\"a\":\n1}"]),
    (b"data: {}\ndata: [DONE]\n", &["{}\n[DONE]"]),
    (b"", &[]),
    (b"\r", &[]),
    (b"<html>\n<body>\n</html>\n\n", &[]),
];

#[test]
fn fn2_28_every_oddity_of_the_corpus_is_read() {
    for (stream, wanted) in CORPUS {
        assert_eq!(data(stream), *wanted, "{}", stream.escape_ascii());
    }
}

#[test]
fn fn2_28_every_cut_of_the_corpus_gives_the_same() {
    for (stream, _) in CORPUS {
        let whole = split(&[stream], LIMIT);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let reads = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(split(&reads, LIMIT), whole, "{} cut at {first}, {second}", stream.escape_ascii());
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(split(&bytes, LIMIT), whole, "{} byte by byte", stream.escape_ascii());
    }
}

#[test]
fn fn2_28_the_event_name_is_kept() {
    let frames = split(&[b"event: error\ndata: x\n\ndata: y\n\n"], LIMIT);
    let names: Vec<_> = frames.into_iter().map(|frame| frame.unwrap().event).collect();
    assert_eq!(names, ["error", ""]);
}

#[test]
fn an_event_within_one_read_is_not_copied() {
    for ends in ["\n\n", "\r\n\r\n"] {
        let mut splitter = Splitter::new(LIMIT);
        // The second read begins where the first event's line end may still be open.
        for payload in ["one", "two"] {
            let read = Bytes::from(format!("data: {payload}{ends}"));
            splitter.push(read.clone());
            let frame = splitter.next().unwrap().unwrap();
            assert_eq!(frame.data, payload);
            assert_eq!(frame.data.as_ptr(), read[6..].as_ptr(), "{payload} with {ends:?}");
            assert_eq!(splitter.next(), None);
        }
    }
}

#[test]
fn an_event_beyond_the_bound_ends_the_stream() {
    let long = [b"data: a\n\ndata: ".as_slice(), &[b'x'; 100], b"\n\ndata: b\n\n"].concat();
    let error = Err(TooLong { limit: 50 });
    assert_eq!(split(&[&long], 50).last(), Some(&error));
    assert_eq!(split(&[&long], 50).len(), 2);
    assert_eq!(split(&[&long], 108).len(), 3);
    assert_eq!(split(&[&long], 107).len(), 2);
    for size in 1..long.len() {
        let reads: Vec<&[u8]> = long.chunks(size).collect();
        assert_eq!(split(&reads, 107), split(&[&long], 107), "reads of {size}");
        assert_eq!(split(&reads, 108), split(&[&long], 108), "reads of {size}");
    }
}

#[test]
fn a_line_of_ten_megabytes_is_refused_without_being_held() {
    let mut splitter = Splitter::new(LIMIT);
    let read = Bytes::from(vec![b'x'; 16 * 1024]);
    let refused = (0..640).position(|_| {
        splitter.push(read.clone());
        splitter.next() == Some(Err(TooLong { limit: LIMIT }))
    });
    assert_eq!(refused, Some(LIMIT / read.len()));
    splitter.push(read);
    assert_eq!((splitter.next(), splitter.finish()), (None, None));
}

#[test]
fn what_is_written_reads_back() {
    for payload in ["", "a", "a\nb", "a\r\nb", "a\rb", "\n", "\r\n\n", " a", "data: x"] {
        let mut out = BytesMut::new();
        sse::write_data(payload.as_bytes(), &mut out);
        let wanted = payload.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(data(&out), [wanted], "{payload:?}");
    }
    let mut out = BytesMut::new();
    sse::write_event("error", b"{}", &mut out);
    sse::write_comment("a\nb", &mut out);
    sse::write_data(b"{}", &mut out);
    assert_eq!(out, "event: error\ndata: {}\n\n: a b\n\ndata: {}\n\n");
}

/// 10^5 unless `PROPTEST_CASES` says otherwise (`just soak` raises it).
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Streams made of the bytes that matter to the format.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => Just(b"\n".as_slice()),
        3 => Just(b"\r\n".as_slice()),
        2 => Just(b"\r".as_slice()),
        4 => Just(b"data: ".as_slice()),
        2 => Just(b"data:".as_slice()),
        1 => Just(b"event: e".as_slice()),
        1 => Just(b": c".as_slice()),
        1 => Just(b"id: 1".as_slice()),
        2 => Just(b"{\"a\":[1,\"\xc3\xa9\"]}".as_slice()),
        1 => Just(b"[DONE]".as_slice()),
        1 => Just(b"\xef\xbb\xbf".as_slice()),
        1 => Just(b"\0\xff".as_slice()),
        1 => Just(b" ".as_slice()),
        1 => Just(b"xy".as_slice()),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn re_cutting_changes_nothing(
        stream in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limit in prop_oneof![Just(LIMIT), 1_usize..40],
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let reads: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let whole = split(&[&stream], limit);
        prop_assert_eq!(split(&reads, limit), whole.clone());
        // The same when reads pile up before anyone asks.
        let mut splitter = Splitter::new(limit);
        for read in reads {
            splitter.push(Bytes::copy_from_slice(read));
        }
        let mut piled: Vec<_> = splitter.by_ref().collect();
        piled.extend(splitter.finish().map(Ok));
        prop_assert_eq!(piled, whole);
    }
}
