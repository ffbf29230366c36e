//! Overlays: prices and facts that win over all sources. Ours is `data/prices/overlay.toml`; a user's holds contract
//! prices, discounts and private models.
//!
//! ```toml
//! [[price]]                        # a contract price; what it does not name keeps the list price
//! target = "openai/gpt-5.4"
//! input = "2.10"                   # dollars per million tokens, per web search, per request: text or integers
//! output = 12
//! above = [{ tokens = 272_000, input = "4.20", output = 18 }]
//! from = "2026-07-01"              # and until, tier, daily, days, excess, free, source, as_of
//!
//! [[discount]]                     # on list prices, not on contract prices
//! target = "anthropic/*"
//! discount = "0.15"
//!
//! [[model]]                        # a private model, or what we know better
//! target = "gpu/qwen"
//! priced_as = "together/Qwen/Qwen3-235B-A22B-Instruct-2507-tput"
//! aliases = ["house-model"]
//! context = 131_072
//! can = { tools = "yes", images = "no" }
//! ```
//!
//! Serde would stop at the first mistake; a user with five wants to see five, each with its line. So the tree is
//! walked by hand.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::names::nearest;
use crate::rates::{Factor, Ladder};
use crate::schedule::When;
use crate::snapshot::{EntryFacts, LadderText, PriceRow};
use crate::{Ability, Bucket, Capabilities, LoadError, Tier};

/// A parsed overlay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) file: String,
    pub(crate) prices: Vec<Price>,
    pub(crate) discounts: Vec<Discount>,
    pub(crate) models: Vec<Model>,
}

/// A host and a model of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) model: String,
}

/// Prices of one model.
#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) target: Target,
    pub(crate) row: PriceRow,
    pub(crate) free: bool,
    pub(crate) source: Option<String>,
    pub(crate) as_of: Option<Date>,
}

/// What is left of a list price, for a model or (`*`) all models of a host.
#[derive(Clone, Debug)]
pub(crate) struct Discount {
    pub(crate) target: Target,
    pub(crate) leaves: Factor,
}

/// Facts of one model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) target: Target,
    pub(crate) priced_as: Option<Target>,
    pub(crate) aliases: Vec<String>,
    pub(crate) facts: EntryFacts,
    pub(crate) last_day: Option<Date>,
    pub(crate) successor: Option<String>,
    /// Where it begins in the file.
    pub(crate) line: usize,
}

impl Overlay {
    /// Reads the text of `file`. Returns all errors at once.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Vec<LoadError>> {
        let mut reader = Reader { file, text, errors: Vec::new() };
        let (root, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            let span = error.span().unwrap_or_default();
            reader.error(&span, error.message().to_owned());
        }
        let mut overlay = Self { file: file.to_owned(), ..Self::default() };
        for (key, value) in root.get_ref() {
            let name: &str = key.get_ref();
            for table in reader.tables(name, &key.span(), value) {
                match name {
                    "price" => overlay.prices.extend(reader.price(&table)),
                    "discount" => overlay.discounts.extend(reader.discount(&table)),
                    _ => overlay.models.extend(reader.model(&table)),
                }
            }
        }
        if reader.errors.is_empty() {
            return Ok(overlay);
        }
        reader.errors.sort_by_key(|error| error.line);
        Err(reader.errors)
    }
}

impl Overlay {
    /// The hosts that it names.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> {
        let targets =
            self.prices.iter().map(|price| &price.target).chain(self.models.iter().map(|m| &m.target));
        targets.map(|target| target.host.clone())
    }
}

/// A table and where it begins.
struct Table<'t> {
    fields: &'t DeTable<'t>,
    span: Range<usize>,
}

impl<'t> Table<'t> {
    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.fields.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }
}

struct Reader<'f> {
    file: &'f str,
    text: &'f str,
    errors: Vec<LoadError>,
}

const SECTIONS: [&str; 3] = ["price", "discount", "model"];
const PRICE_KEYS: [&str; 11] =
    ["target", "source", "as_of", "tier", "from", "until", "daily", "days", "free", "excess", "above"];
