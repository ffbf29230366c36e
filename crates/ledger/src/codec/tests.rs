use std::sync::Arc;

use catalog::{Basis, Bucket, Cost, Money, PriceLine, UnknownPrice, Usage};
use jiff::Timestamp;
use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::Saving;

fn usage() -> impl Strategy<Value = Usage> {
    (any::<[u64; 12]>(), any::<bool>(), 0..4096_u16).prop_map(|(units, reported, mask)| {
        let unit = |n: usize| if mask >> n & 1 == 1 { units[n] } else { 0 };
        Usage {
            input: unit(0),
            cache_read: unit(1),
            cache_write_5m: unit(2),
            cache_write_1h: unit(3),
            input_audio: unit(4),
            cache_read_audio: unit(5),
            input_image: unit(6),
            output: unit(7),
            reasoning: unit(8),
            output_audio: unit(9),
            output_image: unit(10),
            web_search: unit(11),
            basis: if reported { Basis::Reported } else { Basis::Estimated },
        }
    })
}

fn open() -> impl Strategy<Value = Arc<RequestOpen>> {
    let texts = (any::<Option<String>>(), any::<Option<String>>(), any::<Option<String>>(), ".{0,30}");
    let tags = prop::collection::vec((".{0,10}", ".{0,10}"), 0..4);
    (any::<u128>(), texts, tags, any::<(bool, u64, u64)>(), 0..4_000_000_000_000_000_i64).prop_map(
        |(id, (client, key, route, model), tags, (stream, session, version), us)| {
            Arc::new(RequestOpen {
                id: Ulid(id),
                client_request_id: client,
                started_at: Timestamp::from_microsecond(us).unwrap(),
                key,
                route,
                requested_model: model,
                op: "chat",
                stream,
                tags,
                session,
                config_version: version,
            })
        },
    )
}

fn same_open(view: &OpenView<'_>, open: &RequestOpen) {
    assert_eq!(view.id, open.id);
    assert_eq!(view.client_request_id, open.client_request_id.as_deref());
    assert_eq!(view.started_us, open.started_at.as_microsecond());
    assert_eq!((view.key, view.route), (open.key.as_deref(), open.route.as_deref()));
    assert_eq!((view.requested_model, view.op), (open.requested_model.as_str(), open.op));
    assert_eq!((view.stream, view.session), (open.stream, open.session));
    assert_eq!(view.config_version, open.config_version);
    let tags: Vec<_> = open.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(view.tags, tags);
}

