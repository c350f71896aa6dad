//! Figures for operators.

use std::path::Path;

use rusqlite::Connection;

use super::Reader;
use crate::error::Result;
use crate::sql;
use crate::tally::{Numbers, Tally};

/// Entries of the queue, messages to deliver, messages given up.
pub fn waiting(reader: &Reader) -> Result<(u64, u64, u64)> {
    reader.snapshot(|reader| {
        let queued: i64 = reader.first(sql::QUEUE_COUNT, [], |row| Ok(row.get(0)?))?.unwrap_or(0);
        let messages = reader.first(sql::OUTBOX_COUNT, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (outbox, dead): (i64, i64) = messages.unwrap_or((0, 0));
        Ok((queued.cast_unsigned(), outbox.cast_unsigned(), dead.cast_unsigned()))
    })
}

/// Counts the runs in a snapshot and tells the tally.
pub fn count_runs(snapshot: Connection, change: &Numbers, tally: &Tally) -> Result<()> {
    let mut counted = Numbers::default();
    for (status, number) in Reader::new(snapshot).all(sql::RUNS_COUNT, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let status: u32 = status;
        if let Some(place) = counted.get_mut(status as usize) {
            *place = number;
        }
    }
    tally.found(&counted, change);
    Ok(())
}

/// The database and its log, in bytes.
pub fn bytes(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len());
    Some(size(path).ok()? + size(Path::new(&log)).unwrap_or(0))
}
