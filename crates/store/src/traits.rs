//! The trait that every store implements, and that the conformance suite tests.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::commit::{Commit, IdempotencyRecord, RunRow, UnitResult};
use crate::deal::Turns;
use crate::error::StoreError;
use crate::node::{Beat, Claim, Head, NodeBeat, NodeRow};
use crate::query::{
    DueRun, OutboxAsk, OutboxEntry, QueueAsk, QueueCount, QueueEntry, RunFilter, RunPage, StoreStatus, StoredCommit,
    StoredRun, WorkflowRow, WorkflowVersionRow, WorkflowWrite,
};
use crate::record::{Record, RecordWrite};
use crate::steps::{DeadLetter, LetterFilter, LetterPage, StepCounts, StepFilter, StepPage};
use crate::usage::NamespaceUsage;

/// Persists runs, workflows and messages.
///
/// An `Ok` of a writing method means that the write survives a crash of the process and, where
/// [`StoreStatus::durability`] says so, of the machine.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a batch in one transaction and says what became of each unit, in their order. Within one
    /// commit a later unit may build on an earlier one (its `expected` version is then the earlier one's).
    /// On an error nothing was applied, except with [`StoreError::Unknown`].
    async fn commit(&self, commit: Commit) -> Result<Vec<UnitResult>, StoreError>;

    /// A run with its whole history.
    async fn load(&self, namespace: &str, id: RunId) -> Result<Option<StoredRun>, StoreError>;

    /// The indexed part of a run.
    async fn run(&self, namespace: &str, id: RunId) -> Result<Option<RunRow>, StoreError>;

    /// History entries with `seq > after`, in order, at most `limit`.
    async fn commits(
        &self,
        namespace: &str,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, StoreError>;

    /// One page of runs, newest (highest id) first, below `before`.
    async fn runs(
        &self,
        namespace: &str,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError>;

    /// How many runs are not over, by namespace in order of its name; namespaces without any are left out. Costs a look
    /// at all of them, and none at those that are over.
    async fn live_runs(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError>;

    /// How much there is of a namespace. Costs a look at everything that it has.
    async fn namespace_usage(&self, namespace: &str) -> Result<NamespaceUsage, StoreError>;

    /// Removes a finished run with its history, rows and dead letters; false when there is no such finished run.
    async fn delete_run(&self, namespace: &str, id: RunId) -> Result<bool, StoreError>;

    /// Unfinished runs whose `wake_at` is at or before `claim.now`, earliest first, of all namespaces. Each is
    /// taken for the claim's time, or until it moves or is rescheduled.
    async fn due(&self, claim: Claim, limit: usize) -> Result<Vec<DueRun>, StoreError>;

    /// The earliest `wake_at` of all unfinished runs.
    async fn next_wake(&self) -> Result<Option<Time>, StoreError>;

    /// Sets the exact `wake_at` of unfinished runs that still have the given version; others are left alone.
    /// A store may keep an earlier `wake_at` than a commit gave it, because that saves the maintenance of an
    /// index; whoever finds that a due run has nothing to do yet says here when it will, or [`Store::due`]
    /// would return it for ever. No history entry, and the version stays.
    async fn reschedule(&self, wakes: &[(RunId, u64, Option<Time>)]) -> Result<(), StoreError>;

    /// Unfinished runs with `claims > 0`, by id above `after`, of all namespaces: all those of whose attempts
    /// some are held by an owner that is not in `alive`. Others may be among them.
    async fn claimed(&self, alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>, StoreError>;

    /// Steps that wait in one of the queues, at most `limit` and of each queue at most as many as asked for. They are
    /// dealt out to the namespaces that wait, one each in turn, by [`crate::Deal`]; within a namespace the highest priority
    /// comes first, then the oldest run. Each is taken for the claim's time; a commit removes it.
    ///
    /// One call gives a namespace no more than its share of what is asked for, so it can find less than there is where
    /// several wait: whoever got something of more than one asks again.
    async fn queued(
        &self,
        asks: &[QueueAsk],
        turns: &Turns,
        claim: Claim,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError>;

    /// What waits in the queues, by name; empty ones are left out. Costs a look at all that waits.
    async fn queue_counts(&self, namespace: &str) -> Result<Vec<QueueCount>, StoreError>;

    /// Rows of step runs from `offset` on, at most `limit`.
    async fn steps(
        &self,
        namespace: &str,
        filter: &StepFilter,
        offset: u64,
        limit: usize,
    ) -> Result<StepPage, StoreError>;

    /// How many step runs of an action there are, by their rows.
    async fn step_counts(&self, namespace: &str, action: &str) -> Result<StepCounts, StoreError>;

    /// How many step runs of an action are in progress, by queue, in all namespaces; queues without any are left out.
    async fn in_progress(&self, action: &str) -> Result<Vec<(Arc<str>, u32)>, StoreError>;

    /// Dead letters from `offset` on, at most `limit`.
    async fn letters(
        &self,
        namespace: &str,
        filter: &LetterFilter,
        offset: u64,
        limit: usize,
    ) -> Result<LetterPage, StoreError>;

    /// The dead letter of an attempt, or the latest one of the step run.
    async fn letter(
        &self,
        namespace: &str,
        run: RunId,
        node: u32,
        attempt: Option<u32>,
    ) -> Result<Option<DeadLetter>, StoreError>;

    /// Removes dead letters that failed before `before`, open or not, at most `limit`, and says how many. Of one
    /// namespace, or of all.
    async fn purge_letters(&self, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64, StoreError>;

    /// Stores and removes documents, all or, where one is not as expected, none; says which.
    async fn put_records(&self, writes: Vec<RecordWrite>) -> Result<bool, StoreError>;

    /// A document.
    async fn record(&self, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>, StoreError>;

    /// Documents of a kind by id above `after`, at most `limit`.
    async fn records(
        &self,
        namespace: &str,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Documents of a kind, in all namespaces, with `expires_at` at or before `now`: the earliest first, then by
    /// namespace and id.
    async fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// JSON of a plan's spec.
    async fn plan(&self, digest: Digest) -> Result<Option<String>, StoreError>;

    /// What is remembered under an idempotency key; an expired record counts as absent.
    async fn idempotency(
        &self,
        namespace: &str,
        scope: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<IdempotencyRecord>, StoreError>;

    /// Stores a workflow as its next version and returns that, or `None` when `expected` is not current;
    /// expecting 0 means that there must be none yet.
    async fn put_workflow(&self, write: WorkflowWrite) -> Result<Option<WorkflowRow>, StoreError>;

    /// The current version of a workflow.
    async fn workflow(&self, namespace: &str, id: &str) -> Result<Option<WorkflowRow>, StoreError>;

    /// Workflows by id above `after`, at most `limit`.
    async fn workflows(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError>;

    /// All versions of a workflow, ascending.
    async fn workflow_versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError>;

    /// Removes a workflow with its versions; its runs stay. False when there is none.
    async fn delete_workflow(&self, namespace: &str, id: &str) -> Result<bool, StoreError>;

    /// For each target and key, the oldest undelivered message, if it is due and asked for; the longest due first.
    /// Each is taken for the claim's time, or until its delivery succeeded or failed.
    async fn outbox_due(&self, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>, StoreError>;

    /// When the next message is due, `None` when nothing is left to deliver. A message behind another one of
    /// its target and key waits for that one and does not count; whether one is taken does not matter.
    async fn outbox_next(&self) -> Result<Option<Time>, StoreError>;

    /// Forgets delivered messages.
    async fn outbox_delivered(&self, ids: &[i64]) -> Result<(), StoreError>;

    /// Counts a failed delivery; tries again at `retry_at`, or gives the message up when that is `None`.
    async fn outbox_failed(&self, id: i64, error: &str, retry_at: Option<Time>) -> Result<(), StoreError>;

    /// Removes finished runs that ended before `before`, and expired idempotency records; at most `limit`
    /// runs. Their dead letters stay: those have a retention of their own. Returns how many runs were removed.
    async fn prune(&self, before: Time, now: Time, limit: usize) -> Result<u64, StoreError>;

    /// Figures for operators.
    async fn status(&self) -> Result<StoreStatus, StoreError>;

    /// Writes a consistent copy of the store to a new file, where the store can.
    async fn backup(&self, path: &std::path::Path) -> Result<(), StoreError>;

    /// Flushes and closes; further calls are [`StoreError::Refused`], but closing again is fine.
    async fn close(&self) -> Result<(), StoreError>;

    /// Whether several nodes may work on it at a time. The methods below are for such stores alone.
    fn is_shared(&self) -> bool {
        false
    }

    /// Renews a node's lease, or begins it, and tells what the node may have missed.
    async fn beat(&self, beat: &NodeBeat) -> Result<Beat, StoreError> {
        let _ = beat;
        Err(alone())
    }

    /// All nodes, by owner.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        Ok(Vec::new())
    }

    /// Takes over what `dead` held, for `lease_ms`, if its lease has run out and no other node is at it. True for
    /// exactly one of many that ask at the same time.
    async fn take_over(&self, dead: u64, by: u64, lease_ms: u64) -> Result<bool, StoreError> {
        let _ = (dead, by, lease_ms);
        Err(alone())
    }

    /// Forgets a node: one that leaves and holds nothing any more, or one whose attempts have been taken over.
    async fn forget_node(&self, owner: u64) -> Result<(), StoreError> {
        let _ = owner;
        Err(alone())
    }

    /// How far these runs have come, in any order; unknown ones are left out.
    async fn heads(&self, runs: &[RunId]) -> Result<Vec<Head>, StoreError>;

    /// Tells the other nodes that there is something to look at. It may get lost: looking is what counts.
    fn hint(&self) {}

    /// Waits for another node's hint.
    async fn hinted(&self) {
        std::future::pending().await
    }
}

fn alone() -> StoreError {
    StoreError::Internal("only one node uses this store".to_owned())
}
