//! The report as Markdown and CSV.

use std::fmt::Write as _;

use tco::report::{Grid, Report};

use super::table::{tokens, usd};

/// One row a line of a bill.
pub fn csv(report: &Report) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "stack",
        "kind",
        "feasible",
        "label",
        "usd_per_month",
        "group",
        "how",
        "source",
        "as_of",
        "basis",
    ])?;
    for stack in &report.stacks {
        let feasible = stack.feasible.to_string();
        if stack.lines.is_empty() {
            writer.write_record([&stack.name, stack.kind, &feasible, "", "", "", &stack.why, "", "", ""])?;
        }
        for line in &stack.lines {
            let basis = format!("{:?}", line.basis).to_lowercase();
            writer.write_record([
                stack.name.as_str(),
                stack.kind,
                &feasible,
                &line.label,
                &format!("{:.2}", line.usd.value()),
                line.group.as_str(),
                &line.how,
                &line.source,
                line.as_of.as_deref().unwrap_or_default(),
                &basis,
            ])?;
        }
    }
    Ok(String::from_utf8_lossy(&writer.into_inner()?).into_owned())
}

/// One row a cell.
pub fn grid_csv(grid: &Grid) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([&grid.x, &grid.y, "winner", "margin_usd_per_month"])?;
    for ((y, winners), margins) in grid.ys.iter().zip(&grid.winner).zip(&grid.margin_usd) {
        for ((x, winner), margin) in grid.xs.iter().zip(winners).zip(margins) {
            let name = winner.and_then(|at| grid.stacks.get(at)).map(String::as_str).unwrap_or_default();
            let margin = if margin.0.is_finite() { format!("{:.2}", margin.value()) } else { String::new() };
            writer.write_record([&x.value().to_string(), &y.value().to_string(), name, &margin])?;
        }
    }
    Ok(String::from_utf8_lossy(&writer.into_inner()?).into_owned())
}

/// One row a question.
pub fn checklist_csv(questions: &[tco::Question]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["number", "question", "answer", "figure", "key"])?;
    for question in questions {
        let answer = format!("{:?}", question.answer).to_lowercase();
        writer.write_record([
            &question.number.to_string(),
            question.question,
            &answer,
            &question.figure,
            question.key,
        ])?;
    }
    Ok(String::from_utf8_lossy(&writer.into_inner()?).into_owned())
}

/// For a page or a ticket.
pub fn markdown(report: &Report) -> String {
    let mut out = String::from("# Cost of ownership\n\n");
    let work = &report.workload;
    let _ = writeln!(
        out,
        "{} tokens a month ({} input and {} output tokens a day), {} requests a day, peak {} × mean; {} prices of {}.\n",
        tokens(work.total_tokens_per_month.0),
        tokens(work.input_tokens_per_day.0),
        tokens(work.output_tokens_per_day.0),
        work.requests_per_day.value(),
        work.peak_to_mean.value(),
        report.prices.kind,
        report.prices.at
    );
    stacks(report, &mut out);
    if let Some(name) = &report.winner.name {
        let margin =
            report.winner.margin_usd.map(|usd_| format!(" by ${} a month", usd(usd_.0))).unwrap_or_default();
        let chance =
            report.winner.probability.map(|p| format!(", the cheapest in {:.1} % of draws", p.0 * 100.0));
        let _ = writeln!(out, "\n**{name}** wins{margin}{}.\n", chance.unwrap_or_default());
    }
    edges(report, &mut out);
    bills(report, &mut out);
    if !report.warnings.is_empty() {
        out.push_str("## Notes\n\n");
        for warning in &report.warnings {
            let _ = writeln!(out, "- {}", cell(warning));
        }
    }
    out
}

fn stacks(report: &Report, out: &mut String) {
    out.push_str("| stack | kind | $/month | p10 | p90 | P(cheapest) | $/M output tokens | |\n|---|---|--:|--:|--:|--:|--:|---|\n");
    for stack in &report.stacks {
        let cost = stack.monthly_usd.as_ref();
        let of = |value: Option<f64>| value.map_or("–".to_owned(), usd);
        let why = if stack.feasible { String::new() } else { cell(&stack.why) };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {why} |",
            cell(&stack.name),
            stack.kind,
            of(cost.map(|cost| cost.point.0)),
            of(cost.map(|cost| cost.p10.0)),
            of(cost.map(|cost| cost.p90.0)),
            stack.probability_cheapest.map_or("–".to_owned(), |p| format!("{:.1} %", p.0 * 100.0)),
            of(stack.usd_per_million_output.map(|unit| unit.0)),
        );
    }
}

fn edges(report: &Report, out: &mut String) {
    if report.break_even.is_empty() {
        return;
    }
    out.push_str("## Break-even, output tokens a day\n\n");
    out.push_str(
        "| stack | against | V_min | divisible | first win | last loss | |\n|---|---|--:|--:|--:|--:|---|\n",
    );
    for edge in &report.break_even {
        let of = |count: Option<tco::report::Count>| count.map_or("none".to_owned(), |count| tokens(count.0));
        let because = edge.none_because.as_ref().unwrap_or(&edge.now_because);
        let alike = edge.like_for_like.as_ref().map(|alike| format!("{alike}; ")).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell(&edge.stack),
            cell(&edge.against),
            of(edge.v_min),
            of(edge.output_tokens_per_day),
            of(edge.first_win),
            of(edge.last_loss),
            cell(&format!("{alike}{because}"))
        );
    }
    out.push('\n');
}

fn bills(report: &Report, out: &mut String) {
    for stack in report.stacks.iter().filter(|stack| !stack.lines.is_empty()) {
        let _ = writeln!(
            out,
            "## {}\n\n| line | $/month | how | source | basis |\n|---|--:|---|---|---|",
            cell(&stack.name)
        );
        for line in &stack.lines {
            let dated = line.as_of.as_ref().map(|day| format!(", {day}")).unwrap_or_default();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {}{dated} | {} |",
                cell(&line.label),
                usd(line.usd.0),
                cell(&line.how),
                cell(&line.source),
                format!("{:?}", line.basis).to_lowercase()
            );
        }
        out.push('\n');
    }
}

/// A bar would end the cell, a line break the row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
