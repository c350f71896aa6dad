//! What is read.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::commit::RunRow;

/// A run with its whole history.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// The indexed part.
    pub row: RunRow,
    /// Entries 1 to `row.version`.
    pub commits: Vec<StoredCommit>,
}

/// One entry of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// From 1.
    pub seq: u64,
    /// When and by whom.
    pub meta: Meta,
    /// JSON array of events.
    pub events: String,
}

/// Which runs to list; an absent field does not filter.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<Arc<str>>,
    /// Of workflows whose ids begin so.
    pub workflow_prefix: Option<Arc<str>>,
    /// In one of these states.
    pub statuses: Vec<RunStatus>,
    /// Accepted at or after.
    pub created_from: Option<Time>,
    /// Accepted before.
    pub created_before: Option<Time>,
    /// With attempts that some process holds, or without any.
    pub claimed: Option<bool>,
}

/// One page of runs, newest first.
#[derive(Debug, Clone, Default)]
pub struct RunPage {
    /// The rows.
    pub rows: Vec<RunRow>,
    /// Pass as `before` to go on; `None` at the end.
    pub next: Option<RunId>,
}

/// A run that has something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRun {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Which run.
    pub id: RunId,
}

/// How many steps are wanted out of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAsk {
    /// The queue.
    pub queue: Arc<str>,
    /// At most this many of it.
    pub limit: usize,
}

impl QueueAsk {
    /// As many as there are.
    pub fn all(queue: &str) -> Self {
        Self {
            queue: queue.into(),
            limit: usize::MAX,
        }
    }
}

/// What waits in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue.
    pub queue: Arc<str>,
    /// How many steps.
    pub waiting: u64,
    /// The oldest run among theirs.
    pub oldest: RunId,
}

/// A step that waits for an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Which run.
    pub run: RunId,
    /// Index of the step run.
    pub node: u32,
    /// Its queue.
    pub queue: Arc<str>,
}

/// A message to the outside that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Position; delivered in this order per target and key.
    pub id: i64,
    /// Name of the receiver.
    pub target: Arc<str>,
    /// Ordering key.
    pub key: Arc<str>,
    /// Identity of the message.
    pub message_id: String,
    /// What is sent.
    pub body: String,
    /// Deliveries tried so far.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Time,
}

/// Which of the messages that are due are asked for.
#[derive(Debug, Clone, Copy)]
pub struct OutboxAsk<'a> {
    /// Messages that are not given, nor taken: whoever asks has them already.
    pub except: &'a [i64],
    /// Whose messages are given.
    pub targets: Targets<'a>,
    /// How many at most.
    pub limit: usize,
}

impl OutboxAsk<'_> {
    /// Any messages.
    pub fn up_to(limit: usize) -> Self {
        Self {
            except: &[],
            targets: Targets::Except(&[]),
            limit,
        }
    }

    /// Whether it asks for a message.
    pub fn wants(&self, entry: i64, target: &str) -> bool {
        self.targets.include(target) && !self.except.contains(&entry)
    }
}

/// Some receivers.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// These.
    Only(&'a [Arc<str>]),
    /// All but these.
    Except(&'a [Arc<str>]),
}

impl Targets<'_> {
    /// Whether a receiver is one of them.
    pub fn include(&self, target: &str) -> bool {
        match self {
            Self::Only(targets) => targets.iter().any(|known| **known == *target),
            Self::Except(targets) => targets.iter().all(|known| **known != *target),
        }
    }
}

/// A workflow to be stored under its id; an existing one gets a new version.
#[derive(Debug, Clone)]
pub struct WorkflowWrite {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// The document that the face returns, as JSON.
    pub document: String,
    /// Its plan.
    pub digest: Digest,
    /// JSON of the plan's spec.
    pub spec: Arc<str>,
    /// When.
    pub at: Time,
    /// Version that must be current; `None` stores in any case.
    pub expected: Option<u32>,
}

/// The current version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRow {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// Current version, from 1.
    pub version: u32,
    /// The document that the face returns, as JSON.
    pub document: String,
    /// Its plan.
    pub digest: Digest,
    /// When version 1 was stored.
    pub created_at: Time,
    /// When the current version was stored.
    pub updated_at: Time,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowVersionRow {
    /// From 1.
    pub version: u32,
    /// The document, as JSON.
    pub document: String,
    /// Its plan.
    pub digest: Digest,
    /// When it was stored.
    pub created_at: Time,
}

/// Figures about a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// `sqlite`, `memory`, ...
    pub kind: String,
    /// Schema version.
    pub schema: u32,
    /// What an acknowledged commit survives, in words.
    pub durability: String,
    /// Settings under which an acknowledged step could be lost, each a sentence that says what to change.
    pub warnings: Vec<String>,
    /// Number of runs by state.
    pub runs: Vec<(RunStatus, u64)>,
    /// Steps that wait for an executor.
    pub queued: u64,
    /// Messages not delivered.
    pub outbox: u64,
    /// Messages given up.
    pub outbox_dead: u64,
    /// Size on disk, in bytes, where known.
    pub bytes: Option<u64>,
}
