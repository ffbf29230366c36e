//! A web page must not be able to spend (interface §4; faults row 28): whatever a page can make a browser send is
//! refused before a vendor is called.

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::json;
use sim::VendorSpec;
use tollgate_tests::{Reply, Stack, spec};

const MODELS: &str = "[models.m]\ntargets = [\"vendor/m\"]\n";

async fn stack() -> Stack {
    Stack::start([VendorSpec::openai("vendor")], MODELS).await
}

fn chat() -> Bytes {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).to_string().into()
}

/// Sends a chat with these headers set.
async fn with_headers(stack: &Stack, headers: &[(header::HeaderName, &str)]) -> Reply {
    let mut request = stack.client.json_request("/v1/chat/completions", chat());
    for (name, value) in headers {
        request.headers_mut().insert(name.clone(), HeaderValue::from_str(value).expect("a value"));
    }
    stack.client.whole(request).await
}

#[track_caller]
fn refused(stack: &Stack, reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text());
    spec::check(spec::ERROR, &reply.json());
    assert_eq!(stack.sim("vendor").stats().requests, 0, "no vendor is called");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_refused() {
    let stack = stack().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let reply = with_headers(&stack, &[(header::CONTENT_TYPE, kind)]).await;
        refused(&stack, &reply, 415);
    }
    let mut request = stack.client.json_request("/v1/chat/completions", chat());
    request.headers_mut().remove(header::CONTENT_TYPE);
    refused(&stack, &stack.client.whole(request).await, 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebound_name_is_refused() {
    let stack = stack().await;
    let port = stack.client.addr().port();
    for host in
        ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1.evil.example".to_owned()]
    {
        let reply = with_headers(&stack, &[(header::HOST, &host)]).await;
        refused(&stack, &reply, 421);
        let mut request = stack.client.request(Method::GET, "/v1/models", Bytes::new());
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host).expect("a value"));
        assert_eq!(stack.client.whole(request).await.status, 421, "reading, too");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_origin_is_refused() {
    let stack = stack().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let reply = with_headers(&stack, &[(header::ORIGIN, origin)]).await;
        refused(&stack, &reply, 403);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_invites_another_site() {
    let stack = stack().await;
    let preflight = {
        let mut request = stack.client.request(Method::OPTIONS, "/v1/chat/completions", Bytes::new());
        request.headers_mut().insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        request.headers_mut().insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        stack.client.whole(request).await
    };
    assert!(!preflight.status.is_success(), "{}", preflight.status);
    let good = with_headers(&stack, &[]).await;
    assert_eq!(good.status, 200, "{}", good.text());
    for reply in
        [preflight, good, stack.client.get("/v1/models").await, stack.client.get("/api/v1/requests").await]
    {
        let cors = reply.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors, None);
    }
}
