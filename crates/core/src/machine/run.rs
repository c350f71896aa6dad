//! The run machine: twelve states of the tasker contract (1.1), and two holds, `paused` and
//! `waiting_for_approval`.
//!
//! A run rests in a state between transactions. [`walk`] names the triggers that lead from one resting
//! state to another, through the transient ones; a test takes every walk through the table.

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RunStatus {
    /// Accepted, nothing begun.
    Pending = 0,
    /// Its first steps are being found (transient).
    Initializing = 1,
    /// Ready steps are being handed out (transient).
    EnqueuingSteps = 2,
    /// At least one step is enqueued or under way.
    StepsInProcess = 3,
    /// A result is being judged (transient).
    EvaluatingResults = 4,
    /// Nothing is ready yet.
    WaitingForDependencies = 5,
    /// Only retries are awaited.
    WaitingForRetry = 6,
    /// Failed steps stop it; a person can mend or resolve it.
    BlockedByFailures = 7,
    /// Only approvals are awaited.
    WaitingForApproval = 8,
    /// A person holds it: nothing new starts.
    Paused = 9,
    /// Ended well.
    Complete = 10,
    /// Ended badly.
    Error = 11,
    /// Called off.
    Cancelled = 12,
    /// Declared settled by a person.
    ResolvedManually = 13,
}

/// What moves a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunTrigger {
    /// It begins.
    Start,
    /// Steps can be handed out.
    ReadyStepsFound,
    /// It has no steps left to do.
    NoStepsFound,
    /// Nothing can be handed out now.
    NoDependenciesReady,
    /// Steps were handed out.
    StepsEnqueued,
    /// They could not be handed out.
    EnqueueFailed,
    /// A step came to an end.
    StepCompleted,
    /// A step failed and will be retried.
    StepFailed,
    /// Every step ended well.
    AllStepsSuccessful,
    /// A step failed for good.
    PermanentFailure,
    /// What was awaited has arrived.
    DependenciesReady,
    /// A retry is due.
    RetryReady,
    /// Nobody will mend the failure.
    GiveUp,
    /// A person settles the run.
    ManualResolution,
    /// It is called off.
    Cancel,
    /// A person holds it.
    Pause,
    /// The hold is lifted.
    Resume,
    /// Only approvals are awaited.
    ApprovalRequired,
    /// An approval was given or refused.
    ApprovalResolved,
    /// A finished run is taken up again.
    Reopen,
    /// The whole run took too long.
    TimeOut,
}

use RunStatus as S;
use RunTrigger as T;

/// All states, in the order of their stored numbers.
pub const ALL: [RunStatus; 14] = [
    S::Pending,
    S::Initializing,
    S::EnqueuingSteps,
    S::StepsInProcess,
    S::EvaluatingResults,
    S::WaitingForDependencies,
    S::WaitingForRetry,
    S::BlockedByFailures,
    S::WaitingForApproval,
    S::Paused,
    S::Complete,
    S::Error,
    S::Cancelled,
    S::ResolvedManually,
];

/// All triggers, in the order of their declaration.
pub const TRIGGERS: [RunTrigger; 21] = [
    T::Start,
    T::ReadyStepsFound,
    T::NoStepsFound,
    T::NoDependenciesReady,
    T::StepsEnqueued,
    T::EnqueueFailed,
    T::StepCompleted,
    T::StepFailed,
    T::AllStepsSuccessful,
    T::PermanentFailure,
    T::DependenciesReady,
    T::RetryReady,
    T::GiveUp,
    T::ManualResolution,
    T::Cancel,
    T::Pause,
    T::Resume,
    T::ApprovalRequired,
    T::ApprovalResolved,
    T::Reopen,
    T::TimeOut,
];

