//! What became of messages. When the head of a target and key goes, the next one takes its place.

use std::sync::Arc;

use quintet_core::time::Time;
use rusqlite::params;

use crate::error::Result;
use crate::writer::{Tx, Writer};
use crate::{codec, sql};

const HEAD: i64 = 1;

/// Forgets delivered messages.
pub fn delivered(writer: &mut Writer, ids: &[i64]) -> Result<()> {
    writer.transaction(|tx| {
        for id in ids {
            let gone = tx.first(sql::OUTBOX_DELETE, params![id], |row| {
                Ok((codec::text(row, 0)?, codec::text(row, 1)?, row.get::<_, i64>(2)?))
            })?;
            if let Some((target, key, HEAD)) = gone {
                promote(tx, &target, &key)?;
            }
        }
        Ok(())
    })
}

/// Counts a failure; tries again at `retry_at`, or gives up.
pub fn failed(writer: &mut Writer, id: i64, error: &str, retry_at: Option<Time>) -> Result<()> {
    writer.transaction(|tx| {
        if let Some(at) = retry_at {
            tx.execute(sql::OUTBOX_RETRY, params![id, at.0, error])?;
            return Ok(());
        }
        let read = |row: &rusqlite::Row<'_>| Ok((codec::text(row, 0)?, codec::text(row, 1)?));
        match tx.first(sql::OUTBOX_BURY, params![id, error], read)? {
            Some((target, key)) => promote(tx, &target, &key),
            None => Ok(()),
        }
    })
}

fn promote(tx: &Tx<'_>, target: &Arc<str>, key: &Arc<str>) -> Result<()> {
    tx.execute(sql::OUTBOX_PROMOTE, params![target, key])?;
    Ok(())
}
