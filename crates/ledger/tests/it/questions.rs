//! Spend and requests, checked against sums that this file takes itself.

use std::collections::BTreeMap;

use catalog::{Basis, Bucket, Cost, Money, PriceLine, UnknownPrice, Usage};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rusqlite::Connection;
use tollgate_ledger::{
    By, Condition, CostBasis, Ledger, Options, Outcome, Period, Reader, RequestQuery, SamePrompts,
    SpendQuery, Totals, TrafficQuery,
};

use crate::sample::{self, block_on, raw};

fn filled(requests: u64) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    for n in 0..requests {
        sample::whole_request(&ledger, n);
    }
    ledger.flush().unwrap();
    (dir, ledger)
}

fn by(words: &[&str]) -> Vec<By> {
    words.iter().map(|w| w.parse().unwrap()).collect()
}

fn spend_by(reader: &Reader, words: &[&str]) -> BTreeMap<Vec<Option<String>>, Totals> {
    let answer = reader.spend(&SpendQuery { by: by(words), ..SpendQuery::default() }).unwrap();
    answer.rows.into_iter().map(|r| (r.key, r.totals)).collect()
}

/// Cost per group, added row by row from the raw table in 128 bits.
fn raw_costs(db: &Connection, key: &str) -> BTreeMap<Option<String>, (u64, i128)> {
    let sql = format!(
        "SELECT {key}, a.cost_micro, a.cost_rest FROM attempt a JOIN request r ON r.no = a.request_no"
    );
    let mut statement = db.prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut sums = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        let (micro, rest): (Option<i64>, Option<i64>) = (row.get(1).unwrap(), row.get(2).unwrap());
        let entry: &mut (u64, i128) = sums.entry(row.get(0).unwrap()).or_default();
        entry.0 += 1;
        entry.1 += i128::from(micro.unwrap_or(0)) * 1_000_000 + i128::from(rest.unwrap_or(0));
    }
    sums
}

#[test]
fn spend_agrees_with_the_raw_rows_by_every_dimension() {
    let (dir, _ledger) = filled(100);
    let reader = Reader::open(dir.path()).unwrap();
    let db = raw(dir.path());
    let all: i128 = raw_costs(&db, "''").values().map(|(_, c)| c).sum();
    for (word, column) in [
        ("route", "r.route"),
        ("key", "r.key"),
        ("model", "a.model"),
        ("provider", "a.provider"),
        ("target", "a.provider || '/' || a.model"),
        ("tag:team", "r.tags ->> 'team'"),
        ("tag", "'team=' || (r.tags ->> 'team')"),
        ("day", "substr(datetime(r.started_us / 1000000, 'unixepoch'), 1, 10)"),
        ("hour", "strftime('%Y-%m-%dT%H:00:00+00:00', r.started_us / 1000000, 'unixepoch')"),
    ] {
        let answer = reader.spend(&SpendQuery { by: by(&[word]), ..SpendQuery::default() }).unwrap();
        assert_eq!(answer.total.cost_usd.pico(), all, "total by {word}");
        assert_eq!((answer.total.requests, answer.total.attempts), (100, 115), "total by {word}");
        let got: BTreeMap<_, _> = answer
            .rows
            .iter()
            .filter(|r| r.totals.attempts > 0)
            .map(|r| (r.key[0].clone(), (r.totals.attempts, r.totals.cost_usd.pico())))
            .collect();
        assert_eq!(got, raw_costs(&db, column), "by {word}");
    }
}

#[test]
fn requests_belong_to_the_target_that_answered_and_money_to_the_one_that_was_called() {
    let (dir, _ledger) = filled(7);
    let rows = spend_by(&Reader::open(dir.path()).unwrap(), &["provider"]);
    let north = &rows[&vec![Some("sim-north".to_owned())]];
    let flagship = &rows[&vec![Some("sim-flagship".to_owned())]];
    // Request 0 escalated: its cheap attempt is paid at sim-north, its answer came from the flagship.
    assert_eq!((north.requests, north.attempts, north.escalated), (6, 7, 1));
    assert_eq!((flagship.requests, flagship.attempts, flagship.escalated), (1, 1, 0));
    assert_eq!(flagship.saving_usd, Money::from_pico(-1_000_001), "a saving may be a loss");
}

