//! Changes thresholds in a config file and nothing else: comments, order and spelling of the rest stay. What cannot be
//! written is shown as a patch.

use anyhow::{Context as _, bail};
use toml_edit::{Array, DocumentMut, InlineTable, TableLike, Value};

/// Lines around a change in a patch.
const AROUND: usize = 3;

/// What becomes of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It stays as it is, or absent.
    Keep,
    /// It goes.
    Remove,
    /// It is this, whether it was there or not.
    To(f64),
}

impl From<Option<f64>> for Change {
    fn from(threshold: Option<f64>) -> Self {
        threshold.map_or(Self::Remove, Self::To)
    }
}

/// What a route's keys are to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keys {
    /// `difficulty_over`.
    pub difficulty_over: Change,
    /// `doubt_over`.
    pub doubt_over: Change,
    /// `quality`, where the route has that key instead of thresholds.
    pub quality: Option<f64>,
}

/// The text with a route's keys changed. Errors when it is no TOML or has no such route.
pub fn changed(text: &str, route: &str, keys: Keys) -> anyhow::Result<String> {
    let mut doc: DocumentMut = text.parse().context("the config is no TOML")?;
    let routes = doc.get_mut("routes").and_then(|routes| routes.as_table_like_mut());
    let table = routes.and_then(|routes| routes.get_mut(route)).and_then(|route| route.as_table_like_mut());
    let Some(table) = table else {
        bail!(
            "the config has no [routes.{route}]; a route that is implied must be written out first (`tollgate init`)"
        )
    };
    if let (Some(quality), Some(value)) =
        (keys.quality, table.get_mut("quality").and_then(|item| item.as_value_mut()))
    {
        replace(value, quality);
    } else if table.contains_key("quality") {
        bail!(
            "[routes.{route}] has `quality`, which stands for thresholds: take it out, or tune with --quality"
        )
    } else {
        set(table, "escalate_before", "difficulty_over", keys.difficulty_over)?;
        set(table, "escalate_after", "doubt_over", keys.doubt_over)?;
    }
    Ok(doc.to_string())
}

/// The route has the key `quality`.
pub fn has_quality(text: &str, route: &str) -> bool {
    let doc: Option<DocumentMut> = text.parse().ok();
    let has = |doc: &DocumentMut| doc.get("routes")?.get(route)?.get("quality").map(|_| ());
    doc.as_ref().and_then(has).is_some()
}

/// Puts a number in a value's place, with the white space and comment around it.
fn replace(value: &mut Value, number: f64) {
    let decor = value.decor().clone();
    *value = Value::from(number);
    *value.decor_mut() = decor;
}

/// Changes, adds or takes out the one entry `{ key = number }` of a list.
fn set(table: &mut dyn TableLike, list: &str, key: &str, change: Change) -> anyhow::Result<()> {
    if change == Change::Keep {
        return Ok(());
    }
    let Some(item) = table.get_mut(list) else {
        if let Change::To(number) = change {
            let mut array = Array::new();
            array.push(entry(key, number));
            table.insert(list, toml_edit::value(array));
        }
        return Ok(());
    };
    let Some(array) = item.as_array_mut() else { bail!("`{list}` is no list") };
    let place = array.iter().position(|entry| entry.as_inline_table().is_some_and(|t| t.contains_key(key)));
    match (place, change) {
        (Some(at), Change::To(number)) => {
            let entry = array.get_mut(at).and_then(|entry| entry.as_inline_table_mut());
            if let Some(value) = entry.and_then(|table| table.get_mut(key)) {
                replace(value, number);
            }
        }
        (Some(at), Change::Remove) => {
            array.remove(at);
            if array.is_empty() {
                table.remove(list);
            }
        }
        (None, Change::To(number)) => push(array, entry(key, number)),
        (None, Change::Remove) | (_, Change::Keep) => {}
    }
    Ok(())
}

fn entry(key: &str, number: f64) -> Value {
    let mut table = InlineTable::new();
    table.insert(key, Value::from(number));
    Value::InlineTable(table)
}

/// Adds an entry, set out as the one before it: a list of one entry a line stays one.
fn push(array: &mut Array, entry: Value) {
    let before = array.iter().last().map(|last| last.decor().prefix().cloned().unwrap_or_default());
    array.push(entry);
    let count = array.len();
    if let (Some(prefix), Some(last)) =
        (before.filter(|_| count > 2 || array_is_tall(array)), array.get_mut(count - 1))
    {
        last.decor_mut().set_prefix(prefix);
    }
}

/// One entry a line.
fn array_is_tall(array: &Array) -> bool {
    let prefix = array.iter().next().and_then(|first| first.decor().prefix());
    prefix.and_then(|prefix| prefix.as_str()).is_some_and(|prefix| prefix.contains('\n'))
}

