//! The client over TLS, with a certificate authority of our own.

use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wire::ErrorKind;

use super::tests::{HELLO, TIMEOUTS, outbound, plain};
use super::{Upstream, connect};
use crate::config::Host;

struct Authority {
    acceptor: TlsAcceptor,
    roots: RootCertStore,
}

fn authority(name: &str) -> Authority {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Authority { acceptor: TlsAcceptor::from(Arc::new(config)), roots }
}

fn trusting(roots: RootCertStore) -> Upstream {
    let upstream = Upstream::default();
    assert!(upstream.shared.tls.set(connect::tls(roots).unwrap()).is_ok());
    upstream
}

fn host(port: u16) -> Host {
    Host { https: true, host: "localhost".to_owned(), ..plain(port) }
}

async fn ask(upstream: &Upstream, host: &Host) -> Result<bytes::Bytes, wire::UpstreamError> {
    let mut reply = upstream.send(host, 0, outbound(&["{", "}"]), &HeaderMap::new(), &TIMEOUTS).await?;
    reply.body.collect(100).await
}

#[tokio::test]
async fn http11_is_spoken_and_a_session_resumed() {
    let Authority { acceptor, roots } = authority("localhost");
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let host = host(listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            // Two requests a connection, then it closes.
            for _ in 0..2 {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n{}") {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                }
                stream.write_all(HELLO).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        }
        kinds
    });
    let upstream = trusting(roots);
    for _ in 0..4 {
        assert_eq!(ask(&upstream, &host).await.unwrap(), "hello");
        // Lets the server's goodbye arrive.
        tokio::task::yield_now().await;
    }
    assert_eq!(server.await.unwrap(), [HandshakeKind::Full, HandshakeKind::Resumed]);
}

/// A key never goes to whoever happens to answer at the address.
#[tokio::test]
async fn a_certificate_that_is_unknown_or_for_another_name_is_refused() {
    for (name, trusted) in [("localhost", false), ("example.com", true)] {
        let Authority { acceptor, roots } = authority(name);
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let host = host(listener.local_addr().unwrap().port());
        let server =
            tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.is_ok() });
        let upstream = if trusted { trusting(roots) } else { Upstream::default() };
        let error = ask(&upstream, &host).await.unwrap_err();
        assert_eq!((error.kind, error.maybe_billed), (ErrorKind::Connect, false));
        assert!(error.excerpt.contains("certificate"), "{}", error.excerpt);
        assert!(!server.await.unwrap(), "the handshake was completed");
    }
}
