//! What Quintet needs of a store.
//!
//! A store persists what the core decided and never decides a transition. Everything that one transition
//! changes goes into one [`Commit`], which is applied in one transaction. The truth about a run is its
//! history: the `runs` row beside it is an index for lists, timers and recovery, written in the same
//! transaction.

mod check;
mod commit;
mod deal;
mod error;
mod memory;
mod node;
mod query;
mod record;
mod steps;
mod traits;
pub mod transfer;
mod usage;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use commit::{
    Commit, IdempotencyRecord, IdempotencyWrite, OutboxWrite, PlanWrite, QueueChange, RunRow, RunWrite, Unit,
    UnitResult,
};
pub use deal::{Deal, Ranked, Turns};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use node::{Beat, Claim, Head, NodeBeat, NodeRow, Notice, NoticeWrite, WorkflowPin};
pub use query::{
    DueRun, OutboxAsk, OutboxEntry, QueueAsk, QueueCount, QueueEntry, RunFilter, RunPage, StoreStatus, StoredCommit,
    StoredRun, Targets, WorkflowRow, WorkflowVersionRow, WorkflowWrite,
};
pub use record::{Record, RecordWrite};
pub use steps::{DeadLetter, LetterFilter, LetterPage, StepCounts, StepFilter, StepLimit, StepPage, StepRow};
pub use traits::Store;
pub use usage::{MEASURED_RUNS, NamespaceUsage};
