//! One task of a workflow.

use quintet_core::machine::StepStatus;
use quintet_core::state::Node;
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::document::Task;
use super::super::order::{TaskResult, result_of};
use super::super::{duration, status};
use super::Scene;
use super::failures::TaskError;

/// An execution of a task.
#[derive(Serialize)]
pub(super) struct TaskExecution<'s> {
    task: &'s Task,
    status: &'static str,
    agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    /// Of the last attempt, in nanoseconds.
    duration: i64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<TaskResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TaskError>,
    /// A line for each attempt that failed.
    logs: Vec<String>,
    metadata: Map<String, Value>,
}

impl<'s> TaskExecution<'s> {
    pub fn of(scene: &Scene<'s>, nth: usize) -> Self {
        let task = &scene.workflow.tasks[nth];
        let node = scene.node(nth);
        let started_at = node.and_then(began);
        let completed_at = node.and_then(|node| node.ended_at);
        Self {
            task,
            status: scene.status_of(nth),
            agent_id: started_at.map_or_else(String::new, |at| {
                format!("agent_{}_{}", task.id, at.0.div_euclid(1_000_000))
            }),
            started_at: started_at.map(duration::timestamp),
            completed_at: completed_at.map(duration::timestamp),
            duration: took(node, scene.now),
            attempts: node.map_or(1, attempts),
            result: node
                .and_then(|node| node.success.as_deref())
                .map(|success| result_of(&success.output)),
            error: node.and_then(TaskError::of),
            logs: node.map(logs).unwrap_or_default(),
            metadata: Map::new(),
        }
    }

    /// What the workflow's `results` hold of it.
    pub fn entry(&self) -> Option<(&'s str, TaskResult)> {
        Some((&self.task.id, self.result.clone()?))
    }
}

/// When the last attempt began, of a task that has one to show: one that was taken back has not begun again.
pub(super) fn began(node: &Node) -> Option<Time> {
    match node.status {
        StepStatus::Pending | StepStatus::Enqueued | StepStatus::Skipped => None,
        StepStatus::Cancelled => node.started_at.filter(|began| Some(*began) >= node.ready_at),
        _ => node.started_at,
    }
}

/// How long the last attempt took, or has been taking.
pub(super) fn took(node: Option<&Node>, now: Time) -> i64 {
    let Some((node, start)) = node.and_then(|node| Some((node, began(node)?))) else {
        return 0;
    };
    let end = match node.status {
        StepStatus::WaitingForRetry => node.past.last().map(|past| past.at),
        _ => node.ended_at,
    };
    duration::between(start, end.unwrap_or(now))
}

/// Which attempt it is at; one that waits for its turn is at the next.
pub(super) fn attempts(node: &Node) -> u32 {
    let waits = matches!(node.status, StepStatus::Pending | StepStatus::Enqueued);
    (node.attempt + u32::from(waits)).max(1)
}

fn logs(node: &Node) -> Vec<String> {
    let line = |past: &quintet_core::outcome::Past| {
        let at = duration::timestamp(past.at);
        format!("{at} attempt {} failed: {}", past.attempt, past.failure.message)
    };
    node.past.iter().map(line).collect()
}

/// Whether it has failed for good.
pub(super) fn has_failed(scene: &Scene<'_>, nth: usize) -> bool {
    scene.status_of(nth) == status::FAILED
}
