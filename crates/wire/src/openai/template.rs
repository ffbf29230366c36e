//! The short way through a stream of text.
//!
//! Most chunks of a stream differ in one string only, the text (at OpenAI also in `obfuscation`, padding against
//! eavesdroppers who count bytes). A chunk that was read in full and held nothing but a text leaves the bytes around
//! those strings behind. A later chunk with the same bytes around other JSON strings then says the same but for its
//! text, and need not be read again. What does not fit is read in full, so the short way changes nothing but the time.

use std::ops::Range;

use crate::json::{Cursor, Text};

/// The bytes around the text of the last chunk that held nothing else.
#[derive(Default)]
pub(super) struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
    /// What follows on the padding, which follows on `after`.
    after_padding: Option<Vec<u8>>,
    /// The choice that the text belongs to.
    pub choice: u32,
}

impl Template {
    /// The text of a chunk that fits.
    pub fn read<'a>(&self, data: &'a [u8]) -> Option<Text<'a>> {
        if self.before.is_empty() {
            return None;
        }
        let rest = std::str::from_utf8(data.strip_prefix(&*self.before)?).ok()?;
        let (text, rest) = leading_string(rest)?;
        let mut rest = rest.as_bytes().strip_prefix(&*self.after)?;
        if let Some(after) = &self.after_padding {
            let (_, behind) = leading_string(std::str::from_utf8(rest).ok()?)?;
            rest = behind.as_bytes().strip_prefix(&**after)?;
        }
        rest.is_empty().then_some(text)
    }

    /// Remembers what stands around the string at `text`, and around the one at `padding` if it comes later.
    pub fn learn(&mut self, data: &[u8], text: &Range<usize>, padding: Option<&Range<usize>>, choice: u32) {
        let padding = padding.filter(|padding| padding.start >= text.end);
        let set = |part: &mut Vec<u8>, span: Range<usize>| {
            part.clear();
            part.extend_from_slice(data.get(span).unwrap_or_default());
        };
        set(&mut self.before, 0..text.start);
        set(&mut self.after, text.end..padding.map_or(data.len(), |padding| padding.start));
        match padding {
            Some(padding) => set(self.after_padding.get_or_insert_default(), padding.end..data.len()),
            None => self.after_padding = None,
        }
        self.choice = choice;
    }
}

/// The JSON string that `text` begins with, and what follows.
fn leading_string(text: &str) -> Option<(Text<'_>, &str)> {
    let mut cursor = Cursor::new(text);
    let string = cursor.string().ok()?;
    let span = string.span();
    if span.start == 0 { Some((string, text.get(span.end..)?)) } else { None }
}
