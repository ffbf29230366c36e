//! The laws of health, with instants of our own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{Auth, Offer, Quirks};
use proptest::prelude::*;
use router::{Sample, Up};
use wire::{Dialect, ErrorKind, UpstreamError};

use super::{Admission, Health};
use crate::config::{Host, Secret, Target};

const MS: Duration = Duration::from_millis(1);

fn target_with(id: &str, keys: &[&str]) -> Target {
    let (provider, model) = id.split_once('/').unwrap();
    let host = Host {
        id: provider.to_owned(),
        dialect: Dialect::OpenAi,
        https: true,
        host: "example.com".to_owned(),
        port: 443,
        base_path: String::new(),
        auth: Auth::Bearer,
        keys: keys.iter().map(|key| Secret::new((*key).to_owned())).collect(),
        quirks: Quirks::default(),
        endpoints: Vec::new(),
        allow_private: false,
    };
    let offer = Arc::new(Offer::unlisted(provider, model));
    Target { id: id.to_owned(), host: Arc::new(host), offer, weight: 1 }
}

fn target(id: &str) -> Target {
    target_with(id, &["one"])
}

fn error(kind: ErrorKind) -> UpstreamError {
    UpstreamError::new(kind, None, "x")
}

fn asking(kind: ErrorKind, seconds: u64) -> UpstreamError {
    UpstreamError { retry_after: Some(Duration::from_secs(seconds)), ..error(kind) }
}

/// A whole answer after so many milliseconds.
fn took(ms: u32) -> Sample {
    Sample { total: MS * ms, ..Sample::default() }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Admits and fails; `false` when not admitted.
fn fail(health: &Health, target: &Target, error: &UpstreamError, now: Instant) -> bool {
    let Some(admission) = health.admit(target, false, now) else { return false };
    health.failed(target, admission, error, now);
    true
}

#[test]
fn fn1_13_five_failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    for n in 0..5 {
        assert_eq!(health.state(&target, start), Up::Closed, "after {n} failures");
        assert!(fail(&health, &target, &error(ErrorKind::Server), start));
    }
    assert_eq!(health.state(&target, start), Up::Open);
    assert_eq!(health.admit(&target, false, start), None);

    let later = start + secs(3);
    assert_eq!(health.state(&target, later), Up::HalfOpen);
    let probe = health.admit(&target, false, later).unwrap();
    assert!(probe.probe);
    assert_eq!(health.admit(&target, false, later), None, "one probe at a time");
    health.succeeded(&target, probe, &took(40), later);
    assert_eq!(health.state(&target, later), Up::Closed);
}

#[test]
fn a_success_between_resets_the_row_but_half_of_ten_opens_all_the_same() {
    let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
    for round in 0..5 {
        assert_eq!(health.state(&target, now), Up::Closed, "round {round}");
        let admission = health.admit(&target, false, now).unwrap();
        health.succeeded(&target, admission, &took(1), now);
        assert!(fail(&health, &target, &error(ErrorKind::Timeout), now));
    }
    assert_eq!(health.state(&target, now), Up::Open);

    // The same ten spread over a minute are no brown-out.
    let (health, start) = (Health::default(), now);
    for round in 0..5 {
        let now = start + secs(12 * round);
        let admission = health.admit(&target, false, now).unwrap();
        health.succeeded(&target, admission, &took(1), now);
        assert!(fail(&health, &target, &error(ErrorKind::Timeout), now));
    }
    assert_eq!(health.state(&target, start + secs(48)), Up::Closed);
}

#[test]
fn a_failed_probe_doubles_the_pause() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    for _ in 0..5 {
        fail(&health, &target, &error(ErrorKind::Server), start);
    }
    let pause = |now| health.snapshot(now)[0].retry_in_ms.unwrap();
    assert!((1_600..=2_400).contains(&pause(start)), "{}", pause(start));
    let later = start + secs(3);
    assert!(fail(&health, &target, &error(ErrorKind::Server), later));
    assert!((3_200..=4_800).contains(&pause(later)), "{}", pause(later));
}

/// Field notes §1.13: a later, longer cooldown was ignored.
#[test]
fn fn1_13_the_later_longer_wish_wins_and_the_shorter_does_not() {
    let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
    let calls: Vec<Admission> = (0..3).map(|_| health.admit(&target, false, now).unwrap()).collect();
    health.failed(&target, calls[0], &asking(ErrorKind::Overloaded, 9), now);
    health.failed(&target, calls[1], &asking(ErrorKind::Overloaded, 107), now);
    health.failed(&target, calls[2], &asking(ErrorKind::Overloaded, 3), now);
    assert_eq!(health.state(&target, now + secs(106)), Up::Open);
    assert_eq!(health.state(&target, now + secs(107)), Up::HalfOpen);
}

