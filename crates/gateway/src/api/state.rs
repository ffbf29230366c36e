//! What the process is: health, configuration, catalogue, metrics.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Admin, Problem, Reader};
use crate::app::App;
use crate::config::{Group, RouteConfig};
use crate::explain;
use crate::respond::Refusal;
use crate::shadow::{Kind, Shadow};

/// `POST /api/v1/explain`: a chat body in, the decision out; no call is made.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    _: Reader,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let config = app.config.load();
    let explained = explain::explain(&config, &app.health, body).map_err(|e| problem(&e))?;
    serde_json::to_value(&explained)
        .map(Json)
        .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

fn problem(refusal: &Refusal) -> Problem {
    Problem::new(refusal.status(), refusal.to_string())
}

/// `GET /api/v1/providers`: the breaker of every target, with reason and time to the next probe.
pub(super) async fn providers(State(app): State<Arc<App>>, _: Reader) -> Json<Value> {
    let config = app.config.load();
    let hosts: Vec<Value> = config
        .hosts
        .values()
        .map(|host| json!({"id": host.id, "host": host.host, "keys": host.keys.len(), "endpoints": host.endpoints}))
        .collect();
    Json(json!({"providers": hosts, "targets": app.health.snapshot(Instant::now())}))
}

/// `GET /api/v1/routes`: what each route and alias stands for.
pub(super) async fn routes(State(app): State<Arc<App>>, _: Reader) -> Json<Value> {
    let config = app.config.load();
    let routes: Vec<Value> = config.routes.values().map(|r| told_route(&app, r)).collect();
    let models: Vec<Value> = config.models.values().map(|g| told_group(g)).collect();
    Json(json!({"routes": routes, "models": models, "config_version": config.version}))
}

fn told_route(app: &App, route: &RouteConfig) -> Value {
    json!({
        "name": route.route.name,
        "default": told_group(&route.default),
        "escalate": route.escalate.as_ref().map(|g| told_group(g)),
        "last_resort": route.last_resort.as_ref().map(|g| told_group(g)),
        "rules": route.route.before.len(),
        "checks": route.route.after.len(),
        "shadow": route.shadow.as_ref().map(|shadow| told_shadow(app, &route.route.name, shadow)),
    })
}

/// What is asked beside the clients' requests. `spent_today_usd` is `null` before the first call of this process today.
fn told_shadow(app: &App, route: &str, shadow: &Shadow) -> Value {
    let spent = |kind| app.shadows.budgets.today(kind, route);
    json!({
        "model": told_group(&shadow.group),
        "share": shadow.share,
        "usd_per_day": shadow.usd_per_day,
        "spent_today_usd": spent(Kind::Shadow),
        "judge": shadow.judge.as_ref().map(|judge| json!({
            "model": told_group(&judge.group),
            "share_of_shadowed": judge.share,
            "usd_per_day": judge.usd_per_day,
            "spent_today_usd": spent(Kind::Judge),
        })),
    })
}

fn told_group(group: &Group) -> Value {
    let targets: Vec<&str> = group.targets.iter().map(|t| t.id.as_str()).collect();
    json!({"name": group.name, "pick": format!("{:?}", group.pick).to_lowercase(), "targets": targets})
}

/// `GET /api/v1/retirements`: configured models with an announced end, the nearest first.
pub(super) async fn retirements(State(app): State<Arc<App>>, _: Reader) -> Json<Value> {
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    Json(json!({"retirements": crate::retirement::ends(&app.config.load(), today)}))
}

/// A search.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Search {
    /// Part of a name.
    #[serde(default)]
    q: String,
    /// One host.
    provider: Option<String>,
}

/// Rows that a search answers at most.
const MOST_ROWS: usize = 500;

#[derive(Serialize)]
struct ModelRow {
    id: String,
    context: Option<u64>,
    max_output: Option<u64>,
    capabilities: catalog::Capabilities,
    last_day: Option<String>,
    successor: Option<String>,
}

