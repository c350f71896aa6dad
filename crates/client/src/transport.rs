//! Requests and answers as bytes: one pool of HTTP/1.1 connections, with TLS where the address asks for it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::tls::Tls;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) enum Transport {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    Tls(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Transport {
    /// Without encryption.
    pub fn plain() -> Self {
        Self::Plain(pool().build(tcp()))
    }

    /// Reading certificates is why this one is made only when it is needed.
    pub fn tls(tls: &Tls) -> Result<Self, String> {
        let mut tcp = tcp();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config()?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self::Tls(pool().build(connector)))
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, legacy::Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp
}

fn pool() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
    builder
}

/// The innermost cause: the outer ones say only that there was one.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
