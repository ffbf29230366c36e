//! A one-pass JSON reader over borrowed text that knows where every value lies.
//!
//! `serde_json` offers a tree, which costs an allocation per value and forgets spelling and place; borrowed structs,
//! which lose the place of a string that holds an escape; and `RawValue`, which scans what it captures twice. A
//! gateway splices bodies and reads a handful of fields, so it wants spans and nothing else. This reader accepts the
//! same texts as `serde_json` (a property test compares them), nesting bound included.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// Deepest nesting that is read; `serde_json`'s own bound, so that a body read here can be translated later.
const MAX_DEPTH: u32 = 127;

/// Text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The byte where it shows.
    pub at: usize,
    /// What was expected or found.
    pub what: &'static str,
}

/// The type of the value that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A string as it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// Between the quotes, escapes unresolved.
    raw: &'a str,
    escaped: bool,
    /// Where the opening quote is.
    at: usize,
}

impl<'a> Text<'a> {
    /// Its bytes in the document, quotes included.
    pub fn span(&self) -> Range<usize> {
        self.at..self.at + self.raw.len() + 2
    }

    /// What it means. Borrowed when it has no escapes. A lone surrogate becomes U+FFFD.
    pub fn decode(&self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        unescape(self.raw, |piece| out.push_str(piece));
        Cow::Owned(out)
    }

    /// As it is spelled, if that is what it means; `None` when it has escapes. For names that nobody would escape.
    pub fn plain(&self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }

    /// The length of [`Text::decode`] in bytes, without building it.
    pub fn decoded_len(&self) -> u64 {
        let mut length = 0;
        if self.escaped {
            unescape(self.raw, |piece| length += piece.len());
        } else {
            length = self.raw.len();
        }
        length as u64
    }

    /// It means the empty string.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

/// Hands out the text between escapes and each escape's character.
fn unescape(raw: &str, mut each: impl FnMut(&str)) {
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        each(rest.get(..at).unwrap_or_default());
        let escape = rest.get(at + 1..).unwrap_or_default();
        let (character, length) = escaped_char(escape);
        each(character.encode_utf8(&mut [0; 4]));
        rest = escape.get(length..).unwrap_or_default();
    }
    each(rest);
}

/// The character of an escape whose backslash was taken off, and how many bytes it spans.
fn escaped_char(escape: &str) -> (char, usize) {
    let unit = |from: usize| escape.get(from..from + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match escape.as_bytes().first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => {
            let high = unit(1).unwrap_or(0xFFFD);
            let low = if escape.get(5..7) == Some("\\u") { unit(7) } else { None };
            match (high, low) {
                (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
                    let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    (char::from_u32(code).unwrap_or('\u{FFFD}'), 11)
                }
                _ => (char::from_u32(high).unwrap_or('\u{FFFD}'), 5),
            }
        }
        Some(&other) => (char::from(other), 1),
        None => ('\u{FFFD}', 0),
    }
}

/// The reading position in a document.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The document between two places that this cursor gave out.
    pub fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// Where the next value starts.
    pub fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// The type of the next value, which is not consumed.
    pub fn kind(&mut self) -> Result<Kind, Malformed> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            _ => Err(self.wrong("expected a value")),
        }
    }

    /// Reads an object; `each` must consume exactly the value of the key that it is given. Returns the object's span.
    pub fn object<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.open(b'{', "expected an object")?;
        if !self.closes(b'}') {
            loop {
                self.space();
                let key = self.string()?;
                self.space();
                self.expect(b':', "expected `:`")?;
                each(self, key)?;
                if !self.goes_on(b'}', "expected `,` or `}`")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(start..self.at)
    }

    /// Reads an array; `each` must consume exactly one value and is given its index. Returns the array's span.
    pub fn array<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.open(b'[', "expected an array")?;
        if !self.closes(b']') {
            let mut index = 0;
            loop {
                each(self, index)?;
                index += 1;
                if !self.goes_on(b']', "expected `,` or `]`")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(start..self.at)
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.space();
        let start = self.at;
        self.expect(b'"', "expected a string")?;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(hit) = special(rest) else {
                return Err(Malformed { at: start, what: "a string does not end" });
            };
            self.at += hit + 1;
            match rest.get(hit) {
                Some(b'"') => {
                    let raw = self.slice(start + 1..self.at - 1);
                    return Ok(Text { raw, escaped, at: start });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Malformed { at: self.at - 1, what: "a control character in a string" }),
            }
        }
    }

    /// Reads a number and returns its spelling.
    pub fn number(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(self.slice(start..self.at))
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        self.space();
        if self.peek() == Some(b't') {
            self.word("true").map(|()| true)
        } else {
            self.word("false").map(|()| false)
        }
    }

    /// Consumes the next value, whatever it is.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        match self.kind()? {
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Null => self.word("null"),
            Kind::Bool => self.boolean().map(drop),
            Kind::Array => self.array(|inner, _| inner.skip()).map(drop),
            Kind::Object => self.object(|inner, _| inner.skip()).map(drop),
        }
    }

    /// Consumes the next value and returns where it lies.
    pub fn span(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.position();
        self.skip()?;
        Ok(start..self.at)
    }

    /// Nothing may follow but white space.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.wrong("text after the end of the document"))
        }
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        let what = if self.at >= self.text.len() { "the text ends early" } else { what };
        Malformed { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(self.wrong(what)) }
    }

    fn open(&mut self, bracket: u8, what: &'static str) -> Result<usize, Malformed> {
        self.space();
        let start = self.at;
        self.expect(bracket, what)?;
        if self.depth == MAX_DEPTH {
            return Err(Malformed { at: start, what: "nested too deeply" });
        }
        self.depth += 1;
        Ok(start)
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.space();
        self.eat(bracket)
    }

    /// After a member: true for a comma, false for the closing bracket.
    fn goes_on(&mut self, bracket: u8, what: &'static str) -> Result<bool, Malformed> {
        self.space();
        if self.eat(b',') {
            return Ok(true);
        }
        self.expect(bracket, what).map(|()| false)
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("expected a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if self.slice(self.at..self.text.len()).starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong("expected a value"))
        }
    }

    /// Checks the escape behind a backslash.
    fn escape(&mut self) -> Result<(), Malformed> {
        let length = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let hex = self.text.as_bytes().get(self.at + 1..self.at + 5).unwrap_or_default();
                if hex.len() < 4 || !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.wrong("a `\\u` escape needs four hex digits"));
                }
                5
            }
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += length;
        Ok(())
    }
}

