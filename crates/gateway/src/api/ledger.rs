//! `/api/v1/spend` and `/api/v1/requests`: the ledger's own queries over HTTP, with the same answers as the CLI. A client
//! key sees its own rows only: the condition on its key is added here and cannot be taken off by a parameter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{By, Condition, ExportError, FocusQuery, Period, RequestQuery, SpendQuery};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Problem, Reader, download};
use crate::app::App;
use crate::inbound::Caller;

/// How a parameter says that there is none: requests without a route or a key.
pub(super) const NONE: &str = "(none)";

/// Parameters of a question. The pages and the API have the same ones, so that the address of a page is the question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Dimensions, separated by commas.
    pub(super) by: Option<String>,
    /// `24h`, `7d`, a date or RFC 3339.
    pub(super) since: Option<String>,
    /// As `since`.
    pub(super) until: Option<String>,
    /// `FIELD=VALUE`, several separated by commas.
    pub(super) r#where: Option<String>,
    /// A route, or [`NONE`] for pinned requests. Here and below, empty filters nothing, as an untouched form sends it.
    pub(super) route: Option<String>,
    /// An upstream model.
    pub(super) model: Option<String>,
    /// A vendor.
    pub(super) provider: Option<String>,
    /// `provider/model`.
    pub(super) target: Option<String>,
    /// A client key, or [`NONE`].
    pub(super) key: Option<String>,
    /// `NAME=VALUE`.
    pub(super) tag: Option<String>,
    /// `json`, `csv` or `focus`.
    format: Option<String>,
    /// FOCUS version: `1.2`, `1.3` or `1.4`.
    focus_version: Option<String>,
    /// Time zone of days, hours and dates; else UTC.
    pub(super) tz: Option<String>,
    /// Rows on a page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn bad(error: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error.to_string())
}

impl Asked {
    pub(super) fn period(&self) -> Result<Period, Problem> {
        let (now, tz) = (Timestamp::now(), self.zone()?);
        let time = |text: &Option<String>| {
            text.as_deref().map(|text| ledger::moment(text, now, &tz)).transpose().map_err(bad)
        };
        Ok(Period { since: time(&self.since)?, until: time(&self.until)? })
    }

    fn zone(&self) -> Result<TimeZone, Problem> {
        let named = self.tz.as_deref().map(TimeZone::get).transpose();
        named.map(|tz| tz.unwrap_or(TimeZone::UTC)).map_err(bad)
    }

