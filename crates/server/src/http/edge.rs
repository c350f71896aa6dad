//! What every request passes before it reaches a face, and every answer on its way back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use quintet_engine::clock::Clock;
use quintet_engine::tasks::panic_text;
use tracing::Instrument;

use super::access::{self, Need};
use super::cors;
use super::depth::{DepthGuard, Excess};
use super::docs;
use super::metrics::HttpMetrics;
use super::noting;
use super::origin::Names;
use super::rate::{self, Rates};
use super::refusal::{refuse, refuse_at, refuse_for};
use super::request_id::{self, RequestId, RequestIds};
use super::slow::BodyTimer;
use super::streams::Streams;
use crate::app::App;
use crate::config::{Config, CorsOrigin};
use crate::error_code::ErrorCode;
use crate::face;
use crate::identity::{Caller, Identity, Permission, Reason, Rejection, Role};
use crate::tenancy::{Access, Asked, Tenancy};

/// Where a connection comes from; in the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// The address that a request really comes from, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub Option<IpAddr>);

impl FromRequestParts<Arc<App>> for PeerAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let forwarded = if app.edge.behind_proxy {
            forwarded_for(&parts.headers)
        } else {
            None
        };
        Ok(Self(forwarded.or(peer)))
    }
}

/// When to come again where nobody knows better, in seconds.
const RETRY_AFTER_S: &str = "1";

/// The answer to a request that is not let in.
type Refused = Box<Response>;

/// What is looked at while a body is read.
struct Watch {
    timer: BodyTimer,
    depth: Option<DepthGuard>,
}

impl Watch {
    fn attach(request: &mut Request, (depth, values): (usize, usize)) -> Self {
        let timer = BodyTimer::attach(request);
        let depth = DepthGuard::attach(request, depth, values);
        Self { timer, depth }
    }

    /// The answer where the body was given up, whatever the face made of that.
    fn refusal(&self, path: &str) -> Option<Response> {
        if self.timer.ran_out() {
            return Some(too_slow());
        }
        let text = match self.depth.as_ref()?.excess()? {
            Excess::Depth => "bad json: it is nested too deep (`limits.json_depth`)",
            Excess::Values => "bad json: it holds too many values (`limits.json_values`)",
        };
        Some(refuse_for(path, ErrorCode::BadJson, text))
    }
}

/// What the middleware knows.
pub(crate) struct Edge {
    pub(super) metrics: HttpMetrics,
    ids: RequestIds,
    names: Names,
    identity: Arc<Identity>,
    tenancy: Arc<Tenancy>,
    rates: Rates,
    streams: Streams,
    json_bounds: (usize, usize),
    clock: Arc<dyn Clock>,
    max_body_bytes: usize,
    behind_proxy: bool,
    cors_origin: CorsOrigin,
}

impl Edge {
    pub fn new(config: &Config, clock: &Arc<dyn Clock>, identity: &Arc<Identity>, tenancy: &Arc<Tenancy>) -> Self {
        let metrics = HttpMetrics::default();
        Self {
            ids: RequestIds::new(),
            names: Names::new(config.server.address().ok(), &config.server.allowed_hosts),
            identity: Arc::clone(identity),
            tenancy: Arc::clone(tenancy),
            rates: Rates::new(&config.limits),
            streams: Streams::new(&config.limits, &metrics.streams),
            json_bounds: (config.limits.json_depth, config.limits.json_values),
            clock: Arc::clone(clock),
            max_body_bytes: config.server.max_body_bytes,
            behind_proxy: config.server.behind_proxy,
            cors_origin: config.server.cors_origin.clone(),
            metrics,
        }
    }

