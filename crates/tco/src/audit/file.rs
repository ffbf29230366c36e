//! Reads a claims file and collects every mistake with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Claims;
use super::bounds::reached;
use super::claim::{Claim, Formula, Reading};
use super::eval::{Meaning, Names};
use super::figure::Style;
use super::interval::Interval;
use super::parse::Expr;
use super::stated::{Kind, Stated};

/// A quotation is a pointer into the source, not a copy of it.
const MOST_WORDS: usize = 12;

/// Keys of a claim.
const KEYS: [&str; 11] = [
    "id",
    "quote",
    "kind",
    "stated",
    "formula",
    "contradicts",
    "needs",
    "implies",
    "unit",
    "readings",
    "note",
];

/// One mistake in a claims file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct ClaimError {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters; within a formula that is spelled with escapes it is approximate.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

type Value<'t> = Spanned<DeValue<'t>>;
type Table<'t> = DeTable<'t>;

/// Reads a claims file, or says everything that is wrong with it.
pub(super) fn read(text: &str) -> Result<Claims, Vec<ClaimError>> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, errors: Vec::new() };
    for error in &syntax {
        reader.error(error.span().unwrap_or(0..0), error.message(), None);
    }
    if !syntax.is_empty() {
        // What the parser guessed behind a mistake would be judged too.
        return Err(reader.errors);
    }
    let (names, claims) = reader.document(table.get_ref());
    let Reader { mut errors, .. } = reader;
    errors.sort();
    if errors.is_empty() { Ok(Claims { names, claims }) } else { Err(errors) }
}

struct Reader<'t> {
    text: &'t str,
    errors: Vec<ClaimError>,
}

