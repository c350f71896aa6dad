//! Writing documents: first every condition, then every change.

use quintet_store::RecordWrite;
use rusqlite::params;

use crate::codec::{micros, signed};
use crate::error::Result;
use crate::sql;
use crate::writer::{Tx, Writer};

/// Stores and removes documents, all or none.
pub fn put(writer: &mut Writer, writes: &[RecordWrite]) -> Result<bool> {
    writer.transaction(|tx| {
        for write in writes {
            if !is_expected(tx, write)? {
                return Ok(false);
            }
        }
        writes.iter().try_for_each(|write| put_one(tx, write))?;
        Ok(true)
    })
}

fn is_expected(tx: &Tx<'_>, write: &RecordWrite) -> Result<bool> {
    let Some(expected) = write.expected else {
        return Ok(true);
    };
    let RecordWrite {
        namespace, kind, id, ..
    } = write;
    let read = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)?);
    let version = tx.first(sql::RECORDS_VERSION, params![namespace, kind, id], read)?;
    Ok(version.unwrap_or(0) == signed(expected))
}

fn put_one(tx: &Tx<'_>, write: &RecordWrite) -> Result<()> {
    let RecordWrite {
        namespace,
        kind,
        id,
        body,
        expires_at,
        at,
        ..
    } = write;
    let done = match body {
        Some(body) => {
            let params = params![namespace, kind, id, body, micros(*expires_at), at.0];
            tx.execute(sql::RECORDS_PUT, params)
        }
        None => tx.execute(sql::RECORDS_REMOVE, params![namespace, kind, id]),
    };
    done.map(drop)
}