    fn filter(&self, caller: &Caller) -> Result<Vec<Condition>, Problem> {
        let mut conditions = words(self.r#where.as_deref())
            .map(|word| word.parse::<Condition>().map_err(bad))
            .collect::<Result<Vec<_>, _>>()?;
        for (name, value) in self.filters() {
            let some = (value != NONE).then(|| value.to_owned());
            conditions.push(match name {
                "route" => Condition::Route(some),
                "key" => Condition::Key(some),
                "tag" => format!("tag:{value}").parse().map_err(bad)?,
                "where" => continue,
                field => format!("{field}={value}").parse().map_err(bad)?,
            });
        }
        conditions.extend(Self::own_rows(caller));
        Ok(conditions)
    }

    /// What a client key may see: no parameter takes it off.
    pub(super) fn own_rows(caller: &Caller) -> Vec<Condition> {
        if caller.reads_all() { Vec::new() } else { vec![Condition::Key(caller.key().map(str::to_owned))] }
    }

    /// Filters that are set, by the names of their parameters.
    pub(super) fn filters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("route", &self.route),
            ("model", &self.model),
            ("provider", &self.provider),
            ("target", &self.target),
            ("key", &self.key),
            ("tag", &self.tag),
            ("where", &self.r#where),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref().filter(|value| !value.is_empty())?)))
            .collect()
    }

    /// The page Spend with some parameters changed; `None` takes one out.
    pub(super) fn link(&self, changes: &[(&str, Option<&str>)]) -> String {
        let by = self.by.as_deref().map(|by| ("by", by));
        let kept = by.into_iter().chain(self.context());
        let kept = kept.filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let new = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        address("/", kept.chain(new))
    }

    /// A path of the API with the same period, filters and time zone, and further parameters.
    pub(super) fn api(&self, path: &str, more: &[(&str, &str)]) -> String {
        address(path, self.context().into_iter().chain(more.iter().copied()))
    }

    /// Period, time zone and filters.
    fn context(&self) -> Vec<(&'static str, &str)> {
        let named = [("since", &self.since), ("until", &self.until), ("tz", &self.tz)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        named.chain(self.filters()).collect()
    }

    /// What to break down by.
    pub(super) fn dimensions(&self) -> Result<Vec<By>, Problem> {
        words(self.by.as_deref()).map(|word| word.parse::<By>().map_err(bad)).collect()
    }

    pub(super) fn spend(&self, caller: &Caller) -> Result<SpendQuery, Problem> {
        let by = self.dimensions()?;
        Ok(SpendQuery { by, period: self.period()?, filter: self.filter(caller)?, tz: self.zone()? })
    }
}

/// A path with a query.
fn address<'a>(path: &str, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let query = serde_urlencoded::to_string(parameters.collect::<Vec<_>>()).unwrap_or_default();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Runs a query off the runtime: SQLite blocks.
pub(super) async fn read<T, F>(app: &Arc<App>, query: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(&ledger::Reader) -> Result<T, ExportError> + Send + 'static,
{
    let reader = open(app).await?;
    blocking(move || query(&reader).map_err(|e| e.to_string())).await
}

/// A snapshot of the ledger.
async fn open(app: &Arc<App>) -> Result<ledger::Reader, Problem> {
    let dir = app.data_dir.clone();
    blocking(move || ledger::Reader::open(&dir).map_err(|e| e.to_string())).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the ledger cannot be read: {error}")))
        }
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn value<T: Serialize>(row: &T) -> Result<Value, Problem> {
    serde_json::to_value(row).map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// `GET /api/v1/spend`.
pub(super) async fn spend(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let query = asked.spend(&caller)?;
    match asked.format.as_deref() {
        None | Some("json") => {
            let all = caller.reads_all();
            let spend = read(&app, move |reader| {
                let mut spend = reader.spend(&query)?;
                if all && query.by == [By::Route] {
                    spend.add_quality(&reader.quality(query.period, false)?);
                }
                Ok(spend)
            });
            Ok(Json(value(&spend.await?)?).into_response())
        }
        Some("csv") => {
            let spend = read(&app, move |reader| Ok(reader.spend(&query)?)).await?;
            let mut out = Vec::new();
            ledger::spend_csv(&spend, &mut out).map_err(bad)?;
            Ok(csv(out))
        }
        Some("focus") => {
            let version =
                asked.focus_version.as_deref().map(str::parse).transpose().map_err(bad)?.unwrap_or_default();
            let query = FocusQuery { period: query.period, filter: query.filter, version };
            let reader = open(&app).await?;
            // Three rows an attempt: as long as the ledger, so it is sent while it is written.
            Ok(download::csv("focus.csv", move |out| match reader.focus(&query, out) {
                Ok(_) => Ok(()),
                Err(ExportError::Write(error)) => Err(error),
                Err(error @ ExportError::Read(_)) => Err(std::io::Error::other(error)),
            }))
        }
        Some(other) => Err(bad(format!("`{other}` is no format: use json, csv or focus"))),
    }
}

/// `GET /api/v1/spend/series`: by at most one dimension.
pub(super) async fn series(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let mut query = asked.spend(&caller)?;
    if query.by.len() > 1 || query.by.iter().any(|by| matches!(by, By::Hour | By::Day)) {
        return Err(bad(
            "`by` is one of route, model, provider, target, key, reason, tag, tag:NAME here, or left out",
        ));
    }
    let now = Timestamp::now();
    let bucket = super::series::bucket(query.period, now);
    query.by.insert(0, bucket.clone());
    let tz = query.tz.clone();
    let spend = read(&app, move |reader| Ok(reader.spend(&query)?)).await?;
    let series = super::series::series(&spend, &bucket, &tz, now);
    let series = series.ok_or_else(|| bad("the period has too many days: choose a shorter one"))?;
    value(&series).map(Json)
}

fn csv(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response()
}

/// `GET /api/v1/requests`.
pub(super) async fn requests(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let query = RequestQuery {
        limit: asked.limit.unwrap_or(0),
        cursor: asked.cursor.as_deref().map(ledger::cursor).transpose().map_err(bad)?,
        period: asked.period()?,
        filter: asked.filter(&caller)?,
    };
    let page = read(&app, move |reader| Ok(reader.requests(&query)?)).await?;
    value(&page).map(Json)
}

/// `GET /api/v1/requests/{id}`.
pub(super) async fn request(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    one(&app, &caller, &id).await.map(Json)
}

/// One request as JSON. Somebody else's is as if it did not exist.
pub(super) async fn one(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Value, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "no such request");
    let id = ledger::cursor(id).map_err(|_| missing())?;
    let found = read(app, move |reader| Ok(reader.request(id)?)).await?.ok_or_else(missing)?;
    if !caller.reads_all() && found.head.key.as_deref() != caller.key() {
        return Err(missing());
    }
    value(&found)
}

/// The newest requests, for the pages.
pub(super) async fn recent(app: &Arc<App>, caller: &Caller, limit: u32) -> Result<Vec<Value>, Problem> {
    let asked = Asked { limit: Some(limit), ..Asked::default() };
    let query = RequestQuery { limit, filter: asked.filter(caller)?, ..RequestQuery::default() };
    let page = value(&read(app, move |reader| Ok(reader.requests(&query)?)).await?)?;
    Ok(page.get("requests").and_then(Value::as_array).cloned().unwrap_or_default())
}
