//! The step machine: ten states of the tasker contract (1.3), and `skipped` for branches not taken.

use serde::{Deserialize, Serialize};

/// Where a step run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Waits for predecessors, for an approval, or for its turn.
    Pending,
    /// May run; nobody has taken it yet.
    Enqueued,
    /// An attempt, a timer or its items are under way.
    InProgress,
    /// A good result has come in and is being judged (transient).
    EnqueuedForOrchestration,
    /// A bad result has come in and is being judged (transient).
    EnqueuedAsErrorForOrchestration,
    /// Failed, and will be tried again at a set time.
    WaitingForRetry,
    /// Done.
    Complete,
    /// Failed for good, unless somebody resets it.
    Error,
    /// Called off with its run.
    Cancelled,
    /// Settled by a person.
    ResolvedManually,
    /// Its branch was not taken.
    Skipped,
}

/// What moves a step run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepTrigger {
    /// Put where an executor can take it.
    Enqueue,
    /// An attempt (or a timer, or the items) begins.
    Start,
    /// A good result arrived.
    EnqueueForOrchestration,
    /// A bad result arrived.
    EnqueueAsErrorForOrchestration,
    /// The result was accepted.
    Complete,
    /// The failure is final.
    Fail,
    /// The failure will be retried, or the attempt was lost.
    WaitForRetry,
    /// The wait is over.
    Retry,
    /// A person wants it tried again.
    ResetForRetry,
    /// Its result is discarded because a predecessor runs again.
    Rerun,
    /// The run was called off.
    Cancel,
    /// A person supplied the result.
    CompleteManually,
    /// A person declared it settled.
    ResolveManually,
    /// Its branch was not taken.
    Skip,
}

use StepStatus as S;
use StepTrigger as T;

/// All states, in the order of their declaration.
pub const ALL: [StepStatus; 11] = [
    S::Pending,
    S::Enqueued,
    S::InProgress,
    S::EnqueuedForOrchestration,
    S::EnqueuedAsErrorForOrchestration,
    S::WaitingForRetry,
    S::Complete,
    S::Error,
    S::Cancelled,
    S::ResolvedManually,
    S::Skipped,
];

/// All triggers, in the order of their declaration.
pub const TRIGGERS: [StepTrigger; 14] = [
    T::Enqueue,
    T::Start,
    T::EnqueueForOrchestration,
    T::EnqueueAsErrorForOrchestration,
    T::Complete,
    T::Fail,
    T::WaitForRetry,
    T::Retry,
    T::ResetForRetry,
    T::Rerun,
    T::Cancel,
    T::CompleteManually,
    T::ResolveManually,
    T::Skip,
];

