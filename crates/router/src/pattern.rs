//! The regex of a rule, built twice.
//!
//! Looking for the literals of a pattern first, as `regex` does, pays where they are rare. Where letter case is ignored
//! they are a dozen short prefixes that ordinary prose is full of: a prompt is then read at a fifth of the speed of the
//! plain automaton. The plain one, however, gives up at a Unicode word boundary beside text that is not ASCII. So ASCII
//! text is read by the one and all other text by the other; both find the same.

use std::fmt;

use regex::Regex;
use regex_automata::{Input, meta};

/// A regex for the text of prompts.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Without a search for literals; `None`: it would be too large.
    plain: Option<meta::Regex>,
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Self {
        let config = meta::Config::new().auto_prefilter(false);
        let plain = meta::Regex::builder().configure(config).build(regex.as_str()).ok();
        Self { regex, plain }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.regex.fmt(f)
    }
}

impl Pattern {
    /// As it is spelled in the config.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// The leftmost match.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        match &self.plain {
            Some(plain) if text.is_ascii() => text.get(plain.find(Input::new(text))?.range()),
            _ => self.regex.find(text).map(|found| found.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whichever build reads a text, the match is the one that `regex` finds.
        #[test]
        fn both_builds_find_the_same(
            which in 0..4_usize,
            words in proptest::collection::vec(
                prop_oneof![Just("Prove"), Just("im"), Just("prove"), Just(" "), Just("-step"), Just("multi"), Just("é"), Just("optimise"), Just(".")],
                0..12,
            ),
        ) {
            let patterns = [r"(?i)\b(multi-step|prove|derive|optimi[sz]e|architect)\b", r"prove", r"(?s)PROVE.*", r"^\s*$"];
            let regex = Regex::new(patterns[which]).unwrap();
            let text = words.concat();
            let found = regex.find(&text).map(|found| found.as_str());
            prop_assert_eq!(Pattern::from(regex.clone()).find(&text), found);
        }
    }
}
