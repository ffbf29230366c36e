//! Files for other programs: every total is the ledger's, and no cell is a formula.

use catalog::Money;
use tollgate_ledger::{
    By, FocusQuery, FocusVersion, Ledger, Options, Outcome, Reader, RequestOpen, SpendQuery, focus_columns,
    spend_csv,
};

use crate::sample::{self, block_on};

/// The 21 mandatory columns of FOCUS 1.2.
const MANDATORY: [&str; 21] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
];

fn filled() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    for n in 0..30 {
        sample::whole_request(&ledger, n);
    }
    ledger.flush().unwrap();
    (dir, ledger)
}

fn table(bytes: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut csv = csv::Reader::from_reader(bytes);
    let strings = |r: &csv::StringRecord| r.iter().map(str::to_owned).collect::<Vec<_>>();
    let head = strings(csv.headers().unwrap());
    let rows = csv.records().map(|r| strings(&r.unwrap())).collect();
    (head, rows)
}

fn focus(
    reader: &Reader,
    version: FocusVersion,
) -> (Vec<String>, Vec<Vec<String>>, tollgate_ledger::FocusSummary) {
    let mut out = Vec::new();
    let summary = reader.focus(&FocusQuery { version, ..FocusQuery::default() }, &mut out).unwrap();
    let (head, rows) = table(&out);
    (head, rows, summary)
}

