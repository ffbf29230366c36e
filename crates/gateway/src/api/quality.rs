//! `/api/v1/feedback` and `/api/v1/quality`: what clients and judges say of answers, and what it comes to.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use ledger::{Opinion, RequestId, Source, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ledger::{Asked, one, read};
use super::{Admin, Problem, Reader};
use crate::app::App;

/// What a client says of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    /// `x-request-id` of the answer.
    request_id: String,
    rating: Rating,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rating {
    Good,
    Bad,
}

/// `POST /api/v1/feedback`: `{"request_id": "…", "rating": "good" | "bad"}`. A key speaks of its own requests only. Once
/// for each: said again, the newer rating stands.
pub(super) async fn feedback(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let told: Feedback =
        serde_json::from_slice(&body).map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let row = match one(&app, &caller, &told.request_id).await {
        Ok(row) if row.get("provider").is_some_and(Value::is_string) => row,
        // Closes are in memory for a moment: a client may be quicker.
        _ => {
            let ledger = app.ledger.clone();
            // What cannot be written now is then not found, and said to be so.
            let _ = tokio::task::spawn_blocking(move || ledger.flush()).await;
            one(&app, &caller, &told.request_id).await?
        }
    };
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    if matches!(text("op").as_deref(), Some("shadow" | "judge")) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such request"));
    }
    let target = text("provider").zip(text("model")).map(|(provider, model)| format!("{provider}/{model}"));
    let (Some(target), Ok(request)) = (target, told.request_id.parse::<RequestId>()) else {
        return Err(Problem::new(StatusCode::CONFLICT, "this request has no answer"));
    };
    let (route, key) = (text("route"), caller.key().map(str::to_owned));
    app.ledger.verdict(&Verdict {
        id: id_of(key.as_deref(), request),
        at: Timestamp::now(),
        request,
        source: Source::Feedback,
        opinion: match told.rating {
            Rating::Good => Opinion::Good,
            Rating::Bad => Opinion::Bad,
        },
        route,
        target: Some(target),
        against: None,
        key,
    });
    app.drift.verdict(&app);
    Ok(Json(json!({"recorded": true})))
}

/// The same for the same key and request: what is said twice is one verdict.
fn id_of(key: Option<&str>, request: RequestId) -> RequestId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"feedback\0");
    context.update(&request.to_bytes());
    context.update(key.unwrap_or_default().as_bytes());
    let hash = context.finish();
    RequestId::from_bytes(hash.as_ref().first_chunk().copied().unwrap_or_default())
}

/// `GET /api/v1/quality?since=&until=`: of every route with its sources, intervals and drift. A route of which nothing
/// is known says so.
pub(super) async fn quality(
    State(app): State<Arc<App>>,
    _: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let period = asked.period()?;
    let found = read(&app, move |reader| Ok(reader.quality(period, true)?)).await?;
    let config = app.config.load();
    let silent = config.routes.keys().filter(|name| !found.iter().any(|q| q.route.as_ref() == Some(name)));
    let routes: Vec<Value> = found
        .iter()
        .map(|q| json!({"route": q.route, "known": true, "sources": q.sources}))
        .chain(silent.map(|name| json!({"route": name, "known": false, "sources": []})))
        .collect();
    Ok(Json(json!({"since": period.since, "until": period.until, "routes": routes})))
}
