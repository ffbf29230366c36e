//! "Did you mean …": the nearest of some names.

/// Names longer than this are not compared: the work grows with the square.
const LONGEST: usize = 100;

/// At most `most` of `names` that are near `wanted`, nearest first.
pub fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>, most: usize) -> Vec<&'n str> {
    if wanted.len() > LONGEST {
        return Vec::new();
    }
    let wanted = wanted.to_lowercase();
    // A third of the letters may be wrong; of a short name at least two.
    let limit = (wanted.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .filter_map(|name| score(&wanted, &name.to_lowercase(), limit).map(|d| (d, name)))
        .collect();
    near.sort_unstable();
    near.dedup_by_key(|(_, name)| *name);
    near.into_iter().take(most).map(|(_, name)| name).collect()
}

/// Edits between the two, or between `wanted` and the part of `name` after a slash, or one where `wanted` is a part of
/// `name`: people leave out the vendor and the version.
fn score(wanted: &str, name: &str, limit: usize) -> Option<usize> {
    if wanted.len() >= 4 && name.contains(wanted) {
        return Some(1);
    }
    let short = name.rsplit('/').next().unwrap_or(name);
    let whole = within(wanted, name, limit);
    let part = within(wanted, short, limit).map(|edits| edits + usize::from(short != name));
    whole.into_iter().chain(part).min().filter(|edits| *edits <= limit)
}

/// The distance, unless the lengths alone put it above `limit`: a catalogue has thousands of names, and nearly all of
/// them fall here.
fn within(a: &str, b: &str, limit: usize) -> Option<usize> {
    // A character has at most four bytes, so this never skips a name that is near.
    let far = a.len().abs_diff(b.len()) > 4 * limit
        || (a.is_ascii() && b.is_ascii() && a.len().abs_diff(b.len()) > limit);
    (!far).then(|| distance(a, b))
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, one each.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best =
                (at(&row, j) + usize::from(ca != cb)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped && ca != cb {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_known_ones() {
        for (a, b, d) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("escalte", "escalate", 1), ("ab", "ba", 1)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn the_shortcut_changes_nothing() {
        let names = ["a", "ab", "äöü", "gpt-5.4", "openai/gpt-5.4", "日本", "claude"];
        for a in names {
            for b in names {
                for limit in 0..9 {
                    let near = within(a, b, limit).filter(|edits| *edits <= limit);
                    assert_eq!(near, Some(distance(a, b)).filter(|edits| *edits <= limit), "{a} {b} {limit}");
                }
            }
        }
    }

    #[test]
    fn the_nearest_come_first_and_strangers_not_at_all() {
        let names = ["openai/gpt-5.4", "anthropic/claude-opus-4-7", "cheap", "flagship"];
        assert_eq!(nearest("chaep", names, 3), ["cheap"]);
        assert_eq!(nearest("gpt-5.5", names, 3), ["openai/gpt-5.4"]);
        assert_eq!(nearest("claude-opus", names, 3), ["anthropic/claude-opus-4-7"]);
        assert!(nearest("zzzzzzzz", names, 3).is_empty());
    }
}
