//! Removes runs that ended long ago, and idempotency keys that have expired, in small batches.
//!
//! The loop is a clock around [`Retention::tick`], which does one round and says what it did.

use std::sync::Arc;
use std::time::Duration;

use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::tasks;
use quintet_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Between two rounds that found nothing more to do.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two batches, so that commits of live runs come first.
const BREATH: Duration = Duration::from_millis(50);
/// Runs removed at a time: one transaction must not hold up commits.
const BATCH: usize = 200;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What is kept, and for how long.
pub(super) struct Retention {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    days: Option<u32>,
}

impl Retention {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, days: Option<u32>) -> Self {
        Self { store, clock, days }
    }

    /// Removes one batch; says how many runs were removed.
    pub async fn tick(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let kept_us = self
            .days
            .map(|days| i64::try_from(u64::from(days) * DAY_MS * 1000).unwrap_or(i64::MAX));
        // Without a limit nothing ended early enough, and only expired keys go.
        let before = kept_us.map_or(Time(i64::MIN), |kept| Time(now.0.saturating_sub(kept)));
        self.store.prune(before, now, BATCH).await
    }
}

/// Runs until the server stops.
pub(super) async fn run(retention: Retention, stopping: CancellationToken) {
    loop {
        let pause = match retention.tick().await {
            Ok(removed) if removed >= BATCH as u64 => BREATH,
            Ok(0) => PAUSE,
            Ok(removed) => {
                tracing::info!(removed, "finished runs removed");
                PAUSE
            }
            Err(error) => {
                tracing::warn!(error = %error, "finished runs could not be removed; trying again later");
                PAUSE
            }
        };
        tokio::select! {
            () = tasks::pause(Some(pause)) => {}
            () = stopping.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use axum::body::Body;
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::app::{App, OpenOptions};
    use crate::config::Config;

    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::Relaxed))
        }
    }

    async fn post(app: &Arc<App>, path: &str, body: &str) -> serde_json::Value {
        let request = Request::post(path).body(Body::from(body.to_owned())).expect("request");
        let response = App::router(app).oneshot(request).await.expect("response");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("body");
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}"))
    }

    #[tokio::test]
    async fn runs_that_ended_before_the_limit_go_and_without_a_limit_none_does() {
        const START: Time = Time(1_700_000_000_000_000);
        let clock = Arc::new(Set(AtomicI64::new(START.0)));
        let config = Config::parse("store:\n  url: 'memory:'\n").expect("settings");
        let options = OpenOptions {
            clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
            ..OpenOptions::default()
        };
        let app = App::open(config, options).await.expect("open");
        let workflow = post(
            &app,
            "/v1/workflows",
            r#"{"name":"w","steps":[{"name":"a","action":"noop"}]}"#,
        )
        .await;
        let start = serde_json::json!({ "workflow_id": workflow["id"] }).to_string();
        let run = post(&app, "/v1/runs?wait=30s", &start).await;
        assert_eq!(run["status"], "SUCCEEDED", "{run}");

        let retention = |days| {
            Retention::new(
                Arc::clone(app.engine.store()),
                Arc::clone(&clock) as Arc<dyn Clock>,
                days,
            )
        };
        clock.0.store(START.plus_ms(8 * DAY_MS).0, Ordering::Relaxed);
        assert_eq!(retention(None).tick().await.expect("tick"), 0);
        assert_eq!(retention(Some(9)).tick().await.expect("tick"), 0);
        assert_eq!(retention(Some(7)).tick().await.expect("tick"), 1);
        assert_eq!(retention(Some(7)).tick().await.expect("tick"), 0);
        app.shutdown().await;
    }
}
