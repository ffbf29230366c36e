//! Splits an SSE byte stream into events, and writes them.
//!
//! The obvious alternative, an SSE client crate, hands out decoded strings; a gateway forwards bytes and only looks.
//! An event that lies within one read is handed out as slices of that read; only an event that straddles reads is
//! copied, once. Line ends may be CR, LF or CRLF in any mixture, and an event may be cut anywhere: the output does
//! not depend on how the bytes were cut into reads.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// One event: the joined `data:` lines and the event name, if any. Comments, `id:` and `retry:` are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The `event:` field; empty when absent.
    pub event: Bytes,
    /// The `data:` payload, several lines joined by `\n`.
    pub data: Bytes,
}

/// An event passed the bound. The splitter is dead after it: nothing behind such an event can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct TooLong {
    /// The bound, in bytes.
    pub limit: usize,
}

/// Cuts reads into [`Frame`]s. Use: [`Splitter::push`] a read, then call `next` until it gives `None`; at the end of
/// the stream, [`Splitter::finish`]. `None` only means "not yet": the iterator goes on after the next push.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of where the last read ended")]
pub struct Splitter {
    limit: usize,
    /// What is left of the latest read.
    read: Bytes,
    /// The event that began in earlier reads.
    begun: BytesMut,
    /// The current line has a byte.
    in_line: bool,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    /// No event has been cut off yet: a byte order mark may stand in front.
    at_start: bool,
    dead: bool,
}

impl Splitter {
    /// A splitter that refuses events of more than `max_event_bytes` (all lines of the event, their ends included).
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            read: Bytes::new(),
            begun: BytesMut::new(),
            in_line: false,
            after_cr: false,
            at_start: true,
            dead: false,
        }
    }

    /// Takes one read. It is kept by reference, not copied, if the earlier ones have been drained.
    pub fn push(&mut self, read: Bytes) {
        if self.read.is_empty() {
            self.read = read;
        } else {
            let mut joined = BytesMut::with_capacity(self.read.len() + read.len());
            joined.put_slice(&self.read);
            joined.put_slice(&read);
            self.read = joined.freeze();
        }
    }

    /// The stream has ended: hands out a last event that lacks its blank line, if its payload, or its payload's
    /// last line, is whole (`[DONE]` or a complete JSON object or array). By the SSE standard it would be lost; vendors leave the blank line out.
    pub fn finish(&mut self) -> Option<Frame> {
        let event = self.begun.split().freeze();
        let frame = self.parse(&event)?;
        let last_line = memchr::memrchr(b'\n', &frame.data).map_or(0, |end| end + 1);
        let whole = is_whole(&frame.data) || frame.data.get(last_line..).is_some_and(is_whole);
        whole.then_some(frame)
    }

    /// The length of the current event's rest in `read`, blank line included; `None` if it goes on in a later read.
    fn event_end(&mut self) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = self.read.get(at..).unwrap_or_default();
            let Some(hit) = memchr2(b'\n', b'\r', rest) else {
                if !rest.is_empty() {
                    self.in_line = true;
                    self.after_cr = false;
                }
                return None;
            };
            let lf = rest.get(hit) == Some(&b'\n');
            if hit > 0 {
                self.in_line = true;
                self.after_cr = false;
            }
            at += hit + 1;
            if lf && self.after_cr {
                self.after_cr = false;
                continue;
            }
            self.after_cr = !lf;
            if !self.in_line {
                return Some(at);
            }
            self.in_line = false;
        }
    }

    /// Reads the lines of one event. `None` when it has no `data:` line: a comment, an `id:` or nothing at all.
    fn parse(&mut self, event: &Bytes) -> Option<Frame> {
        let mut frame = Frame::default();
        let mut lines_of_data = 0_u32;
        let mut joined = BytesMut::new();
        let mut at = 0;
        if self.at_start && !event.is_empty() {
            self.at_start = false;
            at = if event.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        }
        while let Some(rest) = event.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let start = at;
            at += length + 1;
            let Some((field, value)) = split_field(line) else { continue };
            let value = event.slice(start + value..start + length);
            match field {
                b"event" => frame.event = value,
                b"data" => {
                    lines_of_data += 1;
                    if lines_of_data == 1 {
                        frame.data = value;
                    } else {
                        if lines_of_data == 2 {
                            joined.put_slice(&frame.data);
                        }
                        joined.put_u8(b'\n');
                        joined.put_slice(&value);
                    }
                }
                _ => {}
            }
        }
        if lines_of_data > 1 {
            frame.data = joined.freeze();
        }
        (lines_of_data > 0).then_some(frame)
    }
}

impl Iterator for Splitter {
    type Item = Result<Frame, TooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.dead {
            if self.begun.is_empty() && self.after_cr && self.read.first() == Some(&b'\n') {
                // The rest of the CRLF that ended the event before.
                let _ = self.read.split_to(1);
                self.after_cr = false;
            }
            let (length, ended) = match self.event_end() {
                Some(length) => (length, true),
                None => (self.read.len(), false),
            };
            if self.begun.len() + length > self.limit {
                self.dead = true;
                self.begun = BytesMut::new();
                self.read = Bytes::new();
                return Some(Err(TooLong { limit: self.limit }));
            }
            let piece = self.read.split_to(length);
            let event = if self.begun.is_empty() && ended {
                piece
            } else {
                self.begun.put_slice(&piece);
                if !ended {
                    return None;
                }
                self.begun.split().freeze()
            };
            if let Some(frame) = self.parse(&event) {
                return Some(Ok(frame));
            }
        }
        self.read = Bytes::new();
        None
    }
}

/// `[DONE]` or a complete JSON object or array. A number or a word may have lost its end.
fn is_whole(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    let json = matches!(data.first(), Some(b'{' | b'['));
    data == b"[DONE]" || (json && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok())
}

/// The field name of a line and where its value starts; `None` for blank lines and comments.
fn split_field(line: &[u8]) -> Option<(&[u8], usize)> {
    let colon = memchr::memchr(b':', line);
    let field = line.get(..colon.unwrap_or(line.len()))?;
    if field.is_empty() {
        return None;
    }
    let value = match colon {
        None => line.len(),
        Some(at) if line.get(at + 1) == Some(&b' ') => at + 2,
        Some(at) => at + 1,
    };
    Some((field, value))
}

/// Appends an event with this payload. A payload with line ends becomes several `data:` lines.
pub fn write_data(payload: &[u8], out: &mut BytesMut) {
    out.reserve(payload.len() + 8);
    let mut rest = payload;
    loop {
        out.put_slice(b"data: ");
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        out.put_slice(rest.get(..length).unwrap_or_default());
        out.put_u8(b'\n');
        let end = if rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n")) { 2 } else { 1 };
        match rest.get(length + end..) {
            Some(more) => rest = more,
            None => break,
        }
    }
    out.put_u8(b'\n');
}

/// Appends an event with a name. `event` must be a single line.
pub fn write_event(event: &str, payload: &[u8], out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(event.as_bytes());
    out.put_u8(b'\n');
    write_data(payload, out);
}

/// Appends a comment, which clients ignore: a keep-alive or a note. Line ends in it become spaces.
pub fn write_comment(text: &str, out: &mut BytesMut) {
    out.put_slice(b": ");
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    out.put_slice(b"\n\n");
}
