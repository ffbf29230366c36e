//! The report as one file: tables that need no script, and charts over the same figures.

mod bills;
mod edges;
mod inputs;
mod stacks;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use tco::Report;

use crate::assets::{
    EMPTY_HASH, PLOTLY_GZ, PLOTLY_GZ_BASE85, PLOTLY_HASH, REPORT_CSS, REPORT_CSS_HASH, REPORT_JS,
    REPORT_JS_HASH,
};
use crate::format::{number, percent, tokens, usd};

/// A report as one self-contained HTML file: no address outside it, nothing fetched, and a policy under which only its own
/// scripts run. `title` names the scenario. Errors when the report cannot be serialised.
pub fn page(report: &Report, title: &str) -> Result<String, serde_json::Error> {
    let data = serde_json::to_string(report)?;
    let policy = format!(
        "default-src 'none'; script-src '{REPORT_JS_HASH}' '{PLOTLY_HASH}'; style-src '{REPORT_CSS_HASH}' '{EMPTY_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Tollgate" }
                style { (PreEscaped(REPORT_CSS)) }
            }
            body {
                (body(report, title))
                script type="application/json" id="report" { (PreEscaped(inert(&data))) }
                script type="text/plain" id="plotly" data-bytes=(PLOTLY_GZ.len()) { (PreEscaped(PLOTLY_GZ_BASE85)) }
                script { (PreEscaped(REPORT_JS)) }
            }
        }
    };
    Ok(page.into_string())
}

/// JSON that cannot end the element that holds it.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
}

fn body(report: &Report, title: &str) -> Markup {
    html! {
        header {
            h1 { (title) }
            button type="button" id="theme" { "Light or dark" }
        }
        main {
            p .soft { (scope(report)) }
            (verdict(report))
            @if !report.warnings.is_empty() {
                ul .warnings { @for warning in &report.warnings { li { (warning) } } }
            }
            (stacks::table(report))
            (charts(report))
            (edges::section(report))
            (bills::section(report))
            (inputs::section(report))
        }
        footer {
            "Every figure is modelled money, not an invoice: totals in USD a month (365/12 days), rounded to cents. "
            span .basis.basis-measured { "measured" } " was measured, "
            span .basis.basis-list { "list" } " stands in a price list, "
            span .basis.basis-modelled { "modelled" } " comes out of a model of ours, "
            span .basis.basis-assumed { "assumed" } " is the scenario's word or a default. Charts: plotly.js (MIT)."
        }
    }
}

/// What traffic, at which prices.
fn scope(report: &Report) -> String {
    let workload = &report.workload;
    let slo = |label: &str, ms: Option<tco::report::Unit>| {
        ms.map(|ms| format!("{label} within {} ms", number(ms.value())))
    };
    let promised: Vec<String> =
        [slo("first token", report.slo.ttft_ms), slo("each further token", report.slo.tpot_ms)]
            .into_iter()
            .flatten()
            .collect();
    let promised = if promised.is_empty() { String::new() } else { format!("; {}", promised.join(", ")) };
    format!(
        "{} requests, {} input and {} output tokens a day ({}), busiest hour {} times the mean{promised}. Prices: {} of {}, looked up for {}.",
        number(workload.requests_per_day.value()),
        tokens(workload.input_tokens_per_day.value()),
        tokens(workload.output_tokens_per_day.value()),
        workload.source,
        number(workload.peak_to_mean.value()),
        report.prices.kind,
        report.prices.version,
        report.prices.at,
    )
}

fn verdict(report: &Report) -> Markup {
    let winner = &report.winner;
    let Some(name) = &winner.name else {
        return html! { p .verdict { "No stack of this scenario is feasible." } };
    };
    let stack = report.stacks.iter().find(|stack| stack.name == *name);
    // The winner is the one with the least mean, so the mean is what the margin fits.
    let cost = stack.and_then(|stack| stack.monthly_usd).map(|cost| usd(cost.mean.value()));
    let mean = if report.risk.is_some() { " in the mean" } else { "" };
    html! {
        p .verdict id="verdict" {
            strong { (name) } " is the cheapest"
            @if let Some(cost) = cost { " at " a href=(stacks::bill(name)) { (cost) } " a month" (mean) }
            @if let (Some(margin), Some(next)) = (winner.margin_usd, &winner.runner_up) {
                ", " (usd(margin.value())) " less than " (next)
            }
            @if let Some(chance) = winner.probability { "; it is the cheapest in " (percent(chance.value())) " of the draws" }
            "."
        }
    }
}

fn charts(report: &Report) -> Markup {
    let last = report.curve.output_tokens_per_day.len().saturating_sub(1);
    let now = report.workload.output_tokens_per_day.value();
    let start =
        report.curve.output_tokens_per_day.iter().position(|volume| volume.value() >= now).unwrap_or(last);
    html! {
        h2 id="volume-section" { "Cost against volume" }
        figure {
            div .chart id="chart-curve" role="img" aria-label="USD a month of each stack against output tokens a day, with break-evens marked; the table below holds the figures" {}
            div .slider {
                label for="volume" { "Volume" }
                input type="range" id="volume" min="0" max=(last) value=(start);
                output id="volume-says" for="volume" {}
            }
            figcaption { "Both axes are logarithmic. Vertical lines are this scenario's volume and the break-evens of whole replicas." }
            (stacks::curve_table(report))
        }
        h2 { "Where the money goes" }
        figure {
            div .chart.low id="chart-money" role="img" aria-label="USD a month of each stack by kind of cost; the bills below hold the figures" {}
            figcaption .screen { "Click a bar to see the stack's bill." }
        }
        @if !report.tornado.is_empty() {
            h2 { "What moves the decision" }
            figure {
                div .chart id="chart-tornado" role="img" aria-label="How far each input moves the winner's margin; the table below holds the figures" {}
                figcaption { "Each input alone at its low and high value. A bar that crosses 0 changes the winner." }
                (inputs::tornado(report))
            }
        }
        @if report.stacks.iter().any(|stack| stack.probability_cheapest.is_some()) {
            h2 id="risk" { "Who is cheapest when inputs vary" }
            figure {
                div .chart.low id="chart-chances" role="img" aria-label="Share of draws in which each stack is the cheapest; the first table holds the figures" {}
                (inputs::risk(report))
            }
        }
        @for (at, teeth) in report.saw_teeth.iter().enumerate() {
            @if at == 0 { h2 { "The saw-tooth of whole replicas" } }
            figure {
                div .chart.low id=(format!("chart-teeth-{at}")) role="img" aria-label=(format!("USD per million output tokens of {} and {} near their break-even", teeth.stack, teeth.against)) {}
                figcaption { (teeth.stack) " against " (teeth.against) ": each replica more is a step up." }
            }
        }
    }
}