#[test]
fn fn1_13_a_throttled_key_rests_as_long_as_asked_and_the_next_is_used() {
    let (health, target, now) = (Health::default(), target_with("a/m", &["one", "two"]), Instant::now());
    assert_eq!(health.admit(&target, false, now).unwrap().key, 0);
    assert!(fail(&health, &target, &asking(ErrorKind::RateLimited, 30), now));
    let second = health.admit(&target, false, now).unwrap();
    assert_eq!(second, Admission { key: 1, probe: false, forced: false });
    assert_eq!(health.state(&target, now), Up::Closed);
    health.failed(&target, second, &asking(ErrorKind::RateLimited, 60), now);
    assert_eq!(health.state(&target, now), Up::Open);
    assert_eq!(health.admit(&target, false, now + secs(29)), None);
    assert_eq!(health.admit(&target, false, now + secs(30)).unwrap().key, 0);
}

#[test]
fn a_throttle_concerns_one_model_and_an_empty_account_all() {
    let (health, now) = (Health::default(), Instant::now());
    let (big, small) = (target("a/big"), target("a/small"));
    fail(&health, &big, &asking(ErrorKind::RateLimited, 30), now);
    assert_eq!((health.state(&big, now), health.state(&small, now)), (Up::Open, Up::Closed));
    fail(&health, &small, &UpstreamError { status: Some(403), ..error(ErrorKind::Credentials) }, now);
    assert!(fail(&health, &target("a/third"), &error(ErrorKind::QuotaExhausted), now));
    assert_eq!(health.admit(&target("a/fourth"), false, now), None);
    assert_eq!(health.admit(&target("a/fourth"), false, now + secs(901)).unwrap().key, 0);
    assert!(health.admit(&target("b/m"), false, now).is_some());
}

/// Field notes §2.26: a key fault rotates without backoff of the vendor.
#[test]
fn fn2_26_a_bad_key_is_out_for_long_and_a_new_key_after_a_reload_is_not() {
    let (health, now) = (Health::default(), Instant::now());
    let old = target_with("a/m", &["bad", "good"]);
    fail(&health, &old, &UpstreamError { status: Some(401), ..error(ErrorKind::Credentials) }, now);
    assert_eq!(health.admit(&old, false, now + secs(600)).unwrap().key, 1);
    let reloaded = target_with("a/m", &["mended", "good"]);
    assert_eq!(health.admit(&reloaded, false, now).unwrap().key, 0);
}

#[test]
fn a_model_that_the_vendor_does_not_serve_is_out_for_long_at_once() {
    let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
    fail(&health, &target, &error(ErrorKind::ModelNotFound), now);
    assert_eq!(health.state(&target, now + secs(400)), Up::Open);
    assert_eq!(health.state(&target, now + secs(721)), Up::HalfOpen);
}

/// Field notes §1.14: what happens when everything is out must be declared.
#[test]
fn fn1_14_the_last_resort_is_called_although_open_with_the_least_bad_key() {
    let (health, target, now) = (Health::default(), target_with("a/m", &["one", "two"]), Instant::now());
    fail(&health, &target, &asking(ErrorKind::RateLimited, 60), now);
    fail(&health, &target, &asking(ErrorKind::RateLimited, 30), now);
    assert_eq!(health.admit(&target, false, now), None);
    assert_eq!(health.admit(&target, true, now).unwrap().key, 1);

    let dead = super::tests::target("b/m");
    for _ in 0..5 {
        fail(&health, &dead, &error(ErrorKind::Connect), now);
    }
    let admission = health.admit(&dead, true, now).unwrap();
    health.succeeded(&dead, admission, &took(1), now);
    assert_eq!(health.state(&dead, now), Up::Closed, "its success is as good as a probe's");
}

