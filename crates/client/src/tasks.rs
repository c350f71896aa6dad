//! Tasks: work for compute backends, one call or a pipeline of them, that waits in a queue until its turn comes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::follow::{Follower, Subject};

/// Operations on tasks.
#[derive(Debug, Clone, Copy)]
pub struct Tasks<'a>(pub(crate) &'a Client);

/// What to submit: a document of the tasks face, such as `{"type": "text.chat", "payload": {"prompt": "Hello!"}}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submission {
    body: Map<String, Value>,
    idempotency_key: Option<String>,
}

impl Submission {
    /// One call of a backend.
    pub fn new(kind: &str, payload: Value) -> Self {
        Self::default().with("type", kind.into()).with("payload", payload)
    }

    /// A whole document.
    pub fn document(body: Map<String, Value>) -> Self {
        Self {
            body,
            idempotency_key: None,
        }
    }

    /// With this field, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.body.insert(field.to_owned(), value);
        self
    }

    /// In which queue it waits.
    #[must_use]
    pub fn queue(self, queue: &str) -> Self {
        self.with("queue", queue.into())
    }

    /// Before others with a lower number.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.with("priority", priority.into())
    }

    /// Makes the submission take effect once, however often it is sent.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }
}

/// A task that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// Its id.
    pub task_id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: String,
    /// The queue that was asked for.
    #[serde(default)]
    pub queue: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub task_id: String,
    /// `queued`, `running`, `completed` or `failed`.
    pub status: String,
    /// What it gave; null until it is completed.
    #[serde(default)]
    pub result: Value,
    /// Why it failed, or why its last attempt did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How far it is, from 0 to 100.
    #[serde(default = "nothing")]
    pub progress: Number,
    /// What it is for the backend.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// In which queue it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// When it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// How its steps are doing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_status: Vec<StepStatus>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

fn nothing() -> Number {
    Number::from(0)
}

impl Task {
    /// How far it is, in percent.
    pub fn percent(&self) -> f64 {
        self.progress.as_f64().unwrap_or_default()
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed")
    }

    /// Whether it is over and worked.
    pub fn is_success(&self) -> bool {
        self.status == "completed"
    }
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its id.
    pub id: String,
    /// What it is for the backend.
    #[serde(default)]
    pub task: String,
    /// `pending`, `running`, `completed`, `failed` or `skipped`.
    pub status: String,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Number>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Of this queue, or of `all`; of `default` where it is absent.
    pub queue: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Those after a page: its `next_cursor`.
    pub cursor: Option<String>,
}

/// Some tasks of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPage {
    /// Of which queue.
    #[serde(default)]
    pub queue: String,
    /// How many are here.
    #[serde(default)]
    pub count: u64,
    /// The tasks.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Where the next page begins, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What the job of a step has written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobLog {
    /// Of which step.
    #[serde(default)]
    pub step: String,
    /// The job, as its backend calls it.
    #[serde(default)]
    pub job: String,
    /// The text.
    #[serde(default)]
    pub logs: String,
}

#[derive(Deserialize)]
struct Logs {
    steps: Vec<JobLog>,
}

#[derive(Deserialize)]
struct Types {
    tasks: Vec<String>,
}

impl Tasks<'_> {
    /// Submits a task; it is stored when this returns.
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted, Error> {
        let call = Call::post(&["api", "tasks"], &submission.body)
            .header("idempotency-key", submission.idempotency_key.as_ref());
        self.0.json(call).await
    }

    /// One task.
    pub async fn get(&self, id: &str) -> Result<Task, Error> {
        self.0.json(Call::get(&["api", "tasks", id])).await
    }

    /// Tasks of a queue.
    pub async fn list(&self, filter: &TaskFilter) -> Result<TaskPage, Error> {
        let call = Call::get(&["api", "tasks"])
            .query("queue", filter.queue.as_ref())
            .query("status", filter.status.as_ref())
            .query("limit", filter.limit)
            .query("cursor", filter.cursor.as_ref());
        self.0.json(call).await
    }

    /// Calls a task off, wherever it stands.
    pub async fn cancel(&self, id: &str) -> Result<Value, Error> {
        self.0.json(Call::delete(&["api", "tasks", id])).await
    }

    /// Submits a finished task once more; gives the id of the new one.
    pub async fn retry(&self, id: &str) -> Result<Submitted, Error> {
        self.0
            .json(Call::post(&["api", "tasks", id, "retry"], &json!({})))
            .await
    }

    /// Names of tasks that the backends know.
    pub async fn types(&self) -> Result<Vec<String>, Error> {
        let types: Types = self.0.json(Call::get(&["api", "tasks", "types"])).await?;
        Ok(types.tasks)
    }

    /// What a task's jobs have written last, where its backend runs jobs.
    pub async fn logs(&self, id: &str) -> Result<Vec<JobLog>, Error> {
        let logs: Logs = self.0.json(Call::get(&["api", "tasks", id, "logs"])).await?;
        Ok(logs.steps)
    }

    /// Follows a task from its start until it is over, across broken connections.
    pub fn follow(&self, id: &str) -> Follower {
        Follower::new(self.0.clone(), Subject::Task { id: id.to_owned() })
    }
}
