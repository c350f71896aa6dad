//! Submitting a task: `POST /api/tasks`, and everything else that makes one (retries, effects, schedules, BullMQ).

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use quintet_core::id::RunId;
use quintet_core::plan::Plan;
use quintet_engine::{Idempotency, StartRun};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::body::Json;
use super::document::{Problem, Task};
use super::reply::{self, Answer, Refusal};
use super::state::{OF_QUEUE, Tasks};
use super::{effects, plan};
use crate::app::App;

/// Scope of the keys that make a task start once.
const SCOPE: &str = "tasks.submit";
/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
const KEY_HEADER: &str = "idempotency-key";

/// A task that was asked for.
pub(super) struct Begun {
    pub run: RunId,
    /// It was started by this very request.
    pub is_new: bool,
}

/// `POST /api/tasks`.
pub(super) async fn submit(State(app): State<Arc<App>>, headers: HeaderMap, Json(body): Json) -> Answer {
    let key = key_of(&headers, &body)?;
    let task = app.tasks.read(&body)?;
    // What was asked for is said back, also where another queue takes its tasks.
    let queue = body.get("queue").and_then(Value::as_str).unwrap_or("default");
    let id = match &task.cron {
        Some(_) => super::repeat::create(&app, &task).await?,
        None => app.tasks.start_task(task, key).await?.run.to_string(),
    };
    Ok(reply::json(
        &json!({ "taskId": id, "status": "queued", "queue": queue }),
    ))
}

impl Tasks {
    /// Starts the task of a document. With a key it starts once, however often it is asked for.
    pub(crate) async fn start(&self, document: &Value, key: Option<&str>) -> Result<RunId, Refusal> {
        let mut task = self.read(document)?;
        // Whoever repeats it has a schedule of his own.
        task.cron = None;
        let key = key.map(|key| Idempotency::new(SCOPE, key, digest(document)));
        Ok(self.start_task(task, key).await?.run)
    }

    pub(super) async fn start_task(&self, task: Task, key: Option<Idempotency>) -> Result<Begun, Refusal> {
        let engine = self.engine()?;
        let plan = self.plan(&task)?;
        let now = engine.clock().now();
        let queue = self.known_queue(&task.queue);
        let start = StartRun {
            workflow: format!("{OF_QUEUE}{queue}").into(),
            priority: task.priority,
            not_before: (task.delay_ms > 0).then(|| now.plus_ms(task.delay_ms)),
            context: Arc::new(json!({ "task": task.document })),
            ..StartRun::of(&self.namespace, plan)
        };
        let started = engine.start_runs(vec![start], key, false).await?;
        let run = started.runs.first().map(|run| run.id);
        Ok(Begun {
            run: run.ok_or_else(|| Refusal::unavailable("the task was not started"))?,
            is_new: !started.replayed,
        })
    }

    /// Reads a document, and checks all of it.
    pub(super) fn read(&self, document: &Value) -> Result<Task, Vec<Problem>> {
        let task = Task::parse(document, &self.rules)?;
        effects::check(&task.document, &self.rules)?;
        Ok(task)
    }

    pub(super) fn plan(&self, task: &Task) -> Result<Arc<Plan>, Vec<Problem>> {
        let spec = plan::compile(task, &self.plan_rules)?;
        let plan = Plan::compile(spec).map_err(|error| {
            vec![Problem {
                field: error.field,
                message: error.message,
            }]
        })?;
        Ok(Arc::new(plan))
    }
}

fn key_of(headers: &HeaderMap, body: &Value) -> Result<Option<Idempotency>, Refusal> {
    let Some(key) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(Idempotency::new(SCOPE, key, digest(body)))),
        _ => Err(Refusal::bad(format!(
            "Idempotency-Key must have 1 to {MAX_KEY} visible characters"
        ))),
    }
}

fn digest(document: &Value) -> [u8; 32] {
    Sha256::digest(document.to_string()).into()
}
