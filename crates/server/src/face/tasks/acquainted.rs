//! Which backends have ever been healthy, by their URLs: one record, so that a server that starts while a backend is away
//! knows that it is worth waiting for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::time::Time;
use quintet_executors::backend::Backends;
use quintet_store::{RecordWrite, Store, StoreError};

/// Kind and id of the record.
const KIND: &str = "tasks.backends";
const ID: &str = "seen";

/// What is known of them.
pub(super) struct Acquainted {
    store: Arc<dyn Store>,
    namespace: Arc<str>,
    urls: Mutex<BTreeSet<String>>,
}

impl Acquainted {
    /// Reads what is known, and tells the backends.
    pub async fn open(store: Arc<dyn Store>, namespace: Arc<str>, backends: &Backends) -> Result<Self, StoreError> {
        let record = store.record(&namespace, KIND, ID).await?;
        let urls: BTreeSet<String> = record
            .and_then(|record| serde_json::from_str(&record.body).ok())
            .unwrap_or_default();
        backends.trust(urls.iter().map(String::as_str));
        Ok(Self {
            store,
            namespace,
            urls: Mutex::new(urls),
        })
    }

    /// Keeps those that have been healthy for the first time. What another node wrote at the same moment is written again
    /// when it next learns something: nothing but patience depends on it.
    pub async fn keep(&self, backends: &Backends, now: Time) -> Result<(), StoreError> {
        let urls = {
            let known = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = backends.seen();
            if seen.iter().all(|url| known.contains(url)) {
                return Ok(());
            }
            known.iter().cloned().chain(seen).collect::<BTreeSet<String>>()
        };
        let body = serde_json::to_string(&urls).map_err(|error| StoreError::Internal(error.to_string()))?;
        let write = RecordWrite {
            namespace: Arc::clone(&self.namespace),
            kind: KIND.into(),
            id: ID.into(),
            expected: None,
            body: Some(body),
            expires_at: None,
            at: now,
        };
        self.store.put_records(vec![write]).await?;
        *self.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
        Ok(())
    }
}
