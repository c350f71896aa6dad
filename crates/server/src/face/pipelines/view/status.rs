//! What the engine's states are called here.
//!
//! The original had no word for much of what the engine tells apart, and had one, `timeout`, for what is a failure
//! like others to the engine. A step that nobody has heard of yet, and one whose branch was not taken, is no task run;
//! in a run that has ended, a step that was not begun was called off.

use std::collections::BTreeSet;

use quintet_core::event::SkipCause;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::Failure;
use quintet_core::state::{Hold, Node, Note, RunState, Verdict};

use super::super::desk::{code_of, message_of};
use super::super::model::{PipelineStatus, TaskStatus};
use super::super::plan::FailureMode;

/// The error code of what took too long, or went silent.
const TIMEOUT: &str = "TIMEOUT";
/// Why a task was called off, in the original's words.
const FAILED_FAST: &str = "Pipeline failed in fail-fast mode";

/// The words for states of task runs.
pub(in super::super) const TASK: [(&str, TaskStatus); 7] = [
    ("pending", TaskStatus::Pending),
    ("running", TaskStatus::Running),
    ("waiting", TaskStatus::Waiting),
    ("completed", TaskStatus::Completed),
    ("failed", TaskStatus::Failed),
    ("timeout", TaskStatus::Timeout),
    ("cancelled", TaskStatus::Cancelled),
];

/// The words for states of pipeline runs.
pub(in super::super) const RUN: [(&str, PipelineStatus); 6] = [
    ("pending", PipelineStatus::Pending),
    ("running", PipelineStatus::Running),
    ("completed", PipelineStatus::Completed),
    ("failed", PipelineStatus::Failed),
    ("cancelled", PipelineStatus::Cancelled),
    ("partial", PipelineStatus::Partial),
];

/// Where a step stands as a task run; `None` where it is none.
pub(in super::super) fn of_task(state: &RunState, n: u32) -> Option<TaskStatus> {
    let node = state.nodes.get(n as usize)?;
    if state.status.is_terminal() && !node.status.is_settled() || node.status == StepStatus::Cancelled {
        let was_taken = !matches!(
            node.verdict,
            Verdict::Skip(SkipCause::NotTaken | SkipCause::ConditionFalse)
        );
        return was_taken.then_some(TaskStatus::Cancelled);
    }
    match node.status {
        StepStatus::Pending => of_pending(state, node),
        StepStatus::Error => Some(of_failure(node)),
        status => of_row(status),
    }
}

/// Where a row of a step stands that is only known by the state in it.
pub(in super::super) fn of_row(status: StepStatus) -> Option<TaskStatus> {
    match status {
        // Rows of steps are first written when they are queued, or when they have begun to wait.
        StepStatus::Pending => Some(TaskStatus::Waiting),
        StepStatus::Enqueued | StepStatus::WaitingForRetry => Some(TaskStatus::Pending),
        StepStatus::InProgress | StepStatus::EnqueuedForOrchestration | StepStatus::EnqueuedAsErrorForOrchestration => {
            Some(TaskStatus::Running)
        }
        StepStatus::Complete | StepStatus::ResolvedManually => Some(TaskStatus::Completed),
        StepStatus::Error => Some(TaskStatus::Failed),
        StepStatus::Cancelled => Some(TaskStatus::Cancelled),
        StepStatus::Skipped => None,
    }
}

/// The states of rows among which all task runs of this state are.
pub(in super::super) fn rows_of(status: TaskStatus) -> Vec<StepStatus> {
    let status = if status == TaskStatus::Timeout {
        TaskStatus::Failed
    } else {
        status
    };
    let all = quintet_core::machine::step::ALL.into_iter();
    all.filter(|row| of_row(*row) == Some(status)).collect()
}

fn of_pending(state: &RunState, node: &Node) -> Option<TaskStatus> {
    match node.verdict {
        // It may start, and something keeps it: a person, or a failure elsewhere.
        Verdict::Start => Some(TaskStatus::Pending),
        Verdict::Skip(_) => None,
        Verdict::Undecided if node.hold == Hold::Approval => Some(TaskStatus::Pending),
        Verdict::Undecided => {
            let has_ended = |n: u32| {
                let status = state.nodes[n as usize].status;
                matches!(
                    status,
                    StepStatus::Complete | StepStatus::Error | StepStatus::ResolvedManually
                )
            };
            let waits = state.plan.predecessors(node.step).any(has_ended);
            waits.then_some(TaskStatus::Waiting)
        }
    }
}

