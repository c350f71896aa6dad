//! Between rows and types. What does not fit its type is damage, and is reported as that.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus, step};
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{
    DeadLetter, DueRun, IdempotencyRecord, OutboxEntry, Record, RunRow, StepRow, StoredCommit, WorkflowRow,
    WorkflowVersionRow,
};
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

/// The place in [`step::ALL`].
pub const fn step_number(status: StepStatus) -> u8 {
    status as u8
}

/// Reads [`step_number`] back.
pub fn step_status(number: i64) -> Result<StepStatus> {
    let known = usize::try_from(number).ok().and_then(|number| step::ALL.get(number));
    known
        .copied()
        .ok_or_else(|| corrupt(format!("{number} is not a state of a step run")))
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

/// Columns as the statements under `sql/steps` list them.
pub fn step(row: &Row<'_>) -> Result<StepRow> {
    Ok(StepRow {
        run: run_id(row, 0)?,
        node: row.get(1)?,
        namespace: text(row, 2)?,
        workflow: text(row, 3)?,
        step: text(row, 4)?,
        action: text(row, 5)?,
        queue: text(row, 6)?,
        status: step_status(row.get(7)?)?,
        attempt: row.get(8)?,
        priority: row.get(9)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
    })
}

/// Columns as the statements under `sql/letters` list them.
pub fn letter(row: &Row<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        run: run_id(row, 0)?,
        node: row.get(1)?,
        attempt: row.get(2)?,
        namespace: text(row, 3)?,
        workflow: text(row, 4)?,
        step: text(row, 5)?,
        queue: text(row, 6)?,
        body: row.get(7)?,
        failed_at: time(row, 8)?,
        retried_at: row.get::<_, Option<i64>>(9)?.map(Time),
    })
}

/// Columns as the statements under `sql/records` list them.
pub fn document(row: &Row<'_>) -> Result<Record> {
    Ok(Record {
        namespace: text(row, 0)?,
        kind: text(row, 1)?,
        id: text(row, 2)?,
        version: row.get::<_, i64>(3)?.cast_unsigned(),
        body: row.get(4)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(Time),
        created_at: time(row, 6)?,
        updated_at: time(row, 7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_step_runs_have_the_numbers_that_statements_name() {
        for (place, status) in step::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(step_number(status)), place);
            assert_eq!(step_status(place as i64).unwrap(), status);
            assert_eq!(status.is_settled(), place >= 6, "steps/end");
        }
        assert!(step_status(step::ALL.len() as i64).is_err());
        let named = [StepStatus::InProgress, StepStatus::Complete, StepStatus::Cancelled].map(step_number);
        assert_eq!(named, [2, 6, 8]);
    }
}
