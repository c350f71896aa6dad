//! What went wrong, in the words of this face's errors.

use quintet_core::outcome::Failure;
use quintet_core::state::Node;
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::Value;

use super::super::document::Task;
use super::super::{duration, plan};
use super::Scene;

/// Type of an error that has no other.
const EXECUTION: &str = "execution_error";

/// Why a task failed.
#[derive(Debug, Serialize)]
pub(super) struct TaskError {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    code: String,
    details: String,
    /// Whether another attempt could succeed.
    recoverable: bool,
    timestamp: String,
}

/// Why a workflow failed.
#[derive(Debug, Serialize)]
pub(super) struct WorkflowError<'s> {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'s str>,
    code: String,
    details: String,
    timestamp: String,
}

impl TaskError {
    /// The last failure of a task that has not succeeded since.
    pub fn of(node: &Node) -> Option<Self> {
        let failure = node.failure.as_deref()?;
        let at = node.ended_at.or(node.past.last().map(|past| past.at))?;
        Some(Self {
            kind: kind(failure),
            message: failure.message.clone(),
            code: code(failure, "TASK_EXECUTION_FAILED"),
            details: details(failure),
            recoverable: failure.retryable != Some(false),
            timestamp: duration::timestamp(at),
        })
    }
}

/// What has failed for good: each task, in the order written, and the workflow itself where no task is to blame.
pub(super) fn of_workflow<'s>(scene: &Scene<'s>) -> Vec<WorkflowError<'s>> {
    let Some(state) = scene.state else {
        return Vec::new();
    };
    let of_task = |(nth, task): (usize, &'s Task)| {
        let node = scene.node(nth)?;
        let error = TaskError::of(node).filter(|_| node.counts_as_failed(&state.plan))?;
        Some(WorkflowError {
            kind: error.kind,
            message: error.message,
            task_id: Some(&task.id),
            code: error.code,
            details: error.details,
            timestamp: error.timestamp,
        })
    };
    let tasks = scene.workflow.tasks.iter().enumerate().filter_map(of_task);
    let gate = plan::gate(scene.workflow).and_then(|gate| {
        let node = state.nodes.get(gate as usize)?;
        Some(whole(node.failure.as_deref()?, node.ended_at?))
    });
    let own = state
        .failure
        .as_deref()
        .map(|failure| whole(failure, state.finished_at.unwrap_or(state.updated_at)));
    own.into_iter().chain(gate).chain(tasks).collect()
}

/// An error that is no task's.
fn whole<'s>(failure: &Failure, at: Time) -> WorkflowError<'s> {
    WorkflowError {
        kind: kind(failure),
        message: failure.message.clone(),
        task_id: None,
        code: code(failure, "WORKFLOW_EXECUTION_FAILED"),
        details: details(failure),
        timestamp: duration::timestamp(at),
    }
}

fn kind(failure: &Failure) -> String {
    failure.kind.clone().unwrap_or_else(|| EXECUTION.to_owned())
}

/// The protocol's code where there is one, and else the kind, as codes are written.
fn code(failure: &Failure, other: &str) -> String {
    match (failure.code, &failure.kind) {
        (Some(code), _) => code.to_string(),
        (None, Some(kind)) => kind.to_ascii_uppercase(),
        (None, None) => other.to_owned(),
    }
}

fn details(failure: &Failure) -> String {
    match &failure.detail {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
