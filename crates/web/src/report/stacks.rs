//! The stacks side by side.

use maud::{Markup, html};
use tco::Report;
use tco::report::StackReport;

use crate::format::{percent, slug, tokens, usd};

/// The address of a stack's bill within the page.
pub(super) fn bill(name: &str) -> String {
    format!("#bill-{}", slug(name))
}

pub(super) fn table(report: &Report) -> Markup {
    let risky = report.stacks.iter().any(|stack| stack.probability_cheapest.is_some());
    html! {
        h2 { "The stacks" }
        div .wide tabindex="0" role="region" aria-label="The stacks" {
            table {
                thead { tr {
                    th scope="col" { "stack" } th scope="col" { "what runs" } th .n scope="col" { "USD a month" }
                    th .n scope="col" { "per M output tokens" } th .n scope="col" { "per M tokens" }
                    @if risky { th .n scope="col" { "mean a month" } th .n scope="col" { "10 % to 90 %" } th .n scope="col" { "cheapest" } }
                } }
                tbody { @for stack in &report.stacks { (row(stack, risky, report.winner.name.as_ref() == Some(&stack.name))) } }
            }
        }
        (other_prices(report))
    }
}

fn row(stack: &StackReport, risky: bool, best: bool) -> Markup {
    let link = bill(&stack.name);
    html! {
        tr .best[best] {
            th scope="row" { a href=(link) { (stack.name) } br; span .soft { (stack.kind) } }
            td { (stack.what) }
            @if let Some(cost) = stack.monthly_usd {
                td .n { a href=(link) { (usd(cost.point.value())) } }
                td .n { @if let Some(x) = stack.usd_per_million_output { a href=(link) { (usd(x.value())) } } }
                td .n { @if let Some(x) = stack.usd_per_million_total { a href=(link) { (usd(x.value())) } } }
                @if risky {
                    td .n { a href="#risk" { (usd(cost.mean.value())) } }
                    td .n { a href="#risk" { (usd(cost.p10.value())) " – " (usd(cost.p90.value())) } }
                    td .n { @if let Some(x) = stack.probability_cheapest { a href="#risk" { (percent(x.value())) } } }
                }
            } @else {
                td .text colspan=(if risky { 6 } else { 3 }) { "not feasible: " (stack.why) }
            }
        }
    }
}

fn other_prices(report: &Report) -> Markup {
    html! {
        @for other in &report.also {
            h3 { "At the prices of " (other.prices.kind) " (" (other.prices.version) ")" }
            @for problem in &other.problems { p { (problem) } }
            div .wide tabindex="0" role="region" aria-label=(format!("At the prices of {}", other.prices.kind)) {
                table {
                    thead { tr { th scope="col" { "stack" } th .n scope="col" { "USD a month" } } }
                    tbody { @for (name, cost) in &other.monthly_usd {
                        tr .best[other.winner.name.as_ref() == Some(name)] {
                            th scope="row" { (name) }
                            td .n { (cost.map_or("not feasible".to_owned(), |cost| usd(cost.value()))) }
                        }
                    } }
                }
            }
        }
    }
}

/// The curve's figures.
pub(super) fn curve_table(report: &Report) -> Markup {
    let curve = &report.curve;
    html! {
        details {
            summary { "The figures" }
            div .wide tabindex="0" role="region" aria-label="Cost against volume" {
                table {
                    thead { tr {
                        th .n scope="col" { "output tokens a day" }
                        @for one in &curve.series { th .n scope="col" { (one.stack) } }
                    } }
                    tbody { @for (at, volume) in curve.output_tokens_per_day.iter().enumerate() {
                        tr {
                            th .n scope="row" { (tokens(volume.value())) }
                            @for one in &curve.series {
                                td .n { @if let Some(cost) = one.monthly_usd.get(at) { (usd(cost.value())) } }
                            }
                        }
                    } }
                }
            }
        }
    }
}
