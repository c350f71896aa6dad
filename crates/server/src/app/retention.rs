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
        let kept_us = self.days.map(|days| i64::try_from(u64::from(days) * DAY_MS * 1000).unwrap_or(i64::MAX));
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
