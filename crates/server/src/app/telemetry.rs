//! What the program says about itself while it works: log lines on standard error, and traces if somebody collects them.
//!
//! Standard output belongs to the ready line, so that whoever starts the server can wait for it. Spans of requests are
//! made at the level `debug`: in the log they appear only when asked for, so that a request does not pay for them.

#[cfg(feature = "otel")]
mod otel;

use std::io::IsTerminal;

use http::HeaderMap;
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::StartError;
use crate::config::{Config, Log, LogFormat};

/// What must be ended with the program, so that the last spans arrive.
#[must_use = "the last spans are sent by `shutdown`"]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Option<otel::Traces>,
}

impl Telemetry {
    /// Sends what has not been sent yet.
    pub async fn shutdown(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.shutdown().await;
        }
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets up logging and traces for the whole process. Must be called once, on a Tokio runtime.
pub fn init(config: &Config) -> Result<Telemetry, StartError> {
    let lines = lines(&config.log)?;
    #[cfg(feature = "otel")]
    let (traces, layers) = match otel::Traces::start(config)? {
        Some((traces, layer)) => (Some(traces), vec![lines, layer]),
        None => (None, vec![lines]),
    };
    #[cfg(not(feature = "otel"))]
    let layers = vec![lines];
    #[cfg(not(feature = "otel"))]
    if config.telemetry.otlp_endpoint.is_some() {
        return Err(failed(
            "`telemetry.otlp_endpoint` is set, but this binary was built without the feature `otel`",
        ));
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(failed)?;
    Ok(Telemetry {
        #[cfg(feature = "otel")]
        traces,
    })
}

/// Makes the span part of the trace that the client's `traceparent` names, if traces are sent.
pub(crate) fn continue_trace(span: &Span, headers: &HeaderMap) {
    #[cfg(feature = "otel")]
    otel::continue_trace(span, headers);
    #[cfg(not(feature = "otel"))]
    let _ = (span, headers);
}

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Telemetry(error.to_string())
}

fn lines(log: &Log) -> Result<BoxedLayer, StartError> {
    let filter = EnvFilter::builder().parse(&log.level).map_err(failed)?;
    let is_terminal = std::io::stderr().is_terminal();
    let as_json = match log.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    if as_json {
        return Ok(layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed());
    }
    let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(layer.with_ansi(is_coloured).with_filter(filter).boxed())
}
