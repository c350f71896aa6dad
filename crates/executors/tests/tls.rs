//! TLS from end to end: a server whose root is trusted is talked to, any other is not.
//!
//! The certificates are of a root that was made for this test and thrown away; they are valid for a hundred years.

mod support;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quintet_core::outcome::{Failure, Success};
use quintet_executors::egress::client::{system_tls, tls_with_roots};
use quintet_executors::egress::{Client, Guard, Lookup};
use quintet_executors::http::Http;
use quintet_executors::http::service::Services;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::json;
use support::{fail, loopback, params, succeed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Certificate of the root, DER in base64.
const ROOT: &str = "\
    MIIBjzCCATWgAwIBAgIUVBYOb/mz9cfcIQXQYFiTjiUVFekwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVGVzdCByb290MCAXDTI2\
    MTEyMTExMTM1MFoYDzIxMjYxMDI4MTExMzUwWjAUMRIwEAYDVQQDDAlUZXN0IHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\
    AASicKAIX9wGFaaz0cRtZv9O+uxkikPZsNbnVa1uzUKMy+Wqetm9oeL9F5MfVVwMvvuogAf7K+OkJBLUzXZPkdIqo2MwYTAdBgNV\
    HQ4EFgQU+KwJbyAwMniUgN4qBJKfzPaCJlMwHwYDVR0jBBgwFoAU+KwJbyAwMniUgN4qBJKfzPaCJlMwDwYDVR0TAQH/BAUwAwEB\
    /zAOBgNVHQ8BAf8EBAMCAgQwCgYIKoZIzj0EAwIDSAAwRQIgc5K3CcLPoLnnvv7fAzJL26xmX3FHjSckLw744WTHrhwCIQCPbp2h\
    P4yajcEVlqGvvOqIpUXTxxKnFIt6Gf9cQtYSqw==";

/// Certificate of `secure.test`.
const LEAF: &str = "\
    MIIBtjCCAV2gAwIBAgIUSi1FHEsVJwMJL3c8xR6BNMDOdOgwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVGVzdCByb290MCAXDTI2\
    MTEyMTExMTM1MFoYDzIxMjYxMDI4MTExMzUwWjAWMRQwEgYDVQQDDAtzZWN1cmUudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEH\
    A0IABDDdDRG7uzjJI1+iTWusQcsUxNbaOd2Lu1GxkcgcDFNJoYMDmdFxMNGp+nVPo2++yy0lUAWVCIPtojM66AaVFXqjgYgwgYUw\
    FgYDVR0RBA8wDYILc2VjdXJlLnRlc3QwCQYDVR0TBAIwADALBgNVHQ8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0O\
    BBYEFN6Ba1/yuQS5W2z6jrpjNK9rkn72MB8GA1UdIwQYMBaAFPisCW8gMDJ4lIDeKgSSn8z2giZTMAoGCCqGSM49BAMCA0cAMEQC\
    IB/eL0nNo9GwTDG7pdgvyIk/fQouawpUZHaswgsoQKQ9AiBil6mGNgrid0eHqv9fTmMLTx7tg+UkLHB3n/UWRByBJA==";

/// Its key, PKCS#8. It protects nothing.
const LEAF_KEY: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/NsN9Krhj/A4fZIz3gVl/O5/oSALEsIIX4q7YLZZGXehRANCAAQw\
    3Q0Ru7s4ySNfok1rrEHLFMTW2jndi7tRsZHIHAxTSaGDA5nRcTDRqfp1T6NvvsstJVAFlQiD7aIzOugGlRV6";

struct Here;

#[async_trait]
impl Lookup for Here {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

fn der(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

fn trusting_the_root() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der(ROOT))).expect("root");
    tls_with_roots(roots)
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let key = PrivatePkcs8KeyDer::from(der(LEAF_KEY)).into();
    let config = builder
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(der(LEAF))], key);
    TlsAcceptor::from(Arc::new(config.expect("certificate")))
}

/// Answers one request, if the handshake comes about.
async fn serve(listener: TcpListener) {
    let (stream, _) = listener.accept().await.expect("accept");
    let Ok(mut stream) = acceptor().accept(stream).await else {
        return;
    };
    let mut request = [0; 4096];
    let length = stream.read(&mut request).await.expect("request");
    assert!(request[..length].starts_with(b"POST /path HTTP/1.1\r\n"));
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
    stream.write_all(answer).await.expect("answer");
    stream.flush().await.expect("answer");
}

fn http(tls: ClientConfig) -> Http {
    Http::new(
        Client::with_parts(Guard::new(loopback()), Arc::new(Here), tls),
        Services::default(),
        params(),
    )
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

#[tokio::test]
async fn a_server_with_a_trusted_root_is_talked_to() {
    let (listener, port) = listener().await;
    let http = http(trusting_the_root());
    let answer = succeed(&http, json!({"url": format!("https://secure.test:{port}/path")}));
    let (success, ()): (Success, ()) = tokio::join!(answer, serve(listener));
    assert_eq!(success.output.as_ref(), &json!("secret"));
}

#[tokio::test]
async fn an_unknown_root_or_another_name_is_refused() {
    for (tls, host, reason) in [
        (system_tls(), "secure.test", "UnknownIssuer"),
        (trusting_the_root(), "other.test", "not valid for name"),
    ] {
        let (listener, port) = listener().await;
        let http = http(tls);
        let answer = fail(&http, json!({"url": format!("https://{host}:{port}/path")}));
        let (failure, ()): (Failure, ()) = tokio::join!(answer, serve(listener));
        assert_eq!(failure.kind.as_deref(), Some("connect"));
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
}
