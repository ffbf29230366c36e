//! The report file in Chromium, network off: it draws, moves, leads to its lines, and reaches nowhere.
//!
//! Screenshots of desktop and phone, light and dark, stay in `target/tmp/report` to be looked at.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod example;

use std::path::Path;
use std::process::Command;

use example::{SCALE_3, report};
use serde_json::{Value, json};

/// What `tests/clients/node/report.mjs` saw.
fn driven() -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("report.html");
    let page = tollgate_web::report::page(&report(SCALE_3), "Scale 3").expect("a page");
    std::fs::write(&file, page).expect("written");
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/node");
    assert!(client.join("node_modules").exists(), "run `.ci/tools clients` first");
    let output = Command::new("node")
        .arg("report.mjs")
        .args([&file, &folder])
        .current_dir(client)
        .output()
        .expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn chromium_shows_the_report_without_a_network() {
    let seen = driven();
    let none = json!([]);
    assert_eq!(seen["console"], none, "nothing complains");
    assert_eq!(seen["reached"], none, "nothing is fetched");
    for scheme in ["axeLight", "axeDark", "axePhone"] {
        assert_eq!(seen[scheme], none, "axe finds nothing serious: {scheme}");
    }
    let charts = seen["charts"].as_array().expect("charts");
    for kind in ["chart-curve", "chart-money", "chart-tornado", "chart-chances", "chart-teeth-0"] {
        let drawn = charts.iter().find(|chart| chart[0] == kind).expect(kind);
        assert!(drawn[1].as_u64() > Some(0), "{kind} is drawn");
    }
    assert_eq!(seen["legend"], true, "the legend stands beside the curves, not on them");
    let slider = &seen["slider"];
    assert_ne!(slider["before"]["says"], slider["after"]["says"], "the slider moves what is said");
    assert!(slider["after"]["at"].as_f64() > slider["before"]["at"].as_f64(), "and the cursor: {slider}");
    assert!(seen["hover"].as_str().expect("text").contains("own: $"), "{}", seen["hover"]);
    assert_eq!(seen["target"]["hash"], "#bill-serverless", "a figure leads to its bill");
    assert!(seen["target"]["lines"].as_u64() > Some(1), "{}", seen["target"]);
    assert_eq!(seen["policy"]["foreign"], false, "a foreign script does not run");
    assert_eq!(seen["policy"]["blocked"], json!(["script-src-elem", "img-src"]));
    assert_eq!(seen["overflow"], 0, "a phone scrolls down only");
    assert!(seen["withoutScript"].as_u64() > Some(100), "the tables need no script");
}
