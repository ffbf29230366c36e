//! Model names: which spellings mean the same model, and which is meant by a wrong one.

/// `name` is `stem` followed by a date, a revision number or `latest`, e.g. `claude-opus-4-7-20260416`, or nothing.
///
/// Sources say "everything that begins so costs the same", and that is how a new, dearer sibling gets the price of
/// an old one (field notes §1.22). So only what names a version of the same model may follow: `-fast` may not.
pub(crate) fn is_version_of(name: &str, stem: &str) -> bool {
    let Some(rest) = name.strip_prefix(stem) else { return false };
    if rest.is_empty() {
        return true;
    }
    if !stem.ends_with(['-', '@']) && !rest.starts_with(['-', '@']) {
        return false;
    }
    let mut parts = rest.trim_start_matches(['-', '@']).split('-');
    let digits = |part: &str, lengths: &[usize]| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    match parts.next() {
        Some("latest") => parts.next().is_none(),
        // 20260416, 0125, 001
        Some(part) if digits(part, &[3, 4, 8]) => match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => true,
            // 2026-04-16
            (Some(month), Some(day), None) => part.len() == 4 && digits(month, &[2]) && digits(day, &[2]),
            _ => false,
        },
        _ => false,
    }
}

/// The `count` names that are nearest to `name`, best first.
pub fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let wanted = fold(name);
    let mut scored: Vec<(usize, &str)> =
        among.into_iter().map(|candidate| (distance(&wanted, &fold(candidate)), candidate)).collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// Longer names are cut: a caller's typo is not worth a quadratic table of kilobytes.
const LONGEST: usize = 96;

/// Lower case, with the separators that people mix up made equal.
fn fold(name: &str) -> Vec<char> {
    let same = |c: char| if matches!(c, '_' | '.' | ':' | ' ') { '-' } else { c.to_ascii_lowercase() };
    name.chars().take(LONGEST).map(same).collect()
}

/// Edits between two names. What one has more at either end is cheap: people leave out the vendor and the date.
fn distance(wanted: &[char], candidate: &[char]) -> usize {
    const EDIT: usize = 4;
    const END: usize = 1;
    let end = |i: usize, len: usize| if i == 0 || i == len { END } else { EDIT };
    // One row of the classic edit-distance table at a time.
    let mut row: Vec<usize> = (0..=candidate.len()).map(|j| j * END).collect();
    for (i, a) in wanted.iter().enumerate() {
        let mut diagonal = row.first().copied().unwrap_or(0);
        let mut left = diagonal + EDIT;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(candidate) {
            let above = *cell + EDIT;
            let skip = left + end(i + 1, wanted.len());
            let swap = diagonal + if a == b { 0 } else { EDIT };
            diagonal = *cell;
            left = above.min(skip).min(swap);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fn1_22_only_a_date_or_latest_makes_a_version_of_the_same_model() {
        for version in [
            "claude-opus-4-7",
            "claude-opus-4-7-20260416",
            "claude-opus-4-7@20260416",
            "claude-opus-4-7-2026-04-16",
            "claude-opus-4-7-latest",
        ] {
            assert!(is_version_of(version, "claude-opus-4-7"), "{version}");
        }
        for other in
            ["claude-opus-4-7-fast", "claude-opus-4-71", "claude-opus-4-7-20260416-fast", "claude-opus-4"]
        {
            assert!(!is_version_of(other, "claude-opus-4-7"), "{other}");
        }
        assert!(!is_version_of("claude-opus-4-7", "claude-opus-4"), "a sibling, not a date");
        assert!(is_version_of("gemini-2.0-flash-001", "gemini-2.0-flash-"));
    }

    #[test]
    fn a_wrong_name_finds_the_right_one() {
        let names = [
            "openai/gpt-5.4",
            "openai/gpt-5.4-mini",
            "anthropic/claude-opus-4-7",
            "together/Qwen/Qwen3-235B",
        ];
        let first = |name| nearest(name, names, 1).first().copied().unwrap();
        assert_eq!(first("gpt-5-4"), "openai/gpt-5.4");
        assert_eq!(first("claude-opus-4.7"), "anthropic/claude-opus-4-7");
        assert_eq!(first("claud-opus-4-7"), "anthropic/claude-opus-4-7");
        assert_eq!(first("qwen3-235b"), "together/Qwen/Qwen3-235B");
        assert_eq!(nearest("x", names, 3).len(), 3);
        assert!(nearest(&"x".repeat(1 << 20), names, 1).len() == 1);
    }
}
