//! Writing a run: its row, its history entry, and its changes of the queue.
//!
//! The row is written by the narrowest statement that does it, because SQLite maintains every index that has a column
//! of the statement, whether the value changes or not. On the usual way from one unfinished state to another no index
//! is touched at all. For that the time to wake is kept when the new one is later or absent: an early look at the
//! clock costs little, and [`quintet_store::Store::reschedule`] puts it right.

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::{QueueChange, RunRow, RunWrite};
use rusqlite::{Row, params};

use crate::codec::{self, micros, signed};
use crate::error::Result;
use crate::sql;
use crate::writer::{Tx, Writer};

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// There is none yet.
    Insert,
    /// Neither end nor time to wake changes: no index is touched.
    Advance { from: RunStatus },
    /// It has to wake earlier.
    Wake { from: RunStatus },
    /// It ends, or is opened again.
    Settle { from: RunStatus },
    /// Something changes that seldom does.
    Replace { from: RunStatus },
}

/// How `write` will be done, or `None` when the stored run is not as it expects.
pub fn look(tx: &Tx<'_>, write: &RunWrite) -> Result<Option<Move>> {
    let id = write.row.id.to_bytes();
    let found = tx.first(sql::RUNS_HEAD, params![id], |row| judge(row, write))?;
    Ok(found.unwrap_or_else(|| (write.expected == 0).then_some(Move::Insert)))
}

/// The same for a run that `first` will have written before in the same unit.
pub fn follow(first: &RunWrite, write: &RunWrite) -> Option<Move> {
    let fits = first.row.version == write.expected && first.row.namespace == write.row.namespace;
    fits.then_some(Move::Replace { from: first.row.status })
}

/// Columns as in `sql/runs/head.sql`.
fn judge(stored: &Row<'_>, write: &RunWrite) -> Result<Option<Move>> {
    let new = &write.row;
    if stored.get::<_, i64>(1)? != signed(write.expected) || stored.get_ref(0)?.as_str().ok() != Some(&*new.namespace) {
        return Ok(None);
    }
    let from = codec::status(stored.get(2)?)?;
    let wake_at: Option<i64> = stored.get(3)?;
    let finished_at: Option<i64> = stored.get(4)?;
    let to = if !keeps_what_seldom_changes(stored, new)? {
        Move::Replace { from }
    } else if finished_at != micros(new.finished_at) || (finished_at.is_some() && wake_at != micros(new.wake_at)) {
        Move::Settle { from }
    } else if is_earlier(new.wake_at, wake_at) {
        Move::Wake { from }
    } else {
        Move::Advance { from }
    };
    Ok(Some(to))
}

fn keeps_what_seldom_changes(stored: &Row<'_>, new: &RunRow) -> Result<bool> {
    Ok(stored.get_ref(5)?.as_str().ok() == Some(&*new.workflow)
        && stored.get::<_, u32>(6)? == new.workflow_version
        && stored.get_ref(7)?.as_blob().ok() == Some(&new.plan.0[..])
        && stored.get::<_, i32>(8)? == new.priority
        && stored.get::<_, i64>(9)? == new.created_at.0)
}

fn is_earlier(new: Option<Time>, stored: Option<i64>) -> bool {
    new.is_some_and(|new| stored.is_none_or(|stored| new.0 < stored))
}

/// Writes a run whose conditions were looked at.
pub fn write(tx: &Tx<'_>, meta: Meta, write: &RunWrite, to: Move) -> Result<()> {
    write_row(tx, &write.row, to)?;
    put_entry(tx, write.row.id, write.row.version, meta, &write.events)?;
    write
        .queue
        .iter()
        .try_for_each(|change| change_queue(tx, &write.row, change))
}

/// Appends to a history.
pub fn put_entry(tx: &Tx<'_>, run: RunId, seq: u64, meta: Meta, events: &str) -> Result<()> {
    let params = params![run.to_bytes(), signed(seq), meta.at.0, meta.owner.cast_signed(), events];
    tx.execute(sql::HISTORY_INSERT, params)?;
    Ok(())
}

/// Writes a row that is not there yet.
pub fn insert(tx: &Tx<'_>, row: &RunRow) -> Result<()> {
    write_row(tx, row, Move::Insert)
}

fn write_row(tx: &Tx<'_>, row: &RunRow, to: Move) -> Result<()> {
    let (id, status, version) = (row.id.to_bytes(), row.status.number(), signed(row.version));
    let (wake_at, finished_at) = (micros(row.wake_at), micros(row.finished_at));
    let from = match to {
        Move::Insert => {
            write_all(tx, sql::RUNS_INSERT, row)?;
            None
        }
        Move::Replace { from } => {
            write_all(tx, sql::RUNS_REPLACE, row)?;
            Some(from)
        }
        Move::Advance { from } => {
            tx.execute(
                sql::RUNS_ADVANCE,
                params![id, status, version, row.claims, row.updated_at.0],
            )?;
            Some(from)
        }
        Move::Wake { from } => {
            tx.execute(
                sql::RUNS_WAKE,
                params![id, status, version, row.claims, row.updated_at.0, wake_at],
            )?;
            Some(from)
        }
        Move::Settle { from } => {
            let params = params![id, status, version, row.claims, row.updated_at.0, wake_at, finished_at];
            tx.execute(sql::RUNS_SETTLE, params)?;
            Some(from)
        }
    };
    if let Some(from) = from {
        tx.count(from, -1);
    }
    tx.count(row.status, 1);
    Ok(())
}

fn write_all(tx: &Tx<'_>, sql: &str, row: &RunRow) -> Result<()> {
    tx.execute(
        sql,
        params![
            row.id.to_bytes(),
            row.namespace,
            row.workflow,
            row.workflow_version,
            row.plan.0,
            row.status.number(),
            signed(row.version),
            row.priority,
            row.claims,
            micros(row.wake_at),
            row.created_at.0,
            row.updated_at.0,
            micros(row.finished_at),
        ],
    )?;
    Ok(())
}

fn change_queue(tx: &Tx<'_>, row: &RunRow, change: &QueueChange) -> Result<()> {
    let id = row.id.to_bytes();
    match change {
        QueueChange::Put { node, queue, priority } => {
            let rank = -i64::from(*priority);
            tx.execute(sql::QUEUE_PUT, params![id, node, queue, rank, row.namespace])?;
        }
        QueueChange::Remove { node } => {
            tx.execute(sql::QUEUE_REMOVE, params![id, node])?;
        }
    }
    Ok(())
}

/// Sets exact times to wake where the version still fits.
pub fn reschedule(writer: &mut Writer, wakes: &[(RunId, u64, Option<Time>)]) -> Result<()> {
    writer.transaction(|tx| {
        for (id, version, wake_at) in wakes {
            tx.execute(
                sql::RUNS_RESCHEDULE,
                params![id.to_bytes(), signed(*version), micros(*wake_at)],
            )?;
        }
        Ok(())
    })
}
