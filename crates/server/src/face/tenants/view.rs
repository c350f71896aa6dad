//! Workflows as this face shows them, in the shapes of its Go types.
//!
//! Everything is told from one [`RunState`] and the request that is its context: so what is said outside and inside of an
//! answer is of the same moment, and nothing that moves meanwhile is seen half. A workflow that has just been accepted is
//! shown as it was accepted ([`Scene::accepted`]), whatever has become of it since.

mod estimate;
mod failures;
mod metrics;
mod task;

use std::collections::BTreeMap;

use quintet_core::machine::RunStatus;
use quintet_core::state::{Node, Note, RunState};
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::{Map, Value};

use super::cx::Found;
use super::document::{Configuration, ProjectContext, TaskDependency, Workflow};
use super::order::TaskResult;
use super::{duration, plan, status};
use failures::WorkflowError;
pub(super) use metrics::WorkflowMetrics;
use task::TaskExecution;

/// A workflow to be shown.
#[derive(Clone, Copy)]
pub(super) struct Scene<'s> {
    id: &'s str,
    workflow: &'s Workflow,
    /// Absent as long as it is only accepted.
    state: Option<&'s RunState>,
    created_at: Time,
    /// How long what has not ended takes is told by this.
    now: Time,
}

/// An execution of a workflow.
#[derive(Serialize)]
pub(super) struct Execution<'s> {
    id: &'s str,
    intent_id: &'s str,
    status: &'static str,
    tasks: Vec<TaskExecution<'s>>,
    dependencies: Option<&'s [TaskDependency]>,
    configuration: &'s Configuration,
    context: &'s ProjectContext,
    progress: WorkflowProgress,
    /// By the ids of the tasks.
    results: BTreeMap<&'s str, TaskResult>,
    errors: Vec<WorkflowError<'s>>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    /// In nanoseconds.
    duration: i64,
    metadata: Map<String, Value>,
}

/// A workflow in a list.
#[derive(Serialize)]
pub(super) struct Summary {
    id: String,
    intent_id: String,
    status: &'static str,
    progress: WorkflowProgress,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    duration: i64,
}

/// How far a workflow is.
#[derive(Debug, Default, PartialEq, Serialize)]
struct WorkflowProgress {
    total_tasks: usize,
    completed_tasks: usize,
    failed_tasks: usize,
    running_tasks: usize,
    /// With those that wait in a queue or for their next attempt.
    pending_tasks: usize,
    percent_complete: f64,
    /// In nanoseconds; 0 where nothing is known.
    estimated_time_left: i64,
}

impl<'s> Scene<'s> {
    /// A workflow as it is at this moment.
    pub fn of(found: &'s Found, now: Time) -> Self {
        Self {
            id: &found.id,
            workflow: &found.workflow,
            state: Some(&found.state),
            created_at: found.state.created_at,
            now,
        }
    }

    /// A workflow that has just been accepted.
    pub fn accepted(id: &'s str, workflow: &'s Workflow, at: Time) -> Self {
        Self {
            id,
            workflow,
            state: None,
            created_at: at,
            now: at,
        }
    }

    pub fn execution(&self) -> Execution<'s> {
        let Workflow {
            intent_id,
            dependencies,
            configuration,
            context,
            ..
        } = self.workflow;
        let tasks: Vec<_> = (0..self.workflow.tasks.len())
            .map(|nth| TaskExecution::of(self, nth))
            .collect();
        let results = tasks.iter().filter_map(TaskExecution::entry).collect();
        Execution {
            id: self.id,
            intent_id,
            status: self.status(),
            tasks,
            dependencies: dependencies.as_deref(),
            configuration,
            context,
            progress: self.progress(),
            results,
            errors: failures::of_workflow(self),
            created_at: duration::timestamp(self.created_at),
            started_at: self.started_at().map(duration::timestamp),
            completed_at: self.completed_at().map(duration::timestamp),
            duration: self.duration(),
            metadata: self.metadata(),
        }
    }

    pub fn summary(&self) -> Summary {
        Summary {
            id: self.id.to_owned(),
            intent_id: self.workflow.intent_id.clone(),
            status: self.status(),
            progress: self.progress(),
            created_at: duration::timestamp(self.created_at),
            completed_at: self.completed_at().map(duration::timestamp),
            duration: self.duration(),
        }
    }

    pub fn metrics(&self) -> WorkflowMetrics<'s> {
        metrics::of(self)
    }

    pub fn status(&self) -> &'static str {
        self.state
            .map_or(status::PENDING, |state| status::of_workflow(state.status))
    }

    /// The step run of a task.
    fn node(&self, nth: usize) -> Option<&'s Node> {
        let n = plan::node_of(self.workflow, nth);
        self.state?.nodes.get(n as usize)
    }

    /// Where a task stands.
    fn status_of(&self, nth: usize) -> &'static str {
        match (self.node(nth), self.state) {
            (Some(node), Some(state)) => status::of_task(node.status, state.status),
            _ => status::PENDING,
        }
    }

    /// When the tasks were free to start: at once, or when somebody agreed.
    fn started_at(&self) -> Option<Time> {
        let state = self.state?;
        if self.status() == status::PENDING {
            return None;
        }
        match plan::gate(self.workflow) {
            None => Some(state.created_at),
            Some(gate) => {
                let approval = state.nodes.get(gate as usize)?.approval.as_ref()?;
                approval.granted.then_some(approval.at)
            }
        }
    }

    fn completed_at(&self) -> Option<Time> {
        self.state?.finished_at
    }

    /// How long it took, or has been taking.
    fn duration(&self) -> i64 {
        let end = self.completed_at().unwrap_or(self.now);
        self.started_at().map_or(0, |start| duration::between(start, end))
    }

    fn progress(&self) -> WorkflowProgress {
        let mut progress = WorkflowProgress {
            total_tasks: self.workflow.tasks.len(),
            ..WorkflowProgress::default()
        };
        for nth in 0..progress.total_tasks {
            match self.status_of(nth) {
                status::COMPLETED => progress.completed_tasks += 1,
                status::FAILED => progress.failed_tasks += 1,
                status::RUNNING => progress.running_tasks += 1,
                status::PENDING | status::QUEUED | status::RETRYING => progress.pending_tasks += 1,
                _ => {}
            }
        }
        progress.percent_complete = 100.0 * progress.completed_tasks as f64 / progress.total_tasks.max(1) as f64;
        progress.estimated_time_left = estimate::time_left(self);
        progress
    }

    /// What the request said, and what was done about the workflow since.
    fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.workflow.metadata.clone();
        let Some(state) = self.state else {
            return metadata;
        };
        let mut note = |note: &Option<Note>, reason: &str, at: &str| {
            let Some(note) = note else { return };
            metadata.insert(reason.to_owned(), note.reason.clone().unwrap_or_default().into());
            metadata.insert(at.to_owned(), duration::timestamp_seconds(note.at).into());
        };
        note(&state.last_pause, "pause_reason", "paused_at");
        note(&state.last_resume, "resume_reason", "resumed_at");
        note(&state.cancelled, "cancel_reason", "cancelled_at");
        if state.status == RunStatus::Cancelled {
            metadata.insert("force_cancel".to_owned(), state.cancelled_by_force.into());
        }
        metadata
    }
}
