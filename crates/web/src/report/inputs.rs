//! The inputs with their sources, and what they do.

use maud::{Markup, html};
use tco::Report;
use tco::report::Unit;

use super::bills::basis;
use crate::format::{number, slug, usd};

pub(super) fn section(report: &Report) -> Markup {
    let end = |value: Option<Unit>| value.map_or("–".to_owned(), |value| number(value.value()));
    html! {
        h2 id="inputs" { "The inputs" }
        div .wide tabindex="0" role="region" aria-label="The inputs" {
            table {
                thead { tr {
                    th scope="col" { "input" } th .n scope="col" { "value" } th scope="col" { "unit" }
                    th .n scope="col" { "10 %" } th .n scope="col" { "90 %" }
                    th scope="col" { "source" } th scope="col" { "as of" } th scope="col" { "basis" }
                } }
                tbody { @for input in &report.inputs {
                    tr id=(format!("input-{}", slug(&input.name))) {
                        th scope="row" { (input.name) }
                        td .n { (number(input.value.value())) }
                        td { (input.unit) }
                        td .n { (end(input.p10)) }
                        td .n { (end(input.p90)) }
                        td { (input.source) }
                        td .day { (input.as_of.as_deref().unwrap_or("–")) }
                        td { (basis(input.basis)) }
                    }
                } }
            }
        }
    }
}

pub(super) fn tornado(report: &Report) -> Markup {
    html! {
        details {
            summary { "The figures" }
            div .wide tabindex="0" role="region" aria-label="What moves the decision" {
                table {
                    thead { tr {
                        th scope="col" { "input" } th .n scope="col" { "low" } th .n scope="col" { "high" } th scope="col" { "swing" }
                        th .n scope="col" { "margin at low" } th .n scope="col" { "margin at high" } th scope="col" { "winner" }
                    } }
                    tbody { @for bar in &report.tornado {
                        tr {
                            th scope="row" { a href=(format!("#input-{}", slug(&bar.input))) { (bar.input) } }
                            td .n { (number(bar.low.value())) } td .n { (number(bar.high.value())) " " (bar.unit) }
                            td { (bar.swing) }
                            td .n { (usd(bar.margin_low_usd.value())) } td .n { (usd(bar.margin_high_usd.value())) }
                            td { (if bar.flips { "changes" } else { "stays" }) }
                        }
                    } }
                }
            }
        }
    }
}

pub(super) fn risk(report: &Report) -> Markup {
    html! {
        @if let Some(risk) = &report.risk {
            figcaption {
                (risk.draws) " draws, seed " (risk.seed) "; the same seed gives the same figures. Inputs that vary: "
                (risk.uncertain.len())
            }
            @if !risk.scenarios.is_empty() { ul { @for scenario in &risk.scenarios { li { (scenario) } } } }
        }
    }
}
