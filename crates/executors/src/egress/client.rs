//! The HTTP client behind the guard.
//!
//! One pool of HTTP/1.1 connections with rustls on top of the guard's own dialer. It is made of hyper's parts and
//! not of a ready-made client, because the guard has to see host *and port* of each connection at the moment when
//! it is opened, for literals too; the hooks of ready-made clients show it only names.
//!
//! Idle connections are kept for two seconds: long enough for a chain of steps to the same service, short enough
//! that a server which closes idle connections early rarely does so under a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use url::Url;

use super::resolver::{DialError, Dialer, Lookup, SystemLookup};
use super::retry_after::retry_after_ms;
use super::{Guard, Policy, Refusal, redirect};

const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_PER_HOST: usize = 512;
const MAX_REDIRECTS: usize = 10;

/// How much of the body of a failed answer (status 400 and above) is read.
pub const EXCERPT_BYTES: usize = 4096;
/// How long to wait for that excerpt: the status is known, so a slow body must not turn it into a timeout.
const EXCERPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends requests to the places that a [`Guard`] admits. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpsConnector<Dialer>, Full<Bytes>>,
    dialer: Dialer,
    tls: ClientConfig,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Sent verbatim.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Sent as they are; length and host are added.
    pub headers: HeaderMap,
    /// `None` sends no body.
    pub body: Option<Bytes>,
    /// From the start of the call to the last byte of the answer, over all redirects.
    pub timeout: Duration,
    /// What to do with a redirect.
    pub redirects: Redirects,
}

/// What to do when the answer is a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// It is the answer.
    Return,
    /// Follow it, up to ten times, with the guard before each.
    Follow,
    /// The same, but take the body nowhere else: it holds secrets of this receiver.
    FollowNearby,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; of a failed answer (status 400 and above) only the first [`EXCERPT_BYTES`].
    pub body: Bytes,
}

/// Why there is no answer. Messages name scheme, host and path, never the query, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guard refused the target or a redirect's target.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection came about.
    #[error("{target} failed: cannot connect: {reason}")]
    Connect {
        /// Method and URL.
        target: String,
        /// The chain of causes.
        reason: String,
    },
    /// It took too long.
    #[error("{target} timed out: {reason}")]
    TimedOut {
        /// Method and URL.
        target: String,
        /// Which limit was passed.
        reason: String,
    },
    /// No connection came about in time, so nothing was sent.
    #[error("{target} timed out: {reason}")]
    ConnectTimedOut {
        /// Method and URL.
        target: String,
        /// Which limit was passed.
        reason: String,
    },
    /// The connection broke after it was made.
    #[error("{target} failed: {reason}")]
    Broken {
        /// Method and URL.
        target: String,
        /// The chain of causes.
        reason: String,
    },
    /// The body is longer than permitted.
    #[error("response body is larger than {limit} bytes (`egress.max_response_bytes`)")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The same call was to be repeated at another place, with a body that holds secrets.
    #[error("the answer redirects to another place, and the body holds secrets that are not sent there")]
    SecretBody,
    /// More than ten redirects.
    #[error("stopped after {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The `Location` of a redirect is no URL.
    #[error("the answer redirects to an invalid url: {0}")]
    BadRedirect(String),
    /// The URL cannot be sent over HTTP.
    #[error("invalid url: {0}")]
    BadUrl(String),
}

impl Reply {
    /// Milliseconds that the receiver asks to be left alone, at most an hour.
    pub fn retry_after_ms(&self) -> Option<u64> {
        retry_after_ms(&self.headers)
    }
}

impl CallError {
    /// Short class, as in [`quintet_core::outcome::Failure::kind`].
    pub fn kind(&self) -> &'static str {
        match self {
            CallError::Refused(refusal) if refusal.is_invalid_input() => "invalid_input",
            CallError::Refused(_) => "blocked",
            CallError::Connect { .. } => "connect",
            CallError::TimedOut { .. } | CallError::ConnectTimedOut { .. } => "timeout",
            CallError::Broken { .. } => "transport",
            CallError::TooLarge { .. } => "response_too_large",
            CallError::SecretBody | CallError::TooManyRedirects | CallError::BadRedirect(_) => "redirect",
            CallError::BadUrl(_) => "invalid_input",
        }
    }

    /// Whether the same call can have another end without anybody changing it or the settings.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            CallError::Refused(_) | CallError::TooLarge { .. } | CallError::BadUrl(_) | CallError::SecretBody
        )
    }
}

impl Client {
    /// A client with the machine's resolver and certificates.
    pub fn new(guard: Guard) -> Self {
        Self::with_parts(guard, Arc::new(SystemLookup), system_tls())
    }

