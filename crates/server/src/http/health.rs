//! Probes. None of them waits for anything longer than two seconds, and none needs a key.
//!
//! Alive means that requests are answered at all; a supervisor restarts what is not alive. Ready means that runs can
//! be started: the engine takes requests and the store can be read; a load balancer sends nothing to what is not ready.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use quintet_core::time::Time;
use quintet_engine::tasks;
use quintet_store::StoreError;
use serde::Serialize;
use serde_json::Value;

use super::refusal;
use crate::app::App;

const PATIENCE: Duration = Duration::from_secs(2);
/// What the gateway of the tenants face, the only one who looks, knows this service by.
pub(super) const ORCHESTRATOR: &str = "orchestrator-service";
const QUINTET: &str = "quintet";

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    timestamp: String,
    /// `https` where the server itself speaks TLS.
    scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pipelines: Option<PipelinesHealth>,
}

/// What clients of the pipelines face read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PipelinesHealth {
    database: &'static str,
    maintenance: Value,
    maintenance_mode: Value,
    can_accept_tasks: bool,
    running_tasks: Value,
}

impl PipelinesHealth {
    async fn of(app: &App) -> Option<Self> {
        let maintenance = app.pipelines.maintenance().await.ok()?;
        Some(Self {
            database: "connected",
            maintenance_mode: maintenance["mode"].clone(),
            can_accept_tasks: maintenance["mode"] == "running",
            running_tasks: maintenance["runningTasks"].clone(),
            maintenance,
        })
    }
}

#[derive(Serialize)]
struct Checks {
    engine: Check,
    store: Check,
}

#[derive(Serialize)]
struct Check {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    duration_ms: u64,
}

impl Check {
    fn is_healthy(&self) -> bool {
        self.message.is_none()
    }
}

impl Health {
    fn new(app: &App, status: &'static str, checks: Option<Checks>) -> Self {
        let timestamp = rfc3339(app.engine.clock().now());
        Self {
            status,
            service: QUINTET,
            version: env!("CARGO_PKG_VERSION"),
            timestamp,
            scheme: app.config.server.scheme(),
            checks,
            pipelines: None,
        }
    }
}

/// `GET /health`: one body that the readers of every face understand. 503 when something is wrong.
///
/// All of their documents say `healthy`; that one original said `ok` instead was never asked for by its clients.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let pipelines = tokio::select! {
        pipelines = PipelinesHealth::of(&app) => pipelines,
        () = tasks::pause(Some(PATIENCE)) => None,
    };
    checked(&app, ("healthy", "unhealthy"), pipelines, ORCHESTRATOR).await
}

/// `GET /health/ready` and `GET /readyz`.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    checked(&app, ("ready", "not_ready"), None, QUINTET).await
}

/// `GET /health/live`.
pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    refusal::json(&Health::new(&app, "alive", None))
}

/// `GET /healthz`, exactly as the original's clients know it.
pub(super) async fn healthz() -> Response {
    #[derive(Serialize)]
    struct Healthz {
        status: &'static str,
    }
    refusal::json(&Healthz { status: "ok" })
}

async fn checked(
    app: &Arc<App>,
    (good, bad): (&'static str, &'static str),
    pipelines: Option<PipelinesHealth>,
    service: &'static str,
) -> Response {
    let checks = Checks {
        engine: engine(app),
        store: store(app).await,
    };
    let is_healthy = checks.engine.is_healthy() && checks.store.is_healthy();
    let mut health = Health::new(app, if is_healthy { good } else { bad }, Some(checks));
    health.pipelines = pipelines;
    health.service = service;
    let mut response = refusal::json(&health);
    if !is_healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn engine(app: &App) -> Check {
    let message = match () {
        () if app.stopping.is_cancelled() => Some("stopping"),
        () if !app.engine.is_ready() => Some("takes no requests"),
        () => None,
    };
    Check {
        status: status(message),
        message,
        duration_ms: 0,
    }
}

async fn store(app: &Arc<App>) -> Check {
    let clock = app.engine.clock();
    let began = clock.now();
    let message = tokio::select! {
        read = app.engine.store().next_wake() => match read {
            Ok(_) => None,
            Err(error) => {
                // What exactly is wrong is for the log: probes are open to everybody.
                tracing::warn!(error = %error, "the store does not pass the health check");
                Some(match error {
                    StoreError::Unavailable(_) => "cannot be reached",
                    _ => "cannot be read",
                })
            }
        },
        () = tasks::pause(Some(PATIENCE)) => Some("does not answer"),
    };
    Check {
        status: status(message),
        message,
        duration_ms: clock.now().ms_since(began),
    }
}

const fn status(message: Option<&str>) -> &'static str {
    if message.is_none() { "healthy" } else { "unhealthy" }
}

fn rfc3339(time: Time) -> String {
    jiff::Timestamp::from_microsecond(time.0)
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}
