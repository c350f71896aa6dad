//! From a URL's host to an open connection: look up, judge every answer, dial exactly what was judged.
//!
//! The dialer sits below TLS and below the connection pool, where a connection is opened, and it handles names
//! and literals alike. It is the last line: whatever slipped past the reading of the URL ends here. The lookup
//! happens once for each connection and its answers are pinned, so there is no moment between check and use.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Guard;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Turns names into addresses.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of the name, IPv4 and IPv6.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0))
            .await?
            .map(|address| address.ip())
            .collect())
    }
}

/// Why no connection was attempted or none came about in time. Refusals travel as [`super::Refusal`].
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot resolve host {host}")]
    Lookup {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot resolve host {host}: the name has no address")]
    NoAddress { host: String },
    #[error("no connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

/// Opens the connections of a [`super::Client`].
#[derive(Clone)]
pub(super) struct Dialer {
    pub guard: Arc<Guard>,
    pub lookup: Arc<dyn Lookup>,
}

impl Dialer {
    async fn dial(&self, uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let timeout = Duration::from_millis(self.guard.policy().connect_timeout_ms);
        let open = async {
            let addresses = self.addresses(&uri).await?;
            // hyper's connector brings the race between IPv6 and IPv4; it is given nothing but judged addresses.
            let mut connector = HttpConnector::new_with_resolver(Pinned(addresses));
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(timeout));
            connector.call(uri).await.map_err(BoxError::from)
        };
        tokio::time::timeout(timeout, open)
            .await
            .unwrap_or_else(|_| Err(DialError::TimedOut(timeout).into()))
    }

    /// The addresses of the URI's host; an error if any of them is refused.
    async fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let port = uri
            .port_u16()
            .unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let addresses = match host.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => {
                let answer = self.lookup.lookup(host).await;
                answer.map_err(|source| DialError::Lookup {
                    host: host.to_owned(),
                    source,
                })?
            }
        };
        if addresses.is_empty() {
            return Err(DialError::NoAddress { host: host.to_owned() }.into());
        }
        for address in &addresses {
            self.guard.judge(host, port, *address)?;
        }
        Ok(addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial(uri).await })
    }
}

/// Answers a lookup with addresses that are known and judged already.
#[derive(Clone)]
struct Pinned(Vec<SocketAddr>);

impl Service<Name> for Pinned {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(self.0.clone().into_iter()))
    }
}
