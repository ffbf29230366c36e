//! What goes wrong, seen from the caller's side.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate_sim::{BillEnd, Fault, RetryAfter, Sim, Timing, UsageStyle, VendorSpec};

use crate::client::{open, post, request, soon};

const CHAT: &str = "/chat/completions";

fn chat(stream: bool) -> Value {
    let mut body =
        json!({"model": "m", "messages": [{"role": "user", "content": "[[len:40]]"}], "stream": stream});
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

async fn faulty(fault: Fault) -> Sim {
    Sim::start(VendorSpec::openai("v").faults([fault.always()])).await.unwrap()
}

#[tokio::test]
async fn a_killed_vendor_refuses_until_it_is_revived() {
    let sim = Sim::start(VendorSpec::openai("v")).await.unwrap();
    sim.kill().await;
    let refused = tokio::net::TcpStream::connect(sim.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    sim.revive().await.unwrap();
    assert_eq!(post(&sim, CHAT, &chat(false)).await.status, 200);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let sim = faulty(Fault::Reset).await;
    let error = open(&sim, request(&sim, CHAT, &chat(false))).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<std::io::Error>());
    assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::ConnectionReset), "{error:?}");
    assert_eq!(soon(sim.wait_until(|s| s.open == 0)).await.broken, 1);
}

