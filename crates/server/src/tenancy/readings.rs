//! Usage of namespaces, read from the store.
//!
//! Counting a large namespace takes time, so one is counted at a time, and an answer is given again while it is young:
//! for a second, or for twenty times as long as it took. So whoever asks without end takes a twentieth of a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_store::{NamespaceUsage, Store, StoreError};
use tokio::sync::Semaphore;

const YOUNG_MS: u64 = 1_000;
const SHARE: u64 = 20;
/// Answers that are kept.
const KEPT: usize = 1_000;

/// A namespace's usage at a time.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// How much there was.
    pub usage: NamespaceUsage,
    /// When.
    pub at: Time,
    took_ms: u64,
}

impl Reading {
    fn is_young(&self, now: Time) -> bool {
        now.ms_since(self.at) < YOUNG_MS.max(self.took_ms.saturating_mul(SHARE))
    }
}

pub(super) struct Readings {
    turn: Semaphore,
    kept: Mutex<HashMap<Arc<str>, Reading>>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            kept: Mutex::default(),
        }
    }
}

impl Readings {
    /// How much there is of a namespace, or was a moment ago.
    pub async fn usage(&self, store: &dyn Store, clock: &dyn Clock, name: &Arc<str>) -> Result<Reading, StoreError> {
        if let Some(reading) = self.young(name, clock) {
            return Ok(reading);
        }
        let turn = self.turn.acquire().await;
        let _turn = turn.map_err(|_| StoreError::Internal("nobody closes this semaphore".to_owned()))?;
        if let Some(reading) = self.young(name, clock) {
            return Ok(reading);
        }
        self.now(store, clock, name).await
    }

    /// How much there is now.
    pub async fn now(&self, store: &dyn Store, clock: &dyn Clock, name: &Arc<str>) -> Result<Reading, StoreError> {
        let at = clock.now();
        let usage = store.namespace_usage(name).await?;
        let took_ms = clock.now().ms_since(at);
        let reading = Reading { usage, at, took_ms };
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(Arc::clone(name), reading);
        Ok(reading)
    }

    fn young(&self, name: &str, clock: &dyn Clock) -> Option<Reading> {
        let now = clock.now();
        self.kept().get(name).copied().filter(|reading| reading.is_young(now))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Arc<str>, Reading>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
