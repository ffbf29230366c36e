//! Tells a run in plain text on stdout. Every figure says whether it is simulated, real or an estimate.

use std::fmt::Write as _;

use catalog::Money;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use router::Up;

use super::policies::Policy;
use super::summary::{Line, Summary};
use super::vendors::Declared;

/// The story of a run.
pub fn narrate(summary: &Summary) -> String {
    let mut out = String::new();
    opening(summary, &mut out);
    escalations(summary, &mut out);
    failovers(summary, &mut out);
    breakers(summary, &mut out);
    money(summary, &mut out);
    quality(summary, &mut out);
    policies(summary, &mut out);
    // Commands at the end stay whole, so that they can be copied.
    let mut out = folded(&out);
    closing(summary, &mut out);
    out
}

/// Columns of a terminal that nobody has to scroll.
const COLUMNS: usize = 100;

/// Longer lines go on below, as far in as they began.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let inset = line.len() - line.trim_start().len();
        let mut column = 0;
        // Only long lines are taken apart: tables keep their spaces.
        let words: Vec<&str> =
            if line.chars().count() > COLUMNS { line.split(' ').collect() } else { vec![line] };
        for (at, word) in words.into_iter().enumerate() {
            let wide = word.chars().count();
            if at > 0 && column > inset && column + 1 + wide > COLUMNS {
                out.push('\n');
                out.push_str(&" ".repeat(inset));
                column = inset;
            } else if at > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += wide;
        }
        out.push('\n');
    }
    out
}

macro_rules! say {
    ($out:expr, $($arg:tt)*) => {{
        // writing into a string cannot fail
        let _ = writeln!($out, $($arg)*);
    }};
}

fn opening(summary: &Summary, out: &mut String) {
    say!(out, "TOLLGATE DEMO");
    say!(out, "{}", summary.simulated);
    say!(out, "");
    say!(
        out,
        "{} prompts made {} requests in {:.1} s: {} answered, {} not.",
        summary.prompts,
        summary.requests,
        summary.seconds,
        summary.answered,
        summary.prompts - summary.answered
    );
    for (error, times) in &summary.errors {
        say!(out, "  {times} x the client was told: {error}");
    }
    say!(out, "");
    say!(out, "Declared beforehand (simulated; each takes the list price of a real model):");
    for vendor in &summary.vendors {
        let Declared { name, wire, model, priced_as, first_token_ms, fault, .. } = vendor;
        say!(
            out,
            "  {name:<13} {model:<8} {wire:<10} first token after {first_token_ms:>3} ms, priced as {priced_as}"
        );
        say!(out, "  {:<13} goes wrong: {fault}", "");
    }
}

fn escalations(summary: &Summary, out: &mut String) {
    let all: u64 = summary.escalations.iter().map(|count| count.requests).sum();
    say!(out, "");
    say!(out, "{all} of {} requests went to the flagship:", summary.requests);
    for count in &summary.escalations {
        say!(out, "  {:>3}  {}", count.requests, reason(&count.what));
    }
}

/// A reason in words.
fn reason(word: &str) -> String {
    let said = match word.split_once(':') {
        Some(("matched", what)) => format!("before the call: the prompt says \"{what}\""),
        Some(("check", "refusal")) => "after the cheap answer: it was a refusal".to_owned(),
        Some(("check", "empty")) => "after the cheap answer: it was empty".to_owned(),
        Some(("check", "repetition")) => "after the cheap answer: it repeated itself".to_owned(),
        Some(("check", "broken_json")) => "after the cheap answer: its JSON was broken".to_owned(),
        Some(("check", "regex")) => "after the cheap answer: it said that it is not sure".to_owned(),
        Some(("check", check)) => format!("after the cheap answer: the check `{check}` failed"),
        _ if word == "long-input" => "before the call: the input is long".to_owned(),
        _ => word.to_owned(),
    };
    format!("{said} ({word})")
}

fn failovers(summary: &Summary, out: &mut String) {
    let failovers = &summary.failovers;
    say!(out, "");
    say!(
        out,
        "{} requests were answered although a vendor failed them first; {} were lost.",
        failovers.survived,
        failovers.lost
    );
    for failed in &failovers.calls {
        say!(out, "  {:>3}  {} {}", failed.calls, failed.provider, cause(&failed.error));
    }
}

/// An error's word, said plainly.
fn cause(error: &str) -> String {
    let said = match error {
        "timeout" => "was too slow",
        "rate_limited" => "throttled us",
        "overloaded" => "was overloaded",
        "truncated" => "cut its stream",
        "model_not_found" => "no longer serves its model",
        "garbled" => "sent something unreadable",
        "connect" => "was not there",
        _ => return format!("failed ({error})"),
    };
    format!("{said} ({error})")
}

fn breakers(summary: &Summary, out: &mut String) {
    say!(out, "");
    say!(out, "Breakers now:");
    for target in &summary.breakers {
        let state = match target.state {
            Up::Closed => "closed: in rotation",
            Up::HalfOpen => "half open: being probed",
            Up::Open => "open: out of rotation",
        };
        let why = target.reason.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
        let calls = format!("{} of {} calls failed", target.failures, target.calls);
        say!(out, "  {:<22} {state}{why} ({calls})", target.target);
    }
}

