//! Questions to the ledger. Everything that a user types is a bound parameter; only words of our own become SQL.

pub(crate) mod quality;
pub(crate) mod requests;
pub(crate) mod rows;
pub(crate) mod spend;
pub(crate) mod tokenizers;
pub(crate) mod traffic;

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;

use crate::reader::attempts_of_r;

/// A period: from `since` up to, not including, `until`. A request belongs to the time of its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// First moment; `None`: since the beginning.
    pub since: Option<Timestamp>,
    /// First moment after it; `None`: no end.
    pub until: Option<Timestamp>,
}

/// Reads a moment: RFC 3339, a date (its first moment in `tz`), or a time before `now` such as `7d`, `24h`, `90m` or `2w`.
/// Errors when it is none.
pub fn moment(text: &str, now: Timestamp, tz: &TimeZone) -> Result<Timestamp, BadQuery> {
    let bad = || BadQuery::Moment(text.chars().take(40).collect());
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<Date>() {
        let start = date.at(0, 0, 0, 0).to_zoned_datetime(tz.clone()).map_err(|_| bad())?;
        return Ok(start.timestamp());
    }
    let unit = text.chars().last().and_then(|unit| match unit {
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        'w' => Some(7 * 86_400),
        _ => None,
    });
    let count = text.get(..text.len().saturating_sub(1)).and_then(|n| n.parse::<u32>().ok());
    let (unit, count) = unit.zip(count).ok_or_else(bad)?;
    let ago = SignedDuration::from_secs(i64::from(count).saturating_mul(unit));
    now.checked_sub(ago).map_err(|_| bad())
}

/// What spend can be broken down by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The route; none when pinned.
    Route,
    /// The upstream model of each attempt.
    Model,
    /// The host of each attempt.
    Provider,
    /// `provider/model` of each attempt.
    Target,
    /// The gateway key; none when keyless.
    Key,
    /// The value of one tag; `None`: every `name=value` pair, so that a request with two tags is in two rows.
    Tag(Option<String>),
    /// Why a request was answered by what answered it. Numbers are left out: all of `difficulty:0.71` and its like are
    /// `difficulty`.
    Reason,
    /// Hour of the reporting time zone.
    Hour,
    /// Day of the reporting time zone.
    Day,
}

/// A word that stands for no dimension or field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// Not a dimension.
    #[error(
        "`{0}` is nothing to group by: use route, model, provider, target, key, reason, tag, tag:NAME, hour or day"
    )]
    By(String),
    /// Not `field=value`.
    #[error("`{0}` is no filter: write FIELD=VALUE")]
    Shape(String),
    /// Not a field.
    #[error(
        "`{0}` is nothing to filter by: use route, model, provider, target, key, tag:NAME, status, reason, op, stream or session"
    )]
    Field(String),
    /// A value that the field cannot have.
    #[error("`{value}` is no value for `{field}`")]
    Value {
        /// The field.
        field: String,
        /// What was given.
        value: String,
    },
    /// Not a moment.
    #[error("`{0}` is no moment: write 7d, 24h, a date such as 2026-11-01, or RFC 3339")]
    Moment(String),
    /// Not a page mark that we gave out.
    #[error("`{0}` is no cursor of this list")]
    Cursor(String),
}

impl FromStr for By {
    type Err = BadQuery;

    fn from_str(word: &str) -> Result<Self, BadQuery> {
        Ok(match word.trim() {
            "route" => Self::Route,
            "model" => Self::Model,
            "provider" => Self::Provider,
            "target" => Self::Target,
            "key" => Self::Key,
            "tag" => Self::Tag(None),
            "reason" => Self::Reason,
            "hour" => Self::Hour,
            "day" => Self::Day,
            other => match other.strip_prefix("tag:").filter(|name| !name.is_empty()) {
                Some(name) => Self::Tag(Some(name.to_owned())),
                None => return Err(BadQuery::By(other.chars().take(40).collect())),
            },
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route => f.write_str("route"),
            Self::Model => f.write_str("model"),
            Self::Provider => f.write_str("provider"),
            Self::Target => f.write_str("target"),
            Self::Key => f.write_str("key"),
            Self::Tag(None) => f.write_str("tag"),
            Self::Tag(Some(name)) => write!(f, "tag:{name}"),
            Self::Reason => f.write_str("reason"),
            Self::Hour => f.write_str("hour"),
            Self::Day => f.write_str("day"),
        }
    }
}

/// One condition on a request or its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The route; `None`: pinned.
    Route(Option<String>),
    /// The upstream model.
    Model(String),
    /// The host.
    Provider(String),
    /// `provider/model`.
    Target(String),
    /// The gateway key; `None`: keyless.
    Key(Option<String>),
    /// A tag; `None`: without it.
    Tag(String, Option<String>),
    /// The status that the client got.
    Status(i64),
    /// The reason, or the part before its colon.
    Reason(String),
    /// `chat`, `completion` or `embedding`.
    Op(String),
    /// Streamed or not.
    Stream(bool),
    /// The keyed hash of the session.
    Session(u64),
}

