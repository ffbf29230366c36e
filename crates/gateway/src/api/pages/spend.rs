//! `GET /`: what it cost, what was saved, what was escalated and why. Every filter is in the address and runs in the
//! ledger; the page is whole without a script, which only draws the chart.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use catalog::Money;
use jiff::Timestamp;
use ledger::{By, Spend, SpendQuery, Totals};
use maud::{Markup, html};

use super::{frame, problem};
use crate::api::ledger::{Asked, NONE, read};
use crate::api::series::{self, Series, label};
use crate::api::{Problem, Reader};
use crate::app::App;
use crate::inbound::Caller;

/// Rows of the table.
const ROWS: usize = 25;
/// What is shown when nobody says otherwise.
const SINCE: &str = "7d";
/// Periods at hand.
const PERIODS: [(&str, &str); 5] =
    [("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "a year")];

/// Everything that the page shows.
struct View {
    asked: Asked,
    by: By,
    table: Spend,
    reasons: Spend,
    series: Option<Series>,
    choices: Choices,
}

/// What the filters offer: values that occur in the period.
#[derive(Default)]
struct Choices {
    routes: BTreeSet<Option<String>>,
    keys: BTreeSet<Option<String>>,
    providers: BTreeSet<Option<String>>,
    models: BTreeSet<Option<String>>,
    tags: BTreeSet<Option<String>>,
}

/// The page.
pub(in crate::api) async fn page(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Query(asked): Query<Asked>,
) -> Response {
    match view(&app, &caller, asked).await {
        Ok(view) => frame(&app, "/", "Spend", &body(&app, &view)).into_response(),
        Err(error) => problem(&app, "/", &error),
    }
}

/// Asks the ledger. The five questions run side by side.
async fn view(app: &Arc<App>, caller: &Caller, mut asked: Asked) -> Result<View, Problem> {
    asked.since.get_or_insert_with(|| SINCE.to_owned());
    let by = asked.dimensions()?.into_iter().next().unwrap_or(By::Route);
    let query = asked.spend(caller)?;
    let now = Timestamp::now();
    let bucket = series::bucket(query.period, now);
    let tz = query.tz.clone();
    let ask = |by: Vec<By>, filtered: bool| {
        let filter = if filtered { query.filter.clone() } else { Asked::own_rows(caller) };
        let query = SpendQuery { by, filter, ..query.clone() };
        read(app, move |reader| Ok(reader.spend(&query)?))
    };
    let (table, reasons, over_time, values, tags) = tokio::try_join!(
        ask(vec![by.clone()], true),
        ask(vec![By::Reason], true),
        ask(vec![bucket.clone(), by.clone()], true),
        ask(vec![By::Route, By::Key, By::Provider, By::Model], false),
        ask(vec![By::Tag(None)], false),
    )?;
    let series = series::series(&over_time, &bucket, &tz, now);
    let mut choices = Choices::default();
    for row in values.rows {
        let [route, key, provider, model] = row.key.try_into().unwrap_or_default();
        choices.routes.insert(route);
        choices.keys.insert(key);
        choices.providers.insert(provider);
        choices.models.insert(model);
    }
    choices.tags = tags.rows.into_iter().map(|row| row.key.into_iter().next().flatten()).collect();
    Ok(View { asked, by, table, reasons, series, choices })
}

fn body(app: &App, view: &View) -> Markup {
    let stats = app.ledger.stats();
    let total = &view.table.total;
    html! {
        h1 { "Spend" }
        @if stats.lost > 0 { p.notice.bad { (stats.lost) " ledger rows could not be written since the start." } }
        @if let Some(error) = &stats.last_error { p.notice.bad { "Ledger: " (error) } }
        (filters(view))
        (chips(view))
        @if total.unknown_cost > 0 {
            p.notice { "Calls without a known price: " (count(total.unknown_cost)) ". They are in no sum of money, and not free." }
        }
        (tiles(view))
        @if total.requests == 0 && total.attempts == 0 { (nothing(view)) } @else {
            h2 id="time" { "Over time, by " (view.by.to_string()) }
            (over_time(view))
            h2 id="by" { "By " (view.by.to_string()) }
            (table(view))
            h2 id="why" { "Escalated, and why" }
            (why(view))
        }
        (downloads(view))
    }
}

fn filters(view: &View) -> Markup {
    let asked = &view.asked;
    let since = asked.since.as_deref().unwrap_or(SINCE);
    let custom = !PERIODS.iter().any(|(value, _)| *value == since) || asked.until.is_some();
    let by = view.by.to_string();
    let names: BTreeSet<String> = view
        .choices
        .tags
        .iter()
        .flatten()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| format!("tag:{name}"))
        .collect();
    let dimensions = ["route", "model", "provider", "target", "key", "reason"].map(str::to_owned);
    let dimensions = dimensions.into_iter().chain(names).chain([by.clone()]).collect::<BTreeSet<_>>();
    html! {
        form.filters method="get" action="/" aria-label="Filters" {
            div { label for="since" { "Period" }
                select id="since" name="since" {
                    @for (value, words) in PERIODS { option value=(value) selected[!custom && value == since] { "Last " (words) } }
                    @if custom { option value=(since) selected { "Since " (since) } }
                }
            }
            @if let Some(until) = &asked.until {
                div { label for="until" { "Until" } input id="until" name="until" value=(until); }
            }
            div { label for="by" { "Broken down by" }
                select id="by" name="by" {
                    @for value in &dimensions { option value=(value) selected[*value == by] { (value) } }
                }
            }
            (choice("route", "Route", &view.choices.routes, asked.route.as_deref()))
            (choice("model", "Model", &view.choices.models, asked.model.as_deref()))
            (choice("provider", "Vendor", &view.choices.providers, asked.provider.as_deref()))
            (choice("key", "Key", &view.choices.keys, asked.key.as_deref()))
            (choice("tag", "Tag", &view.choices.tags, asked.tag.as_deref()))
            @for (name, value) in [("target", &asked.target), ("where", &asked.r#where), ("tz", &asked.tz)] {
                @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
            }
            div { button.primary type="submit" { "Apply" } }
        }
    }
}

/// A filter. What is filtered by stays on offer even where nothing of it is left.
fn choice(name: &str, words: &str, values: &BTreeSet<Option<String>>, now: Option<&str>) -> Markup {
    let now = now.filter(|now| !now.is_empty());
    let nameless = matches!(name, "route" | "key");
    let mut offered: Vec<&str> = values.iter().flatten().map(String::as_str).collect();
    if let Some(now) = now.filter(|now| *now != NONE && !offered.contains(now)) {
        offered.push(now);
    }
    html! {
        div { label for=(name) { (words) }
            select id=(name) name=(name) {
                option value="" selected[now.is_none()] { "All" }
                @if nameless && (values.contains(&None) || now == Some(NONE)) {
                    option value=(NONE) selected[now == Some(NONE)] { (NONE) }
                }
                @for value in offered { option value=(value) selected[now == Some(value)] { (value) } }
            }
        }
    }
}

/// What is filtered by now, each with a way to take it off.
fn chips(view: &View) -> Markup {
    let set: Vec<_> = view.asked.filters().into_iter().collect();
    if set.is_empty() {
        return html! {};
    }
    html! {
        ul.row aria-label="Filters in force" {
            @for (name, value) in set { li { span.chip {
                (name) " = " (value)
                a href=(view.asked.link(&[(name, None)])) aria-label={ "Remove the filter " (name) " = " (value) } { "×" }
            } } }
            li { a href="/" { "Clear all" } }
        }
    }
}

fn tiles(view: &View) -> Markup {
    let total = &view.table.total;
    let escalations = escalations(&view.reasons);
    let errors = share(total.errors, total.requests);
    html! {
        dl.tiles {
            div { dt { "Spent" } dd { (cost(total)) }
                dd { @if total.estimated_cost_usd > Money::ZERO { (dollars(total.estimated_cost_usd)) " of it from estimated usage" }
                     @else if total.attempts > total.unknown_cost { "all from usage that vendors reported" } @else { "–" } }
            }
            div { dt { "Saved (estimate)" }
                @if total.compared > 0 {
                    dd { (dollars(total.saving_usd)) }
                    dd { (percent_of(total.saving_usd, total.baseline_usd)) " of " (dollars(total.baseline_usd)) " at the flagship alone, " (count(total.compared)) " requests compared" }
                } @else { dd { "–" } dd { "no routed request with known prices" } }
            }
            div { dt { "Escalated" } dd { (share(escalations.all, escalations.routed)) }
                dd { (count(escalations.all)) " of " (count(escalations.routed)) " routed requests" } }
            div { dt { "Requests" } dd { (count(total.requests)) } dd { (count(total.attempts)) " calls to vendors" } }
            div { dt { "Errors" } dd { (errors) } dd { (count(total.errors)) " requests, " (count(total.failovers)) " failovers" } }
        }
    }
}

fn over_time(view: &View) -> Markup {
    let Some(series) = &view.series else {
        return html! { p.soft { "The period is too long to be drawn: choose a shorter one." } };
    };
    let source = view.asked.api("/api/v1/spend/series", &[("by", &view.by.to_string())]);
    let words = format!("Known cost per {} in {}, by {}", series.bucket, series.tz, view.by);
    html! {
        figure {
            div.plot role="img" aria-label={ (words) ". The same figures are in the table below the chart." } data-src=(source) {}
            figcaption {
                (words) "."
                @if series.lines.iter().any(|line| line.other) { " The " (series.lines.len() - 1) " dearest of " (series.of) " are told apart." }
                @if series.unfinished { " The hatched bar is not over yet." }
            }
            details {
                summary { "As a table" }
                div.scroll tabindex="0" role="region" aria-label="Cost over time" { table {
                    thead { tr { th scope="col" { (series.bucket) }
                        @for line in &series.lines { th.n scope="col" { (line.label) } } } }
                    tbody { @for (at, time) in series.times.iter().enumerate() { tr {
                        th scope="row" { (time) }
                        @for line in &series.lines { td.n { (bucket_cost(line, at)) } }
                    } } }
                } }
            }
        }
    }
}

fn bucket_cost(line: &series::Line, at: usize) -> String {
    let cost = line.cost_usd.get(at).copied().unwrap_or(Money::ZERO);
    match line.unknown_cost.get(at).copied().unwrap_or(0) {
        0 => dollars(cost),
        unknown if cost == Money::ZERO => format!("unknown ({unknown} calls)"),
        unknown => format!("{} + {unknown} unknown", dollars(cost)),
    }
}

fn table(view: &View) -> Markup {
    let rows = &view.table.rows;
    let by = view.by.to_string();
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="by" { table {
            @if rows.len() > ROWS { caption { "The " (ROWS) " dearest of " (rows.len()) ". The total is of all." } }
            thead { tr {
                th scope="col" { (by) }
                @for head in ["Cost", "Saved (est.)", "Requests", "Turned down", "Errors", "Input tokens", "Cached", "Output tokens"] {
                    th.n scope="col" { (head) }
                }
            } }
            tbody { @for row in rows.iter().take(ROWS) { tr {
                th scope="row" { (name(view, row.key.first().and_then(Option::as_deref))) }
                (cells(&row.totals))
            } } }
            tfoot { tr { th scope="row" { "Total" } (cells(&view.table.total)) } }
        } }
        p.soft { "“Turned down” counts answers that a check rejected, so that another model answered. A failed call is counted where it failed." }
    }
}

/// A row's name, as a link that filters by it where there is such a filter.
fn name(view: &View, value: Option<&str>) -> Markup {
    let shown = label(Some(&view.by), value);
    let (field, value) = match (&view.by, value) {
        (By::Route, value) => ("route", Some(value.unwrap_or(NONE).to_owned())),
        (By::Key, value) => ("key", Some(value.unwrap_or(NONE).to_owned())),
        (By::Model, Some(value)) => ("model", Some(value.to_owned())),
        (By::Provider, Some(value)) => ("provider", Some(value.to_owned())),
        (By::Target, Some(value)) => ("target", Some(value.to_owned())),
        (By::Tag(Some(tag)), Some(value)) => ("tag", Some(format!("{tag}={value}"))),
        _ => ("", None),
    };
    html! {
        @match value {
            Some(value) => a href=(view.asked.link(&[(field, Some(&value))])) title={ "Only " (shown) } { (shown) },
            None => (shown),
        }
    }
}

fn cells(totals: &Totals) -> Markup {
    html! {
        td.n { (cost(totals))
            @if totals.estimated_cost_usd > Money::ZERO {
                " " span.badge title={ (dollars(totals.estimated_cost_usd)) " of it from estimated usage" } { "est." }
            }
        }
        td.n { @if totals.compared > 0 { (dollars(totals.saving_usd)) } @else { "–" } }
        td.n { (count(totals.requests)) }
        td.n { (count(totals.escalated)) }
        td.n { (count(totals.errors)) }
        td.n { (count(totals.input_tokens)) }
        td.n { (share(totals.cached_tokens, totals.input_tokens)) }
        td.n { (count(totals.output_tokens)) }
    }
}

/// A sum of money with what is not in it. Never $0 for what has no price.
fn cost(totals: &Totals) -> Markup {
    let unknown = totals.unknown_cost;
    let nothing_known = unknown > 0 && unknown >= totals.attempts;
    html! {
        @if nothing_known { "unknown" } @else {
            span title={ "$" (totals.cost_usd) } { (dollars(totals.cost_usd)) }
            @if unknown > 0 { " " span.badge title="Calls without a known price: not in the sum, and not free" { "+ " (count(unknown)) " unknown" } }
        }
    }
}

/// Requests that left the route's default for its flagship, by reason.
struct Escalations<'a> {
    routed: u64,
    all: u64,
    reasons: Vec<(&'a str, &'static str, &'a Totals)>,
}

fn escalations(reasons: &Spend) -> Escalations<'_> {
    let mut found = Escalations { routed: 0, all: 0, reasons: Vec::new() };
    for row in &reasons.rows {
        let reason = row.key.first().and_then(Option::as_deref).unwrap_or_default();
        if reason != "pinned" {
            found.routed = found.routed.saturating_add(row.totals.requests);
        }
        let when = match reason.split(':').next() {
            Some("matched" | "long-input" | "difficulty" | "needs") => "before the call",
            Some("check") if reason != "check:undecided" => "after the cheap answer",
            _ => continue,
        };
        found.all = found.all.saturating_add(row.totals.requests);
        found.reasons.push((reason, when, &row.totals));
    }
    found.reasons.sort_by_key(|(_, _, totals)| std::cmp::Reverse(totals.requests));
    found
}

