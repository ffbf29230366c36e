//! Verdicts: kept once, bounded by key, told apart by source; shadow and judge calls apart from clients' spend.

use std::sync::Arc;

use catalog::Money;
use jiff::{SignedDuration, Timestamp};
use tollgate_ledger::{
    By, Condition, Ledger, Opinion, Options, Outcome, Period, Reader, RequestOpen, RouteQuality, Source,
    SourceQuality, SpendQuery, VOTES_OF_A_KEY, Verdict,
};
use ulid::Ulid;

use crate::sample;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millisecond(sample::NOON.cast_signed()).unwrap() + SignedDuration::from_secs(seconds)
}

fn verdict(n: u128, source: Source, opinion: Opinion, key: Option<&str>) -> Verdict {
    Verdict {
        id: Ulid::from_parts(1, n),
        at: at(i64::try_from(n).unwrap()),
        request: Ulid::from_parts(2, n),
        source,
        opinion,
        route: Some("auto".to_owned()),
        target: Some("cheap/m".to_owned()),
        against: None,
        key: key.map(str::to_owned),
    }
}

fn source<'q>(quality: &'q [RouteQuality], name: &str) -> &'q SourceQuality {
    let route = quality.iter().find(|q| q.route.as_deref() == Some("auto")).unwrap();
    route.sources.iter().find(|s| s.source == name).unwrap()
}

#[test]
fn verdicts_are_kept_once_and_the_newer_opinion_stands_before_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let quality = || Reader::open(dir.path()).unwrap().quality(Period::default(), true).unwrap();
    assert!(quality().is_empty(), "nothing said, nothing known");
    ledger.verdict(&verdict(1, Source::Judge, Opinion::Worse, None));
    ledger.verdict(&verdict(2, Source::Judge, Opinion::Same, None));
    ledger.verdict(&verdict(3, Source::Feedback, Opinion::Bad, Some("app")));
    let again = Verdict {
        at: at(60),
        opinion: Opinion::Good,
        ..verdict(3, Source::Feedback, Opinion::Bad, Some("app"))
    };
    ledger.verdict(&again);
    // An old record that is read again changes nothing.
    ledger.verdict(&verdict(3, Source::Feedback, Opinion::Bad, Some("app")));
    let check = |quality: &[RouteQuality]| {
        let (judge, feedback) = (source(quality, "judge"), source(quality, "feedback"));
        assert_eq!((judge.n, feedback.n), (2, 1));
        assert!((judge.good.share - 0.5).abs() < 1e-12 && (feedback.good.share - 1.0).abs() < 1e-12);
        assert_eq!(
            judge.outcomes.iter().map(|(o, n)| (o.as_str(), *n)).collect::<Vec<_>>(),
            [("same", 1), ("worse", 1)]
        );
        assert!(judge.drift.is_none(), "two verdicts test nothing");
    };
    ledger.flush().unwrap();
    check(&quality());
    ledger.close().unwrap();
    check(&quality());
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    ledger.verdict(&again);
    ledger.flush().unwrap();
    check(&quality());
}

#[test]
fn a_key_that_floods_with_bad_votes_has_the_weight_of_thirty() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let mut n = 0;
    let mut vote = |key: &str, opinion, times: u32| {
        for _ in 0..times {
            n += 1;
            ledger.verdict(&verdict(n, Source::Feedback, opinion, Some(key)));
        }
    };
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        vote(key, Opinion::Good, 30);
    }
    vote("liar", Opinion::Bad, 5_000);
    ledger.flush().unwrap();
    let quality = Reader::open(dir.path()).unwrap().quality(Period::default(), true).unwrap();
    let feedback = source(&quality, "feedback");
    assert_eq!(feedback.n, 9 * 30 + 5_000);
    assert!((feedback.weight - f64::from(10 * VOTES_OF_A_KEY)).abs() < 1e-9);
    assert!((feedback.good.share - 0.9).abs() < 1e-9, "one of ten keys: {feedback:?}");
}

#[test]
fn shadow_and_judge_calls_are_apart_from_what_clients_spend() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let mut costs = Vec::new();
    for (n, op) in [(1, "chat"), (2, "shadow"), (3, "judge"), (4, "judge")] {
        let open = Arc::new(RequestOpen { op, route: Some("auto".to_owned()), ..(*sample::open(n)).clone() });
        let intent = sample::intent(&open, 0);
        sample::block_on(ledger.intent(intent.clone())).unwrap();
        let close = sample::close(&intent, Outcome::Ok);
        costs.push(close.cost.total().unwrap());
        ledger.close_attempt(close);
        ledger.close_request(sample::request_close(&open, 1));
    }
    ledger.flush().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let spend = |filter: Vec<Condition>| {
        reader.spend(&SpendQuery { by: vec![By::Route], filter, ..SpendQuery::default() }).unwrap()
    };
    let all = spend(Vec::new()).total;
    assert_eq!((all.requests, all.attempts), (1, 1));
    assert_eq!(all.cost_usd, costs[0]);
    assert_eq!(all.evaluation_usd, costs[1] + costs[2] + costs[3]);
    let judges = spend(vec![Condition::Op("judge".to_owned())]).total;
    assert_eq!((judges.requests, judges.cost_usd), (2, costs[2] + costs[3]));
    assert_eq!(judges.evaluation_usd, Money::ZERO, "counted once");
}
