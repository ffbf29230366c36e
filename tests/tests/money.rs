//! "Done when" 3 and 5: streamed and buffered twins cost the same to the last digit, and every view of the spend agrees
//! with a recomputation from the rows.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sim::{Dialect, Fault, ModelSpec, UsageStyle, VendorSpec};
use tollgate_tests::{Stack, pico, setup, spec};

const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];

const MODELS: &str = r#"
[models.priced]
targets = ["vendor/priced"]
"#;

fn vendor(dialect: Dialect) -> VendorSpec {
    VendorSpec::new("vendor", dialect).models([ModelSpec::new("priced"), ModelSpec::strong("other")])
}

fn asks(stream: bool, prompt: &str) -> Value {
    json!({"model": "priced", "stream": stream, "messages": [{"role": "user", "content": prompt}]})
}

async fn ask(stack: &Stack, body: &Value) {
    if body["stream"] == true {
        let mut reader = stack.client.stream("/v1/chat/completions", body).await;
        spec::check_chat_stream(&reader.data().await);
    } else {
        let reply = stack.client.post("/v1/chat/completions", body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        spec::check(spec::CHAT, &reply.json());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_01_streamed_and_buffered_twins_cost_the_same() {
    let prompts = [
        "[[len:31]] Plain.",
        "[[len:17]][[cached:5]] Much of this prompt was read from a cache.",
        "[[len:9]][[think:40]] This one is thought about first.",
        "[[len:9]][[write:6]][[write1h:3]] Parts of this prompt are written to caches.",
    ];
    for dialect in DIALECTS {
        // Only Anthropic tells what was written to a cache.
        let prompts = if dialect == Dialect::Anthropic { &prompts[..] } else { &prompts[..3] };
        let stack = Stack::start([vendor(dialect)], MODELS).await;
        for prompt in prompts {
            ask(&stack, &asks(false, prompt)).await;
            ask(&stack, &asks(true, prompt)).await;
        }
        let rows = stack.closed(2 * prompts.len()).await;
        for bill in stack.sim("vendor").bills() {
            let row =
                rows.iter().find(|row| row["id"].as_str() == bill.request_id.as_deref()).expect("a row");
            assert_eq!(pico(&row["cost_usd"]), setup::billed(&bill), "{dialect:?}: {bill:?}\n{row:#}");
        }
        for twins in rows.chunks(2) {
            let [one, two] = twins else { panic!("pairs") };
            assert_ne!(one["stream"], two["stream"]);
            assert_eq!(one["cost_usd"], two["cost_usd"], "{dialect:?}: {one:#}\n{two:#}");
            assert_eq!(one["usage"], two["usage"], "{dialect:?}");
            assert!(pico(&one["cost_usd"]) > 0, "{one:#}");
            assert_eq!(one["cost_basis"], "reported");
        }
    }
}

/// However a vendor sends its usage on a stream, it costs what the buffered twin costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_02_fn2_05_usage_counts_wherever_it_comes_in_a_stream() {
    for style in [UsageStyle::EveryChunk, UsageStyle::EmptyDelta, UsageStyle::OnFinish] {
        let stack = Stack::start([vendor(Dialect::OpenAi)], MODELS).await;
        let prompt = "[[len:30]][[cached:4]] Count me.";
        ask(&stack, &asks(false, prompt)).await;
        stack.sim("vendor").set_fault(Some(Fault::Usage(style)));
        ask(&stack, &asks(true, prompt)).await;
        let rows = stack.closed(2).await;
        assert_eq!(rows[0]["usage"], rows[1]["usage"], "{style:?}");
        assert_eq!(rows[0]["cost_usd"], rows[1]["cost_usd"], "{style:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_02_usage_that_never_comes_is_estimated_and_says_so() {
    let stack = Stack::start([vendor(Dialect::OpenAi)], MODELS).await;
    stack.sim("vendor").set_fault(Some(Fault::Usage(UsageStyle::Missing)));
    for stream in [false, true] {
        ask(&stack, &asks(stream, "[[len:30]] Count me.")).await;
    }
    for row in stack.closed(2).await {
        assert_eq!(row["usage"]["estimated"], true, "{row:#}");
        assert_eq!(row["cost_basis"], "estimated", "{row:#}");
        assert!(pico(&row["cost_usd"]) > 0, "{row:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_04_an_unknown_price_is_unknown_never_zero() {
    let config = "[models.unpriced]\ntargets = [\"vendor/nobody-knows\"]\n";
    let spec = VendorSpec::openai("vendor").models([ModelSpec::new("nobody-knows")]);
    let stack = Stack::start([spec], config).await;
    let body = json!({"model": "unpriced", "messages": [{"role": "user", "content": "Hello"}]});
    let reply = stack.client.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-tollgate-cost"), "", "no cost is told that is not known");
    let rows = stack.closed(1).await;
    assert_eq!(
        (&rows[0]["cost_usd"], &rows[0]["cost_basis"]),
        (&Value::Null, &json!("unknown")),
        "{:#}",
        rows[0]
    );
}

/// Every view against the rows: the API's, the command's, each grouping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spend_agrees_with_the_rows_to_the_last_digit() {
    let config = r#"
[models.weak]
targets = ["north/priced"]
[models.strong]
targets = ["south/other"]
[routes.auto]
default = "weak"
escalate = "strong"
escalate_before = [{ matches = "(?i)\\bprove\\b" }]
escalate_after = ["refusal"]
hold_back = { until = "prefix", tokens = 64, ms = 1500 }
"#;
    let north = VendorSpec::openai("north").models([ModelSpec::new("priced")]);
    let south = VendorSpec::anthropic("south").models([ModelSpec::strong("other")]);
    let stack = Stack::start([north, south], config).await;
    let prompts = [
        "Say hello.",
        "[[len:333]] More.",
        "Prove it.",
        "[[cached:3]] A cached one, please.",
        "[[refuse]] No.",
    ];
    for (i, prompt) in prompts.iter().cycle().take(20).enumerate() {
        let mut body = asks(i % 3 == 0, prompt);
        body["model"] = json!(if i % 4 == 3 { "strong" } else { "auto" });
        ask(&stack, &body).await;
    }
    let rows = stack.closed(20).await;

    let mut groups: BTreeMap<(Option<String>, String), i128> = BTreeMap::new();
    let mut total = 0;
    for row in &rows {
        let attempts = row["attempts"].as_array().expect("attempts");
        let cost: i128 = attempts.iter().map(|attempt| pico(&attempt["cost_usd"])).sum();
        assert_eq!(pico(&row["cost_usd"]), cost, "a request costs what its attempts cost: {row:#}");
        total += cost;
        for attempt in attempts {
            let route = row["route"].as_str().map(str::to_owned);
            let (_, model) = attempt["target"].as_str().and_then(|t| t.split_once('/')).expect("a target");
            *groups.entry((route, model.to_owned())).or_default() += pico(&attempt["cost_usd"]);
        }
    }
    assert!(rows.iter().any(|row| row["attempts"].as_array().is_some_and(|a| a.len() == 2)), "one escalated");

    for view in [
        stack.client.get("/api/v1/spend?by=route,model").await.json(),
        stack.command_json(&["spend", "--by", "route,model", "--json"]).await,
    ] {
        let mut seen = BTreeMap::new();
        for line in view["rows"].as_array().unwrap_or_else(|| panic!("rows in {view:#}")) {
            let route = line["route"].as_str().filter(|route| !route.is_empty()).map(str::to_owned);
            let model = line["model"].as_str().expect("a model").to_owned();
            *seen.entry((route, model)).or_default() += pico(&line["cost_usd"]);
        }
        assert_eq!(seen, groups, "{view:#}");
    }
    for by in ["route", "model", "provider", "target", "key", "hour", "day"] {
        let view = stack.client.get(&format!("/api/v1/spend?by={by}")).await.json();
        let lines = view["rows"].as_array().unwrap_or_else(|| panic!("rows in {view:#}"));
        assert_eq!(lines.iter().map(|line| pico(&line["cost_usd"])).sum::<i128>(), total, "by {by}");
    }
}

#[tokio::test]
async fn fn1_20_an_answer_that_is_refused_here_keeps_the_usage_that_was_billed() {
    let vendor = VendorSpec::gemini("vendor").models([ModelSpec::new("m")]);
    let stack = Stack::start([vendor], "[models.m]\ntargets = [\"vendor/m\"]\n").await;
    // Gemini's MALFORMED_FUNCTION_CALL: HTTP 200, billed, and no answer.
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "[[malformed]] Hello"}]});
    let reply = stack.client.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    let bills = stack.sim("vendor").bills();
    let rows = stack.settled(&bills).await;
    let attempts = rows[0]["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), bills.len());
    for (attempt, bill) in attempts.iter().zip(&bills) {
        assert_eq!(attempt["usage"]["input_tokens"], bill.tally.input(), "{attempt:#}");
        assert_eq!(attempt["usage"]["estimated"], false, "{attempt:#}");
        assert_eq!(attempt["cost_basis"], "reported", "{attempt:#}");
    }
}