#[tokio::test]
async fn callers_that_hang_up_are_noticed_at_once() {
    for fault in [Fault::HangBeforeHead, Fault::HangAfterHead, Fault::Stall { after: 3 }] {
        for stream in [false, true] {
            let sim = faulty(fault.clone()).await;
            let call = open(&sim, request(&sim, CHAT, &chat(stream)));
            let call = tokio::time::timeout(Duration::from_millis(50), call).await;
            assert_eq!(call.is_err(), fault == Fault::HangBeforeHead, "{fault:?}");
            soon(sim.wait_until(|s| s.open == 1)).await;
            drop(call);
            let stats = soon(sim.wait_until(|s| s.cancelled == 1)).await;
            assert_eq!((stats.open, stats.completed), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_caller_that_leaves_mid_stream_is_billed_for_what_was_sent() {
    let timing = Timing { gap: Duration::from_hours(1), ..Timing::default() };
    let sim = Sim::start(VendorSpec { timing, ..VendorSpec::openai("v") }).await.unwrap();
    let mut body = open(&sim, request(&sim, CHAT, &chat(true))).await.unwrap().into_body();
    let mut seen = String::new();
    while !seen.contains("The") {
        let frame = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        seen.push_str(std::str::from_utf8(&frame).unwrap());
    }
    drop(body);
    soon(sim.wait_until(|s| s.cancelled == 1)).await;
    let bill = sim.bills().remove(0);
    assert_eq!((bill.end, bill.tally.output), (BillEnd::Cancelled, 4));
}

#[tokio::test]
async fn fn2_25_every_spelling_of_retry_after() {
    let cases = [
        (RetryAfter::Seconds(2), "retry-after", "2"),
        (
            RetryAfter::Date("Wed, 21 Oct 2026 07:28:00 GMT".into()),
            "retry-after",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ),
        (RetryAfter::Millis(1500), "retry-after-ms", "1500"),
        (RetryAfter::AzureMillis(7), "x-ms-retry-after-ms", "7"),
        (RetryAfter::Reset("6m0s".into()), "x-ratelimit-reset-requests", "6m0s"),
    ];
    for (after, name, value) in cases {
        let got = post(&faulty(Fault::RateLimited(after)).await, CHAT, &chat(true)).await;
        assert_eq!((got.status.as_u16(), got.headers[name].to_str().unwrap()), (429, value));
    }
    let got = post(&faulty(Fault::RateLimited(RetryAfter::Body(12))).await, CHAT, &chat(false)).await;
    assert!(got.json()["error"]["message"].as_str().unwrap().contains("12s"));
}

#[tokio::test]
async fn refusals_have_their_status_and_no_bill() {
    let cases = [
        (Fault::QuotaExhausted, 429, "insufficient_quota"),
        (Fault::Status(500), 500, ""),
        (Fault::Status(502), 502, ""),
        (Fault::Status(529), 529, ""),
        (Fault::Overloaded, 503, "overloaded"),
        (Fault::Retired, 404, "model_not_found"),
        (Fault::ContentFilter, 400, "content_filter"),
        (Fault::ContextLength, 400, "context_length_exceeded"),
        (Fault::WrongKey, 401, "invalid_api_key"),
    ];
    for (fault, status, code) in cases {
        let sim = faulty(fault).await;
        let got = post(&sim, CHAT, &chat(true)).await;
        let said = got.json();
        assert_eq!((got.status.as_u16(), said["error"]["code"].as_str().unwrap_or("")), (status, code));
        assert_eq!((sim.bills().len(), sim.stats().refused, sim.stats().open), (0, 1, 0));
    }
}

#[tokio::test]
async fn pages_arrays_redirects_and_gzip() {
    let got = post(&faulty(Fault::Html(200)).await, CHAT, &chat(false)).await;
    assert_eq!((got.status.as_u16(), got.headers["content-type"].to_str().unwrap()), (200, "text/html"));
    let got = post(&faulty(Fault::ErrorArray(503)).await, CHAT, &chat(false)).await;
    assert_eq!(got.json()[0]["error"]["code"], "overloaded");
    let got = post(&faulty(Fault::Redirect("http://127.0.0.1:1/".into())).await, CHAT, &chat(false)).await;
    assert_eq!(
        (got.status.as_u16(), got.headers["location"].to_str().unwrap()),
        (302, "http://127.0.0.1:1/")
    );
    for stream in [false, true] {
        let got = post(&faulty(Fault::Gzip).await, CHAT, &chat(stream)).await;
        assert_eq!(got.headers["content-encoding"], "gzip");
        assert_eq!(&got.body[..3], [0x1f, 0x8b, 8]);
    }
}

#[tokio::test]
async fn an_error_inside_a_200_may_come_before_or_after_content() {
    for (after, output) in [(0, 0), (1, 0), (4, 12)] {
        let sim = faulty(Fault::ErrorInOk { after }).await;
        let got = post(&sim, CHAT, &chat(true)).await;
        let events = got.events();
        assert_eq!((got.status.as_u16(), events.len()), (200, after + 1));
        assert_eq!(events[after]["error"]["code"], "overloaded");
        assert!(!got.data().contains(&"[DONE]"));
        let bill = sim.bills().remove(0);
        assert_eq!((bill.tally.output, bill.tally.fresh > 0), (output, output > 0), "free before content");
    }
    let got = post(&faulty(Fault::ErrorInOk { after: 0 }).await, CHAT, &chat(false)).await;
    assert_eq!((got.status.as_u16(), &got.json()["error"]["code"]), (200, &json!("overloaded")));
}

#[tokio::test]
async fn cut_streams_with_and_without_a_clean_end() {
    for clean in [true, false] {
        for after in [0, 1, 5] {
            let sim = faulty(Fault::Cut { after, clean }).await;
            let got = post(&sim, CHAT, &chat(true)).await;
            assert_eq!((got.clean, got.data().len()), (clean, after));
            assert_eq!((sim.stats().broken, sim.bills()[0].end), (1, BillEnd::Broken));
        }
    }
}

#[tokio::test]
async fn truncated_bodies() {
    for clean in [true, false] {
        let got = post(&faulty(Fault::TruncatedBody { clean }).await, CHAT, &chat(false)).await;
        assert_eq!(got.clean, clean);
        assert!(serde_json::from_slice::<Value>(&got.body).is_err());
    }
}

#[tokio::test]
async fn garbage_and_huge_lines_do_not_end_the_stream() {
    let got = post(&faulty(Fault::Garbage { after: 2 }).await, CHAT, &chat(true)).await;
    assert!(serde_json::from_str::<Value>(got.data()[2]).is_err());
    assert_eq!(got.data().last(), Some(&"[DONE]"));
    let got = post(&faulty(Fault::HugeLine { after: 1, bytes: 10 << 20 }).await, CHAT, &chat(true)).await;
    assert_eq!(got.data()[1].len(), 10 << 20);
}

#[tokio::test]
async fn fn2_05_usage_in_every_place() {
    let usages = async |style| {
        let events = post(&faulty(Fault::Usage(style)).await, CHAT, &chat(true)).await.events();
        events.into_iter().filter(|event| event["usage"].is_object()).collect::<Vec<_>>()
    };
    assert!(usages(UsageStyle::Missing).await.is_empty());
    let empty = usages(UsageStyle::EmptyDelta).await;
    assert_eq!((empty.len(), &empty[0]["choices"][0]["delta"]), (1, &json!({})));
    let finish = usages(UsageStyle::OnFinish).await;
    assert_eq!((finish.len(), &finish[0]["choices"][0]["finish_reason"]), (1, &json!("stop")));
    let every = usages(UsageStyle::EveryChunk).await;
    assert!(every.len() > 10);
    assert_eq!(every.last().unwrap()["usage"], empty[0]["usage"]);
}

#[tokio::test]
async fn slow_ones_are_slow() {
    let slow = Fault::SlowFirstToken(Duration::from_millis(80));
    for stream in [false, true] {
        let begun = tokio::time::Instant::now();
        post(&faulty(slow.clone()).await, CHAT, &chat(stream)).await;
        assert!(begun.elapsed() >= Duration::from_millis(80));
    }
}

#[tokio::test]
async fn faults_are_switched_and_counted_by_request() {
    let rules = [Fault::Status(500).first(1), Fault::Retired.always().of_model("old")];
    let sim = Sim::start(VendorSpec::openai("v").faults(rules)).await.unwrap();
    let status = async |model: &str| {
        let mut body = chat(false);
        body["model"] = json!(model);
        post(&sim, CHAT, &body).await.status.as_u16()
    };
    assert_eq!([status("m").await, status("m").await, status("old").await], [500, 200, 404]);
    sim.set_fault(Some(Fault::Status(503)));
    assert_eq!(status("m").await, 503);
    sim.set_fault(None);
    assert_eq!(status("old").await, 200);
}
