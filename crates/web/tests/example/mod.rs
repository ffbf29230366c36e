//! A report to show: the article's third scale, with all its risks.

use catalog::Catalogue;
use tco::capacity::Points;
use tco::{Market, Options, Report, Scenario};

pub const SCALE_3: &str = include_str!("../../../../examples/article/scale-3.toml");

/// At a fixed time, so that every run draws the same.
pub fn report(scenario: &str) -> Report {
    let scenario = Scenario::from_toml(scenario).expect("a sound scenario").with_default_risk();
    let (catalogue, points) = (Catalogue::builtin(), Points::default());
    let at = "2026-11-24T00:00:00Z".parse().expect("a time");
    let market = Market { catalogue: &catalogue, at, points: &points };
    tco::decide(&scenario, &market, &Options { seed: Some(1), draws: Some(500) }).expect("a report")
}
