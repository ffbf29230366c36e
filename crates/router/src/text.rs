//! Text as the scores see it: a bounded window, lower-cased words and single marks, and hashes of them.
//!
//! The obvious alternative, a tokenizer's vocabulary, would put words into the weights file. Hashes keep it free of text:
//! a bucket cannot be read back.

/// Characters of the text that are read: bounds the time for a megabyte, and what a long tail of bait can change.
pub const WINDOW: usize = 6_000;

/// The first [`WINDOW`] characters.
pub fn window(text: &str) -> &str {
    prefix(text, WINDOW)
}

/// The first `chars` characters.
pub(super) fn prefix(text: &str, chars: usize) -> &str {
    if text.len() <= chars {
        return text;
    }
    text.char_indices().nth(chars).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// A word (letters, digits, `_`) or one other visible character.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Hash of its lower-cased spelling.
    pub hash: u64,
    /// Its length in characters.
    pub chars: u32,
    /// Letters, digits and `_`, not a mark.
    pub word: bool,
    /// Starts with a capital that small letters follow.
    pub name: bool,
    /// Digits alone.
    pub number: bool,
    /// A capital from A to J that stands alone, counted from 1, as options are lettered; else 0.
    pub letter: u8,
}

/// Reads tokens in order.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::with_capacity(text.len() / 4 + 1);
    let mut reading: Option<Word> = None;
    for c in text.chars() {
        if c.is_alphanumeric() || c == '_' {
            reading.get_or_insert_with(Word::default).push(c);
            continue;
        }
        found.extend(reading.take().map(Word::token));
        if !c.is_whitespace() {
            let hash = mix(lower(BASIS, c));
            found.push(Token { hash, chars: 1, word: false, name: false, number: false, letter: 0 });
        }
    }
    found.extend(reading.map(Word::token));
    found
}

/// The hash that [`tokens`] gives a word; `word` is in lower case.
pub const fn hash_of(word: &str) -> u64 {
    let bytes = word.as_bytes();
    let mut hash = BASIS;
    let mut rest: &[u8] = bytes;
    while let [byte, tail @ ..] = rest {
        hash = step(hash, *byte);
        rest = tail;
    }
    mix(hash)
}

/// The hash of two neighbours.
pub const fn pair(first: u64, second: u64) -> u64 {
    mix(first.rotate_left(23).wrapping_mul(PRIME) ^ second)
}

/// `A` is 1.
pub(crate) fn option_number(c: char) -> u8 {
    u8::try_from(c).map_or(0, |byte| byte.wrapping_sub(b'A').saturating_add(1))
}

/// Hashes of a text's words and marks, and of neighbouring pairs of them: each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grams {
    /// Of words, sorted, then of marks, sorted.
    singles: Vec<u64>,
    /// How many of them are words.
    words: usize,
    /// Of neighbouring pairs, sorted.
    pub(crate) pairs: Vec<u64>,
}

impl Grams {
    /// Of these tokens.
    pub fn new(tokens: &[Token]) -> Self {
        let set = |mut all: Vec<u64>| {
            all.sort_unstable();
            all.dedup();
            all
        };
        let mut singles = set(tokens.iter().filter(|t| t.word).map(|t| t.hash).collect());
        let words = singles.len();
        singles.extend(set(tokens.iter().filter(|t| !t.word).map(|t| t.hash).collect()));
        let pairs = set(tokens.array_windows().map(|[a, b]| pair(a.hash, b.hash)).collect());
        Self { singles, words, pairs }
    }

    /// Words, marks and pairs.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.singles.iter().chain(&self.pairs).copied()
    }

    /// How many different words there are.
    pub const fn distinct_words(&self) -> usize {
        self.words
    }
}

/// Hashes of three neighbours, sorted, each once: what two texts share of these they share of format and phrase.
pub(crate) fn triples(tokens: &[Token]) -> Vec<u64> {
    let mut triples: Vec<u64> =
        tokens.array_windows().map(|[a, b, c]| pair(pair(a.hash, b.hash), c.hash)).collect();
    triples.sort_unstable();
    triples.dedup();
    triples
}

#[derive(Default)]
struct Word {
    hash: Option<u64>,
    chars: u32,
    capital: bool,
    small: bool,
    letters: bool,
    letter: u8,
}

impl Word {
    fn push(&mut self, c: char) {
        self.capital |= self.chars == 0 && c.is_uppercase();
        self.small |= c.is_lowercase();
        self.letters |= !c.is_ascii_digit();
        self.letter = if self.chars == 0 && matches!(c, 'A'..='J') { option_number(c) } else { 0 };
        self.chars += 1;
        self.hash = Some(lower(self.hash.unwrap_or(BASIS), c));
    }

    fn token(self) -> Token {
        Token {
            hash: mix(self.hash.unwrap_or(BASIS)),
            chars: self.chars,
            word: true,
            name: self.capital && self.small,
            number: !self.letters,
            letter: self.letter,
        }
    }
}

// FNV-1a with 64 bits; `mix` is the finalizer of MurmurHash3, because FNV's low bits alone are too regular for buckets.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(PRIME)
}

const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

fn lower(hash: u64, c: char) -> u64 {
    if c.is_ascii() {
        return u8::try_from(c.to_ascii_lowercase()).map_or(hash, |byte| step(hash, byte));
    }
    let mut hash = hash;
    let mut bytes = [0; 4];
    for small in c.to_lowercase() {
        hash = small.encode_utf8(&mut bytes).bytes().fold(hash, step);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_marks_stand_alone() {
        let seen = tokens("Prove that x_1 > ÄB!");
        let words: Vec<_> = seen.iter().map(|t| (t.chars, t.word, t.name)).collect();
        assert_eq!(
            words,
            [
                (5, true, true),
                (4, true, false),
                (3, true, false),
                (1, false, false),
                (2, true, false),
                (1, false, false)
            ]
        );
        assert_eq!(seen.first().map(|t| t.hash), Some(hash_of("prove")));
        assert_eq!(seen.get(4).map(|t| t.hash), Some(hash_of("äb")));
        assert_ne!(pair(1, 2), pair(2, 1));
    }

    #[test]
    fn the_window_ends_on_a_character() {
        let text = "é".repeat(WINDOW + 5);
        assert_eq!(window(&text).chars().count(), WINDOW);
        assert_eq!(window("short"), "short");
    }
}
