//! `GET /decide`: the engine of `tollgate tco` with levers. The page is a form and places for figures; its script asks
//! `POST /api/v1/tco` and draws what comes back. A page that the server filled would work out a decision for whoever links
//! to it; a POST with JSON is out of reach of foreign pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::{frame, problem};
use crate::api::{Admin, Problem};
use crate::app::App;

/// Scenarios for who has no traffic yet: name, words, TOML.
const EXAMPLES: [(&str, &str, &str); 3] = [
    ("scale-1", "100 million tokens a month", include_str!("../../../../../examples/article/scale-1.toml")),
    ("scale-2", "5 billion tokens a month", include_str!("../../../../../examples/article/scale-2.toml")),
    ("scale-3", "50 billion tokens a month", include_str!("../../../../../examples/article/scale-3.toml")),
];
/// Periods of the ledger.
const PERIODS: [(&str, &str); 4] =
    [("24h", "Last 24 hours"), ("7d", "Last 7 days"), ("30d", "Last 30 days"), ("90d", "Last 90 days")];

/// The page. A client key cannot ask the engine, so it is told at once.
pub(in crate::api) async fn page(State(app): State<Arc<App>>, may: Result<Admin, Problem>) -> Response {
    match may {
        Ok(Admin) => frame(&app, "/decide", "Decide", &body()).into_response(),
        Err(error) => problem(&app, "/decide", &error),
    }
}

fn body() -> Markup {
    html! {
        h1 { "Decide" }
        p.lead { "What this traffic costs on each stack, and where GPUs of your own begin to win. Every sum is modelled from prices and assumptions that stand beside it; none is an invoice." }
        noscript { p.notice { "This page needs its script. The same answer without: " code { "tollgate tco --from-ledger 7d" } } }
        div.notice.bad id="trouble" role="alert" hidden {}
        div.decide data-state="asking" aria-busy="true" {
            p.verdict id="verdict" role="status" { "Working it out …" }
            (controls())
            div.answer {
                div.scroll id="stacks" tabindex="0" role="region" aria-label="The stacks" {}
                (charts())
                section {
                    h2 { "The bills, line by line" }
                    p.soft { "Each line with its formula, source and date. “list” stands in a price list, “measured” was measured, “modelled” comes out of a model of ours, “assumed” is the scenario's word or a default." }
                    div id="bills" {}
                    details { summary id="notes-count" { "Notes" } ul.notes id="notes" {} }
                }
                section {
                    h2 { "Download" }
                    div.row {
                        button.button type="button" id="save-html" { "Report (HTML)" }
                        button.button type="button" id="save-json" { "JSON" }
                    }
                    p.soft { "The report is one file with charts, every line and every input; it opens without a network. JSON is what " code { "tollgate tco --json" } " prints." }
                }
            }
        }
    }
}

fn charts() -> Markup {
    html! {
        section {
            h2 { "Cost against volume" }
            figure {
                div.plot id="curve" role="img" aria-label="USD a month of each stack against output tokens a day; the tables beside it hold the figures" {}
                figcaption id="curve-says" {}
            }
        }
        section id="edges-section" {
            h2 { "Where own GPUs begin to win" }
            div.scroll id="edges" tabindex="0" role="region" aria-label="Break-evens" {}
            p.soft { "In output tokens a day of the whole workload, with whole replicas and spares. Between “begins to win” and “wins for good” each further replica can lose once more." }
        }
        section id="chances-section" hidden {
            h2 { "Who is cheapest when prices and capacity vary" }
            figure {
                div.plot.low id="chances" role="img" aria-label="Share of draws in which each stack is the cheapest; the first table holds the figures" {}
                figcaption { "Seeded draws over GPU shortage, price drift, retired models, outages and the capacity's error band. The same seed gives the same figures." }
            }
        }
        section {
            h2 { "Where the money goes" }
            figure {
                div.plot.low id="money" role="img" aria-label="USD a month of each stack by kind of cost; the bills below hold the figures" {}
                figcaption { "USD a month of each stack by kind of cost." }
            }
        }
        section id="tornado-section" hidden {
            h2 { "What moves the decision" }
            figure {
                div.plot id="tornado" role="img" aria-label="How far each input alone moves the winner's margin; the downloaded report holds the figures" {}
                figcaption { "Each input alone at its low and high value. A bar that crosses 0 changes the winner." }
            }
        }
    }
}

fn controls() -> Markup {
    html! {
        form.controls id="controls" aria-label="What is asked" autocomplete="off" {
            fieldset {
                legend { "Question" }
                div.field { label for="from" { "Traffic" }
                    select id="from" {
                        optgroup label="Ledger" { @for (value, words) in PERIODS { option value=(value) selected[value == "7d"] { (words) } } }
                        optgroup label="Example" { @for (value, words, toml) in EXAMPLES { option value=(value) data-scenario=(toml) { (words) } } }
                    }
                }
                div.field { label for="prices" { "Prices" }
                    select id="prices" {
                        option value="catalogue" { "Catalogue, today" }
                        option value="article" { "Source article, May 2026" }
                    }
                }
                label.check { input type="checkbox" id="risk"; " Let prices and capacity vary" }
            }
            fieldset {
                legend { "Traffic" }
                (lever("requests", "Requests a day"))
                (lever("peak", "Busiest hour over mean hour"))
                (lever("growth", "Growth a month"))
            }
            fieldset {
                legend { "Escalated to the strong model" }
                (lever("routed", "Before the call"))
                (lever("turned_down", "After a cheap answer"))
            }
            fieldset {
                legend { "GPUs of your own" }
                (lever("gpu", "USD per GPU-hour"))
                (lever("overhead", "People and services, USD a month"))
            }
            button.button type="button" id="reset" hidden { "Undo all changes" }
        }
    }
}

/// A slider with its value and what it was.
fn lever(name: &str, words: &str) -> Markup {
    html! {
        div.lever id={ "lever-" (name) } hidden {
            label for=(name) { (words) }
            output id={ (name) "-says" } for=(name) {}
            input type="range" id=(name) min="0" max="1000" step="1";
            small id={ (name) "-was" } {}
        }
    }
}