    /// Lets the request in, or says why not: in the order of the page of this room.
    fn admit(&self, request: &mut Request, id: &RequestId) -> Result<Option<Watch>, Refused> {
        let caller = self.caller(request)?;
        let caller = self.within_namespace(request, caller)?;
        self.within_rate(request, &caller)?;
        request
            .extensions_mut()
            .insert(face::workflows::Namespace(Arc::clone(&caller.namespace)));
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(id.clone());
        let length = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let limit = access::body_limit(request.uri().path(), self.max_body_bytes);
        if length.is_some_and(|length: u64| length > limit as u64) {
            let message = format!("the body is longer than {limit} bytes (`server.max_body_bytes`)");
            return Err(refuse_at(request, ErrorCode::BodyTooLarge, &message).into());
        }
        // A body without a length is counted while it is read.
        DefaultBodyLimit::max(limit).apply(request);
        let has_body =
            length.is_some_and(|length| length > 0) || request.headers().contains_key(header::TRANSFER_ENCODING);
        Ok(has_body.then(|| Watch::attach(request, self.json_bounds)))
    }

    /// The caller, about the namespace that the request names.
    fn within_namespace(&self, request: &Request, caller: Caller) -> Result<Caller, Refused> {
        let (method, path) = (request.method(), request.uri().path());
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let access = match access::need(method, route) {
            Need::Nothing => return Ok(caller),
            // Who works answers for what was begun, whatever may begin now.
            Need::Face => Access::Read,
            Need::Known | Need::May(_) => Access::of(method, path),
        };
        let asked = Asked::of(path, request.headers());
        let resolved = asked.and_then(|asked| {
            let namespace = self.tenancy.resolve(&caller.home(), &asked, access)?;
            let is_chosen = caller.is_global() && asked != Asked::Nothing;
            Ok(is_chosen.then_some(namespace))
        });
        match resolved {
            Ok(Some(namespace)) => Ok(caller.within(namespace)),
            Ok(None) => Ok(caller),
            Err(refusal) => {
                let mut response = refuse_at(request, refusal.code(), &refusal.to_string());
                response.extensions_mut().insert(caller);
                Err(response.into())
            }
        }
    }

    fn within_rate(&self, request: &Request, caller: &Caller) -> Result<(), Refused> {
        let Some(who) = rate::account(caller) else {
            return Ok(());
        };
        self.rates.admit(&who, self.clock.now()).map_err(|seconds| {
            let message = "this key has sent too many requests (`limits.requests_per_second`)";
            let mut response = refuse_at(request, ErrorCode::RateLimited, message);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response.extensions_mut().insert(caller.clone());
            response.into()
        })
    }

    fn caller(&self, request: &Request) -> Result<Caller, Refused> {
        let headers = request.headers();
        if self.identity.is_open() {
            let known = match &self.cors_origin {
                CorsOrigin::One(origin) if cors::covers(request.uri().path()) => Some(origin),
                _ => None,
            };
            return match self.names.refusal(request.method(), request.uri(), headers, known) {
                Some(reason) => Err(refuse_at(request, ErrorCode::Forbidden, reason).into()),
                None => Ok(Caller::anonymous()),
            };
        }
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let need = access::need(request.method(), route);
        if need == Need::Nothing {
            return Ok(Caller::anonymous());
        }
        let caller = match self.identity.caller(headers) {
            Ok(caller) => caller,
            Err(_) if need == Need::Face => return Ok(Caller::unknown()),
            Err(rejection) => return Err(self.unknown(request, &rejection).into()),
        };
        match need {
            Need::May(permission) if !caller.may(permission) => Err(not_permitted(request, caller, permission)),
            Need::May(_) | Need::Known | Need::Face | Need::Nothing => Ok(caller),
        }
    }

