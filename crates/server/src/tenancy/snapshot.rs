//! All namespaces about which somebody said something, as this process knows them.
//!
//! Every request asks, so the answer must not cost a read of the store: it is looked up here. What this node writes it
//! reads back at once. What other nodes write is seen by a document whose version grows with every change: it alone is
//! read every other second, and all namespaces only when it has grown.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use quintet_core::time::Time;
use quintet_store::{RecordWrite, Store, StoreError};

use super::model::{KIND, Namespace, RESERVED};

/// The document whose version grows.
const GENERATION_KIND: &str = "namespace.generation";
const GENERATION_ID: &str = "all";
/// Namespaces read at a time.
const PAGE: usize = 1000;

/// What was known at some moment.
#[derive(Debug, Default)]
pub(super) struct Known {
    generation: u64,
    pub by_name: BTreeMap<Arc<str>, Arc<Namespace>>,
}

/// What is known now.
#[derive(Debug, Default)]
pub(super) struct Snapshot(RwLock<Arc<Known>>);

/// How much of the store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Everything.
    Whole,
    /// Everything if it has changed.
    Changed,
}

impl Snapshot {
    pub fn now(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the store, and says whether it knows something new.
    pub async fn refresh(&self, store: &dyn Store, how: Refresh) -> Result<bool, StoreError> {
        // Before the namespaces: what changes between the two is seen the next time.
        let generation = store.record(RESERVED, GENERATION_KIND, GENERATION_ID).await?;
        let generation = generation.map_or(0, |record| record.version);
        if how == Refresh::Changed && generation == self.now().generation {
            return Ok(false);
        }
        let by_name = read(store).await?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another look may have been faster, and seen more.
        let is_new = generation >= known.generation;
        if is_new {
            *known = Arc::new(Known { generation, by_name });
        }
        Ok(is_new)
    }
}

async fn read(store: &dyn Store) -> Result<BTreeMap<Arc<str>, Arc<Namespace>>, StoreError> {
    let (mut all, mut after) = (BTreeMap::new(), None::<Arc<str>>);
    loop {
        let page = store.records(RESERVED, KIND, after.as_deref(), PAGE).await?;
        for record in &page {
            let namespace = Namespace::read(record)?;
            all.insert(Arc::clone(&namespace.name), Arc::new(namespace));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(Arc::clone(&last.id)),
            _ => return Ok(all),
        }
    }
}

/// Lets the other nodes see that something has changed.
pub(super) fn next_generation(now: Time) -> RecordWrite {
    RecordWrite {
        namespace: RESERVED.into(),
        kind: GENERATION_KIND.into(),
        id: GENERATION_ID.into(),
        expected: None,
        body: Some("{}".to_owned()),
        expires_at: None,
        at: now,
    }
}
