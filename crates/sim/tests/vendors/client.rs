//! One request on one connection, and what came back.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tollgate_sim::Sim;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended as HTTP wants it.
    pub clean: bool,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Payloads of `data:` lines.
    pub fn data(&self) -> Vec<&str> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    /// The payloads that are JSON.
    pub fn events(&self) -> Vec<Value> {
        self.data().into_iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }
}

/// Builds a request to a vendor, with headers that every dialect wants.
pub fn request(sim: &Sim, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let base = sim.base_url();
    let at = base.find("/v1").unwrap();
    Request::post(format!("{}{path}", &base[at..]))
        .header("host", sim.addr().to_string())
        .header("content-type", "application/json")
        .header("authorization", "Bearer k")
        .header("x-api-key", "k")
        .header("x-goog-api-key", "k")
        .header("anthropic-version", "2023-06-01")
        .header("x-request-id", "from-the-test")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// Sends it and returns the head; the connection ends when the body is dropped.
pub async fn open(sim: &Sim, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(sim.addr()).await.expect("the vendor listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// Sends it and reads to the end.
pub async fn send(sim: &Sim, request: Request<Full<Bytes>>) -> Got {
    let response = open(sim, request).await.expect("a head");
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut clean) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        if let Ok(frame) = frame {
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        } else {
            clean = false;
            break;
        }
    }
    Got { status: head.status, headers: head.headers, body: bytes.into(), clean }
}

pub async fn post(sim: &Sim, path: &str, body: &Value) -> Got {
    send(sim, request(sim, path, body)).await
}

pub async fn get(sim: &Sim, path: &str) -> Got {
    let mut asked = request(sim, path, &Value::Null);
    *asked.method_mut() = hyper::Method::GET;
    *asked.body_mut() = Full::default();
    send(sim, asked).await
}

/// Fails a test that would hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}
