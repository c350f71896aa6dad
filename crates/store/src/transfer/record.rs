//! The records of a store, as they are moved and compared. Each holds everything about itself that a store keeps, but for
//! who has taken it.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use super::canonical::Encoder;
use super::{Cursor, Kind};
use crate::commit::{IdempotencyWrite, PlanWrite, RunRow};
use crate::query::StoredCommit;

/// A workflow, without its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRecord {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// Current version.
    pub version: u32,
    /// When version 1 was stored.
    pub created_at: Time,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// The workflow.
    pub id: Arc<str>,
    /// From 1.
    pub version: u32,
    /// The document, as JSON.
    pub document: String,
    /// Its plan.
    pub digest: Digest,
    /// When it was stored.
    pub created_at: Time,
}

/// One entry of a run's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRecord {
    /// Whose.
    pub run: RunId,
    /// The entry.
    pub commit: StoredCommit,
}

/// A step that waits for an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// Which run.
    pub run: RunId,
    /// Index of the step run.
    pub node: u32,
    /// Its action.
    pub action: Arc<str>,
    /// The negated priority that the run had when the step began to wait: lower ones go first.
    pub rank: i64,
    /// Isolation unit.
    pub namespace: Arc<str>,
}

/// A message to the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
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
    /// When it may be tried again.
    pub due_at: Time,
    /// When it was written.
    pub created_at: Time,
    /// Whether it is still to be delivered.
    pub state: MessageState,
    /// What the last failure said.
    pub error: Option<String>,
}

/// Whether a message is still to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// It is.
    Waiting,
    /// It was given up.
    GivenUp,
}

/// Records of one kind.
#[derive(Debug, Clone)]
pub enum Records {
    /// Plans.
    Plans(Vec<PlanWrite>),
    /// Workflows.
    Workflows(Vec<WorkflowRecord>),
    /// Versions of workflows.
    Versions(Vec<VersionRecord>),
    /// Rows of runs.
    Runs(Vec<RunRow>),
    /// Entries of histories.
    History(Vec<HistoryRecord>),
    /// Steps that wait.
    Queue(Vec<QueueRecord>),
    /// What is remembered of requests.
    Keys(Vec<IdempotencyWrite>),
    /// Messages.
    Messages(Vec<MessageRecord>),
}

/// What every record can say of itself.
trait Record {
    /// The place behind it.
    fn place(&self) -> Cursor;

    /// All that is to be equal on both sides.
    fn write(&self, out: &mut Encoder);
}

impl Records {
    /// Of which kind they are.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Plans(_) => Kind::Plans,
            Self::Workflows(_) => Kind::Workflows,
            Self::Versions(_) => Kind::Versions,
            Self::Runs(_) => Kind::Runs,
            Self::History(_) => Kind::History,
            Self::Queue(_) => Kind::Queue,
            Self::Keys(_) => Kind::Keys,
            Self::Messages(_) => Kind::Messages,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Plans(records) => records.len(),
            Self::Workflows(records) => records.len(),
            Self::Versions(records) => records.len(),
            Self::Runs(records) => records.len(),
            Self::History(records) => records.len(),
            Self::Queue(records) => records.len(),
            Self::Keys(records) => records.len(),
            Self::Messages(records) => records.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place behind the last one.
    pub fn last(&self) -> Option<Cursor> {
        self.each().last().map(|record| record.place())
    }

    /// The place behind each, and its canonical bytes.
    pub(super) fn canonical(&self) -> Vec<(Cursor, Vec<u8>)> {
        let canonical = |record: &dyn Record| {
            let mut out = Encoder::default();
            record.write(&mut out);
            (record.place(), out.into_bytes())
        };
        self.each().into_iter().map(canonical).collect()
    }

    fn each(&self) -> Vec<&dyn Record> {
        fn all<R: Record>(records: &[R]) -> Vec<&dyn Record> {
            records.iter().map(|record| record as &dyn Record).collect()
        }
        match self {
            Self::Plans(records) => all(records),
            Self::Workflows(records) => all(records),
            Self::Versions(records) => all(records),
            Self::Runs(records) => all(records),
            Self::History(records) => all(records),
            Self::Queue(records) => all(records),
            Self::Keys(records) => all(records),
            Self::Messages(records) => all(records),
        }
    }
}

impl Record for PlanWrite {
    fn place(&self) -> Cursor {
        Cursor::Plans(Some(self.digest))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.digest.0);
        out.text(&self.spec);
    }
}

impl Record for WorkflowRecord {
    fn place(&self) -> Cursor {
        Cursor::Workflows(Some((self.namespace.clone(), self.id.clone())))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.id);
        out.text(&self.name);
        out.number(self.version.into());
        out.number(self.created_at.0);
    }
}

impl Record for VersionRecord {
    fn place(&self) -> Cursor {
        Cursor::Versions(Some((self.namespace.clone(), self.id.clone(), self.version)))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.id);
        out.number(self.version.into());
        out.text(&self.document);
        out.bytes(&self.digest.0);
        out.number(self.created_at.0);
    }
}

impl Record for RunRow {
    fn place(&self) -> Cursor {
        Cursor::Runs(Some(self.id))
    }

    fn write(&self, out: &mut Encoder) {
        let time = |out: &mut Encoder, time: Time| out.number(time.0);
        out.bytes(&self.id.to_bytes());
        out.text(&self.namespace);
        out.text(&self.workflow);
        out.number(self.workflow_version.into());
        out.bytes(&self.plan.0);
        out.number(self.status.number().into());
        out.number(self.version.cast_signed());
        out.number(self.priority.into());
        out.number(self.claims.into());
        out.option(self.wake_at, time);
        out.number(self.created_at.0);
        out.number(self.updated_at.0);
        out.option(self.finished_at, time);
    }
}

impl Record for HistoryRecord {
    fn place(&self) -> Cursor {
        Cursor::History(Some((self.run, self.commit.seq)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.commit.seq.cast_signed());
        out.number(self.commit.meta.at.0);
        out.number(self.commit.meta.owner.cast_signed());
        out.text(&self.commit.events);
    }
}

impl Record for QueueRecord {
    fn place(&self) -> Cursor {
        Cursor::Queue(Some((self.run, self.node)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.node.into());
        out.text(&self.action);
        out.number(self.rank);
        out.text(&self.namespace);
    }
}

impl Record for IdempotencyWrite {
    fn place(&self) -> Cursor {
        Cursor::Keys(Some((
            self.namespace.clone(),
            self.scope.clone(),
            self.key.as_str().into(),
        )))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.scope);
        out.text(&self.key);
        out.bytes(&self.record.request);
        out.text(&self.record.answer);
        out.number(self.expires_at.0);
    }
}

impl Record for MessageRecord {
    fn place(&self) -> Cursor {
        Cursor::Messages(Some(self.id))
    }

    fn write(&self, out: &mut Encoder) {
        out.number(self.id);
        out.text(&self.target);
        out.text(&self.key);
        out.text(&self.message_id);
        out.text(&self.body);
        out.number(self.attempts.into());
        out.number(self.due_at.0);
        out.number(self.created_at.0);
        out.number(match self.state {
            MessageState::Waiting => 0,
            MessageState::GivenUp => 2,
        });
        out.option(self.error.as_deref(), Encoder::text);
    }
}
