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

/// By period, the longest first: words in a row that must equal those one period before.
const NEEDED: [u32; PERIODS] = needed();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "at compile time")]
const fn needed() -> [u32; PERIODS] {
    let mut all = [0; PERIODS];
    let mut at = 0;
    while at < PERIODS {
        let period = (PERIODS - at) as u32;
        let times = if WORDS.div_ceil(period) > TIMES { WORDS.div_ceil(period) } else { TIMES };
        all[at] = period * (times - 1);
        at += 1;
    }
    all
}

/// Reads an answer character by character.
#[derive(Clone, Debug)]
pub(super) struct Repetition {
    /// Hashes of the last words, twice: `at..at + PERIODS` is all of them in order, the oldest first.
    words: [u64; 2 * PERIODS],
    at: usize,
    /// By period, the longest first: how many words in a row equalled the word one period before.
    equal: [u32; PERIODS],
    /// Which of the last words are all letters; the newest in the lowest bit. Rows of numbers repeat for good reasons.
    lettered: u64,
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
            words: [0; 2 * PERIODS],
            at: 0,
            equal: [0; PERIODS],
            lettered: 0,
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
        let word = std::mem::replace(&mut self.hash, FNV_OFFSET);
        let lettered = std::mem::replace(&mut self.letters, true);
        let mut enough = false;
        let before = self.words.get(self.at..).unwrap_or_default();
        for ((equal, before), needed) in self.equal.iter_mut().zip(before).zip(&NEEDED) {
            *equal = if *before == word { *equal + 1 } else { 0 };
            enough |= *equal >= *needed;
        }
        for slot in [self.at, self.at + PERIODS] {
            if let Some(slot) = self.words.get_mut(slot) {
                *slot = word;
            }
        }
        self.at = (self.at + 1) % PERIODS;
        self.lettered = (self.lettered << 1) | u64::from(lettered);
        enough && self.has_letters()
    }

    /// Is there a word of letters in one of the runs that have come often enough?
    fn has_letters(&self) -> bool {
        let runs = self.equal.iter().zip(&NEEDED).enumerate().filter(|(_, (equal, needed))| equal >= needed);
        // The run at index i is PERIODS - i words long: i bits of the mask lie outside it.
        runs.into_iter().any(|(index, _)| self.lettered << index != 0)
    }
}
