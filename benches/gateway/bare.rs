//! A proxy made of the gateway's listener and upstream client and nothing else: no keys, no JSON, no ledger. It is no
//! product; it shows how much of the gateway's cost lies in these two parts.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gateway::config::{Host, Timeouts};
use gateway::server::{RequestBody, ServerOptions, raise_file_limit, read_body, serve};
use gateway::upstream::{Body, Upstream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{Either, Full};
use hyper::service::service_fn;
use wire::{Dialect, Outbound, UpstreamError};

const MINUTE: Duration = Duration::from_mins(1);
const TIMEOUTS: Timeouts =
    Timeouts { connect: MINUTE, first_byte: MINUTE, whole: MINUTE, idle: MINUTE, total: MINUTE };

/// Hands an upstream body on as it comes.
struct Passed(Body);

impl http_body::Body for Passed {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.0.poll_next(cx).map_ok(Frame::data)
    }
}

type Answer = Response<Either<Full<Bytes>, Passed>>;

async fn proxy(
    upstream: Upstream,
    host: Arc<Host>,
    request: Request<RequestBody>,
) -> Result<Answer, UpstreamError> {
    let body = read_body(request.into_body(), 32 << 20, MINUTE).await.unwrap_or_default();
    let outbound =
        Outbound { path: "/chat/completions".to_owned(), headers: HeaderMap::new(), body: vec![body] };
    let mut reply = upstream.send(&host, 0, outbound, &HeaderMap::new(), &TIMEOUTS).await?;
    let kind = reply.headers.remove(header::CONTENT_TYPE);
    let body = if reply.headers.contains_key(header::CONTENT_LENGTH) {
        Either::Left(Full::new(reply.body.collect(32 << 20).await?))
    } else {
        reply.body.set_idle(MINUTE);
        Either::Right(Passed(reply.body))
    };
    let mut response = Response::new(body);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    raise_file_limit();
    let mut arguments = std::env::args().skip(1);
    let (listen, upstream_port) =
        (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let host = Arc::new(Host {
        id: "mock".to_owned(),
        dialect: Dialect::OpenAi,
        https: false,
        host: "127.0.0.1".to_owned(),
        port: upstream_port.parse()?,
        base_path: "/v1".to_owned(),
        auth: catalog::Auth::None,
        keys: Vec::new(),
        quirks: catalog::Quirks::default(),
        endpoints: Vec::new(),
        allow_private: true,
    });
    let upstream = Upstream::default();
    let service = service_fn(move |request| {
        let (upstream, host) = (upstream.clone(), Arc::clone(&host));
        async move {
            let answer = proxy(upstream, host, request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|_| {
                let mut failed = Response::new(Either::Left(Full::default()));
                *failed.status_mut() = StatusCode::BAD_GATEWAY;
                failed
            }))
        }
    });
    let listener = tokio::net::TcpListener::bind(listen).await?;
    serve(listener, service, ServerOptions::default(), std::future::pending()).await;
    Ok(())
}