fn why(view: &View) -> Markup {
    let found = escalations(&view.reasons);
    if found.reasons.is_empty() {
        return html! { p.soft { "No request was escalated." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="why" { table {
            thead { tr {
                th scope="col" { "Reason" }
                @for head in ["Requests", "Of routed", "Cost", "Saved (est.)"] { th.n scope="col" { (head) } }
                th scope="col" { "When" }
            } }
            tbody { @for (reason, when, totals) in &found.reasons { tr {
                th scope="row" { a href=(view.asked.link(&[("where", Some(&format!("reason={reason}")))])) { (reason) } }
                td.n { (count(totals.requests)) }
                td.n { (share(totals.requests, found.routed)) }
                td.n { (cost(totals)) }
                td.n { @if totals.compared > 0 { (dollars(totals.saving_usd)) } @else { "–" } }
                td { (when) }
            } } }
        } }
    }
}

fn nothing(view: &View) -> Markup {
    html! {
        @if view.asked.filters().is_empty() {
            p { "Nothing in this period. Point a client at this address, for instance: " code { "OPENAI_BASE_URL=http://127.0.0.1:4000/v1" } }
        } @else {
            p { "Nothing in this period passes the filters. " a href="/" { "Clear all filters" } }
        }
    }
}

fn downloads(view: &View) -> Markup {
    let by = view.by.to_string();
    let csv = view.asked.api("/api/v1/spend", &[("by", &format!("day,{by}")), ("format", "csv")]);
    let focus = view.asked.api("/api/v1/spend", &[("format", "focus")]);
    html! {
        h2 { "Download" }
        ul.row {
            li { a.button href=(csv) download="spend.csv" { "CSV, by day and " (by) } }
            li { a.button href=(focus) download="focus.csv" { "FOCUS" } }
        }
        p.soft { "Exact amounts in dollars, with the filters above. Times are in " (view.table.tz) "." }
    }
}

/// Dollars for people: more decimals, the smaller it is. The exact amount is in the CSV and in the tooltip of a sum.
fn dollars(amount: Money) -> String {
    let pico = amount.pico();
    match pico {
        0 => return "$0".to_owned(),
        1..500_000 => return "< $0.000001".to_owned(),
        _ => {}
    }
    let decimals = match pico.unsigned_abs() / 1_000_000_000_000 {
        0 => 6,
        1..100 => 4,
        _ => 2,
    };
    let unit = 10_u128.pow(12 - decimals);
    let rounded = pico.unsigned_abs().saturating_add(unit / 2) / unit;
    let scale = 10_u128.pow(decimals);
    let sign = if pico < 0 && rounded > 0 { "−" } else { "" };
    let places = usize::try_from(decimals).unwrap_or(6);
    format!("{sign}${}.{:0places$}", grouped(rounded / scale), rounded % scale)
}

fn count(n: u64) -> String {
    grouped(n.into())
}

fn grouped(n: u128) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share with one decimal; nothing of nothing is no number.
fn share(part: u64, whole: u64) -> String {
    let Some(tenths) = u128::from(part).saturating_mul(1_000).checked_div(u128::from(whole)) else {
        return "–".to_owned();
    };
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn percent_of(part: Money, whole: Money) -> String {
    let tenths = part.pico().saturating_mul(1_000).checked_div(whole.pico());
    tenths.map_or_else(
        || "–".to_owned(),
        |tenths| {
            let sign = if tenths < 0 { "−" } else { "" };
            let tenths = tenths.unsigned_abs();
            format!("{sign}{}.{}%", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_rounded_for_people_by_their_size() {
        let shown = ["0", "0.0000004", "0.012345678", "1.23456", "1234.567", "-3.5", "-0.000001"]
            .map(|text| dollars(Money::parse_usd(text).unwrap()));
        assert_eq!(
            shown,
            ["$0", "< $0.000001", "$0.012346", "$1.2346", "$1,234.57", "−$3.5000", "−$0.000001"]
        );
    }

    #[test]
    fn shares_of_nothing_are_no_number() {
        assert_eq!((share(1, 3), share(0, 0), share(3, 3)), ("33.3%".into(), "–".into(), "100.0%".into()));
    }

    #[test]
    fn an_unknown_price_is_never_shown_as_zero() {
        let none = Totals { attempts: 2, unknown_cost: 2, ..Totals::default() };
        assert_eq!(cost(&none).into_string(), "unknown");
        let some = Totals {
            attempts: 3,
            unknown_cost: 2,
            cost_usd: Money::parse_usd("1.5").unwrap(),
            ..Totals::default()
        };
        let said = cost(&some).into_string();
        assert!(said.contains("$1.5000") && said.contains("+ 2 unknown"), "{said}");
    }
}
