//! Pipelines: tasks of services, and which of them runs after which. They come from the services' registrations.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::follow::{PATIENCE, delay_after, pause};

/// Between two looks at a run, at first and in the end.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Operations on pipelines and their runs.
#[derive(Debug, Clone, Copy)]
pub struct Pipelines<'a>(pub(crate) &'a Client);

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Tasks that it begins with.
    #[serde(default)]
    pub entry_tasks: Vec<String>,
    /// By task, what may run after it.
    #[serde(default)]
    pub structure: Map<String, Value>,
    /// What a failed task means for the others.
    #[serde(default)]
    pub failure_mode: String,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Trigger {
    body: Map<String, Value>,
    idempotency_key: Option<String>,
}

impl Trigger {
    /// A run with this input.
    pub fn input(input: Value) -> Self {
        Self::default().with("input", input)
    }

    /// Before others with a higher number.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.with("priority", priority.into())
    }

    /// What a failed task means for the others: `fail-fast`, `continue` or `partial-merge`.
    #[must_use]
    pub fn failure_mode(self, mode: &str) -> Self {
        self.with("failureMode", mode.into())
    }

    /// What becomes of an input that its tasks do not accept: `strict`, `warn` or `none`.
    #[must_use]
    pub fn validation_mode(self, mode: &str) -> Self {
        self.with("validationMode", mode.into())
    }

    /// Makes the trigger take effect once, however often it is sent.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }
}

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Triggered {
    /// Its id.
    pub pipeline_run_id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: String,
    /// By task, what is wrong with the input, where it was started all the same.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub validation_warnings: Map<String, Value>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Whether it could be started.
    pub valid: bool,
    /// Why not.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What may surprise.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Its tasks in the order in which they can begin.
    #[serde(default)]
    pub execution_plan: Vec<PlanStep>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Tasks that begin together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Its place, from 0.
    pub step: u64,
    /// Which tasks.
    pub tasks: Vec<String>,
    /// `entry`, `parallel`, `join` or `end`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a join waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
}

/// A run of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRun {
    /// Its id.
    pub id: String,
    /// Of which pipeline.
    #[serde(default)]
    pub pipeline_id: String,
    /// `pending`, `running`, `completed`, `failed`, `cancelled` or `partial`.
    pub status: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was accepted.
    #[serde(default)]
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl PipelineRun {
    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "running")
    }

    /// Whether it is over and everything worked.
    pub fn is_success(&self) -> bool {
        self.status == "completed"
    }
}

/// A task inside a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRun {
    /// Its id.
    pub id: String,
    /// Of which task.
    #[serde(default)]
    pub task_id: String,
    /// `pending`, `running`, `waiting`, `completed`, `failed`, `timeout` or `cancelled`.
    pub status: String,
    /// Which attempt it is in, from 1.
    #[serde(default)]
    pub attempt: u64,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The worker's code for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A run with its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineRunState {
    /// The run.
    pub run: PipelineRun,
    /// Its tasks, as far as they are known.
    #[serde(default)]
    pub tasks: Vec<TaskRun>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Deserialize)]
struct All {
    pipelines: Vec<Pipeline>,
}

#[derive(Deserialize)]
struct One {
    pipeline: Pipeline,
}

impl Pipelines<'_> {
    /// All pipelines.
    pub async fn list(&self) -> Result<Vec<Pipeline>, Error> {
        let all: All = self.0.json(Call::get(&["api", "pipelines"])).await?;
        Ok(all.pipelines)
    }

    /// One pipeline.
    pub async fn get(&self, id: &str) -> Result<Pipeline, Error> {
        let one: One = self.0.json(Call::get(&["api", "pipelines", id])).await?;
        Ok(one.pipeline)
    }

    /// Starts a run; it is stored when this returns.
    pub async fn trigger(&self, id: &str, trigger: &Trigger) -> Result<Triggered, Error> {
        let call = Call::post(&["api", "pipelines", id, "trigger"], &trigger.body)
            .header("idempotency-key", trigger.idempotency_key.as_ref());
        self.0.json(call).await
    }

    /// Says what a run would do, without starting it.
    pub async fn dry_run(&self, id: &str, input: &Value) -> Result<DryRun, Error> {
        let body = serde_json::json!({ "input": input });
        self.0
            .json(Call::post(&["api", "pipelines", id, "dry-run"], &body))
            .await
    }

    /// A run with its tasks.
    pub async fn run(&self, id: &str) -> Result<PipelineRunState, Error> {
        self.0.json(Call::get(&["api", "runs", id])).await
    }

    /// Follows a run until it is over, across broken connections.
    pub fn follow(&self, id: &str) -> PipelineFollower {
        PipelineFollower {
            client: self.0.clone(),
            run: id.to_owned(),
            delay: None,
            last: None,
            ended: false,
        }
    }
}

/// Follows a run by looking again and again, less often the longer nothing changes.
#[derive(Debug)]
pub struct PipelineFollower {
    client: Client,
    run: String,
    /// Before the next look; the first is at once.
    delay: Option<Duration>,
    last: Option<PipelineRunState>,
    ended: bool,
}

impl PipelineFollower {
    /// The run after its next change; `None` after its end.
    pub async fn next(&mut self) -> Option<Result<PipelineRunState, Error>> {
        while !self.ended {
            if let Some(delay) = self.delay {
                pause(delay).await;
            }
            let state = match self.look().await {
                Ok(state) => state,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            };
            self.ended = state.run.is_finished();
            if self.last.as_ref() == Some(&state) {
                self.delay = self.delay.map(|delay| (delay * 3 / 2).min(LAST_LOOK));
                continue;
            }
            self.delay = Some(FIRST_LOOK);
            self.last = Some(state.clone());
            return Some(Ok(state));
        }
        None
    }

    /// Looks, and does not mind a server that is restarted.
    async fn look(&self) -> Result<PipelineRunState, Error> {
        let mut failures = 0;
        loop {
            match self.client.pipelines().run(&self.run).await {
                Err(error) if error.is_retryable() && failures + 1 < PATIENCE => {
                    failures += 1;
                    pause(delay_after(failures)).await;
                }
                looked => return looked,
            }
        }
    }
}