/// The transition table.
pub const TABLE: &[(RunStatus, RunTrigger, RunStatus)] = &[
    (S::Pending, T::Start, S::Initializing),
    (S::Initializing, T::ReadyStepsFound, S::EnqueuingSteps),
    (S::Initializing, T::NoStepsFound, S::Complete),
    (S::Initializing, T::NoDependenciesReady, S::WaitingForDependencies),
    (S::EnqueuingSteps, T::StepsEnqueued, S::StepsInProcess),
    (S::EnqueuingSteps, T::EnqueueFailed, S::Error),
    (S::StepsInProcess, T::StepCompleted, S::EvaluatingResults),
    (S::StepsInProcess, T::StepFailed, S::WaitingForRetry),
    (S::EvaluatingResults, T::AllStepsSuccessful, S::Complete),
    (S::EvaluatingResults, T::ReadyStepsFound, S::EnqueuingSteps),
    (S::EvaluatingResults, T::NoDependenciesReady, S::WaitingForDependencies),
    (S::EvaluatingResults, T::StepFailed, S::WaitingForRetry),
    (S::EvaluatingResults, T::PermanentFailure, S::BlockedByFailures),
    (S::EvaluatingResults, T::ApprovalRequired, S::WaitingForApproval),
    (S::WaitingForDependencies, T::DependenciesReady, S::EvaluatingResults),
    (S::WaitingForRetry, T::RetryReady, S::EnqueuingSteps),
    (S::WaitingForRetry, T::StepCompleted, S::EvaluatingResults),
    (S::WaitingForApproval, T::ApprovalResolved, S::EvaluatingResults),
    (S::BlockedByFailures, T::GiveUp, S::Error),
    (S::BlockedByFailures, T::ManualResolution, S::ResolvedManually),
    (S::BlockedByFailures, T::Reopen, S::EvaluatingResults),
    (S::Error, T::Reopen, S::EvaluatingResults),
    (S::Complete, T::Reopen, S::EvaluatingResults),
    (S::Cancelled, T::Reopen, S::EvaluatingResults),
    (S::ResolvedManually, T::Reopen, S::EvaluatingResults),
    (S::Paused, T::Resume, S::EvaluatingResults),
    (S::Pending, T::Pause, S::Paused),
    (S::StepsInProcess, T::Pause, S::Paused),
    (S::EvaluatingResults, T::Pause, S::Paused),
    (S::WaitingForDependencies, T::Pause, S::Paused),
    (S::WaitingForRetry, T::Pause, S::Paused),
    (S::WaitingForApproval, T::Pause, S::Paused),
    (S::Pending, T::Cancel, S::Cancelled),
    (S::Initializing, T::Cancel, S::Cancelled),
    (S::EnqueuingSteps, T::Cancel, S::Cancelled),
    (S::StepsInProcess, T::Cancel, S::Cancelled),
    (S::EvaluatingResults, T::Cancel, S::Cancelled),
    (S::WaitingForDependencies, T::Cancel, S::Cancelled),
    (S::WaitingForRetry, T::Cancel, S::Cancelled),
    (S::BlockedByFailures, T::Cancel, S::Cancelled),
    (S::WaitingForApproval, T::Cancel, S::Cancelled),
    (S::Paused, T::Cancel, S::Cancelled),
    (S::StepsInProcess, T::TimeOut, S::Error),
    (S::EvaluatingResults, T::TimeOut, S::Error),
    (S::WaitingForDependencies, T::TimeOut, S::Error),
    (S::WaitingForRetry, T::TimeOut, S::Error),
    (S::WaitingForApproval, T::TimeOut, S::Error),
    (S::BlockedByFailures, T::TimeOut, S::Error),
    (S::Paused, T::TimeOut, S::Error),
    (S::Pending, T::ManualResolution, S::ResolvedManually),
    (S::StepsInProcess, T::ManualResolution, S::ResolvedManually),
    (S::WaitingForDependencies, T::ManualResolution, S::ResolvedManually),
    (S::WaitingForRetry, T::ManualResolution, S::ResolvedManually),
    (S::WaitingForApproval, T::ManualResolution, S::ResolvedManually),
    (S::Paused, T::ManualResolution, S::ResolvedManually),
];

impl RunStatus {
    /// The state that `trigger` leads to, or `None` where the table has no such row.
    pub fn after(self, trigger: RunTrigger) -> Option<RunStatus> {
        TABLE
            .iter()
            .find(|row| row.0 == self && row.1 == trigger)
            .map(|row| row.2)
    }

    /// Whether nothing will happen any more unless a person reopens the run.
    pub const fn is_terminal(self) -> bool {
        matches!(self, S::Complete | S::Error | S::Cancelled | S::ResolvedManually)
    }

    /// Whether a run may stay in this state between transactions.
    pub const fn is_resting(self) -> bool {
        !matches!(self, S::Initializing | S::EnqueuingSteps | S::EvaluatingResults)
    }