/// A unified diff of two texts that differ in one stretch of lines or a few: lines in between are shown as changed only
/// when they are.
pub fn patch(file: &str, old: &str, new: &str) -> String {
    use std::fmt::Write as _;
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let from = same_start.saturating_sub(AROUND);
    let (old_end, new_end) = (old.len() - same_end, new.len() - same_end);
    let after = AROUND.min(same_end);
    let slice = |lines: &[&str], from: usize, to: usize| -> Vec<String> {
        lines.get(from..to).unwrap_or_default().iter().map(|line| (*line).to_owned()).collect()
    };
    let mut out = format!("--- {file}\n+++ {file}\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "@@ -{},{} +{},{} @@",
        from + 1,
        old_end + after - from,
        from + 1,
        new_end + after - from
    );
    let parts = [
        (' ', slice(&old, from, same_start)),
        ('-', slice(&old, same_start, old_end)),
        ('+', slice(&new, same_start, new_end)),
        (' ', slice(&old, old_end, old_end + after)),
    ];
    for (mark, lines) in parts {
        for line in lines {
            let _ = writeln!(out, "{mark}{line}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# ours\n[routes.auto]   # the route\ndefault = \"cheap\"\nescalate = 'flagship'\n\
        escalate_before = [   # any of these\n  { matches = \"prove\" },\n  { difficulty_over = 0.50 },  # tuned in May\n]\n\
        escalate_after = [\"empty\", { doubt_over=0.4 }]\n\n[routes.other]\ndefault = \"cheap\"\n";

    fn keys(difficulty_over: Option<f64>, doubt_over: Option<f64>) -> Keys {
        Keys { difficulty_over: difficulty_over.into(), doubt_over: doubt_over.into(), quality: None }
    }

    #[test]
    fn only_the_numbers_change() {
        let text = changed(CONFIG, "auto", keys(Some(0.62), Some(0.35))).unwrap();
        assert_eq!(text, CONFIG.replace("0.50", "0.62").replace("0.4 ", "0.35 ").replace("=0.4", "=0.35"));
        assert_eq!(
            changed(CONFIG, "auto", keys(Some(0.5), Some(0.4))).unwrap(),
            CONFIG.replace("0.50", "0.5")
        );
    }

    #[test]
    fn keys_come_and_go() {
        let gone = changed(CONFIG, "auto", keys(None, None)).unwrap();
        assert!(!gone.contains("difficulty_over") && !gone.contains("doubt_over"));
        assert!(
            gone.contains("{ matches = \"prove\" }") && gone.contains("\"empty\"") && gone.contains("# ours")
        );
        let back = changed(&gone, "auto", keys(Some(0.6), Some(0.3))).unwrap();
        let read: toml::Table = toml::from_str(&back).unwrap();
        let before = read["routes"]["auto"]["escalate_before"].as_array().unwrap();
        assert_eq!(before[1]["difficulty_over"].as_float(), Some(0.6));
        assert!(back.contains("\n  { difficulty_over = 0.6 }"), "one entry a line stays so: {back}");
        let fresh = changed(CONFIG, "other", keys(Some(0.6), None)).unwrap();
        assert!(fresh.ends_with(
            "[routes.other]\ndefault = \"cheap\"\nescalate_before = [{ difficulty_over = 0.6 }]\n"
        ));
        assert!(changed(CONFIG, "nowhere", keys(None, None)).is_err());
        let kept = Keys { doubt_over: Change::Keep, ..keys(Some(0.62), None) };
        assert_eq!(changed(CONFIG, "auto", kept).unwrap(), CONFIG.replace("0.50", "0.62"));
    }

    #[test]
    fn the_key_quality_is_kept() {
        let text = "[routes.auto]\ndefault = \"a\"\nescalate = \"b\"\nquality = 0.9 # keep\n";
        let new = Keys { quality: Some(0.95), ..keys(Some(0.6), None) };
        assert!(has_quality(text, "auto") && !has_quality(CONFIG, "auto"));
        assert_eq!(changed(text, "auto", new).unwrap(), text.replace("0.9", "0.95"));
        let beside = changed(text, "auto", keys(Some(0.6), None)).unwrap_err();
        assert!(beside.to_string().contains("take it out"), "both would be an error at load: {beside}");
    }

    #[test]
    fn a_patch_is_a_unified_diff() {
        let new = changed(CONFIG, "auto", keys(Some(0.62), Some(0.4))).unwrap();
        insta::assert_snapshot!(patch("tollgate.toml", CONFIG, &new), @r#"
        --- tollgate.toml
        +++ tollgate.toml
        @@ -4,7 +4,7 @@
         escalate = 'flagship'
         escalate_before = [   # any of these
           { matches = "prove" },
        -  { difficulty_over = 0.50 },  # tuned in May
        +  { difficulty_over = 0.62 },  # tuned in May
         ]
         escalate_after = ["empty", { doubt_over=0.4 }]
         
        "#);
    }
}
