//! Rows of step runs, for lists and counts over all runs. Kept only for runs whose plan asks for it
//! (`list_steps`): they cost a row for each step and a write for each of its transitions.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_core::time::Time;

/// A step run as it is after the unit. Takes the place of the row that was there, except that `created_at` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// Which run.
    pub run: RunId,
    /// Index of the step run.
    pub node: u32,
    /// Isolation unit of the run.
    pub namespace: Arc<str>,
    /// Workflow of the run.
    pub workflow: Arc<str>,
    /// Name of the step run.
    pub step: Arc<str>,
    /// Its action in lower case.
    pub action: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// Where it stands.
    pub status: StepStatus,
    /// Number of the last attempt.
    pub attempt: u32,
    /// Higher goes first.
    pub priority: i32,
    /// When the row was first written.
    pub created_at: Time,
    /// When it was last written.
    pub updated_at: Time,
}

/// Which step runs to list; an absent field does not filter.
#[derive(Debug, Clone, Default)]
pub struct StepFilter {
    /// Of this action.
    pub action: Option<Arc<str>>,
    /// Of this queue.
    pub queue: Option<Arc<str>>,
    /// Of this run.
    pub run: Option<RunId>,
    /// In one of these states.
    pub statuses: Vec<StepStatus>,
}

/// Some step runs: highest priority first, then by `created_at`, run and node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepPage {
    /// The rows.
    pub rows: Vec<StepRow>,
    /// How many fit the filter.
    pub total: u64,
}

/// How many step runs of an action there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// By state; states without any are left out. In the order of the states.
    pub by_status: Vec<(StepStatus, u64)>,
    /// `created_at` of the oldest that is enqueued or waits for its next attempt.
    pub oldest_waiting: Option<Time>,
}

/// What must hold after a unit: not more than `max` step runs of the action, or of one queue of it, are in progress,
/// by their rows in all namespaces. Only for stores that several nodes share; a store of one process leaves it out,
/// because there the engine itself sees every start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLimit {
    /// The action in lower case.
    pub action: Arc<str>,
    /// One of its queues, or all.
    pub queue: Option<Arc<str>>,
    /// How many.
    pub max: u32,
}

/// A dead letter: what is kept of a step that failed for good, until somebody tries it again or throws it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which run.
    pub run: RunId,
    /// Index of the step run.
    pub node: u32,
    /// The attempt that was the last; 0 when none was made.
    pub attempt: u32,
    /// Isolation unit of the run.
    pub namespace: Arc<str>,
    /// Workflow of the run.
    pub workflow: Arc<str>,
    /// Name of the step run.
    pub step: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// JSON: everything that there was to know about it.
    pub body: String,
    /// When it failed.
    pub failed_at: Time,
    /// When it was tried again; it is open until then.
    pub retried_at: Option<Time>,
}

/// Which dead letters to list; an absent field does not filter.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Of this workflow.
    pub workflow: Option<Arc<str>>,
    /// Of this queue.
    pub queue: Option<Arc<str>>,
    /// Also those that were tried again.
    pub with_retried: bool,
}

/// Some dead letters, the latest first, then by run and node downwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// How many fit the filter.
    pub total: u64,
}
