//! Reads a scenario value by value and remembers everything that is wrong on the way.
//!
//! The obvious alternative, deriving a deserialiser, stops at the first mistake and cannot say which names are near. Here a
//! value that cannot be used becomes a problem, reading goes on with a stand-in, and the result is only used when
//! there is no problem.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::dist::Dist;
use crate::inputs::{Basis, Bounds, Provenance};
use crate::problem::Problem;

/// A number as the scenario states it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub base: f64,
    pub dist: Option<Dist>,
    /// Overrides the scenario's own word: measured in a ledger, say.
    pub from: Provenance,
}

/// What a number may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub unit: &'static str,
    pub bounds: Bounds,
    /// Above it the number is a slip of the keyboard.
    pub absurd: f64,
}

impl Kind {
    pub const SHARE: Self = Self { unit: "share", bounds: Bounds::SHARE, absurd: 1.0 };
    pub const TOKENS: Self = Self { unit: "tokens", bounds: Bounds::NONNEGATIVE, absurd: 1e8 };
    pub const VOLUME: Self = Self { unit: "per period", bounds: Bounds::POSITIVE, absurd: 1e16 };
    pub const USD: Self = Self { unit: "$", bounds: Bounds::NONNEGATIVE, absurd: 1e12 };
    pub const USD_PER_MILLION: Self = Self { unit: "$/M tokens", bounds: Bounds::NONNEGATIVE, absurd: 1e5 };
    pub const USD_PER_HOUR: Self = Self { unit: "$/h", bounds: Bounds::NONNEGATIVE, absurd: 1e5 };
    pub const FACTOR: Self = Self { unit: "×", bounds: Bounds::POSITIVE, absurd: 1e6 };
    pub const AT_LEAST_ONE: Self = Self { unit: "×", bounds: Bounds::AT_LEAST_ONE, absurd: 1e4 };
    pub const CHANGE: Self = Self { unit: "relative change", bounds: Bounds::CHANGE, absurd: 100.0 };
    pub const AMOUNT: Self = Self { unit: "", bounds: Bounds::NONNEGATIVE, absurd: 1e9 };

