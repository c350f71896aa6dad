//! The names under which this face shows the states of runs and steps. The one table for both.

use quintet_core::machine::{RunStatus, StepStatus, run};
use quintet_core::state::{Hold, Node};

/// Public states of a run.
pub(crate) const RUN: [&str; 9] = [
    "PENDING",
    "RUNNING",
    "WAITING_APPROVAL",
    "SUCCEEDED",
    "FAILED",
    "CANCELED",
    "PAUSED",
    "BLOCKED",
    "RESOLVED",
];

/// Public states of a step run.
pub(crate) const STEP: [&str; 11] = [
    "PENDING",
    "QUEUED",
    "RUNNING",
    "WAITING",
    "WAITING_APPROVAL",
    "RETRYING",
    "SUCCEEDED",
    "FAILED",
    "CANCELED",
    "RESOLVED",
    "SKIPPED",
];

/// How a run's state is called.
pub(crate) const fn of_run(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Pending => "PENDING",
        RunStatus::Initializing
        | RunStatus::EnqueuingSteps
        | RunStatus::StepsInProcess
        | RunStatus::EvaluatingResults
        | RunStatus::WaitingForDependencies
        | RunStatus::WaitingForRetry => "RUNNING",
        RunStatus::BlockedByFailures => "BLOCKED",
        RunStatus::WaitingForApproval => "WAITING_APPROVAL",
        RunStatus::Paused => "PAUSED",
        RunStatus::Complete => "SUCCEEDED",
        RunStatus::Error => "FAILED",
        RunStatus::Cancelled => "CANCELED",
        RunStatus::ResolvedManually => "RESOLVED",
    }
}

/// The states that are called so; empty for a name that is none.
pub(crate) fn runs_called(name: &str) -> Vec<RunStatus> {
    run::ALL.into_iter().filter(|status| of_run(*status) == name).collect()
}

/// How a step's state is called, as far as the state alone tells.
pub(crate) const fn of_step(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "PENDING",
        StepStatus::Enqueued => "QUEUED",
        StepStatus::InProgress | StepStatus::EnqueuedForOrchestration | StepStatus::EnqueuedAsErrorForOrchestration => {
            "RUNNING"
        }
        StepStatus::WaitingForRetry => "RETRYING",
        StepStatus::Complete => "SUCCEEDED",
        StepStatus::Error => "FAILED",
        StepStatus::Cancelled => "CANCELED",
        StepStatus::ResolvedManually => "RESOLVED",
        StepStatus::Skipped => "SKIPPED",
    }
}

/// How a step run's state is called.
pub(crate) fn of_node(node: &Node) -> &'static str {
    match (node.status, node.hold) {
        (StepStatus::Pending, Hold::Approval) => "WAITING_APPROVAL",
        (StepStatus::InProgress, Hold::Timer) => "WAITING",
        (status, _) => of_step(status),
    }
}

#[cfg(test)]
mod tests {
    use quintet_core::machine::step;

    use super::*;

    #[test]
    fn every_state_has_a_public_name_and_every_name_a_state() {
        assert!(run::ALL.iter().all(|status| RUN.contains(&of_run(*status))));
        assert!(RUN.iter().all(|name| !runs_called(name).is_empty()));
        assert!(step::ALL.iter().all(|status| STEP.contains(&of_step(*status))));
        assert!(runs_called("succeeded").is_empty());
    }

    #[test]
    fn the_contracts_six_states_have_exactly_its_names() {
        let names = [
            RunStatus::Pending,
            RunStatus::StepsInProcess,
            RunStatus::WaitingForApproval,
            RunStatus::Complete,
            RunStatus::Error,
            RunStatus::Cancelled,
        ]
        .map(of_run);
        assert_eq!(
            names,
            [
                "PENDING",
                "RUNNING",
                "WAITING_APPROVAL",
                "SUCCEEDED",
                "FAILED",
                "CANCELED"
            ]
        );
    }
}
