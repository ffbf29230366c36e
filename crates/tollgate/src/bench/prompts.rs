//! Prompts that no cache has seen, or that share a known part.
//!
//! Replaying one payload, or a file of them, measures the prefix cache. Here each prompt begins with the number of its
//! request and a run's own identifier, so that no two share a prefix with each other or with an earlier run;
//! in the warm mode, a stated share of each is the same text.

use std::fmt::Write as _;

/// Everyday words: one or two tokens each in any vocabulary.
const WORDS: [&str; 64] = [
    "river", "window", "garden", "paper", "stone", "winter", "bridge", "letter", "forest", "market",
    "silver", "candle", "summer", "village", "mirror", "thunder", "harbour", "lantern", "meadow", "kitchen",
    "ladder", "pocket", "button", "feather", "blanket", "castle", "pencil", "orange", "copper", "island",
    "valley", "doctor", "teacher", "farmer", "sailor", "painter", "slowly", "quickly", "often", "never",
    "always", "under", "between", "against", "without", "through", "carry", "follow", "answer", "gather",
    "listen", "wander", "repair", "measure", "borrow", "explain", "yellow", "narrow", "gentle", "heavy",
    "early", "quiet", "bright", "distant",
];

/// Makes the prompts of one run.
#[derive(Clone, Debug)]
pub struct Prompts {
    /// Tells this run from earlier ones.
    run: String,
    seed: u64,
    /// Words of a prompt.
    words: usize,
    /// Of them, the same in all prompts.
    common: usize,
}

impl Prompts {
    /// Prompts of `words` words; the first `warm` share of them is the same in all.
    pub fn new(run: &str, seed: u64, words: usize, warm: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a usize")]
        let common = (super::stats::len(words) * warm.clamp(0.0, 1.0)).round() as usize;
        Self { run: run.to_owned(), seed, words, common }
    }

    /// The prompt of one request of one point. Points count from 1; 0 is for probes.
    pub fn text(&self, point: usize, request: usize) -> String {
        let mut text = self.common();
        let own = fastrand::Rng::with_seed(
            self.seed ^ (point as u64).rotate_left(40) ^ (request as u64).rotate_left(8),
        );
        // writing to a string does not fail
        let _ = write!(text, "{request}.{point}.{}:", self.run);
        add_words(&mut text, own, self.words.saturating_sub(self.common));
        text
    }

    /// What all prompts begin with; empty in the cold mode.
    pub fn common(&self) -> String {
        let mut text = String::new();
        if self.common > 0 {
            text.push_str(&self.run);
            add_words(&mut text, fastrand::Rng::with_seed(self.seed), self.common);
            text.push('\n');
        }
        text
    }
}

fn add_words(text: &mut String, mut random: fastrand::Rng, count: usize) {
    for _ in 0..count {
        text.push(' ');
        text.push_str(random.choice(WORDS).unwrap_or("word"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_prompts_share_a_beginning() {
        let prompts = Prompts::new("run", 1, 50, 0.0);
        let mut all = HashSet::new();
        for point in 0..3 {
            for request in 0..200 {
                let text = prompts.text(point, request);
                assert_eq!(text.split(' ').count(), 51);
                assert!(all.insert(text.split(':').next().unwrap().to_owned()));
                assert!(all.insert(text), "the words differ, too");
            }
        }
        let other = Prompts::new("another", 1, 50, 0.0);
        assert!(other.text(0, 0).starts_with("0.0.another:"), "nor with an earlier run");
        assert_eq!(prompts.text(1, 7), Prompts::new("run", 1, 50, 0.0).text(1, 7));
    }

    #[test]
    fn warm_prompts_share_the_stated_part_and_nothing_more() {
        let prompts = Prompts::new("run", 1, 100, 0.75);
        let (a, b) = (prompts.text(0, 0), prompts.text(0, 1));
        let common = prompts.common();
        assert_eq!(common.split_whitespace().count(), 76);
        let (a, b) = (a.strip_prefix(&common).unwrap(), b.strip_prefix(&common).unwrap());
        assert!(a.starts_with("0.0.run: ") && b.starts_with("1.0.run: "));
        assert_eq!((a.split(' ').count(), b.split(' ').count()), (26, 26));
    }
}
