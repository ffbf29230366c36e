//! A decision's JSON in two parts: its text, which thousands of requests share, and its figures, which are each
//! request's own. The text is stored once, the figures with the request; put together again they are the JSON to the
//! last byte.
//!
//! The obvious alternative, the JSON with every request, is most of what a ledger would weigh and most of what writing
//! it would cost. Compressing each one on its own finds nothing that repeats.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

/// Where a figure was. JSON holds no raw control characters.
const HOLE: char = '\u{1}';
/// Texts that a transaction keeps at hand.
const AT_HAND: usize = 32;

/// Splits a text at its runs of digits: the text with holes, and the runs with commas between them. `None` for a text that
/// has holes of its own, which is no JSON.
pub(crate) fn split(json: &str) -> Option<(String, String)> {
    if json.contains(HOLE) {
        return None;
    }
    let (mut text, mut figures) = (String::with_capacity(json.len()), String::with_capacity(96));
    let mut rest = json;
    // Bytes, not characters: a digit is never part of a longer character.
    while let Some(at) = rest.bytes().position(|byte| byte.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        text.push_str(before);
        text.push(HOLE);
        if !figures.is_empty() {
            figures.push(',');
        }
        figures.push_str(run);
        rest = after;
    }
    text.push_str(rest);
    Some((text, figures))
}

/// Fills the holes of a text.
pub(crate) fn join(text: &str, figures: &str) -> String {
    let mut json = String::with_capacity(text.len() + figures.len());
    let mut runs = figures.split(',');
    for (n, piece) in text.split(HOLE).enumerate() {
        if n > 0 {
            json.push_str(runs.next().unwrap_or_default());
        }
        json.push_str(piece);
    }
    json
}

/// The texts that are in the store, and those that this transaction has just met: traffic has few, and holding a decision
/// against them is faster than splitting it.
pub(crate) struct Texts<'c> {
    conn: &'c Connection,
    find: CachedStatement<'c>,
    add: CachedStatement<'c>,
    met: Vec<(Text, i64)>,
}

/// A text that was met, cut at its holes.
struct Text(Vec<String>);

impl Text {
    /// Writes the figures of a decision that has this text; false when it has another.
    fn figures(&self, json: &str, figures: &mut String) -> bool {
        figures.clear();
        let mut rest = json;
        for (n, piece) in self.0.iter().enumerate() {
            if n > 0 {
                // No piece but the first can be empty or begin with a digit: a run ends where the next piece begins.
                let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
                let (run, after) = rest.split_at(end);
                if n > 1 {
                    figures.push(',');
                }
                figures.push_str(run);
                rest = after;
                if run.is_empty() {
                    return false;
                }
            }
            let Some(after) = rest.strip_prefix(piece.as_str()) else { return false };
            rest = after;
        }
        rest.is_empty()
    }
}

impl<'c> Texts<'c> {
    /// Prepares the statements. Errors as SQLite does.
    pub fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            find: conn.prepare_cached("SELECT no FROM decision WHERE hash = ?1 AND text = ?2")?,
            add: conn.prepare_cached("INSERT INTO decision (hash, text) VALUES (?1, ?2)")?,
            met: Vec::new(),
        })
    }

    /// The number of a decision's text, which is added if it is new; its figures go into `figures`. `None` for what is no
    /// decision. Errors as SQLite does.
    pub fn number(&mut self, json: &str, figures: &mut String) -> rusqlite::Result<Option<i64>> {
        if let Some((_, no)) = self.met.iter().find(|(text, _)| text.figures(json, figures)) {
            return Ok(Some(*no));
        }
        let Some((text, found)) = Some(json).filter(|json| !json.is_empty()).and_then(split) else {
            return Ok(None);
        };
        *figures = found;
        let hash = hash(&text);
        let found = self.find.query_row(params![hash, text], |row| row.get(0)).optional()?;
        let no = if let Some(no) = found {
            no
        } else {
            self.add.execute(params![hash, text])?;
            self.conn.last_insert_rowid()
        };
        if self.met.len() == AT_HAND {
            self.met.clear();
        }
        self.met.push((Text(text.split(HOLE).map(str::to_owned).collect()), no));
        Ok(Some(no))
    }
}

/// FNV-1a. It only narrows a search down, and must be the same in every build.
fn hash(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// LAW 7: what is read is what was decided, to the last byte.
        #[test]
        fn a_decision_comes_back_as_it_was(json in "[^\u{1}]*", figures in proptest::collection::vec("[0-9a,.{}\"-]{0,9}", 0..9)) {
            for json in [json, figures.concat()] {
                let (text, figures) = split(&json).unwrap();
                prop_assert!(!text.contains(|c: char| c.is_ascii_digit()));
                prop_assert_eq!(join(&text, &figures), json);
            }
        }

        /// Held against the text of another decision, a decision is told apart from it or gives the figures that
        /// splitting it gives.
        #[test]
        fn a_known_text_gives_the_same_figures(one in "[a1,]{0,9}", two in "[a1,]{0,9}") {
            let (text, _) = split(&one).unwrap();
            let known = Text(text.split(HOLE).map(str::to_owned).collect());
            let (other, figures) = split(&two).unwrap();
            let mut found = String::new();
            prop_assert_eq!(known.figures(&two, &mut found), text == other);
            if text == other {
                prop_assert_eq!(found, figures);
            }
        }
    }

    #[test]
    fn requests_that_differ_in_figures_share_a_text() {
        let one =
            split(r#"{"price_usd":"0.000390","input_tokens":219,"rules":["input_tokens > 30000: no"]}"#);
        let two = split(r#"{"price_usd":"12.5","input_tokens":7,"rules":["input_tokens > 30000: no"]}"#);
        let ((one, figures), (two, _)) = (one.unwrap(), two.unwrap());
        assert_eq!((one, figures.as_str()), (two, "0,000390,219,30000"));
        assert_eq!(split("\u{1}"), None);
        assert_eq!(split(""), Some((String::new(), String::new())));
    }
}
