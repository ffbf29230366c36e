//! "Done when" 3: with vendor A dead, slow, throttling, cutting streams or sending errors inside HTTP 200, a two-vendor
//! model answers every request that has not started to stream; the breaker's state is visible; nothing is lost.

use std::time::Duration;

use serde_json::{Value, json};
use sim::{Dialect, Fault, ModelSpec, RetryAfter, VendorSpec};
use tollgate_tests::{SseEvent, Stack, bounded, spec};

const PAIR: &str = r#"
[timeouts]
connect = 1
first_byte = 1
whole = 1
idle = 1
total = 20
[models.pair]
targets = ["a/m", "b/m"]
pick = "order"
"#;

async fn pair(dialect: Dialect, fault: Option<Fault>) -> Stack {
    let vendor = |name| VendorSpec::new(name, dialect).models([ModelSpec::new("m")]);
    let stack = Stack::start([vendor("a"), vendor("b")], PAIR).await;
    stack.sim("a").set_fault(fault);
    stack
}

fn asks(stream: bool, i: usize) -> Value {
    json!({
        "model": "pair", "stream": stream,
        "messages": [{"role": "user", "content": format!("[[say:answer {i}]] Question {i}?")}],
    })
}

/// Text of an answer, whole or streamed; panics when it is not a good one.
async fn text(stack: &Stack, stream: bool, i: usize) -> String {
    let body = asks(stream, i);
    if !stream {
        let reply = stack.client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        spec::check(spec::CHAT, &reply.json());
        return reply.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
    }
    let mut reader = stack.client.stream("/v1/chat/completions", &body).await;
    let chunks = spec::check_chat_stream(&reader.data().await);
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// Some requests one after the other: all are answered, and the books hold each attempt once.
async fn all_are_answered(stack: &Stack, modes: &[bool]) {
    const REQUESTS: usize = 6;
    for stream in modes {
        for i in 0..REQUESTS {
            assert_eq!(text(stack, *stream, i).await, format!("answer {i}"));
        }
    }
    let rows = stack.closed(modes.len() * REQUESTS).await;
    for row in &rows {
        let attempts = row["attempts"].as_array().expect("attempts");
        let answered: Vec<&Value> = attempts.iter().filter(|attempt| attempt["outcome"] == "ok").collect();
        assert_eq!(answered.len(), 1, "{row:#}");
        assert_eq!(answered[0]["target"], "b/m", "{row:#}");
        assert_eq!((&row["status"], &row["provider"]), (&json!(200), &json!("b")), "{row:#}");
    }
    let of = |target: &str| {
        let attempts = rows.iter().flat_map(|row| row["attempts"].as_array().expect("attempts"));
        u64::try_from(attempts.filter(|attempt| attempt["target"] == target).count()).expect("few")
    };
    assert_eq!(of("b/m"), stack.sim("b").stats().calls, "nothing is lost, nothing doubled");
    assert!(of("a/m") >= stack.sim("a").stats().calls, "each call that reached A has its row");
    assert!(of("a/m") >= 1, "A was tried");
}

/// A's line of `/api/v1/providers`.
async fn breaker_of_a(stack: &Stack) -> Value {
    let providers = stack.client.get("/api/v1/providers").await.json();
    let lines = providers["targets"].as_array().cloned().unwrap_or_default();
    lines
        .into_iter()
        .find(|line| line["target"] == "a/m")
        .unwrap_or_else(|| panic!("A is not in {providers:#}"))
}

/// Buffered and streamed. What breaks a stream only is asked of streams only.
const BOTH: [bool; 2] = [false, true];
const STREAMED: [bool; 1] = [true];

macro_rules! answered_in_spite_of {
    ($($name:ident($modes:expr): $fault:expr),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
                let stack = pair(dialect, Some($fault)).await;
                all_are_answered(&stack, &$modes).await;
            }
        }
    )*};
}

