//! What this face answers with: the original's objects, key by key.
//!
//! Requests and answers that have a schema use camelCase; what the original dumped from its tables, pipelines and the
//! history of a task's code, uses snake_case. The latter carry both spellings here. Where two documents of the original
//! name the same thing differently (`id` and `pipelineRunId`), both are there too.
//!
//! A key whose value may be absent is left out, unless the original always had it, as null.

use std::fmt;

use quintet_core::retry::Backoff;
use quintet_core::time::Time;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::contacts::Liveness;
use super::graph::{Pipeline, Source};
use super::plan::FailureMode;
use super::register_request::TaskEntry;

/// A time in ISO 8601, UTC, with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(pub Time);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_microsecond(self.0.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{stamp:.3}")
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A service, in the list and by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Service {
    pub id: String,
    /// The same as `id`.
    pub service_id: String,
    pub version: String,
    pub base_url: String,
    pub status: Liveness,
    pub registered_at: Stamp,
    pub last_heartbeat: Option<Stamp>,
    pub task_count: usize,
    /// Only where the service is shown by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<TaskDefinition>>,
}

/// A task with what the server knows of its code.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskDefinition {
    pub id: String,
    pub service_id: String,
    pub code_hash: String,
    pub code_version: u32,
    pub allowed_next: Vec<String>,
    /// Seconds.
    pub timeout: Number,
    pub retries: u32,
    pub retry_backoff: Backoff,
    pub retry_delay_ms: u64,
    pub max_retry_delay_ms: u64,
    pub heartbeat_interval_ms: u64,
    pub concurrency: u32,
    pub priority: i32,
    /// Seconds.
    #[serde(rename = "idempotencyTTL", skip_serializing_if = "Option::is_none")]
    pub idempotency_ttl: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    pub registered_at: Stamp,
    pub updated_at: Stamp,
}

/// What the server adds to a task's own description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskFacts<'a> {
    pub service_id: &'a str,
    pub code_version: u32,
    pub registered_at: Time,
    pub updated_at: Time,
}

impl TaskDefinition {
    pub fn of(entry: &TaskEntry, facts: TaskFacts<'_>) -> Self {
        Self {
            id: entry.id.clone(),
            service_id: facts.service_id.to_owned(),
            code_hash: entry.code_hash.clone(),
            code_version: facts.code_version,
            allowed_next: entry.allowed_next.clone(),
            timeout: seconds(entry.timeout_ms),
            retries: entry.retries,
            retry_backoff: entry.retry_backoff,
            retry_delay_ms: entry.retry_delay_ms,
            max_retry_delay_ms: entry.max_retry_delay_ms,
            heartbeat_interval_ms: entry.heartbeat_interval_ms,
            concurrency: entry.concurrency,
            priority: entry.priority,
            idempotency_ttl: entry.idempotency_ttl_ms.map(seconds),
            description: entry.description.clone(),
            input_schema: entry.input_schema.clone(),
            registered_at: Stamp(facts.registered_at),
            updated_at: Stamp(facts.updated_at),
        }
    }
}

/// A number without a fraction where there is none.
fn seconds(ms: u64) -> Number {
    if ms.is_multiple_of(1000) {
        Number::from(ms / 1000)
    } else {
        Number::from_f64(ms as f64 / 1000.0).unwrap_or_else(|| Number::from(ms / 1000))
    }
}

/// A version of a task's code.
#[derive(Debug, Clone)]
pub(crate) struct CodeVersion {
    pub code_version: u32,
    pub code_hash: String,
    pub service_version: String,
    pub recorded_at: Time,
}

impl Serialize for CodeVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        twice(&mut map, ["code_version", "codeVersion"], &self.code_version)?;
        twice(&mut map, ["code_hash", "codeHash"], &self.code_hash)?;
        twice(&mut map, ["service_version", "serviceVersion"], &self.service_version)?;
        twice(&mut map, ["recorded_at", "recordedAt"], &Stamp(self.recorded_at))?;
        map.end()
    }
}

