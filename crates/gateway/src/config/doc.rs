//! Reads a TOML document key by key and collects every mistake with its place.
//!
//! The obvious alternative, `serde` with `deny_unknown_fields`, stops at the first mistake and forgets where the others
//! are. Here each section takes the keys that it knows from a [`Section`]; what nobody took is unknown, and the keys that were
//! asked for are the candidates for "did you mean". Messages name keys and types, never values that may be secret.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use catalog::Money;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::nearest::nearest;

/// A value with its place.
pub(super) type Value<'t> = &'t Spanned<DeValue<'t>>;

/// A document being read.
pub(super) struct Doc<'d> {
    file: &'d str,
    text: &'d str,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<ConfigError>>,
}

impl<'d> Doc<'d> {
    pub(super) fn new(file: &'d str, text: &'d str) -> Self {
        Self { file, text, errors: RefCell::default(), warnings: RefCell::default() }
    }

    /// Notes a mistake.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.errors.borrow_mut().push(self.at(span, message.into(), hint));
    }

    /// Notes something that is allowed and unwise.
    pub(super) fn warn(&self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.warnings.borrow_mut().push(self.at(span, message.into(), hint));
    }

    /// Notes a mistake of another file.
    pub(super) fn foreign(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    fn at(&self, span: Range<usize>, message: String, hint: Option<String>) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ConfigError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message,
            hint,
        }
    }

    /// Errors and warnings in the order of the file.
    pub(super) fn finish(self) -> (Vec<ConfigError>, Vec<ConfigError>) {
        let (mut errors, mut warnings) = (self.errors.into_inner(), self.warnings.into_inner());
        errors.sort();
        warnings.sort();
        (errors, warnings)
    }
}

/// One table of the document.
pub(super) struct Section<'t> {
    pub(super) doc: &'t Doc<'t>,
    /// How messages call it: `` `[routes.auto]` ``.
    pub(super) name: String,
    /// Its place.
    pub(super) span: Range<usize>,
    table: &'t DeTable<'t>,
    /// Keys that were asked for.
    known: RefCell<Vec<&'static str>>,
    /// Keys that we know of and do not enforce.
    refused: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    pub(super) fn new(doc: &'t Doc<'t>, name: String, span: Range<usize>, table: &'t DeTable<'t>) -> Self {
        Self { doc, name, span, table, known: RefCell::default(), refused: RefCell::default() }
    }

    /// The value of a key, if present.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'t>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    /// The place of a key, if present; of the section otherwise.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Every key with its value, for tables whose keys are names.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'t str, Range<usize>, Value<'t>)> + use<'t> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// A key that we know of and that this build does not enforce.
    pub(super) fn refuse(&self, key: &'static str, feature: &str) {
        self.refused.borrow_mut().push(key);
        if self.table.contains_key(key) {
            self.doc.error(self.place(key), format!("`{key}` needs {feature}: not in this build"), None);
        }
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self) {
        let (known, refused) = (self.known.into_inner(), self.refused.into_inner());
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) || refused.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied(), 1);
            let hint = match near.first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.doc.error(key.span(), format!("unknown key `{name}` in {}", self.name), Some(hint));
        }
    }

    fn wrong(&self, key: &str, value: Value<'_>, wanted: &str) {
        let got = type_name(value.get_ref());
        self.doc.error(value.span(), format!("`{key}` must be {wanted}, not {got}"), None);
    }

    /// A string.
    pub(super) fn string(&self, key: &'static str) -> Option<(&'t str, Range<usize>)> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, value, "a string");
        }
        Some((text?, value.span()))
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.get(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false");
            false
        })
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong(key, value, "a whole number");
            return None;
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            let message = format!("`{key}` = {integer} is out of range: {low} to {high}");
            self.doc.error(value.span(), message, None);
        }
        number
    }

    /// Seconds, whole or with a fraction, above zero and at most a day.
    pub(super) fn seconds(&self, key: &'static str, default: Duration) -> Duration {
        let Some(value) = self.get(key) else { return default };
        let seconds: Option<f64> = match value.get_ref() {
            DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse().ok(),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => None,
        };
        let Some(seconds) = seconds else {
            self.wrong(key, value, "a number of seconds");
            return default;
        };
        if !(0.001..=86_400.0).contains(&seconds) {
            let message = format!("`{key}` = {seconds} is out of range: 0.001 to 86400 seconds");
            self.doc.error(value.span(), message, None);
            return default;
        }
        Duration::from_secs_f64(seconds)
    }

    /// A share: above 0, at most 1.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        self.fraction(key, |share| share > 0.0 && share <= 1.0, "above 0, at most 1")
    }

    /// A share that may be nothing: 0 to 0.2.
    pub(super) fn exploration(&self, key: &'static str) -> Option<f64> {
        self.fraction(key, |share| (0.0..=0.2).contains(&share), "0 to 0.2")
    }

    /// A threshold of a score: between 0 and 1; at either end it would fire always or never.
    pub(super) fn threshold(&self, key: &'static str) -> Option<f64> {
        self.fraction(key, |x| x > 0.0 && x < 1.0, "between 0 and 1, both left out")
    }

    fn fraction(&self, key: &'static str, fits: fn(f64) -> bool, range: &str) -> Option<f64> {
        let value = self.get(key)?;
        let number: Option<f64> = match value.get_ref() {
            DeValue::Float(f) => f.as_str().parse().ok(),
            DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong(key, value, "a number such as 0.02");
            return None;
        };
        if !fits(number) {
            let message = format!("`{key}` = {number} is out of range: {range}");
            self.doc.error(value.span(), message, None);
            return None;
        }
        Some(number)
    }

    /// Dollars, exact: a string or a whole number, not below zero.
    pub(super) fn money(&self, key: &'static str) -> Option<Money> {
        let value = self.get(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(i) if i.radix() == 10 => Some(i.as_str()),
            _ => None,
        };
        let Some(text) = text else {
            self.wrong(key, value, "dollars as a string or a whole number, e.g. \"1.50\"");
            return None;
        };
        let money = Money::parse_usd(text).ok().filter(|money| *money >= Money::ZERO);
        if money.is_none() {
            self.doc.error(
                value.span(),
                format!("`{key}` is no amount of dollars"),
                Some("e.g. \"1.50\"".to_owned()),
            );
        }
        money
    }

    /// An array of strings.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<(&'t str, Range<usize>)>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, "an array of strings");
            return None;
        };
        let mut all = Vec::new();
        for item in array {
            match item.get_ref().as_str() {
                Some(text) => all.push((text, item.span())),
                None => self.wrong(key, item, "an array of strings"),
            }
        }
        Some(all)
    }

    /// An array.
    pub(super) fn array(&self, key: &'static str) -> Option<Vec<Value<'t>>> {
        let value = self.get(key)?;
        let array = value.get_ref().as_array();
        if array.is_none() {
            self.wrong(key, value, "an array");
        }
        Some(array?.iter().collect())
    }

    /// A table below this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'t>> {
        let value = self.get(key)?;
        self.as_section(key, self.place(key), value)
    }

    /// A value that must be a table.
    pub(super) fn as_section(&self, key: &str, place: Range<usize>, value: Value<'t>) -> Option<Section<'t>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table");
            return None;
        };
        let parent = self.name.trim_matches('`').trim_start_matches('[').trim_end_matches(']');
        let name = if parent.contains(' ') { key.to_owned() } else { format!("{parent}.{key}") };
        Some(Section::new(self.doc, format!("`[{name}]`"), place, table))
    }
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
