//! What is logged, and where traces go.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::section::section;

section! {
    /// What is logged, on standard error.
    pub struct Log = "log" {
        /// `text`, `json`, or `auto`: text on a terminal, JSON otherwise. Default: `auto`.
        pub format: LogFormat = LogFormat::Auto,
        /// `error`, `warn`, `info`, `debug`, `trace`, or rules per module (`info,quintet_engine=debug`). Default:
        /// `info`. `LOG_LEVEL` and `RUST_LOG` set it too.
        pub level: String = "info".to_owned(),
    }
}

section! {
    /// Where traces go (OpenTelemetry). Nothing is sent unless an endpoint is set.
    pub struct Telemetry = "telemetry" {
        /// Base URL of an OTLP/HTTP collector, such as `http://otel-collector:4318`. Default: none, which sends nothing.
        /// `OTEL_EXPORTER_OTLP_ENDPOINT` sets it too.
        pub otlp_endpoint: Option<String> = None,
        /// Name of this service in traces. Default: `quintet`. `OTEL_SERVICE_NAME` sets it too.
        pub service_name: String = "quintet".to_owned(),
        /// Share of requests and attempts that are traced, from 0 to 1. Default: 1.
        pub sample_ratio: f64 = 1.0,
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Log {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rules = tracing_subscriber::EnvFilter::builder().parse(&self.level);
        rules
            .map(drop)
            .map_err(|error| ConfigError::senseless("log.level", error.to_string()))
    }
}

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(ConfigError::senseless("telemetry.sample_ratio", "must be from 0 to 1"));
        }
        match self.otlp_endpoint.as_deref() {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                let reason = "must be the http:// or https:// URL of an OTLP/HTTP collector";
                Err(ConfigError::senseless("telemetry.otlp_endpoint", reason))
            }
            _ => Ok(()),
        }
    }
}