    pub const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

/// A table of the scenario.
pub(crate) struct Reader<'a> {
    map: &'a Map<String, Value>,
    path: String,
    problems: &'a RefCell<Vec<Problem>>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    pub fn new(map: &'a Map<String, Value>, path: &str, problems: &'a RefCell<Vec<Problem>>) -> Self {
        Self { map, path: path.to_owned(), problems, known: RefCell::default() }
    }

    /// `stacks.own` and `gpu` → `stacks.own.gpu`.
    pub fn path(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    pub fn problem(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(self.path(key), message, hint));
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().insert(key);
        self.map.get(key)
    }

    /// The keys of this table, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// An entry whose key is the user's own word.
    pub fn named(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    pub fn table(&self, key: &'static str) -> Option<Reader<'a>> {
        let value = self.value(key)?;
        self.table_of(key, value)
    }

    pub fn table_of(&self, key: &str, value: &'a Value) -> Option<Reader<'a>> {
        if let Value::Object(map) = value {
            return Some(Reader::new(map, &self.path(key), self.problems));
        }
        self.problem(
            key,
            format!("is {}, not a table", kind_of(value)),
            format!("write [{}]", self.path(key)),
        );
        None
    }

    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            other => {
                self.problem(key, format!("is {}, not text", kind_of(other)), "put it in quotes");
                None
            }
        }
    }

    /// One of a few words.
    pub fn word(&self, key: &'static str, among: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = among.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let message = format!("`{text}` is not known");
            self.problem(key, message, format!("one of {}", among.join(", ")));
        }
        found
    }

    pub fn flag(&self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.problem(key, format!("is {}, not true or false", kind_of(other)), "");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&self, key: &'static str, least: usize, most: usize) -> Option<usize> {
        let value = self.value(key)?;
        let number = value.as_f64().and_then(crate::num::index).filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.problem(key, format!("is {value}"), format!("a whole number from {least} to {most}"));
        }
        number
    }

    /// A certain number.
    pub fn number(&self, key: &'static str, kind: Kind) -> Option<f64> {
        let quantity = self.quantity(key, kind)?;
        if quantity.dist.is_some() {
            self.problem(key, "may not be uncertain", "write one number");
        }
        Some(quantity.base)
    }

    /// A number, a range `[low, high]`, or a distribution.
    pub fn quantity(&self, key: &'static str, kind: Kind) -> Option<Quantity> {
        let value = self.value(key)?;
        self.quantity_of(key, value, kind)
    }

    pub fn quantity_of(&self, key: &str, value: &Value, kind: Kind) -> Option<Quantity> {
        let mut from = Provenance::scenario(&self.path(key));
        let value = self.unwrap_sourced(key, value, &mut from);
        let (base, dist) = match Self::read_quantity(value) {
            Ok(read) => read,
            Err(message) => {
                self.problem(key, message, HOW_TO_WRITE);
                return None;
            }
        };
        let ends = dist.as_ref().map_or([base, base, base], stated_ends);
        if let Some(bad) = ends.into_iter().find(|value| !value.is_finite()) {
            self.problem(key, format!("is {bad}, which is no number"), HOW_TO_WRITE);
            return None;
        }
        let Bounds { min, max } = kind.bounds;
        if let Some(bad) = ends.into_iter().find(|value| *value < min || *value > max) {
            self.problem(key, format!("is {bad}"), hint_for(kind.bounds));
            return None;
        }
        if let Some(bad) = ends.into_iter().find(|value| *value > kind.absurd) {
            let hint = format!("at most {} {}: check the unit", crate::num::short(kind.absurd), kind.unit);
            self.problem(key, format!("is {bad}, which is absurd"), hint);
            return None;
        }
        Some(Quantity { base, dist, from })
    }

    /// `{ value = 0.35, basis = "measured", source = "ledger …", as_of = "…" }`: a number with its provenance.
    fn unwrap_sourced<'v>(&self, key: &str, value: &'v Value, from: &mut Provenance) -> &'v Value {
        let Value::Object(map) = value else { return value };
        let Some(inner) = map.get("value") else { return value };
        for (name, word) in map {
            let text = word.as_str();
            match (name.as_str(), text) {
                ("value", _) => {}
                ("source", Some(text)) => text.clone_into(&mut from.source),
                ("as_of", Some(text)) => from.as_of = Some(text.to_owned()),
                ("basis", Some("measured")) => from.basis = Basis::Measured,
                ("basis", Some("list")) => from.basis = Basis::List,
                ("basis", Some("modelled")) => from.basis = Basis::Modelled,
                ("basis", Some("assumed")) => from.basis = Basis::Assumed,
                _ => self.problem(
                    key,
                    format!("`{name} = {word}` cannot be read"),
                    "value, source, as_of, and basis = \"measured\", \"list\", \"modelled\" or \"assumed\"",
                ),
            }
        }
        inner
    }

    fn read_quantity(value: &Value) -> Result<(f64, Option<Dist>), String> {
        match value {
            Value::Number(number) => number.as_f64().map(|n| (n, None)).ok_or("is no number".to_owned()),
            Value::String(text) => {
                let number = text.trim().trim_start_matches('$').replace('_', "").parse::<f64>();
                number.map(|n| (n, None)).map_err(|_| format!("`{text}` is no number"))
            }
            Value::Array(items) => {
                let numbers = numbers(items)?;
                let [low, high] = numbers.as_slice() else {
                    return Err(format!("a range has two ends, not {}", numbers.len()));
                };
                if low >= high {
                    return Err(format!("the range [{low}, {high}] does not go up"));
                }
                let dist = Dist::Uniform(*low, *high);
                Ok((dist.center(), Some(dist)))
            }
            Value::Object(map) => distribution(map).map(|dist| (dist.center(), Some(dist))),
            other => Err(format!("is {}, not a number", kind_of(other))),
        }
    }

    /// Says which keys are not known, with the nearest that are.
    pub fn finish(self) {
        let known: Vec<&'static str> = self.known.borrow().iter().copied().collect();
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = catalog::nearest(key, known.iter().copied(), 3).join(", ");
            let hint = if near.is_empty() { String::new() } else { format!("known here: {near}") };
            self.problem(key, "is not known", hint);
        }
    }
}

const HOW_TO_WRITE: &str = "a number, a range [low, high], { p10 = …, p50 = …, p90 = … }, { normal = [mean, sd] }, \
     { lognormal = [median, sigma] }, { triangular = [low, mode, high] } or { uniform = [low, high] }";

fn hint_for(bounds: Bounds) -> String {
    let Bounds { min, max } = bounds;
    if bounds == Bounds::SHARE {
        "a share lies from 0 to 1: write 0.35 for 35 %".to_owned()
    } else if bounds == Bounds::POSITIVE {
        "above 0".to_owned()
    } else if max >= f64::MAX {
        format!("{min} or more")
    } else {
        format!("from {min} to {max}")
    }
}

