//! Namespaces as data: who exists, who is suspended, and how much each may use.
//!
//! A namespace is a tenant: its workflows, runs, schedules and limits are its own, and no other can see whether they are
//! there. It is a record (`model`) that somebody created, or, where `namespaces.open` is set, just a name that somebody
//! used: most installations have only `default` and need know nothing of this.
//!
//! **Every request asks** which namespace it is about and whether that is active (`resolve`), and every start whether
//! there is room for it (`quota`). Both are answered from memory: from a snapshot of all namespaces (`snapshot`), and from
//! meters (`meter`) that a task in the background puts right (`keeper`). No request waits for the store because of them.
//!
//! **How exact that is.** What was said about a namespace holds at once on the node that was told, and within two to three
//! seconds on the others. The number of unfinished runs is exact on one node, and on several it may be passed by what the
//! others start between two counts; rates and running steps are limits of each node. What is stored is an estimate
//! that is some seconds old. Nothing is ever refused for good because of an old count: a refusal has it made anew.

mod desk;
mod keeper;
mod meter;
mod metrics;
mod model;
mod quota;
mod readings;
mod resolve;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use quintet_engine::clock::Clock;
use quintet_store::{Store, StoreError};
use tokio::sync::{Notify, Semaphore};

use crate::config::{DefaultQuotas, Namespaces};

pub use desk::{NamespaceError, RoomError};
pub use metrics::Metrics;
pub use model::{DEFAULT, Namespace, Quotas, RESERVED, Spec, State, Wrong, is_name};
pub use readings::Reading;
pub use resolve::{Access, Asked, EVERY, HEADER, Refusal};

use quota::Meters;
use readings::Readings;
use snapshot::{Refresh, Snapshot};

/// All namespaces of a store.
pub struct Tenancy {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Whether one that was never created is served.
    is_open: bool,
    /// What those may use.
    defaults: Quotas,
    snapshot: Snapshot,
    meters: Meters,
    readings: Readings,
    /// Something is to be counted.
    look: Notify,
    /// Held by whoever counts: two counts at a time would take each other's starts for their own.
    counting: Semaphore,
    metrics: Metrics,
}

impl Tenancy {
    /// Reads the namespaces of a store. Changes of other nodes are not seen before [`Tenancy::keep`] runs.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: &Namespaces,
        defaults: &DefaultQuotas,
    ) -> Result<Arc<Self>, StoreError> {
        let tenancy = Self {
            store,
            clock,
            is_open: settings.open,
            defaults: defaults.quotas(),
            snapshot: Snapshot::default(),
            meters: Meters::default(),
            readings: Readings::default(),
            look: Notify::new(),
            counting: Semaphore::new(1),
            metrics: Metrics::default(),
        };
        tenancy.snapshot.refresh(tenancy.store.as_ref(), Refresh::Whole).await?;
        tenancy.count().await?;
        Ok(Arc::new(tenancy))
    }

    /// What has been counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether a namespace is there, and is active.
    pub fn state(&self, name: &str) -> Option<State> {
        if name == RESERVED {
            return None;
        }
        match self.snapshot.now().by_name.get(name) {
            Some(namespace) => Some(namespace.spec.state),
            None => (self.is_open || name == DEFAULT).then_some(State::Active),
        }
    }

    /// How much a namespace may use, whether or not it was ever created.
    pub fn quotas(&self, name: &str) -> Quotas {
        self.rules(name).1
    }

    /// What holds for a namespace, whether or not it was ever created.
    fn rules(&self, name: &str) -> (State, Quotas) {
        match self.snapshot.now().by_name.get(name) {
            Some(namespace) => (namespace.spec.state, namespace.spec.quotas),
            None => (State::Active, self.defaults),
        }
    }

    /// Whether anybody has such a limit.
    fn limits_anybody(&self, is_limit: impl Fn(&Quotas) -> bool) -> bool {
        let known = self.snapshot.now();
        is_limit(&self.defaults) || known.by_name.values().any(|namespace| is_limit(&namespace.spec.quotas))
    }
}
