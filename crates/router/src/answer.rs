//! What is measured of a weak answer: few plain figures that a careful reader would look at, besides its hashed grams.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::features::{flag, float, is_option, ln1};
use crate::text::{self, Grams, Token, hash_of};

/// How much of an answer is known when it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extent {
    /// Its first 256 bytes, about 64 tokens.
    Start,
    /// Its first 1,024 bytes, about 256 tokens.
    Quarter,
    /// All of it.
    Whole,
}

impl Extent {
    /// All three, shortest first.
    pub const ALL: [Self; 3] = [Self::Start, Self::Quarter, Self::Whole];

    /// Bytes that are read.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Start => 256,
            Self::Quarter => 1_024,
            Self::Whole => 16_384,
        }
    }

    /// As `explain` and the ledger say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "64 tokens",
            Self::Quarter => "256 tokens",
            Self::Whole => "the whole answer",
        }
    }

    /// The last point that a prefix of so many bytes has reached; `None` before the first.
    pub const fn within(bytes: usize) -> Option<Self> {
        if bytes >= Self::Quarter.bytes() {
            Some(Self::Quarter)
        } else if bytes >= Self::Start.bytes() {
            Some(Self::Start)
        } else {
            None
        }
    }
}

/// Plain figures of an answer.
pub(crate) const FIGURES: usize = NAMES.len();

/// Names of the figures.
pub(crate) const NAMES: [&str; 40] = [
    "ln_chars",
    "ln_chars_by_prompt",
    "ln_hedges",
    "hedges",
    "ln_corrections",
    "corrections",
    "ln_conclusions",
    "concludes_late",
    "distinct_words",
    "repeated_triples",
    "ln_lines",
    "repeated_lines",
    "words_of_prompt",
    "prompt_words_used",
    "ln_numbers",
    "numbers",
    "numbers_of_prompt",
    "ln_prompt_numbers",
    "long_numbers",
    "ln_equals",
    "ends_closed",
    "ln_steps",
    "starts_json",
    "code",
    "ln_backslashes",
    "ln_negations",
    "questions",
    "options_named",
    "prompt_has_options",
    "last_option_share",
    "no_option",
    "last_option",
    "option_text_used",
    "last_number_share",
    "ln_sentence",
    "ln_prompt_chars",
    "word_length",
    "starts_digit",
    "ln_last_line",
    "ln_model_size",
];

/// Where some figures stand, for the part of the score that is not learned.
pub(crate) mod at {
    pub(crate) const LN_CHARS: usize = 0;
    pub(crate) const BY_PROMPT: usize = 1;
    pub(crate) const DISTINCT: usize = 8;
    pub(crate) const TRIPLES: usize = 9;
    pub(crate) const PROMPT_WORDS: usize = 13;
    pub(crate) const NUMBERS: usize = 14;
    pub(crate) const PROMPT_NUMBERS: usize = 17;
    pub(crate) const BACKSLASHES: usize = 24;
    pub(crate) const MODEL: usize = 39;
}

/// An answer, measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) grams: Grams,
    pub(crate) triples: Vec<u64>,
    pub(crate) figures: [f64; FIGURES],
}

/// A prompt as its answer is compared with it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    chars: f64,
    /// Hashes of its words, sorted.
    words: Vec<u64>,
    numbers: Vec<u64>,
    pub(crate) triples: Vec<u64>,
    /// Its options: number from 1, text.
    options: Vec<(u8, String)>,
}

impl Asked {
    pub(crate) fn new(prompt: &str) -> Self {
        let read = text::window(prompt);
        let tokens = text::tokens(read);
        let set = |keep: fn(&Token) -> bool| {
            let set: BTreeSet<u64> = tokens.iter().filter(|t| keep(t)).map(|t| t.hash).collect();
            set.into_iter().collect()
        };
        let options = read.lines().map(str::trim_start).filter(|line| is_option(line)).filter_map(|line| {
            let line = line.strip_prefix('(').unwrap_or(line);
            let letter = line.chars().next()?;
            Some((text::option_number(letter), line.get(2..)?.trim().to_owned()))
        });
        Self {
            chars: float(read.chars().count()),
            words: set(|t| t.word),
            numbers: set(|t| t.number),
            triples: text::triples(&tokens),
            options: options.collect(),
        }
    }
}

/// Measures the answer to a prompt, read as far as `seen`.
pub(crate) fn measure(asked: &Asked, weak_model: &str, answer: &str, seen: Extent) -> Measured {
    let read = answer.get(..answer.floor_char_boundary(seen.bytes())).unwrap_or(answer);
    let tokens = text::tokens(read);
    Measured {
        figures: figures(asked, weak_model, read, &tokens),
        grams: Grams::new(&tokens),
        triples: text::triples(&tokens),
    }
}

