//! Where the body of an answer ends: by its length, by its chunks, or with the connection.

use bytes::Bytes;

/// Bytes of one chunk's size line with its extensions, and of all trailers.
const LINE: u32 = 4 * 1024;

/// The state of one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All until the connection closes.
    UntilClose,
}

/// Where in a chunked body the next byte lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    place: Place,
    /// Bytes left of the chunk, or its size as far as it was read.
    size: u64,
    /// Bytes of the line, or of the trailers, so far.
    line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The first digit of a size must come.
    FirstDigit,
    Digits,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// Bytes that are no chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Content, without framing.
    pub(super) data: Bytes,
    /// Bytes behind the end of the body.
    pub(super) surplus: bool,
}

impl Framing {
    pub(super) const fn length(length: u64) -> Self {
        Self::Length(length)
    }

    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunk { place: Place::FirstDigit, size: 0, line: 0 })
    }

    /// The body has been read to its end.
    pub(super) fn done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunk) => chunk.place == Place::Done,
            Self::UntilClose => false,
        }
    }

    /// The bytes that are still to come, where they are known.
    pub(super) fn left(&self) -> Option<u64> {
        if let Self::Length(left) = self { Some(*left) } else { None }
    }

    /// Takes the framing off `input`. The content of all chunks in it becomes one piece.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<Piece, Malformed> {
        match self {
            Self::UntilClose => Ok(Piece { data: Bytes::copy_from_slice(input), surplus: false }),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= count as u64;
                let data = Bytes::copy_from_slice(input.get(..count).unwrap_or_default());
                Ok(Piece { data, surplus: count < input.len() })
            }
            Self::Chunked(chunk) => chunk.take(input),
        }
    }
}

impl Chunk {
    fn take(&mut self, mut input: &[u8]) -> Result<Piece, Malformed> {
        // The usual read holds one event in one chunk: one exact copy. More are joined.
        let mut first: &[u8] = &[];
        let mut joined: Vec<u8> = Vec::new();
        while self.place != Place::Done {
            if self.place == Place::Data {
                let count = usize::try_from(self.size).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
                if first.is_empty() {
                    first = data;
                } else {
                    if joined.is_empty() {
                        joined.reserve_exact(first.len() + input.len());
                        joined.extend_from_slice(first);
                    }
                    joined.extend_from_slice(data);
                }
                self.size -= data.len() as u64;
                input = rest;
                if self.size == 0 {
                    self.place = Place::DataCr;
                }
            }
            let Some((&byte, rest)) = input.split_first() else { break };
            input = rest;
            self.step(byte)?;
        }
        let data = if joined.is_empty() { Bytes::copy_from_slice(first) } else { Bytes::from(joined) };
        Ok(Piece { data, surplus: !input.is_empty() })
    }

    /// One byte outside of data.
    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        use Place as P;
        self.place = match (self.place, byte) {
            (P::FirstDigit | P::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map(u64::from).ok_or(Malformed)?;
                self.size =
                    self.size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Malformed)?;
                P::Digits
            }
            (P::Digits, b';' | b' ' | b'\t') => P::Extension,
            (P::Digits | P::Extension, b'\r') => P::SizeLf,
            (P::Extension, byte) if byte != b'\n' => P::Extension,
            (P::SizeLf, b'\n') if self.size == 0 => self.next_line(P::TrailerStart),
            (P::SizeLf, b'\n') => self.next_line(P::Data),
            (P::DataCr, b'\r') => P::DataLf,
            (P::DataLf, b'\n') => self.next_line(P::FirstDigit),
            (P::TrailerStart, b'\r') => P::LastLf,
            (P::LastLf, b'\n') => P::Done,
            (P::TrailerStart | P::Trailer, byte) if byte != b'\r' && byte != b'\n' => P::Trailer,
            (P::Trailer, b'\r') => P::TrailerLf,
            (P::TrailerLf, b'\n') => P::TrailerStart,
            _ => return Err(Malformed),
        };
        self.line += 1;
        if self.line > LINE { Err(Malformed) } else { Ok(()) }
    }

    fn next_line(&mut self, place: Place) -> Place {
        self.line = 0;
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `input` in pieces of the given lengths; the content, whether it is done, whether something is left over.
    fn feed(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, bool, bool), Malformed> {
        let (mut framing, mut content, mut surplus, mut rest) =
            (Framing::chunked(), Vec::new(), false, input);
        let mut cuts = cuts.iter().copied();
        while !rest.is_empty() {
            let (part, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            let piece = framing.take(part)?;
            content.extend_from_slice(&piece.data);
            surplus |= piece.surplus;
            rest = later;
        }
        Ok((content, framing.done(), surplus))
    }

    #[test]
    fn extensions_trailers_and_sizes_in_any_case_are_read() {
        let input = b"5;name=\"v\"\r\nhello\r\n0A \r\n, big worl\r\n1\r\nd\r\n0\r\nx: y\r\nz: a\r\n\r\n";
        assert_eq!(feed(input, &[]).unwrap(), (b"hello, big world".to_vec(), true, false));
        let more = [&input[..], b"HTTP"].concat();
        assert_eq!(feed(&more, &[]).unwrap(), (b"hello, big world".to_vec(), true, true));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"5\nhello",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\r0\r\n",
            b";x\r\n",
            b"11111111111111111\r\n",
            b"0\r\n\n",
            b"0\r\nx: y\n\r\n",
        ] {
            assert_eq!(feed(bad, &[]), Err(Malformed), "{}", String::from_utf8_lossy(bad));
        }
        let endless = [&b"5;"[..], &[b'x'; 5_000]].concat();
        assert_eq!(feed(&endless, &[]), Err(Malformed));
        let trailers = [&b"0\r\n"[..], &b"x: y\r\n".repeat(1_000)].concat();
        assert_eq!(feed(&trailers, &[]), Err(Malformed));
    }

    #[test]
    fn a_length_is_a_length() {
        let mut framing = Framing::length(5);
        assert_eq!(framing.take(b"hel").unwrap(), Piece { data: "hel".into(), surplus: false });
        assert!(!framing.done());
        assert_eq!(framing.take(b"lo HTTP").unwrap(), Piece { data: "lo".into(), surplus: true });
        assert!(framing.done());
    }

    proptest! {
        /// However the bytes are cut, the content is the same.
        #[test]
        fn chunks_survive_every_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in proptest::collection::vec(1_usize..20, 0..60),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            prop_assert_eq!(feed(&wire, &cuts).unwrap(), (chunks.concat(), true, false));
            let cut = wire.len() - 1;
            prop_assert!(!feed(&wire[..cut], &cuts).unwrap().1, "a cut body must not look whole");
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = feed(&bytes, &[3, 1, 7]);
        }
    }
}