/// The transition table.
pub const TABLE: &[(StepStatus, StepTrigger, StepStatus)] = &[
    (S::Pending, T::Enqueue, S::Enqueued),
    (S::Pending, T::Start, S::InProgress),
    (S::Pending, T::Fail, S::Error),
    (S::Pending, T::WaitForRetry, S::WaitingForRetry),
    (S::Pending, T::Skip, S::Skipped),
    (S::Pending, T::Cancel, S::Cancelled),
    (S::Enqueued, T::Start, S::InProgress),
    (S::Enqueued, T::Fail, S::Error),
    (S::Enqueued, T::WaitForRetry, S::WaitingForRetry),
    (S::Enqueued, T::Cancel, S::Cancelled),
    (S::InProgress, T::EnqueueForOrchestration, S::EnqueuedForOrchestration),
    (
        S::InProgress,
        T::EnqueueAsErrorForOrchestration,
        S::EnqueuedAsErrorForOrchestration,
    ),
    (S::InProgress, T::WaitForRetry, S::WaitingForRetry),
    (S::InProgress, T::Cancel, S::Cancelled),
    (S::EnqueuedForOrchestration, T::Complete, S::Complete),
    (S::EnqueuedForOrchestration, T::Fail, S::Error),
    (S::EnqueuedForOrchestration, T::Cancel, S::Cancelled),
    (S::EnqueuedAsErrorForOrchestration, T::Fail, S::Error),
    (S::EnqueuedAsErrorForOrchestration, T::WaitForRetry, S::WaitingForRetry),
    (S::EnqueuedAsErrorForOrchestration, T::Complete, S::Complete),
    (S::EnqueuedAsErrorForOrchestration, T::Cancel, S::Cancelled),
    (S::WaitingForRetry, T::Retry, S::Pending),
    (S::WaitingForRetry, T::Cancel, S::Cancelled),
    (S::Error, T::Retry, S::Pending),
    (S::Error, T::ResetForRetry, S::Pending),
    (S::Error, T::Rerun, S::Pending),
    (S::Error, T::Cancel, S::Cancelled),
    (S::Complete, T::Rerun, S::Pending),
    (S::Skipped, T::Rerun, S::Pending),
    (S::ResolvedManually, T::Rerun, S::Pending),
    (S::Cancelled, T::Rerun, S::Pending),
    (S::Pending, T::CompleteManually, S::Complete),
    (S::Enqueued, T::CompleteManually, S::Complete),
    (S::InProgress, T::CompleteManually, S::Complete),
    (S::EnqueuedForOrchestration, T::CompleteManually, S::Complete),
    (S::EnqueuedAsErrorForOrchestration, T::CompleteManually, S::Complete),
    (S::WaitingForRetry, T::CompleteManually, S::Complete),
    (S::Complete, T::CompleteManually, S::Complete),
    (S::Error, T::CompleteManually, S::Complete),
    (S::Cancelled, T::CompleteManually, S::Complete),
    (S::ResolvedManually, T::CompleteManually, S::Complete),
    (S::Skipped, T::CompleteManually, S::Complete),
    (S::Pending, T::ResolveManually, S::ResolvedManually),
    (S::Enqueued, T::ResolveManually, S::ResolvedManually),
    (S::InProgress, T::ResolveManually, S::ResolvedManually),
    (S::EnqueuedForOrchestration, T::ResolveManually, S::ResolvedManually),
    (
        S::EnqueuedAsErrorForOrchestration,
        T::ResolveManually,
        S::ResolvedManually,
    ),
    (S::WaitingForRetry, T::ResolveManually, S::ResolvedManually),
    (S::Complete, T::ResolveManually, S::ResolvedManually),
    (S::Error, T::ResolveManually, S::ResolvedManually),
    (S::Cancelled, T::ResolveManually, S::ResolvedManually),
    (S::ResolvedManually, T::ResolveManually, S::ResolvedManually),
    (S::Skipped, T::ResolveManually, S::ResolvedManually),
];

impl StepStatus {
    /// The state that `trigger` leads to, or `None` where the table has no such row.
    pub const fn after(self, trigger: StepTrigger) -> Option<StepStatus> {
        let mut row = 0;
        while row < TABLE.len() {
            let (from, with, to) = TABLE[row];
            if from as u8 == self as u8 && with as u8 == trigger as u8 {
                return Some(to);
            }
            row += 1;
        }
        None
    }

    /// Whether the step run has an end that successors can be judged by.
    pub const fn is_settled(self) -> bool {
        matches!(
            self,
            S::Complete | S::Error | S::Cancelled | S::ResolvedManually | S::Skipped
        )
    }

    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            S::Pending => "pending",
            S::Enqueued => "enqueued",
            S::InProgress => "in_progress",
            S::EnqueuedForOrchestration => "enqueued_for_orchestration",
            S::EnqueuedAsErrorForOrchestration => "enqueued_as_error_for_orchestration",
            S::WaitingForRetry => "waiting_for_retry",
            S::Complete => "complete",
            S::Error => "error",
            S::Cancelled => "cancelled",
            S::ResolvedManually => "resolved_manually",
            S::Skipped => "skipped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_trigger_pair_has_at_most_one_row() {
        for state in ALL {
            for trigger in TRIGGERS {
                let rows = TABLE.iter().filter(|row| row.0 == state && row.1 == trigger).count();
                assert!(rows <= 1, "{state:?} {trigger:?}");
                let expected = TABLE
                    .iter()
                    .find(|row| row.0 == state && row.1 == trigger)
                    .map(|row| row.2);
                assert_eq!(state.after(trigger), expected);
            }
        }
    }

    #[test]
    fn every_state_is_reachable_and_every_trigger_is_used() {
        for state in ALL {
            assert!(
                state == S::Pending || TABLE.iter().any(|row| row.2 == state),
                "{state:?}"
            );
        }
        for trigger in TRIGGERS {
            assert!(TABLE.iter().any(|row| row.1 == trigger), "{trigger:?}");
        }
    }

    #[test]
    fn settled_states_leave_only_by_a_persons_hand() {
        let by_hand = [
            T::ResetForRetry,
            T::Retry,
            T::Rerun,
            T::CompleteManually,
            T::ResolveManually,
            T::Cancel,
        ];
        for (from, trigger, _) in TABLE {
            if from.is_settled() {
                assert!(by_hand.contains(trigger), "{from:?} {trigger:?}");
            }
        }
    }
}