fn of_failure(node: &Node) -> TaskStatus {
    match node.failure.as_deref().and_then(code_of) {
        Some(TIMEOUT) => TaskStatus::Timeout,
        _ => TaskStatus::Failed,
    }
}

/// Where a run stands as a pipeline run.
pub(in super::super) fn of_run(state: &RunState, mode: FailureMode) -> PipelineStatus {
    match of_status(state.status) {
        PipelineStatus::Failed if mode == FailureMode::PartialMerge => of_merge(state),
        status => status,
    }
}

/// The same as far as the engine's own word for it tells.
pub(in super::super) fn of_status(status: RunStatus) -> PipelineStatus {
    match status {
        RunStatus::Pending => PipelineStatus::Pending,
        RunStatus::Initializing
        | RunStatus::EnqueuingSteps
        | RunStatus::StepsInProcess
        | RunStatus::EvaluatingResults
        | RunStatus::WaitingForDependencies
        | RunStatus::WaitingForRetry
        | RunStatus::BlockedByFailures
        | RunStatus::WaitingForApproval
        | RunStatus::Paused => PipelineStatus::Running,
        RunStatus::Complete | RunStatus::ResolvedManually => PipelineStatus::Completed,
        RunStatus::Error => PipelineStatus::Failed,
        RunStatus::Cancelled => PipelineStatus::Cancelled,
    }
}

/// To the engine a run in which a task has failed has failed. Of one that merges what there is, something may have come
/// besides what led to the failures: then it is partial.
fn of_merge(state: &RunState) -> PipelineStatus {
    let steps = || 0..state.plan.len() as u32;
    let is = |n: u32, wanted: StepStatus| state.nodes[n as usize].status == wanted;
    let mut open: Vec<u32> = steps().filter(|&n| is(n, StepStatus::Error)).collect();
    let mut before = BTreeSet::new();
    while let Some(n) = open.pop() {
        open.extend(state.plan.predecessors(n).filter(|&n| before.insert(n)));
    }
    let has_come = |n: u32| is(n, StepStatus::Complete) || is(n, StepStatus::ResolvedManually);
    if steps().any(|n| has_come(n) && !before.contains(&n)) {
        PipelineStatus::Partial
    } else {
        PipelineStatus::Failed
    }
}

/// What is said of a task run that did not end well: the text, and the code.
pub(in super::super) fn error_of_task(
    state: &RunState,
    n: u32,
    status: TaskStatus,
    mode: FailureMode,
) -> (Option<String>, Option<String>) {
    let node = &state.nodes[n as usize];
    match (status, &node.failure) {
        (TaskStatus::Failed | TaskStatus::Timeout, Some(failure)) => {
            (Some(message_of(failure)), code_of(failure).map(str::to_owned))
        }
        (TaskStatus::Cancelled, _) => (Some(why_called_off(state, mode)), None),
        _ => (None, None),
    }
}

fn why_called_off(state: &RunState, mode: FailureMode) -> String {
    if let Some(note) = state.cancelled.as_ref().or(state.resolved.as_ref()) {
        return reason(note);
    }
    match (&state.failure, mode) {
        (Some(failure), _) => message_of(failure),
        (None, FailureMode::FailFast) => FAILED_FAST.to_owned(),
        (None, FailureMode::Continue | FailureMode::PartialMerge) => "Pipeline ended".to_owned(),
    }
}

fn reason(note: &Note) -> String {
    note.reason.clone().unwrap_or_else(|| "Cancelled".to_owned())
}

/// What is said of a pipeline run that did not end well.
pub(in super::super) fn error_of_run(state: &RunState, status: PipelineStatus) -> Option<String> {
    match status {
        PipelineStatus::Pending | PipelineStatus::Running | PipelineStatus::Completed => None,
        PipelineStatus::Cancelled => Some(state.cancelled.as_ref().map_or_else(|| "Cancelled".to_owned(), reason)),
        PipelineStatus::Failed | PipelineStatus::Partial => match &state.failure {
            Some(failure) => Some(message_of(failure)),
            None => {
                first_failure(state).map(|(task, failure)| format!("Task '{task}' failed: {}", message_of(failure)))
            }
        },
    }
}

/// In the order of the plan, also one that something followed.
fn first_failure(state: &RunState) -> Option<(&str, &Failure)> {
    let steps = state.plan.spec.steps.iter().zip(&state.nodes);
    let mut failed = steps.filter(|(_, node)| node.status == StepStatus::Error);
    let (step, node) = failed.next()?;
    Some((step.key.as_str(), node.failure.as_deref()?))
}

#[cfg(test)]
mod tests;
