//! `POST /api/v1/tco`: the engine behind `tollgate tco`, with the same answer to the digit.
//!
//! A decision is worked out off the request path, on a thread that may block, and few at a time ([`Places`]). What one may
//! cost is bounded before it begins, because it cannot be stopped once it runs.
//!
//! [`Places`]: crate::decision::Places

mod ask;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tco::capacity::Points;
use tco::{Market, Report, Scenario};

use super::{Admin, Problem};
use crate::app::App;
use crate::decision::{self, NoScenario};
use ask::{Ask, Format};

/// Bytes of a question. A year of hours is about 80,000.
pub(super) const BODY_BYTES: usize = 262_144;

/// Why there is no answer.
enum Refused {
    /// Every problem at once.
    Wrong(Vec<tco::Problem>),
    /// The ledger gives no scenario.
    Ledger(NoScenario),
    /// Something of ours.
    Broken(String),
}

/// `POST /api/v1/tco`.
pub(super) async fn tco(
    State(app): State<Arc<App>>,
    _: Admin,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(error.status(), format!("a scenario has at most {BODY_BYTES} bytes here"))
        }
        status => Problem::new(status, error.body_text()),
    })?;
    let Some(place) = app.decisions.enter().await else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "other decisions are being worked out: ask again",
        )
        .code("busy"));
    };
    let answered = tokio::task::spawn_blocking(move || {
        let answer = answer(&app, &body);
        drop(place);
        answer
    });
    match answered.await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn answer(app: &App, body: &[u8]) -> Result<Response, Refused> {
    let ask = Ask::read(body).map_err(Refused::Wrong)?;
    let report = report(app, &ask)?;
    match ask.format {
        Format::Json => {
            let text = serde_json::to_vec(&report).map_err(|error| Refused::Broken(error.to_string()))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
        }
        Format::Html => {
            let title = ask.title.unwrap_or_else(|| report.workload.source.clone());
            let page =
                web::report::page(&report, &title).map_err(|error| Refused::Broken(error.to_string()))?;
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                // It brings its own policy; as an attachment it never runs on this origin.
                (header::CONTENT_DISPOSITION, "attachment; filename=\"tollgate-tco.html\""),
            ];
            Ok((headers, page).into_response())
        }
    }
}

fn report(app: &App, ask: &Ask) -> Result<Report, Refused> {
    let config = app.config.load();
    let tree = tree(app, ask, &config.catalogue)?;
    let points = match &ask.bench {
        None => Points::default(),
        Some(bench) => Points::with_bench(bench).map_err(ask::of_bench).map_err(Refused::Wrong)?,
    };
    let market = Market { catalogue: &config.catalogue, at: Timestamp::now(), points: &points };
    let scenario = Scenario::from_json(&tree).map_err(|mut problems| {
        problems.extend(tco::unknown_names(&tree, &market));
        Refused::Wrong(problems)
    })?;
    ask.within_bounds(&tree).map_err(Refused::Wrong)?;
    let scenario = if ask.risk { scenario.with_default_risk() } else { scenario };
    tco::decide(&scenario, &market, &ask.options).map_err(Refused::Wrong)
}

/// The scenario of ledger and body, with the changes over it.
fn tree(app: &App, ask: &Ask, catalogue: &catalog::Catalogue) -> Result<Value, Refused> {
    let stated = ask.scenario.clone();
    let mut tree = match ask.since {
        None => stated.unwrap_or_default(),
        Some(since) => {
            let reader =
                ledger::Reader::open(&app.data_dir).map_err(|error| Refused::Broken(error.to_string()))?;
            let mut measured = decision::scenario(&reader, since, catalogue).map_err(Refused::Ledger)?;
            if let (Some(notice), Some(notes)) =
                (app.notice.get(), measured.get_mut("notes").and_then(Value::as_array_mut))
            {
                // Simulated traffic is said to be so wherever it is shown.
                notes.insert(0, json!(notice));
            }
            match stated {
                None => measured,
                Some(stated) => tco::tree::on_traffic_of(measured, stated),
            }
        }
    };
    if let Some(changes) = &ask.patch {
        tco::tree::patch(&mut tree, changes);
    }
    if let (Some(prices), Some(map)) = (&ask.prices, tree.as_object_mut()) {
        map.insert("prices".into(), prices.clone());
    }
    Ok(tree)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wrong(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Self::new(StatusCode::BAD_REQUEST, lines.join("\n"))
                    .code("invalid_scenario")
                    .listing(problems)
            }
            Refused::Ledger(error @ NoScenario::NoTraffic) => {
                Self::new(StatusCode::NOT_FOUND, error.to_string()).code("no_traffic")
            }
            Refused::Ledger(error) => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Refused::Broken(error) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