/// Conditions that must all hold. They run in the store, not on the page that was loaded.
pub type Filter = Vec<Condition>;

impl FromStr for Condition {
    type Err = BadQuery;

    /// Reads `field=value`; an empty value means "none".
    fn from_str(text: &str) -> Result<Self, BadQuery> {
        let short = || text.chars().take(80).collect::<String>();
        let (field, value) = text.split_once('=').ok_or_else(|| BadQuery::Shape(short()))?;
        let field = field.trim();
        let some = (!value.is_empty()).then(|| value.to_owned());
        let bad_value =
            || BadQuery::Value { field: field.to_owned(), value: value.chars().take(80).collect() };
        Ok(match field {
            "route" => Self::Route(some),
            "model" => Self::Model(value.to_owned()),
            "provider" => Self::Provider(value.to_owned()),
            "target" => Self::Target(value.to_owned()),
            "key" => Self::Key(some),
            "status" => Self::Status(value.parse().map_err(|_| bad_value())?),
            "reason" => Self::Reason(value.to_owned()),
            "op" => Self::Op(value.to_owned()),
            "stream" => Self::Stream(value.parse().map_err(|_| bad_value())?),
            "session" => Self::Session(value.parse().map_err(|_| bad_value())?),
            other => match other.strip_prefix("tag:").filter(|name| !name.is_empty()) {
                Some(name) => Self::Tag(name.to_owned(), some),
                None => return Err(BadQuery::Field(other.chars().take(40).collect())),
            },
        })
    }
}

/// Whose provider and model a condition or a dimension means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Each attempt's own (`a`).
    Attempt,
    /// Of the attempt that answered the request (`r`).
    Answer,
    /// Of any attempt of the request.
    Any,
}

/// SQL text with its parameters.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    pub params: Vec<Value>,
}

impl Sql {
    /// A placeholder for a value.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.params.len())
    }

    /// The condition that a request `r` started in the period.
    pub fn period(&mut self, period: Period) -> String {
        self.span("r.started_us", period)
    }

    /// The condition that a column of microseconds lies in the period.
    pub fn span(&mut self, column: &str, period: Period) -> String {
        let mut parts = vec!["1".to_owned()];
        if let Some(since) = period.since {
            parts.push(format!("{column} >= {}", self.bind(since.as_microsecond())));
        }
        if let Some(until) = period.until {
            parts.push(format!("{column} < {}", self.bind(until.as_microsecond())));
        }
        parts.join(" AND ")
    }

    /// The filter, on request `r` and (at [`Level::Attempt`]) attempt `a` of `schema`.
    pub fn filter(&mut self, filter: &[Condition], level: Level, schema: &str) -> String {
        let mut parts = vec!["1".to_owned()];
        for condition in filter {
            parts.push(self.condition(condition, level, schema));
        }
        parts.join(" AND ")
    }

    fn condition(&mut self, condition: &Condition, level: Level, schema: &str) -> String {
        match condition {
            Condition::Route(value) => format!("r.route IS {}", self.bind(value.clone())),
            Condition::Key(value) => format!("r.key IS {}", self.bind(value.clone())),
            Condition::Model(value) => self.upstream("model", value, level, schema),
            Condition::Provider(value) => self.upstream("provider", value, level, schema),
            Condition::Target(value) => match value.split_once('/') {
                Some((provider, model)) => {
                    let provider = self.bind(provider.to_owned());
                    let model = self.bind(model.to_owned());
                    let both = |t: &str| format!("{t}.provider = {provider} AND {t}.model = {model}");
                    at_level(level, schema, both)
                }
                None => "0".to_owned(),
            },
            Condition::Tag(name, value) => {
                let tag = self.tag(name);
                format!("{tag} IS {}", self.bind(value.clone()))
            }
            Condition::Status(value) => format!("r.status = {}", self.bind(*value)),
            Condition::Reason(value) => {
                let exact = self.bind(value.clone());
                format!("(r.reason = {exact} OR substr(r.reason, 1, length({exact}) + 1) = {exact} || ':')")
            }
            Condition::Op(value) => format!("r.op = {}", self.bind(value.clone())),
            Condition::Stream(value) => format!("r.stream = {}", self.bind(i64::from(*value))),
            Condition::Session(value) => format!("r.session = {}", self.bind(value.cast_signed())),
        }
    }

    fn upstream(&mut self, column: &str, value: &str, level: Level, schema: &str) -> String {
        let value = self.bind(value.to_owned());
        at_level(level, schema, |table| format!("{table}.{column} = {value}"))
    }

    /// The value of a request's tag, NULL without it.
    pub fn tag(&mut self, name: &str) -> String {
        format!("(SELECT t.value FROM json_each(r.tags) t WHERE t.key = {})", self.bind(name.to_owned()))
    }
}

fn at_level(level: Level, schema: &str, condition: impl Fn(&str) -> String) -> String {
    match level {
        Level::Attempt => condition("a"),
        Level::Answer => condition("r"),
        Level::Any => {
            let inner = condition("x");
            format!("EXISTS (SELECT 1 FROM {schema}.attempt x WHERE {} AND {inner})", attempts_of_r("x"))
        }
    }
}
