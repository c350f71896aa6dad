//! HTTP to storage services, by the parts that this crate has already: hyper, rustls on ring, the machine's roots.
//!
//! The object library can bring a client of its own; this saves it, keeps the one TLS stack, and follows no redirect
//! with credentials in hand. And it knows that a name below `localhost` is this machine (RFC 6761), which not every
//! resolver does: a service on a developer's machine that is addressed by virtual hosts is `bucket.localhost`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io, vec};

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use tower_service::Service;

use crate::egress::client::system_tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below what services close idle connections after.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

type Http = legacy::Client<HttpsConnector<TcpConnector<Resolver>>, HttpRequestBody>;

/// The client of all backends. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(super) struct Transport(Http);

impl Transport {
    pub fn new() -> Self {
        let mut tcp = TcpConnector::new_with_resolver(Resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = HttpsConnectorBuilder::new().with_tls_config(system_tls());
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        Self(http)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = self.0.request(request).await.map_err(of_request)?.into_parts();
        Ok(HttpResponse::from_parts(
            head,
            HttpResponseBody::new(body.map_err(of_body)),
        ))
    }
}

fn of_request(error: legacy::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        kind_of(&error)
    };
    HttpError::new(kind, error)
}

fn of_body(error: hyper::Error) -> HttpError {
    let kind = kind_of(&error);
    HttpError::new(kind, error)
}

/// By the first cause that says more than that something failed.
fn kind_of(error: &(dyn std::error::Error + 'static)) -> HttpErrorKind {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let kinds = causes.filter_map(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return match error {
                error if error.is_timeout() => Some(HttpErrorKind::Timeout),
                // A pooled connection that the service closed in the same moment.
                error if error.is_closed() || error.is_incomplete_message() => Some(HttpErrorKind::Request),
                _ => None,
            };
        }
        cause.downcast_ref::<io::Error>().map(|error| match error.kind() {
            io::ErrorKind::TimedOut => HttpErrorKind::Timeout,
            _ => HttpErrorKind::Interrupted,
        })
    });
    kinds.into_iter().next().unwrap_or(HttpErrorKind::Unknown)
}

/// The machine's resolver, and this machine for every name below `localhost`.
#[derive(Debug, Clone, Copy)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let host = if is_below_localhost(name.as_str()) {
                "localhost"
            } else {
                name.as_str()
            };
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(addresses.into_iter())
        })
    }
}

fn is_below_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_localhost_are_this_machine() {
        for name in ["bucket.localhost", "a.b.LocalHost", "b.localhost."] {
            assert!(is_below_localhost(name), "{name}");
        }
        for name in ["localhost", "notlocalhost", "localhost.example.com"] {
            assert!(!is_below_localhost(name), "{name}");
        }
    }
}
