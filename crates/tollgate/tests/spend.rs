//! `tollgate spend` and `tollgate requests` as a user runs them, on a ledger without a server.
#![expect(clippy::unwrap_used, reason = "helpers of tests are test code")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use catalog::{Basis, Bucket, Cost, Money, PriceLine, Usage};
use jiff::Timestamp;
use ledger::{
    AttemptClose, CostBasis, Intent, Ledger, Options, Outcome, RequestClose, RequestId, RequestOpen, Saving,
};

fn tollgate(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(args)
        .arg("--data-dir")
        .arg(dir)
        .env_remove("TOLLGATE_CONFIG")
        .current_dir(dir)
        .output()
        .unwrap()
}

fn stdout(dir: &Path, args: &[&str]) -> String {
    let output = tollgate(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Two requests on the route `auto`: one answered by the cheap model, one turned down there and answered by the flagship.
fn filled(dir: &Path) {
    let (ledger, _) = Ledger::open(dir, Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        request(&ledger, 1, &[("sim-north", "small", Outcome::Ok)]).await;
        request(
            &ledger,
            2,
            &[("sim-north", "small", Outcome::Rejected), ("sim-flagship", "big", Outcome::Ok)],
        )
        .await;
    });
    ledger.close().unwrap();
}

async fn request(ledger: &Ledger, n: u64, attempts: &[(&str, &str, Outcome)]) {
    let ms = 1_772_366_400_000 + n;
    let started_at = Timestamp::from_millisecond(ms.cast_signed()).unwrap();
    let open = Arc::new(RequestOpen {
        id: RequestId::from_parts(ms, u128::from(n) << 8),
        client_request_id: Some(format!("client-{n}")),
        started_at,
        key: None,
        route: Some("auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat",
        stream: false,
        tags: vec![("team".to_owned(), "search".to_owned())],
        session: 0,
        config_version: 1,
    });
    let mut spent = Money::ZERO;
    for (seq, (provider, model, outcome)) in (0_u16..).zip(attempts) {
        let id = RequestId::from_parts(ms, (u128::from(n) << 8) + 1 + u128::from(seq));
        let usage = Usage { input: 1000, output: 100, basis: Basis::Reported, ..Usage::default() };
        let rate = if *provider == "sim-flagship" { 5_000_000 } else { 200_000 };
        let lines = vec![
            PriceLine { bucket: Bucket::Input, units: 1000, pico_per_unit: rate },
            PriceLine { bucket: Bucket::Output, units: 100, pico_per_unit: rate * 4 },
        ];
        let intent = Intent {
            id,
            request: Arc::clone(&open),
            seq,
            provider: (*provider).to_owned(),
            model: (*model).to_owned(),
            upstream_key: 0,
            started_at,
            estimate: usage,
            estimated_cost: None,
            catalogue_version: "test".to_owned(),
        };
        ledger.intent(intent).await.unwrap();
        let cost = Cost::Known(lines);
        spent += cost.total().unwrap();
        ledger.close_attempt(AttemptClose {
            id,
            request: open.id,
            outcome: *outcome,
            status: Some(200),
            error: None,
            excerpt: None,
            ttft_us: Some(1000),
            duration_us: 2000,
            usage,
            cost,
            cost_basis: CostBasis::Reported,
            vendor_cost: None,
            served_model: None,
            finish: Some("stop"),
        });
    }
    let (provider, model, _) = attempts.last().unwrap();
    let baseline_cost = Money::parse_usd("0.007").unwrap();
    ledger.close_request(RequestClose {
        open,
        status: 200,
        reason: if attempts.len() > 1 { "check:refusal".to_owned() } else { "default".to_owned() },
        provider: Some((*provider).to_owned()),
        model: Some((*model).to_owned()),
        duration_us: 5000,
        ttft_us: Some(1500),
        attempts: u16::try_from(attempts.len()).unwrap(),
        saving: Some(Saving {
            baseline_target: "sim-flagship/big".to_owned(),
            baseline_cost,
            amount: baseline_cost - spent,
        }),
        decision: r#"{"reason":"default"}"#.to_owned(),
    });
}

#[test]
fn spend_adds_up_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    // 2 × $0.00028 at sim-north, $0.007 at the flagship.
    let table = stdout(dir.path(), &["spend", "--by", "route,model"]);
    let total = table.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(total, ["total", "2", "3", "1", "0", "3000", "0.0%", "300", "0.007560", "0.006440"]);
    assert!(!table.contains('\x1b'), "no colour into a pipe");

    let json: serde_json::Value =
        serde_json::from_str(&stdout(dir.path(), &["spend", "--json", "--by", "target"])).unwrap();
    assert_eq!(json["total"]["cost_usd"], "0.00756");
    assert_eq!(json["rows"][0]["target"], "sim-flagship/big");
    assert_eq!(json["rows"][0]["cost_usd"], "0.007");

    let csv = stdout(dir.path(), &["spend", "--by", "tag:team", "--format", "csv"]);
    assert!(csv.starts_with("tag:team,requests,"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().starts_with("search,2,0,3,1,"), "{csv}");

    let focus = tollgate(dir.path(), &["spend", "--format", "focus"]);
    let lines = String::from_utf8(focus.stdout).unwrap();
    assert_eq!(lines.lines().count(), 1 + 6);
    assert_eq!(String::from_utf8(focus.stderr).unwrap(), "6 rows, $0.00756\n", "notes go to stderr");
}

#[test]
fn filters_and_periods_narrow_it_down() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let requests = |args: &[&str]| {
        let all = [&["spend", "--json"], args].concat();
        let json: serde_json::Value = serde_json::from_str(&stdout(dir.path(), &all)).unwrap();
        json["total"]["requests"].as_u64().unwrap()
    };
    assert_eq!(requests(&["--where", "reason=check"]), 1);
    assert_eq!(requests(&["--where", "route="]), 0);
    assert_eq!(requests(&["--since", "2026-03-01", "--until", "2026-03-02"]), 2);
    assert_eq!(requests(&["--since", "2026-03-02"]), 0);
    assert_eq!(requests(&["--since", "2026-03-01T12:00:00.002Z"]), 1);
}

#[test]
fn requests_are_listed_and_one_is_told_whole() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let list = stdout(dir.path(), &["requests"]);
    let newest = list.lines().nth(1).unwrap();
    assert!(newest.contains("sim-flagship/big") && newest.contains("check:refusal"), "{list}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(dir.path(), &["requests", "--json", "--limit", "1"])).unwrap();
    assert_eq!(json["requests"].as_array().unwrap().len(), 1);
    let id = json["next"].as_str().unwrap();

    let told = stdout(dir.path(), &["requests", id]);
    for part in [
        "check:refusal",
        "rejected",
        "1000 × $5.00 per million = $0.005",
        "sim-flagship/big at $0.007",
        "decision",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_eq!(stdout(dir.path(), &["requests", "client-2"]), told, "the client's own id finds it too");
    let next: serde_json::Value =
        serde_json::from_str(&stdout(dir.path(), &["requests", "--json", "--before", id])).unwrap();
    assert_eq!(next["requests"][0]["client_request_id"], "client-1");
}

#[test]
fn what_cannot_be_done_says_why_and_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let output = tollgate(dir.path(), args);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(&["spend"]);
    assert_eq!(code, 3);
    assert!(text.contains("there is no ledger in") && text.contains("hint: "), "{text}");
    for wrong in [
        &["spend", "--by", "colour"][..],
        &["spend", "--where", "colour=red"],
        &["spend", "--tz", "Mars/Base"],
    ] {
        let (code, text) = said(wrong);
        assert_eq!(code, 2, "{wrong:?}: {text}");
    }
    filled(dir.path());
    let (code, text) = said(&["requests", "nobody"]);
    assert!(code == 3 && text.contains("no request has the id `nobody`"), "{text}");
}
