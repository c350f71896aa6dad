//! Tasks as this face shows them: a status of four, one result, one error, how far it is.
//!
//! Everything is told from the run's state and the document that it was started with. The first fields are the
//! original's, with its rules of when they are there; what its dashboard looked for in vain comes after them.

pub(crate) mod fault;
mod pipeline;
mod scene;
mod step;

use quintet_core::machine::RunStatus;
use quintet_core::state::{Class, RunState};
use serde_json::{Map, Value, json};

use super::reply::iso;
use scene::Scene;

pub(crate) use scene::{began, step_of};

/// Why a task failed that was called off: its clients wait for `failed` and for nothing else.
pub(crate) const CANCELLED: &str = "cancelled";

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing of it is under way: it waits for its turn, for a time, or for its next attempt.
    Queued,
    Running,
    Completed,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// Where a task stands.
pub(crate) fn status(state: &RunState) -> Status {
    match state.status {
        RunStatus::Complete | RunStatus::ResolvedManually => Status::Completed,
        RunStatus::Error | RunStatus::Cancelled => Status::Failed,
        RunStatus::Pending
        | RunStatus::Initializing
        | RunStatus::EnqueuingSteps
        | RunStatus::StepsInProcess
        | RunStatus::EvaluatingResults
        | RunStatus::WaitingForDependencies
        | RunStatus::WaitingForRetry
        | RunStatus::BlockedByFailures
        | RunStatus::WaitingForApproval
        | RunStatus::Paused => match state.count(Class::Claimed) {
            0 => Status::Queued,
            _ => Status::Running,
        },
    }
}

/// A task in a list.
pub(crate) fn item(state: &RunState) -> Value {
    let scene = Scene::of(state);
    let mut fields = common(&scene);
    fields.insert("type".to_owned(), scene.document.kind().into());
    fields.insert("queue".to_owned(), scene.document.queue().into());
    fields.insert("id".to_owned(), state.id.to_string().into());
    times(&scene, &mut fields);
    Value::Object(fields)
}

/// A task by itself.
pub(crate) fn detail(state: &RunState) -> Value {
    let scene = Scene::of(state);
    let mut fields = common(&scene);
    fields.insert("id".to_owned(), state.id.to_string().into());
    fields.insert("type".to_owned(), scene.document.kind().into());
    fields.insert("queue".to_owned(), scene.document.queue().into());
    fields.insert("priority".to_owned(), state.created.priority.into());
    times(&scene, &mut fields);
    if scene.document.is_pipeline() {
        let steps = scene.document.value().get("steps").cloned();
        fields.insert("steps".to_owned(), steps.unwrap_or_default());
        fields.insert("stepStatus".to_owned(), pipeline::statuses(&scene));
        fields.insert("stepResults".to_owned(), pipeline::results(&scene));
    }
    if state.finished_at.is_some() {
        fields.insert("totalDuration".to_owned(), scene.duration_ms().into());
    }
    Value::Object(fields)
}

/// The original's fields.
fn common(scene: &Scene<'_>) -> Map<String, Value> {
    let status = status(scene.state);
    let mut fields = Map::new();
    fields.insert("taskId".to_owned(), scene.state.id.to_string().into());
    fields.insert("status".to_owned(), status.as_str().into());
    let result = match status {
        Status::Completed => result_of(scene),
        Status::Queued | Status::Running | Status::Failed => Value::Null,
    };
    fields.insert("result".to_owned(), result);
    if let Some(error) = error_of(scene) {
        fields.insert("error".to_owned(), error.into());
    }
    fields.insert("progress".to_owned(), number(progress_of(scene)));
    fields
}

fn times(scene: &Scene<'_>, fields: &mut Map<String, Value>) {
    let times = [
        ("createdAt", Some(scene.state.created_at)),
        ("startedAt", scene.began()),
        ("completedAt", scene.state.finished_at),
    ];
    for (name, time) in times {
        fields.extend(time.map(|time| (name.to_owned(), iso(time).into())));
    }
}

/// What a task has given.
pub(crate) fn result(state: &RunState) -> Value {
    match status(state) {
        Status::Completed => result_of(&Scene::of(state)),
        Status::Queued | Status::Running | Status::Failed => Value::Null,
    }
}

fn result_of(scene: &Scene<'_>) -> Value {
    if scene.document.is_pipeline() {
        return pipeline::result(scene);
    }
    let success = scene.single().and_then(|node| node.success.as_ref());
    success
        .map(|success| success.output.as_ref().clone())
        .unwrap_or_default()
}

/// Why a task has failed; of one that is under way, why its last attempt did.
pub(crate) fn error(state: &RunState) -> Option<String> {
    error_of(&Scene::of(state))
}

/// What went wrong with a step run that has failed.
pub(crate) fn step_error(state: &RunState, n: u32) -> Option<String> {
    Scene::of(state).error_of(n)
}

fn error_of(scene: &Scene<'_>) -> Option<String> {
    match scene.state.status {
        RunStatus::Complete | RunStatus::ResolvedManually => None,
        RunStatus::Cancelled => Some(CANCELLED.to_owned()),
        RunStatus::Error => {
            let of_run = || Some(scene.state.failure.as_ref()?.message.clone());
            Some(scene.failure().or_else(of_run).unwrap_or_else(|| "failed".to_owned()))
        }
        _ => scene.setback(),
    }
}

/// How far a task is, from 0 to 100.
pub(crate) fn progress(state: &RunState) -> Value {
    number(progress_of(&Scene::of(state)))
}

fn progress_of(scene: &Scene<'_>) -> f64 {
    if status(scene.state) == Status::Completed {
        return 100.0;
    }
    match scene.steps.len() {
        0 => scene.single().and_then(|node| node.progress).unwrap_or_default(),
        steps => percent(pipeline::settled(scene), steps),
    }
}

/// Whole percents, as the original rounded them.
pub(crate) fn percent(done: usize, all: usize) -> f64 {
    (100.0 * done as f64 / all.max(1) as f64).round()
}

/// Without a fraction where there is none.
pub(crate) fn number(number: f64) -> Value {
    if number.fract() == 0.0 {
        json!(number as i64)
    } else {
        json!(number)
    }
}

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;