#[test]
fn two_dimensions_make_pairs_and_keep_the_total() {
    let (dir, _ledger) = filled(60);
    let reader = Reader::open(dir.path()).unwrap();
    let pairs = spend_by(&reader, &["route", "model"]);
    assert!(pairs.len() > 3);
    let sum: Money = pairs.values().map(|t| t.cost_usd).sum();
    assert_eq!(sum, spend_by(&reader, &["key"]).values().map(|t| t.cost_usd).sum());
}

#[test]
fn fn1_10_a_locked_store_costs_no_answer_the_spool_is_read_too() {
    let (dir, ledger) = filled(20);
    let blocker = raw(dir.path());
    blocker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for n in 20..50 {
        sample::whole_request(&ledger, n);
    }
    // The last closes may still be in memory: an intent takes them along to disk.
    let open = sample::open(99);
    let running = sample::intent(&open, 0);
    block_on(ledger.intent(running.clone())).unwrap();
    let early = Reader::open(dir.path()).unwrap();
    let query = SpendQuery { by: by(&["route", "model"]), ..SpendQuery::default() };
    let before = early.spend(&query).unwrap();
    assert_eq!(
        (before.total.requests, before.total.attempts),
        (51, 58),
        "the running call counts as a request"
    );
    assert_eq!(sample::count(&raw(dir.path()), "request"), 20, "nothing could enter the store");
    assert!(ledger.flush().is_err());
    let stats = ledger.stats();
    assert!(stats.writable && !stats.store_ok && stats.lost == 0 && stats.queued > 0, "{stats:?}");
    assert!(stats.last_error.unwrap().contains("locked"));

    blocker.execute_batch("ROLLBACK").unwrap();
    drop(blocker);
    ledger.close_attempt(sample::close(&running, Outcome::Ok));
    ledger.close_request(sample::request_close(&open, 1));
    while ledger.flush().is_err() {}
    let after = Reader::open(dir.path()).unwrap().spend(&query).unwrap();
    let early_cost = before.total.cost_usd + running_cost(&running);
    assert_eq!((after.total.requests, after.total.attempts, after.total.cost_usd), (51, 59, early_cost));
    assert!(ledger.stats().store_ok && ledger.stats().last_error.is_none());
}

fn running_cost(intent: &tollgate_ledger::Intent) -> Money {
    sample::close(intent, Outcome::Ok).cost.total().unwrap()
}

#[test]
fn a_running_request_is_shown_and_costs_nothing_yet() {
    let (dir, ledger) = filled(1);
    let open = sample::open(5);
    block_on(ledger.intent(sample::intent(&open, 0))).unwrap();
    let page = Reader::open(dir.path()).unwrap().requests(&RequestQuery::default()).unwrap();
    let newest = &page.requests[0];
    assert_eq!((newest.head.id, newest.head.reason.as_str()), (open.id, "running"));
    assert_eq!((newest.attempts[0].outcome.as_str(), newest.attempts[0].cost_usd), ("running", None));
}

#[test]
fn fn1_04_an_unknown_price_is_counted_and_is_not_zero() {
    let (dir, ledger) = filled(3);
    let open = sample::open(11);
    let intent = sample::intent(&open, 0);
    block_on(ledger.intent(intent.clone())).unwrap();
    ledger.close_attempt(tollgate_ledger::AttemptClose {
        cost: Cost::Unknown(UnknownPrice::Model),
        cost_basis: CostBasis::Unknown,
        ..sample::close(&intent, Outcome::Ok)
    });
    ledger.close_request(sample::request_close(&open, 1));
    ledger.flush().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let total = reader.spend(&SpendQuery::default()).unwrap().total;
    assert_eq!((total.requests, total.unknown_cost), (4, 1));
    let row = reader.request(open.id).unwrap().unwrap();
    assert_eq!((row.head.cost_usd, row.head.cost_basis), (None, "unknown"));
    assert!(row.attempts[0].cost_unknown.as_deref().unwrap().contains("no price"));
}