/// A pipeline, in the list and by itself.
#[derive(Debug, Clone)]
pub(crate) struct PipelineRow {
    pub id: String,
    pub source: Source,
    pub entry_tasks: Vec<String>,
    pub structure: Value,
    pub version: String,
    pub failure_mode: FailureMode,
    pub created_at: Time,
    pub updated_at: Time,
}

impl PipelineRow {
    /// A pipeline changes when one of its tasks does, and is as old as the oldest.
    pub fn of(pipeline: &Pipeline, created_at: Time, updated_at: Time) -> Self {
        Self {
            id: pipeline.id.clone(),
            source: pipeline.source,
            entry_tasks: pipeline.entries().iter().map(|task| task.id.to_string()).collect(),
            structure: pipeline.structure(),
            version: pipeline.version(),
            failure_mode: FailureMode::default(),
            created_at,
            updated_at,
        }
    }
}

impl Serialize for PipelineRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.id)?;
        // Pipelines follow from their tasks: there is nobody who could describe them.
        map.serialize_entry("description", &None::<&str>)?;
        map.serialize_entry("source", &self.source)?;
        twice(&mut map, ["entry_tasks", "entryTasks"], &self.entry_tasks)?;
        map.serialize_entry("structure", &self.structure)?;
        map.serialize_entry("version", &self.version)?;
        twice(&mut map, ["failure_mode", "failureMode"], &self.failure_mode)?;
        twice(&mut map, ["created_at", "createdAt"], &Stamp(self.created_at))?;
        twice(&mut map, ["updated_at", "updatedAt"], &Stamp(self.updated_at))?;
        map.serialize_entry("metadata", &Value::Object(serde_json::Map::new()))?;
        map.end()
    }
}

fn twice<M: SerializeMap>(map: &mut M, keys: [&str; 2], value: &impl Serialize) -> Result<(), M::Error> {
    keys.into_iter().try_for_each(|key| map.serialize_entry(key, value))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PipelineStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
    Partial,
}

/// A run of a pipeline.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineRun {
    pub id: String,
    /// The same as `id`.
    pub pipeline_run_id: String,
    pub pipeline_id: String,
    pub status: PipelineStatus,
    pub failure_mode: FailureMode,
    pub input_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_path: Option<String>,
    pub structure_snapshot: Value,
    pub pipeline_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Stamp>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    pub metadata: Value,
}

/// Where a task run stands, as the original stored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskStatus {
    Pending,
    Running,
    Waiting,
    Completed,
    Failed,
    Timeout,
    Cancelled,
}

/// A run of a task: inside a pipeline's, in a list of the queue, or by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskRun {
    pub id: String,
    /// The same as `id`.
    pub run_id: String,
    pub task_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_run_id: Option<String>,
    pub status: TaskStatus,
    pub code_version: u32,
    pub code_hash: String,
    /// Only in a pipeline's run: the task has other code than in the run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_changed: Option<bool>,
    pub attempt: u32,
    /// The task's `retries`, as it was registered.
    pub max_retries: u32,
    /// Attempts in total.
    pub max_attempts: u32,
    pub priority: i32,
    pub input_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_size: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assets: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    pub upstream_refs: Value,
    /// Null where the task did not choose: then all that it allows have run.
    pub selected_next: Option<Vec<String>>,
    pub previous_attempts: Vec<PreviousAttempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    pub metadata: Value,
}

/// How far an attempt says that it has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviousAttempt {
    pub attempt: u32,
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    pub timestamp: Stamp,
}

/// A task run that failed for good.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    pub id: String,
    pub task_run_id: String,
    pub task_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<String>,
    pub code_version: u32,
    pub code_hash: String,
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How many were made.
    pub attempts: u32,
    pub failed_at: Stamp,
    pub input: Value,
    pub input_path: String,
    pub upstream_refs: Value,
    /// All attempts, the last one too.
    pub previous_attempts: Vec<PreviousAttempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_run_id: Option<String>,
}

#[cfg(test)]
mod tests;
