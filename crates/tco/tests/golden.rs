//! The three scales as JSON, line by line: any change of a figure shows here. `UPDATE_GOLDEN=1 cargo nextest run -p tollgate-tco
//! --test golden` writes them anew.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::path::PathBuf;

use serde_json::Value;
use tollgate_tco::capacity::Points;
use tollgate_tco::{Market, Options, Scenario, decide};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the market says changes with the catalogue's snapshots and the calibration; the golden files are of prices that do
/// not move (the article's) and of a stated capacity.
fn report(n: u32) -> Value {
    let text =
        std::fs::read_to_string(file(&format!("../../examples/article/scale-{n}.toml"))).expect("readable");
    let mut tree = tollgate_tco::toml_value(&text).expect("TOML");
    tree["prices"] = "article".into();
    // The capacity at 70 % utilisation that the article's prices imply (audit A1).
    tree["stacks"]["own"]["output_tok_s"] = 4_762.into();
    tree["stacks"]["own"]["max_utilisation"] = Value::from(0.7);
    let scenario = Scenario::from_json(&tree).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let scenario = scenario.with_default_risk();
    let (catalogue, points) = (catalog::Catalogue::builtin(), Points::default());
    let at = "2026-11-24T12:00:00Z".parse().expect("a time");
    let market = Market { catalogue: &catalogue, at, points: &points };
    let options = Options { seed: Some(1), draws: Some(2_000) };
    let report = decide(&scenario, &market, &options).unwrap_or_else(|problems| panic!("{problems:#?}"));
    serde_json::to_value(&report).expect("JSON")
}

#[test]
fn the_three_scales_are_those_of_the_files() {
    for n in 1..=3 {
        let path = file(&format!("tests/golden/scale-{n}.json"));
        let now = format!("{}\n", serde_json::to_string_pretty(&report(n)).expect("JSON"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).expect("writable");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = golden.lines().zip(now.lines()).position(|(a, b)| a != b);
        let line = differs.map_or(golden.lines().count().min(now.lines().count()), |at| at);
        let at = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
        assert!(golden == now, "scale {n}, line {}: {} became {}", line + 1, at(&golden), at(&now));
    }
}

#[test]
fn the_shape_is_that_of_the_interface() {
    let report = report(2);
    for key in ["stacks", "winner", "break_even", "warnings"] {
        assert!(report.get(key).is_some(), "{key}");
    }
    for stack in report["stacks"].as_array().expect("a list") {
        for key in ["name", "kind", "monthly_usd", "usd_per_million_output", "lines", "feasible", "why"] {
            assert!(stack.get(key).is_some(), "{key} in {stack}");
        }
        for key in ["mean", "p10", "p50", "p90"] {
            assert!(stack["monthly_usd"][key].is_number(), "{key}");
        }
        for line in stack["lines"].as_array().expect("a list") {
            for key in ["label", "usd", "how", "source", "as_of", "basis"] {
                assert!(line.get(key).is_some(), "{key} in {line}");
            }
            let basis = line["basis"].as_str().expect("a word");
            assert!(["measured", "modelled", "assumed", "list"].contains(&basis), "{basis}");
        }
    }
    for key in ["name", "probability", "margin_usd"] {
        assert!(report["winner"].get(key).is_some(), "{key}");
    }
    for edge in report["break_even"].as_array().expect("a list") {
        for key in
            ["stack", "against", "output_tokens_per_day", "v_min", "first_win", "last_loss", "none_because"]
        {
            assert!(edge.get(key).is_some(), "{key} in {edge}");
        }
    }
}
