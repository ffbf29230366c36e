//! The service of one connection: counts requests under way, refuses ambiguous ones, names the peer.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::Handler;
use super::connection::Drain;
use super::framing::{Framing, framing};
use super::gauge::{Gauge, InFlight, Peer};
use super::linger::RequestBody;

const TWO_LENGTHS: &[u8] = br#"{"error":{"message":"the request has both content-length and transfer-encoding","type":"invalid_request_error","param":null,"code":"ambiguous_length"}}"#;

/// Wraps the handler for one connection.
pub(super) struct Tracked<S> {
    service: S,
    gauge: Arc<Gauge>,
    drain: Arc<Drain>,
    peer: SocketAddr,
}

impl<S> Tracked<S> {
    pub(super) fn new(service: S, gauge: Arc<Gauge>, drain: Arc<Drain>, peer: SocketAddr) -> Self {
        Self { service, gauge, drain, peer }
    }
}

impl<S: Handler> Service<Request<Incoming>> for Tracked<S> {
    type Response = Response<Answer<S::Body>>;
    type Error = Infallible;
    type Future = Serving<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Serving<S::Future> {
        let mut request = request.map(|body| RequestBody::new(body, Arc::clone(&self.gauge)));
        let http2 = request.version() == Version::HTTP_2;
        let (guard, raw) = self.gauge.begin(http2);
        let framing = framing(request.headers(), request.method().as_str(), &raw);
        request.extensions_mut().insert(Peer(self.peer));
        let handler = (framing != Framing::Ambiguous).then(|| self.service.call(request));
        let drain = (!http2).then(|| Arc::clone(&self.drain));
        Serving { handler, guard: Some(guard), close: framing != Framing::Plain, drain }
    }
}

pin_project! {
    /// The handler at work.
    pub(super) struct Serving<F> {
        #[pin]
        handler: Option<F>,
        guard: Option<InFlight>,
        close: bool,
        // HTTP/2 has no such header; its connections say goodbye by themselves.
        drain: Option<Arc<Drain>>,
    }
}

impl<F, B> Future for Serving<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<Answer<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.handler.as_pin_mut() {
            Some(handler) => {
                let (head, body) = ready!(handler.poll(cx))?.into_parts();
                let mut guard = this.guard.take();
                finish_if(body.is_end_stream(), &mut guard);
                Response::from_parts(head, Answer { body: Some(body), notice: None, guard })
            }
            None => refusal(this.guard.take()),
        };
        if *this.close || this.drain.as_ref().is_some_and(|drain| drain.begun()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

fn refusal<B>(mut guard: Option<InFlight>) -> Response<Answer<B>> {
    finish_if(true, &mut guard);
    let notice = Some(Bytes::from_static(TWO_LENGTHS));
    let mut response = Response::new(Answer { body: None, notice, guard });
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn finish_if(ended: bool, guard: &mut Option<InFlight>) {
    if let (true, Some(guard)) = (ended, guard) {
        guard.done();
    }
}

pin_project! {
    /// The handler's body, or our own notice; with it the request counts as under way.
    pub(super) struct Answer<B> {
        #[pin]
        body: Option<B>,
        notice: Option<Bytes>,
        guard: Option<InFlight>,
    }
}

impl<B: Body<Data = Bytes>> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(this.notice.take().map(|notice| Ok(Frame::data(notice))));
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        finish_if(frame.is_none() || body.is_end_stream(), this.guard);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.notice.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.notice) {
            (Some(body), _) => body.size_hint(),
            (None, notice) => SizeHint::with_exact(notice.as_ref().map_or(0, |notice| notice.len() as u64)),
        }
    }
}