#[test]
fn focus_has_the_mandatory_columns_and_the_ledgers_total() {
    let (dir, _ledger) = filled();
    let reader = Reader::open(dir.path()).unwrap();
    let (head, rows, summary) = focus(&reader, FocusVersion::V1_2);
    for column in MANDATORY {
        assert!(head.iter().any(|h| h == column), "{column} is missing");
    }
    let at = |name: &str| head.iter().position(|h| h == name).unwrap();
    let first_custom = head.iter().position(|h| h.starts_with("x_")).unwrap();
    assert!(head[first_custom..].iter().all(|h| h.starts_with("x_")), "custom columns come last");
    assert!(head[..first_custom].is_sorted(), "in the specification's order");

    let total = reader.spend(&SpendQuery::default()).unwrap().total;
    assert_eq!((summary.total, summary.left_out), (total.cost_usd, 0));
    assert_eq!((summary.rows, rows.len()), (35 * 3, 35 * 3));
    let sum: Money = rows.iter().map(|r| Money::parse_usd(&r[at("BilledCost")]).unwrap()).sum();
    assert_eq!(sum, total.cost_usd);
    let tokens: u64 = rows.iter().map(|r| r[at("PricingQuantity")].parse::<u64>().unwrap()).sum();
    assert_eq!(tokens, total.input_tokens + total.output_tokens);

    let cached = rows.iter().find(|r| r[at("x_TokenCacheAction")] == "Read").unwrap();
    assert_eq!(cached[at("SkuMeter")], "Cached Input Tokens");
    assert_eq!(
        (cached[at("x_TokenDirection")].as_str(), cached[at("PricingUnit")].as_str()),
        ("Input", "Tokens")
    );
    assert_eq!(cached[at("ServiceCategory")], "AI and Machine Learning");
    assert_eq!(cached[at("BillingPeriodStart")], "2026-03-01T00:00:00Z");
    assert_eq!(cached[at("BillingPeriodEnd")], "2026-04-01T00:00:00Z");
    assert_eq!(cached[at("ChargePeriodStart")], "2026-03-01T12:00:00Z");
    assert_eq!(cached[at("ChargePeriodEnd")], "2026-03-01T12:00:01Z");
    assert_eq!(cached[at("Tags")], r#"{"team":"t0"}"#);
}

#[test]
fn newer_focus_names_come_with_their_version() {
    let has = |version, name| focus_columns(version).contains(&name);
    for (version, old, new) in [
        (FocusVersion::V1_2, true, false),
        (FocusVersion::V1_3, true, true),
        (FocusVersion::V1_4, false, true),
    ] {
        assert_eq!((has(version, "ProviderName"), has(version, "PublisherName")), (old, old), "{version:?}");
        assert_eq!(
            (has(version, "ServiceProviderName"), has(version, "HostProviderName")),
            (new, new),
            "{version:?}"
        );
    }
    assert!("1.1".parse::<FocusVersion>().is_err());
}

#[test]
fn an_unknown_cost_is_left_out_of_focus_and_said_and_an_estimate_is_a_row() {
    let (dir, ledger) = filled();
    let (unpriced, crashed) = (sample::open(40), sample::open(41));
    let intent = sample::intent(&unpriced, 0);
    block_on(ledger.intent(intent.clone())).unwrap();
    ledger.close_attempt(tollgate_ledger::AttemptClose {
        cost: catalog::Cost::Unknown(catalog::UnknownPrice::Model),
        cost_basis: tollgate_ledger::CostBasis::Unknown,
        ..sample::close(&intent, Outcome::Ok)
    });
    ledger.close_request(sample::request_close(&unpriced, 1));
    block_on(ledger.intent(sample::intent(&crashed, 0))).unwrap();
    drop(ledger);
    let (_ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!(recovery.unknown_attempts, 1);
    let reader = Reader::open(dir.path()).unwrap();
    let (head, rows, summary) = focus(&reader, FocusVersion::V1_2);
    let at = |name: &str| head.iter().position(|h| h == name).unwrap();
    assert_eq!(summary.left_out, 1);
    assert_eq!(summary.total, reader.spend(&SpendQuery::default()).unwrap().total.cost_usd);
    let estimate = rows.iter().find(|r| r[at("x_Outcome")] == "unknown").unwrap();
    assert_eq!(estimate[at("SkuMeter")], "Estimated Requests");
    assert_eq!(estimate[at("BilledCost")], "0.000123456789");
}

#[test]
fn no_cell_that_others_chose_is_a_formula() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    for (n, evil) in
        (0..).zip(["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1"])
    {
        let open = RequestOpen {
            key: Some(evil.to_owned()),
            route: Some(evil.to_owned()),
            requested_model: evil.to_owned(),
            tags: vec![(evil.to_owned(), evil.to_owned())],
            ..(*sample::open(n)).clone()
        };
        let open = std::sync::Arc::new(open);
        let intent = tollgate_ledger::Intent {
            provider: evil.to_owned(),
            model: evil.to_owned(),
            ..sample::intent(&open, 0)
        };
        block_on(ledger.intent(intent.clone())).unwrap();
        ledger.close_attempt(sample::close(&intent, Outcome::Ok));
        ledger.close_request(sample::request_close(&open, 1));
    }
    ledger.flush().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let by = ["route", "key", "target", "tag", "tag:=x"].map(|w| w.parse::<By>().unwrap()).to_vec();
    let spend = reader.spend(&SpendQuery { by, ..SpendQuery::default() }).unwrap();
    let mut out = Vec::new();
    spend_csv(&spend, &mut out).unwrap();
    let (mut head, mut cells) = table(&out);
    let (focus_head, focus_rows, _) = focus(&reader, FocusVersion::V1_3);
    head.extend(focus_head);
    cells.extend(focus_rows);
    for cell in cells.iter().flatten().chain(&head) {
        let number = cell.strip_prefix('-').is_some_and(|rest| Money::parse_usd(rest).is_ok());
        let formula = cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r', '＝']);
        assert!(number || !formula, "{cell:?}");
    }
}

#[test]
fn csv_json_and_the_rows_agree() {
    let (dir, _ledger) = filled();
    let reader = Reader::open(dir.path()).unwrap();
    let by = vec![By::Route, By::Tag(Some("team".to_owned()))];
    let spend = reader.spend(&SpendQuery { by, ..SpendQuery::default() }).unwrap();
    let mut out = Vec::new();
    spend_csv(&spend, &mut out).unwrap();
    let (head, rows) = table(&out);
    let json = serde_json::to_value(&spend).unwrap();
    assert_eq!(head[..3], ["route", "tag:team", "requests"]);
    assert_eq!(rows.len(), json["rows"].as_array().unwrap().len());
    for (row, object) in rows.iter().zip(json["rows"].as_array().unwrap()) {
        assert_eq!(object.as_object().unwrap().len(), head.len(), "the same columns");
        for (name, cell) in head.iter().zip(row) {
            let value = match &object[name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(&value, cell, "{name}");
        }
    }
    assert!(json["total"]["cost_usd"].is_string());
}
