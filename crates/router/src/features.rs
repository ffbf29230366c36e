//! What is measured of a prompt: hashed words and pairs of words, and some seventy plain figures.
//!
//! The obvious alternative, an embedding model, gains nothing on the data that we have (`docs/routing.md`) and costs
//! milliseconds and a runtime; these take microseconds.

mod words;

use crate::text::{self, Grams, Token};

/// How many plain figures there are.
pub const DENSE: usize = 43 + words::SETS;

/// A prompt, measured.
#[derive(Clone, Debug)]
pub struct Features {
    /// Its words and pairs of words.
    pub grams: Grams,
    /// The plain figures, in the order of [`name`].
    pub dense: [f64; DENSE],
}

/// Measures the first [`text::WINDOW`] characters of `prompt`.
pub fn measure(prompt: &str) -> Features {
    let read = text::window(prompt);
    let tokens = text::tokens(read);
    let grams = Grams::new(&tokens);
    Features { dense: dense(read, &tokens, &grams), grams }
}

/// The name of plain figure number `at`, as `explain` shows it.
pub fn name(at: usize) -> &'static str {
    let figures = PLAIN.len();
    PLAIN.get(at).or_else(|| words::NAMES.get(at.wrapping_sub(figures))).copied().unwrap_or("?")
}

const PLAIN: [&str; DENSE - words::SETS] = [
    "ln_chars",
    "ln_words",
    "word_length",
    "ln_lines",
    "options",
    "has_options",
    "many_options",
    "ln_stem",
    "ln_option_length",
    "ln_numbers",
    "numbers_per_word",
    "long_numbers",
    "decimals",
    "ln_stem_numbers",
    "option_digits",
    "digits",
    "capitals",
    "marks",
    "non_ascii",
    "operators",
    "ln_backslashes",
    "ln_dollars",
    "braces",
    "parentheses",
    "code",
    "semicolons",
    "ln_backticks",
    "tool_json",
    "quotes",
    "question_marks",
    "ends_asking",
    "blank",
    "ln_sentences",
    "distinct_words",
    "colons",
    "commas",
    "long_words",
    "names",
    "ln_list_items",
    "ln_longest_line",
    "numerals",
    "none_or_all",
    "statements",
];

fn dense(read: &str, tokens: &[Token], grams: &Grams) -> [f64; DENSE] {
    let lines = Lines::of(read);
    let signs = Signs::of(read, lines.stem);
    let mut out = [0.0; DENSE];
    let mut slots = out.iter_mut();
    let mut put = |value: f64| {
        if let Some(slot) = slots.next() {
            *slot = value;
        }
    };
    let chars = signs.chars.max(1.0);
    let words = Words::of(tokens);
    let count = words.count.max(1.0);
    let numbers = signs.numbers.max(1.0);
    put(ln1(chars));
    put(ln1(count));
    put(words.chars / count);
    put(ln1(lines.count));
    put(lines.options.min(10.0));
    put(flag(lines.options >= 2.0));
    put(flag(lines.options > 5.0));
    put(ln1(signs.stem_chars));
    put(if lines.options > 0.0 { ln1((chars - signs.stem_chars) / lines.options) } else { 0.0 });
    put(ln1(signs.numbers));
    put(signs.numbers / count);
    put(signs.long_numbers / numbers);
    put(signs.decimals / numbers);
    put(ln1(signs.stem_numbers));
    put((signs.digits - signs.stem_digits) / (chars - signs.stem_chars).max(1.0));
    put(signs.digits / chars);
    put(signs.capitals / chars);
    put(signs.marks / chars);
    put(signs.non_ascii / chars);
    put(signs.operators / chars);
    put(ln1(signs.backslashes));
    put(ln1(signs.dollars));
    put(signs.braces / chars);
    put(signs.parentheses / chars);
    put(flag(read.contains("```") || read.contains("def ") || read.contains("[PYTHON]")));
    put(signs.semicolons / chars);
    put(ln1(signs.backticks));
    put(flag(read.contains("\"parameters\"") || read.contains("\"type\":")));
    put(signs.quotes / chars);
    put(signs.questions.min(5.0));
    put(flag(read.trim_end().ends_with('?')));
    put(flag(read.contains("__")));
    put(ln1(signs.sentences));
    put(float(grams.distinct_words()) / count);
    put(signs.colons.min(10.0));
    put(signs.commas / chars);
    put(words.long / count);
    put(words.names / count);
    put(ln1(lines.items));
    put(ln1(signs.longest));
    put(flag(
        read.contains("II.") || read.contains("(ii") || read.contains("I and II") || read.contains("II only"),
    ));
    put(flag(has(read, "none of the") || has(read, "all of the above")));
    put(flag(read.contains("Statement 1") || has(read, "true or false")));
    for (at, hits) in words.sets.iter().enumerate() {
        // The question words count as present or absent.
        put(if at < 7 { flag(*hits > 0.0) } else { (hits / count).sqrt() });
    }
    out
}

pub(crate) fn ln1(x: f64) -> f64 {
    libm::log1p(x.max(0.0))
}

pub(crate) fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// Contains `small` (lower case, ASCII) in any case.
fn has(text: &str, small: &str) -> bool {
    let (text, small) = (text.as_bytes(), small.as_bytes());
    let Some(first) = small.first() else { return true };
    let heads = memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text);
    let mut found = heads.filter_map(|at| text.get(at..at + small.len()));
    found.any(|part| part.eq_ignore_ascii_case(small))
}

#[derive(Default)]
struct Words {
    count: f64,
    chars: f64,
    long: f64,
    names: f64,
    sets: [f64; words::SETS],
}

