//! What is written: one commit for a whole batch of decisions.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::node::{NoticeWrite, WorkflowPin};
use crate::steps::{DeadLetter, StepLimit, StepRow};

/// A batch of units, applied in one transaction. A unit that meets a conflict is left out, with a typed
/// result; the others are applied.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Time and owner of every unit.
    pub meta: Meta,
    /// Applied in order, each wholly or not at all.
    pub units: Vec<Unit>,
}

/// What one request changes: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// The request's idempotency key, if it had one. A key that is already there makes the unit a duplicate.
    pub idempotency: Option<IdempotencyWrite>,
    /// Plans of the runs that may not be stored yet; storing one again is no conflict.
    pub plans: Vec<PlanWrite>,
    /// Runs that were started or moved.
    pub runs: Vec<RunWrite>,
    /// Messages to the outside.
    pub outbox: Vec<OutboxWrite>,
    /// Workflows whose versions the unit counts on.
    pub pins: Vec<WorkflowPin>,
    /// Words to other nodes; a store that one process owns leaves them out.
    pub notices: Vec<NoticeWrite>,
    /// Rows of step runs as they are now.
    pub steps: Vec<StepRow>,
    /// Runs that are over: rows of their step runs that are not settled become cancelled.
    pub ended_steps: Vec<RunId>,
    /// Steps that failed for good; `retried_at` is absent.
    pub letters: Vec<DeadLetter>,
    /// Step runs that are tried again: their open letters are so no longer, as of the commit's time.
    pub retried: Vec<(RunId, u32)>,
    /// What must hold afterwards, or the unit is left out.
    pub limits: Vec<StepLimit>,
}

/// One run's part of a unit.
#[derive(Debug, Clone)]
pub struct RunWrite {
    /// Version that the stored row must have; 0 starts the run, and the row must not exist.
    pub expected: u64,
    /// The row as it is afterwards; `row.version` is the sequence number of the new history entry.
    pub row: RunRow,
    /// JSON array of the events, appended to the history under `row.version`.
    pub events: String,
    /// Changes of the run's queue entries.
    pub queue: Vec<QueueChange>,
}

/// The indexed part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Which run.
    pub id: RunId,
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Id of its workflow; empty for an inline plan.
    pub workflow: Arc<str>,
    /// Version of its workflow.
    pub workflow_version: u32,
    /// Its plan.
    pub plan: Digest,
    /// Where it stands.
    pub status: RunStatus,
    /// Number of history entries.
    pub version: u64,
    /// Higher runs first.
    pub priority: i32,
    /// Attempts handed out and not answered.
    pub claims: u32,
    /// When it has to look at the clock; `None` when it has no timer. May be earlier than needed.
    pub wake_at: Option<Time>,
    /// When it was accepted.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// A step that waits for an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// Can be taken now.
    Put {
        /// Index of the step run.
        node: u32,
        /// The queue that executors ask for: an action in lower case, or one of its own.
        queue: Arc<str>,
        /// Higher goes first.
        priority: i32,
    },
    /// Is no longer there to take; absent entries are no conflict.
    Remove {
        /// Index of the step run.
        node: u32,
    },
}

/// A plan to be found again by its digest.
#[derive(Debug, Clone)]
pub struct PlanWrite {
    /// Its identity.
    pub digest: Digest,
    /// JSON of the spec.
    pub spec: Arc<str>,
}

/// A request that must take effect once.
#[derive(Debug, Clone)]
pub struct IdempotencyWrite {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Which operation, for instance `runs.start`.
    pub scope: Arc<str>,
    /// The client's key.
    pub key: String,
    /// What is remembered.
    pub record: IdempotencyRecord,
    /// When it may be forgotten.
    pub expires_at: Time,
    /// The answer that is remembered now and may be replaced: whoever asks has found that it does not hold any more.
    pub replaces: Option<String>,
}

/// What is remembered of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Digest of the request's content; another content under the same key is refused.
    pub request: [u8; 32],
    /// The answer, as the caller wrote it.
    pub answer: String,
}

/// A message to the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxWrite {
    /// The receiver: one that hangs delays nobody else's messages.
    pub target: Arc<str>,
    /// Messages of one target and key are delivered in order.
    pub key: Arc<str>,
    /// Identity of the message, for receivers that de-duplicate.
    pub message_id: String,
    /// What is sent.
    pub body: String,
}

/// What became of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum UnitResult {
    /// It is stored.
    Applied,
    /// This run was moved by somebody else; nothing of the unit is stored.
    Conflict(RunId),
    /// The idempotency key was used before; nothing of the unit is stored.
    Duplicate(IdempotencyRecord),
    /// A workflow that the unit counts on has another version by now, or is gone; nothing of the unit is stored.
    /// Told only of a key that was not used before.
    Outdated(WorkflowPin),
    /// So many step runs are in progress already; nothing of the unit is stored. Looked at last.
    Full(StepLimit),
}