impl<'t> Reader<'t> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = self.place(span.start);
        self.errors.push(ClaimError { line, column, message: message.into(), hint });
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
    }

    fn unknown(&mut self, span: Range<usize>, what: &str, name: &str, known: &[&str]) {
        let near = catalog::nearest(name, known.iter().copied(), 3).join("`, `");
        let hint = if near.is_empty() { None } else { Some(format!("the nearest are `{near}`")) };
        self.error(span, format!("{what} `{name}`"), hint);
    }

    fn document(&mut self, document: &Table<'t>) -> (Names, Vec<Claim>) {
        let mut names = Names::new();
        let mut places = BTreeMap::new();
        let mut claims = Vec::new();
        for (key, value) in document {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("inputs", DeValue::Table(inputs)) => self.inputs(inputs, &mut names, &mut places),
                ("claim", DeValue::Array(all)) => {
                    claims.extend(all.iter().filter_map(|claim| self.claim(claim)));
                }
                ("inputs", _) => self.error(value.span(), "`inputs` must be a table", None),
                ("claim", _) => {
                    self.error(value.span(), "`claim` must be spelled [[claim]], once a claim", None);
                }
                (other, _) => self.unknown(key.span(), "unknown key", other, &["inputs", "claim"]),
            }
        }
        if claims.is_empty() && self.errors.is_empty() {
            let hint = "[[claim]] with id, quote, kind, stated and formula".to_owned();
            self.error(0..0, "the file holds no claim", Some(hint));
        }
        let claims: Vec<(Claim, Places)> = claims;
        self.claim_names(&claims, &mut names);
        self.check_names(&claims, &names, &places);
        (names, claims.into_iter().map(|(claim, _)| claim).collect())
    }

    fn inputs(&mut self, inputs: &Table<'t>, names: &mut Names, places: &mut BTreeMap<String, Formula>) {
        for (key, value) in inputs {
            let name = key.get_ref().as_ref();
            if !is_name(name) {
                let hint = "letters, digits and _, not a digit first".to_owned();
                self.error(key.span(), format!("`{name}` cannot stand in a formula"), Some(hint));
                continue;
            }
            let meaning = match value.get_ref() {
                DeValue::String(_) => self.formula(value).map(|formula| {
                    let meaning = Meaning::Formula(formula.expr.clone());
                    places.insert(name.to_owned(), formula);
                    meaning
                }),
                DeValue::Array(ends) => self.range(name, value, ends),
                _ => self.number(name, value).map(|number| Meaning::Bounds(Interval::point(number))),
            };
            if let Some(meaning) = meaning {
                names.insert(name.to_owned(), meaning);
            }
        }
    }

    fn range(&mut self, name: &str, value: &Value<'t>, ends: &[Value<'t>]) -> Option<Meaning> {
        let numbers: Vec<f64> = ends.iter().filter_map(|end| self.number(name, end)).collect();
        match numbers.as_slice() {
            [low, high] if low <= high => Some(Meaning::Bounds(Interval::new(*low, *high))),
            _ if numbers.len() < ends.len() => None,
            _ => {
                let hint = "[least, greatest]".to_owned();
                self.error(value.span(), format!("`{name}` must be a number or a range"), Some(hint));
                None
            }
        }
    }

    fn number(&mut self, name: &str, value: &Value<'t>) -> Option<f64> {
        let number = digits(value.get_ref()).and_then(|digits| digits.parse::<f64>().ok());
        match number {
            Some(number) if number.is_finite() => Some(number),
            _ => {
                let hint = "a number, [least, greatest], or a formula as text".to_owned();
                self.error(value.span(), format!("`{name}` is no finite number"), Some(hint));
                None
            }
        }
    }

    fn formula(&mut self, value: &Value<'t>) -> Option<Formula> {
        let text = match value.get_ref() {
            DeValue::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| text_of(item.get_ref())).collect();
                texts.map(|texts| format!("[{}]", texts.join(", ")))
            }
            other => text_of(other),
        };
        let Some(text) = text else {
            self.error(value.span(), "a formula must be text", None);
            return None;
        };
        // The first character of the text stands behind the opening quote.
        let (line, column) = self.place(value.span().start);
        let quoted = matches!(value.get_ref(), DeValue::String(_));
        let at = |expr| Formula { expr, line, column: column + usize::from(quoted) };
        match Expr::parse(&text) {
            Ok(expr) => Some(at(expr)),
            Err(error) => {
                self.errors.push(at(Expr::Number(0.0)).failed(error));
                None
            }
        }
    }

    fn text(&mut self, value: &Value<'t>, key: &str) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.error(value.span(), format!("`{key}` must be text"), None);
        }
        text
    }

    fn texts(&mut self, value: Option<&Value<'t>>, key: &str) -> Vec<(String, Range<usize>)> {
        let Some(value) = value else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.error(value.span(), format!("`{key}` must be an array of texts"), None);
            return Vec::new();
        };
        items.iter().filter_map(|item| Some((self.text(item, key)?, item.span()))).collect()
    }

    fn claim(&mut self, value: &Value<'t>) -> Option<(Claim, Places)> {
        let Some(table) = value.get_ref().as_table() else {
            self.error(value.span(), "`claim` must be spelled [[claim]], once a claim", None);
            return None;
        };
        let before = self.errors.len();
        for (key, _) in table {
            match key.get_ref().as_ref() {
                "verdict" => {
                    let hint = "leave it out: it follows from the formula".to_owned();
                    self.error(key.span(), "a verdict is never stored", Some(hint));
                }
                name if !KEYS.contains(&name) => self.unknown(key.span(), "unknown key", name, &KEYS),
                _ => {}
            }
        }
        let id = self.required(table, value, "id").and_then(|id| self.text(id, "id"));
        let quote = self.required(table, value, "quote").and_then(|quote| self.quote(quote));
        let kind = self.required(table, value, "kind").and_then(|kind| self.kind(kind));
        let formula = self.required(table, value, "formula").and_then(|formula| self.formula(formula));
        let (stated, shown) = self.stated(table.get("stated"), kind);
        let contradicts = self.texts(table.get("contradicts"), "contradicts");
        let needs = self.texts(table.get("needs"), "needs");
        let implies = table.get("implies").and_then(|implies| self.text(implies, "implies"));
        let style = table.get("unit").and_then(|unit| self.text(unit, "unit"));
        let readings = self.readings(table.get("readings"));
        let note = table.get("note").and_then(|note| self.text(note, "note"));
        if let Some(id) = id.as_deref().filter(|id| !is_name(id)) {
            let place = table.get("id").map_or(value.span(), Spanned::span);
            let hint = "letters, digits and _, not a digit first".to_owned();
            self.error(place, format!("`{id}` cannot stand in a formula"), Some(hint));
        }
        if self.errors.len() > before {
            return None;
        }
        let place = |key: &str| table.get(key).map_or(value.span(), Spanned::span);
        let places = Places { id: place("id"), contradicts: contradicts.clone(), needs: needs.clone() };
        let names = |texts: Vec<(String, Range<usize>)>| texts.into_iter().map(|(text, _)| text).collect();
        let claim = Claim {
            id: id?,
            quote: quote?,
            kind: kind?,
            stated,
            shown,
            formula: formula?,
            contradicts: names(contradicts),
            needs: names(needs),
            implies,
            style: style.map(|unit| Style::from_unit(&unit)),
            readings,
            note,
        };
        Some((claim, places))
    }

    fn required<'v>(&mut self, table: &'v Table<'t>, claim: &Value<'t>, key: &str) -> Option<&'v Value<'t>> {
        let value = table.get(key);
        if value.is_none() {
            self.error(claim.span(), format!("this claim has no `{key}`"), None);
        }
        value
    }

    fn quote(&mut self, value: &Value<'t>) -> Option<String> {
        let quote = self.text(value, "quote")?;
        let words = quote.split_whitespace().count();
        if words > MOST_WORDS {
            let hint = "quote the figure and what it is about".to_owned();
            self.error(
                value.span(),
                format!("a quote has at most {MOST_WORDS} words, not {words}"),
                Some(hint),
            );
        }
        Some(quote)
    }

    fn kind(&mut self, value: &Value<'t>) -> Option<Kind> {
        let name = self.text(value, "kind")?;
        let kind = Kind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        if kind.is_none() {
            let known = Kind::ALL.map(|(known, _)| known).join(", ");
            self.error(value.span(), format!("no kind is named `{name}`"), Some(format!("one of {known}")));
        }
        kind
    }

    fn stated(&mut self, value: Option<&Value<'t>>, kind: Option<Kind>) -> (Stated, Option<String>) {
        let (Some(value), Some(kind)) = (value, kind) else { return (Stated::Nothing, None) };
        // That something can be is stated by the claim itself.
        if kind == Kind::Feasible && value.get_ref().as_bool() == Some(true) {
            return (Stated::Nothing, Some("can be".to_owned()));
        }
        let array = value.get_ref().as_array().is_some();
        let texts: Option<Vec<String>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| text_of(item.get_ref())).collect(),
            other => text_of(other).map(|text| vec![text]),
        };
        let Some(texts) = texts else {
            self.error(
                value.span(),
                "`stated` must be a figure, as number or text, or an array of them",
                None,
            );
            return (Stated::Nothing, None);
        };
        let between = if kind == Kind::Value { " / " } else { "–" };
        match Stated::read(kind, &texts, array) {
            Ok(stated) => (stated, Some(texts.join(between))),
            Err(message) => {
                self.error(value.span(), message, None);
                (Stated::Nothing, None)
            }
        }
    }

    fn readings(&mut self, value: Option<&Value<'t>>) -> Vec<Reading> {
        let Some(value) = value else { return Vec::new() };
        let hint = "readings = [[\"label\", \"formula\", \"unit\"]]".to_owned();
        let Some(items) = value.get_ref().as_array() else {
            self.error(value.span(), "`readings` must be an array", Some(hint));
            return Vec::new();
        };
        let mut readings = Vec::new();
        for item in items {
            let parts: Vec<&Value<'t>> = item.get_ref().as_array().into_iter().flatten().collect();
            let text = |part: &Value<'t>| part.get_ref().as_str().map(str::to_owned);
            let (label, formula, unit) = match parts.as_slice() {
                [label, formula] => (text(label), self.formula(formula), Some(String::new())),
                [label, formula, unit] => (text(label), self.formula(formula), text(unit)),
                _ => {
                    self.error(
                        item.span(),
                        "a reading is a label, a formula and perhaps a unit",
                        Some(hint.clone()),
                    );
                    continue;
                }
            };
            match (label, formula, unit) {
                (Some(label), Some(formula), Some(unit)) => {
                    readings.push(Reading { label, formula, style: Style::from_unit(&unit) });
                }
                (_, None, _) => {}
                _ => self.error(item.span(), "label and unit of a reading must be texts", Some(hint.clone())),
            }
        }
        readings
    }

    /// Claims as names for the figures that they state, and the inputs that nobody states.
    fn claim_names(&mut self, claims: &[(Claim, Places)], names: &mut Names) {
        for (at, (claim, places)) in claims.iter().enumerate() {
            let taken = claims.iter().take(at).any(|(other, _)| other.id == claim.id);
            if taken || (names.contains_key(&claim.id) && !is_unstated(names, &claim.id)) {
                self.error(places.id.clone(), format!("the name `{}` is taken", claim.id), None);
                continue;
            }
            for need in &claim.needs {
                names.entry(need.clone()).or_insert(Meaning::Unstated);
            }
            if let Some(meaning) = claim.stated.meaning() {
                names.insert(claim.id.clone(), meaning);
            }
        }
    }

    fn check_names(&mut self, claims: &[(Claim, Places)], names: &Names, inputs: &BTreeMap<String, Formula>) {
        for (name, formula) in inputs {
            self.check_formula(formula, names, claims);
            if reached(&formula.expr, names).contains(name.as_str()) {
                let message = format!("`{name}` is defined by itself");
                self.errors.push(ClaimError {
                    line: formula.line,
                    column: formula.column,
                    message,
                    hint: None,
                });
            }
        }
        let ids: Vec<&str> = claims.iter().map(|(claim, _)| claim.id.as_str()).collect();
        for (claim, places) in claims {
            self.check_formula(&claim.formula, names, claims);
            claim.readings.iter().for_each(|reading| self.check_formula(&reading.formula, names, claims));
            for (id, span) in &places.contradicts {
                if !ids.contains(&id.as_str()) {
                    self.unknown(span.clone(), "no claim is named", id, &ids);
                }
            }
            for (need, span) in &places.needs {
                if !is_name(need) {
                    self.error(span.clone(), format!("`{need}` cannot stand in a formula"), None);
                }
            }
        }
    }

    fn check_formula(&mut self, formula: &Formula, names: &Names, claims: &[(Claim, Places)]) {
        let mut missing = Vec::new();
        formula.expr.names(&mut |name, at| {
            if !names.contains_key(name) {
                missing.push((name.to_owned(), at));
            }
        });
        for (name, at) in missing {
            let known = names.keys().map(String::as_str);
            let near = catalog::nearest(&name, known, 3).join("`, `");
            let figureless = claims.iter().any(|(claim, _)| claim.id == name);
            let (message, hint) = match near {
                _ if figureless => (format!("claim `{name}` states no figure"), None),
                near if near.is_empty() => (
                    format!("`{name}` is neither an input nor a claim"),
                    Some(
                        "add it to [inputs], or to the claim's `needs` when the source never states it"
                            .to_owned(),
                    ),
                ),
                near => (
                    format!("`{name}` is neither an input nor a claim"),
                    Some(format!("the nearest are `{near}`")),
                ),
            };
            self.errors.push(ClaimError { line: formula.line, column: formula.column + at, message, hint });
        }
    }
}

/// Where parts of a claim stand.
struct Places {
    id: Range<usize>,
    contradicts: Vec<(String, Range<usize>)>,
    needs: Vec<(String, Range<usize>)>,
}

fn is_unstated(names: &Names, name: &str) -> bool {
    matches!(names.get(name), Some(Meaning::Unstated))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The digits of a number as the file spells them.
fn digits(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str().replace('_', "")),
        DeValue::Float(float) => Some(float.as_str().replace('_', "")),
        _ => None,
    }
}

/// Text, or a number as the file spells it.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| digits(value))
}
