//! The source article's three scales, from the files that ship.

#![expect(
    clippy::float_cmp,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test; sums of cents, rounded to cents"
)]

use tollgate_tco::capacity::Points;
use tollgate_tco::{Market, Options, PriceList, Report, Scenario, decide};

fn text(n: u32) -> String {
    let path = format!("{}/../../examples/article/scale-{n}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the example is there")
}

fn report(n: u32, list: PriceList, risk: bool) -> Report {
    let mut value = tollgate_tco::toml_value(&text(n)).expect("TOML");
    value["prices"] = list.as_str().into();
    let mut scenario = Scenario::from_json(&value).unwrap_or_else(|problems| panic!("{problems:#?}"));
    if risk {
        scenario = scenario.with_default_risk();
    }
    let catalogue = catalog::Catalogue::builtin();
    let points = Points::default();
    let at = "2026-11-24T12:00:00Z".parse().expect("a time");
    let market = Market { catalogue: &catalogue, at, points: &points };
    decide(&scenario, &market, &Options::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn cost(report: &Report, stack: &str) -> f64 {
    let found = report.stacks.iter().find(|found| found.name == stack).expect("the stack");
    found.monthly_usd.expect("a cost").point.value()
}

#[test]
fn the_articles_prices_give_the_recomputed_column() {
    // Audit F1 to F5 and H2, per 100M tokens.
    let small = report(1, PriceList::Article, false);
    let costs = ["gpt", "claude", "serverless", "hybrid", "second-pass"].map(|stack| cost(&small, stack));
    assert_eq!(costs, [1_760.0, 3_300.0, 56.0, 704.8, 756.0]);
    // F9: 40 % off at the third scale.
    let large = report(3, PriceList::Article, false);
    assert_eq!(cost(&large, "gpt"), 528_000.0);
}

#[test]
fn the_catalogues_prices_give_section_j() {
    let small = report(1, PriceList::Catalogue, false);
    let costs = ["gpt", "claude", "serverless", "hybrid"].map(|stack| cost(&small, stack));
    assert_eq!(costs, [750.0, 1_300.0, 88.0, 330.4]);
}

#[test]
fn lines_sum_to_the_point_and_every_figure_has_its_source() {
    for n in 1..=3 {
        for list in [PriceList::Article, PriceList::Catalogue] {
            let report = report(n, list, true);
            for stack in &report.stacks {
                let sum: f64 = stack.lines.iter().map(|line| line.usd.0).sum();
                assert!((sum - stack.monthly_usd.unwrap().point.0).abs() < 1e-6, "{}", stack.name);
                for line in &stack.lines {
                    assert!(!line.how.is_empty() && !line.source.is_empty(), "{line:?}");
                }
            }
        }
    }
}
