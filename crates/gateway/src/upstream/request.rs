//! The request as it goes out: dialect headers, then what only the gateway may set.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use catalog::Auth;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use http_body::{Body, Frame, SizeHint};
use wire::{ErrorKind, Outbound, UpstreamError};

use crate::config::Host;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// A compressed answer could be a bomb, and must not be buffered to be read.
const UNCOMPRESSED: HeaderValue = HeaderValue::from_static("identity");

/// Names that no caller of [`super::Upstream::send`] may hand on: credentials of the client or of another host, and
/// what belongs to one connection.
const OURS: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
];
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

/// A body in pieces that are sent as they are.
#[derive(Debug)]
pub(super) struct Pieces {
    all: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl Pieces {
    pub(super) fn new(pieces: Arc<[Bytes]>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { all: pieces, next: 0, left }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.all.get(self.next).cloned();
        self.next += 1;
        Poll::Ready(piece.map(|piece| {
            self.left = self.left.saturating_sub(piece.len() as u64);
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Builds the request. Called again only when a stale connection makes a second sending necessary.
pub(super) fn build(
    host: &Host,
    key: usize,
    outbound: &Outbound,
    extra: &HeaderMap,
    body: Pieces,
) -> Result<Request<Pieces>, UpstreamError> {
    let mut path = String::with_capacity(host.base_path.len() + outbound.path.len());
    path.push_str(&host.base_path);
    path.push_str(&outbound.path);
    let uri = Uri::try_from(path).ok().filter(|uri| uri.authority().is_none());
    let uri = uri.ok_or_else(|| refused("the path cannot be sent"))?;

    let mut headers = HeaderMap::with_capacity(12 + outbound.headers.len() + extra.len());
    headers.insert(header::ACCEPT, ACCEPT);
    for (name, value) in outbound.headers.iter().chain(extra) {
        if !OURS.contains(name) && !KEY_HEADERS.contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(header::HOST, host_header(host)?);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert(header::ACCEPT_ENCODING, UNCOMPRESSED);
    authorize(host, key, &mut headers)?;

    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn host_header(host: &Host) -> Result<HeaderValue, UpstreamError> {
    let usual = if host.https { 443 } else { 80 };
    let text = match (host.host.contains(':'), host.port == usual) {
        (false, true) => {
            return HeaderValue::from_str(&host.host).map_err(|_| refused("the host name is not ASCII"));
        }
        (true, true) => format!("[{}]", host.host),
        (false, false) => format!("{}:{}", host.host, host.port),
        (true, false) => format!("[{}]:{}", host.host, host.port),
    };
    HeaderValue::try_from(text).map_err(|_| refused("the host name is not ASCII"))
}

/// The host's own key, and nobody else's, marked sensitive so that no debug print shows it.
fn authorize(host: &Host, key: usize, headers: &mut HeaderMap) -> Result<(), UpstreamError> {
    let bad_key =
        || UpstreamError::new(ErrorKind::Credentials, None, "the configured key cannot be a header");
    let secret = || {
        host.keys
            .get(key)
            .ok_or_else(|| UpstreamError::new(ErrorKind::Credentials, None, "the host has no such key"))
    };
    let (name, value) = match &host.auth {
        Auth::None => return Ok(()),
        Auth::Bearer => {
            let secret = secret()?.expose();
            let mut text = String::with_capacity(7 + secret.len());
            text.push_str("Bearer ");
            text.push_str(secret);
            (header::AUTHORIZATION, HeaderValue::try_from(text))
        }
        Auth::Header(name) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_key())?;
            (name, HeaderValue::from_str(secret()?.expose()))
        }
    };
    let mut value = value.map_err(|_| bad_key())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn refused(why: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::BadRequest, None, why)
}
