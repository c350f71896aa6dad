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

/// Removes one run of a namespace, also its dead letters, which otherwise have a retention of their own.
pub fn delete_run(writer: &mut Writer, namespace: &str, id: RunId) -> Result<bool> {
    writer.transaction(|tx| {
        let removed = remove(tx, id, Some(namespace), None)?;
        if removed {
            tx.execute(sql::LETTERS_REMOVE_RUN, params![id.to_bytes()])?;
        }
        Ok(removed)
    })
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
    tx.execute(sql::STEPS_REMOVE_RUN, params![key])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quintet_core::machine::RunStatus;
    use quintet_store::Commit;
    use quintet_store::conformance::support::{id, meta, start, unit};

    use super::*;
    use crate::Synchronous;
    use crate::write::units;

    #[test]
    fn what_was_opened_again_between_the_search_and_the_removal_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quintet.db");
        let mut writer = Writer::open(path, Synchronous::Normal, Arc::default(), Arc::default()).unwrap();
        let ends = [(1, 9), (2, 10)].map(|(number, at)| start(number).finish(RunStatus::Complete, at));
        let writes = (1..=3).map(start).chain(ends);
        let commit = Commit {
            meta: meta(10),
            units: writes.map(|write| unit([write])).collect(),
        };
        units::commit(&mut writer, &commit).unwrap();
        // The search found all three. By now the second has ended anew, and the third is under way.
        let found = [id(1), id(2), id(3)];
        assert_eq!(prune_runs(&mut writer, &found, Time(10)).unwrap(), 1);
        assert_eq!(prune_runs(&mut writer, &found, Time(11)).unwrap(), 1);
        assert_eq!(prune_runs(&mut writer, &found, Time(i64::MAX)).unwrap(), 0);
    }
}