fn money(summary: &Summary, out: &mut String) {
    say!(out, "");
    say!(out, "Cost by route, from the ledger (prices: {}):", summary.catalogue);
    say!(out, "{}", lines("route", &summary.routes, true));
    say!(out, "");
    say!(out, "Cost by vendor and model:");
    say!(out, "{}", lines("target", &summary.targets, false));
    say!(out, "");
    let total = &summary.total;
    say!(
        out,
        "Everything cost {}. The flagship alone would have cost {} for the {} routed requests whose prices are known:",
        usd(total.cost_usd),
        usd(total.baseline_usd),
        total.compared
    );
    let percent = summary.saved_percent().map(|percent| format!(", {percent:.0} %")).unwrap_or_default();
    say!(out, "a saving of {}{percent} ({}).", usd(total.saving_usd), summary.saving_is);
    if total.unknown_cost > 0 {
        say!(out, "{} attempts have no known price; they are not in these sums.", total.unknown_cost);
    }
}

fn lines(head: &str, lines: &[Line], saving: bool) -> Table {
    let mut heads = vec![head, "requests", "attempts", "tokens in", "tokens out", "cost"];
    if saving {
        heads.extend(["flagship alone", "saving (estimate)"]);
    }
    let mut table = plain(heads);
    for line in lines {
        let totals = &line.totals;
        let mut row = vec![
            line.name.clone(),
            totals.requests.to_string(),
            totals.attempts.to_string(),
            totals.input_tokens.to_string(),
            totals.output_tokens.to_string(),
            usd(totals.cost_usd),
        ];
        if saving {
            let compared = |money| if totals.compared > 0 { usd(money) } else { "-".to_owned() };
            row.extend([compared(totals.baseline_usd), compared(totals.saving_usd)]);
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn quality(summary: &Summary, out: &mut String) {
    let quality = &summary.quality;
    say!(out, "");
    say!(out, "Quality, {}:", quality.measured);
    say!(out, "  {:>3} of {} right through the gate", quality.right, quality.of);
    say!(out, "  {:>3} of {} right with the cheap model alone", quality.cheap_alone, quality.of);
    say!(out, "  {:>3} of {} right with the flagship alone", quality.flagship_alone, quality.of);
    let books = &summary.books;
    say!(out, "");
    say!(
        out,
        "The vendors' own books show {} calls ({} answered whole, {} cancelled by the gate, {} broken off by a fault); the ledger has {} attempts.",
        books.vendor_calls,
        books.billed_whole,
        books.billed_cancelled,
        books.billed_broken,
        books.ledger_attempts
    );
}

fn policies(summary: &Summary, out: &mut String) {
    say!(out, "");
    say!(out, "The same prompts again under three policies, at the same vendors without their faults.");
    say!(out, "Quality, {}:", summary.quality.measured);
    let mut table = plain(vec!["policy", "requests", "cost", "escalated", "right", "thresholds"]);
    for policy in &summary.policies {
        #[expect(clippy::cast_precision_loss, reason = "a hundred prompts")]
        let share = 100.0 * policy.escalated as f64 / policy.requests.max(1) as f64;
        table.add_row(vec![
            policy.name.to_owned(),
            policy.requests.to_string(),
            usd(policy.cost_usd),
            format!("{share:.0} %"),
            format!("{} of {}", policy.right, policy.requests),
            thresholds(policy),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    say!(out, "{table}");
    say!(
        out,
        "Thresholds are those that `route tune --quality 0.95` finds on benchmark data. Our prompts are no"
    );
    say!(out, "benchmark: prompts of a kind that the score does not know never escalate for it.");
}

fn thresholds(policy: &Policy) -> String {
    let shown = |name: &str, over: Option<f64>| over.map(|over| format!("{name} {over}"));
    let both = [shown("difficulty", policy.difficulty_over), shown("doubt", policy.doubt_over)];
    both.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn closing(summary: &Summary, out: &mut String) {
    let dir = summary.data_dir.display();
    // as it was called, so that the lines below work from a checkout, too
    let tollgate = std::env::args().next().unwrap_or_else(|| "tollgate".to_owned());
    say!(out, "");
    say!(out, "Look closer (everything there is simulated too):");
    say!(out, "  {tollgate} spend --data-dir {dir} --by route,model");
    say!(out, "  {tollgate} requests --data-dir {dir}");
    say!(
        out,
        "  {tollgate} explain --config {dir}/tollgate.toml \"Prove that the sum of two odd numbers is even.\""
    );
}

fn usd(money: Money) -> String {
    format!("${:.4}", money.to_f64_usd())
}

/// A table without lines, as wide as it needs to be.
fn plain<T: Into<comfy_table::Row>>(heads: T) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heads);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_causes_keep_the_word_of_the_ledger() {
        for word in ["matched:prove", "check:refusal", "check:odd", "long-input", "other"] {
            assert!(reason(word).ends_with(&format!("({word})")));
        }
        assert_eq!(cause("timeout"), "was too slow (timeout)");
        assert_eq!(cause("new"), "failed (new)");
    }

    #[test]
    fn long_lines_go_on_below_and_tables_stay_as_they_are() {
        let table = " a    b      c\n 1   22    333\n";
        assert_eq!(folded(table), table);
        let long = format!("  {}\n\nend\n", "words of a line ".repeat(20).trim_end());
        let shown = folded(&long);
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
        assert!(shown.lines().take(3).all(|line| line.starts_with("  ")), "{shown}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&long));
        assert!(shown.ends_with("\n\nend\n"));
        let unbroken = "x".repeat(300);
        assert_eq!(folded(&unbroken), format!("{unbroken}\n"), "what has no space stays whole");
    }
}
