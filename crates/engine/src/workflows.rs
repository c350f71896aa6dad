//! Workflows: versioned documents with their plans.
//!
//! The current version of a workflow that is started often is kept compiled. Where a process has the store for
//! itself every change goes through here, so what is kept is never older than the store. Where several nodes share
//! it, a start says in its commit which version it counts on, and is refused when that is no longer the current one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::plan::Plan;
use quintet_store::{Store, StoreError, WorkflowRow, WorkflowVersionRow, WorkflowWrite};

use crate::plans::Plans;

/// Workflows kept compiled.
const KEPT: usize = 1024;

/// The current version of a workflow, ready to run.
#[derive(Debug)]
pub struct Current {
    /// As stored.
    pub row: WorkflowRow,
    /// Its plan.
    pub plan: Arc<Plan>,
}

/// Workflows of one store.
pub struct Workflows {
    store: Arc<dyn Store>,
    plans: Arc<Plans>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    current: HashMap<(Arc<str>, Arc<str>), Arc<Current>>,
    /// Grows with each change, so that a reader that was overtaken by a change keeps nothing.
    changes: u64,
}

impl Workflows {
    pub(crate) fn new(store: Arc<dyn Store>, plans: Arc<Plans>) -> Self {
        Self {
            store,
            plans,
            kept: Mutex::default(),
        }
    }

    /// The current version, ready to run.
    pub async fn current(&self, namespace: &Arc<str>, id: &str) -> Result<Option<Arc<Current>>, StoreError> {
        if self.store.is_shared() {
            self.forget(namespace, id);
        }
        self.to_start(namespace, id).await
    }

    /// The version to start, ready to run: the current one, or one that its start will find outdated.
    pub async fn to_start(&self, namespace: &Arc<str>, id: &str) -> Result<Option<Arc<Current>>, StoreError> {
        let key = (Arc::clone(namespace), Arc::<str>::from(id));
        let changes = {
            let kept = self.lock();
            if let Some(current) = kept.current.get(&key) {
                return Ok(Some(Arc::clone(current)));
            }
            kept.changes
        };
        let Some(row) = self.store.workflow(namespace, id).await? else {
            return Ok(None);
        };
        let plan = self.plans.find(self.store.as_ref(), row.digest).await?;
        let current = Arc::new(Current { row, plan });
        let mut kept = self.lock();
        if kept.changes == changes {
            if kept.current.len() >= KEPT {
                kept.current.clear();
            }
            kept.current.insert(key, Arc::clone(&current));
        }
        Ok(Some(current))
    }

    /// Stores a document as the workflow's next version. `None` when `expected` is not the current version.
    pub async fn put(
        &self,
        namespace: &Arc<str>,
        plan: &Arc<Plan>,
        write: WorkflowWrite,
    ) -> Result<Option<WorkflowRow>, StoreError> {
        let id = Arc::clone(&write.id);
        let stored = self.store.put_workflow(write).await?;
        self.plans.add(plan);
        if stored.is_some() {
            self.plans.mark_stored(plan.digest);
        }
        self.forget(namespace, &id);
        Ok(stored)
    }

    /// Removes a workflow; its runs stay.
    pub async fn delete(&self, namespace: &Arc<str>, id: &str) -> Result<bool, StoreError> {
        let deleted = self.store.delete_workflow(namespace, id).await?;
        self.forget(namespace, id);
        Ok(deleted)
    }

    /// Current versions by id above `after`.
    pub async fn list(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError> {
        self.store.workflows(namespace, after, limit).await
    }

    /// All versions, ascending.
    pub async fn versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError> {
        self.store.workflow_versions(namespace, id).await
    }

    /// The plan of a stored version.
    pub async fn plan(&self, digest: quintet_core::plan::Digest) -> Result<Arc<Plan>, StoreError> {
        self.plans.find(self.store.as_ref(), digest).await
    }

    /// What is kept of it may be outdated.
    pub(crate) fn forget(&self, namespace: &Arc<str>, id: &str) {
        let mut kept = self.lock();
        kept.changes += 1;
        kept.current.remove(&(Arc::clone(namespace), Arc::from(id)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
