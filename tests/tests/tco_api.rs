//! `POST /api/v1/tco` from outside: the same answer as `tollgate tco`, to the digit; every problem at once; and out of the
//! reach of client keys and foreign pages.

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::sdk::repository;
use tollgate_tests::{ADMIN_TOKEN, Reply, Stack, bounded};

const CONFIG: &str = "[models.cheap]\ntargets = [\"vendor/small\"]\n[models.flagship]\ntargets = [\"vendor/large\"]\n\
                      [routes.auto]\ndefault = \"cheap\"\nescalate = \"flagship\"\n\
                      escalate_before = [{ matches = \"(?i)prove\" }]\n";

async fn stack() -> Stack {
    let models = [ModelSpec::new("small"), ModelSpec::strong("large")];
    Stack::start([VendorSpec::openai("vendor").models(models)], CONFIG).await
}

fn example(name: &str) -> (String, String) {
    let path = repository().join("examples/article").join(name);
    let text = std::fs::read_to_string(&path).expect("an example");
    (path.to_str().expect("text").to_owned(), text)
}

async fn asked(stack: &Stack, body: &Value) -> Reply {
    bounded("a decision", stack.client.post("/api/v1/tco", body)).await
}

async fn report(stack: &Stack, body: &Value) -> Value {
    let reply = asked(stack, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_article_through_the_api_is_that_of_the_command_to_the_digit() {
    let stack = stack().await;
    for name in ["scale-1.toml", "scale-2.toml", "scale-3.toml"] {
        let (path, toml) = example(name);
        let command = stack.command_json(&["tco", &path, "--json"]).await;
        assert_eq!(report(&stack, &json!({ "scenario": toml })).await, command, "{name} as TOML");
        let tree = tco::toml_value(&toml).expect("TOML");
        assert_eq!(report(&stack, &tree).await, command, "{name} as JSON");
    }
    let (path, toml) = example("scale-2.toml");
    let flags = ["--risk", "default", "--prices", "article,catalogue", "--seed", "7", "--draws", "2000"];
    let command = stack.command_json(&[&["tco", &path, "--json"], &flags[..]].concat()).await;
    let body = json!({
        "scenario": toml, "risk": "default", "prices": ["article", "catalogue"], "seed": 7, "draws": 2_000,
    });
    let answer = report(&stack, &body).await;
    assert_eq!(answer, command);
    assert_eq!(answer["risk"]["draws"], 2_000);
    assert_eq!(answer["prices"]["kind"], "article");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_what_flags_change() {
    let stack = stack().await;
    let (file, toml) = example("scale-3.toml");
    let flags = [
        "--requests-per-day",
        "5000",
        "--peak-to-mean",
        "2",
        "--set",
        "stacks.own.spares=2",
        "--set",
        "stacks.own.usd_per_gpu_hour=1.25",
    ];
    let command = stack.command_json(&[&["tco", &file, "--json"], &flags[..]].concat()).await;
    let patch = json!({
        "workload": {"requests_per_day": 5_000.0, "peak_to_mean": 2.0},
        "stacks": {"own": {"spares": 2, "usd_per_gpu_hour": 1.25}},
    });
    assert_eq!(report(&stack, &json!({"scenario": toml, "patch": patch})).await, command);
    let without = report(&stack, &json!({"scenario": toml, "patch": {"stacks": {"own": null}}})).await;
    assert!(!without["stacks"].to_string().contains("self-hosted"), "null takes out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_decides_through_the_api_as_through_the_command() {
    let stack = stack().await;
    let empty = asked(&stack, &json!({"from_ledger": "7d"})).await;
    assert_eq!((empty.status.as_u16(), &empty.json()["error"]["code"]), (404, &json!("no_traffic")));
    for prompt in ["Hello", "Prove it", "Hello again"] {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
        assert_eq!(stack.client.post("/v1/chat/completions", &body).await.status, 200);
    }
    stack.closed(3).await;
    let command = stack.command_json(&["tco", "--from-ledger", "7d", "--json"]).await;
    let answer = report(&stack, &json!({"from_ledger": "7d"})).await;
    assert_eq!(answer, command);
    assert!(answer["workload"]["source"].as_str().expect("text").starts_with("ledger, since"));
    // a scenario beside it keeps its word except on the traffic
    let stacks = json!({"stacks": {"only": {"model": "openai/gpt-5.4"}}});
    let mine = report(&stack, &json!({"from_ledger": "7d", "scenario": stacks})).await;
    assert_eq!(mine["winner"]["name"], "only");
    assert_eq!(mine["workload"], answer["workload"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_problem_comes_at_once_each_with_a_hint() {
    let stack = stack().await;
    let (_, toml) = example("scale-1.toml");
    let patch = json!({
        "workload": {"input_tokens": -5, "cached_share": 1.5},
        "stacks": {"gpt": {"model": "openai/gpt-5.44"}, "own": {"preset": null, "gpu": "H100-SXM-80", "gpus_per_replica": 2}},
    });
    let reply = asked(&stack, &json!({"scenario": toml, "patch": patch})).await;
    assert_eq!(reply.status, 400);
    let error = reply.json()["error"].clone();
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("invalid_request_error"), &json!("invalid_scenario"))
    );
    let problems = error["problems"].as_array().expect("a list");
    let paths: Vec<&str> = problems.iter().filter_map(|problem| problem["path"].as_str()).collect();
    for path in ["workload.input_tokens", "workload.cached_share", "stacks.gpt", "stacks.own"] {
        assert!(paths.iter().any(|known| known.starts_with(path)), "{path} in {paths:?}");
    }
    assert!(problems.iter().all(|problem| problem["hint"].as_str().is_some_and(|hint| !hint.is_empty())));
    let lines = error["message"].as_str().expect("text").lines().count();
    assert_eq!(lines, problems.len(), "a line each");
    // options too, and what is none
    let reply = asked(&stack, &json!({"scenario": toml, "drawz": 5, "risk": "some", "draws": 1})).await;
    let problems = reply.json()["error"]["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(3), "{problems}");
    for body in [json!([]), json!("x"), json!({"scenario": "not = = toml"}), json!({"scenario": 3})] {
        assert_eq!(asked(&stack, &body).await.status, 400, "{body}");
    }
    // what it may cost is bounded
    let draws = asked(&stack, &json!({"scenario": toml, "draws": 1_000_000})).await;
    assert_eq!(draws.status, 400);
    assert!(draws.text().contains("100,000"), "{}", draws.text());
    let long = asked(&stack, &json!({"scenario": toml, "title": "x".repeat(300_000)})).await;
    assert_eq!(long.status, 413, "{}", long.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_needs_the_admin_token_and_no_foreign_page_can_ask() {
    let config = format!("{CONFIG}[keys.ads]\nsecret = \"secret-of-ads-000000\"\n");
    let models = [ModelSpec::new("small"), ModelSpec::strong("large")];
    let stack = Stack::start([VendorSpec::openai("vendor").models(models)], &config).await;
    let body = json!({ "scenario": example("scale-1.toml").1 });
    let status =
        async |client: tollgate_tests::Client| client.post("/api/v1/tco", &body).await.status.as_u16();
    assert_eq!(status(stack.client.clone()).await, 401);
    assert_eq!(status(stack.client.clone().bearer("secret-of-ads-000000")).await, 403);
    let admin = stack.client.clone().bearer(ADMIN_TOKEN);
    assert_eq!(status(admin.clone()).await, 200);
    let key = stack.client.clone().bearer("secret-of-ads-000000").get("/decide").await;
    assert_eq!(key.status, 403, "nor the page");
    assert_eq!(admin.get("/decide").await.status, 200);

    for (name, value, refused) in [
        (header::ORIGIN, "https://evil.example", 403),
        (header::CONTENT_TYPE, "text/plain", 415),
        (header::HOST, "evil.example", 421),
    ] {
        let mut request = admin.json_request("/api/v1/tco", Bytes::from(body.to_string()));
        request.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
        let reply = admin.whole(request).await;
        assert_eq!(reply.status, refused, "{name}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_comes_as_a_file_too() {
    let stack = stack().await;
    let body = json!({"scenario": example("scale-1.toml").1, "format": "html", "title": "A <b>title</b>"});
    let reply = asked(&stack, &body).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-disposition").starts_with("attachment"));
    let page = reply.text();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("A &lt;b&gt;title&lt;/b&gt;"));
    assert!(page.len() < 2_000_000, "{}", page.len());
}
