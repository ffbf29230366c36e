//! The API from outside: its own description holds, a browser gets in with the admin token, a key reads its own rows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::{Client, Stack};

const TWO_KEYS: &str = "[models.m]\ntargets = [\"vendor/m\"]\n\
                        [keys.ads]\nsecret = \"secret-of-ads-000000\"\n[keys.search]\nsecret = \"secret-of-search-00\"\n";

async fn stack(config: &str) -> Stack {
    Stack::start([VendorSpec::openai("vendor").models([ModelSpec::new("m")])], config).await
}

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
}

#[tokio::test]
async fn every_described_path_is_served() {
    let stack = stack("[models.m]\ntargets = [\"vendor/m\"]\n").await;
    let answer = stack.client.post("/v1/chat/completions", &chat()).await;
    let id = answer.header("x-request-id").to_owned();
    stack.closed(1).await;
    let document = stack.client.get("/api/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 10, "{}", paths.len());
    for (path, methods) in paths {
        let filled = path.replace("/v1/models/{id}", "/v1/models/m").replace("{id}", &id);
        for method in methods.as_object().expect("methods").keys() {
            let reply = match method.as_str() {
                "get" => stack.client.get(&filled).await,
                "post" => stack.client.post(&filled, &json!({})).await,
                other => panic!("{path}: {other}"),
            };
            // `{}` is no request that a model could answer, so a POST is refused; what matters is that it was read.
            let status = reply.status.as_u16();
            assert!(
                status == if method == "get" { 200 } else { 400 },
                "{method} {path}: {status} {}",
                reply.text()
            );
        }
    }
}

#[tokio::test]
async fn a_browser_gets_in_with_the_admin_token_as_its_password() {
    let stack = stack(TWO_KEYS).await;
    let refused = stack.client.get("/").await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").starts_with("Basic "), "{:?}", refused.headers);
    let basic =
        |pair: &str| stack.client.clone().with("authorization", &format!("Basic {}", STANDARD.encode(pair)));
    let token = tollgate_tests::ADMIN_TOKEN;
    assert_eq!(basic(&format!("anyone:{token}")).get("/").await.status, 200);
    assert_eq!(basic("anyone:wrong").get("/").await.status, 401);
    assert_eq!(basic(token).get("/").await.status, 401, "a token in place of the user name is no password");
}

#[tokio::test]
async fn a_key_reads_its_own_rows_only() {
    let stack = stack(TWO_KEYS).await;
    let (ads, search) = (
        stack.client.clone().bearer("secret-of-ads-000000"),
        stack.client.clone().bearer("secret-of-search-00"),
    );
    for client in [&ads, &search, &search] {
        assert_eq!(client.post("/v1/chat/completions", &chat()).await.status, 200);
    }
    let all = stack.closed(3).await;
    let rows = |body: Value| body["requests"].as_array().expect("requests").len();
    let listed = async |client: &Client, query: &str| {
        rows(client.get(&format!("/api/v1/requests{query}")).await.json())
    };
    assert_eq!(listed(&ads, "").await, 1);
    assert_eq!(listed(&search, "").await, 2);
    assert_eq!(listed(&ads, "?where=key=search").await, 0, "no parameter takes the condition off");
    let spent = ads.get("/api/v1/spend?by=key").await.json();
    assert_eq!(
        (spent["total"]["requests"].as_u64(), spent["rows"][0]["key"].as_str()),
        (Some(1), Some("ads"))
    );
    let others = all.iter().find(|row| row["key"] == "search").expect("a row")["id"].as_str().expect("an id");
    assert_eq!(ads.get(&format!("/api/v1/requests/{others}")).await.status, 404);
    assert_eq!(search.get(&format!("/api/v1/requests/{others}")).await.status, 200);
    assert_eq!(ads.get("/api/v1/keys").await.status, 403);
    assert_eq!(ads.post("/api/v1/replay", &json!({"at": "1h"})).await.status, 403);
    let request = ads.request(Method::GET, "/api/v1/spend?by=nonsense", bytes::Bytes::new());
    assert_eq!(ads.whole(request).await.status, 400);
}
