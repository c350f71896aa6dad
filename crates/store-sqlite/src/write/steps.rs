//! Writing rows of step runs and dead letters.
//!
//! A row is written by one statement, whether it is there or not: each of its transitions changes the state, which the
//! index looks at anyway, so a narrower statement would touch the same entry and would have to look first.

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{DeadLetter, StepRow, Unit};
use rusqlite::params;

use crate::codec::{self, micros};
use crate::error::Result;
use crate::sql;
use crate::writer::{Tx, Writer};

/// Dead letters removed by one transaction: commits wait no longer than that takes.
const PURGED_AT_ONCE: usize = 500;

/// The part of a unit that is about steps. Its limits are left out: this store belongs to one engine, which keeps them.
pub fn write(tx: &Tx<'_>, at: Time, unit: &Unit) -> Result<()> {
    unit.steps.iter().try_for_each(|row| put(tx, row))?;
    unit.ended_steps.iter().try_for_each(|run| end(tx, *run, at))?;
    for (run, node) in &unit.retried {
        tx.execute(sql::LETTERS_RETRY, params![run.to_bytes(), node, at.0])?;
    }
    unit.letters.iter().try_for_each(|letter| put_letter(tx, letter))
}

/// Writes a row, or takes the place of the one that is there.
pub fn put(tx: &Tx<'_>, row: &StepRow) -> Result<()> {
    let params = params![
        row.run.to_bytes(),
        row.node,
        row.namespace,
        row.workflow,
        row.step,
        row.action,
        row.queue,
        codec::step_number(row.status),
        row.attempt,
        row.priority,
        row.created_at.0,
        row.updated_at.0,
    ];
    tx.execute(sql::STEPS_PUT, params).map(drop)
}

fn end(tx: &Tx<'_>, run: RunId, at: Time) -> Result<()> {
    tx.execute(sql::STEPS_END, params![run.to_bytes(), at.0]).map(drop)
}

/// Writes a letter, or takes the place of the one that is there.
pub fn put_letter(tx: &Tx<'_>, letter: &DeadLetter) -> Result<()> {
    let params = params![
        letter.run.to_bytes(),
        letter.node,
        letter.attempt,
        letter.namespace,
        letter.workflow,
        letter.step,
        letter.queue,
        letter.body,
        letter.failed_at.0,
        micros(letter.retried_at),
    ];
    tx.execute(sql::LETTERS_PUT, params).map(drop)
}

/// Removes some of the oldest letters, at most `limit`, and says how many and whether to go on.
pub fn purge(writer: &mut Writer, namespace: Option<&str>, before: Time, limit: usize) -> Result<(usize, bool)> {
    let some = limit.min(PURGED_AT_ONCE);
    let params = params![namespace, before.0, codec::limit(some)];
    let removed = writer.transaction(|tx| tx.execute(sql::LETTERS_PURGE, params))?;
    Ok((removed, removed == some && removed < limit))
}