/// Field notes §1.14: the cooldown is invisible.
#[test]
fn fn1_14_the_snapshot_says_why_and_how_long() {
    let (health, now) = (Health::default(), Instant::now());
    let (dead, throttled, fine) = (target("a/dead"), target_with("b/m", &["one", "two"]), target("c/fine"));
    for _ in 0..5 {
        fail(&health, &dead, &UpstreamError { status: Some(503), ..error(ErrorKind::Overloaded) }, now);
    }
    fail(&health, &throttled, &asking(ErrorKind::RateLimited, 7), now);
    let admission = health.admit(&fine, false, now).unwrap();
    health.succeeded(&fine, admission, &took(120), now);

    let all = health.snapshot(now);
    assert_eq!(all.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), ["a/dead", "b/m", "c/fine"]);
    assert_eq!(all[0].state, Up::Open);
    assert_eq!(all[0].reason.as_deref(), Some("overloaded (503), 5 in a row"));
    assert!(all[0].retry_in_ms.unwrap() >= 1_600);
    assert_eq!((all[0].calls, all[0].failures), (5, 5));
    assert_eq!(all[1].state, Up::Closed);
    assert_eq!(all[1].reason.as_deref(), Some("key 1 of 2 rests: rate_limited"));
    assert_eq!((all[2].state, all[2].reason.as_deref(), all[2].ttft_ms), (Up::Closed, None, Some(120.0)));

    fail(&health, &throttled, &asking(ErrorKind::RateLimited, 9), now);
    let all = health.snapshot(now);
    assert_eq!(all[1].state, Up::Open);
    assert_eq!(all[1].reason.as_deref(), Some("every key rests: rate_limited"));
    assert_eq!(all[1].retry_in_ms, Some(7_000));
}

#[test]
fn a_given_up_probe_makes_room_and_a_lost_one_does_after_a_while() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    for _ in 0..5 {
        fail(&health, &target, &error(ErrorKind::Server), start);
    }
    let now = start + secs(3);
    let probe = health.admit(&target, false, now).unwrap();
    health.abandoned(&target, probe);
    assert!(health.admit(&target, false, now).unwrap().probe);
    assert_eq!(health.admit(&target, false, now + secs(100)), None);
    assert!(health.admit(&target, false, now + secs(121)).unwrap().probe);
}

#[test]
fn a_call_from_before_the_fault_does_not_close_the_breaker() {
    let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
    let early = health.admit(&target, false, now).unwrap();
    for _ in 0..5 {
        fail(&health, &target, &error(ErrorKind::Server), now);
    }
    health.succeeded(&target, early, &took(1), now);
    assert_eq!(health.state(&target, now), Up::Open);
}

/// Faults row 16.
#[test]
fn recovery_is_met_by_five_probes_a_second_and_host_at_most() {
    let (health, start) = (Health::default(), Instant::now());
    let targets: Vec<Target> = (0..20).map(|n| target(&format!("a/m{n}"))).collect();
    for target in &targets {
        for _ in 0..5 {
            fail(&health, target, &error(ErrorKind::Server), start);
        }
    }
    let now = start + secs(3);
    let probes = |now| targets.iter().filter(|target| health.admit(target, false, now).is_some()).count();
    assert_eq!(probes(now), 5);
    assert_eq!(probes(now + secs(1)), 5);
}

/// Faults row 15: retry amplification at most 1.2.
#[test]
fn retries_are_a_fifth_of_requests_and_never_stop_a_quiet_gateway() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    let mut retries = 0;
    for n in 0..10_000_u32 {
        let now = start + MS * n;
        health.admit(&target, false, now).unwrap();
        if health.may_retry(now) {
            health.admit(&target, false, now).unwrap();
            retries += 1;
        }
    }
    assert!((1_900..=2_000).contains(&retries), "{retries}");

    let (health, mut granted) = (Health::default(), 0);
    for n in 0..100_u64 {
        let now = start + secs(60 * n);
        health.admit(&target, false, now).unwrap();
        granted += u32::from(health.may_retry(now)) + u32::from(health.may_retry(now));
    }
    assert_eq!(granted, 200);
}

#[test]
fn time_to_first_token_is_smoothed() {
    let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
    assert_eq!(health.ttft_ms(&target), None);
    for ttft in [100, 200] {
        let admission = health.admit(&target, false, now).unwrap();
        health.succeeded(&target, admission, &took(ttft), now);
    }
    assert_eq!(health.ttft_ms(&target), Some(120.0));
}

