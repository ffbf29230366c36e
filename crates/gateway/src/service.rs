//! The one service behind the listener: guard, authenticate, dispatch. The inference routes are bare hyper, because a
//! framework costs 3–5 µs a request there; the API and the pages are an axum router.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Frame;
use wire::{Dialect, Door};

use crate::app::{App, new_id};
use crate::config::Config;
use crate::inbound;
use crate::respond::Refusal;
use crate::routes::inference::{self, EarlyStream};
use crate::routes::{self, Route};
use crate::server::{Peer, RequestBody};
use crate::stream::AnswerStream;

const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Every body that the gateway answers with.
pub enum Body {
    /// Known whole.
    Full(Full<Bytes>),
    /// A streamed answer.
    Stream(Box<AnswerStream>),
    /// A streamed answer whose headers went out before anybody answered.
    Early(Box<EarlyStream>),
    /// The API and the pages.
    Api(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body.as_mut()).poll_frame(cx).map_err(|never| match never {}),
            Self::Early(body) => Pin::new(body.as_mut()).poll_frame(cx).map_err(|never| match never {}),
            Self::Api(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(_) | Self::Early(_) => false,
            Self::Api(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(_) | Self::Early(_) => hyper::body::SizeHint::default(),
            Self::Api(body) => body.size_hint(),
        }
    }
}

/// The service of every connection.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
    api: axum::Router,
}

impl Service {
    /// The service over `app`, with `api` for what is not inference.
    pub fn new(app: Arc<App>, api: axum::Router) -> Self {
        Self { app, api }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<RequestBody>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl Service {
    async fn answer(self, request: Request<RequestBody>) -> Response<Body> {
        let started = Instant::now();
        let id = new_id();
        let Some(door) = wire::door(Dialect::OpenAi) else {
            return status(StatusCode::NOT_IMPLEMENTED);
        };
        match self.dispatch(request, door, id, started).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(%id, status = refusal.status().as_u16(), "refused: {refusal}");
                refusal.respond(door, &id.to_string()).map(Body::Full)
            }
        }
    }

    async fn dispatch(
        self,
        request: Request<RequestBody>,
        door: &'static dyn Door,
        id: ledger::RequestId,
        started: Instant,
    ) -> Result<Response<Body>, Refusal> {
        let config = self.app.config.load();
        let (parts, body) = request.into_parts();
        // The listener puts it there; without it nobody is on loopback.
        let peer = parts.extensions.get::<Peer>().map_or(NOBODY, |peer| peer.0);
        inbound::guard(&parts, &config)?;
        let path = parts.uri.path();
        if path == "/healthz" {
            return Ok(text("ok\n"));
        }
        let Some(route) = routes::find(path) else {
            return self.api(Request::from_parts(parts, body), peer, &config).await;
        };
        let caller = inbound::authenticate(&self.app, &config, &parts.headers, peer)?;
        match (route, &parts.method) {
            (Route::Inference(op), &Method::POST) => {
                let head = inference::Head { headers: parts.headers, caller, id, started };
                inference::handle(&self.app, config, door, op, head, body).await
            }
            (Route::Models, &Method::GET) => Ok(json(routes::models::list(&config))),
            (Route::Model(name), &Method::GET) => Ok(json(routes::models::one(&config, name)?)),
            (Route::Inference(_), _) => Err(wrong_method("POST")),
            (Route::Models | Route::Model(_), _) => Err(wrong_method("GET")),
        }
    }

    async fn api(
        self,
        request: Request<RequestBody>,
        peer: SocketAddr,
        config: &Config,
    ) -> Result<Response<Body>, Refusal> {
        let caller = inbound::authenticate(&self.app, config, request.headers(), peer);
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(crate::api::Asking { caller: caller.ok(), peer });
        let mut router = self.api;
        match tower_service::Service::call(&mut router, request).await {
            Ok(response) => Ok(response.map(Body::Api)),
            Err(never) => match never {},
        }
    }
}

fn wrong_method(right: &str) -> Refusal {
    Refusal::door(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("this path takes {right}"))
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Full(Full::default()));
    *response.status_mut() = status;
    response
}

fn text(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Full(Full::new(Bytes::from_static(text.as_bytes()))));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(Full::new(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
