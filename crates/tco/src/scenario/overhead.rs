//! What it takes to run machines of one's own: people and services, item by item.

use serde_json::Value;

use crate::inputs::{Bounds, Provenance};
use crate::reader::{Kind, Quantity, Reader};

/// Items, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overhead {
    pub items: Vec<Item>,
    /// Only what comes on top of what is paid anyway counts.
    pub marginal: bool,
}

/// One item.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub name: String,
    /// Dollars a year.
    pub usd_per_year: Quantity,
    /// How that came about, in figures.
    pub how: String,
    /// Share that is paid anyway, self-hosting or not.
    pub already_paid: f64,
}

/// The source article's list, as it prints it.
const ARTICLE: [(&str, f64, &str); 5] = [
    ("ML platform engineer", 220_000.0, "1 person × $220,000"),
    ("On-call", 66_000.0, "3 people × 10 % × $220,000"),
    ("Monitoring", 24_000.0, "stated"),
    ("Security audits", 30_000.0, "stated"),
    ("Model updates", 40_000.0, "4 a year × 1 week, stated as $40,000"),
];

const WEEKS_PER_YEAR: f64 = 52.0;
const HOURS_PER_YEAR: f64 = 2_080.0;

pub(super) fn read(root: &Reader<'_>, warnings: &mut Vec<String>) -> Overhead {
    match root.value("overhead") {
        None => Overhead::default(),
        Some(Value::String(name)) => preset(root, "overhead", name, warnings),
        Some(value) => match root.table_of("overhead", value) {
            Some(table) => read_items(&table, warnings),
            None => Overhead::default(),
        },
    }
}

fn preset(reader: &Reader<'_>, key: &str, name: &str, warnings: &mut Vec<String>) -> Overhead {
    let source = |what: &str| Provenance {
        basis: crate::inputs::Basis::Assumed,
        source: format!("source article, {what}"),
        as_of: Some(crate::market::ARTICLE_DATE.to_owned()),
    };
    let item = |name: &str, usd: f64, how: &str, what: &str| Item {
        name: name.to_owned(),
        usd_per_year: Quantity { base: usd, dist: None, from: source(what) },
        how: how.to_owned(),
        already_paid: 0.0,
    };
    let items = match name {
        "article" => {
            warnings.push(
                "overhead: the article prices 4 person-weeks of model updates at $40,000; at its own $220,000 a year they \
                 are $16,923 (audit C4)"
                    .to_owned(),
            );
            ARTICLE.iter().map(|(name, usd, how)| item(name, *usd, how, "overhead list")).collect()
        }
        "article-summary" => {
            warnings.push(
                "overhead: the article's summary says $400,000 a year, its own items sum to $380,000 (audit C1, C5)"
                    .to_owned(),
            );
            vec![item("Operations, summary figure", 400_000.0, "stated", "summary figure")]
        }
        other => {
            let hint = "\"article\" ($380,000 a year), \"article-summary\" ($400,000), or a table of items";
            reader.problem(key, format!("`{other}` is not known"), hint);
            Vec::new()
        }
    };
    Overhead { items, marginal: false }
}

fn read_items(table: &Reader<'_>, warnings: &mut Vec<String>) -> Overhead {
    let mut overhead = match table.text("preset") {
        Some(name) => preset(table, "preset", name, warnings),
        None => Overhead::default(),
    };
    overhead.marginal = table.word("view", &["full", "marginal"]) == Some("marginal");
    for name in table.keys().filter(|name| !["preset", "view"].contains(name)) {
        let Some(value) = table.named(name) else { continue };
        let item = match value {
            Value::Object(map) if is_item(map) => {
                table.table_of(name, value).and_then(|entry| read_item(&entry, name))
            }
            _ => table.quantity_of(name, value, Kind::USD.unit("$/year")).map(|usd_per_year| Item {
                name: spoken(name),
                usd_per_year,
                how: "stated".to_owned(),
                already_paid: 0.0,
            }),
        };
        // A line of the user replaces that of the preset.
        if let Some(item) = item {
            overhead.items.retain(|known| known.name.to_lowercase() != item.name.to_lowercase());
            overhead.items.push(item);
        }
    }
    overhead
}

fn is_item(map: &serde_json::Map<String, Value>) -> bool {
    ["usd_per_year", "usd_per_month", "usd_per_hour"].iter().any(|key| map.contains_key(*key))
}

/// `{ fte, people × share, per_year × weeks, hours_per_month }` × rate.
fn read_item(table: &Reader<'_>, name: &str) -> Option<Item> {
    let part = |key: &'static str| {
        table.number(key, Kind { bounds: Bounds::NONNEGATIVE, absurd: 1e5, ..Kind::AMOUNT })
    };
    let (fte, people, share) = (part("fte"), part("people"), table.number("share", Kind::SHARE));
    let (times, weeks, hours) = (part("per_year"), part("weeks"), part("hours_per_month"));
    let already_paid = table.number("already_paid", Kind::SHARE).unwrap_or(0.0);
    let yearly = table.quantity("usd_per_year", Kind::USD.unit("$/year"));
    let monthly = table.quantity("usd_per_month", Kind::USD.unit("$/month"));
    let hourly = table.quantity("usd_per_hour", Kind::USD_PER_HOUR);
    let rates = [("usd_per_year", &yearly), ("usd_per_month", &monthly), ("usd_per_hour", &hourly)];
    if rates.iter().filter(|(key, _)| table.has(key)).count() > 1 {
        table.problem("", "has more than one rate", "one of usd_per_year, usd_per_month, usd_per_hour");
        return None;
    }
    let mut factor = 1.0;
    let mut how = Vec::new();
    for (amount, text) in [(fte, "people"), (people, "people"), (share, "of their time"), (times, "a year")] {
        if let Some(amount) = amount {
            factor *= amount;
            how.push(format!("{} {text}", crate::num::short(amount)));
        }
    }
    let (rate, unit, per_year) = if let Some(yearly) = yearly {
        (yearly, "a year", 1.0)
    } else if let Some(monthly) = monthly {
        (monthly, "a month", 12.0)
    } else {
        (hourly?, "an hour", if hours.is_some() { 1.0 } else { HOURS_PER_YEAR })
    };
    factor *= per_year;
    if let Some(weeks) = weeks {
        factor *= weeks / WEEKS_PER_YEAR;
        how.push(format!("{} weeks of {WEEKS_PER_YEAR}", crate::num::short(weeks)));
    }
    if let Some(hours) = hours {
        factor *= hours * 12.0;
        how.push(format!("{} hours a month × 12", crate::num::short(hours)));
    }
    how.push(format!("${} {unit}", crate::num::short(rate.base)));
    table_finish(table);
    let usd_per_year = Quantity {
        base: rate.base * factor,
        dist: rate.dist.map(|dist| dist.scaled(factor)),
        from: rate.from,
    };
    Some(Item { name: spoken(name), usd_per_year, how: how.join(" × "), already_paid })
}

/// Unknown keys of an item are problems too.
fn table_finish(table: &Reader<'_>) {
    const KNOWN: [&str; 10] = [
        "fte",
        "people",
        "share",
        "per_year",
        "weeks",
        "hours_per_month",
        "already_paid",
        "usd_per_year",
        "usd_per_month",
        "usd_per_hour",
    ];
    for key in table.keys().filter(|key| !KNOWN.contains(key)) {
        table.problem(key, "is not known", format!("known here: {}", KNOWN.join(", ")));
    }
}

/// `model_updates` → `Model updates`.
fn spoken(name: &str) -> String {
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
