//! Traces to an OpenTelemetry collector: OTLP over HTTP, as JSON, through the server's own HTTP client.
//!
//! Spans are collected and sent by a thread of the SDK, so a collector that is slow or away costs spans and nothing
//! else. The thread has no runtime of its own; the sender borrows the server's.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use quintet_executors::egress::{Call, Client, Redirects};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;

use super::{BoxedLayer, StartError, failed};
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether traces are sent: without it a request does not even look for a trace to continue.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Traces being sent.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending, if an endpoint is configured.
    pub fn start(config: &Config) -> Result<Option<(Self, BoxedLayer)>, StartError> {
        let telemetry = &config.telemetry;
        let Some(endpoint) = telemetry
            .otlp_endpoint
            .as_deref()
            .filter(|endpoint| !endpoint.is_empty())
        else {
            return Ok(None);
        };
        let client = config.executors(true)?.client()?.for_operator();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender {
                client,
                runtime: Handle::current(),
            })
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(failed)?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(
                Resource::builder()
                    .with_service_name(telemetry.service_name.clone())
                    .build(),
            )
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("quintet"))
            .with_threads(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::DEBUG));
        IS_ON.store(true, Ordering::Relaxed);
        Ok(Some((Self(provider), layer.boxed())))
    }

    /// Sends what is left.
    pub async fn shutdown(self) {
        // It waits for its thread, which needs this runtime to send.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(error = %error, "the last traces were not sent");
        }
    }
}

/// Spans of our own, and what is said inside them; not those of libraries.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("quintet") && (metadata.is_span() || *metadata.level() <= tracing::Level::INFO)
}

/// Makes the span part of the trace that the client's `traceparent` names.
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    if IS_ON.load(Ordering::Relaxed) && headers.contains_key("traceparent") {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // A span that is not recorded has no place for a parent.
        let _ = span.set_parent(parent);
    }
}

/// Sends through the server's client, on the server's runtime.
struct Sender {
    client: Client,
    runtime: Handle,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let call = Call {
            url: self.client.guard().admit(&parts.uri.to_string())?,
            method: parts.method,
            headers: parts.headers,
            body: Some(body),
            timeout: TIMEOUT,
            redirects: Redirects::Return,
        };
        let client = self.client.clone();
        let reply = self.runtime.spawn(async move { client.call(call).await }).await??;
        let mut response = Response::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        Ok(response)
    }
}
