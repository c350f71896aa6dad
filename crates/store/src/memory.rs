//! The model: a store in memory that is obviously right rather than fast.
//!
//! Every other store must behave like this one; the conformance suite and the differential test compare them.
//! All of it lies in ordered maps under one lock, every query looks at everything, and no answer is derived from
//! a second copy of a fact. Nothing survives the process, so it also serves tests of the engine.

mod nodes;
mod outbox;
mod records;
mod runs;
mod steps;
#[cfg(test)]
mod tests;
mod units;
mod usage;
mod workflows;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::commit::{Commit, IdempotencyRecord, RunRow, UnitResult};
use crate::deal::Turns;
use crate::error::StoreError;
use crate::node::{Beat, Claim, Head, NodeBeat, NodeRow, NoticeWrite};
use crate::query::{
    DueRun, OutboxAsk, OutboxEntry, QueueAsk, QueueCount, QueueEntry, RunFilter, RunPage, StoreStatus, StoredCommit,
    StoredRun, WorkflowRow, WorkflowVersionRow, WorkflowWrite,
};
use crate::record::{Record, RecordWrite};
use crate::steps::{DeadLetter, LetterFilter, LetterPage, StepCounts, StepFilter, StepPage, StepRow};
use crate::traits::Store;
use crate::usage::NamespaceUsage;

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    /// Where several nodes share it.
    shared: Option<Shared>,
}

/// What only a shared store has.
struct Shared {
    clock: Box<dyn Fn() -> Time + Send + Sync>,
    hints: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    runs: BTreeMap<RunId, Run>,
    plans: BTreeMap<Digest, Arc<str>>,
    /// By run and step run.
    queue: BTreeMap<(RunId, u32), Waiting>,
    /// By namespace, scope and key.
    idempotency: BTreeMap<(Arc<str>, Arc<str>, String), Remembered>,
    outbox: BTreeMap<i64, Message>,
    last_message: i64,
    /// By namespace and id.
    workflows: BTreeMap<(Arc<str>, Arc<str>), Workflow>,
    /// By owner.
    nodes: BTreeMap<u64, Node>,
    /// By run and step run.
    steps: BTreeMap<(RunId, u32), StepRow>,
    /// By run, step run and attempt.
    letters: BTreeMap<(RunId, u32, u32), DeadLetter>,
    records: BTreeMap<RecordKey, Record>,
    notices: Vec<NoticeWrite>,
}

/// Namespace, kind and id.
type RecordKey = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug)]
struct Run {
    row: RunRow,
    commits: Vec<StoredCommit>,
    taken: Taken,
}

/// Who has taken something, and until when.
#[derive(Debug, Clone, Copy, Default)]
struct Taken(Option<(u64, Time)>);

impl Taken {
    fn is_of(&self, owner: u64) -> bool {
        self.0.is_some_and(|(by, _)| by == owner)
    }

    fn by(claim: Claim) -> Self {
        Self(Some((claim.owner, claim.until)))
    }

    fn is_free_for(self, owner: u64, now: Time) -> bool {
        self.0.is_none_or(|(by, until)| by == owner || until <= now)
    }
}

#[derive(Debug)]
struct Node {
    row: NodeRow,
    taken: Taken,
}

#[derive(Debug)]
struct Waiting {
    namespace: Arc<str>,
    queue: Arc<str>,
    priority: i32,
    taken: Taken,
}

#[derive(Debug)]
struct Remembered {
    record: IdempotencyRecord,
    expires_at: Time,
}

#[derive(Debug)]
struct Message {
    entry: OutboxEntry,
    due_at: Time,
    dead: bool,
    taken: Taken,
}

#[derive(Debug)]
struct Workflow {
    name: String,
    versions: Vec<WorkflowVersionRow>,
}

impl MemoryStore {
    /// An empty store of one process.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that several nodes share, with its clock.
    pub fn shared(clock: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        let shared = Shared {
            clock: Box::new(clock),
            hints: tokio::sync::Notify::new(),
        };
        Self {
            shared: Some(shared),
            ..Self::default()
        }
    }

