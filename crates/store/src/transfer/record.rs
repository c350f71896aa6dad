//! The records of a store, as they are moved and compared. Each holds everything about itself that a store keeps, but for
//! who has taken it.

mod write;

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use super::canonical::Encoder;
use super::{Cursor, Kind};
use crate::commit::{IdempotencyWrite, PlanWrite, RunRow};
use crate::query::StoredCommit;
use crate::steps::{DeadLetter, StepRow};

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
    /// Where it waits.
    pub queue: Arc<str>,
    /// The negated priority: lower ones go first.
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
    /// Rows of step runs.
    Steps(Vec<StepRow>),
    /// Dead letters.
    Letters(Vec<DeadLetter>),
    /// Documents of faces.
    Documents(Vec<crate::record::Record>),
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
            Self::Steps(_) => Kind::Steps,
            Self::Letters(_) => Kind::Letters,
            Self::Documents(_) => Kind::Documents,
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
            Self::Steps(records) => records.len(),
            Self::Letters(records) => records.len(),
            Self::Documents(records) => records.len(),
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
            Self::Steps(records) => all(records),
            Self::Letters(records) => all(records),
            Self::Documents(records) => all(records),
        }
    }
}