#[derive(Clone, Debug)]
enum Step {
    Call { last_resort: bool },
    Succeed(usize),
    Fail(usize, ErrorKind, Option<u64>),
    Abandon(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(ErrorKind::Server),
        Just(ErrorKind::Timeout),
        Just(ErrorKind::Overloaded),
        Just(ErrorKind::RateLimited),
        Just(ErrorKind::Credentials),
        Just(ErrorKind::BadRequest),
        Just(ErrorKind::ModelNotFound),
    ];
    prop_oneof![
        4 => any::<bool>().prop_map(|last_resort| Step::Call { last_resort }),
        2 => any::<usize>().prop_map(Step::Succeed),
        4 => (any::<usize>(), kind, proptest::option::of(0_u64..100_000)).prop_map(|(at, kind, asked)| Step::Fail(at, kind, asked)),
        1 => any::<usize>().prop_map(Step::Abandon),
        2 => (0_u64..90_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: an open target is called only as a last resort, at most one probe is under way, no wait is
    /// longer than an hour and its jitter, and the target comes back when that has passed.
    #[test]
    fn fn1_14_health_never_wedges(steps in proptest::collection::vec(step(), 1..200)) {
        let (health, target) = (Health::default(), target_with("a/m", &["one", "two"]));
        let mut now = Instant::now();
        let mut open: Vec<(Admission, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Call { last_resort } => {
                    let state = health.state(&target, now);
                    let admission = health.admit(&target, last_resort, now);
                    if last_resort {
                        prop_assert!(admission.is_some());
                    }
                    if let Some(admission) = admission {
                        prop_assert!(admission.key < 2);
                        prop_assert!(last_resort || state != Up::Open);
                        prop_assert!(last_resort || admission.probe == (state == Up::HalfOpen));
                        open.push((admission, last_resort));
                    } else {
                        prop_assert!(state != Up::Closed);
                    }
                }
                Step::Succeed(at) if !open.is_empty() => {
                    let (admission, _) = open.swap_remove(at % open.len());
                    health.succeeded(&target, admission, &took(1), now);
                }
                Step::Fail(at, kind, asked) if !open.is_empty() => {
                    let (admission, _) = open.swap_remove(at % open.len());
                    let error = UpstreamError { retry_after: asked.map(Duration::from_secs), ..error(kind) };
                    health.failed(&target, admission, &error, now);
                    if error.blame == wire::Blame::Vendor && asked.is_some_and(|asked| asked > 0) {
                        prop_assert!(health.state(&target, now) != Up::Closed);
                    }
                }
                Step::Abandon(at) if !open.is_empty() => {
                    let (admission, _) = open.swap_remove(at % open.len());
                    health.abandoned(&target, admission);
                }
                _ => {}
            }
            for one in health.snapshot(now) {
                prop_assert!(one.retry_in_ms.unwrap_or(0) <= 4_320_000);
            }
        }
        let later = now + secs(4_321);
        prop_assert!(health.state(&target, later) != Up::Open);
        prop_assert!(health.admit(&target, false, later).is_some());
    }

    /// Refused requests count against nobody.
    #[test]
    fn requests_at_fault_never_open_a_breaker(count in 1_usize..200) {
        let (health, target, now) = (Health::default(), target("a/m"), Instant::now());
        for kind in [ErrorKind::BadRequest, ErrorKind::ContentPolicy, ErrorKind::ContextLength].iter().cycle().take(count) {
            prop_assert!(fail(&health, &target, &error(*kind), now));
        }
        prop_assert_eq!(health.state(&target, now), Up::Closed);
    }

    /// A longer wish that comes later moves the end of the rest; nothing moves it nearer.
    #[test]
    fn fn1_13_the_end_of_a_rest_never_comes_nearer(asked in proptest::collection::vec((0_u64..4_000, 0_u64..3_000), 1..40)) {
        for kind in [ErrorKind::RateLimited, ErrorKind::Overloaded] {
            let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
            let (mut now, mut end) = (start, start);
            let calls: Vec<Admission> = asked.iter().filter_map(|_| health.admit(&target, false, start)).collect();
            for ((seconds, pause), admission) in asked.iter().zip(calls) {
                health.failed(&target, admission, &asking(kind, *seconds), now);
                let left = health.snapshot(now)[0].retry_in_ms.unwrap_or(0);
                let new = now + Duration::from_millis(left);
                if new > now {
                    prop_assert!(new + MS >= end, "the end came nearer");
                    prop_assert!(left + 1 >= seconds.min(&3_600) * 1_000);
                }
                end = end.max(new);
                now += Duration::from_millis(*pause);
            }
        }
    }
}

#[test]
fn names_that_clients_make_up_do_not_fill_the_memory() {
    let (health, now) = (Health::default(), Instant::now());
    let dead = target("dead/m");
    for _ in 0..5 {
        fail(&health, &dead, &error(ErrorKind::Connect), now);
    }
    for n in 0..super::MOST_TARGETS + 10 {
        health.admit(&target(&format!("host/{n}")), false, now);
    }
    let known = health.snapshot(now);
    assert!(known.len() <= super::MOST_TARGETS, "{}", known.len());
    assert!(known.iter().any(|line| line.target == "dead/m" && line.state == Up::Open));
}

#[test]
fn fn1_13_a_rate_limit_is_waited_out_and_a_fault_is_not() {
    let (health, now) = (Health::default(), Instant::now());
    let (limited, broken) = (target("limited/m"), target("broken/m"));
    assert!(fail(&health, &limited, &asking(ErrorKind::RateLimited, 7), now));
    assert_eq!(health.throttled_for(&limited, now), Some(secs(7)));
    assert_eq!(health.throttled_for(&limited, now + secs(8)), None);
    for _ in 0..5 {
        fail(&health, &broken, &error(ErrorKind::Server), now);
    }
    assert_eq!(health.throttled_for(&broken, now), None);
}

/// Faults row 16: those who wait for a vendor to come back do not all rush in, and find the next vendor meanwhile.
#[test]
fn a_vendor_that_comes_back_is_met_by_a_growing_stream_of_calls() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    // 100 calls a second, then a fault.
    let steady = |second: u64| start + secs(second);
    for second in 0..10 {
        for _ in 0..100 {
            let admission = health.admit(&target, false, steady(second)).unwrap();
            health.succeeded(&target, admission, &took(1), steady(second));
        }
    }
    while health.state(&target, steady(9)) == Up::Closed {
        assert!(fail(&health, &target, &error(ErrorKind::Server), steady(9)));
    }
    let back = steady(12);
    let probe = health.admit(&target, false, back).unwrap();
    assert!(probe.probe);
    health.succeeded(&target, probe, &took(1), back);

