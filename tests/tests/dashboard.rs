//! The pages Spend and Decide in Chromium, without a network: what they show is what the ledger and the engine say,
//! whatever is filtered or moved, on a desk and on a phone. Scripts in `tests/clients/node` drive them and fail at the first
//! surprise. Screenshots stay in `target/tmp/pages` to be looked at.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::sdk::repository;
use tollgate_tests::{Stack, bounded, pico, setup};

const CONFIG: &str = r#"
[models.cheap]
targets = ["vendor/small"]
[models.flagship]
targets = ["vendor/large"]
[models.unpriced]
targets = ["vendor/nobody-knows"]
[routes.auto]
default = "cheap"
escalate = "flagship"
escalate_before = [{ matches = "(?i)prove" }]
escalate_after = ["refusal"]
"#;

/// What is asked of which model under which tags. All kinds of rows are among them: answered, escalated before and after
/// the cheap answer, pinned, of unknown price, tagged with what is text and must stay it.
const TRAFFIC: [(&str, &str, &str); 10] = [
    ("auto", "Hello", "team=ads"),
    ("auto", "Hello again", "team=ads"),
    ("auto", "Prove it", "team=ads"),
    ("auto", "Hello", "team=search"),
    ("auto", "Prove that", "team=search"),
    ("auto", "[[refuse]]", "team=search"),
    ("auto", "Hello", "team=<b>bold&co</b>"),
    ("cheap", "Pinned", "team=search"),
    ("unpriced", "Hello", "team=search"),
    ("auto", "Untagged", ""),
];

async fn busy() -> Stack {
    let models =
        ["small", setup::UNPRICED].map(ModelSpec::new).into_iter().chain([ModelSpec::strong("large")]);
    let stack = Stack::start([VendorSpec::openai("vendor").models(models)], CONFIG).await;
    for (model, prompt, tags) in TRAFFIC {
        let client = stack.client.clone().with("x-tollgate-tags", tags);
        let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
        let answer = client.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    stack.closed(TRAFFIC.len()).await;
    stack
}

/// Drives a page with a script of `tests/clients/node`.
async fn driven(script: &str, stack: &Stack, args: &[&str]) {
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&shots).expect("a folder");
    let node = repository().join("tests/clients/node");
    assert!(
        node.join("node_modules/playwright-core").exists(),
        "`.ci/tools clients` or `./test` installs it"
    );
    let mut command = Command::new("node");
    command.arg(script).arg(stack.url()).arg(&shots).args(args).current_dir(node);
    let driven = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(std::time::Duration::from_secs(280), driven).await;
    let output = output.expect("the browser is done in time").expect("no panic").expect("node runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_sees_what_the_ledger_says() {
    driven("spend.mjs", &busy().await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_moves_levers_and_sees_what_the_engine_says() {
    driven("decide.mjs", &busy().await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_ledger_decides_nothing_and_offers_an_example() {
    let stack = Stack::start([VendorSpec::openai("vendor").models([ModelSpec::new("small")])], "").await;
    driven("decide.mjs", &stack, &["empty"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_itself_holds_no_script_no_style_and_nothing_from_elsewhere() {
    let stack = busy().await;
    for path in ["/", "/?by=tag:team", "/decide", "/requests"] {
        let page = stack.client.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = page.text();
        for forbidden in
            ["<script>", "<style", " style=\"", " onclick", "src=\"http", "href=\"http", "<b>bold"]
        {
            assert!(!text.contains(forbidden), "{forbidden} in {path}: {text}");
        }
    }
    assert!(stack.client.get("/?by=tag:team").await.text().contains("&lt;b&gt;bold&amp;co&lt;/b&gt;"));
    // whatever the page names is there
    let page = stack.client.get("/").await.text();
    let named = page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1));
    let mut assets = 0;
    for path in named.filter_map(|rest| rest.split('"').next()).filter(|path| path.starts_with("/assets/")) {
        assert_eq!(stack.client.get(path).await.status, 200, "{path}");
        assets += 1;
    }
    assert_eq!(assets, 4, "the library, two scripts and a style sheet: {page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_adds_up_to_the_spend_and_has_every_bucket() {
    let stack = busy().await;
    for query in ["by=route", "by=model", "by=tag:team", "by=reason", "", "by=route&tag=team%3Dads"] {
        let spend =
            bounded("spend", stack.client.get(&format!("/api/v1/spend?since=7d&{query}"))).await.json();
        for (since, bucket, least) in [("24h", "hour", 25), ("7d", "day", 8)] {
            let path = format!("/api/v1/spend/series?since={since}&{query}");
            let series = stack.client.get(&path).await.json();
            assert_eq!(series["bucket"], bucket, "{path}");
            let times = series["times"].as_array().expect("times");
            // one more where the whole hour or day fell into the question
            assert!((least - 1..=least + 1).contains(&times.len()), "{path}: {times:?}");
            let lines = series["lines"].as_array().expect("lines");
            let mut sums = (0, 0, 0);
            for line in lines {
                let values = |name: &str| line[name].as_array().expect("values").clone();
                assert!(
                    ["cost_usd", "requests", "unknown_cost"]
                        .iter()
                        .all(|name| values(name).len() == times.len())
                );
                sums.0 += values("cost_usd").iter().map(pico).sum::<i128>();
                let count = |name: &str| values(name).iter().filter_map(Value::as_u64).sum::<u64>();
                sums.1 += count("requests");
                sums.2 += count("unknown_cost");
            }
            let total = &spend["total"];
            let said = (pico(&total["cost_usd"]), total["requests"].as_u64(), total["unknown_cost"].as_u64());
            assert_eq!((sums.0, Some(sums.1), Some(sums.2)), said, "{path}");
        }
    }
    let reasons = stack.client.get("/api/v1/spend?by=reason").await.json();
    let reasons: Vec<&str> =
        reasons["rows"].as_array().expect("rows").iter().filter_map(|row| row["reason"].as_str()).collect();
    for reason in ["matched:prove", "check:refusal", "pinned", "default"] {
        assert!(reasons.contains(&reason), "{reason} in {reasons:?}");
    }
    for bad in ["by=hour", "by=route,model", "by=nonsense", "since=never", "since=3000d"] {
        let reply = stack.client.get(&format!("/api/v1/spend/series?{bad}")).await;
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
}
