//! Does the answer run in circles?
//!
//! A loop is the same run of words, 1 to 64 long, several times in a row: what a model does when it is stuck. For each
//! length the detector counts how long the text has been equal to itself that many words ago, so it needs the last 64
//! word hashes and 64 counters, never the text. Counting n-grams in a table, the usual way, grows with the answer
//! and calls any long list a loop.

/// Longest run of words that is looked for.
const PERIODS: usize = 64;
/// A run must come five times, and make at least 24 words: more than emphasis or a table row does.
const TIMES: u32 = 5;
const WORDS: u32 = 24;
/// One character in a row: longer than any ruled line.
const SAME_CHAR: u32 = 160;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Word {
    hash: u64,
    /// All letters. Rows of numbers repeat for good reasons.
    letters: bool,
}

/// Reads an answer character by character.
#[derive(Clone, Debug)]
pub(super) struct Repetition {
    /// The last words, the newest at `at - 1`.
    words: [Word; PERIODS],
    at: usize,
    /// By period: how many words in a row equalled the word that many places before.
    equal: [u32; PERIODS],
    /// The word being read.
    hash: u64,
    open: bool,
    letters: bool,
    last: Option<char>,
    same: u32,
}

impl Default for Repetition {
    fn default() -> Self {
        Self {
            words: [Word::default(); PERIODS],
            at: 0,
            equal: [0; PERIODS],
            hash: FNV_OFFSET,
            open: false,
            letters: true,
            last: None,
            same: 0,
        }
    }
}

impl Repetition {
    /// Takes the next character. True when a loop is found.
    pub(super) fn push(&mut self, c: char) -> bool {
        self.same = if self.last == Some(c) { self.same + 1 } else { 1 };
        self.last = Some(c);
        if self.same >= SAME_CHAR {
            return true;
        }
        // Scripts without spaces: each character is a word.
        let alone = c.is_alphabetic() && c >= '\u{2e80}';
        if !alone && (c.is_alphanumeric() || c == '\'') {
            self.add(c);
            self.letters &= !c.is_numeric();
            return false;
        }
        let mut found = self.close();
        if alone {
            self.add(c);
            found |= self.close();
        }
        found
    }

    /// FNV-1a over characters.
    fn add(&mut self, c: char) {
        self.hash = (self.hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3);
        self.open = true;
    }

    /// The text ends here: does the last word complete a loop?
    pub(super) fn ended(&self) -> bool {
        self.clone().close()
    }

    /// Ends the word being read.
    fn close(&mut self) -> bool {
        if !std::mem::take(&mut self.open) {
            return false;
        }
        let hash = std::mem::replace(&mut self.hash, FNV_OFFSET);
        let word = Word { hash, letters: std::mem::replace(&mut self.letters, true) };
        let mut found = false;
        let mut letters = false;
        for (period, equal) in (1_u32..).zip(&mut self.equal) {
            let back = (self.at + PERIODS - period as usize) % PERIODS;
            let before = self.words.get(back).copied().unwrap_or_default();
            *equal = if before == word { *equal + 1 } else { 0 };
            letters |= before.letters;
            let times = TIMES.max(WORDS.div_ceil(period));
            found |= letters && *equal >= period * (times - 1);
        }
        if let Some(slot) = self.words.get_mut(self.at) {
            *slot = word;
        }
        self.at = (self.at + 1) % PERIODS;
        found
    }
}