    /// A client with everything given.
    pub fn with_parts(guard: Guard, lookup: Arc<dyn Lookup>, tls: ClientConfig) -> Self {
        let dialer = Dialer {
            guard: Arc::new(guard),
            lookup,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1();
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(connector.wrap_connector(dialer.clone()));
        Self { http, dialer, tls }
    }

    /// A client for URLs that only the operator gives, with connections of its own: one that was opened on the
    /// operator's word is never reused for a user's URL.
    pub fn for_operator(&self) -> Self {
        Self::with_parts(
            self.dialer.guard.for_operator(),
            Arc::clone(&self.dialer.lookup),
            self.tls.clone(),
        )
    }

    /// The guard it works behind.
    pub fn guard(&self) -> &Guard {
        &self.dialer.guard
    }

    /// The settings it works by.
    pub fn policy(&self) -> &Policy {
        self.dialer.guard.policy()
    }

    /// Sends one request and reads the answer.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let timeout = call.timeout;
        let target = target(&call);
        let timed_out = || CallError::TimedOut {
            target,
            reason: format!("no answer within {} ms", timeout.as_millis()),
        };
        tokio::time::timeout(timeout, self.exchange(call))
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    async fn exchange(&self, mut call: Call) -> Result<Reply, CallError> {
        for _ in 0..=MAX_REDIRECTS {
            let (head, body) = self.send(&call).await?.into_parts();
            if call.redirects != Redirects::Return
                && let Some(next) = redirect::next(&call, head.status, &head.headers)?
            {
                // What is left of the body goes with its connection: reading it could take for ever.
                call = next;
                continue;
            }
            let body = match head.status.as_u16() {
                400.. => read_excerpt(body).await,
                _ => self.read(&call, &head.headers, body).await?,
            };
            return Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
            });
        }
        Err(CallError::TooManyRedirects)
    }

    async fn send(&self, call: &Call) -> Result<http::Response<Incoming>, CallError> {
        self.dialer.guard.admit_url(&call.url)?;
        let mut url = call.url.clone();
        url.set_fragment(None);
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| CallError::BadUrl(error.to_string()))?;
        let mut request = Request::new(Full::new(call.body.clone().unwrap_or_default()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = call.headers.clone();
        self.http.request(request).await.map_err(|error| explain(call, &error))
    }

    /// Reads a whole body within the limit.
    async fn read(&self, call: &Call, headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, CallError> {
        let limit = self.policy().max_response_bytes;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if call.method != Method::HEAD && announced.is_some_and(|length| length > limit as u64) {
            return Err(CallError::TooLarge { limit });
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| CallError::Broken {
                target: target(call),
                reason: chain(&error),
            })?;
            if let Some(data) = frame.data_ref() {
                if whole.len() + data.len() > limit {
                    return Err(CallError::TooLarge { limit });
                }
                whole.extend_from_slice(data);
            }
        }
        Ok(whole.freeze())
    }
}

/// Reads the beginning of a body; whatever goes wrong, what came so far is the excerpt.
async fn read_excerpt(mut body: Incoming) -> Bytes {
    let mut excerpt = BytesMut::new();
    let reading = async {
        while excerpt.len() < EXCERPT_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                let room = EXCERPT_BYTES - excerpt.len();
                excerpt.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    };
    // Elapsing is one of the ways to end; the status is known already.
    let _ = tokio::time::timeout(EXCERPT_TIMEOUT, reading).await;
    excerpt.freeze()
}

/// TLS as clients do it: ring, and the certificates that this machine trusts (`SSL_CERT_FILE` is honoured).
///
/// A machine without any, such as an empty container, still serves plain HTTP; every https target then fails
/// with an unknown issuer.
pub fn system_tls() -> ClientConfig {
    match tls_builder().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no CA certificates on this machine: requests to https urls will fail");
            tls_builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}

/// TLS that trusts exactly these roots.
pub fn tls_with_roots(roots: rustls::RootCertStore) -> ClientConfig {
    tls_builder().with_root_certificates(roots).with_no_client_auth()
}

fn tls_builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    // The provider is named, so that no other crate's choice of a process-wide one matters.
    ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring serves the default TLS versions")
}

fn target(call: &Call) -> String {
    let mut url = call.url.clone();
    url.set_query(None);
    url.set_fragment(None);
    format!("{} {url}", call.method)
}

fn explain(call: &Call, error: &legacy::Error) -> CallError {
    if let Some(refusal) = find::<Refusal>(error) {
        return CallError::Refused(refusal.clone());
    }
    if let Some(timeout @ DialError::TimedOut(_)) = find::<DialError>(error) {
        return CallError::ConnectTimedOut {
            target: target(call),
            reason: timeout.to_string(),
        };
    }
    // The outermost text says only that a client failed; the cause says how.
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
    match error.is_connect() {
        true => CallError::Connect {
            target: target(call),
            reason,
        },
        false => CallError::Broken {
            target: target(call),
            reason,
        },
    }
}

fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The error and its causes in one line; a cause that its effect quotes already is not repeated.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |error| error.source()).map(|cause| cause.to_string()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
