//! One commit: every unit of it, in one transaction.
//!
//! All conditions of a unit are looked at before its first write. So a unit that is left out has written nothing, and
//! no savepoint is needed; later units see what earlier ones wrote, because they run in the same transaction.

use std::collections::HashMap;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{
    Commit, IdempotencyRecord, IdempotencyWrite, OutboxWrite, PlanWrite, RunWrite, Unit, UnitResult, WorkflowPin,
};
use rusqlite::params;

use super::runs::{self, Move};
use super::steps;
use crate::error::Result;
use crate::writer::{Tx, Writer};
use crate::{codec, sql};

/// Applies a batch; on an error nothing of it was applied.
pub fn commit(writer: &mut Writer, commit: &Commit) -> Result<Vec<UnitResult>> {
    commit.check()?;
    writer.transaction(|tx| commit.units.iter().map(|unit| apply(tx, commit.meta, unit)).collect())
}

fn apply(tx: &Tx<'_>, meta: Meta, unit: &Unit) -> Result<UnitResult> {
    if let Some(key) = &unit.idempotency
        && let Some(record) = remembered(tx, key, meta.at)?
        && key.replaces.as_ref() != Some(&record.answer)
    {
        return Ok(UnitResult::Duplicate(record));
    }
    let moves = match look(tx, &unit.runs)? {
        Ok(moves) => moves,
        Err(run) => return Ok(UnitResult::Conflict(run)),
    };
    for pin in &unit.pins {
        if !is_current(tx, pin)? {
            return Ok(UnitResult::Outdated(pin.clone()));
        }
    }
    if let Some(key) = &unit.idempotency {
        remember(tx, key)?;
    }
    unit.plans.iter().try_for_each(|plan| put_plan(tx, plan))?;
    for (write, to) in unit.runs.iter().zip(moves) {
        runs::write(tx, meta, write, to)?;
    }
    unit.outbox
        .iter()
        .try_for_each(|message| put_message(tx, meta.at, message))?;
    steps::write(tx, meta.at, unit)?;
    Ok(UnitResult::Applied)
}

/// How each run will be written, or the first one that is not as the unit expects. A run that the unit writes twice
/// is judged the second time by what the first write will have made of it.
fn look(tx: &Tx<'_>, writes: &[RunWrite]) -> Result<Result<Vec<Move>, RunId>> {
    if let [write] = writes {
        return Ok(runs::look(tx, write)?.map(|to| vec![to]).ok_or(write.row.id));
    }
    let mut earlier: HashMap<RunId, &RunWrite> = HashMap::new();
    let mut moves = Vec::with_capacity(writes.len());
    for write in writes {
        let to = match earlier.insert(write.row.id, write) {
            Some(first) => runs::follow(first, write),
            None => runs::look(tx, write)?,
        };
        match to {
            Some(to) => moves.push(to),
            None => return Ok(Err(write.row.id)),
        }
    }
    Ok(Ok(moves))
}

fn is_current(tx: &Tx<'_>, pin: &WorkflowPin) -> Result<bool> {
    let current = tx.first(sql::WORKFLOWS_CURRENT, params![pin.namespace, pin.id], |row| {
        Ok(row.get::<_, u32>(0)?)
    })?;
    Ok(current == Some(pin.version))
}

fn remembered(tx: &Tx<'_>, key: &IdempotencyWrite, now: Time) -> Result<Option<IdempotencyRecord>> {
    tx.first(
        sql::IDEMPOTENCY_GET,
        params![key.namespace, key.scope, key.key, now.0],
        codec::record,
    )
}

/// Replaces what is there: a record that holds and may not be replaced was found before.
pub fn remember(tx: &Tx<'_>, key: &IdempotencyWrite) -> Result<()> {
    let IdempotencyRecord { request, answer } = &key.record;
    let params = params![key.namespace, key.scope, key.key, request, answer, key.expires_at.0];
    tx.execute(sql::IDEMPOTENCY_PUT, params)?;
    Ok(())
}

pub fn put_plan(tx: &Tx<'_>, plan: &PlanWrite) -> Result<()> {
    tx.execute(sql::PLANS_PUT, params![plan.digest.0, plan.spec])?;
    Ok(())
}

fn put_message(tx: &Tx<'_>, at: Time, message: &OutboxWrite) -> Result<()> {
    let OutboxWrite {
        target,
        key,
        message_id,
        body,
    } = message;
    tx.execute(
        sql::OUTBOX_PUT,
        params![tx.next_message(), target, key, message_id, body, at.0],
    )?;
    Ok(())
}
