//! `GET /api/info`: what this server is and how it is set up.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::reply::{self, Answer, iso};
use crate::app::App;

pub(super) async fn show(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let storage = &pipelines.assets.ready()?.storage;
    let now = pipelines.clock.now();
    let backends: Vec<&str> = storage.iter().map(|bucket| bucket.backend().id.as_str()).collect();
    Ok(reply::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": pipelines.settings.mode,
        "maxConcurrency": pipelines.settings.max_concurrency,
        "pollIntervalMs": pipelines.settings.poll_interval_ms,
        "storageBackends": backends,
        "defaultStorageBackend": storage.default_bucket().backend().id,
        "uptime": now.ms_since(pipelines.started_at) as f64 / 1_000.0,
        "timestamp": iso(now),
    })))
}
