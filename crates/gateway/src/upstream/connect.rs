//! From a configured host to an open connection: resolve, check the addresses, dial, encrypt.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::{Blame, ErrorKind, UpstreamError};

use super::address::allowed;

/// The head start of one address before the next is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses tried at most: a hostile DNS answer must not become a port scan.
const ADDRESSES: usize = 8;

/// A byte stream to a vendor.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Dials `host`, over TLS when there is a connector for it, within no deadline of its own: the caller's covers name, TCP and TLS together.
pub(super) async fn connect(
    tls: Option<&TlsConnector>,
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<Stream, UpstreamError> {
    let addresses = resolve(host, port, allow_private).await?;
    let tcp = dial(addresses).await.map_err(|e| undialled(&e))?;
    // Both sides: 40 ms of delayed ACK otherwise sit before the first token.
    tcp.set_nodelay(true).map_err(|e| failed(format!("socket option: {}", e.kind())))?;
    let Some(tls) = tls else { return Ok(Stream::Plain(tcp)) };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed("the host name cannot be in a certificate".to_owned()))?;
    let stream = tls.connect(name, tcp).await.map_err(|e| failed(format!("TLS: {e}")))?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// TLS for vendors: Mozilla's roots, HTTP/1.1 only, sessions resumed from memory.
pub(super) fn tls(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Mozilla's roots.
pub(super) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

async fn resolve(host: &str, port: u16, allow_private: bool) -> Result<Vec<SocketAddr>, UpstreamError> {
    let found: Vec<SocketAddr> = if let Ok(ip) = host.parse::<IpAddr>() {
        vec![SocketAddr::new(ip, port)]
    } else {
        let answer = tokio::net::lookup_host((host, port)).await;
        answer.map_err(|e| failed(format!("the name does not resolve: {}", e.kind())))?.collect()
    };
    if found.is_empty() {
        return Err(failed("the name has no address".to_owned()));
    }
    let usable: Vec<SocketAddr> = found.into_iter().filter(|a| allowed(a.ip(), allow_private)).collect();
    if usable.is_empty() {
        return Err(failed(
            "the name leads to a private address and the host has no `allow_private = true`".to_owned(),
        ));
    }
    Ok(interleaved(usable))
}

/// Families in turn, so that a broken IPv6 route costs one stagger and not all of them.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut mixed = Vec::new();
    for address in same {
        mixed.push(address);
        mixed.extend(other.next());
    }
    mixed.extend(other);
    mixed.truncate(ADDRESSES);
    mixed
}

/// Happy eyeballs: each further address starts when its predecessor fails or after a stagger; the first to connect
/// wins and the others are dropped.
async fn dial(addresses: Vec<SocketAddr>) -> std::io::Result<TcpStream> {
    if let [only] = addresses.as_slice() {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.into_iter();
    let mut dialling = JoinSet::new();
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            dialling.spawn(TcpStream::connect(address));
        }
        let done = if waiting.len() == 0 {
            dialling.join_next().await
        } else {
            match tokio::time::timeout(STAGGER, dialling.join_next()).await {
                Ok(done) => done,
                Err(_) => continue,
            }
        };
        match done {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(_)) => {}
            None => return Err(last),
        }
    }
}

/// EMFILE and ENFILE, which have no kind of their own.
const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];

fn undialled(error: &std::io::Error) -> UpstreamError {
    let mut failed = failed(format!("no connection: {}", error.kind()));
    if error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code)) {
        failed.blame = Blame::Gateway;
        "no connection: this gateway is out of file descriptors".clone_into(&mut failed.excerpt);
    }
    failed
}

fn failed(why: String) -> UpstreamError {
    UpstreamError::new(ErrorKind::Connect, None, why)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_families_alternate_and_are_bounded() {
        let v6 = |n: u16| SocketAddr::from(([0x2606, 0, 0, 0, 0, 0, 0, n], 443));
        let v4 = |n: u8| SocketAddr::from(([1, 1, 1, n], 443));
        assert_eq!(interleaved(vec![v6(1), v6(2), v6(3), v4(1)]), vec![v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(interleaved(vec![v4(1), v6(1), v6(2)]), vec![v4(1), v6(1), v6(2)]);
        assert_eq!(interleaved((0..20).map(v4).collect()).len(), ADDRESSES);
    }

    #[tokio::test]
    async fn a_private_address_is_refused_by_value_of_the_answer_not_of_the_name() {
        for host in ["127.0.0.1", "::1", "localhost"] {
            let error = resolve(host, 80, false).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Connect);
            assert!(error.excerpt.contains("allow_private"), "{host}: {}", error.excerpt);
            assert!(!resolve(host, 80, true).await.unwrap().is_empty());
        }
        // Decimal and octal spellings either do not resolve or resolve to what is refused.
        for host in ["2130706433", "0177.0.0.1", "0x7f.1"] {
            assert!(resolve(host, 80, false).await.is_err(), "{host}");
        }
    }

    #[test]
    fn a_shortage_of_our_own_is_not_the_vendors_fault() {
        for (code, blame) in [(24, Blame::Gateway), (23, Blame::Gateway), (111, Blame::Vendor)] {
            assert_eq!(undialled(&std::io::Error::from_raw_os_error(code)).blame, blame);
        }
    }

    #[tokio::test]
    async fn the_second_address_is_dialled_when_the_first_refuses() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let stream = dial(vec![closed, open.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open.local_addr().unwrap());
        assert!(dial(vec![closed, closed]).await.is_err());
    }
}
