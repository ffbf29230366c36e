//! Small sets of words that say what kind of task a prompt is. Written by hand from what exams, word problems, code and
//! letters are made of; looked up by hash.

use std::sync::LazyLock;

use crate::text::hash_of;

/// How many sets there are.
pub const SETS: usize = 27;

/// Names of the sets, for `explain` and the card. The first seven count as present or absent, the others as a share.
pub const NAMES: [&str; SETS] = [
    "asks_what",
    "asks_which",
    "asks_who",
    "asks_when",
    "asks_where",
    "asks_why",
    "asks_how",
    "negation",
    "calculation",
    "proof",
    "hypothesis",
    "quantifiers",
    "pronouns",
    "function_words",
    "units",
    "code_words",
    "writing",
    "person",
    "order",
    "trade",
    "law",
    "medicine",
    "physics",
    "mathematics",
    "economics",
    "history",
    "ethics",
];

const WORDS: [&str; SETS] = [
    "what",
    "which",
    "who",
    "when",
    "where",
    "why",
    "how",
    "not except never no none neither nor false incorrect least without cannot",
    "calculate compute determine find evaluate solve value estimate",
    "prove show derive proof explain justify",
    "if suppose assume given let consider assuming",
    "all some every each any only most least exactly",
    "he she his her him they their them",
    "the of a an in to and is for on with by at from as that this it be are was were or",
    "m s kg cm mm km ft lb hz ev j w v k c g mol ml l psi btu hr min sec percent degrees atm pa kpa n",
    "def return import class int string array list function print assert input output nums",
    "write compose essay poem story letter email blog summarize rewrite translate draft create generate describe",
    "i me my you your we us",
    "first then next after before finally step steps",
    "dollars cost price sold buy pay paid profit total many much left twice half",
    "plaintiff defendant court contract statute law liable rights constitutional tort trial",
    "patient symptoms disease treatment diagnosis blood clinical cell cells protein gene",
    "velocity mass force energy temperature pressure wavelength current voltage gas acceleration radius charge equilibrium reaction",
    "integer integers polynomial function triangle probability matrix equation real positive angle prime sum set group ring",
    "market demand supply firm price tax income inflation interest cost equity stock accounting",
    "century war king empire revolution political government state president passage",
    "moral ethics argument philosophy theory according wrong belief kant",
];

/// Slots of the table; a power of two, about four times the words.
const SLOTS: usize = 1_024;

struct Table {
    slots: Vec<(u64, u32)>,
}

/// The sets that a word is in, a bit each.
pub fn sets_of(hash: u64) -> u32 {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::build);
    TABLE.get(hash)
}

impl Table {
    fn build() -> Self {
        let mut table = Self { slots: vec![(0, 0); SLOTS] };
        for (set, words) in WORDS.iter().enumerate() {
            for word in words.split(' ') {
                table.add(hash_of(word), 1 << set);
            }
        }
        table
    }

    fn add(&mut self, hash: u64, bit: u32) {
        let slot = Self::probe(hash).find(|&at| self.slots.get(at).is_some_and(|s| s.1 == 0 || s.0 == hash));
        if let Some(slot) = slot.and_then(|at| self.slots.get_mut(at)) {
            *slot = (hash, slot.1 | bit);
        }
    }

    fn get(&self, hash: u64) -> u32 {
        for at in Self::probe(hash) {
            match self.slots.get(at) {
                Some((found, bits)) if *bits != 0 => {
                    if *found == hash {
                        return *bits;
                    }
                }
                _ => return 0,
            }
        }
        0
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked to the table's size")]
    fn probe(hash: u64) -> impl Iterator<Item = usize> + use<> {
        let start = hash as usize & (SLOTS - 1);
        (start..SLOTS).chain(0..start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_its_sets_and_no_other_word_in_any() {
        for (set, words) in WORDS.iter().enumerate() {
            for word in words.split(' ') {
                assert_ne!(sets_of(hash_of(word)) & (1 << set), 0, "{word}");
            }
        }
        assert_eq!(sets_of(hash_of("function")).count_ones(), 2);
        assert_eq!(sets_of(hash_of("xylophone")), 0);
    }
}
