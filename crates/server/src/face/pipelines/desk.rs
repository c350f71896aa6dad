//! What a worker is told: the body of a dispatch, and everything made ready that it names.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Past, Work};
use quintet_engine::clock::Clock;
use quintet_executors::push::{DISPATCH_FAILED, Desk, Order, Presence};
use quintet_executors::storage::{Backends, Bucket, Durability, Key, TokenMint};
use serde_json::{Value, json};

use super::contacts::{Contacts, Dispatched, Liveness};
use super::directory::{Directory, Picture};
use super::labels::Labels;
use super::public_id::{AttemptId, PipelineRunId};
use super::reply::iso;
use super::view::upstream_refs;

/// Media type of inputs.
const JSON: &str = "application/json";
/// Runs of which it is remembered that their input is stored.
const REMEMBERED: usize = 10_000;

/// Where objects lie and how workers get to them.
pub(super) struct Assets {
    pub storage: Backends,
    pub mint: TokenMint,
    stored: Mutex<Stored>,
}

/// The latest inputs that this process has stored.
#[derive(Default)]
struct Stored {
    known: HashSet<RunId>,
    order: VecDeque<RunId>,
}

impl Stored {
    fn add(&mut self, run: RunId) {
        if !self.known.insert(run) {
            return;
        }
        self.order.push_back(run);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Assets {
    pub fn new(storage: Backends, mint: TokenMint) -> Self {
        Self {
            storage,
            mint,
            stored: Mutex::default(),
        }
    }

    /// Stores a run's input where its workers look for it. It need not survive a loss of power: the run has it too, and
    /// it is stored again before a worker is told of it.
    pub async fn put_input(&self, run: RunId, labels: &Labels, input: &Value) -> Result<(), Failure> {
        let bucket = self.bucket(labels).map_err(|failure| *failure)?;
        let key = Key::parse(&labels.input_path)
            .map_err(|error| Failure::permanent("INVALID_INPUT_PATH", error.to_string()))?;
        let content = Bytes::from(input.to_string());
        let put = bucket.put(&key, content, JSON, Durability::Unsynced).await;
        put.map_err(|error| Failure {
            retryable: Some(error.is_retryable()),
            ..Failure::new("STORAGE_UNAVAILABLE", format!("the input could not be stored: {error}"))
        })?;
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).add(run);
        Ok(())
    }

    /// The backend that a run's objects lie in.
    pub fn bucket(&self, labels: &Labels) -> Result<&Bucket, Box<Failure>> {
        let found = self.storage.bucket(&labels.backend);
        found.ok_or_else(|| {
            let message = format!("storage backend '{}' is not configured any more", labels.backend);
            Box::new(Failure::permanent("STORAGE_BACKEND_UNKNOWN", message))
        })
    }

    fn is_stored(&self, run: RunId) -> bool {
        self.stored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .known
            .contains(&run)
    }
}

/// The desk of this server.
pub(super) struct Workers {
    pub directory: Arc<Directory>,
    pub assets: Arc<super::state::LazyAssets>,
    pub clock: Arc<dyn Clock>,
    pub contacts: Arc<Contacts>,
    pub dispatched: Arc<Dispatched>,
}

impl Workers {
    /// What is registered; looked at anew if the worker did not answer last: it may have come back at another address, by
    /// way of another node.
    async fn picture_for(&self, task: &str) -> Arc<Picture> {
        let picture = self.directory.picture();
        let is_away = picture.worker(task).is_none_or(|(service, _)| {
            let (liveness, _) = self.contacts.of(&service.id, self.clock.now());
            liveness == Liveness::Disconnected
        });
        if !is_away || !self.directory.is_shared() {
            return picture;
        }
        if let Err(error) = self.directory.refresh().await {
            tracing::debug!(error = %error, "what is registered cannot be read now");
        }
        self.directory.picture()
    }
}

#[async_trait]
impl Desk for Workers {
    fn note(&self, work: &Work, presence: Presence) {
        if let Some((service, _)) = self.directory.picture().worker(&work.queue) {
            match presence {
                Presence::There => self.contacts.heard(&service.id, self.clock.now()),
                Presence::Away => self.contacts.missed(&service.id, self.clock.now()),
            }
        }
    }

    async fn order(&self, work: &Work) -> Result<Order, Failure> {
        let picture = self.picture_for(&work.queue).await;
        let Some((service, task)) = picture.worker(&work.queue) else {
            let message = format!("no service has registered the task '{}'", work.queue);
            return Err(Failure::new(DISPATCH_FAILED, message));
        };
        let labels = Labels::read(&work.created.labels);
        let labels = labels.ok_or_else(|| Failure::permanent(DISPATCH_FAILED, "the run is not one of a pipeline"))?;
        let assets = self
            .assets
            .open()
            .map_err(|error| Failure::new("STORAGE_UNAVAILABLE", error))?;
        let bucket = assets.bucket(&labels).map_err(|failure| *failure)?;
        if !assets.is_stored(work.token.run) {
            assets.put_input(work.token.run, &labels, &work.created.context).await?;
        }
        let token = assets.mint.mint(bucket.backend(), self.clock.now());
        let token = token.map_err(|error| Failure::new("STORAGE_TOKEN", error.to_string()))?;
        let mut body = json!({
            "runId": AttemptId::of(work.token).to_string(),
            "taskId": task.entry.id,
            "attempt": work.attempt,
            "codeVersion": task.code_version,
            "codeHash": task.entry.code_hash,
            "storageToken": &*token,
            "inputPath": labels.input_path,
            // Of assets with the same key the nearest counts.
            "upstreamRefs": upstream_refs(work.upstream.iter().map(|(task, output)| (task.as_str(), &**output))),
            "previousAttempts": work.past.iter().map(previous).collect::<Vec<Value>>(),
            "heartbeatIntervalMs": task.entry.heartbeat_interval_ms,
        });
        if labels.pipeline.is_some() {
            body["pipelineRunId"] = PipelineRunId(work.token.run).to_string().into();
        }
        self.dispatched.add((work.token.run, work.token.node), &work.queue);
        let mut url = service.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("tasks").push(&task.entry.id);
        }
        Ok(Order {
            url,
            body: Bytes::from(body.to_string()),
        })
    }
}

/// An attempt that failed, as those after it are told.
pub(super) fn previous(past: &Past) -> Value {
    let mut entry = json!({ "attempt": past.attempt, "error": message_of(&past.failure) });
    if let Some(code) = code_of(&past.failure) {
        entry["errorCode"] = code.into();
    }
    entry["timestamp"] = iso(past.at).into();
    entry
}

/// The code of a failure, in the original's words.
pub(super) fn code_of(failure: &Failure) -> Option<&str> {
    match failure.kind.as_deref() {
        Some("timeout" | "heartbeat_timeout") => Some("TIMEOUT"),
        Some("lost") => Some("LOST"),
        kind => kind,
    }
}

/// What went wrong, in the original's words.
pub(super) fn message_of(failure: &Failure) -> String {
    match failure.kind.as_deref() {
        Some("heartbeat_timeout") => "Task heartbeat timeout".to_owned(),
        Some("timeout") => format!("Task {}", failure.message),
        _ => failure.message.clone(),
    }
}