fn figures(asked: &Asked, weak_model: &str, read: &str, tokens: &[Token]) -> [f64; FIGURES] {
    let words: Vec<u64> = tokens.iter().filter(|t| t.word).map(|t| t.hash).collect();
    let count = float(words.len()).max(1.0);
    let chars = float(read.chars().count());
    let marks = |mark: char| float(read.matches(mark).count());
    let cues = Cues::of(&words);
    let lines: Vec<&str> = read.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let distinct: BTreeSet<u64> = words.iter().copied().collect();
    let (numbers, options) = (Numbers::of(tokens, asked), Options::of(tokens, asked, read));
    let known = words.iter().filter(|word| asked.words.binary_search(word).is_ok()).count();
    let used = asked.words.iter().filter(|word| distinct.contains(word)).count();
    let length: f64 = tokens.iter().filter(|t| t.word).map(|t| f64::from(t.chars)).sum();
    let sentences = float(read.chars().filter(|c| matches!(c, '.' | '!' | '?' | '\n')).count()).max(1.0);
    let last = read.trim_end().chars().next_back();
    [
        ln1(chars),
        ln1(chars) - ln1(asked.chars),
        ln1(cues.hedges),
        cues.hedges / count,
        ln1(cues.corrections),
        cues.corrections / count,
        ln1(cues.conclusions),
        flag(cues.late),
        float(distinct.len()) / count,
        repeated(words.array_windows::<3>()),
        ln1(float(lines.len())),
        repeated(lines.iter().copied()),
        float(known) / count,
        float(used) / float(asked.words.len().max(1)),
        ln1(numbers.count),
        numbers.count / count,
        numbers.of_prompt,
        ln1(float(asked.numbers.len())),
        numbers.long,
        ln1(marks('=')),
        flag(last.is_some_and(|c| matches!(c, '.' | '!' | '?' | ')' | '}' | ']' | '"' | '`' | '$'))),
        ln1(cues.steps),
        flag(read.trim_start().starts_with('{')),
        flag(read.contains("```")),
        ln1(marks('\\')),
        ln1(cues.negations),
        marks('?').min(3.0),
        options.named,
        flag(asked.options.len() >= 2),
        options.last_share,
        flag(asked.options.len() >= 2 && options.named == 0.0),
        options.last,
        options.text_used,
        numbers.last_share,
        ln1(chars / sentences),
        ln1(asked.chars),
        length / count,
        flag(read.trim_start().starts_with(|c: char| c.is_ascii_digit())),
        ln1(lines.last().map_or(0.0, |line| float(line.chars().count()))),
        model_size(weak_model),
    ]
}

/// The share of items that came before.
fn repeated<T: Ord>(items: impl Iterator<Item = T>) -> f64 {
    let (mut all, mut distinct) = (0, BTreeSet::new());
    for item in items {
        all += 1;
        distinct.insert(item);
    }
    if all == 0 { 0.0 } else { 1.0 - float(distinct.len()) / float(all) }
}

const HEDGE: u8 = 1;
const CORRECTION: u8 = 2;
const CONCLUSION: u8 = 4;
const STEP: u8 = 8;
const NEGATION: u8 = 16;

const CUES: [(u8, &str); 5] = [
    (
        HEDGE,
        "maybe perhaps possibly might unclear approximately assume assuming likely probably seem seems appear appears unfortunately however cannot unable closest guess difficult",
    ),
    (
        CORRECTION,
        "wait actually mistake correction corrected reevaluate reconsider oops instead error incorrect wrong recalculate reexamine revisit contradiction contradicts",
    ),
    (CONCLUSION, "answer therefore thus hence boxed conclusion final"),
    (STEP, "step steps"),
    (NEGATION, "not no never none cannot neither nor"),
];

#[derive(Default)]
struct Cues {
    hedges: f64,
    corrections: f64,
    conclusions: f64,
    /// A conclusion within the last words.
    late: bool,
    steps: f64,
    negations: f64,
}

impl Cues {
    fn of(words: &[u64]) -> Self {
        /// Words at the end in which an answer is summed up.
        const END: usize = 50;
        static TABLE: LazyLock<Vec<(u64, u8)>> = LazyLock::new(|| {
            let mut table: Vec<(u64, u8)> =
                CUES.iter().flat_map(|(cue, words)| words.split(' ').map(|w| (hash_of(w), *cue))).collect();
            table.sort_unstable();
            table
        });
        let mut seen = Self::default();
        for (left, word) in (0..words.len()).rev().zip(words) {
            let start = TABLE.partition_point(|(hash, _)| hash < word);
            for (_, cue) in TABLE.iter().skip(start).take_while(|(hash, _)| hash == word) {
                seen.late |= *cue == CONCLUSION && left < END;
                let count = match *cue {
                    HEDGE => &mut seen.hedges,
                    CORRECTION => &mut seen.corrections,
                    CONCLUSION => &mut seen.conclusions,
                    STEP => &mut seen.steps,
                    _ => &mut seen.negations,
                };
                *count += 1.0;
            }
        }
        seen
    }
}