answered_in_spite_of! {
    vendor_that_resets_connections(BOTH): Fault::Reset,
    vendor_that_throttles(BOTH): Fault::RateLimited(RetryAfter::Seconds(30)),
    vendor_whose_credit_is_used_up(BOTH): Fault::QuotaExhausted,
    vendor_with_server_errors(BOTH): Fault::Status(500),
    vendor_that_is_overloaded(BOTH): Fault::Overloaded,
    vendor_with_a_proxy_page(BOTH): Fault::Html(502),
    vendor_that_rejects_the_key(BOTH): Fault::WrongKey,
    fn1_05_error_inside_http_200(BOTH): Fault::ErrorInOk { after: 0 },
    fn1_05_stream_cut_before_content(STREAMED): Fault::Cut { after: 0, clean: true },
    vendor_that_is_slow_before_the_head(BOTH): Fault::HangBeforeHead,
    fn1_06_vendor_that_hangs_after_the_head(BOTH): Fault::HangAfterHead,
    vendor_with_a_broken_body([false]): Fault::TruncatedBody { clean: false },
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vendor_that_is_dead() {
    let stack = pair(Dialect::OpenAi, None).await;
    stack.sim("a").kill().await;
    all_are_answered(&stack, &BOTH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_14_an_open_breaker_is_visible_and_spares_the_vendor() {
    let stack = pair(Dialect::OpenAi, Some(Fault::Status(503))).await;
    for i in 0..20 {
        text(&stack, false, i).await;
    }
    let line = breaker_of_a(&stack).await;
    assert_eq!(line["state"], "open", "{line:#}");
    assert!(line["reason"].is_string() && line["retry_in_ms"].is_u64(), "reason and expiry: {line:#}");
    let calls = stack.sim("a").stats().calls;
    assert!(calls < 20, "A was called {calls} times in 20 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_13_a_vendor_that_asks_for_time_gets_it() {
    let stack = pair(Dialect::OpenAi, Some(Fault::RateLimited(RetryAfter::Seconds(600)))).await;
    for i in 0..10 {
        text(&stack, i % 2 == 0, i).await;
    }
    assert_eq!(stack.sim("a").stats().calls, 1, "one 429 with retry-after keeps it out");
    let wait = breaker_of_a(&stack).await["retry_in_ms"].as_u64().expect("an expiry");
    assert!(wait > 500_000, "{wait} ms");
}

/// After content has gone to the client there is no switch: the client sees an error and no clean end (LAW 4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_05_a_cut_after_content_is_an_error_never_a_clean_end() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        for clean in [true, false] {
            let stack = pair(dialect, Some(Fault::Cut { after: 6, clean })).await;
            let long = json!({
                "model": "pair", "stream": true,
                "messages": [{"role": "user", "content": "[[len:200]] Go on."}],
            });
            let mut reader = stack.client.stream("/v1/chat/completions", &long).await;
            let data = reader.data().await;
            assert!(!data.iter().any(|line| line == "[DONE]"), "{dialect:?}: {data:#?}");
            let last: Value = serde_json::from_str(data.last().expect("events")).expect("JSON");
            spec::check(spec::ERROR, &last);
            assert!(data.len() > 1, "content came before: {data:#?}");

            let rows = stack.closed(1).await;
            let attempts = rows[0]["attempts"].as_array().expect("attempts");
            assert_eq!(attempts.len(), 1, "no second vendor after content: {:#}", rows[0]);
            assert_eq!(attempts[0]["outcome"], "partial", "{:#}", rows[0]);
            assert!(
                attempts[0]["usage"]["output_tokens"].as_u64().expect("tokens") > 0,
                "billed for what came"
            );
            assert_eq!(breaker_of_a(&stack).await["failures"], 1, "a cut is a failure to the breaker");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_vendors_down_is_one_error_with_advice() {
    let stack = pair(Dialect::OpenAi, Some(Fault::RateLimited(RetryAfter::Seconds(40)))).await;
    stack.sim("b").set_fault(Some(Fault::RateLimited(RetryAfter::Seconds(70))));
    for stream in [false, true] {
        let Err(reply) = stack.client.try_stream("/v1/chat/completions", &asks(stream, 0)).await else {
            panic!("nobody could answer")
        };
        spec::check(spec::ERROR, &reply.json());
        assert!(reply.status == 429 || reply.status == 503, "{}: {}", reply.status, reply.text());
    }
    // The second request found both vendors out of rotation: it made no call, so it has no row.
    let rows = stack.closed(1).await;
    let attempts: usize = rows.iter().map(|row| row["attempts"].as_array().expect("attempts").len()).sum();
    let calls = stack.sim("a").stats().calls + stack.sim("b").stats().calls;
    assert_eq!(attempts as u64, calls, "each call has its row");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_13_our_own_429_carries_the_longest_wait_and_forbids_a_retry() {
    let stack = pair(Dialect::OpenAi, Some(Fault::RateLimited(RetryAfter::Seconds(40)))).await;
    stack.sim("b").set_fault(Some(Fault::RateLimited(RetryAfter::Seconds(70))));
    let reply = stack.client.post("/v1/chat/completions", &asks(false, 0)).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), "70");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(reply.header("x-tollgate-attempts"), "2");
}

/// A client that hangs up cancels the vendor's work at once, and its attempt is in the books (LAW 1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_07_a_client_that_hangs_up_cancels_the_vendor_and_leaves_a_row() {
    let gap = sim::Timing { gap: Duration::from_millis(20), ..sim::Timing::default() };
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let stack = pair(dialect, Some(Fault::Slow(gap))).await;
        let long = json!({
            "model": "pair", "stream": true,
            "messages": [{"role": "user", "content": "[[len:20000]] Go on."}],
        });
        let mut reader = stack.client.stream("/v1/chat/completions", &long).await;
        for _ in 0..5 {
            let event = reader.next().await;
            assert!(matches!(event, Some(SseEvent::Data(_))), "{event:?}");
        }
        drop(reader);
        let stats =
            bounded("the cancelled call", stack.sim("a").wait_until(|stats| stats.cancelled == 1)).await;
        assert_eq!((stats.calls, stats.open), (1, 0));
        let rows = stack.closed(1).await;
        assert_eq!(rows[0]["status"], 499, "{:#}", rows[0]);
        let attempt = &rows[0]["attempts"][0];
        assert_eq!(attempt["outcome"], "cancelled", "{:#}", rows[0]);
        assert_eq!(attempt["usage"]["estimated"], true, "{:#}", rows[0]);
        assert!(attempt["usage"]["output_tokens"].as_u64().expect("tokens") > 0, "{:#}", rows[0]);
    }
}
