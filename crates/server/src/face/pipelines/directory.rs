//! Who does which task: services with their tasks, as they registered.
//!
//! The truth lies in the store, one document for each service and each task. What is kept here is a picture of it that is
//! replaced as a whole; on a shared store it is looked at again every few moments, and at once where an id is not known.

mod registration;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quintet_core::plan::Plan;
use quintet_core::time::Time;
use quintet_engine::Served;
use quintet_store::{Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use url::Url;

use super::graph::{self, Pipeline};
use super::plan::{self, FailureMode, PlanRules};
use super::register_request::TaskEntry;

pub(super) use registration::RegisterError;

/// Kind of the documents of services.
pub(super) const SERVICE: &str = "pipelines.service";
/// Kind of the documents of tasks.
pub(super) const TASK: &str = "pipelines.task";
/// Documents read at a time.
const PAGE: usize = 500;

/// A service as it registered last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Service {
    pub id: Arc<str>,
    pub version: String,
    /// As the service says.
    pub base_url: String,
    /// As the server reaches it.
    pub url: Url,
    pub registered_at: Time,
    /// Its tasks in the order of the registration.
    pub tasks: Vec<String>,
    #[serde(skip)]
    pub record: u64,
}

/// A task with the versions of its code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub entry: TaskEntry,
    pub service: Arc<str>,
    pub code_version: u32,
    pub registered_at: Time,
    pub updated_at: Time,
    /// The latest first.
    pub history: Vec<CodeVersion>,
    /// The version of the service that does not have it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_in: Option<String>,
    #[serde(skip)]
    pub record: u64,
}

/// A version of a task's code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CodeVersion {
    pub code_version: u32,
    pub code_hash: String,
    pub service_version: String,
    pub recorded_at: Time,
}

/// Everything that is registered, at one moment.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub services: BTreeMap<Arc<str>, Service>,
    pub tasks: BTreeMap<Arc<str>, Task>,
    pub graph: graph::Tasks,
    /// Plans that were asked for, by pipeline (or task, with `None`) and failure mode.
    plans: Mutex<HashMap<PlanKey, Arc<Plan>>>,
}

/// Id of a pipeline and how it is run, or of a task by itself.
type PlanKey = (String, Option<FailureMode>);

impl Picture {
    fn new(services: BTreeMap<Arc<str>, Service>, tasks: BTreeMap<Arc<str>, Task>) -> Self {
        let live = tasks.iter().filter(|(_, task)| task.removed_in.is_none());
        let graph = graph::Tasks::new(live.map(|(id, task)| graph::Task {
            id: Arc::clone(id),
            service: Arc::clone(&task.service),
            next: task.entry.allowed_next.clone().into(),
        }));
        Self {
            services,
            tasks,
            graph,
            plans: Mutex::default(),
        }
    }

    /// A task that some service does.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.get(id).filter(|task| task.removed_in.is_none())
    }

    /// Where a task is done.
    pub fn worker(&self, task: &str) -> Option<(&Service, &Task)> {
        let task = self.task(task)?;
        Some((self.services.get(&task.service)?, task))
    }

    pub fn pipeline(&self, id: &str) -> Option<Pipeline> {
        self.graph.pipeline(id)
    }

    /// The plan of a pipeline.
    ///
    /// # Errors
    /// Why it cannot be run, in the words of the dry run.
    pub fn plan_of(&self, pipeline: &Pipeline, mode: FailureMode, rules: &PlanRules) -> Result<Arc<Plan>, String> {
        self.known_plan((pipeline.id.clone(), Some(mode)), || {
            let entry = |id: &str| self.task(id).map(|task| &task.entry);
            plan::of_pipeline(pipeline, entry, mode, rules).map_err(|error| error.message)
        })
    }

    /// The plan of a task by itself.
    pub fn plan_of_task(&self, task: &Task, rules: &PlanRules) -> Result<Arc<Plan>, String> {
        self.known_plan((task.entry.id.clone(), None), || {
            plan::of_task(&task.entry, rules).map_err(|error| error.message)
        })
    }

    fn known_plan(&self, key: PlanKey, make: impl FnOnce() -> Result<Plan, String>) -> Result<Arc<Plan>, String> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans().get(&key) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(make()?);
        plans().insert(key, Arc::clone(&plan));
        Ok(plan)
    }

    /// The queues that are served: one for each task, with its own limit.
    pub fn queues(&self) -> impl Iterator<Item = Served> {
        let live = self.tasks.iter().filter(|(_, task)| task.removed_in.is_none());
        live.map(|(id, task)| {
            let limit = task.entry.concurrency;
            Served::new(Arc::clone(id), (limit > 0).then_some(limit))
        })
    }

    /// Whether another picture shows the same documents.
    fn is_same(&self, other: &Self) -> bool {
        let services = |picture: &Self| -> Vec<(Arc<str>, u64)> {
            let each = picture.services.values();
            each.map(|service| (Arc::clone(&service.id), service.record)).collect()
        };
        let tasks = |picture: &Self| -> Vec<(Arc<str>, u64)> {
            picture
                .tasks
                .iter()
                .map(|(id, task)| (Arc::clone(id), task.record))
                .collect()
        };
        services(self) == services(other) && tasks(self) == tasks(other)
    }
}

/// The picture, and where it comes from.
pub(super) struct Directory {
    store: Arc<dyn Store>,
    namespace: Arc<str>,
    picture: RwLock<Arc<Picture>>,
}

impl Directory {
    /// Reads what is registered.
    pub async fn open(store: Arc<dyn Store>, namespace: &str) -> Result<Self, StoreError> {
        let directory = Self {
            store,
            namespace: namespace.into(),
            picture: RwLock::default(),
        };
        directory.refresh().await?;
        Ok(directory)
    }

    /// What is registered, as far as is known here.
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether other nodes register services too.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Reads everything again; says whether anything had changed.
    pub async fn refresh(&self) -> Result<bool, StoreError> {
        let picture = self.read().await?;
        let is_new = !picture.is_same(&self.picture());
        if is_new {
            self.show(picture);
        }
        Ok(is_new)
    }

    fn show(&self, picture: Picture) {
        *self.picture.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(picture);
    }

    async fn read(&self) -> Result<Picture, StoreError> {
        let (mut services, mut tasks) = (BTreeMap::new(), BTreeMap::new());
        for record in self.all(SERVICE).await? {
            let service: Service = read(&record)?;
            services.insert(
                Arc::clone(&record.id),
                Service {
                    record: record.version,
                    ..service
                },
            );
        }
        for record in self.all(TASK).await? {
            let task: Task = read(&record)?;
            tasks.insert(
                Arc::clone(&record.id),
                Task {
                    record: record.version,
                    ..task
                },
            );
        }
        Ok(Picture::new(services, tasks))
    }

    async fn all(&self, kind: &str) -> Result<Vec<Record>, StoreError> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map(|record| Arc::clone(&record.id));
            let page = self
                .store
                .records(&self.namespace, kind, after.as_deref(), PAGE)
                .await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(record: &Record) -> Result<T, StoreError> {
    let read = serde_json::from_str(&record.body);
    read.map_err(|error| StoreError::Corrupt(format!("{} {}: {error}", record.kind, record.id)))
}
