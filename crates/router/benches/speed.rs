//! How long a decision takes: `cargo bench -p tollgate-router`. Prints the median and the 99th percentile over many
//! different prompts on one core, the built-in weights warm.
//!
//! A harness that repeats one prompt would measure a cache: here each call scores another text.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use tollgate_router::{Extent, Learned, Question, Threshold};

const WORDS: [&str; 40] = [
    "the",
    "train",
    "leaves",
    "at",
    "seven",
    "and",
    "travels",
    "north",
    "with",
    "a",
    "speed",
    "of",
    "ninety",
    "kilometres",
    "per",
    "hour",
    "while",
    "another",
    "one",
    "waits",
    "for",
    "passengers",
    "who",
    "have",
    "not",
    "yet",
    "arrived",
    "because",
    "traffic",
    "was",
    "heavy",
    "on",
    "bridge",
    "over",
    "river",
    "Calculate",
    "12",
    "4.5",
    "x",
    "(B)",
];

/// Text of about `chars` characters; each `seed` gives another.
fn text(chars: usize, mut seed: u64) -> String {
    let mut text = String::with_capacity(chars + 16);
    while text.len() < chars {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = usize::try_from(seed >> 33).unwrap() % WORDS.len();
        text.push_str(WORDS[word]);
        text.push(if seed >> 60 == 0 { '\n' } else { ' ' });
    }
    text
}

/// Nanoseconds of each call, sorted.
fn times<T, R>(inputs: &[T], mut call: impl FnMut(&T) -> R) -> Vec<u128> {
    let mut times: Vec<u128> = inputs
        .iter()
        .map(|input| {
            let start = Instant::now();
            black_box(call(black_box(input)));
            start.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    times
}

fn say(what: &str, times: &[u128]) {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of one call")]
    let us = |at: usize| times[at.min(times.len() - 1)] as f64 / 1_000.0;
    let n = times.len();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what:44} median {:8.1} µs   p99 {:8.1} µs   ({n} calls)", us(n / 2), us(n * 99 / 100))
        .unwrap();
}

fn main() {
    let learned = Learned::builtin().unwrap();
    let rule = Threshold { over: 0.62, learned: Some(learned.clone()) };
    let short: Vec<String> = (0..20_000).map(|n| text(600, n)).collect();
    let long: Vec<String> = (0..1_000).map(|n| text(100_000, n)).collect();
    // Warm caches and the lazily built tables.
    times(&short[..1_000], |prompt| rule.difficulty(prompt));
    say("difficulty rule, 600 characters", &times(&short, |prompt| rule.difficulty(prompt)));
    say("difficulty score alone, 600 characters", &times(&short, |prompt| learned.difficulty.score(prompt)));
    say("difficulty rule, 100,000 characters", &times(&long, |prompt| rule.difficulty(prompt)));
    let doubt = learned.doubt.as_ref().unwrap();
    let asked: Vec<(Question, String)> = (0..5_000)
        .map(|n| (Question::new(&learned.difficulty, &text(600, n)), text(2_000, n + 77)))
        .collect();
    for seen in Extent::ALL {
        let judge = |(question, answer): &(Question, String)| doubt.score(question, "small-8b", answer, seen);
        say(&format!("doubt at {}", seen.as_str()), &times(&asked, judge));
    }
}
