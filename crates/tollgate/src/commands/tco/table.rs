//! The report for a terminal: at most 100 columns, readable without colour.

use std::fmt::Write as _;

use tco::report::{BreakEven, Grid, Line, Report, StackReport, Winner};

use super::decide::Part;
use crate::render;

/// Columns of the widest line.
pub const WIDTH: usize = 100;

/// The report, or a part of it.
pub fn report(report: &Report, part: Part, explain: bool) -> String {
    let mut out = head(report);
    match part {
        Part::All => {
            out.push_str(&stacks(report));
            out.push_str(&verdict(report));
            if explain {
                out.push_str(&bills(report));
            }
            out.push_str(&break_even(report));
            out.push_str(&flips(report, 5));
            out.push_str(&matrix(report));
            out.push_str(&also(report));
            if !explain {
                out.push_str("\n--explain: every line with its formula, source and date\n");
            }
        }
        Part::BreakEven => out.push_str(&break_even(report)),
        Part::Sensitivity => {
            out.push_str(&tornado(report));
            out.push_str(&flips(report, usize::MAX));
        }
        Part::Risk => {
            out.push_str(&stacks(report));
            out.push_str(&verdict(report));
            out.push_str(&regret(report));
        }
    }
    out.push_str(&warnings(report));
    out
}

/// `1234.5` → `1,234.50`; large amounts without cents.
pub fn usd(value: f64) -> String {
    let digits = if value.abs() >= 100_000.0 { 0 } else { 2 };
    let text = format!("{:.digits$}", value.abs());
    let (whole, cents) = text.split_once('.').map_or((text.as_str(), ""), |(whole, cents)| (whole, cents));
    let grouped = render::thousands(whole.parse().unwrap_or(u64::MAX));
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "-" } else { "" };
    if cents.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{cents}") }
}

