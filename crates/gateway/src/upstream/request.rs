//! The request as it goes out: dialect headers, then what only the gateway may set. Written as bytes at once; a
//! `HeaderMap` in between would be built only to be read again.

use std::io::IoSlice;

use bytes::Bytes;
use catalog::Auth;
use http::HeaderMap;
use http::header::{self, HeaderName};
use wire::{ErrorKind, Outbound, UpstreamError};

use crate::config::Host;

/// Names that no caller of [`super::Upstream::send`] may hand on: what belongs to one connection, what is set here, and
/// credentials of the client or of another host.
const OURS: [HeaderName; 12] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::ACCEPT_ENCODING,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
];
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

/// What every request says. A compressed answer could be a bomb, and must not be buffered to be read.
const FIXED: &str = concat!(
    "content-type: application/json\r\naccept-encoding: identity\r\nuser-agent: tollgate/",
    env!("CARGO_PKG_VERSION"),
    "\r\n"
);
const ACCEPT: &str = "accept: application/json, text/event-stream\r\n";

/// A request on its way out: the head and the pieces of the body, and how far they have gone.
pub(super) struct Outgoing {
    /// Holds a key: never printed, wiped when dropped.
    head: zeroize::Zeroizing<Vec<u8>>,
    body: Vec<Bytes>,
    /// 0 is the head, then the pieces.
    part: usize,
    offset: usize,
}

impl Outgoing {
    /// Encodes `outbound` for `host` with its key number `key`. `method` is `POST` or `GET`.
    pub(super) fn new(
        method: &'static str,
        host: &Host,
        key: usize,
        outbound: Outbound,
        extra: &HeaderMap,
    ) -> Result<Self, UpstreamError> {
        let body = outbound.body;
        let length: usize = body.iter().map(Bytes::len).sum();
        let mut head = zeroize::Zeroizing::new(Vec::with_capacity(512));
        for part in [method, " ", &host.base_path, &outbound.path] {
            head.extend_from_slice(part.as_bytes());
        }
        let path = head.get(method.len() + 1..).unwrap_or_default();
        if !path.iter().all(u8::is_ascii_graphic) || !path.starts_with(b"/") {
            return Err(refused("the path cannot be sent"));
        }
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        authority(host, &mut head)?;
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(FIXED.as_bytes());
        let handed = || outbound.headers.iter().chain(extra);
        if !handed().any(|(name, _)| name == header::ACCEPT) {
            head.extend_from_slice(ACCEPT.as_bytes());
        }
        for (name, value) in handed() {
            if !OURS.contains(name) && !KEY_HEADERS.contains(&name.as_str()) {
                line(&mut head, name.as_str(), value.as_bytes());
            }
        }
        authorize(host, key, &mut head)?;
        line(&mut head, "content-length", itoa::Buffer::new().format(length).as_bytes());
        head.extend_from_slice(b"\r\n");
        Ok(Self { head, body, part: 0, offset: 0 })
    }

    /// Begins again, for another connection.
    pub(super) fn rewind(&mut self) {
        (self.part, self.offset) = (0, 0);
    }

    /// All has gone.
    pub(super) fn done(&self) -> bool {
        self.part > self.body.len()
    }

    /// What is to be written next.
    pub(super) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut offset = self.offset;
        for (slot, part) in into.iter_mut().zip(self.part..=self.body.len()) {
            *slot = IoSlice::new(self.part(part).get(offset..).unwrap_or_default());
            offset = 0;
            count += 1;
        }
        count
    }

    /// `count` bytes have been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.offset += count;
        while !self.done() && self.offset >= self.part(self.part).len() {
            self.offset -= self.part(self.part).len();
            self.part += 1;
        }
    }

    fn part(&self, part: usize) -> &[u8] {
        match part.checked_sub(1) {
            None => &self.head,
            Some(piece) => self.body.get(piece).map_or(&[], |piece| piece),
        }
    }
}

fn line(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn authority(host: &Host, head: &mut Vec<u8>) -> Result<(), UpstreamError> {
    if host.host.is_empty() || !host.host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused("the host name is not ASCII"));
    }
    let six = host.host.contains(':');
    for part in [if six { "[" } else { "" }, &host.host, if six { "]" } else { "" }] {
        head.extend_from_slice(part.as_bytes());
    }
    if host.port != if host.https { 443 } else { 80 } {
        head.push(b':');
        head.extend_from_slice(itoa::Buffer::new().format(host.port).as_bytes());
    }
    Ok(())
}

/// The host's own key, and nobody else's.
fn authorize(host: &Host, key: usize, head: &mut Vec<u8>) -> Result<(), UpstreamError> {
    let unusable = |why| UpstreamError::new(ErrorKind::Credentials, None, why);
    let name = match &host.auth {
        Auth::None => return Ok(()),
        Auth::Bearer => "authorization",
        Auth::Header(name) => name,
    };
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| unusable("the header of the key has no valid name"))?;
    let secret = host.keys.get(key).ok_or_else(|| unusable("the host has no such key"))?.expose().as_bytes();
    if secret.is_empty() || !secret.iter().all(u8::is_ascii_graphic) {
        return Err(unusable("the configured key cannot be a header"));
    }
    let scheme: &[u8] = if host.auth == Auth::Bearer { b"Bearer " } else { b"" };
    for part in [name.as_str().as_bytes(), b": ", scheme, secret, b"\r\n"] {
        head.extend_from_slice(part);
    }
    Ok(())
}

fn refused(why: &str) -> UpstreamError {
    UpstreamError::new(ErrorKind::BadRequest, None, why)
}
