//! The report file without a browser: one file, its own policy, every figure with its line.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod example;

use example::{SCALE_3, report};
use tollgate_web::report::page;

#[test]
fn the_file_is_whole_and_small_and_reaches_nowhere() {
    let html = page(&report(SCALE_3), "Scale 3").expect("a page");
    assert!(html.len() <= 2_000_000, "{} bytes", html.len());
    for reach in ["src=\"http", "href=\"http", "url(http", "@import", "<link"] {
        assert!(!html.contains(reach), "{reach}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(!html.contains("unsafe"), "neither unsafe-inline nor unsafe-eval");
    assert!(!html.contains(" style=\""), "the policy would block it");
}

#[test]
fn every_link_has_its_target() {
    let html = page(&report(SCALE_3), "Scale 3").expect("a page");
    let targets: Vec<&str> =
        html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() > 20, "{}", targets.len());
    for target in targets {
        assert!(html.contains(&format!("id=\"{target}\"")), "#{target}");
    }
}

#[test]
fn every_line_stands_with_formula_source_and_basis() {
    let report = report(SCALE_3);
    let html = page(&report, "Scale 3").expect("a page");
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    for line in report.stacks.iter().flat_map(|stack| &stack.lines) {
        for part in [&line.label, &line.how, &line.source] {
            assert!(html.contains(&escaped(part)), "{part}");
        }
    }
}

#[test]
fn a_name_cannot_break_out() {
    let scenario = SCALE_3.replace("[stacks.gpt]", "[stacks.\"</script><script>alert(1)</script>\"]");
    let html = page(&report(&scenario), "</title><script>alert(2)</script>").expect("a page");
    assert!(!html.contains("<script>alert"), "names are text");
}
