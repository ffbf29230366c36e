//! `tollgate tco audit` from the outside.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

fn audit(args: &[&str]) -> Output {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .current_dir(examples)
        .args(["tco", "audit"])
        .args(args)
        .env_clear()
        .output()
        .expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn the_article_fails_with_every_claim_on_a_page() {
    for args in [&["article-2026-05.toml"][..], &["article-2026-05.toml", "--readings"]] {
        let output = audit(args);
        assert_eq!(output.status.code(), Some(1), "claims fail");
        let text = stdout(&output);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for id in ["A1", "A12", "B11", "C5", "D12", "E10", "F17", "G9", "H4"] {
            assert!(
                text.lines().any(|line| line.trim_start().starts_with(&format!("{id} "))),
                "{id} in\n{text}"
            );
        }
        assert!(text.trim_end().ends_with("fail"), "{text}");
    }
}

#[test]
fn json_holds_stated_recomputed_verdict_and_reading() {
    let output = audit(&["article-2026-05.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let claims = answer["claims"].as_array().expect("claims");
    let find = |id: &str| claims.iter().find(|claim| claim["id"] == id).expect("listed");
    let claim = find("B6");
    assert_eq!((&claim["stated"], &claim["verdict"]), (&"self-hosted".into(), &"reversed".into()));
    assert_eq!(claim["recomputed"], "serverless 3.055×");
    assert!(claim["reading"].as_str().expect("text").contains("on demand: 6.545×"));
    assert_eq!(find("A8")["verdict"], serde_json::Value::Null, "a finding");
    assert_eq!(find("F1")["verdict"], "hidden_input");
}

#[test]
fn sound_claims_exit_0_and_what_cannot_be_read_3() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("claims.toml");
    let run = |text: &str| {
        std::fs::write(&file, text).expect("written");
        audit(&[file.to_str().expect("text")])
    };
    let claim = "[[claim]]\nid = 'A'\nquote = 'q'\nkind = 'value'\nstated = 2\nformula = '1 + 1'\n";
    let sound = run(claim);
    assert_eq!(sound.status.code(), Some(0));
    assert!(stdout(&sound).contains("1 ok\n1 claim, 0 fail"), "{}", stdout(&sound));
    let broken =
        run("[[claim]]\nid = 'A'\nquote = 'q'\nkind = 'value'\nstated = 2\nformula = '1 +'\nneds = []\n");
    assert_eq!(broken.status.code(), Some(3));
    let told = String::from_utf8(broken.stderr).expect("text");
    for part in ["claims.toml:6:15: the formula ends", "claims.toml:7:1: unknown key `neds`", "2 errors in"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(audit(&["no-such-file.toml"]).status.code(), Some(3));
    assert_eq!(audit(&[]).status.code(), Some(2));
}
