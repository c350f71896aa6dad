//! What is done about namespaces: create, read, change, suspend, resume, remove, and how much they use.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::time::Time;
use quintet_engine::QuotaExceeded;
use quintet_store::{RecordWrite, StoreError};

use super::Tenancy;
use super::model::{DEFAULT, Namespace, Spec, State, Wrong, is_name};
use super::readings::Reading;
use super::snapshot::{Refresh, next_generation};

/// Namespaces of one store.
const MOST: usize = 10_000;
/// How often a change is tried that others come before.
const TRIES: usize = 10;
/// When to come again where a workflow must be removed first.
const RETRY_AFTER_MS: u64 = 60_000;

/// What secrets of a namespace are sealed with. It is made with the first of them, and goes with the namespace.
const SEALS: &str = "secret.key";

/// A request about namespaces that is refused.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// There is none.
    #[error("namespace not found")]
    NotFound,
    /// The name is taken.
    #[error("there is such a namespace already")]
    Exists,
    /// Something lives in it.
    #[error("the namespace is not empty: it has {0}")]
    NotEmpty(String),
    /// A field has an illegal value.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which one.
        field: String,
        /// Why.
        reason: String,
    },
    /// The store is full of them.
    #[error("there are at most {0} namespaces")]
    TooMany(usize),
    /// Others change it faster.
    #[error("the namespace is being changed by others")]
    Contended,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Wrong> for NamespaceError {
    fn from(wrong: Wrong) -> Self {
        Self::Invalid {
            field: wrong.field.to_owned(),
            reason: wrong.reason,
        }
    }
}

impl Tenancy {
    /// Creates a namespace.
    pub async fn create(&self, name: &str, spec: Spec) -> Result<Arc<Namespace>, NamespaceError> {
        if !is_name(name) {
            return Err(NamespaceError::Invalid {
                field: "name".to_owned(),
                reason: "must have 1 to 63 letters, digits and `._-`, and not be `quintet`".to_owned(),
            });
        }
        spec.check()?;
        if self.snapshot.now().by_name.len() >= MOST {
            return Err(NamespaceError::TooMany(MOST));
        }
        let namespace = Namespace {
            spec,
            ..Namespace::unsaid(name, self.defaults)
        };
        if !self.put(&namespace).await? {
            return Err(NamespaceError::Exists);
        }
        self.named(name).ok_or(NamespaceError::Contended)
    }

    /// A namespace that was created, or `default`.
    pub fn get(&self, name: &str) -> Result<Arc<Namespace>, NamespaceError> {
        self.named(name).ok_or(NamespaceError::NotFound)
    }

