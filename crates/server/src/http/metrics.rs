//! `GET /metrics`, and the figures about requests.
//!
//! Labels are closed sets: methods, routes of the router (never paths), classes of status. So a client cannot make the
//! number of series grow.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use quintet_core::time::Time;
use quintet_engine::clock::Clock;

use super::process::Process;
use super::refusal;
use super::summary::{self, StoreFigures};
use crate::app::App;
use crate::face::tasks::Figures;

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: Route,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Route,
    status: &'static str,
}

/// A route as the router knows it; shared, so that a label costs no copy.
#[derive(Debug, Clone)]
struct Route(Option<MatchedPath>);

impl Route {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

/// Figures about requests.
#[derive(Debug, Clone)]
pub(super) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    pub connections: Gauge,
    pub streams: Gauge,
    pub panics: Counter,
    pub auth_failures: Counter,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || {
            let bounds = [
                0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
            ];
            Histogram::new(bounds)
        };
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            streams: Gauge::default(),
            panics: Counter::default(),
            auth_failures: Counter::default(),
        }
    }
}

/// A request under way. Dropped without [`Seen::end`] when the client has gone.
pub(super) struct Seen<'a> {
    metrics: &'a HttpMetrics,
    labels: RouteLabels,
    clock: &'a Arc<dyn Clock>,
    began: Time,
}

impl HttpMetrics {
    /// A request has come.
    pub fn begin<'a>(&'a self, request: &Request, clock: &'a Arc<dyn Clock>) -> Seen<'a> {
        self.in_flight.inc();
        let route = Route(request.extensions().get::<MatchedPath>().cloned());
        let labels = RouteLabels {
            method: method(request.method()),
            route,
        };
        Seen {
            metrics: self,
            labels,
            clock,
            began: clock.now(),
        }
    }

    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet_http");
        registry.register(
            "requests",
            "Requests answered, by route and class of status",
            self.requests.clone(),
        );
        registry.register(
            "request_seconds",
            "Seconds until the answer began",
            self.seconds.clone(),
        );
        registry.register("requests_in_flight", "Requests being answered", self.in_flight.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("streams", "Live streams", self.streams.clone());
        registry.register("panics", "Requests that panicked", self.panics.clone());
        registry.register(
            "auth_failures",
            "Requests without a valid key",
            self.auth_failures.clone(),
        );
    }
}

impl Seen<'_> {
    /// It was answered.
    pub fn end(self, status: StatusCode) {
        let micros = self.clock.now().0.saturating_sub(self.began.0).max(0);
        self.metrics
            .seconds
            .get_or_create(&self.labels)
            .observe(micros as f64 / 1e6);
        let RouteLabels { method, route } = self.labels.clone();
        let labels = RequestLabels {
            method,
            route,
            status: class(status),
        };
        self.metrics.requests.get_or_create(&labels).inc();
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

const fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// Everything that is counted, as Prometheus text, or as a JSON summary when `Accept` asks for JSON.
pub(super) async fn serve(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let figures = StoreFigures::read(&app).await;
    if accepts(&headers, "application/json") {
        return refusal::json(&summary::of(&app, figures.as_ref()));
    }
    let mut registry = Registry::default();
    app.engine.metrics().register(&mut registry);
    app.edge.metrics.register(&mut registry);
    app.schedules.metrics().register(&mut registry);
    app.tenancy.metrics().register(&mut registry);
    app.audit.register(&mut registry);
    if let Some(figures) = &figures {
        figures.register(&mut registry);
    }
    registry.register_collector(Box::new(Process));
    registry.register_collector(Box::new(Figures::of(&app)));
    let mut text = String::with_capacity(16 << 10);
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        text.clear();
    }
    if accepts(&headers, "application/openmetrics-text") {
        return respond(text, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    }
    respond(classic(&text), "text/plain; version=0.0.4; charset=utf-8")
}

fn respond(text: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|range| {
        range
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(kind)
    })
}

/// The OpenMetrics text as older readers expect it: a counter is described under the name that its samples have, and
/// there is no end mark.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 512);
    let mut help = None;
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", ..] => help = Some(words),
            ["#", "TYPE", name, kind] => {
                let suffix = if *kind == "counter" { "_total" } else { "" };
                if let Some(["#", "HELP", _, said]) = help.take().as_deref() {
                    let _ = writeln!(out, "# HELP {name}{suffix} {said}");
                }
                let _ = writeln!(
                    out,
                    "# TYPE {name}{suffix} {}",
                    if *kind == "unknown" { "untyped" } else { kind }
                );
            }
            ["#", "EOF" | "UNIT", ..] => {}
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_readers_get_counters_described_by_the_name_of_their_samples() {
        let modern =
            "# HELP a_b Things.\n# TYPE a_b counter\na_b_total 1\n# HELP g Level.\n# TYPE g gauge\ng 2\n# EOF\n";
        let expected =
            "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total 1\n# HELP g Level.\n# TYPE g gauge\ng 2\n";
        assert_eq!(classic(modern), expected);
    }

    #[test]
    fn the_json_summary_is_given_only_to_those_who_ask_for_it() {
        let accepting = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("header"));
            accepts(&headers, "application/json")
        };
        assert!(accepting("text/html, application/json;q=0.9"));
        assert!(!accepting("*/*"));
        assert!(!accepting(
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4"
        ));
    }
}