/// Bytes that are looked at before a string counts as long.
const SHORT: usize = 32;

/// The first quote, backslash or control character. Most strings are too short for a call into `memchr` to pay; of a long
/// one, what `memchr` passed over is looked through for control characters, which the compiler does many at a time.
fn special(bytes: &[u8]) -> Option<usize> {
    let Some((start, rest)) = bytes.split_at_checked(SHORT) else { return special_in(bytes) };
    special_in(start).or_else(|| {
        let hit = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let passed = rest.get(..hit).unwrap_or_default();
        let least = passed.iter().fold(u8::MAX, |least, byte| least.min(*byte));
        let control = if least < 0x20 { passed.iter().position(|byte| *byte < 0x20) } else { None };
        control.or((hit < rest.len()).then_some(hit)).map(|at| SHORT + at)
    })
}

/// The same, eight bytes at a time.
fn special_in(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The high bit of each byte below `limit` (at most 0x80). Only bytes above a true hit can be marked wrongly.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let hits = quote | backslash | below(word, 0x20);
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    rest.iter().position(special).map(|at| words.len() * 8 + at)
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    // A string always serialises, and writing into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.end()).is_ok()
    }

    fn reference(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    #[test]
    fn nests_as_deep_as_serde_json_reads_values() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        for text in [nested(126), nested(127), nested(128), nested(100_000), "{\"a\":".repeat(100_000)] {
            assert_eq!(
                accepts(&text),
                serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                "{}",
                text.len()
            );
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        let odd = [
            "0",
            "-0",
            "01",
            "1.",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "-",
            "+1",
            "1e400",
            "nul",
            "null ",
            "truefalse",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"a\nb\"",
            "\"\u{7f}\"",
            "[1,]",
            "[,1]",
            "{}",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "",
            " ",
            "\u{feff}1",
            "\"",
            "\"\\",
            "\"\\\"",
            "{\"a\":1 \"b\":2}",
            "[1]]",
            "\t[\r\n1 ]",
            "\u{a0}1",
            "NaN",
            "Infinity",
            "1f",
            "{\"a\":}",
            "[\"\0\"]",
        ];
        for text in odd {
            assert_eq!(accepts(text), reference(text), "{text:?}");
        }
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        let text = |source: &'static str| Cursor::new(source).string().unwrap().decode();
        assert_eq!(text(r#""\ud800x""#), "\u{FFFD}x");
        assert_eq!(text(r#""\ud83d\ude00""#), "😀");
        assert_eq!(text(r#""\ud83d\u0041""#), "\u{FFFD}A");
    }

    proptest! {
        #[test]
        fn special_bytes_are_found_wherever_they_stand(
            bytes in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>(), 0x1e_u8..0x24, 0x5b_u8..0x5e, 0x80_u8..0xa3], 0..40),
            plain in 0..80_usize,
        ) {
            let bytes = [vec![b'a'; plain], bytes].concat();
            prop_assert_eq!(special(&bytes), bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)));
        }

        #[test]
        fn any_text_is_judged_as_serde_json_judges_it(text in r#"[\[\]{}:,"\\ua-f0-9.eE+\-trufalsn \n]{0,24}"#) {
            prop_assert_eq!(accepts(&text), reference(&text));
        }

        #[test]
        fn a_written_string_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            let document = String::from_utf8(out).unwrap();
            let read = Cursor::new(&document).string().unwrap();
            prop_assert_eq!(read.decode(), text.as_str());
            prop_assert_eq!(read.decoded_len(), text.len() as u64);
            prop_assert_eq!(read.span(), 0..document.len());
        }

        #[test]
        fn decodes_escapes_as_serde_json_does(text in any::<String>()) {
            let mut document = String::from("\"");
            for unit in text.encode_utf16() {
                write!(document, "\\u{unit:04x}").unwrap();
            }
            document.push('"');
            prop_assert_eq!(Cursor::new(&document).string().unwrap().decode(), text.as_str());
        }
    }
}
