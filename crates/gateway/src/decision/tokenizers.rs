//! What each model's tokenizer makes of a reference token, from prompts that two models read.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Measured, Stamp, float};

/// Fewer common prompts than this say nothing of a tokenizer.
const LEAST: u64 = 30;

/// Two counts of the same prompts.
#[derive(Clone, Copy, Default)]
struct Counts {
    prompts: u64,
    reference: u64,
    other: u64,
}

/// `[token_ratio]` of the scenario, and what must be said about it. The reference is the model that read most prompts,
/// since the workload's lengths are mostly its counts.
pub(super) fn ratios(measured: &Measured, stamp: &Stamp<'_>) -> (Map<String, Value>, Option<String>) {
    let mut ratios = Map::new();
    let Some((reference, _)) = measured.targets.iter().max_by_key(|(_, totals)| totals.attempts) else {
        return (ratios, None);
    };
    let mut by_target: BTreeMap<&str, Counts> = BTreeMap::new();
    for pair in &measured.same_prompts {
        let (other, reference_tokens, other_tokens) = if pair.first == *reference {
            (&pair.second, pair.first_tokens, pair.second_tokens)
        } else if pair.second == *reference {
            (&pair.first, pair.second_tokens, pair.first_tokens)
        } else {
            continue;
        };
        let counts = by_target.entry(other).or_default();
        counts.prompts += pair.prompts;
        counts.reference += reference_tokens;
        counts.other += other_tokens;
    }
    by_target.retain(|_, counts| counts.prompts >= LEAST && counts.reference > 0);
    for (target, counts) in &by_target {
        let value = float(counts.other) / float(counts.reference);
        let source = format!("{}: {} prompts that {reference} read too", stamp.source, counts.prompts);
        let ratio = json!({"value": value, "basis": "measured", "source": source, "as_of": stamp.as_of});
        ratios.insert((*target).to_owned(), ratio);
    }
    let note = (!ratios.is_empty()).then(|| {
        format!("measured: token ratios are tokens for a token of {reference}, from prompts that both read")
    });
    (ratios, note)
}

#[cfg(test)]
mod tests {
    use ledger::{SamePrompts, Totals};

    use super::*;

    fn pair(first: &str, second: &str, prompts: u64, first_tokens: u64, second_tokens: u64) -> SamePrompts {
        SamePrompts {
            first: first.to_owned(),
            second: second.to_owned(),
            prompts,
            first_tokens,
            second_tokens,
        }
    }

    #[test]
    fn pairs_of_both_directions_add_up_and_few_prompts_say_nothing() {
        let target = |name: &str, attempts| (name.to_owned(), Totals { attempts, ..Totals::default() });
        let measured = Measured {
            targets: vec![target("a/small", 100), target("b/big", 40), target("c/rare", 3)],
            same_prompts: vec![
                pair("a/small", "b/big", 20, 1_000, 1_200),
                pair("b/big", "a/small", 20, 600, 500),
                pair("a/small", "c/rare", 29, 1_000, 2_000),
                pair("b/big", "c/rare", 90, 1_000, 2_000),
            ],
            ..Measured::default()
        };
        let stamp = Stamp { source: "ledger, 7d", as_of: "2026-11-24".to_owned() };
        let (ratios, note) = ratios(&measured, &stamp);
        assert_eq!(ratios.keys().collect::<Vec<_>>(), ["b/big"]);
        assert_eq!(ratios["b/big"]["value"], 1.2);
        assert_eq!(ratios["b/big"]["basis"], "measured");
        assert!(ratios["b/big"]["source"].as_str().unwrap().contains("40 prompts"), "{ratios:?}");
        assert!(note.unwrap().contains("a/small"));
    }
}