    fn clock(&self) -> Result<Time, StoreError> {
        let shared = self.shared.as_ref();
        shared
            .map(|shared| (shared.clock)())
            .ok_or_else(|| StoreError::Internal("only one node uses this store".to_owned()))
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            Err(StoreError::Refused("the store is closed".to_owned()))
        } else {
            Ok(state)
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, commit: Commit) -> Result<Vec<UnitResult>, StoreError> {
        let mut state = self.state()?;
        commit.check()?;
        Ok(commit
            .units
            .into_iter()
            .map(|unit| state.apply(commit.meta, unit))
            .collect())
    }

    async fn load(&self, namespace: &str, id: RunId) -> Result<Option<StoredRun>, StoreError> {
        let state = self.state()?;
        let found = state.find(namespace, id);
        Ok(found.map(|run| StoredRun {
            row: run.row.clone(),
            commits: run.commits.clone(),
        }))
    }

    async fn run(&self, namespace: &str, id: RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.state()?.find(namespace, id).map(|run| run.row.clone()))
    }

    async fn commits(
        &self,
        namespace: &str,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, StoreError> {
        let state = self.state()?;
        let commits = state.find(namespace, id).map_or(&[][..], |run| &run.commits);
        Ok(commits
            .iter()
            .filter(|commit| commit.seq > after)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn runs(
        &self,
        namespace: &str,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        Ok(self.state()?.page(namespace, filter, before, limit))
    }

    async fn live_runs(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        Ok(self.state()?.live_runs())
    }

    async fn namespace_usage(&self, namespace: &str) -> Result<NamespaceUsage, StoreError> {
        Ok(self.state()?.usage(namespace))
    }

    async fn delete_run(&self, namespace: &str, id: RunId) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let finished = state
            .find(namespace, id)
            .is_some_and(|run| run.row.finished_at.is_some());
        if finished {
            state.remove_run(id);
            state.letters.retain(|(run, ..), _| *run != id);
        }
        Ok(finished)
    }

    async fn due(&self, claim: Claim, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        Ok(self.state()?.due(claim, limit))
    }

    async fn next_wake(&self) -> Result<Option<Time>, StoreError> {
        Ok(self.state()?.live().filter_map(|row| row.wake_at).min())
    }

    async fn reschedule(&self, wakes: &[(RunId, u64, Option<Time>)]) -> Result<(), StoreError> {
        let mut state = self.state()?;
        for (id, version, wake_at) in wakes {
            let run = state.runs.get_mut(id);
            if let Some(run) = run.filter(|run| run.row.version == *version && run.row.finished_at.is_none()) {
                run.row.wake_at = *wake_at;
                run.taken = Taken::default();
            }
        }
        Ok(())
    }

    async fn claimed(&self, _alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        let state = self.state()?;
        let claimed = state
            .live()
            .filter(|row| row.claims > 0 && after.is_none_or(|after| row.id > after));
        Ok(claimed.take(limit).map(runs::due_run).collect())
    }

    async fn queued(
        &self,
        asks: &[QueueAsk],
        turns: &Turns,
        claim: Claim,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        Ok(self.state()?.queued(asks, turns, claim, limit))
    }

    async fn queue_counts(&self, namespace: &str) -> Result<Vec<QueueCount>, StoreError> {
        Ok(self.state()?.queue_counts(namespace))
    }

    async fn steps(
        &self,
        namespace: &str,
        filter: &StepFilter,
        offset: u64,
        limit: usize,
    ) -> Result<StepPage, StoreError> {
        Ok(self.state()?.step_page(namespace, filter, offset, limit))
    }

    async fn step_counts(&self, namespace: &str, action: &str) -> Result<StepCounts, StoreError> {
        Ok(self.state()?.step_counts(namespace, action))
    }

    async fn in_progress(&self, action: &str) -> Result<Vec<(Arc<str>, u32)>, StoreError> {
        Ok(self.state()?.in_progress(action))
    }

    async fn letters(
        &self,
        namespace: &str,
        filter: &LetterFilter,
        offset: u64,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        Ok(self.state()?.letter_page(namespace, filter, offset, limit))
    }

    async fn letter(
        &self,
        namespace: &str,
        run: RunId,
        node: u32,
        attempt: Option<u32>,
    ) -> Result<Option<DeadLetter>, StoreError> {
        Ok(self.state()?.letter(namespace, (run, node), attempt))
    }

    async fn purge_letters(&self, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.state()?.purge_letters(namespace, before, limit))
    }

    async fn put_records(&self, writes: Vec<RecordWrite>) -> Result<bool, StoreError> {
        Ok(self.state()?.put_records(writes))
    }

    async fn record(&self, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.state()?.record(namespace, kind, id))
    }

    async fn records(
        &self,
        namespace: &str,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self.state()?.records_after(namespace, kind, after, limit))
    }

    async fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self.state()?.expired_records(kind, now, limit))
    }

    async fn plan(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        Ok(self.state()?.plans.get(&digest).map(|spec| spec.to_string()))
    }

    async fn idempotency(
        &self,
        namespace: &str,
        scope: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        Ok(self.state()?.remembered(namespace, scope, key, now))
    }

    async fn put_workflow(&self, write: WorkflowWrite) -> Result<Option<WorkflowRow>, StoreError> {
        Ok(self.state()?.put_workflow(write))
    }

    async fn workflow(&self, namespace: &str, id: &str) -> Result<Option<WorkflowRow>, StoreError> {
        let state = self.state()?;
        Ok(state
            .workflows
            .get(&(namespace.into(), id.into()))
            .and_then(|found| found.row(id.into())))
    }

    async fn workflows(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError> {
        Ok(self.state()?.workflows_after(namespace, after, limit))
    }

    async fn workflow_versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError> {
        let state = self.state()?;
        let found = state.workflows.get(&(namespace.into(), id.into()));
        Ok(found.map(|found| found.versions.clone()).unwrap_or_default())
    }

    async fn delete_workflow(&self, namespace: &str, id: &str) -> Result<bool, StoreError> {
        Ok(self.state()?.workflows.remove(&(namespace.into(), id.into())).is_some())
    }

    async fn outbox_due(&self, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>, StoreError> {
        Ok(self.state()?.messages_due(claim, ask))
    }

    async fn outbox_next(&self) -> Result<Option<Time>, StoreError> {
        Ok(self.state()?.heads().into_iter().map(|message| message.due_at).min())
    }

    async fn outbox_delivered(&self, ids: &[i64]) -> Result<(), StoreError> {
        let mut state = self.state()?;
        ids.iter().for_each(|id| drop(state.outbox.remove(id)));
        Ok(())
    }

    async fn outbox_failed(&self, id: i64, _error: &str, retry_at: Option<Time>) -> Result<(), StoreError> {
        let mut state = self.state()?;
        if let Some(message) = state.outbox.get_mut(&id).filter(|message| !message.dead) {
            message.entry.attempts += 1;
            message.taken = Taken::default();
            match retry_at {
                Some(at) => message.due_at = at,
                None => message.dead = true,
            }
        }
        Ok(())
    }

    async fn prune(&self, before: Time, now: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.state()?.prune(before, now, limit))
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        Ok(self.state()?.status())
    }

    async fn backup(&self, _path: &Path) -> Result<(), StoreError> {
        drop(self.state()?);
        Err(StoreError::Refused("a store in memory has no backup".to_owned()))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }

    fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    async fn beat(&self, beat: &NodeBeat) -> Result<Beat, StoreError> {
        let now = self.clock()?;
        Ok(self.state()?.beat(beat, now))
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        Ok(self.state()?.node_rows())
    }

    async fn take_over(&self, dead: u64, by: u64, lease_ms: u64) -> Result<bool, StoreError> {
        let now = self.clock()?;
        Ok(self.state()?.take_over(dead, by, now, lease_ms))
    }

    async fn forget_node(&self, owner: u64) -> Result<(), StoreError> {
        self.state()?.forget_node(owner);
        Ok(())
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<Head>, StoreError> {
        let state = self.state()?;
        let found = runs.iter().filter_map(|id| state.runs.get(id));
        Ok(found
            .map(|run| Head {
                id: run.row.id,
                version: run.row.version,
                status: run.row.status,
            })
            .collect())
    }

    fn hint(&self) {
        if let Some(shared) = &self.shared {
            shared.hints.notify_waiters();
        }
    }

    async fn hinted(&self) {
        match &self.shared {
            Some(shared) => shared.hints.notified().await,
            None => std::future::pending().await,
        }
    }
}
