//! The pages: what a person at 3 a.m. looks at first. Server-rendered, no script; a page reloads itself.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use router::Up;
use serde_json::Value;

use super::{Problem, Reader, ledger};
use crate::app::App;
use crate::health::TargetHealth;

/// `GET /assets/style.css`.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css")).into_response()
}

/// `GET /`: the last 24 hours.
pub(super) async fn overview(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
) -> Result<Html<String>, Problem> {
    let since = "24h";
    let routes = ledger::spend_table(&app, &caller, "route", since).await?;
    let targets = ledger::spend_table(&app, &caller, "target", since).await?;
    let recent = ledger::recent(&app, &caller, 25).await?;
    let health = app.health.snapshot(Instant::now());
    let stats = app.ledger.stats();
    Ok(page(
        &app,
        "Overview",
        &html! {
            p.notice { "Last 24 hours. Savings are estimates against one direct call to the route's flagship." }
            @if stats.lost > 0 { p.notice.bad { (stats.lost) " ledger rows could not be written since the start." } }
            @if let Some(error) = &stats.last_error { p.notice.bad { "Ledger: " (error) } }
            (totals(&routes))
            h2 { "By route" }
            (spend(&routes, "route"))
            h2 { "By target" }
            (spend(&targets, "target"))
            h2 { "Vendors" }
            (breakers(&health))
            h2 { "Recent requests" }
            (requests(&recent))
        },
    ))
}

/// `GET /requests/{id}`: one request with every attempt and its decision.
pub(super) async fn request(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Html<String>, Problem> {
    let request = ledger::one(&app, &caller, &id).await?;
    let pretty = |v: &Value| serde_json::to_string_pretty(v).unwrap_or_default();
    let attempts = request.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(page(
        &app,
        "Request",
        &html! {
            h2 { "Request " (id) }
            dl.tiles {
                @for key in ["status", "reason", "route", "model", "cost_usd", "saving_usd"] {
                    div { dt { (key) } dd { (cell(&request, key)) } }
                }
            }
            h2 { "Attempts" }
            div.scroll { table {
                thead { tr { @for head in ["target", "outcome", "status", "ttft_ms", "duration_ms", "cost_usd"] { th { (head) } } } }
                tbody { @for attempt in &attempts { tr {
                    @for key in ["target", "outcome", "status", "ttft_ms", "duration_ms", "cost_usd"] { td { (cell(attempt, key)) } }
                } } }
            } }
            h2 { "Record" }
            pre { (pretty(&request)) }
        },
    ))
}

fn page(app: &App, title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="10";
                title { (title) " · Tollgate" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body {
                header { b { a href="/" { "Tollgate" } } span.soft { (title) } a href="/api/openapi.json" { "API" } }
                main {
                    @if let Some(notice) = app.notice.get() { p.notice { (notice) } }
                    (body)
                }
            }
        }
    };
    Html(page.into_string())
}

/// A field as text; numbers and strings alike.
fn cell(row: &Value, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn money(rows: &[Value], key: &str) -> Option<catalog::Money> {
    rows.iter().map(|r| r.get(key)?.as_str().and_then(|s| catalog::Money::parse_usd(s).ok())).sum()
}

fn count(rows: &[Value], key: &str) -> u64 {
    rows.iter().filter_map(|r| r.get(key)?.as_u64()).sum()
}

fn totals(rows: &[Value]) -> Markup {
    let spent = money(rows, "cost_usd").map_or("unknown".to_owned(), |m| format!("${m}"));
    let known = rows
        .iter()
        .filter(|r| r.get("saving_usd").is_some_and(Value::is_string))
        .cloned()
        .collect::<Vec<_>>();
    let saved = money(&known, "saving_usd").map_or("–".to_owned(), |m| format!("${m}"));
    html! {
        dl.tiles {
            div { dt { "Spent" } dd { (spent) } }
            div { dt { "Saved (estimate)" } dd { (saved) } }
            div { dt { "Requests" } dd { (count(rows, "requests")) } }
            div { dt { "Escalated" } dd { (count(rows, "escalated")) } }
            div { dt { "Errors" } dd { (count(rows, "errors")) } }
        }
    }
}

fn spend(rows: &[Value], by: &str) -> Markup {
    if rows.is_empty() {
        return html! { p.soft { "Nothing yet. Point a client at this address, for instance: " code { "OPENAI_BASE_URL=http://127.0.0.1:4000/v1" } } };
    }
    html! {
        div.scroll { table {
            thead { tr {
                th { (by) }
                @for head in ["requests", "input tokens", "output tokens", "cost", "saving (est.)"] { th.n { (head) } }
            } }
            tbody { @for row in rows { tr {
                td { (cell(row, by)) }
                @for key in ["requests", "input_tokens", "output_tokens", "cost_usd", "saving_usd"] { td.n { (cell(row, key)) } }
            } } }
        } }
    }
}

fn breakers(health: &[TargetHealth]) -> Markup {
    if health.is_empty() {
        return html! { p.soft { "No vendor has been called yet." } };
    }
    html! {
        div.scroll { table {
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
        div.scroll { table {
            thead { tr {
                @for head in ["time", "route", "model", "status", "reason", "cost", "saving (est.)"] { th { (head) } }
            } }
            tbody { @for row in rows { tr {
                td { a href={ "/requests/" (cell(row, "id")) } { (cell(row, "started_at")) } }
                @for key in ["route", "model", "status", "reason", "cost_usd", "saving_usd"] { td { (cell(row, key)) } }
            } } }
        } }
    }
}