impl Words {
    fn of(tokens: &[Token]) -> Self {
        let mut seen = Self::default();
        for token in tokens.iter().filter(|t| t.word) {
            seen.count += 1.0;
            seen.chars += f64::from(token.chars);
            seen.long += flag(token.chars >= 9);
            seen.names += flag(token.name);
            let mut bits = words::sets_of(token.hash);
            while bits != 0 {
                if let Some(hits) = seen.sets.get_mut(bits.trailing_zeros() as usize) {
                    *hits += 1.0;
                }
                bits &= bits - 1;
            }
        }
        seen
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts within the window are small")]
pub(crate) fn float(n: usize) -> f64 {
    n as f64
}

/// Counts of characters.
#[derive(Default)]
struct Signs {
    chars: f64,
    numbers: f64,
    long_numbers: f64,
    decimals: f64,
    digits: f64,
    capitals: f64,
    marks: f64,
    non_ascii: f64,
    operators: f64,
    backslashes: f64,
    dollars: f64,
    braces: f64,
    parentheses: f64,
    semicolons: f64,
    backticks: f64,
    quotes: f64,
    questions: f64,
    sentences: f64,
    colons: f64,
    commas: f64,
    /// Characters of the longest line.
    longest: f64,
    /// Characters, numbers and digits of the stem.
    stem_chars: f64,
    stem_numbers: f64,
    stem_digits: f64,
}

impl Signs {
    /// `stem`: bytes before the first option.
    fn of(read: &str, stem: usize) -> Self {
        let mut seen = Self::default();
        let mut number = Number::default();
        let (mut ended, mut line) = (false, 0.0);
        for (at, c) in read.char_indices() {
            if at == stem {
                seen.end_stem();
            }
            line = if c == '\n' { 0.0 } else { line + 1.0 };
            seen.longest = seen.longest.max(line);
            seen.chars += 1.0;
            seen.numbers += flag(number.push(c));
            seen.sentences += flag(ended && c.is_whitespace());
            ended = matches!(c, '.' | '!' | '?');
            if c.is_alphabetic() {
                seen.capitals += flag(c.is_uppercase());
            } else if c.is_ascii_digit() {
                seen.digits += 1.0;
            } else if !c.is_whitespace() && !c.is_numeric() {
                seen.mark(c);
            }
            seen.non_ascii += flag(!c.is_ascii());
        }
        if stem >= read.len() {
            seen.end_stem();
        }
        seen.long_numbers = number.long;
        seen.decimals = number.decimals;
        seen
    }

    const fn end_stem(&mut self) {
        self.stem_chars = self.chars;
        self.stem_numbers = self.numbers;
        self.stem_digits = self.digits;
    }

    fn mark(&mut self, c: char) {
        self.marks += 1.0;
        let count = match c {
            '+' | '-' | '*' | '/' | '=' | '^' | '<' | '>' => &mut self.operators,
            '\\' => &mut self.backslashes,
            '$' => &mut self.dollars,
            '{' | '}' | '[' | ']' => &mut self.braces,
            '(' | ')' => &mut self.parentheses,
            ';' => &mut self.semicolons,
            '`' => &mut self.backticks,
            '"' => &mut self.quotes,
            '?' => &mut self.questions,
            ':' => &mut self.colons,
            ',' => &mut self.commas,
            _ => return,
        };
        *count += 1.0;
    }
}

/// Numbers as a reader sees them: `3.14` is one.
#[derive(Default)]
struct Number {
    /// Digits of the part being read; 0 outside a number.
    digits: u32,
    /// A point stands right after the digits.
    point: bool,
    /// The number has a point with digits behind it.
    fraction: bool,
    long: f64,
    decimals: f64,
}

impl Number {
    /// True at the first digit of a number.
    fn push(&mut self, c: char) -> bool {
        if c.is_ascii_digit() {
            let begins = self.digits == 0;
            if self.point {
                self.point = false;
                self.fraction = true;
                self.decimals += 1.0;
            }
            self.digits += 1;
            self.long += flag(self.digits == 4);
            return begins;
        }
        if c == '.' && self.digits > 0 && !self.point && !self.fraction {
            self.point = true;
        } else {
            self.digits = 0;
            self.point = false;
            self.fraction = false;
        }
        false
    }
}

/// Lines, and the options of a question among them.
#[derive(Default)]
struct Lines {
    count: f64,
    options: f64,
    items: f64,
    /// Bytes before the first option; all when there is none.
    stem: usize,
}

impl Lines {
    fn of(read: &str) -> Self {
        let mut seen = Self { stem: read.len(), ..Self::default() };
        let mut start = 0;
        for line in read.split('\n') {
            seen.count += 1.0;
            let begins = line.trim_start();
            if is_option(begins) {
                seen.options += 1.0;
                seen.stem = seen.stem.min(start);
            }
            seen.items += flag(is_item(begins));
            start += line.len() + 1;
        }
        seen
    }
}

/// `A. `, `(B)`, `c:` is none: an option starts with a capital from A to J.
pub(crate) fn is_option(line: &str) -> bool {
    let line = line.strip_prefix('(').unwrap_or(line).as_bytes();
    matches!(line, [b'A'..=b'J', b')' | b'.' | b':', ..])
}

/// `- …` or `12. …`.
fn is_item(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = rest.len() < line.len();
    let mark = if numbered { rest.strip_prefix(['.', ')']) } else { rest.strip_prefix('-') };
    mark.is_some_and(|rest| rest.starts_with(char::is_whitespace))
}