    /// Namespaces by name above `after`, at most `limit`.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Namespace>> {
        let known = self.snapshot.now();
        let mut all: BTreeMap<&str, Arc<Namespace>> = BTreeMap::new();
        all.extend(self.named(DEFAULT).map(|namespace| (DEFAULT, namespace)));
        all.extend(
            known
                .by_name
                .iter()
                .map(|(name, namespace)| (&**name, Arc::clone(namespace))),
        );
        let all = all
            .into_iter()
            .filter(|(name, _)| after.is_none_or(|after| *name > after));
        all.take(limit).map(|(_, namespace)| namespace).collect()
    }

    /// Changes what is said about a namespace.
    pub async fn change(
        &self,
        name: &str,
        change: impl Fn(&mut Spec) -> Result<(), NamespaceError>,
    ) -> Result<Arc<Namespace>, NamespaceError> {
        for _ in 0..TRIES {
            let before = self.get(name)?;
            let mut after = Namespace::clone(&before);
            change(&mut after.spec)?;
            after.spec.check()?;
            if after.spec == before.spec {
                return Ok(before);
            }
            if self.put(&after).await? {
                return self.get(name);
            }
            // Another node was faster.
            self.snapshot.refresh(self.store.as_ref(), Refresh::Whole).await?;
        }
        Err(NamespaceError::Contended)
    }

    /// Lets it be read and not changed, or lets it go on.
    pub async fn set_state(&self, name: &str, state: State) -> Result<Arc<Namespace>, NamespaceError> {
        let changed = self.change(name, |spec| {
            spec.state = state;
            Ok(())
        });
        let changed = changed.await?;
        tracing::info!(namespace = name, state = ?state, "namespace set");
        Ok(changed)
    }

    /// Removes a namespace in which nothing lives.
    pub async fn remove(&self, name: &str) -> Result<(), NamespaceError> {
        let namespace = self.get(name)?;
        if name == DEFAULT {
            return Err(NamespaceError::NotEmpty("the requests that name no other".to_owned()));
        }
        let reading = self
            .readings
            .now(self.store.as_ref(), self.clock.as_ref(), &namespace.name);
        let usage = reading.await?.usage;
        let seals = self.store.records(name, SEALS, None, 10).await?;
        let parts = [
            (usage.live_runs, "unfinished runs"),
            (usage.finished_runs, "finished runs"),
            (usage.workflows, "workflows"),
            (
                usage.records.saturating_sub(seals.len() as u64),
                "documents (schedules, secrets, services, ...)",
            ),
            (usage.letters, "dead letters"),
        ];
        let left = parts.iter().filter(|(number, _)| *number > 0);
        let left: Vec<String> = left.map(|(number, what)| format!("{number} {what}")).collect();
        if !left.is_empty() {
            return Err(NamespaceError::NotEmpty(left.join(", ")));
        }
        let now = self.clock.now();
        let seals = seals.into_iter().map(|record| RecordWrite {
            namespace: record.namespace,
            kind: record.kind,
            id: record.id,
            expected: Some(record.version),
            body: None,
            expires_at: None,
            at: now,
        });
        let writes = [namespace.removal(now), next_generation(now)]
            .into_iter()
            .chain(seals)
            .collect();
        if !self.store.put_records(writes).await? {
            return Err(NamespaceError::Contended);
        }
        self.snapshot.refresh(self.store.as_ref(), Refresh::Whole).await?;
        tracing::info!(namespace = name, "namespace removed");
        Ok(())
    }

    /// How much a namespace uses, now or a moment ago. Also one that was never created, where such are served.
    pub async fn usage(&self, name: &str) -> Result<Reading, NamespaceError> {
        if self.state(name).is_none() {
            return Err(NamespaceError::NotFound);
        }
        let name = self
            .get(name)
            .map_or_else(|_| name.into(), |known| Arc::clone(&known.name));
        Ok(self
            .readings
            .usage(self.store.as_ref(), self.clock.as_ref(), &name)
            .await?)
    }

    /// Whether a namespace may have one more workflow, if it is new. Several that are created in the same moment do not
    /// see each other.
    pub async fn room_for_workflow(&self, namespace: &Arc<str>, id: Option<&str>) -> Result<(), RoomError> {
        let Some(max) = self.rules(namespace).1.max_workflows else {
            return Ok(());
        };
        if let Some(id) = id
            && self.store.workflow(namespace, id).await?.is_some()
        {
            return Ok(());
        }
        let reading = self.readings.now(self.store.as_ref(), self.clock.as_ref(), namespace);
        if reading.await?.usage.workflows < max {
            return Ok(());
        }
        self.metrics.refuse("max_workflows");
        Err(RoomError::Full(QuotaExceeded {
            what: "max_workflows",
            limit: max,
            retry_after_ms: RETRY_AFTER_MS,
        }))
    }

    /// Stores it, unless it has another version by now, and knows it.
    async fn put(&self, namespace: &Namespace) -> Result<bool, StoreError> {
        let now: Time = self.clock.now();
        let writes = vec![namespace.write(now), next_generation(now)];
        if !self.store.put_records(writes).await? {
            return Ok(false);
        }
        self.snapshot.refresh(self.store.as_ref(), Refresh::Whole).await?;
        // From now on what it may use is compared with what it uses.
        self.count().await?;
        Ok(true)
    }

    fn named(&self, name: &str) -> Option<Arc<Namespace>> {
        let known = self.snapshot.now();
        let found = known.by_name.get(name).map(Arc::clone);
        found.or_else(|| (name == DEFAULT).then(|| Arc::new(Namespace::unsaid(DEFAULT, self.defaults))))
    }
}

/// A workflow that is not stored.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// There are as many as there may be.
    #[error(transparent)]
    Full(QuotaExceeded),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
