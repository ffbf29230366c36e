//! Each stack's bill, line by line: formula with numbers, source, day, and what it rests on.

use maud::{Markup, html};
use tco::report::{Line, StackReport};
use tco::{Basis, Report};

use crate::format::{number, percent, slug, usd};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        h2 id="bills" { "The bills" }
        @for stack in &report.stacks { (bill(stack)) }
    }
}

fn bill(stack: &StackReport) -> Markup {
    let id = slug(&stack.name);
    html! {
        section id=(format!("bill-{id}")) {
            h3 { (stack.name) " – " (stack.what) }
            @if !stack.why.is_empty() { p { (stack.why) } }
            (facts(stack))
            @if !stack.lines.is_empty() {
                div .wide tabindex="0" role="region" aria-label=(format!("Bill of {}", stack.name)) {
                    table {
                        thead { tr {
                            th scope="col" { "for" } th .n scope="col" { "USD a month" } th scope="col" { "how" }
                            th scope="col" { "source" } th scope="col" { "as of" } th scope="col" { "basis" }
                        } }
                        tbody {
                            @for (at, line) in stack.lines.iter().enumerate() { (row(&id, at, line)) }
                            @if let Some(cost) = stack.monthly_usd {
                                tr { th scope="row" { "sum" } td .n { strong { (usd(cost.point.value())) } } td colspan="4" {} }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(stack: &str, at: usize, line: &Line) -> Markup {
    html! {
        tr id=(format!("line-{stack}-{at}")) {
            th scope="row" { (line.label) }
            td .n { (usd(line.usd.value())) }
            td .how { (line.how) }
            td { (line.source) }
            td .day { (line.as_of.as_deref().unwrap_or("–")) }
            td { (basis(line.basis)) }
        }
    }
}

/// The word in its colour; the word alone says it too.
pub(super) fn basis(basis: Basis) -> Markup {
    let word = match basis {
        Basis::Measured => "measured",
        Basis::List => "list",
        Basis::Modelled => "modelled",
        Basis::Assumed => "assumed",
    };
    html! { span class=(format!("basis basis-{word}")) { (word) } }
}

fn facts(stack: &StackReport) -> Markup {
    html! {
        ul {
            @if let Some(fleet) = &stack.fleet {
                li {
                    (number(fleet.replicas.value())) " replicas and " (number(fleet.spares.value())) " waiting, each "
                    (fleet.gpus_per_replica) " × " (fleet.gpu) "; " (number(fleet.output_tok_s.value()))
                    " output tokens a second each, 90 % band " (number(fleet.output_tok_s_low.value())) " to "
                    (number(fleet.output_tok_s_high.value())) " (" (basis(fleet.basis)) ": " (fleet.how) "); "
                    (percent(fleet.utilisation.value())) " used"
                }
                li {
                    "a million output tokens of compute: " (usd(fleet.usd_per_million_output.as_used.value())) " as used, "
                    (usd(fleet.usd_per_million_output.at_full_use.value())) " at full use, "
                    (usd(fleet.usd_per_million_output.marginal.value())) " for one more ("
                    (fleet.usd_per_million_output.marginal_how) ")"
                }
            }
            @if let Some(hybrid) = &stack.hybrid {
                li {
                    (hybrid.mechanism) " from " (hybrid.default) " to " (hybrid.escalate) ": "
                    (percent(hybrid.share_of_requests.value())) " of requests, " (percent(hybrid.share_of_tokens.value()))
                    " of billed tokens; saves " (usd(hybrid.saving_usd.value())) " a month ("
                    (percent(hybrid.saving_share.value())) ") against " (hybrid.escalate) " alone"
                }
            }
            @if let Some(quality) = &stack.quality {
                li {
                    (percent(quality.accept.value())) " of outcomes accepted (" (quality.source) "); "
                    (usd(quality.usd_per_accepted.value())) " per accepted outcome, "
                    (usd(quality.usd_per_outcome_mended.value())) " when people mend the rest"
                }
            }
            @if let Some(marginal) = stack.marginal_monthly_usd {
                li { (usd(marginal.value())) " a month without the overhead that is paid anyway" }
            }
        }
    }
}
