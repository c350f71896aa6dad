//! Between rows and types. What does not fit its type is damage, and is reported as that.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{DueRun, IdempotencyRecord, OutboxEntry, RunRow, StoredCommit, WorkflowRow, WorkflowVersionRow};
use rusqlite::Row;

use crate::error::{Result, corrupt};

/// `usize::MAX` means no limit to callers; SQLite counts in `i64`.
pub fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub fn micros(time: Option<Time>) -> Option<i64> {
    time.map(|time| time.0)
}

pub fn time(row: &Row<'_>, at: usize) -> Result<Time> {
    Ok(Time(row.get(at)?))
}

/// A version that passed [`quintet_store::Commit::check`] fits.
pub fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub fn run_id(row: &Row<'_>, at: usize) -> Result<RunId> {
    Ok(RunId::from_bytes(row.get(at)?))
}

pub fn text(row: &Row<'_>, at: usize) -> Result<Arc<str>> {
    Ok(row.get(at)?)
}

fn digest(row: &Row<'_>, at: usize) -> Result<Digest> {
    Ok(Digest(row.get(at)?))
}

pub fn status(number: i64) -> Result<RunStatus> {
    let known = u8::try_from(number).ok().and_then(RunStatus::from_number);
    known.ok_or_else(|| corrupt(format!("{number} is not a state of a run")))
}

/// Columns as the statements under `sql/runs` list them.
pub fn run(row: &Row<'_>) -> Result<RunRow> {
    Ok(RunRow {
        id: run_id(row, 0)?,
        namespace: text(row, 1)?,
        workflow: text(row, 2)?,
        workflow_version: row.get(3)?,
        plan: digest(row, 4)?,
        status: status(row.get(5)?)?,
        version: row.get::<_, i64>(6)?.cast_unsigned(),
        priority: row.get(7)?,
        claims: row.get(8)?,
        wake_at: row.get::<_, Option<i64>>(9)?.map(Time),
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
        finished_at: row.get::<_, Option<i64>>(12)?.map(Time),
    })
}

pub fn due_run(row: &Row<'_>) -> Result<DueRun> {
    Ok(DueRun {
        namespace: text(row, 0)?,
        id: run_id(row, 1)?,
    })
}

pub fn commit(row: &Row<'_>) -> Result<StoredCommit> {
    let owner = row.get::<_, i64>(2)?.cast_unsigned();
    Ok(StoredCommit {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        meta: Meta {
            at: time(row, 1)?,
            owner,
        },
        events: row.get(3)?,
    })
}

pub fn record(row: &Row<'_>) -> Result<IdempotencyRecord> {
    Ok(IdempotencyRecord {
        request: row.get(0)?,
        answer: row.get(1)?,
    })
}

pub fn message(row: &Row<'_>) -> Result<OutboxEntry> {
    Ok(OutboxEntry {
        id: row.get(0)?,
        target: text(row, 1)?,
        key: text(row, 2)?,
        message_id: row.get(3)?,
        body: row.get(4)?,
        attempts: row.get(5)?,
        created_at: time(row, 6)?,
    })
}

pub fn workflow(row: &Row<'_>) -> Result<WorkflowRow> {
    Ok(WorkflowRow {
        id: text(row, 0)?,
        name: row.get(1)?,
        version: row.get(2)?,
        document: row.get(3)?,
        digest: digest(row, 4)?,
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
    })
}

pub fn workflow_version(row: &Row<'_>) -> Result<WorkflowVersionRow> {
    Ok(WorkflowVersionRow {
        version: row.get(0)?,
        document: row.get(1)?,
        digest: digest(row, 2)?,
        created_at: time(row, 3)?,
    })
}