/// `GET /api/v1/models?q=&provider=`: the catalogue's models at the configured vendors.
pub(super) async fn models(
    State(app): State<Arc<App>>,
    _: Reader,
    Query(search): Query<Search>,
) -> Json<Value> {
    let config = app.config.load();
    let rows: Vec<ModelRow> = offers(&config, &search)
        .map(|offer| ModelRow {
            id: offer.target(),
            context: offer.facts.context,
            max_output: offer.facts.max_output,
            capabilities: offer.facts.can,
            last_day: offer.retires.as_ref().map(|r| r.last_day.to_string()),
            successor: offer.retires.as_ref().and_then(|r| r.successor.clone()),
        })
        .take(MOST_ROWS)
        .collect();
    Json(json!({"models": rows}))
}

fn offers<'c>(
    config: &'c crate::config::Config,
    search: &'c Search,
) -> impl Iterator<Item = Arc<catalog::Offer>> + use<'c> {
    let wanted = move |host: &&String| search.provider.as_ref().is_none_or(|p| p == *host);
    let hosts = config.hosts.keys().filter(wanted);
    let offers = hosts.flat_map(|host| config.catalogue.offers(host));
    offers.filter(|offer| offer.target().contains(&search.q))
}

/// `GET /api/v1/prices?q=&provider=`: what a million plain tokens cost now, per bucket.
pub(super) async fn prices(
    State(app): State<Arc<App>>,
    _: Reader,
    Query(search): Query<Search>,
) -> Json<Value> {
    let config = app.config.load();
    let context =
        catalog::Context { tier: catalog::Tier::Standard, region: None, at: jiff::Timestamp::now() };
    let usage = catalog::Usage { input: 1, output: 1, cache_read: 1, ..catalog::Usage::default() };
    let rows: Vec<Value> = offers(&config, &search)
        .map(|offer| {
            let cost = offer.price(&usage, &context);
            let lines: serde_json::Map<String, Value> = cost
                .lines()
                .iter()
                .map(|l| (l.bucket.as_str().to_owned(), json!(l.rate().usd_per_million())))
                .collect();
            json!({"id": offer.target(), "usd_per_million": lines, "known": cost.total().is_some()})
        })
        .take(MOST_ROWS)
        .collect();
    Json(json!({"prices": rows, "catalogue_version": config.catalogue.version()}))
}

/// `GET /api/v1/keys`: names only; a secret is shown once, by `tollgate keys create`.
pub(super) async fn keys(State(app): State<Arc<App>>, _: Admin) -> Json<Value> {
    let config = app.config.load();
    let names: Vec<&str> = config.keys.iter().map(|k| k.name.as_str()).collect();
    Json(json!({"keys": names}))
}

/// `GET /api/v1/config/version`.
pub(super) async fn config_version(State(app): State<Arc<App>>, _: Reader) -> Json<Value> {
    Json(json!(app.config.status()))
}

/// `GET /readyz`: 503 with the reason while the ledger cannot be written.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let stats = app.ledger.stats();
    if stats.writable {
        return "ready\n".into_response();
    }
    let why = stats.last_error.as_deref().unwrap_or("see the log");
    (StatusCode::SERVICE_UNAVAILABLE, format!("the ledger cannot be written: {why}\n")).into_response()
}

/// `GET /metrics`: open on loopback, else with the admin token.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    axum::Extension(asking): axum::Extension<super::Asking>,
) -> Result<Response, Problem> {
    let admin = asking.caller.as_ref().is_some_and(crate::inbound::Caller::reads_all);
    if !admin && !asking.peer.ip().to_canonical().is_loopback() {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "metrics need the admin token from outside loopback",
        ));
    }
    let text = app.metrics.encode(&app.health.snapshot(Instant::now()), &app.ledger.stats());
    let text = text.map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
