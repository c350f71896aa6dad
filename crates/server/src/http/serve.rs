//! The listener: accepts connections, and lets go of them in order when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use quintet_engine::tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::addresses::Addresses;
use super::edge::Peer;
use super::slow::{HEAD, HeadRead, Heads};
use super::tls::{self, Tls};
use crate::app::{App, StartError};
use crate::config::Config;

/// How long a connection may be idle: longer than the minute for which reverse proxies usually keep theirs.
const IDLE: Duration = Duration::from_secs(75);
/// After an error of `accept`, which is then mostly a lack of file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Refuses an address that other machines reach while nobody needs a key.
fn check_exposure(config: &Config, address: SocketAddr) -> Result<(), StartError> {
    if address.ip().is_loopback() || config.auth.keeps_strangers_out() || config.server.insecure_no_auth {
        return Ok(());
    }
    Err(StartError::Unprotected {
        address: address.to_string(),
    })
}

/// A bound address at which nobody is let in yet: connections are refused, so that a load balancer sees at once that
/// this one is not there yet.
pub struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// An address at which connections are accepted.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Reserved {
    /// Where it will listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients connect.
    pub fn listen(self) -> Result<Server, StartError> {
        let address = self.address;
        let listener = self.socket.listen(BACKLOG).map_err(|source| StartError::Bind {
            address: address.to_string(),
            source,
        })?;
        Ok(Server {
            listener,
            address,
            tls: self.tls,
        })
    }
}

impl Server {
    /// Binds the configured address, if it is a safe one.
    pub fn bind(config: &Config) -> Result<Reserved, StartError> {
        let wanted = config.server.address()?;
        check_exposure(config, wanted)?;
        let tls = Tls::open(&config.server)?;
        let failed = |source| StartError::Bind {
            address: wanted.to_string(),
            source,
        };
        let socket = if wanted.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let socket = socket.map_err(failed)?;
        // A port whose last connections are still closing can be used again at once.
        #[cfg(unix)]
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(wanted).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Reserved { socket, address, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What connections are encrypted with; none where they are plain.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Serves until `stop` ends. Then nothing is accepted any more, requests under way get half of `engine.drain_ms`
    /// to end, and the rest is cut off. The engine is left running.
    pub async fn run(self, app: &Arc<App>, stop: impl Future<Output = ()>) {
        let connections = Connections::new(app, self.tls.clone());
        tokio::pin!(stop);
        loop {
            let accepted = async {
                let place = connections.place().await;
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((socket, peer)) => connections.begin(socket, peer, place),
                // The client has gone before it was served.
                Err(error) if is_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tasks::pause(Some(BREATH)).await;
                }
            }
        }
        drop(self.listener);
        app.stopping.cancel();
        connections
            .end(Duration::from_millis(app.config.engine.drain_ms / 2))
            .await;
    }
}

fn is_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused
    )
}

/// The connections that are open.
struct Connections {
    router: Router,
    http: http1::Builder,
    tls: Option<Arc<Tls>>,
    stopping: CancellationToken,
    places: Arc<Semaphore>,
    addresses: Addresses,
    open: Gauge,
    graceful: GracefulShutdown,
    cut: CancellationToken,
}

/// Counts a connection for as long as it is open.
struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Connections {
    fn new(app: &Arc<App>, tls: Option<Arc<Tls>>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_header_size(MAX_HEADER_BYTES);
        Self {
            router: App::router(app),
            http,
            tls,
            stopping: app.stopping.clone(),
            places: Arc::new(Semaphore::new(
                app.config.limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            addresses: Addresses::new(app.config.connections_per_address()),
            open: app.edge.metrics.connections.clone(),
            graceful: GracefulShutdown::new(),
            cut: CancellationToken::new(),
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn begin(&self, socket: TcpStream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>) {
        let Some(counted) = self.addresses.admit(peer.ip()) else {
            tracing::debug!(client = %peer, "an address holds too many connections; one more is closed");
            return;
        };
        self.open.inc();
        let held = (place, counted, Open(self.open.clone()));
        // Answers are written whole, so waiting for more to send only delays them.
        let _ = socket.set_nodelay(true);
        let serving = Serving {
            peer,
            router: self.router.clone(),
            http: self.http.clone(),
            watcher: self.graceful.watcher(),
        };
        let (tls, stopping, cut) = (self.tls.clone(), self.stopping.clone(), self.cut.clone());
        tasks::spawn("connection", async move {
            let served = async {
                let Some(tls) = tls else {
                    return serving.serve(socket, Transport::Plain).await;
                };
                let shaken = tokio::select! {
                    shaken = tls.accept(socket) => shaken,
                    // Nothing was asked of it yet.
                    () = stopping.cancelled() => return,
                };
                match shaken {
                    Ok(stream) => serving.serve(stream, Transport::Tls).await,
                    Err(error) => tracing::debug!(%error, client = %peer, "a TLS handshake came to nothing"),
                }
            };
            tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            }
            drop(held);
        });
    }

    async fn end(self, patience: Duration) {
        tokio::select! {
            () = self.graceful.shutdown() => {}
            () = tasks::pause(Some(patience)) => {
                tracing::warn!("requests did not end in time; their connections are cut");
                self.cut.cancel();
            }
        }
    }
}

/// What a connection is carried by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Plain,
    Tls,
}

/// What a connection is served with.
struct Serving {
    peer: SocketAddr,
    router: Router,
    http: http1::Builder,
    watcher: Watcher,
}

impl Serving {
    async fn serve<Io>(self, io: Io, transport: Transport)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            peer,
            router,
            http,
            watcher,
        } = self;
        let head = HeadRead::default();
        let io = TokioIo::new(Heads::new(io, head.clone(), HEAD));
        let service = service_fn(move |mut request: Request<Incoming>| {
            head.set();
            request.extensions_mut().insert(Peer(peer));
            let host = request.headers().get(header::HOST).cloned();
            let answer = router.clone().call(request);
            async move {
                let mut answer = answer.await?;
                if transport == Transport::Tls {
                    tls::insist(host.as_ref(), answer.headers_mut());
                }
                Ok::<_, Infallible>(answer)
            }
        });
        if let Err(error) = watcher.watch(http.serve_connection(io, service)).await {
            tracing::debug!(error = %error, client = %peer, "a connection ended with an error");
        }
    }
}
