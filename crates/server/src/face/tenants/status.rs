//! The names under which this face shows the states of workflows and tasks. The one table for both.

use quintet_core::machine::{RunStatus, StepStatus, run};

/// A workflow that somebody holds.
pub(super) const PAUSED: &str = "paused";
pub(super) const RUNNING: &str = "running";
pub(super) const PENDING: &str = "pending";
pub(super) const COMPLETED: &str = "completed";
pub(super) const FAILED: &str = "failed";
pub(super) const CANCELLED: &str = "cancelled";
/// Only of tasks.
pub(super) const QUEUED: &str = "queued";
pub(super) const SKIPPED: &str = "skipped";
pub(super) const RETRYING: &str = "retrying";

/// How a workflow's state is called.
///
/// The only approval that a workflow of this face can wait for is the one before all tasks: until then nothing has begun.
pub(super) const fn of_workflow(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Pending | RunStatus::WaitingForApproval => PENDING,
        RunStatus::Initializing
        | RunStatus::EnqueuingSteps
        | RunStatus::StepsInProcess
        | RunStatus::EvaluatingResults
        | RunStatus::WaitingForDependencies
        | RunStatus::WaitingForRetry => RUNNING,
        RunStatus::Paused => PAUSED,
        RunStatus::Complete | RunStatus::ResolvedManually => COMPLETED,
        RunStatus::Error | RunStatus::BlockedByFailures => FAILED,
        RunStatus::Cancelled => CANCELLED,
    }
}

/// The states that are called so; empty for a name that is none.
pub(super) fn workflows_called(name: &str) -> Vec<RunStatus> {
    let called = |status: &RunStatus| of_workflow(*status) == name;
    run::ALL.into_iter().filter(called).collect()
}

/// How a task's state is called. What has not begun when the workflow has failed does not begin any more.
pub(super) const fn of_task(status: StepStatus, run: RunStatus) -> &'static str {
    match (status, run) {
        (StepStatus::Skipped, _) | (StepStatus::Pending | StepStatus::Enqueued, RunStatus::Error) => SKIPPED,
        (StepStatus::Pending, _) => PENDING,
        (StepStatus::Enqueued, _) => QUEUED,
        (
            StepStatus::InProgress | StepStatus::EnqueuedForOrchestration | StepStatus::EnqueuedAsErrorForOrchestration,
            _,
        ) => RUNNING,
        (StepStatus::WaitingForRetry, _) => RETRYING,
        (StepStatus::Complete | StepStatus::ResolvedManually, _) => COMPLETED,
        (StepStatus::Error, _) => FAILED,
        (StepStatus::Cancelled, _) => CANCELLED,
    }
}

#[cfg(test)]
mod tests {
    use quintet_core::machine::step;

    use super::*;

    #[test]
    fn workflows_and_tasks_have_the_names_of_the_contract_and_no_others() {
        let workflows = [PENDING, RUNNING, PAUSED, COMPLETED, FAILED, CANCELLED];
        assert!(run::ALL.iter().all(|status| workflows.contains(&of_workflow(*status))));
        assert!(workflows.iter().all(|name| !workflows_called(name).is_empty()));
        let tasks = [
            PENDING, QUEUED, RUNNING, COMPLETED, FAILED, SKIPPED, CANCELLED, RETRYING,
        ];
        let shown: Vec<&str> = step::ALL
            .iter()
            .map(|status| of_task(*status, RunStatus::StepsInProcess))
            .collect();
        assert!(tasks.iter().all(|name| shown.contains(name)), "{shown:?}");
        assert!(shown.iter().all(|name| tasks.contains(name)), "{shown:?}");
        assert!(workflows_called("bogus").is_empty() && workflows_called("").is_empty());
    }

    #[test]
    fn nothing_of_a_failed_workflow_is_said_to_be_still_to_come() {
        for status in [StepStatus::Pending, StepStatus::Enqueued] {
            assert_eq!(of_task(status, RunStatus::Error), SKIPPED);
        }
        assert_eq!(of_task(StepStatus::InProgress, RunStatus::Error), RUNNING);
    }
}