#[derive(Default)]
struct Numbers {
    count: f64,
    of_prompt: f64,
    long: f64,
    last_share: f64,
}

impl Numbers {
    fn of(tokens: &[Token], asked: &Asked) -> Self {
        let all: Vec<&Token> = tokens.iter().filter(|t| t.number).collect();
        let Some(last) = all.last() else { return Self::default() };
        let count = float(all.len());
        let share = |keep: &dyn Fn(&Token) -> bool| float(all.iter().filter(|t| keep(t)).count()) / count;
        Self {
            count,
            of_prompt: share(&|t| asked.numbers.binary_search(&t.hash).is_ok()),
            long: share(&|t| t.chars >= 6),
            last_share: share(&|t| t.hash == last.hash),
        }
    }
}

#[derive(Default)]
struct Options {
    /// Different options named.
    named: f64,
    /// How often the last one is named, of all.
    last_share: f64,
    /// Its number.
    last: f64,
    /// The text of the last option stands in the answer (1) or not (−1); 0 when there is none.
    text_used: f64,
}

impl Options {
    fn of(tokens: &[Token], asked: &Asked, read: &str) -> Self {
        let closes = [hash_of(")"), hash_of("."), hash_of(":")];
        let marked = tokens.iter().zip(tokens.iter().skip(1));
        let named: Vec<u8> = marked
            .filter(|(letter, mark)| letter.letter > 0 && closes.contains(&mark.hash))
            .map(|(letter, _)| letter.letter)
            .collect();
        let Some(last) = named.last() else { return Self::default() };
        let distinct: BTreeSet<u8> = named.iter().copied().collect();
        let text = asked.options.iter().find(|(number, text)| number == last && !text.is_empty());
        let share = named.iter().map(|n| flag(n == last)).sum::<f64>() / float(named.len());
        Self {
            named: float(distinct.len()),
            last_share: share,
            last: f64::from(*last),
            text_used: text.map_or(0.0, |(_, text)| if read.contains(text.as_str()) { 1.0 } else { -1.0 }),
        }
    }
}

/// ln of the model's size over 20 billion parameters, as far as its name tells (`…-8b-…`, `8x7b`); 0 when it does not.
pub(crate) fn model_size(name: &str) -> f64 {
    let name = name.to_ascii_lowercase();
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let size = parts.filter_map(|part| part.strip_suffix('b')).find_map(|number| {
        let (times, each) = number.split_once('x').map_or((Some(1.0), number), |(n, e)| (n.parse().ok(), e));
        let billions: f64 = each.parse::<f64>().ok()? * times?;
        (billions > 0.0 && billions < 10_000.0).then_some(billions)
    });
    size.map_or(0.0, |billions| libm::log(billions / 20.0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_the_name() {
        assert!(model_size("llama-3.1-70b-instruct") > 1.0);
        assert!(model_size("llama-3.1-8b-instruct") < -0.9);
        assert!(model_size("mixtral-8x7b-instruct-v0.1") > 1.0);
        assert_eq!(model_size("gpt-4o-mini"), 0.0);
        assert_eq!(model_size("nanb-b-0b"), 0.0);
    }

    #[test]
    fn an_answer_is_compared_with_its_prompt() {
        let asked = Asked::new("How many legs do 3 cats have?\n(A) 9\n(B) 12");
        let measured =
            measure(&asked, "m", "A cat has 4 legs. 3 cats have 12. The answer is (B).", Extent::Whole);
        let figure = |name: &str| {
            NAMES.iter().zip(measured.figures).find(|(n, _)| **n == name).map(|(_, value)| value).unwrap()
        };
        assert_eq!(figure("options_named"), 1.0);
        assert_eq!(figure("last_option"), 2.0);
        assert_eq!(figure("option_text_used"), 1.0);
        assert_eq!(figure("concludes_late"), 1.0);
        assert_eq!(figure("numbers_of_prompt"), 2.0 / 3.0);
        assert_eq!(figure("no_option"), 0.0);
        assert_eq!(NAMES.get(at::MODEL), Some(&"ln_model_size"));
        assert_eq!(NAMES.get(at::BACKSLASHES), Some(&"ln_backslashes"));
        assert_eq!(NAMES.get(at::TRIPLES), Some(&"repeated_triples"));
    }
}