proptest! {
    #[test]
    fn an_intent_round_trips(
        open in open(), estimate in usage(), pico in any::<Option<i64>>(), seq in any::<u16>(), id in any::<u128>(),
    ) {
        let intent = Intent {
            id: Ulid(id), request: open, seq, provider: "p".to_owned(), model: "vendor/m".to_owned(), upstream_key: 2,
            started_at: Timestamp::UNIX_EPOCH, estimate, estimated_cost: pico.map(|p| Money::from_pico(p.into())),
            catalogue_version: "v".to_owned(),
        };
        let mut out = Vec::new();
        super::intent(&mut out, &intent);
        prop_assert_eq!(peek(&out), Some((Kind::Intent(intent.id), intent.request.id, false)));
        let Some(Record::Intent(view)) = decode(&out) else { panic!("not an intent") };
        same_open(&view.open, &intent.request);
        prop_assert_eq!((view.seq, view.estimate), (u64::from(seq), estimate));
        prop_assert_eq!((view.provider, view.model, view.upstream_key), ("p", "vendor/m", 2));
        prop_assert_eq!((view.estimated_cost, view.catalogue_version), (intent.estimated_cost, "v"));
        // Carried: the same record, told apart.
        let mut again = Vec::new();
        carried(&mut again, &out);
        prop_assert_eq!(peek(&again), Some((Kind::Intent(intent.id), intent.request.id, true)));
        prop_assert!(matches!(decode(&again), Some(Record::Intent(_))));
        // Cut anywhere, it is no record, and reading it does not panic.
        for cut in 0..out.len() {
            prop_assert!(decode(&out[..cut]).is_none());
        }
    }

    #[test]
    fn a_close_round_trips(
        usage in usage(), lines in prop::collection::vec((0..13_usize, any::<u64>(), any::<i64>()), 0..14),
        known in any::<bool>(), times in any::<(Option<u64>, u64)>(), vendor in any::<Option<i128>>(), n in 0..24_usize,
    ) {
        let lines: Vec<_> = lines.into_iter()
            .map(|(b, units, pico_per_unit)| PriceLine { bucket: Bucket::ALL[b], units, pico_per_unit }).collect();
        let close = AttemptClose {
            id: Ulid(1), request: Ulid(2), outcome: OUTCOMES[n % 6], status: (n > 9).then_some(503),
            error: (n > 3).then_some("overloaded"), excerpt: (n > 5).then(|| "é".repeat(300)), ttft_us: times.0,
            duration_us: times.1, usage,
            cost: if known { Cost::Known(lines.clone()) } else { Cost::Unknown(UnknownPrice::Tier) },
            cost_basis: BASES[n % 4], vendor_cost: vendor.map(Money::from_pico),
            served_model: (n > 7).then(|| "other".to_owned()), finish: (n > 2).then_some("stop"),
        };
        let mut out = Vec::new();
        attempt_close(&mut out, &close);
        let Some(Record::AttemptClose(view)) = decode(&out) else { panic!("not a close") };
        prop_assert_eq!(peek(&out), Some((Kind::AttemptClose(close.id), close.request, false)));
        prop_assert_eq!((view.id, view.outcome, view.cost_basis), (close.id, close.outcome, close.cost_basis));
        prop_assert_eq!((view.status, view.error, view.finish), (close.status.map(u64::from), close.error, close.finish));
        prop_assert_eq!(view.excerpt, close.excerpt.as_deref());
        prop_assert_eq!((view.ttft_us, view.duration_us, view.usage), (times.0, times.1, usage));
        prop_assert_eq!(view.served_model, close.served_model.as_deref());
        prop_assert_eq!((view.vendor_cost, view.cost()), (close.vendor_cost, close.cost.total()));
        prop_assert_eq!(view.lines, if known { lines } else { Vec::new() });
        prop_assert_eq!(view.unknown.is_some(), !known);
    }

    #[test]
    fn a_request_close_round_trips(open in open(), saving in any::<Option<(i64, i64)>>(), decision in ".{0,80}") {
        let close = RequestClose {
            open, status: 499, reason: "matched:prove".to_owned(), provider: None, model: Some("m".to_owned()),
            duration_us: 7, ttft_us: None, attempts: 3, decision,
            saving: saving.map(|(baseline, amount)| Saving {
                baseline_target: "f/m".to_owned(), baseline_cost: Money::from_pico(baseline.into()),
                amount: Money::from_pico(amount.into()),
            }),
        };
        let mut out = Vec::new();
        request_close(&mut out, &close);
        let Some(Record::RequestClose(view)) = decode(&out) else { panic!("not a close") };
        same_open(&view.open, &close.open);
        prop_assert_eq!((view.status, view.reason, view.attempts), (499, "matched:prove", 3));
        prop_assert_eq!((view.provider, view.model, view.ttft_us), (None, Some("m"), None));
        prop_assert_eq!((view.duration_us, view.decision), (Some(7), close.decision.as_str()));
        let shown = view.saving.map(|s| (s.baseline_target.to_owned(), s.baseline_cost, s.amount));
        prop_assert_eq!(shown, close.saving.map(|s| (s.baseline_target, s.baseline_cost, s.amount)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        for tag in 0..6 {
            let mut tagged = bytes.clone();
            tagged.insert(0, tag);
            let _ = decode(&tagged);
        }
    }
}

#[test]
fn an_explanation_that_is_too_long_stays_json() {
    let mut out = Vec::new();
    let mut open = Vec::new();
    put_bytes(&mut open, b"");
    let request = RequestOpen {
        id: Ulid(1),
        client_request_id: Some("x".repeat(5000)),
        started_at: Timestamp::UNIX_EPOCH,
        key: None,
        route: None,
        requested_model: String::new(),
        op: "chat",
        stream: false,
        tags: vec![("k".to_owned(), "v".to_owned()); 1000],
        session: 0,
        config_version: 0,
    };
    let close = RequestClose {
        open: Arc::new(request),
        status: 200,
        reason: String::new(),
        provider: None,
        model: None,
        duration_us: 0,
        ttft_us: None,
        attempts: 0,
        saving: None,
        decision: format!("\"{}\"", "x".repeat(DECISION)),
    };
    request_close(&mut out, &close);
    let Some(Record::RequestClose(view)) = decode(&out) else { panic!("not a close") };
    assert_eq!(view.decision, r#"{"truncated":true}"#);
    assert_eq!((view.open.client_request_id.map(str::len), view.open.tags.len()), (Some(TEXT), TAGS));
}