    /// The stored number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads [`RunStatus::number`] back.
    pub fn from_number(number: u8) -> Option<RunStatus> {
        ALL.get(usize::from(number)).copied()
    }

    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            S::Pending => "pending",
            S::Initializing => "initializing",
            S::EnqueuingSteps => "enqueuing_steps",
            S::StepsInProcess => "steps_in_process",
            S::EvaluatingResults => "evaluating_results",
            S::WaitingForDependencies => "waiting_for_dependencies",
            S::WaitingForRetry => "waiting_for_retry",
            S::BlockedByFailures => "blocked_by_failures",
            S::WaitingForApproval => "waiting_for_approval",
            S::Paused => "paused",
            S::Complete => "complete",
            S::Error => "error",
            S::Cancelled => "cancelled",
            S::ResolvedManually => "resolved_manually",
        }
    }
}

/// Triggers from a resting state to where results are judged.
fn inward(from: RunStatus) -> Option<&'static [RunTrigger]> {
    match from {
        S::Pending => Some(&[T::Start, T::NoDependenciesReady, T::DependenciesReady]),
        S::StepsInProcess | S::WaitingForRetry => Some(&[T::StepCompleted]),
        S::WaitingForDependencies => Some(&[T::DependenciesReady]),
        S::WaitingForApproval => Some(&[T::ApprovalResolved]),
        S::Paused => Some(&[T::Resume]),
        S::BlockedByFailures | S::Error | S::Complete | S::Cancelled | S::ResolvedManually => Some(&[T::Reopen]),
        S::EvaluatingResults => Some(&[]),
        S::Initializing | S::EnqueuingSteps => None,
    }
}

/// Triggers from where results are judged to a resting state.
fn outward(to: RunStatus) -> Option<&'static [RunTrigger]> {
    match to {
        S::StepsInProcess => Some(&[T::ReadyStepsFound, T::StepsEnqueued]),
        S::WaitingForDependencies => Some(&[T::NoDependenciesReady]),
        S::WaitingForRetry => Some(&[T::StepFailed]),
        S::BlockedByFailures => Some(&[T::PermanentFailure]),
        S::WaitingForApproval => Some(&[T::ApprovalRequired]),
        S::Paused => Some(&[T::Pause]),
        S::Complete => Some(&[T::AllStepsSuccessful]),
        S::Error => Some(&[T::PermanentFailure, T::GiveUp]),
        S::Cancelled | S::ResolvedManually => None,
        S::Pending | S::Initializing | S::EnqueuingSteps | S::EvaluatingResults => None,
    }
}

/// The legal triggers that take a run from one resting state to another, in order; `None` when no walk
/// is defined. Cancelling, timing out and resolving are one trigger and are not walks.
pub fn walk(from: RunStatus, to: RunStatus) -> Option<impl Iterator<Item = RunTrigger>> {
    let (inward, outward) = (inward(from)?, outward(to)?);
    Some(inward.iter().chain(outward).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_round_trip() {
        for (number, status) in ALL.iter().enumerate() {
            assert_eq!(usize::from(status.number()), number);
            assert_eq!(RunStatus::from_number(status.number()), Some(*status));
        }
        assert_eq!(RunStatus::from_number(14), None);
    }

    #[test]
    fn every_state_and_trigger_pair_has_at_most_one_row_and_every_trigger_is_used() {
        for state in ALL {
            for trigger in TRIGGERS {
                let rows: Vec<_> = TABLE.iter().filter(|row| row.0 == state && row.1 == trigger).collect();
                assert!(rows.len() <= 1, "{state:?} {trigger:?}");
                assert_eq!(state.after(trigger), rows.first().map(|row| row.2));
            }
        }
        for trigger in TRIGGERS {
            assert!(TABLE.iter().any(|row| row.1 == trigger), "{trigger:?}");
        }
    }

    #[test]
    fn every_walk_goes_through_the_table_and_ends_where_it_says() {
        let mut walks = 0;
        for from in ALL {
            for to in ALL {
                let Some(triggers) = walk(from, to) else { continue };
                let mut state = from;
                for trigger in triggers {
                    state = state
                        .after(trigger)
                        .unwrap_or_else(|| panic!("{from:?} to {to:?}: {state:?} {trigger:?}"));
                }
                assert_eq!(state, to, "{from:?} to {to:?}");
                walks += 1;
            }
        }
        assert_eq!(walks, 12 * 8);
    }

    #[test]
    fn terminal_states_leave_only_by_reopening() {
        for (from, trigger, _) in TABLE {
            if from.is_terminal() {
                assert_eq!(*trigger, T::Reopen);
            }
        }
        for state in ALL {
            assert!(
                state == S::Pending || TABLE.iter().any(|row| row.2 == state),
                "{state:?} is unreachable"
            );
        }
    }
}
