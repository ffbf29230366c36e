//! Break-evens and flip points.

use maud::{Markup, html};
use tco::Report;
use tco::report::{BreakEven, Count};

use crate::format::{number, percent, slug, tokens, usd};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        @if !report.break_even.is_empty() {
            h2 id="break-even" { "Where own GPUs begin to win" }
            p .soft { "Volumes are output tokens a day of the whole workload. V* has divisible replicas; first win and last loss have whole ones with spares. Below V min not even free GPUs win." }
            div .wide tabindex="0" role="region" aria-label="Break-evens" {
                table {
                    thead { tr {
                        th scope="col" { "stack against" } th .n scope="col" { "V min" } th .n scope="col" { "V*" }
                        th .n scope="col" { "first win" } th .n scope="col" { "last loss" } th .n scope="col" { "now" }
                        th scope="col" { "at this volume" } th scope="col" { "it wins when" }
                    } }
                    tbody { @for edge in &report.break_even { (row(edge)) } }
                }
            }
        }
        @if !report.flips.is_empty() {
            h3 { "Flip points" }
            ul { @for flip in &report.flips { li { a href=(format!("#input-{}", slug(&flip.input))) { (flip.says) } } } }
        }
    }
}

fn row(edge: &BreakEven) -> Markup {
    let volume = |count: Option<Count>| count.map_or("none".to_owned(), |count| tokens(count.value()));
    html! {
        tr id=(format!("edge-{}-{}", slug(&edge.stack), slug(&edge.against))) {
            th scope="row" {
                (edge.stack) " against " (edge.against)
                @if let Some(shared) = &edge.like_for_like { br; span .soft { (shared) } }
            }
            td .n { (volume(edge.v_min)) }
            @if let Some(why) = &edge.none_because {
                td .text colspan="3" { "none: " (why) }
            } @else {
                td .n { (volume(edge.output_tokens_per_day)) }
                td .n { (volume(edge.first_win)) }
                td .n { (edge.last_loss.map_or("never loses".to_owned(), |count| tokens(count.value()))) }
            }
            td .n { (tokens(edge.volume_now.value())) }
            td .text { (edge.now_because) }
            td .text { (flips(edge)) }
        }
    }
}

fn flips(edge: &BreakEven) -> Markup {
    html! {
        @if let Some(x) = edge.usd_per_gpu_hour { "a GPU-hour is below " (usd(x.value())) br; }
        @if let Some(x) = edge.usd_per_million_output { "a million output tokens cost above " (usd(x.value())) " there" br; }
        @if let Some(x) = edge.overhead_usd_per_month { "overhead is below " (usd(x.value())) " a month" br; }
        @if let Some(x) = edge.utilisation {
            @if x.value() > 1.0 { "no utilisation suffices (" (number(x.value())) " times full)" }
            @else { "utilisation is above " (percent(x.value())) ", overhead aside" }
        }
    }
}
