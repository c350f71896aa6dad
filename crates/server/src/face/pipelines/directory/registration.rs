//! A service registers: what that changes, decided on the documents as they are and stored all at once. Of two
//! registrations at the same moment one is decided again on what the other left.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::{RecordWrite, StoreError};
use serde::Serialize;
use url::Url;

use super::super::register_request::{Registration, TaskEntry};
use super::{CodeVersion, Directory, Picture, SERVICE, Service, TASK, Task};

/// Times that a registration is decided again.
const TRIES: usize = 10;
/// Versions of a task's code that are remembered.
const HISTORY: usize = 1_000;

/// What a registration changed.
#[derive(Debug, Default)]
pub(in super::super) struct Registered {
    pub changes: Vec<CodeChange>,
    /// Tasks that this version of the service does not have any more.
    pub orphans: Vec<String>,
}

/// The code of a task is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct CodeChange {
    pub task_id: String,
    pub old_hash: String,
    pub new_hash: String,
    pub old_version: u32,
    pub new_version: u32,
}

/// Why a registration was refused.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum RegisterError {
    #[error("Task '{task}' is registered by service '{owner}'; use another id, or remove that service first")]
    Taken { task: String, owner: Arc<str> },
    #[error("other registrations got in the way; try again")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Directory {
    /// Stores a registration of a service that is reached at `url`.
    pub async fn register(
        &self,
        registration: &Registration,
        url: &Url,
        now: Time,
    ) -> Result<Registered, RegisterError> {
        for _ in 0..TRIES {
            let known = self.read().await?;
            let draft = Draft::of(&known, registration, url, now)?;
            if self.store.put_records(draft.writes(&self.namespace, now)).await? {
                self.refresh().await?;
                return Ok(draft.registered);
            }
        }
        Err(RegisterError::Busy)
    }

    /// Forgets a service, and that its tasks are done by anybody. Their runs stay, and wait.
    pub async fn remove(&self, service: &str, now: Time) -> Result<bool, RegisterError> {
        for _ in 0..TRIES {
            let known = self.read().await?;
            let Some(found) = known.services.get(service) else {
                return Ok(false);
            };
            let mut writes = vec![write(&self.namespace, SERVICE, service, found.record, None, now)];
            for (id, task) in known.tasks.iter().filter(|(_, task)| *task.service == *service) {
                writes.push(write(&self.namespace, TASK, id, task.record, None, now));
            }
            if self.store.put_records(writes).await? {
                self.refresh().await?;
                return Ok(true);
            }
        }
        Err(RegisterError::Busy)
    }
}

/// What is to be stored.
struct Draft {
    service: Service,
    tasks: BTreeMap<Arc<str>, Task>,
    registered: Registered,
}

impl Draft {
    fn of(known: &Picture, registration: &Registration, url: &Url, now: Time) -> Result<Self, RegisterError> {
        let service: Arc<str> = registration.service_id.as_str().into();
        let before = known.services.get(&service);
        let mut draft = Self {
            service: Service {
                id: Arc::clone(&service),
                version: registration.version.clone(),
                base_url: registration.base_url.clone(),
                url: url.clone(),
                registered_at: now,
                tasks: registration.tasks.iter().map(|task| task.id.clone()).collect(),
                record: before.map_or(0, |before| before.record),
            },
            tasks: BTreeMap::new(),
            registered: Registered::default(),
        };
        for entry in &registration.tasks {
            let found = known.tasks.get(entry.id.as_str());
            let owner = found.filter(|task| task.removed_in.is_none()).map(|task| &task.service);
            if let Some(owner) = owner.filter(|owner| **owner != service) {
                return Err(RegisterError::Taken {
                    task: entry.id.clone(),
                    owner: Arc::clone(owner),
                });
            }
            draft.add(entry, found, now);
        }
        let is_new_version = before.is_some_and(|before| before.version != registration.version);
        if is_new_version {
            draft.orphan(known, &registration.version, now);
        }
        Ok(draft)
    }

    fn add(&mut self, entry: &TaskEntry, found: Option<&Task>, now: Time) {
        let code = |version: u32| CodeVersion {
            code_version: version,
            code_hash: entry.code_hash.clone(),
            service_version: self.service.version.clone(),
            recorded_at: now,
        };
        let mut task = match found {
            None => Task {
                entry: entry.clone(),
                service: Arc::clone(&self.service.id),
                code_version: 1,
                registered_at: now,
                updated_at: now,
                history: vec![code(1)],
                removed_in: None,
                record: 0,
            },
            Some(found) => {
                let is_same = found.entry == *entry && found.service == self.service.id && found.removed_in.is_none();
                Task {
                    entry: entry.clone(),
                    service: Arc::clone(&self.service.id),
                    updated_at: if is_same { found.updated_at } else { now },
                    removed_in: None,
                    ..found.clone()
                }
            }
        };
        if let Some(found) = found.filter(|found| found.entry.code_hash != entry.code_hash) {
            task.code_version = found.code_version + 1;
            task.history.insert(0, code(task.code_version));
            task.history.truncate(HISTORY);
            self.registered.changes.push(CodeChange {
                task_id: entry.id.clone(),
                old_hash: found.entry.code_hash.clone(),
                new_hash: entry.code_hash.clone(),
                old_version: found.code_version,
                new_version: task.code_version,
            });
        }
        self.tasks.insert(entry.id.as_str().into(), task);
    }

    /// Tasks that the service had in another version and does not have any more.
    fn orphan(&mut self, known: &Picture, version: &str, now: Time) {
        let kept: HashSet<Arc<str>> = self.tasks.keys().cloned().collect();
        for (id, task) in &known.tasks {
            if task.service != self.service.id || task.removed_in.is_some() || kept.contains(id) {
                continue;
            }
            let task = Task {
                removed_in: Some(version.to_owned()),
                updated_at: now,
                ..task.clone()
            };
            self.tasks.insert(Arc::clone(id), task);
            self.registered.orphans.push(id.to_string());
        }
    }

    fn writes(&self, namespace: &Arc<str>, now: Time) -> Vec<RecordWrite> {
        let service = &self.service;
        let mut writes = vec![write(
            namespace,
            SERVICE,
            &service.id,
            service.record,
            json(service),
            now,
        )];
        writes.extend(
            self.tasks
                .iter()
                .map(|(id, task)| write(namespace, TASK, id, task.record, json(task), now)),
        );
        writes
    }
}

fn json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn write(namespace: &Arc<str>, kind: &str, id: &str, expected: u64, body: Option<String>, at: Time) -> RecordWrite {
    RecordWrite {
        namespace: Arc::clone(namespace),
        kind: kind.into(),
        id: id.into(),
        expected: Some(expected),
        body,
        expires_at: None,
        at,
    }
}