const MODEL_KEYS: [&str; 9] =
    ["target", "priced_as", "aliases", "context", "max_output", "reasoning", "can", "last_day", "successor"];

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.bytes().filter(|b| *b == b'\n').count() + 1
    }

    fn error(&mut self, span: &Range<usize>, message: String) {
        let line = self.line(span);
        self.errors.push(LoadError { file: self.file.to_owned(), line, message });
    }

    /// The tables of a section such as `[[price]]`.
    fn tables<'t>(
        &mut self,
        name: &str,
        at: &Range<usize>,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Vec<Table<'t>> {
        if !SECTIONS.contains(&name) {
            self.unknown(at, name, &SECTIONS);
            return Vec::new();
        }
        let items =
            value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>()).unwrap_or_default();
        let mut tables = Vec::new();
        for item in &items {
            match item.get_ref().as_table() {
                Some(fields) => tables.push(Table { fields, span: item.span() }),
                None => self.error(&item.span(), format!("write `[[{name}]]` and its keys below it")),
            }
        }
        if items.is_empty() {
            self.error(at, format!("write `[[{name}]]`, with two brackets: there can be several"));
        }
        tables
    }

    fn unknown(&mut self, span: &Range<usize>, key: &str, known: &[&str]) {
        let near = nearest(key, known.iter().copied(), 1).first().copied().unwrap_or_default();
        self.error(span, format!("unknown key `{key}`; did you mean `{near}`?"));
    }

    fn keys(&mut self, table: &Table<'_>, known: &[&str]) {
        for (key, _) in table.fields {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                self.unknown(&key.span(), name, known);
            }
        }
    }

    fn text(&mut self, table: &Table<'_>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str().map(ToOwned::to_owned);
        if text.is_none() {
            self.error(
                &value.span(),
                format!("`{key}` wants text in quotes, not {}", value.get_ref().type_str()),
            );
        }
        text
    }

    fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.error(&value.span(), format!("`{key}` wants true or false"));
        }
        flag
    }

    fn count(&mut self, table: &Table<'_>, key: &str) -> Option<u64> {
        let value = table.get(key)?;
        let count =
            value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        if count.is_none() {
            self.error(&value.span(), format!("`{key}` wants a whole number of tokens, e.g. 131072"));
        }
        count
    }

    fn date(&mut self, table: &Table<'_>, key: &str) -> Option<Date> {
        let value = table.get(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => String::new(),
        };
        let date = text.parse().ok();
        if date.is_none() {
            self.error(&value.span(), format!("`{key}` wants a day, e.g. \"2026-11-24\""));
        }
        date
    }

    /// Money and factors are text or integers: a float cannot hold $0.1.
    fn decimal(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(n) if n.radix() == 10 => Some(n.as_str().replace('_', "")),
            DeValue::Float(float) => {
                let written = float.as_str();
                self.error(
                    &value.span(),
                    format!("`{key}` is a float, which is not exact: write \"{written}\""),
                );
                None
            }
            other => {
                let message = format!("`{key}` wants an amount such as \"2.50\", not {}", other.type_str());
                self.error(&value.span(), message);
                None
            }
        }
    }

    fn target(&mut self, table: &Table<'_>, key: &str) -> Option<Target> {
        let Some(value) = table.get(key) else {
            self.error(&table.span, format!("`{key} = \"provider/model\"` is missing"));
            return None;
        };
        let text = self.text(table, key)?;
        let parts = text.split_once('/').filter(|(host, model)| !host.is_empty() && !model.is_empty());
        if parts.is_none() {
            self.error(&value.span(), format!("`{text}` is not of the form provider/model"));
        }
        parts.map(|(host, model)| Target { host: host.to_owned(), model: model.to_owned() })
    }

    fn price(&mut self, table: &Table<'_>) -> Option<Price> {
        let known: Vec<&str> = PRICE_KEYS.into_iter().chain(Bucket::ALL.map(Bucket::as_str)).collect();
        self.keys(table, &known);
        let before = self.errors.len();
        let target = self.target(table, "target");
        let tier = match self.text(table, "tier").as_deref() {
            None | Some("standard") => Tier::Standard,
            Some("batch") => Tier::Batch,
            Some("flex") => Tier::Flex,
            Some("priority") => Tier::Priority,
            Some(other) => {
                let message = format!("`{other}` is no tier: standard, batch, flex or priority");
                self.error(&table.get("tier").map_or(table.span.clone(), Spanned::span), message);
                Tier::Standard
            }
        };
        let row = PriceRow {
            tier,
            from: self.date(table, "from"),
            until: self.date(table, "until"),
            daily: self.text(table, "daily"),
            days: self.text(table, "days"),
            usd: self.amounts(table),
        };
        if let Err(error) = When::parse(&row) {
            self.error(&table.span, error.to_string());
        }
        if row.usd.is_empty() && self.errors.len() == before {
            self.error(&table.span, "no price: give at least one, e.g. `input = \"0.20\"`".to_owned());
        }
        let price = Price {
            target: target?,
            row,
            free: self.flag(table, "free").unwrap_or(false),
            source: self.text(table, "source"),
            as_of: self.date(table, "as_of"),
        };
        let zero = |text: &LadderText| matches!(text, LadderText::Flat(price) if price.trim_matches(['0', '.']).is_empty());
        if !price.free && price.row.usd.values().any(zero) {
            self.error(
                &table.span,
                "a price of 0 counts as unknown; if it is free of charge, add `free = true`".into(),
            );
        }
        (self.errors.len() == before).then_some(price)
    }

    /// The amounts by bucket, with those of `above`.
    fn amounts(&mut self, table: &Table<'_>) -> BTreeMap<Bucket, LadderText> {
        let excess = self.flag(table, "excess").unwrap_or(false);
        let above = table.get("above").map(|value| self.tables_of("above", value)).unwrap_or_default();
        for step in &above {
            let known: Vec<&str> = ["tokens"].into_iter().chain(Bucket::ALL.map(Bucket::as_str)).collect();
            self.keys(step, &known);
            if step.get("tokens").is_none() {
                self.error(&step.span, "`tokens` is missing: above how many input tokens?".to_owned());
            }
        }
        let mut usd = BTreeMap::new();
        for bucket in Bucket::ALL {
            let key = bucket.as_str();
            let mut steps = Vec::new();
            for step in &above {
                let amount = step.get(key).and_then(|value| self.decimal(key, value));
                if let (Some(tokens), Some(amount)) = (self.count(step, "tokens"), amount) {
                    steps.push((tokens, amount));
                }
            }
            let base = table.get(key).and_then(|value| Some((self.decimal(key, value)?, value.span())));
            let Some((base, span)) = base else {
                if !steps.is_empty() {
                    self.error(&table.span, format!("`{key}` has a price above a length and none below it"));
                }
                continue;
            };
            let text = if steps.is_empty() {
                LadderText::Flat(base)
            } else {
                LadderText::Steps { base, above: steps, excess }
            };
            match Ladder::parse(bucket, &text) {
                Ok(_) => drop(usd.insert(bucket, text)),
                Err(error) => self.error(&span, format!("`{key}`: {error}")),
            }
        }
        usd
    }

    /// The inline tables of a list.
    fn tables_of<'t>(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Vec<Table<'t>> {
        let items: Vec<_> =
            value.get_ref().as_array().map(|array| array.iter().collect()).unwrap_or_default();
        let tables: Vec<Table<'t>> = items
            .iter()
            .filter_map(|item| Some(Table { fields: item.get_ref().as_table()?, span: item.span() }))
            .collect();
        if tables.is_empty() || tables.len() != items.len() {
            self.error(&value.span(), format!("`{key}` wants `[{{ tokens = 200_000, input = \"…\" }}]`"));
        }
        tables
    }

    fn discount(&mut self, table: &Table<'_>) -> Option<Discount> {
        self.keys(table, &["target", "discount"]);
        let target = self.target(table, "target");
        let Some(value) = table.get("discount") else {
            self.error(&table.span, "`discount = \"0.15\"` is missing".to_owned());
            return None;
        };
        let text = self.decimal("discount", value)?;
        let Ok(leaves) = Factor::after_discount(&text) else {
            let message = format!("`{text}` is no discount: a share of the price, 0 to 1, e.g. \"0.15\"");
            self.error(&value.span(), message);
            return None;
        };
        Some(Discount { target: target?, leaves })
    }

    fn model(&mut self, table: &Table<'_>) -> Option<Model> {
        self.keys(table, &MODEL_KEYS);
        let target = self.target(table, "target");
        let priced_as = table.get("priced_as").and_then(|_| self.target(table, "priced_as"));
        let facts = EntryFacts {
            context: self.count(table, "context"),
            max_output: self.count(table, "max_output"),
            reasoning: self.flag(table, "reasoning"),
            can: self.abilities(table),
        };
        Some(Model {
            priced_as,
            aliases: self.names(table, "aliases"),
            facts,
            last_day: self.date(table, "last_day"),
            successor: self.text(table, "successor"),
            line: self.line(&table.span),
            target: target?,
        })
    }

    fn names(&mut self, table: &Table<'_>, key: &str) -> Vec<String> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>());
        let names: Option<Vec<String>> = items.and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(ToOwned::to_owned)).collect()
        });
        if names.is_none() {
            self.error(&value.span(), format!("`{key}` wants a list of names, e.g. [\"fast\"]"));
        }
        names.unwrap_or_default()
    }

    fn abilities(&mut self, table: &Table<'_>) -> BTreeMap<String, Ability> {
        let Some(value) = table.get("can") else { return BTreeMap::new() };
        let Some(fields) = value.get_ref().as_table() else {
            self.error(&value.span(), "`can` wants `{ images = \"no\", tools = \"yes\" }`".to_owned());
            return BTreeMap::new();
        };
        let mut can = BTreeMap::new();
        for (key, value) in fields {
            let name = key.get_ref().to_string();
            if Capabilities::default().get_mut(&name).is_none() {
                self.unknown(&key.span(), &name, &Capabilities::NAMES);
                continue;
            }
            match value.get_ref().as_str() {
                Some("yes") => drop(can.insert(name, Ability::Yes)),
                Some("no") => drop(can.insert(name, Ability::No)),
                Some("unknown") => drop(can.insert(name, Ability::Unknown)),
                _ => self.error(&value.span(), format!("`{name}` wants \"yes\", \"no\" or \"unknown\"")),
            }
        }
        can
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_mistakes_are_told_at_once_with_their_lines() {
        let text = "\
[[price]]
target = \"openai\"
input = 2.50
[[price]]
target = \"openai/gpt-5.4\"
imput = \"2\"
output = \"x\"
[[discount]]
target = \"openai/*\"
discount = \"15\"
";
        let errors = Overlay::parse("overlay.toml", text).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let wanted = [
            "overlay.toml:2: `openai` is not of the form provider/model",
            "overlay.toml:3: `input` is a float, which is not exact: write \"2.50\"",
            "overlay.toml:6: unknown key `imput`; did you mean `input`?",
            "overlay.toml:7: `output`: `x` is not a decimal amount such as \"2.50\"",
            "overlay.toml:10: `15` is no discount: a share of the price, 0 to 1, e.g. \"0.15\"",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn mistakes_of_syntax_have_a_line_too() {
        let errors = Overlay::parse("o.toml", "\n[[price]\n").unwrap_err();
        assert_eq!(errors.first().unwrap().line, 2);
    }

    #[test]
    fn our_overlay_is_valid_and_names_its_sources() {
        let ours = Overlay::parse("overlay.toml", crate::embedded::OVERLAY).unwrap();
        for price in &ours.prices {
            let target = &price.target;
            assert!(price.source.as_deref().is_some_and(|s| s.starts_with("https://")), "{target:?}");
            assert!(price.as_of.is_some(), "{target:?}");
        }
        assert!(ours.discounts.is_empty() && ours.models.is_empty(), "facts belong into data/models");
    }

    #[test]
    fn fn1_04_a_zero_price_must_be_meant() {
        let zero = "[[price]]\ntarget = \"gpu/m\"\ninput = 0\noutput = \"0.00\"\n";
        assert!(Overlay::parse("o", zero).unwrap_err()[0].message.contains("free = true"));
        assert!(Overlay::parse("o", &format!("{zero}free = true\n")).unwrap().prices[0].free);
    }
}
