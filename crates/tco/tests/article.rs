//! The source article as a whole: each claim with what follows from its inputs, and the verdict that follows from that.

#![expect(clippy::expect_used, reason = "a helper of tests")]

use tollgate_tco::audit::{Claims, Judged, Verdict};

const ARTICLE: &str = include_str!("../../../examples/article-2026-05.toml");

fn judged(text: &str) -> Vec<Judged> {
    Claims::read(text).and_then(|claims| claims.audit()).expect("a sound file")
}

fn verdict(text: &str, id: &str) -> Option<Verdict> {
    judged(text).into_iter().find(|claim| claim.id == id).and_then(|claim| claim.verdict)
}

#[test]
fn every_claim_with_its_recomputed_figure_and_verdict() {
    let found = judged(ARTICLE);
    for (claim, (id, recomputed, verdict)) in found.iter().zip(TABLE) {
        assert_eq!(claim.id, *id);
        assert_eq!(claim.recomputed, *recomputed, "{id}");
        assert_eq!(claim.verdict.map_or("", Verdict::label), *verdict, "{id}");
    }
    assert_eq!(found.len(), TABLE.len());
}

#[test]
fn no_verdict_stands_in_the_file() {
    assert!(!ARTICLE.lines().any(|line| line.trim_start().starts_with("verdict")));
}

#[test]
fn one_changed_input_changes_the_verdicts_that_rest_on_it() {
    let changed = |from: &str, to: &str| {
        assert_eq!(ARTICLE.matches(from).count(), 1, "{from}");
        ARTICLE.replace(from, to)
    };
    // A cheaper reservation turns the raw comparison of 25M tokens a day round.
    let cheap = changed("\nR_res = 2.80 ", "\nR_res = 0.90 ");
    assert_eq!(verdict(ARTICLE, "B6"), Some(Verdict::Reversed));
    assert_eq!(verdict(&cheap, "B6"), Some(Verdict::Ok));
    // With less overhead, a billion tokens a day can be the break-even.
    let light = changed("\nengineer = 220_000 ", "\nengineer = 150_000 ");
    assert_eq!(verdict(ARTICLE, "D12"), Some(Verdict::Infeasible));
    assert_eq!(verdict(&light, "D12"), Some(Verdict::Ok));
    // The printed hybrid follows when 8 % of the tokens escalate.
    let share = changed("\nshare = 0.20 ", "\nshare = 0.08 ");
    assert_eq!(verdict(ARTICLE, "F5"), Some(Verdict::Wrong));
    assert_eq!(verdict(&share, "F5"), Some(Verdict::Rounded));
}

/// Id, recomputed, verdict ("" is a finding).
const TABLE: &[(&str, &str, &str)] = &[
    ("A1", "capacity_tok_s = 4,761.9 tok/s", "hidden input"),
    ("A2", "$0.2333/M", "ok"),
    ("A3", "$1.167/M", "rounded"),
    ("A4", "115.7 tok/s", "contradicts"),
    ("A5", "578.7 tok/s", "contradicts"),
    ("A6", "578.7 tok/s", "contradicts"),
    ("A7", "4,133.6 tok/s", "contradicts"),
    ("A8", "4,110.1 tok/s", ""),
    ("A9", "70.71 tok/s", "contradicts"),
    ("A10", "39.77 % / 18.56 %", "wrong"),
    ("A11", "at least $1.344/M against $0.88/M", "infeasible"),
    ("A12", "$0.50 / $1.199", "ok"),
    ("B1", "$0.88 / $8.80 / $22 / $44 / $88 / $440", "ok"),
    ("B2", "$144", "ok"),
    ("B3", "$67.20 / $134.40 / $672", "rounded"),
    ("B4", "serverless 76.36× / 163.6×", "rounded"),
    ("B5", "serverless 7.636× / 16.36×", "ok"),
    ("B6", "serverless 3.055×", "reversed"),
    ("B7", "serverless 1.527×", "reversed"),
    ("B8", "serverless 1.527×", "reversed"),
    ("B9", "serverless 1.527×", "reversed"),
    ("B10", "76.36M/day", "wrong"),
    ("B11", "163.6M/day", "wrong"),
    ("C1", "$380k", "ok"),
    ("C2", "$1,041.10", "ok"),
    ("C3", "$66k", "ok"),
    ("C4", "$16.92k", "wrong"),
    ("C5", "$380k", "contradicts"),
    ("D1", "serverless 125.9×", "ok"),
    ("D2", "serverless 50.36×", "ok"),
    ("D3", "serverless 25.18×", "ok"),
    ("D4", "serverless 13.35×", "ok"),
    ("D5", "serverless 6.255×", "ok"),
    ("D6", "serverless 3.889×", "ok"),
    ("D7", "$537.60", "contradicts"),
    ("D8", "serverless 1.794×", "reversed"),
    ("D9", "$1,075.20", "contradicts"),
    ("D10", "self-hosted 1.04×", "wrong"),
    ("D11", "at most 5.388×", "infeasible"),
    ("D12", "at least 1,183.1M/day", "infeasible"),
    ("E1", "36.36×", "rounded"),
    ("E2", "35.56× / 36.36× / 40.51×", "wrong"),
    ("E3", "83.33× / 85.23× / 94.94×", "wrong"),
    ("E4", "26.67× / 64×", "contradicts"),
    ("E5", "7 rows", "ok"),
    ("E6", "44–90 %", "hidden input"),
    ("E7", "-65.8 % a year", ""),
    ("E8", "$73,584", "contradicts"),
    ("E9", "$1.40", "contradicts"),
    ("E10", "$3 / $24", "ok"),
    ("F1", "gpt_input_price = $8/M", "hidden input"),
    ("F2", "claude_input_price = $5/M", "hidden input"),
    ("F3", "serverless_input_price = $0.3467/M", "hidden input"),
    ("F4", "31.43×", "ok"),
    ("F5", "$704.80 / $35,240", "wrong"),
    ("F6", "$11/M", "contradicts"),
    ("F7", "$2,016", "rounded"),
    ("F8", "631.1×", "wrong"),
    ("F9", "$528,000", "ok"),
    ("F10", "$220,400", "wrong"),
    ("F11", "$253,333 / $363,333", "ok"),
    ("F12", "serverless 9.048×", "reversed"),
    ("F13", "serverless 5.514×", "reversed"),
    ("F14", "82.39 % / 90.64 %", "contradicts"),
    ("F15", "75B", "contradicts"),
    ("F16", "8.036 %", "contradicts"),
    ("F17", "4.783B", "wrong"),
    ("G1", "at most 24.55 %", "infeasible"),
    ("G2", "25.5 % / 32.2 %", "wrong"),
    ("G3", "6.7 points", "contradicts"),
    ("G4", "0.7194 %", ""),
    ("G5", "11.5 % / 19.16 %", ""),
    ("G6", "1.4×", "contradicts"),
    ("G7", "1", "contradicts"),
    ("G8", "at least 800 GB", "infeasible"),
    ("G9", "0 FP8 TFLOPS", ""),
    ("H2", "$756", ""),
    ("H4", "$1,124.80", ""),
];
