//! Removing what is over. Only a finished run is ever removed, and that is asked again in the transaction that does it:
//! between the search and the removal somebody may have opened the run again.

use quintet_core::id::RunId;
use quintet_core::time::Time;
use rusqlite::params;

use crate::codec::{self, micros};
use crate::error::Result;
use crate::sql;
use crate::writer::{Tx, Writer};

/// Expired records removed by one transaction.
const RECORDS: i64 = 1000;

/// Removes one run of a namespace.
pub fn delete_run(writer: &mut Writer, namespace: &str, id: RunId) -> Result<bool> {
    writer.transaction(|tx| remove(tx, id, Some(namespace), None))
}

/// Removes those of `ids` that ended before `before`.
pub fn prune_runs(writer: &mut Writer, ids: &[RunId], before: Time) -> Result<u64> {
    writer.transaction(|tx| {
        let mut removed = 0;
        for id in ids {
            removed += u64::from(remove(tx, *id, None, Some(before))?);
        }
        Ok(removed)
    })
}

/// Removes some expired records; true when there may be more.
pub fn prune_records(writer: &mut Writer, now: Time) -> Result<bool> {
    let removed = writer.transaction(|tx| tx.execute(sql::IDEMPOTENCY_PRUNE, params![now.0, RECORDS]))?;
    Ok(codec::limit(removed) == RECORDS)
}

fn remove(tx: &Tx<'_>, id: RunId, namespace: Option<&str>, before: Option<Time>) -> Result<bool> {
    let key = id.to_bytes();
    let params = params![key, namespace, micros(before)];
    let Some(status) = tx.first(sql::RUNS_DELETE, params, |row| codec::status(row.get(0)?))? else {
        return Ok(false);
    };
    tx.count(status, -1);
    tx.execute(sql::HISTORY_DELETE, params![key])?;
    tx.execute(sql::QUEUE_REMOVE_RUN, params![key])?;
    Ok(true)
}