/// Tokens for people: `1.32M`, `657.5M`, `2.40B`.
pub fn tokens(value: f64) -> String {
    match value.abs() {
        v if v >= 1e12 => format!("{:.2}T", value / 1e12),
        v if v >= 1e9 => format!("{:.3}B", value / 1e9),
        v if v >= 1e6 => format!("{:.2}M", value / 1e6),
        v if v >= 1e4 => format!("{:.1}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

/// Six significant digits at most.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e6 {
        return tokens(value);
    }
    if value >= 1e3 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1,000 to 1,000,000")]
        return render::thousands(value.round() as u64);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
    let digits = (4.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn head(report: &Report) -> String {
    let work = &report.workload;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} tokens a month, {} requests a day ({}), peak {} × mean",
        tokens(work.total_tokens_per_month.0),
        number(work.requests_per_day.0),
        work.source,
        number(work.peak_to_mean.0)
    );
    for class in &work.classes {
        let name = if work.classes.len() > 1 { format!("{}: ", class.name) } else { String::new() };
        let _ = writeln!(
            out,
            "  {name}{} input and {} output tokens a request, {} requests a day",
            number(class.input_tokens.0),
            number(class.output_tokens.0),
            number(class.requests_per_day.0)
        );
    }
    let ms = |limit: Option<tco::report::Unit>| {
        limit.map_or_else(|| "any".to_owned(), |ms| format!("{} ms", number(ms.0)))
    };
    let _ = writeln!(
        out,
        "TTFT {}, TPOT {}; {} prices of {}",
        ms(report.slo.ttft_ms),
        ms(report.slo.tpot_ms),
        report.prices.kind,
        report.prices.at
    );
    if work.growth_per_month.0 != 0.0 {
        let _ = writeln!(
            out,
            "growing {} a month; means over {} months",
            percent(work.growth_per_month.0),
            work.horizon_months
        );
    }
    out.push('\n');
    out
}

fn stacks(report: &Report) -> String {
    let risky = report.risk.is_some();
    let mut header = vec!["stack", "kind", "$/month", "$/M output"];
    if risky {
        header.extend(["mean", "p10", "p90", "P(cheapest)"]);
    } else {
        header.extend(["$/M tokens", "marginal $/month"]);
    }
    let rows = report.stacks.iter().map(|stack| row(stack, risky));
    let mut out = render::table(&header, rows);
    out.push('\n');
    for stack in report.stacks.iter().filter(|stack| !stack.feasible) {
        out.push_str(&wrapped(&format!("{}: not feasible: {}", stack.name, stack.why), "  "));
    }
    for stack in &report.stacks {
        if let Some(fleet) = &stack.fleet {
            let kept = fleet.reserved.map(|kept| format!(", {} kept", kept.0)).unwrap_or_default();
            let text = format!(
                "{}: {} + {} replicas of {} × {}{kept}, {} used; {} output tok/s each ({} to {}, {})",
                stack.name,
                fleet.replicas.0,
                fleet.spares.0,
                fleet.gpus_per_replica,
                fleet.gpu,
                percent(fleet.utilisation.0),
                number(fleet.output_tok_s.0.round()),
                number(fleet.output_tok_s_low.0.round()),
                number(fleet.output_tok_s_high.0.round()),
                word(fleet.basis)
            );
            out.push_str(&wrapped(&text, "  "));
            let prices = &fleet.usd_per_million_output;
            let text = format!(
                "{}: compute per million output tokens ${} as used, ${} at full use, ${} one more",
                stack.name,
                number(prices.as_used.0),
                number(prices.at_full_use.0),
                number(prices.marginal.0)
            );
            out.push_str(&wrapped(&text, "  "));
        }
        if let Some(hybrid) = &stack.hybrid {
            let text = format!(
                "{}: {} escalates {} of requests = {} of billed tokens; saves {} against {} alone",
                stack.name,
                hybrid.mechanism,
                percent(hybrid.share_of_requests.0),
                percent(hybrid.share_of_tokens.0),
                percent(hybrid.saving_share.0),
                hybrid.escalate
            );
            out.push_str(&wrapped(&text, "  "));
        }
        if let Some(quality) = &stack.quality {
            let text = format!(
                "{}: accepts {}; ${} per accepted outcome, ${} per outcome with people mending the rest",
                stack.name,
                percent(quality.accept.0),
                number(quality.usd_per_accepted.0),
                number(quality.usd_per_outcome_mended.0)
            );
            out.push_str(&wrapped(&text, "  "));
        }
    }
    out
}

fn word(basis: tco::Basis) -> String {
    format!("{basis:?}").to_lowercase()
}

fn row(stack: &StackReport, risky: bool) -> Vec<String> {
    let name = if stack.feasible { stack.name.clone() } else { format!("({})", stack.name) };
    let cost = |of: &dyn Fn(&tco::report::Spread) -> f64| {
        stack.monthly_usd.as_ref().map_or("–".to_owned(), |s| usd(of(s)))
    };
    let unit = |value: Option<tco::report::Unit>| value.map_or("–".to_owned(), |value| usd(value.0));
    let mut cells =
        vec![name, stack.kind.to_owned(), cost(&|s| s.point.0), unit(stack.usd_per_million_output)];
    if risky {
        cells.extend([cost(&|s| s.mean.0), cost(&|s| s.p10.0), cost(&|s| s.p90.0)]);
        cells.push(stack.probability_cheapest.map_or("–".to_owned(), |p| percent(p.0)));
    } else {
        cells.push(unit(stack.usd_per_million_total));
        cells.push(stack.marginal_monthly_usd.map_or("–".to_owned(), |usd_| usd(usd_.0)));
    }
    cells
}

fn says(winner: &Winner) -> String {
    let Some(name) = &winner.name else { return "no stack is feasible".to_owned() };
    let chance = winner
        .probability
        .map(|p| format!(", the cheapest in {} of draws", percent(p.0)))
        .unwrap_or_default();
    match (&winner.runner_up, winner.margin_usd) {
        (Some(next), Some(margin)) => {
            format!("{name} wins by ${} a month over {next}{chance}", usd(margin.0))
        }
        _ => format!("{name} is the only feasible stack{chance}"),
    }
}

fn verdict(report: &Report) -> String {
    let mut out = format!("\n{}\n", says(&report.winner));
    if let Some(risk) = &report.risk {
        let _ = writeln!(
            out,
            "  {} draws, seed {}",
            render::thousands(risk.draws.try_into().unwrap_or(0)),
            risk.seed
        );
        for scenario in &risk.scenarios {
            out.push_str(&wrapped(scenario, "  "));
        }
    }
    out
}

fn bills(report: &Report) -> String {
    let mut out = String::new();
    for stack in &report.stacks {
        let _ = write!(out, "\n{}\n", stack.name);
        for line in &stack.lines {
            out.push_str(&bill_line(line));
        }
    }
    out
}

fn bill_line(line: &Line) -> String {
    let dated = line.as_of.as_ref().map(|day| format!(", {day}")).unwrap_or_default();
    let mut out = format!("  {:>14}  {}\n", usd(line.usd.0), line.label);
    out.push_str(&wrapped(&line.how, "                  = "));
    out.push_str(&wrapped(&format!("[{}] {}{dated}", word(line.basis), line.source), "                  "));
    out
}

fn break_even(report: &Report) -> String {
    if report.break_even.is_empty() {
        return String::new();
    }
    let mut out = "\nBreak-even in output tokens a day (V_min: overhead / price, GPUs free)\n".to_owned();
    let cell = |count: Option<tco::report::Count>| count.map_or("none".to_owned(), |count| tokens(count.0));
    let rows = report.break_even.iter().map(|edge| {
        vec![
            edge.stack.clone(),
            edge.against.clone(),
            cell(edge.v_min),
            cell(edge.output_tokens_per_day),
            cell(edge.first_win),
            cell(edge.last_loss),
            edge.usd_per_gpu_hour.map_or("none".to_owned(), |usd| number(usd.0)),
            edge.utilisation.map_or("> 100%".to_owned(), |share| percent(share.0)),
        ]
    });
    let header =
        ["stack", "against", "V_min", "divisible", "first win", "last loss", "$/GPU-h now", "full-use"];
    out.push_str(&render::table(&header, rows));
    out.push('\n');
    for edge in &report.break_even {
        out.push_str(&wrapped(&reason(edge), "  "));
    }
    out
}

fn reason(edge: &BreakEven) -> String {
    let alike = edge.like_for_like.as_ref().map(|alike| format!(" ({alike})")).unwrap_or_default();
    let because = match &edge.none_because {
        Some(why) => format!("never: {why}"),
        None => format!("at {} a day {}", tokens(edge.volume_now.0), edge.now_because),
    };
    format!("{} against {}{alike}: {because}", edge.stack, edge.against)
}

fn flips(report: &Report, most: usize) -> String {
    if report.flips.is_empty() {
        return String::new();
    }
    let mut out = "\nFlip points\n".to_owned();
    for flip in report.flips.iter().take(most) {
        out.push_str(&wrapped(&format!("{}; now {}", flip.says, number(flip.now.0)), "  "));
    }
    out
}

fn tornado(report: &Report) -> String {
    let name = report.winner.name.as_deref().unwrap_or("the winner");
    let mut out = format!("What moves the margin of {name}, $ a month (negative: it loses)\n");
    let rows = report.tornado.iter().map(|bar| {
        vec![
            short_name(&bar.input),
            format!("{} to {}", number(bar.low.0), number(bar.high.0)),
            bar.swing.to_owned(),
            usd(bar.margin_low_usd.0),
            usd(bar.margin_high_usd.0),
            if bar.flips { "flips".to_owned() } else { String::new() },
        ]
    });
    out.push_str(&render::table(&["input", "from, to", "swing", "at low", "at high", ""], rows));
    out.push('\n');
    out
}

/// The end of a long name says more than its beginning.
fn short_name(name: &str) -> String {
    const MOST: usize = 38;
    let length = name.chars().count();
    if length <= MOST {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(length + 1 - MOST).collect::<String>())
}

fn regret(report: &Report) -> String {
    let mut out = "\nRegret: what choosing it costs above the best choice, $ a month\n".to_owned();
    let rows = report.stacks.iter().filter_map(|stack| {
        let regret = stack.regret_usd?;
        Some(vec![stack.name.clone(), usd(regret.mean.0), usd(regret.p50.0), usd(regret.p90.0)])
    });
    out.push_str(&render::table(&["stack", "mean", "p50", "p90"], rows));
    out.push('\n');
    out
}

fn matrix(report: &Report) -> String {
    let mut out = "\nThe cheapest by output tokens a day\n".to_owned();
    let volumes: Vec<String> =
        report.matrix.output_tokens_per_day.iter().map(|volume| number(volume.0)).collect();
    let header: Vec<&str> = std::iter::once("").chain(volumes.iter().map(String::as_str)).collect();
    let rows = report.matrix.rows.iter().map(|row| {
        let name = |cell: &tco::report::Cell| cell.stack.as_deref().map_or_else(|| "–".to_owned(), cut);
        std::iter::once(row.condition.clone()).chain(row.cells.iter().map(name)).collect()
    });
    out.push_str(&render::table(&header, rows));
    out.push('\n');
    out
}

/// A name that fits a narrow column.
fn cut(name: &str) -> String {
    const MOST: usize = 10;
    if name.chars().count() <= MOST {
        name.to_owned()
    } else {
        name.chars().take(MOST - 1).chain(['…']).collect()
    }
}

fn also(report: &Report) -> String {
    let mut out = String::new();
    for other in &report.also {
        let _ = write!(out, "\nAt the {} prices ({})\n", other.prices.kind, other.prices.version);
        for problem in &other.problems {
            out.push_str(&wrapped(problem, "  "));
        }
        if other.problems.is_empty() {
            let rows = other.monthly_usd.iter();
            let rows =
                rows.map(|(name, cost)| vec![name.clone(), cost.map_or("–".to_owned(), |cost| usd(cost.0))]);
            out.push_str(&render::table(&["stack", "$/month"], rows));
            let _ = write!(out, "\n{}\n", says(&other.winner));
        }
    }
    out
}

fn warnings(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let mut out = "\nNotes\n".to_owned();
    for warning in &report.warnings {
        out.push_str(&wrapped(warning, "  "));
    }
    out
}

/// The eight questions.
pub fn checklist(questions: &[tco::Question]) -> String {
    let mut out = String::new();
    for question in questions {
        let answer = match question.answer {
            tco::Answer::Yes => "yes",
            tco::Answer::No => "no ",
            tco::Answer::Ask => "ask",
        };
        out.push_str(&wrapped(question.question, &format!("{}. {answer}  ", question.number)));
        out.push_str(&wrapped(&question.figure, "        "));
        if question.answer == tco::Answer::Ask {
            out.push_str(&wrapped(&format!("answered by: {}", question.key), "        "));
        }
    }
    out
}

/// Who wins, as letters.
pub fn grid(grid: &Grid) -> String {
    let letter = |at: usize| char::from(b'A' + u8::try_from(at % 26).unwrap_or(0));
    let mut out = format!("→ {} ({}), ↓ {} ({})\n\n", grid.x, grid.x_unit, grid.y, grid.y_unit);
    let ends = |values: &[tco::report::Unit]| {
        let end = |value: Option<&tco::report::Unit>| value.map(|value| number(value.0)).unwrap_or_default();
        (end(values.first()), end(values.last()))
    };
    let (low, high) = ends(&grid.xs);
    let _ = writeln!(out, "{:>12}  {low} … {high}", "");
    for (y, row) in grid.ys.iter().zip(&grid.winner) {
        let cells: String = row.iter().map(|cell| cell.map_or('·', letter)).collect();
        let _ = writeln!(out, "{:>12}  {cells}", number(y.0));
    }
    out.push('\n');
    for (at, name) in grid.stacks.iter().enumerate() {
        let _ = writeln!(out, "{}  {name}", letter(at));
    }
    out
}

/// Breaks text between words so that no line is wider than [`WIDTH`]; the first line begins with `lead`, the others with
/// as much space.
pub fn wrapped(text: &str, lead: &str) -> String {
    let indent = " ".repeat(lead.chars().count());
    let room = WIDTH.saturating_sub(indent.len());
    let (mut out, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        // A word that no line holds (an address) is cut.
        let mut word = word;
        while word.chars().count() > room {
            let at = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
            let (head, tail) = word.split_at(at);
            if !line.is_empty() {
                out.push_str(&line);
                out.push('\n');
                line.clear();
            }
            out.push_str(if out.is_empty() { lead } else { &indent });
            out.push_str(head);
            out.push('\n');
            word = tail;
        }
        if line.is_empty() {
            line = format!("{}{word}", if out.is_empty() { lead } else { &indent });
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            out.push_str(&line);
            out.push('\n');
            line = format!("{indent}{word}");
        }
    }
    out.push_str(&line);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(40), "  = ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(
            text.starts_with("  = word")
                && text.lines().nth(1).is_some_and(|line| line.starts_with("    word"))
        );
        assert!(wrapped(&"x".repeat(300), "  ").lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn money_reads_well() {
        assert_eq!(
            [usd(1234.5), usd(-0.001), usd(1e6), usd(-12.3)],
            ["1,234.50", "0.00", "1,000,000", "-12.30"]
        );
        assert_eq!([number(0.000_012_34), number(3.0), number(1643.836)], ["0.00001234", "3", "1,644"]);
    }
}
