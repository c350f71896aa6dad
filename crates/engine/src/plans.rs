//! Plans by digest: compiled once, shared by all runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::plan::{Digest, Plan, PlanSpec};
use quintet_store::{PlanWrite, Store, StoreError};

/// Compiled plans kept for runs to come.
const KEPT: usize = 1024;

/// Plans known to be stored; forgetting one costs a write that changes nothing.
const REMEMBERED: usize = 65_536;

/// A cache of plans.
#[derive(Default)]
pub(crate) struct Plans {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    compiled: HashMap<Digest, Arc<Plan>>,
    stored: HashSet<Digest>,
}

impl Plans {
    /// Remembers a compiled plan.
    pub fn add(&self, plan: &Arc<Plan>) {
        let mut inner = self.lock();
        if inner.compiled.len() >= KEPT && !inner.compiled.contains_key(&plan.digest) {
            inner.compiled.retain(|_, plan| Arc::strong_count(plan) > 1);
            if inner.compiled.len() >= KEPT {
                inner.compiled.clear();
            }
        }
        inner.compiled.insert(plan.digest, Arc::clone(plan));
    }

    /// The write that makes sure of a plan's presence in the store, unless it is known to be there.
    pub fn write_for(&self, plan: &Plan) -> Option<PlanWrite> {
        if self.lock().stored.contains(&plan.digest) {
            return None;
        }
        let spec = serde_json::to_string(&plan.spec).ok()?;
        Some(PlanWrite {
            digest: plan.digest,
            spec: spec.into(),
        })
    }

    /// A commit with this plan, or a row that refers to it, is in the store.
    pub fn mark_stored(&self, digest: Digest) {
        let mut inner = self.lock();
        if inner.stored.len() >= REMEMBERED {
            inner.stored.clear();
        }
        inner.stored.insert(digest);
    }

    /// The plan, from the cache or the store.
    pub async fn find(&self, store: &dyn Store, digest: Digest) -> Result<Arc<Plan>, StoreError> {
        if let Some(plan) = self.lock().compiled.get(&digest) {
            return Ok(Arc::clone(plan));
        }
        let spec = store.plan(digest).await?;
        let spec = spec.ok_or_else(|| StoreError::Corrupt(format!("plan {digest} is missing")))?;
        let spec: PlanSpec = serde_json::from_str(&spec)
            .map_err(|error| StoreError::Corrupt(format!("plan {digest} cannot be read: {error}")))?;
        let plan = Plan::compile(spec)
            .map_err(|error| StoreError::Corrupt(format!("plan {digest} cannot be compiled: {error}")))?;
        let plan = Arc::new(plan);
        self.add(&plan);
        self.mark_stored(digest);
        Ok(plan)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
