//! Moving a store: everything that is in one is read from it, written into an empty other one, and compared.
//!
//! A store is a handful of [`Kind`]s of records, each with a key that orders it in the same way everywhere. So a place in
//! a store is a [`Cursor`], whatever store it is, and a move is a walk: a page is read behind the cursor, and written
//! together with the next cursor in one transaction. What ends a move half-way, a kill or a power cut, leaves the target
//! at some cursor, from which the next try goes on. Meanwhile nobody else may open the target, and the source must lie
//! still; that it did is what the comparison at the end proves.
//!
//! What belongs to processes and not to the work stays behind: nodes, notices, and who has taken what. An attempt that
//! was under way is found by the next start as after a crash, because its owner is not there.

mod canonical;
mod check;
mod cursor;
mod mover;
mod record;

use async_trait::async_trait;

pub use check::{Check, Difference, Side};
pub use cursor::Cursor;
pub use mover::{Mover, Progress, Stage, Summary, TransferError};
pub use record::{HistoryRecord, MessageRecord, MessageState, QueueRecord, Records, VersionRecord, WorkflowRecord};

use crate::error::StoreError;

/// What a store holds, in the order in which it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Plans, by digest.
    Plans,
    /// Workflows, by namespace and id.
    Workflows,
    /// Versions of workflows, by namespace, id and version.
    Versions,
    /// Rows of runs, by id.
    Runs,
    /// Entries of histories, by run and sequence number.
    History,
    /// Steps that wait for an executor, by run and step.
    Queue,
    /// What is remembered of requests, by namespace, scope and key.
    Keys,
    /// Messages to the outside, by number.
    Messages,
    /// Rows of step runs, by run and step.
    Steps,
    /// Dead letters, by run, step and attempt.
    Letters,
    /// Documents of faces, by namespace, kind and id.
    Documents,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Plans,
        Self::Workflows,
        Self::Versions,
        Self::Runs,
        Self::History,
        Self::Queue,
        Self::Keys,
        Self::Messages,
        Self::Steps,
        Self::Letters,
        Self::Documents,
    ];

    /// For people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plans => "plans",
            Self::Workflows => "workflows",
            Self::Versions => "workflow_versions",
            Self::Runs => "runs",
            Self::History => "history",
            Self::Queue => "queue",
            Self::Keys => "idempotency",
            Self::Messages => "messages",
            Self::Steps => "steps",
            Self::Letters => "dead_letters",
            Self::Documents => "records",
        }
    }

    /// The one after this one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind > self)
    }
}

/// A store's own name, drawn at random when it was made. A copy of a store has the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Where a store comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which store it is.
    pub id: StoreId,
    /// The store that it was filled from, if it was.
    pub source: Option<StoreId>,
    /// How far that has come, if it is not over.
    pub reached: Option<Cursor>,
}

impl Origin {
    /// Nobody may work on a store that is still being filled.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a move into the store is not over.
    pub fn refuse_unfinished(&self) -> Result<(), StoreError> {
        let (Some(_), Some(source)) = (&self.reached, self.source) else {
            return Ok(());
        };
        Err(StoreError::Refused(format!(
            "a move into this store was begun (from the store with the id {source}) and is not over: run the same \
             `quintet db move` again, which goes on where it stopped, or remove this store"
        )))
    }
}

/// How much a page may hold: it ends with the record that reaches either. A page has one record at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Records.
    pub records: usize,
    /// Bytes of the texts in them.
    pub bytes: usize,
}

impl Default for PageLimit {
    /// One flush of the disk for some thousand records, and some megabytes in memory.
    fn default() -> Self {
        Self {
            records: 4000,
            bytes: 4 << 20,
        }
    }
}

/// Records of one kind, and where to go on.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records, in order.
    pub records: Records,
    /// Behind them; `None` when nothing is left in the store.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page that begins at `from`. `more` is whether there may be more of its kind.
    pub fn new(from: &Cursor, records: Records, more: bool) -> Self {
        let next = match records.last() {
            Some(last) if more => Some(last),
            _ => from.kind().next().map(Cursor::start),
        };
        Self { records, next }
    }
}

/// How many records of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    /// From one number per kind, in the order of [`Kind::ALL`].
    pub const fn new(counts: [u64; Kind::ALL.len()]) -> Self {
        Self(counts)
    }

    /// Of one kind.
    pub const fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// A store that can be moved, as source and as target. It is opened for that in a way of its own, because a target that is
/// not complete yet refuses to be opened in the usual one.
#[async_trait]
pub trait Portable: Send + Sync {
    /// Where it comes from.
    async fn origin(&self) -> Result<Origin, StoreError>;

    /// Refuses while somebody else works on the store.
    async fn check_idle(&self) -> Result<(), StoreError>;

    /// How many records there are.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// The records behind `after`, up to a limit.
    async fn export(&self, after: &Cursor, limit: PageLimit) -> Result<Page, StoreError>;

    /// Makes this store the target of a move from `source`, and marks it so: `reached` is where the first page begins. It
    /// becomes another store by that, with another id.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is anything in it, or a move into it is not over.
    async fn begin_import(&self, source: StoreId, reached: &Cursor) -> Result<(), StoreError>;

    /// Writes records and where to go on, in one transaction. `from` must be where the target is.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it is not there: somebody else moves into it at the same time.
    async fn import(&self, from: &Cursor, records: Records, next: &Cursor) -> Result<(), StoreError>;

    /// The move is over, and the store is one like any other.
    async fn finish_import(&self) -> Result<(), StoreError>;
}

/// What [`Portable::begin_import`] says of a store that is in use already.
pub fn not_empty() -> StoreError {
    StoreError::Refused(
        "there is something in it already, and a move never adds to a store: name a new one, or empty this one"
            .to_owned(),
    )
}

/// What [`Portable::import`] says when the target is not where it was.
pub fn elsewhere() -> StoreError {
    StoreError::Refused("another move into it goes on at the same time".to_owned())
}