    fn unknown(&self, request: &Request, rejection: &Rejection) -> Response {
        // A browser cannot send a key with a link: this page asks for one.
        if request.uri().path() == "/docs" && rejection.reason == Reason::Missing {
            return docs::with_status(StatusCode::UNAUTHORIZED);
        }
        self.metrics.auth_failures.inc();
        let (address, reason) = (self.client(request), rejection.reason);
        let throttle = &self.identity.throttle;
        let Some(seconds) = throttle.failed(address, rejection.key.as_ref(), self.clock.now()) else {
            tracing::warn!(client = %address, path = request.uri().path(), reason = reason.as_str(), "request without a valid key");
            return refuse_at(request, ErrorCode::Unauthorized, reason.message());
        };
        let mut response = refuse_at(request, ErrorCode::RateLimited, "too many requests without a valid key");
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        response
    }

    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let forwarded = if self.behind_proxy {
            forwarded_for(request.headers())
        } else {
            None
        };
        forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// The address that the proxy itself saw: it is the last, those before it are the client's own words.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// Says what is missing, and which role has it; who was refused goes along for the audit log.
fn not_permitted(request: &Request, caller: Caller, permission: Permission) -> Refused {
    let role = Role::least_with(permission).as_str();
    let message = format!("this key does not have the permission `{permission}`, which the role `{role}` has");
    let mut response = refuse_at(request, ErrorCode::Forbidden, &message);
    response.extensions_mut().insert(caller);
    response.into()
}

/// The middleware.
pub(super) async fn pass(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let edge = &app.edge;
    let id = edge.ids.of(request.headers());
    let seen = edge.metrics.begin(&request, &edge.clock);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::debug_span!(
        "request",
        method = %request.method(),
        route = route.as_ref().map_or("none", MatchedPath::as_str),
        request_id = id.as_str(),
        status = tracing::field::Empty,
    );
    crate::app::telemetry::continue_trace(&span, request.headers());
    let is_open_to_pages = cors::covers(request.uri().path());
    if is_open_to_pages && *request.method() == Method::OPTIONS {
        let mut response = cors::preflight(&edge.cors_origin);
        seen.end(response.status());
        dress(response.headers_mut(), &id);
        return response;
    }
    let (uri, client) = (request.uri().clone(), edge.client(&request));
    // A provider of tokens may have new keys.
    if let Some(kid) = edge.identity.missing_key(request.headers()) {
        edge.identity.look_for(&kid).await;
    }
    let admitted = edge.admit(&mut request, &id);
    let who = request.extensions().get().and_then(rate::account);
    let mut response = match admitted {
        Err(refusal) => {
            noting::refused(&app.audit, &request, &id, client, &refusal);
            *refusal
        }
        Ok(watch) => {
            let trail = noting::begin(&app.audit, &request, &id, client);
            let answered = AssertUnwindSafe(next.run(request))
                .catch_unwind()
                .instrument(span.clone())
                .await;
            let response = answered.unwrap_or_else(|panic| panicked(edge, &id, panic.as_ref()));
            let given_up = watch.and_then(|watch| watch.refusal(uri.path()));
            let response = given_up.unwrap_or(response);
            match trail {
                Some(trail) => trail.end(response).await,
                None => response,
            }
        }
    };
    let status = response.status();
    span.record("status", status.as_u16());
    if status.is_server_error() {
        let route = route.as_ref().map_or("none", MatchedPath::as_str);
        tracing::warn!(
            request_id = id.as_str(),
            route,
            status = status.as_u16(),
            "request failed"
        );
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let soon = HeaderValue::from_static(RETRY_AFTER_S);
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(soon);
    }
    response = edge.streams.admit(response, who, uri.path(), &app.stopping);
    seen.end(response.status());
    dress(response.headers_mut(), &id);
    if is_open_to_pages {
        cors::dress(response.headers_mut(), &edge.cors_origin);
    }
    response
}

/// The headers that every answer has.
fn dress(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(request_id::HEADER, id.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn panicked(edge: &Edge, id: &RequestId, panic: &(dyn std::any::Any + Send)) -> Response {
    edge.metrics.panics.inc();
    tracing::error!(
        request_id = id.as_str(),
        panic = panic_text(panic),
        "a request panicked"
    );
    refuse(ErrorCode::Internal, "internal error")
}

fn too_slow() -> Response {
    let mut response = refuse(ErrorCode::InvalidParameter, "the body did not arrive in time");
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_proxy_only_its_own_word_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append("x-forwarded-for", "1.1.1.1, 2.2.2.2".parse().expect("header"));
        headers.append("x-forwarded-for", "3.3.3.3, 4.4.4.4".parse().expect("header"));
        assert_eq!(forwarded_for(&headers), Some([4, 4, 4, 4].into()));
        headers.append("x-forwarded-for", "unknown".parse().expect("header"));
        assert_eq!(forwarded_for(&headers), None);
    }
}
