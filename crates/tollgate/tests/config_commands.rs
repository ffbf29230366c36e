//! `check`, `init` and `keys` as a user meets them: what is printed where, and the exit code.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs `tollgate` in `dir` with its data in `dir/data` and nothing else of this machine's environment.
fn tollgate(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.current_dir(dir).args(args).env_clear().env("TOLLGATE_DATA_DIR", dir.join("data"));
    command.envs(env.iter().copied()).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const KEYS: [(&str, &str); 2] =
    [("TOGETHER_API_KEY", "together-canary-0123"), ("ANTHROPIC_API_KEY", "anthropic-canary-0123")];

#[test]
fn init_writes_a_sound_config_once_and_check_agrees() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = tollgate(dir.path(), &["init"], &KEYS);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    assert!(stdout(&written).is_empty());
    let text = std::fs::read_to_string(dir.path().join("tollgate.toml")).expect("the file");
    assert!(text.contains("api_key = \"env:TOGETHER_API_KEY\"") && !text.contains("canary"), "{text}");

    let checked = tollgate(dir.path(), &["check"], &KEYS);
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
    assert!(
        stdout(&checked).contains("tollgate.toml is sound: vendors anthropic, together"),
        "{}",
        stdout(&checked)
    );
    assert!(!dir.path().join("data").exists(), "a check leaves no trace");

    let again = tollgate(dir.path(), &["init"], &KEYS);
    assert_eq!(again.status.code(), Some(3));
    assert!(stderr(&again).contains("exists and is left as it is"));
    assert_eq!(std::fs::read_to_string(dir.path().join("tollgate.toml")).expect("the file"), text);
}

#[test]
fn check_prints_every_mistake_and_exits_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "lisen = 1\n[providers.together]\napi_key = \"env:NOPE\"\n[routes.auto]\ndefault = \"x\"\nquality = 1.5\n";
    std::fs::write(dir.path().join("bad.toml"), text).expect("written");
    let checked = tollgate(dir.path(), &["check", "bad.toml"], &[]);
    assert_eq!(checked.status.code(), Some(1));
    let shown = stdout(&checked);
    for part in [
        "bad.toml:1:1: unknown key `lisen`",
        "hint: did you mean `listen`?",
        "bad.toml:3:11: `api_key`: the environment variable NOPE is not set",
        "bad.toml:5:11: `default` = \"x\" is no model of this file",
        "`quality` = 1.5 is out of range",
        "4 errors in bad.toml",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let answer = json(&tollgate(dir.path(), &["check", "bad.toml", "--json"], &[]));
    assert_eq!((answer["ok"].as_bool(), answer["errors"].as_array().map(Vec::len)), (Some(false), Some(4)));
    assert_eq!(answer["errors"][0]["line"], 1);

    let missing = tollgate(dir.path(), &["check", "none.toml"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stdout(&missing).contains("`tollgate init` writes one"), "{}", stdout(&missing));
}

#[test]
fn check_without_the_environment_and_with_warnings_as_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "[providers.together]\napi_key = \"env:SOME_KEY\"\n[keys.a]\nsecret = \"plain-text-canary-0123456\"\n";
    std::fs::write(dir.path().join("c.toml"), text).expect("written");
    let run = |args: &[&str]| tollgate(dir.path(), &[&["check", "c.toml"], args].concat(), &[]);
    assert_eq!(run(&[]).status.code(), Some(1), "SOME_KEY is not set here");
    let relaxed = run(&["--no-environment"]);
    assert_eq!(relaxed.status.code(), Some(0), "{}", stdout(&relaxed));
    assert!(stdout(&relaxed).contains("warning: c.toml:4:10: `secret` is a secret in plain text"));
    assert!(!stdout(&relaxed).contains("canary"));
    assert_eq!(run(&["--no-environment", "--deny-warnings"]).status.code(), Some(1));
}

#[test]
fn keys_are_shown_once_and_kept_as_hashes() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| tollgate(dir.path(), args, &[]);
    let created = run(&["keys", "create", "app"]);
    assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
    let secret = stdout(&created);
    let secret = secret.trim();
    assert!(
        secret.starts_with("tg_") && !stderr(&created).contains(secret),
        "the secret is data: stdout only"
    );

    let listed = run(&["keys", "list"]);
    let shown = stdout(&listed);
    assert!(
        shown.contains("app") && shown.contains(&secret[secret.len() - 4..]) && !shown.contains(secret),
        "{shown}"
    );

    let rotated = json(&run(&["keys", "rotate", "app", "--json"]));
    assert_ne!(rotated["secret"], secret);
    assert_eq!(run(&["keys", "create", "app"]).status.code(), Some(3), "the name is taken");
    assert_eq!(run(&["keys", "create", "a b"]).status.code(), Some(2), "wrong usage");
    assert_eq!(run(&["keys", "revoke", "app"]).status.code(), Some(0));
    assert_eq!(run(&["keys", "revoke", "app"]).status.code(), Some(3));
    let keys = json(&run(&["keys", "list", "--json"]));
    assert!(keys["keys"][0]["revoked_at"].is_string(), "{keys}");
}

#[test]
fn faults_28_serve_refuses_a_public_address_without_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("tollgate.toml"), "listen = \"0.0.0.0:0\"\n").expect("written");
    let served = tollgate(dir.path(), &["serve"], &KEYS);
    assert_eq!(served.status.code(), Some(3));
    assert!(
        stderr(&served).contains("is open to others, and no client key is configured"),
        "{}",
        stderr(&served)
    );
    let served = tollgate(dir.path(), &["serve", "--config", "/dev/null", "--listen", "0.0.0.0:0"], &KEYS);
    assert_eq!(served.status.code(), Some(3), "{}", stderr(&served));
}

#[test]
fn serve_without_any_key_points_to_the_demo() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = tollgate(dir.path(), &["serve"], &[]);
    assert_eq!(served.status.code(), Some(3));
    assert!(stderr(&served).contains("tollgate demo"), "{}", stderr(&served));
}
