//! OpenTelemetry to a collector of our own: the names of both generations are there, a prompt never is.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use sim::VendorSpec;
use tokio::net::TcpListener;
use tollgate_tests::{Stack, poll};

/// Paths and bodies that the collector got.
type Received = Arc<Mutex<Vec<(String, Bytes)>>>;

async fn collector() -> (String, Received) {
    let received = Received::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let book = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let book = Arc::clone(&book);
            let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let book = Arc::clone(&book);
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    book.lock().unwrap().push((path, body));
                    Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    (endpoint, received)
}

fn holds(received: &Received, path: &str, text: &str) -> bool {
    let book = received.lock().unwrap();
    book.iter().any(|(p, body)| p == path && body.windows(text.len()).any(|w| w == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_carry_both_generations_of_names_and_no_prompt() {
    let (endpoint, received) = collector().await;
    let config = format!(
        "[models.cheap]\ntargets = [\"north/m\"]\n[telemetry]\notlp_endpoint = \"{endpoint}\"\nsemconv = \"both\"\n"
    );
    let stack = Stack::start([VendorSpec::openai("north")], &config).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let client = stack.client.clone().with("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "zebracanary [[len:5]]"}]});
    assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);
    let passed_on =
        stack.sim("north").received().first().and_then(|r| r.headers.get("traceparent").cloned()).unwrap();
    assert!(passed_on.to_str().unwrap().contains(trace), "{passed_on:?}");
    stack.closed(1).await;
    stack.shutdown().await;

    for name in [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "tollgate.outcome",
        "tollgate.reason",
    ] {
        assert!(holds(&received, "/v1/traces", name), "no {name} in the spans");
    }
    for name in [
        "gen_ai.client.inference.duration",
        "gen_ai.client.operation.duration",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.token.usage",
    ] {
        assert!(holds(&received, "/v1/metrics", name), "no {name} in the metrics");
    }
    let all = received.lock().unwrap();
    assert!(!all.iter().any(|(_, body)| body.windows(11).any(|w| w == b"zebracanary")));
}

/// Names and labels of all series, without their values.
async fn series(stack: &Stack) -> BTreeSet<String> {
    let text = stack.admin.get("/metrics").await.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_25_what_clients_make_up_becomes_no_label() {
    const ASKED: usize = 40;
    let stack =
        Stack::start([VendorSpec::openai("north")], "[models.cheap]\ntargets = [\"north/m\"]\n").await;
    let ask = async |n: usize| {
        let client = stack.client.clone().with("x-tollgate-tags", &format!("team=invented-{n}"));
        let client = client.with("x-tollgate-session", &format!("invented-{n}"));
        let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        assert_eq!(client.post("/v1/chat/completions", &body("cheap")).await.status, 200);
        let unknown = client.post("/v1/chat/completions", &body(&format!("invented-{n}"))).await;
        assert_eq!(unknown.status, 404);
        stack.closed(n + 1).await;
    };
    ask(0).await;
    let before = poll("the first request is counted", async || {
        Some(series(&stack).await).filter(|all| all.iter().any(|name| name.contains("status=\"200\"")))
    })
    .await;
    for n in 1..ASKED {
        ask(n).await;
    }
    let after = series(&stack).await;
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), [] as [&String; 0]);
    assert!(!after.iter().any(|name| name.contains("invented")), "{after:#?}");
}