/// The values that must lie in the bounds: the ends of what has ends, the quantiles of what has none.
fn stated_ends(dist: &Dist) -> [f64; 3] {
    match dist {
        Dist::Uniform(low, high) => [*low, dist.center(), *high],
        Dist::Triangular(low, mode, high) => [*low, *mode, *high],
        Dist::Quantiles(p10, p50, p90) => [*p10, *p50, *p90],
        Dist::Normal(mean, sd) => [*mean, *mean, if sd.is_finite() { *mean } else { *sd }],
        Dist::LogNormal(median, sigma) => {
            [*median, *median, if sigma.is_finite() { *median } else { *sigma }]
        }
        Dist::Spells(_) | Dist::FirstEvent(_) => [0.0; 3],
    }
}

fn distribution(map: &Map<String, Value>) -> Result<Dist, String> {
    let get = |key: &str| map.get(key).and_then(Value::as_f64);
    if let (Some(p10), Some(p50), Some(p90)) = (get("p10"), get("p50"), get("p90")) {
        return match map.len() {
            3 if p10 < p50 && p50 < p90 => Ok(Dist::Quantiles(p10, p50, p90)),
            3 => Err(format!("p10 = {p10}, p50 = {p50}, p90 = {p90} do not go up")),
            _ => Err("has more keys than p10, p50, p90".to_owned()),
        };
    }
    let mut entries = map.iter();
    let (Some((name, Value::Array(items))), None) = (entries.next(), entries.next()) else {
        return Err("is not a distribution".to_owned());
    };
    let numbers = numbers(items)?;
    match (name.as_str(), numbers.as_slice()) {
        ("uniform", [low, high]) if low < high => Ok(Dist::Uniform(*low, *high)),
        ("normal", [mean, sd]) if *sd > 0.0 => Ok(Dist::Normal(*mean, *sd)),
        ("lognormal", [median, sigma]) if *median > 0.0 && *sigma > 0.0 => {
            Ok(Dist::LogNormal(*median, *sigma))
        }
        ("triangular", [low, mode, high]) if low <= mode && mode <= high && low < high => {
            Ok(Dist::Triangular(*low, *mode, *high))
        }
        ("uniform" | "normal" | "lognormal" | "triangular", _) => {
            Err(format!("`{name} = {numbers:?}` is not a distribution"))
        }
        _ => Err(format!("the distribution `{name}` is not known")),
    }
}

pub(crate) fn numbers(items: &[Value]) -> Result<Vec<f64>, String> {
    items.iter().map(|item| item.as_f64().ok_or_else(|| format!("`{item}` is no number"))).collect()
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (TOML's nan and inf are no numbers either)",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use super::*;
    use serde_json::json;

    fn read(value: &Value, kind: Kind) -> Result<Quantity, String> {
        let problems = RefCell::default();
        let map = Map::new();
        let reader = Reader::new(&map, "", &problems);
        let quantity = reader.quantity_of("x", value, kind);
        quantity.ok_or_else(|| problems.borrow().first().expect("a problem").to_string())
    }

    #[test]
    fn numbers_ranges_and_distributions_are_read() {
        let base = |value: Value| read(&value, Kind::USD).unwrap().base;
        assert_eq!(base(json!(3)), 3.0);
        assert_eq!(base(json!("0.40")), 0.4);
        assert_eq!(base(json!([2, 4])), 3.0);
        assert_eq!(base(json!({"p10": 1, "p50": 2, "p90": 5})), 2.0);
        assert_eq!(base(json!({"normal": [7, 1]})), 7.0);
        assert_eq!(base(json!({"triangular": [1, 2, 9]})), 2.0);
        let sourced = json!({"value": [2, 4], "basis": "measured", "source": "ledger"});
        assert_eq!(read(&sourced, Kind::USD).unwrap().from.basis, Basis::Measured);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        let error = |value: Value, kind| read(&value, kind).unwrap_err();
        assert!(error(json!(1.2), Kind::SHARE).contains("write 0.35 for 35 %"));
        assert!(error(json!(-1), Kind::USD).contains("0 or more"));
        assert!(error(json!(0), Kind::FACTOR).contains("above 0"));
        assert!(error(json!(null), Kind::USD).contains("null"));
        assert!(error(json!([4, 2]), Kind::USD).contains("does not go up"));
        assert!(error(json!([0.5, 1.5]), Kind::SHARE).contains("is 1.5"));
        assert!(error(json!({"beta": [1, 2]}), Kind::USD).contains("`beta` is not known"));
        assert!(error(json!(1e9), Kind::USD_PER_HOUR).contains("absurd"));
        assert!(error(json!("nan"), Kind::USD).contains("no number"));
    }
}
