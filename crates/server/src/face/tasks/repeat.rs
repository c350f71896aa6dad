//! Tasks that are done again and again: a task with `cron` is a schedule, and each of its times a task of its own.
//!
//! The original called one time of a repeating job `repeat:<id>:<milliseconds>`. Such an id is a time of a schedule here: a
//! queued task until the time has come, and then the task that was started at it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::Response;
use quintet_engine::Idempotency;
use serde_json::json;

use super::document::Task;
use super::reply::{self, Refusal};
use super::state::Tasks;
use super::view;
use crate::app::App;
use crate::error_code::ErrorCode;
use crate::schedules::{Fire, Launch, LaunchError, Launched, ScheduleError, Target, parse_task_id, task_id};

/// Makes the schedule of a task, or brings it up to date, and answers with the id of its next time.
pub(super) async fn create(app: &App, task: &Task) -> Result<String, Refusal> {
    let cron = task.cron.as_deref().unwrap_or_default();
    // What cannot run at all is not kept to fail again and again.
    app.tasks.plan(task)?;
    let schedule = app
        .schedules
        .put_task(&app.tasks.namespace, &task.document, cron, task.timezone.as_deref())
        .await?;
    let next = schedule.state.next_at.unwrap_or(schedule.created_at);
    Ok(task_id(&schedule.id, next))
}

/// What is shown of a time of a schedule; nothing where the id is not of that kind.
pub(super) async fn show(app: &App, id: &str) -> Result<Option<Response>, Refusal> {
    let Some((schedule, nominal)) = parse_task_id(id) else {
        return Ok(None);
    };
    let namespace = &app.tasks.namespace;
    if let Some(run) = app.schedules.run_of(namespace, schedule, nominal).await? {
        let state = app.engine.state(namespace, run).await?;
        let mut shown = view::detail(&state);
        // Whoever asked by this id goes on by it.
        shown["taskId"] = id.into();
        shown["runId"] = run.to_string().into();
        return Ok(Some(reply::json(&shown)));
    }
    let schedule = match app.schedules.get(namespace, schedule).await {
        Err(ScheduleError::NotFound) => return Err(Refusal::no_task()),
        schedule => schedule?,
    };
    let Target::Task { document } = &schedule.spec.target else {
        return Err(Refusal::no_task());
    };
    Ok(Some(reply::json(&json!({
        "taskId": id,
        "status": "queued",
        "result": null,
        "progress": 0,
        "type": document.get("type"),
        "queue": document.get("queue").and_then(|queue| queue.as_str()).unwrap_or("default"),
        "schedule": { "id": &*schedule.id, "paused": schedule.state.paused, "nextAt": schedule.state.next_at.map(reply::iso) },
    }))))
}

/// Removes the schedule that an id belongs to; false where the id is not of that kind.
pub(super) async fn remove(app: &App, id: &str) -> Result<bool, Refusal> {
    let Some((schedule, _)) = parse_task_id(id) else {
        return Ok(false);
    };
    match app.schedules.delete(&app.tasks.namespace, schedule).await {
        Err(ScheduleError::NotFound) => Err(Refusal::no_task()),
        done => Ok(done.map(|()| true)?),
    }
}

impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Store(error) => error.into(),
            ScheduleError::NotFound => Self::no_task(),
            ScheduleError::Contended => Self::unavailable(error.to_string()),
            error => Self::bad(error.to_string()),
        }
    }
}

/// Starts the tasks of schedules.
#[async_trait]
impl Launch for Tasks {
    async fn check(&self, namespace: &Arc<str>, target: &Target) -> Result<(), LaunchError> {
        let task = self.task_of(namespace, target)?;
        self.plan(&task).map(drop).map_err(|problems| refused(&problems.into()))
    }

    async fn launch(
        &self,
        namespace: &Arc<str>,
        target: &Target,
        _fire: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError> {
        let task = self.task_of(namespace, target)?;
        let started = self.start_task(task, key).await.map_err(|refusal| refused(&refusal))?;
        Ok(Launched {
            run: started.run,
            is_new: started.is_new,
        })
    }
}

impl Tasks {
    fn task_of(&self, namespace: &Arc<str>, target: &Target) -> Result<Task, LaunchError> {
        if *namespace != self.namespace {
            let message = format!("tasks belong to the namespace {}", self.namespace);
            return Err(LaunchError::new(ErrorCode::InvalidField, message));
        }
        let Target::Task { document } = target else {
            return Err(LaunchError::new(ErrorCode::InvalidField, "the target is not a task"));
        };
        self.read(document).map_err(|problems| refused(&problems.into()))
    }
}

fn refused(refusal: &Refusal) -> LaunchError {
    let code = match refusal.is_passing() {
        true => ErrorCode::StoreUnavailable,
        false => ErrorCode::InvalidField,
    };
    LaunchError::new(code, refusal.text())
}