#[test]
fn fn1_18_every_attempt_has_its_row_price_lines_and_reason() {
    let (dir, _ledger) = filled(1);
    let reader = Reader::open(dir.path()).unwrap();
    let detail = reader.request(sample::open(0).id).unwrap().unwrap();
    let outcomes: Vec<_> = detail.attempts.iter().map(|a| a.row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["rejected", "ok"]);
    for attempt in &detail.attempts {
        let lines: Money = attempt.price_lines.iter().map(|l| l.amount_usd).sum();
        assert_eq!(Some(lines), attempt.row.cost_usd);
    }
    let json = serde_json::to_value(&detail).unwrap();
    assert_eq!(json["decision"]["route"], "auto");
    assert_eq!(json["usage"]["input_tokens"], 220);
    assert_eq!(json["usage"]["cached_tokens"], 20);
    assert_eq!(json["usage"]["estimated"], false);
    assert!(json["cost_usd"].is_string(), "money is an exact decimal string");
    assert_eq!(json["attempts"][1]["target"], "sim-flagship/model-1");
    let found = reader.by_client_id("client-0").unwrap();
    assert_eq!(found, [sample::open(0).id]);
}

#[test]
fn pages_add_up_to_the_list_and_filters_run_in_the_store() {
    let (dir, _ledger) = filled(50);
    let reader = Reader::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    let mut query = RequestQuery { limit: 7, ..RequestQuery::default() };
    loop {
        let page = reader.requests(&query).unwrap();
        seen.extend(page.requests.iter().map(|r| r.head.id));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (0..50).rev().map(|n| sample::open(n).id).collect();
    assert_eq!(seen, expected);

    let count = |conditions: &[&str]| {
        let filter: Vec<Condition> = conditions.iter().map(|c| c.parse().unwrap()).collect();
        let listed =
            reader.requests(&RequestQuery { limit: 1000, filter: filter.clone(), ..Default::default() });
        let listed = listed.unwrap().requests.len() as u64;
        let total = reader.spend(&SpendQuery { filter, ..SpendQuery::default() }).unwrap().total;
        (listed, total.requests, total.attempts)
    };
    assert_eq!(count(&["route="]), (10, 10, 12), "pinned");
    assert_eq!(count(&["key=key1"]), (13, 13, 15));
    assert_eq!(count(&["tag:team=t2"]), (16, 16, 18));
    assert_eq!(count(&["tag:nobody=x"]), (0, 0, 0));
    assert_eq!(count(&["reason=check"]), (8, 8, 16));
    assert_eq!(count(&["stream=true", "status=200"]), (25, 25, 29));
    // Eight requests were answered by the flagship; only its own attempts are paid there.
    assert_eq!(count(&["provider=sim-flagship"]), (8, 8, 8));
    assert_eq!(count(&["target=sim-flagship/model-1"]), (3, 3, 3));
    assert_eq!(count(&["route=' OR 1=1 --"]), (0, 0, 0));
}

#[test]
fn requests_of_one_millisecond_are_listed_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let ids: Vec<_> = (0..9_u64)
        .map(|n| {
            let mut open = (*sample::open(0)).clone();
            // The random part of an id says nothing of its time.
            open.id = tollgate_ledger::RequestId::from_parts(sample::NOON, u128::from(n * 7 % 9) << 8);
            open.started_at += jiff::SignedDuration::from_micros(n.cast_signed());
            let id = open.id;
            ledger.close_request(sample::request_close(&open.into(), 0));
            id
        })
        .collect();
    ledger.flush().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let mut query = RequestQuery { limit: 2, ..RequestQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = reader.requests(&query).unwrap();
        seen.extend(page.requests.iter().map(|r| r.head.id));
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    seen.reverse();
    assert_eq!(seen, ids);
}

#[test]
fn a_period_takes_its_start_and_leaves_its_end() {
    let (dir, _ledger) = filled(10);
    let reader = Reader::open(dir.path()).unwrap();
    let at = |n| Some(sample::open(n).started_at);
    let period = Period { since: at(3), until: at(7) };
    assert_eq!(reader.spend(&SpendQuery { period, ..SpendQuery::default() }).unwrap().total.requests, 4);
    let listed = reader.requests(&RequestQuery { period, ..RequestQuery::default() }).unwrap();
    assert_eq!(listed.requests.len(), 4);
}

#[test]
fn days_and_hours_follow_the_reporting_zone() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    // One request a quarter of an hour through 24 October 2026 18:00Z to 25 October 06:00Z: Berlin's clocks go back.
    let start = "2026-10-24T18:00:00Z".parse::<jiff::Timestamp>().unwrap();
    for n in 0..48 {
        let mut open = (*sample::open(n)).clone();
        open.started_at = start + jiff::SignedDuration::from_mins(15 * n.cast_signed());
        ledger.close_request(sample::request_close(&open.into(), 0));
    }
    ledger.flush().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let counts = |zone: &str, word: &str| -> Vec<(String, u64)> {
        let tz = TimeZone::get(zone).unwrap();
        let answer = reader.spend(&SpendQuery { by: by(&[word]), tz, ..SpendQuery::default() }).unwrap();
        answer.rows.into_iter().map(|r| (r.key[0].clone().unwrap(), r.totals.requests)).collect()
    };
    let day = |d: &str, n| (d.to_owned(), n);
    assert_eq!(counts("UTC", "day"), [day("2026-10-24", 24), day("2026-10-25", 24)]);
    assert_eq!(counts("Asia/Kolkata", "day"), [day("2026-10-24", 2), day("2026-10-25", 46)]);
    assert_eq!(counts("Europe/Berlin", "day"), [day("2026-10-24", 16), day("2026-10-25", 32)]);
    assert_eq!(counts("Asia/Kolkata", "hour")[0], ("2026-10-24T23:00:00+05:30".to_owned(), 2));
    let berlin = counts("Europe/Berlin", "hour");
    let two = berlin.iter().position(|(h, _)| h == "2026-10-25T02:00:00+02:00").unwrap();
    assert_eq!(
        berlin[two + 1],
        ("2026-10-25T02:00:00+01:00".to_owned(), 4),
        "the second two o'clock comes second"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a vendor reports, sums neither wrap nor fail, and money is exact.
    #[test]
    fn sums_are_exact_and_never_wrap(
        bills in prop::collection::vec((any::<u64>(), any::<u64>(), 0..10_000_000_000_i64, any::<bool>()), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
        let mut expected = 0_i128;
        for (n, (input, cached, rate, estimated)) in (0..).zip(&bills) {
            let open = sample::open(n);
            let intent = sample::intent(&open, 0);
            block_on(ledger.intent(intent.clone())).unwrap();
            let units = input % 1_000_000_000;
            let line = PriceLine { bucket: Bucket::Input, units, pico_per_unit: *rate };
            expected += i128::from(units) * i128::from(*rate);
            let basis = if *estimated { Basis::Estimated } else { Basis::Reported };
            ledger.close_attempt(tollgate_ledger::AttemptClose {
                usage: Usage { input: *input, cache_read: *cached, basis, ..Usage::default() },
                cost: Cost::Known(vec![line]),
                cost_basis: if *estimated { CostBasis::Estimated } else { CostBasis::Reported },
                ..sample::close(&intent, Outcome::Ok)
            });
            ledger.close_request(sample::request_close(&open, 1));
        }
        ledger.flush().unwrap();
        let total = Reader::open(dir.path()).unwrap().spend(&SpendQuery::default()).unwrap().total;
        prop_assert_eq!(total.cost_usd.pico(), expected);
        prop_assert!(total.estimated_cost_usd <= total.cost_usd);
        let held = |n: u64| i128::from(n.min(i64::MAX as u64));
        let tokens: i128 = bills.iter().map(|(i, c, _, _)| held(*i) + held(*c)).sum();
        prop_assert_eq!(i128::from(total.input_tokens), tokens.min(i128::from(u64::MAX)));
    }
}

#[test]
fn models_that_read_the_same_prompt_are_compared_by_their_own_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let second_reads = |input: u64, basis: Basis, outcome: Outcome, n: u64| {
        let open = sample::open(n);
        let attempts = [sample::intent(&open, 0), sample::intent(&open, 1)];
        block_on(async {
            for intent in &attempts {
                ledger.intent(intent.clone()).await.unwrap();
            }
        });
        let mut first = sample::close(&attempts[0], Outcome::Rejected);
        first.usage = Usage { input: 90, cache_read: 10, basis: Basis::Reported, ..Usage::default() };
        let mut second = sample::close(&attempts[1], outcome);
        second.usage = Usage { input, basis, ..Usage::default() };
        ledger.close_attempt(first);
        ledger.close_attempt(second);
        ledger.close_request(sample::request_close(&open, 2));
    };
    // The samples' models take turns, so that every third request has the same pair.
    second_reads(120, Basis::Reported, Outcome::Ok, 0);
    second_reads(110, Basis::Reported, Outcome::Ok, 3);
    second_reads(115, Basis::Estimated, Outcome::Ok, 6);
    second_reads(115, Basis::Reported, Outcome::Failed, 9);
    second_reads(301, Basis::Reported, Outcome::Ok, 12);
    let expected = |prompts, first_tokens, second_tokens| SamePrompts {
        first: "sim-north/model-0".to_owned(),
        second: "sim-flagship/model-1".to_owned(),
        prompts,
        first_tokens,
        second_tokens,
    };
    let spool = Reader::open(dir.path()).unwrap();
    let pairs = spool.same_prompts(Period::default()).unwrap();
    let prompts: u64 = pairs.iter().map(|pair| pair.prompts).sum();
    assert_eq!(prompts, 2, "some in the spool, some in the store: {pairs:?}");
    ledger.flush().unwrap();
    let store = Reader::open(dir.path()).unwrap();
    assert_eq!(store.same_prompts(Period::default()).unwrap(), [expected(2, 200, 230)]);
    let later = Period { since: Some(sample::open(1).started_at), until: None };
    assert_eq!(store.same_prompts(later).unwrap(), [expected(1, 100, 110)]);
}

#[test]
fn traffic_has_every_attempt_once_and_adds_up_to_spend() {
    let (dir, _ledger) = filled(60);
    let reader = Reader::open(dir.path()).unwrap();
    let walk = |query: &TrafficQuery| {
        let (mut requests, mut attempts, mut cost) = (0_u64, 0_u64, Money::ZERO);
        let each = |past: &tollgate_ledger::Past| {
            requests += 1;
            attempts += past.attempts.len() as u64;
            cost += past.attempts.iter().filter_map(|a| a.cost).sum();
            assert_eq!(past.decision.is_some(), query.decisions);
            assert!(past.attempts.is_sorted_by_key(|a| a.outcome != "rejected"), "in order");
        };
        reader.traffic(query, each).unwrap();
        (requests, attempts, cost)
    };
    let total = reader.spend(&SpendQuery::default()).unwrap().total;
    assert_eq!(total.requests, 60);
    assert_eq!(walk(&TrafficQuery::default()), (total.requests, total.attempts, total.cost_usd));
    let filter: Vec<_> = vec!["key=key1".parse().unwrap()];
    let some = TrafficQuery { filter: filter.clone(), decisions: true, ..TrafficQuery::default() };
    let expected = reader.spend(&SpendQuery { filter, ..SpendQuery::default() }).unwrap().total;
    assert!(expected.requests < total.requests);
    assert_eq!(walk(&some), (expected.requests, expected.attempts, expected.cost_usd));
}
