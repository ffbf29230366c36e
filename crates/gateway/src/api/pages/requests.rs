//! Recent requests with the vendors' health, and one request with every attempt and its decision: what a person at 3 a.m.
//! looks at.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use router::Up;
use serde_json::Value;

use super::{frame, problem};
use crate::api::{Problem, Reader, ledger};
use crate::app::App;
use crate::health::TargetHealth;

/// Requests of the list.
const RECENT: u32 = 100;

/// `GET /requests`.
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
) -> Result<Html<String>, Problem> {
    let recent = ledger::recent(&app, &caller, RECENT).await?;
    let health = app.health.snapshot(Instant::now());
    Ok(frame(
        &app,
        "/requests",
        "Requests",
        &html! {
            h1 { "Requests" }
            h2 id="vendors" { "Vendors" }
            (breakers(&health))
            h2 id="recent" { "The latest " (RECENT) }
            (requests(&recent))
        },
    ))
}

/// `GET /requests/{id}`: one request with every attempt and its decision.
pub(in crate::api) async fn one(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Response {
    let request = match ledger::one(&app, &caller, &id).await {
        Ok(request) => request,
        Err(error) => return problem(&app, "/requests", &error),
    };
    let pretty = |v: &Value| serde_json::to_string_pretty(v).unwrap_or_default();
    let attempts = request.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
    let body = html! {
        h1 { "Request " (id) }
        dl.tiles {
            @for key in ["status", "reason", "route", "model", "cost_usd", "saving_usd"] {
                div { dt { (key) } dd { (cell(&request, key)) } }
            }
        }
        h2 id="attempts" { "Attempts" }
        div.scroll tabindex="0" role="region" aria-labelledby="attempts" { table {
            thead { tr { @for head in ["target", "outcome", "status", "ttft_ms", "duration_ms", "cost_usd"] { th scope="col" { (head) } } } }
            tbody { @for attempt in &attempts { tr {
                @for key in ["target", "outcome", "status", "ttft_ms", "duration_ms", "cost_usd"] { td { (cell(attempt, key)) } }
            } } }
        } }
        h2 { "Record" }
        pre tabindex="0" role="region" aria-label="Record" { (pretty(&request)) }
    };
    frame(&app, "/requests", "Request", &body).into_response()
}

/// A field as text; numbers and strings alike. A cost that is missing is unknown.
fn cell(row: &Value, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) if key == "cost_usd" => "unknown".to_owned(),
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `2026-11-24T18:57:02.184659Z` to the second, for people. The request's page has all of it.
fn moment(text: &str) -> String {
    text.get(..19).unwrap_or(text).replace('T', " ")
}

fn breakers(health: &[TargetHealth]) -> Markup {
    if health.is_empty() {
        return html! { p.soft { "No vendor has been called yet." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="vendors" { table {
            thead { tr { th { "target" } th { "state" } th { "why" } th.n { "next probe" } th.n { "first token" } th.n { "calls" } th.n { "failures" } } }
            tbody { @for line in health { tr {
                td { (line.target) }
                @match line.state {
                    Up::Closed => td.good { "up" },
                    Up::HalfOpen => td { "probing" },
                    Up::Open => td.bad { "out" },
                }
                td { (line.reason.as_deref().unwrap_or("–")) }
                td.n { (wait(line.retry_in_ms)) }
                td.n { @if let Some(ms) = line.ttft_ms { (format!("{ms:.0} ms")) } @else { "–" } }
                td.n { (line.calls) }
                td.n { (line.failures) }
            } } }
        } }
    }
}

/// A time to wait, in the largest unit that says enough.
fn wait(ms: Option<u64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms < 10_000 => format!("{ms} ms"),
        Some(ms) if ms < 600_000 => format!("{} s", ms / 1_000),
        Some(ms) => format!("{} min", ms / 60_000),
    }
}

fn requests(rows: &[Value]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="recent" { table {
            thead { tr {
                @for head in ["time (UTC)", "route", "model", "status", "reason", "cost", "saving (est.)"] { th { (head) } }
            } }
            tbody { @for row in rows { tr {
                td { a href={ "/requests/" (cell(row, "id")) } { (moment(&cell(row, "started_at"))) } }
                @for key in ["route", "model", "status", "reason", "cost_usd", "saving_usd"] { td { (cell(row, key)) } }
            } } }
        } }
    }
}
