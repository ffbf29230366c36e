//! The bills as a FOCUS file: one row a line of a bill, in the 21 mandatory columns of version 1.2 and `x_` ones.
//!
//! `spend --format focus` exports what was billed; these rows are a forecast. So each says in `x_Basis` what it rests
//! on and in `x_Stack` which alternative it belongs to: stacks are alternatives, and one stack's rows are its bill.

use jiff::ToSpan as _;
use jiff::civil::Date;
use tco::Report;
use tco::report::{Group, Line, StackReport};

/// One row.
struct Row<'a> {
    stack: &'a StackReport,
    line: &'a Line,
    month: (&'a str, &'a str),
}

/// A column's name, and the cell of a row in it.
type Column = (&'static str, fn(&Row<'_>) -> String);

const COLUMNS: [Column; 35] = [
    ("BilledCost", |r| r.usd()),
    ("BillingAccountId", |r| text(&r.stack.name)),
    ("BillingAccountName", |r| text(&r.stack.name)),
    ("BillingCurrency", |_| "USD".to_owned()),
    ("BillingPeriodEnd", |r| r.month.1.to_owned()),
    ("BillingPeriodStart", |r| r.month.0.to_owned()),
    ("ChargeCategory", |r| if r.line.group == Group::Terms { "Adjustment" } else { "Usage" }.to_owned()),
    ("ChargeClass", |_| String::new()),
    ("ChargeDescription", |r| text(&r.line.label)),
    ("ChargePeriodEnd", |r| r.month.1.to_owned()),
    ("ChargePeriodStart", |r| r.month.0.to_owned()),
    ("ConsumedQuantity", |_| "1".to_owned()),
    ("ConsumedUnit", |_| "Months".to_owned()),
    ("ContractedCost", |r| r.usd()),
    ("EffectiveCost", |r| r.usd()),
    ("InvoiceIssuerName", |r| r.provider()),
    ("ListCost", |r| r.usd()),
    ("PricingQuantity", |_| "1".to_owned()),
    ("PricingUnit", |_| "Months".to_owned()),
    ("ProviderName", |r| r.provider()),
    ("PublisherName", |r| r.provider()),
    ("ServiceCategory", |r| r.service().0.to_owned()),
    ("ServiceName", |r| text(&r.stack.what)),
    ("ServiceSubcategory", |r| r.service().1.to_owned()),
    ("SkuMeter", |r| text(&r.line.label)),
    ("Tags", |_| "{}".to_owned()),
    ("x_AsOf", |r| r.line.as_of.clone().unwrap_or_default()),
    ("x_Basis", |r| format!("{:?}", r.line.basis).to_lowercase()),
    ("x_CostGroup", |r| r.line.group.as_str().to_owned()),
    ("x_Feasible", |r| r.stack.feasible.to_string()),
    ("x_Forecast", |_| "true".to_owned()),
    ("x_How", |r| text(&r.line.how)),
    ("x_Source", |r| text(&r.line.source)),
    ("x_Stack", |r| text(&r.stack.name)),
    ("x_StackKind", |r| r.stack.kind.to_owned()),
];

/// Names come from the scenario: no spreadsheet may take one for a formula.
fn text(cell: &str) -> String {
    ledger::text_cell(cell).into_owned()
}

impl Row<'_> {
    fn usd(&self) -> String {
        format!("{:.2}", self.line.usd.value())
    }

    /// Who is paid: the vendor of a model, else the house itself.
    fn provider(&self) -> String {
        match self.stack.what.split_once('/') {
            Some((provider, _)) if matches!(self.stack.kind, "closed" | "serverless") => text(provider),
            _ => self.stack.kind.to_owned(),
        }
    }

    fn service(&self) -> (&'static str, &'static str) {
        match self.line.group {
            Group::Gpus | Group::Reserve => ("Compute", "Other (Compute)"),
            Group::Input | Group::Output | Group::Terms | Group::Routing => {
                ("AI and Machine Learning", "Generative AI")
            }
            Group::Running | Group::Moving | Group::Overhead | Group::Human | Group::Events => {
                ("Other", "Other (Other)")
            }
        }
    }
}

/// The rows of every stack that has a bill, as charges of the calendar month that `day` lies in. Errors when the file
/// cannot be made.
pub fn focus(report: &Report, day: Date) -> anyhow::Result<String> {
    let first = day.first_of_month();
    let next = first.checked_add(1.month())?;
    let (first, next) = (format!("{first}T00:00:00Z"), format!("{next}T00:00:00Z"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, _)| name))?;
    for stack in &report.stacks {
        for line in &stack.lines {
            let row = Row { stack, line, month: (&first, &next) };
            writer.write_record(COLUMNS.map(|(_, cell)| cell(&row)))?;
        }
    }
    Ok(String::from_utf8_lossy(&writer.into_inner()?).into_owned())
}
