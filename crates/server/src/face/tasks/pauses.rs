//! Which queues are paused: a record for each, so that all nodes know and a restart forgets nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::time::Time;
use quintet_store::{Record, RecordWrite, Store, StoreError};
use serde::{Deserialize, Serialize};

/// Kind of the records.
const KIND: &str = "tasks.pause";

/// The queues that are paused.
pub(super) struct Pauses {
    store: Arc<dyn Store>,
    namespace: Arc<str>,
    known: Mutex<BTreeMap<String, Pause>>,
}

/// Who paused a queue, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    pub at: Time,
}

impl Pauses {
    pub async fn open(store: Arc<dyn Store>, namespace: Arc<str>) -> Result<Self, StoreError> {
        let pauses = Self {
            store,
            namespace,
            known: Mutex::default(),
        };
        pauses.refresh().await?;
        Ok(pauses)
    }

    /// Reads them anew; says whether they have changed.
    pub async fn refresh(&self) -> Result<bool, StoreError> {
        let records = self.store.records(&self.namespace, KIND, None, usize::MAX).await?;
        let read: BTreeMap<String, Pause> = records.iter().filter_map(read).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != read;
        *known = read;
        Ok(is_new)
    }

    pub async fn pause(&self, queue: &str, pause: &Pause) -> Result<(), StoreError> {
        let body = serde_json::to_string(pause).map_err(|error| StoreError::Internal(error.to_string()))?;
        self.put(queue, Some(body), pause.at).await
    }

    pub async fn resume(&self, queue: &str, at: Time) -> Result<(), StoreError> {
        self.put(queue, None, at).await
    }

    async fn put(&self, queue: &str, body: Option<String>, at: Time) -> Result<(), StoreError> {
        let write = RecordWrite {
            namespace: Arc::clone(&self.namespace),
            kind: KIND.into(),
            id: queue.into(),
            expected: None,
            body,
            expires_at: None,
            at,
        };
        self.store.put_records(vec![write]).await?;
        self.refresh().await.map(drop)
    }

    pub fn of(&self, queue: &str) -> Option<Pause> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(queue)
            .cloned()
    }

    /// Why nothing of a queue starts.
    pub fn reason(&self, queue: &str) -> Option<String> {
        let pause = self.of(queue)?;
        let by = pause.by.map(|by| format!(" by {by}")).unwrap_or_default();
        Some(format!("the queue {queue} is paused{by}"))
    }
}

fn read(record: &Record) -> Option<(String, Pause)> {
    let pause = serde_json::from_str(&record.body);
    let pause = pause.inspect_err(|error| tracing::error!(queue = %record.id, %error, "a pause cannot be read"));
    Some((record.id.to_string(), pause.ok()?))
}