    let admitted = |at: Instant| (0..1_000).map_while(|_| health.admit(&target, false, at)).count();
    assert_eq!(admitted(back), 5);
    assert_eq!(health.state(&target, back), Up::HalfOpen, "no room now");
    assert!(health.snapshot(back)[0].reason.as_ref().is_some_and(|why| why.contains("ten seconds")));
    assert!(health.admit(&target, true, back).is_some(), "a last resort is not kept waiting");
    for second in 1..10 {
        assert!((1..=150).contains(&admitted(back + secs(second))), "second {second}");
    }
    assert_eq!(admitted(back + secs(10)), 1_000);
    assert_eq!(health.snapshot(back + secs(10))[0].reason, None);
}

#[test]
fn a_last_resort_that_was_called_all_the_time_has_no_way_back_to_go() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    while fail(&health, &target, &error(ErrorKind::Server), start) {}
    let forced = health.admit(&target, true, start).unwrap();
    health.succeeded(&target, forced, &took(1), start);
    assert!((0..1_000).all(|_| health.admit(&target, false, start).is_some()));
}

#[test]
fn measurements_fade_and_only_the_vendors_failures_count() {
    let (health, target, start) = (Health::default(), target("a/m"), Instant::now());
    assert!(health.measured(&target, start).is_none(), "never called");
    let stream = Sample { ttft: Some(MS * 100), total: MS * 600, output_tokens: 50, ..Sample::default() };
    let admission = health.admit(&target, false, start).unwrap();
    health.succeeded(&target, admission, &stream, start);
    assert!(fail(&health, &target, &error(ErrorKind::Server), start));
    assert!(fail(&health, &target, &error(ErrorKind::BadRequest), start));
    let now = health.measured(&target, start).unwrap().recent;
    assert!((now.answers - 1.0).abs() < 1e-9 && (now.failures - 1.0).abs() < 1e-9, "{now:?}");
    assert!(now.ttft_ms.is_some_and(|ms| (ms - 100.0).abs() < 1e-6), "{now:?}");
    assert!(now.tokens_per_second.is_some_and(|rate| (rate - 100.0).abs() < 1e-6), "{now:?}");
    let later = health.measured(&target, start + secs(45)).unwrap().recent;
    assert!((later.answers - 0.5).abs() < 1e-9, "{later:?}");
    assert_eq!(health.snapshot(start)[0].measured.recent, now, "the API shows the same");
}
